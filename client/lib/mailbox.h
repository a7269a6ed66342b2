/* SPDX-License-Identifier: MIT
 *
 * Requests: what a peer asks the daemon for, through its mailbox, one after the other.
 *
 * A call waits in the queue until those before it are answered, is written into the mailbox, and
 * leaves the queue with the answer. The answer counts only if it repeats the request as it was
 * written: everybody can write into the mailbox, so a request that the daemon found changed is sent
 * again under a new number. One that is not answered is looked after from time to time.
 *
 * Nothing here waits, and nothing is allocated: a call belongs to whoever makes it.
 */
#ifndef IVSHMEM_MAILBOX_H
#define IVSHMEM_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "client/lib/view.h"

enum { MAILBOX_RETRY_MS = 250 }; /* without an answer for so long: look after it */

/**
 * struct mailbox_call - one request and what became of it
 * @next:    in the queue
 * @queued:  it is in the queue
 * @done:    it was answered
 * @retried: it was sent more than once, so perhaps it was carried out more than once
 * @request: what is asked for; the number is filled in here
 * @status:  enum layout_status
 * @channel: of LAYOUT_CONNECT
 */
struct mailbox_call {
    struct mailbox_call *next;
    bool queued;
    bool done;
    bool retried;
    struct layout_request request;
    uint32_t status;
    uint32_t channel;
};

/**
 * struct mailbox - the queue and the mailbox
 * @shared:   our own
 * @ring:     rings the daemon
 * @context:  its argument
 * @first:    the call that was, or is next to be, written into the mailbox
 * @number:   of the last request that was written
 * @before:   of the answer that was there when the request was written first
 * @sent:     it was not answered yet
 * @sent_at:  milliseconds
 * @resent:   how often it was found changed
 * @orphaned: who made it does not wait any more
 * @flying:   the request as it was written
 * @cleanup:  closes a connection that nobody waits for any more
 */
struct mailbox {
    struct layout_mailbox *shared;
    void (*ring)(void *context);
    void *context;
    struct mailbox_call *first;
    uint32_t number;
    uint32_t before;
    bool sent;
    int64_t sent_at;
    unsigned resent;
    bool orphaned;
    struct layout_request flying;
    struct mailbox_call cleanup;
};

/**
 * mailbox_init() - an empty queue
 * @mailbox:  filled in
 * @shared:   our own
 * @number:   to begin after: another one each time that somebody has this ID
 * @ring:     rings the daemon
 * @context:  its argument
 */
void mailbox_init(struct mailbox *mailbox, struct layout_mailbox *shared, uint32_t number,
                  void (*ring)(void *context), void *context);

/**
 * mailbox_add() - ask for something
 * @mailbox:  the queue
 * @call:     with its request; stays until @done or mailbox_remove()
 * @now:      milliseconds
 */
void mailbox_add(struct mailbox *mailbox, struct mailbox_call *call, int64_t now);

/**
 * mailbox_remove() - no longer wait for an answer
 * @mailbox:  the queue
 * @call:     may be one that is not in it
 *
 * A connection that comes of it all the same is closed.
 */
void mailbox_remove(struct mailbox *mailbox, struct mailbox_call *call);

/**
 * mailbox_pump() - take the answer if it is there, and send what is next
 * @mailbox:  the queue
 * @now:      milliseconds
 */
void mailbox_pump(struct mailbox *mailbox, int64_t now);

/** mailbox_clear() - there is nobody to answer any more: no call is in the queue afterwards */
void mailbox_clear(struct mailbox *mailbox);

/** mailbox_idle() - whether nothing waits, for the daemon or in the queue */
static inline bool mailbox_idle(const struct mailbox *mailbox)
{
    return !mailbox->sent && !mailbox->first;
}

#endif
