/* SPDX-License-Identifier: MIT
 *
 * The control section as a peer sees it: where its parts lie, and copies of what the daemon says.
 *
 * Whoever maps the region can write there at any time. So nothing is looked at twice: the header is
 * copied once and checked, a block is copied (layout_snapshot()) and only the copy is used, and an
 * offset becomes an address here or nowhere.
 */
#ifndef IVSHMEM_VIEW_H
#define IVSHMEM_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/failure.h"
#include "common/layout.h"

/**
 * struct view - what the header said, checked
 * @base:           where the region is mapped; not owned
 * @size:           its bytes
 * @instance:       of the section
 * @mailbox_offset: of the first mailbox
 * @mailbox_size:   bytes from one to the next
 * @channel_offset: of the first channel
 * @channel_size:   bytes from one to the next
 * @data_offset:    where rings begin
 * @n_mailboxes:    peers have IDs below this; the daemon has this one
 * @n_channels:     how many there can be
 */
struct view {
    uint8_t *base;
    uint64_t size;
    uint64_t instance;
    uint64_t mailbox_offset;
    uint64_t mailbox_size;
    uint64_t channel_offset;
    uint64_t channel_size;
    uint64_t data_offset;
    uint32_t n_mailboxes;
    uint32_t n_channels;
};

/**
 * view_init() - look at the header
 * @view:    filled in; left alone on error
 * @memory:  the region, mapped at a multiple of LAYOUT_BLOCK
 * @size:    its bytes
 * @failure: says what is wrong
 *
 * Return: 0, -EOPNOTSUPP when there is no section, or one of another version, -EBADMSG when the
 * header cannot be true.
 */
int view_init(struct view *view, void *memory, uint64_t size, struct failure *failure);

/** view_mailbox() - the mailbox of a peer. Return: NULL when there is none for that ID. */
struct layout_mailbox *view_mailbox(const struct view *view, uint32_t peer);

/** view_channel() - a channel by its number. Return: NULL when there is none. */
struct layout_channel *view_channel(const struct view *view, uint32_t number);

/**
 * view_ring() - the bytes of a ring
 * @view:   the section
 * @offset: as an entry says
 * @size:   as an entry says
 *
 * Return: NULL when it is not all within the data area, or not aligned.
 */
void *view_ring(const struct view *view, uint64_t offset, uint64_t size);

/** view_entry() - copy what the daemon says of a channel. Return: false: try again later. */
bool view_entry(const struct view *view, uint32_t number, struct layout_entry *copy);

/** view_peer() - copy what the daemon says of a peer. Return: false: try again later. */
bool view_peer(const struct view *view, uint32_t peer, struct layout_peer *copy);

/** view_errno() - an enum layout_status as a negative errno; 0 for LAYOUT_OK */
int view_errno(uint32_t status);

/** view_status_text() - an enum layout_status in words that end a sentence */
const char *view_status_text(uint32_t status);

#endif
