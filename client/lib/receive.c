/* SPDX-License-Identifier: MIT
 *
 * Receiving. A message that is there, of one record, and fits the buffer is copied, and that is
 * all; the rest goes through take().
 *
 * What a call could not finish is kept as a number: so many bytes are in the program's buffer
 * already (`have`), and the next ivshmem_recv() goes on behind them. Once a part of a message was
 * handed out (`parted`), an abort of the rest must be told; before, it is as if it had never come.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include "client/lib/channel.h"
#include "client/lib/waiting.h"

#define UNTRIED INT64_MIN

static int no_ring(struct ivshmem_channel *channel)
{
    return failure_set(&channel->board->iv->failure, EINVAL,
                       "channel %u has no ring in which we receive", channel->number);
}

static void count_message(struct ivshmem_channel *channel, size_t bytes, bool whole)
{
    channel->info.bytes_received += bytes;
    channel->info.messages_received += whole;
}

/* What ring.h says when it gives nothing. Return: -EAGAIN when there is nothing yet, -ECANCELED
 * when the message was aborted; 0: look again; else what ends the channel. */
static int judge(struct ivshmem_channel *channel, int64_t r)
{
    struct failure *failure = &channel->board->iv->failure;

    switch (r) {
    case RING_EMPTY:
        return -EAGAIN;
    case RING_ABORTED:
        return -ECANCELED;
    case RING_MOVED:
        return channel_follow(channel) ? 0 : -EAGAIN;
    case RING_ENDED:
        return channel->ended ? channel->ended : -EPIPE;
    case RING_MISMATCH:
        failure_describe(failure,
                         "a message in channel %u is not what was sent: its CRC32C is"
                         " wrong",
                         channel->number);
        break;
    default:
        failure_describe(failure, "what lies in the ring of channel %u cannot be true",
                         channel->number);
    }
    return channel_end(channel, -EBADMSG);
}

/* As ring_receiver_get(), with errors of judge(). @tried: what it has said already, else UNTRIED.
 */
static ssize_t take(struct ivshmem_channel *channel, void *buffer, size_t room, int *more,
                    int64_t tried)
{
    int r = channel->ended;

    while (r == 0) {
        int64_t got = tried;

        if (got == UNTRIED)
            got = ring_receiver_get(&channel->rx, buffer, room, more);
        tried = UNTRIED;
        if (got >= 0) {
            count_message(channel, (size_t)got, !*more);
            channel_took(channel);
            return (ssize_t)got;
        }
        r = judge(channel, got);
    }
    return r;
}

/* What a slow way begins with. */
static int begin(struct ivshmem_channel *channel)
{
    channel->peeking = false;
    if (channel->ended)
        return (int)channel_explain(channel, channel->ended);
    return channel->receive.number == LAYOUT_CHANNEL_NONE ? no_ring(channel) : 0;
}

/* What a slow way ends with. Dropped last: a callback can have closed the channel. */
static ssize_t end(struct ivshmem_channel *channel, ssize_t result)
{
    channel_explain(channel, result);
    channel_drop(channel);
    return result;
}

/* The part of the buffer that begins at byte @done. Return: its bytes, 0 when it is full. */
static size_t room_at(const struct iovec *pieces, unsigned count, size_t done, uint8_t **where)
{
    static uint8_t none;

    *where = &none;
    for (unsigned i = 0; i < count; i++) {
        if (done < pieces[i].iov_len) {
            *where = (uint8_t *)pieces[i].iov_base + done;
            return pieces[i].iov_len - done;
        }
        done -= pieces[i].iov_len;
    }
    return 0;
}

/* The sender took the message back. Return: 0 if nobody has seen any of it. */
static int forget_message(struct ivshmem_channel *channel)
{
    bool seen = channel->parted;

    channel->have = 0;
    channel->parted = false;
    return seen ? failure_set(&channel->board->iv->failure, ECANCELED,
                              "the sender has aborted the message")
                : 0;
}

/* Takes what is there of a message. Return: its bytes when it is complete; -EAGAIN. */
static ssize_t collect(struct ivshmem_channel *channel, const struct iovec *pieces, unsigned count,
                       int64_t tried, int more)
{
    for (;; tried = UNTRIED, more = 1) {
        uint8_t *where;
        size_t room = room_at(pieces, count, channel->have, &where);
        ssize_t got = take(channel, where, room, &more, tried);

        if (got == -ECANCELED)
            got = forget_message(channel);
        else if (got >= 0)
            channel->have += (size_t)got;
        if (got < 0)
            return got;
        if (more && room)
            continue;
        got = more ? -EMSGSIZE : (ssize_t)channel->have;
        channel->have = 0;
        channel->parted = more;
        return got;
    }
}

static ssize_t recv_message(struct ivshmem_channel *channel, const struct iovec *pieces,
                            unsigned count, int64_t tried, int more)
{
    struct waiting waiting = {.deadline = 0};
    ssize_t got = begin(channel);

    if (got < 0)
        return got;
    channel_hold(channel);
    for (;; tried = UNTRIED) {
        got = collect(channel, pieces, count, tried, more);
        if (got != -EAGAIN)
            break;
        got = waiting_wait(channel, WAITING_RECORD, &waiting);
        if (got < 0)
            break;
    }
    if (got == -EMSGSIZE)
        failure_describe(&channel->board->iv->failure,
                         "the message has more bytes than the buffer: receive the rest");
    return end(channel, got);
}

/* Of its own, so that the short way has nothing on the stack. */
static ssize_t __attribute__((noinline))
recv_slowly(struct ivshmem_channel *channel, void *buffer, size_t size, int64_t tried)
{
    const struct iovec piece = {.iov_base = buffer, .iov_len = size};

    return recv_message(channel, &piece, 1, tried, channel->goes_on);
}

ssize_t __attribute__((flatten))
ivshmem_recv(struct ivshmem_channel *channel, void *buffer, size_t size)
{
    int64_t got;

    if (__builtin_expect(channel->have != 0, 0))
        return recv_slowly(channel, buffer, size, UNTRIED);
    got = ring_receiver_get(&channel->rx, buffer, size, &channel->goes_on);
    if (__builtin_expect(got <= 0 || channel->goes_on, 0))
        return recv_slowly(channel, buffer, size, got);
    channel->info.bytes_received += (size_t)got;
    channel->info.messages_received++;
    channel->parted = false;
    channel_took(channel);
    return (ssize_t)got;
}

ssize_t ivshmem_recvv(struct ivshmem_channel *channel, const struct iovec *pieces, unsigned count)
{
    return recv_message(channel, pieces, count, UNTRIED, 1);
}

/* What ivshmem_recv() left in some buffer is what the program has seen. */
static int begin_part(struct ivshmem_channel *channel)
{
    channel->parted |= channel->have > 0;
    channel->have = 0;
    return begin(channel);
}

ssize_t ivshmem_recv_part(struct ivshmem_channel *channel, void *buffer, size_t size, bool *more)
{
    struct waiting waiting = {.deadline = 0};
    size_t done = 0;
    int goes_on = 1;
    ssize_t r = begin_part(channel);

    if (r == 0 && !size)
        r = failure_set(&channel->board->iv->failure, EINVAL, "a part has at least one byte");
    if (r < 0)
        return r;
    channel_hold(channel);
    do {
        r = take(channel, (uint8_t *)buffer + done, size - done, &goes_on, UNTRIED);
        if (r >= 0) {
            done += (size_t)r;
            channel->parted = goes_on;
        } else if (r == -ECANCELED) {
            r = forget_message(channel);
        } else if (r == -EAGAIN && !done) {
            r = waiting_wait(channel, WAITING_RECORD, &waiting);
        }
    } while (r >= 0 && goes_on && done < size);
    if (r < 0 && (r == -ECANCELED || !done))
        return end(channel, r); /* what else has happened is told when there is nothing left */
    *more = goes_on;
    return end(channel, (ssize_t)done);
}

/* The first of many, or one of several records. */
static int recv_first(struct ivshmem_channel *channel, struct iovec *message)
{
    ssize_t got = recv_message(channel, message, 1, UNTRIED, 1);

    if (got < 0)
        return (int)got;
    message->iov_len = (size_t)got;
    return 1;
}

int ivshmem_recv_burst(struct ivshmem_channel *channel, struct iovec *messages, unsigned count)
{
    struct ring_part *parts = (struct ring_part *)(void *)messages; /* the same: see send.c */
    int64_t got = RING_TOO_BIG;

    if (!count)
        return 0;
    if (count > INT_MAX)
        count = INT_MAX;
    if (!channel->have && !channel->parted && !channel->ended)
        got = ring_receiver_get_burst(&channel->rx, parts, count);
    if (got > 0) {
        channel->peeking = false;
        channel->info.messages_received += (uint64_t)got;
        for (int64_t i = 0; i < got; i++)
            channel->info.bytes_received += messages[i].iov_len;
        channel_took(channel);
        return (int)got;
    }
    if (got == RING_ABORTED || got == RING_MISMATCH) { /* is told once only */
        ssize_t r = judge(channel, got);

        if (r != -ECANCELED || (r = forget_message(channel)) < 0)
            return (int)r;
    }
    return recv_first(channel, &messages[0]);
}

int ivshmem_peek(struct ivshmem_channel *channel, const void **data, size_t *size, bool *more)
{
    struct waiting waiting = {.deadline = 0};
    struct ring_piece piece;
    int r = begin_part(channel);

    if (r < 0)
        return r;
    channel_hold(channel);
    while (r == 0) {
        r = ring_receiver_peek(&channel->rx, &piece);
        if (r == RING_OK)
            break;
        r = judge(channel, r);
        if (r == -ECANCELED)
            r = forget_message(channel);
        else if (r == -EAGAIN)
            r = waiting_wait(channel, WAITING_RECORD, &waiting);
    }
    if (r == 0) {
        channel->peeking = true;
        channel->peek_more = piece.more;
        channel->peeked = piece.length;
        *data = piece.data;
        *size = piece.length;
        *more = piece.more;
    }
    return (int)end(channel, r);
}

int ivshmem_release(struct ivshmem_channel *channel)
{
    if (!channel->peeking || ring_receiver_release(&channel->rx, channel->peeked) != RING_OK) {
        if (channel->ended)
            return (int)channel_explain(channel, channel->ended);
        return failure_set(&channel->board->iv->failure, EINVAL, "nothing was looked at");
    }
    channel->peeking = false;
    channel->parted = channel->peek_more;
    count_message(channel, channel->peeked, !channel->peek_more);
    channel_took(channel);
    return 0;
}
