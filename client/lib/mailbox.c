/* SPDX-License-Identifier: MIT
 *
 * See mailbox.h.
 */
#include "client/lib/mailbox.h"

#include <string.h>

enum { RESENT_AT_ONCE = 8 }; /* found changed more often: wait in between */

static void copy_words(void *to, const void *from, size_t size)
{
    layout_word *words = to;
    const layout_word *shared = from;

    for (size_t i = 0; i < size / 4; i++)
        words[i] = __atomic_load_n(&shared[i], __ATOMIC_RELAXED);
}

/* The number comes last; release: the daemon, which acquires it, sees the rest. */
static void write_request(struct mailbox *mailbox, int64_t now)
{
    layout_word *to = (layout_word *)&mailbox->shared->request;
    const layout_word *from = (const layout_word *)&mailbox->flying;

    if (!mailbox->sent) /* else a late answer to what was written before is an answer too */
        mailbox->before = __atomic_load_n(&mailbox->shared->reply.number, __ATOMIC_RELAXED);
    do {
        mailbox->number++;
    } while (mailbox->number == 0 || mailbox->number == mailbox->before);
    mailbox->flying.number = mailbox->number;
    for (size_t i = 1; i < sizeof(mailbox->flying) / 4; i++)
        __atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
    __atomic_store_n(&to[0], mailbox->number, __ATOMIC_RELEASE);
    mailbox->sent = true;
    mailbox->sent_at = now;
    mailbox->ring(mailbox->context);
}

static void send_next(struct mailbox *mailbox, int64_t now)
{
    if (mailbox->sent || !mailbox->first)
        return;
    mailbox->flying = mailbox->first->request;
    mailbox->resent = 0;
    mailbox->orphaned = false;
    write_request(mailbox, now);
}

static void resend(struct mailbox *mailbox, int64_t now)
{
    mailbox->resent++;
    if (!mailbox->orphaned && mailbox->first)
        mailbox->first->retried = true;
    write_request(mailbox, now);
}

void mailbox_init(struct mailbox *mailbox, struct layout_mailbox *shared, uint32_t number,
                  void (*ring)(void *context), void *context)
{
    *mailbox = (struct mailbox){
        .shared = shared,
        .ring = ring,
        .context = context,
        .number = number,
    };
}

static void enqueue(struct mailbox *mailbox, struct mailbox_call *call)
{
    struct mailbox_call **end = &mailbox->first;

    while (*end)
        end = &(*end)->next;
    call->next = NULL;
    call->queued = true;
    call->done = call->retried = false;
    *end = call;
}

void mailbox_add(struct mailbox *mailbox, struct mailbox_call *call, int64_t now)
{
    enqueue(mailbox, call);
    send_next(mailbox, now);
}

void mailbox_remove(struct mailbox *mailbox, struct mailbox_call *call)
{
    struct mailbox_call **place = &mailbox->first;

    if (!call->queued)
        return;
    if (mailbox->first == call && mailbox->sent && !mailbox->orphaned)
        mailbox->orphaned = true;
    while (*place != call)
        place = &(*place)->next;
    *place = call->next;
    call->queued = false;
}

void mailbox_clear(struct mailbox *mailbox)
{
    for (struct mailbox_call *call = mailbox->first; call; call = call->next)
        call->queued = false;
    mailbox->first = NULL;
    mailbox->sent = false;
}

/* What nobody waits for any more was done: undo what would stay. */
static void clean_up(struct mailbox *mailbox, const struct layout_reply *reply)
{
    uint32_t operation = mailbox->flying.operation;

    if (reply->status != LAYOUT_OK || mailbox->cleanup.queued ||
        (operation != LAYOUT_CONNECT && operation != LAYOUT_ACCEPT))
        return;
    mailbox->cleanup.request = (struct layout_request){
        .operation = LAYOUT_CLOSE,
        .channel = operation == LAYOUT_CONNECT ? reply->channel : mailbox->flying.channel,
    };
    enqueue(mailbox, &mailbox->cleanup);
}

static void finish(struct mailbox *mailbox, const struct layout_reply *reply)
{
    struct mailbox_call *call = mailbox->first;

    mailbox->sent = false;
    if (mailbox->orphaned) {
        clean_up(mailbox, reply);
        return;
    }
    mailbox->first = call->next;
    call->queued = false;
    call->done = true;
    call->status = reply->status;
    call->channel = reply->channel;
}

/* Whether it was answered, but not as it was asked: somebody else has written there. */
static bool garbled(const struct mailbox *mailbox)
{
    const struct layout_mailbox *shared = mailbox->shared;
    struct layout_request there;

    copy_words(&there, &shared->request, sizeof(there));
    return memcmp(&there, &mailbox->flying, sizeof(there)) != 0 ||
           __atomic_load_n(&shared->reply.number, __ATOMIC_RELAXED) == mailbox->number;
}

/* Not answered for long: whoever changed the request must not have the last word, and the daemon
 * puts an answer right that was scribbled on when it is rung. */
static void look_after(struct mailbox *mailbox, int64_t now)
{
    if (now - mailbox->sent_at < MAILBOX_RETRY_MS)
        return;
    if (garbled(mailbox)) {
        resend(mailbox, now);
        return;
    }
    mailbox->sent_at = now;
    mailbox->ring(mailbox->context);
}

/* The request, as the daemon read it, is ours; somebody may have changed the number only. */
static bool answers(const struct mailbox *mailbox, const struct layout_reply *reply)
{
    struct layout_request asked = mailbox->flying;

    asked.number = reply->number;
    return memcmp(&reply->request, &asked, sizeof(asked)) == 0;
}

void mailbox_pump(struct mailbox *mailbox, int64_t now)
{
    const struct layout_reply *there = &mailbox->shared->reply;
    struct layout_reply reply;
    uint32_t number;

    if (mailbox->sent) {
        /* Acquire pairs with the daemon's release of the number: the rest of the answer is there.
         */
        number = __atomic_load_n(&there->number, __ATOMIC_ACQUIRE);
        copy_words(&reply, there, sizeof(reply));
        reply.number = number;
        if (number != mailbox->before && answers(mailbox, &reply))
            finish(mailbox, &reply);
        else if (number == mailbox->number && mailbox->resent < RESENT_AT_ONCE)
            resend(mailbox, now);
    }
    if (mailbox->sent)
        look_after(mailbox, now);
    send_next(mailbox, now);
}
