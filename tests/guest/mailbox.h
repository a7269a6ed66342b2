/* SPDX-License-Identifier: MIT */
/*
 * The section that the server has made in the shared memory (ivshmem-channels(7)): what it says,
 * and the mailbox in which this guest asks for something. One request at a time; its answer comes
 * with an interrupt.
 */
#ifndef GUEST_MAILBOX_H
#define GUEST_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/layout.h"
#include "ivshmem.h"

#define MAILBOX_STOPPED UINT32_MAX /* instead of a status: a key was pressed */

struct mailbox {
    const struct ivshmem *iv;
    uint8_t *memory;             /* the shared memory */
    uint64_t reach;              /* bytes of it that this guest can point to */
    struct layout_header header; /* our copy, checked */
    struct layout_mailbox *own;
    struct layout_request asked; /* under way; none if its number is 0 */
    struct layout_reply answer;  /* to the last request, when that is no longer under way */
    uint32_t number;             /* of the last request */
    uint32_t vector;             /* on which the daemon and the others ring us */
    bool speaks;                 /* HELLO was answered */
};

const char *mailbox_init(struct mailbox *mailbox, const struct ivshmem *iv);
const char *mailbox_status(uint32_t status);
uint32_t mailbox_events(const struct mailbox *mailbox);
bool mailbox_entry(const struct mailbox *mailbox, uint32_t channel, struct layout_entry *entry);
bool mailbox_wait_entry(const struct mailbox *mailbox, uint32_t channel,
                        struct layout_entry *entry);
struct layout_channel *mailbox_words(const struct mailbox *mailbox, uint32_t channel);
uint8_t *mailbox_ring_at(const struct mailbox *mailbox, uint64_t offset, uint64_t size);
void mailbox_post(struct mailbox *mailbox, const struct layout_request *request);
bool mailbox_is_free(struct mailbox *mailbox);
uint32_t mailbox_ask(struct mailbox *mailbox, const struct layout_request *request);
void mailbox_bell(const struct mailbox *mailbox, uint32_t peer, uint32_t vector);
bool mailbox_nap(const struct mailbox *mailbox, uint32_t seen, unsigned int ms);
uint32_t mailbox_rings(const struct mailbox *mailbox);

#endif
