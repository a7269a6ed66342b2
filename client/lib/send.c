/* SPDX-License-Identifier: MIT
 *
 * Sending. The short ways are inline: a message that fits the window (a part of the ring, at most a
 * quarter, that is known to be free) is copied there, and that is all. What is seldom (no window,
 * large messages, the end of a channel, moves) goes through send_record(), at the latest once each
 * quarter of the ring.
 *
 * A message of up to a quarter of the ring is one record. A larger one is sent in records of a
 * quarter of the ring, but at most 64 KiB, so that the receiver copies one while we copy the next.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>

#include "client/lib/channel.h"
#include "client/lib/waiting.h"

enum { PARTS_MAX = 64 };

/* The program's pieces are given to ring.h as they are. */
_Static_assert(sizeof(struct iovec) == sizeof(struct ring_part), "the same");
_Static_assert(offsetof(struct iovec, iov_base) == offsetof(struct ring_part, data), "the same");
_Static_assert(offsetof(struct iovec, iov_len) == offsetof(struct ring_part, length), "the same");

static inline const struct ring_part *as_parts(const struct iovec *pieces)
{
    return (const struct ring_part *)(const void *)pieces;
}

static size_t record_size(const struct ring_sender *tx)
{
    return tx->piece < RING_STREAM ? tx->piece : RING_STREAM;
}

static int no_ring(struct ivshmem_channel *channel)
{
    return failure_set(&channel->board->iv->failure, EINVAL,
                       "channel %u has no ring in which we send", channel->number);
}

/* What a slow way begins with. */
static int begin(struct ivshmem_channel *channel)
{
    channel->reserved = false;
    if (channel->ended)
        return (int)channel_explain(channel, channel->ended);
    if (channel->send.number == LAYOUT_CHANNEL_NONE)
        return no_ring(channel);
    channel_update(channel);
    return (int)channel_explain(channel, channel->closed);
}

/* What ring.h says when it did not send, and it was not that the ring was full. */
static int refused(struct ivshmem_channel *channel, int64_t r)
{
    struct failure *failure = &channel->board->iv->failure;

    if (r == RING_TOO_BIG)
        return failure_set(failure, EMSGSIZE, "a piece of a message has more than %zu bytes",
                           channel->tx.piece);
    if (r == RING_INVALID)
        return failure_set(failure, EINVAL, "a message has more bytes than there are addresses");
    failure_describe(failure, "the receiver's words of channel %u cannot be true", channel->number);
    return channel_end(channel, -EBADMSG);
}

/* What fits a record, in parts; waits for room. After a move it may be more than one record. @done
 * counts the bytes that were sent. */
static int send_record(struct ivshmem_channel *channel, const struct ring_part *parts, size_t count,
                       size_t size, int more, struct waiting *waiting, size_t *done)
{
    size_t sent = 0;

    for (;;) {
        int64_t r = ring_sender_put_parts(&channel->tx, parts, count, sent, more);

        if (r >= 0) {
            sent += (size_t)r;
            *done += (size_t)r;
            channel_sent(channel);
            if (sent == size)
                return 0;
            continue;
        }
        if (r != RING_FULL)
            return refused(channel, r);
        r = waiting_wait(channel, WAITING_ROOM, waiting);
        if (r < 0)
            return (int)r;
    }
}

/* What a slow way ends with. Dropped last: a callback can have closed the channel. */
static ssize_t end(struct ivshmem_channel *channel, ssize_t result)
{
    channel_explain(channel, result);
    channel_drop(channel);
    return result;
}

/* Bytes that lie together, in records; @done counts those that were sent. */
static int send_stream(struct ivshmem_channel *channel, const uint8_t *bytes, size_t size, int more,
                       struct waiting *waiting, size_t *done)
{
    size_t sent = 0, most, length;

    do {
        struct iovec piece;
        int r;

        channel_update(channel);
        if (channel->closed)
            return channel->closed;
        most = record_size(&channel->tx);
        length = size - sent < most ? size - sent : most;
        piece = (struct iovec){(void *)(uintptr_t)(bytes + sent), length};
        r = send_record(channel, as_parts(&piece), 1, length, more || sent + length < size, waiting,
                        done);
        if (r < 0)
            return r;
        sent += length;
    } while (sent < size);
    return 0;
}

/* Units that a message needs at most, with what is left free at the end of the ring. */
static uint64_t units_needed(const struct ring_sender *tx, size_t size)
{
    size_t most = record_size(tx);

    return size / RING_UNIT + 1 + 2 * (uint64_t)(size / most + 1) + ring_units(most);
}

/* May a large message be begun that nobody wants to wait for? */
static int fits_at_once(struct ivshmem_channel *channel, size_t size)
{
    uint64_t units = units_needed(&channel->tx, size);
    int64_t room;

    if (units >= channel->tx.total)
        return failure_set(&channel->board->iv->failure, EMSGSIZE,
                           "%zu bytes do not fit the ring of %zu at once: they need a time-out",
                           size, (size_t)channel->send.size);
    room = ring_sender_refresh(&channel->tx);
    if (room < 0)
        return refused(channel, room);
    if ((uint64_t)room >= units)
        return 0;
    channel->needed = (size_t)units;
    channel->tx.touched++;
    return (int)channel_explain(channel, -EAGAIN);
}

/* Total of the pieces. Return: false: more than there are addresses. */
static bool add_up(const struct iovec *pieces, unsigned count, size_t *size)
{
    *size = 0;
    for (unsigned i = 0; i < count; i++)
        if (__builtin_add_overflow(*size, pieces[i].iov_len, size) || *size > SSIZE_MAX)
            return false;
    return true;
}

static int send_pieces(struct ivshmem_channel *channel, const struct iovec *pieces, unsigned count,
                       size_t size, struct waiting *waiting)
{
    size_t done = 0;
    int r = 0;

    if (size <= channel->tx.piece && count <= PARTS_MAX)
        return send_record(channel, as_parts(pieces), count, size, 0, waiting, &done);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        size_t length = pieces[i].iov_len;

        if (length || done == size) /* the last ones may be empty */
            r = send_stream(channel, pieces[i].iov_base, length, done + length < size, waiting,
                            &done);
        if (done == size)
            break;
    }
    return r;
}

/* A whole message: what cannot be finished is taken back. */
static int send_message(struct ivshmem_channel *channel, const struct iovec *pieces, unsigned count)
{
    struct waiting waiting = {.deadline = 0};
    uint64_t before;
    size_t size;
    int r = begin(channel);

    if (r < 0)
        return r;
    if (!add_up(pieces, count, &size))
        return refused(channel, RING_INVALID);
    if (channel->timeout == 0 && size > channel->tx.piece)
        r = fits_at_once(channel, size);
    if (r < 0)
        return r;
    channel_hold(channel);
    before = channel->tx.bytes;
    r = send_pieces(channel, pieces, count, size, &waiting);
    if (r == 0)
        channel->needed = 0;
    else if (!channel->ended && (r != -EAGAIN || channel->tx.bytes != before))
        ring_sender_abort(&channel->tx);
    return (int)end(channel, r);
}

/* Of its own, so that the short way has nothing on the stack. */
static int __attribute__((noinline))
send_slowly(struct ivshmem_channel *channel, const void *buffer, size_t size)
{
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = size};

    return send_message(channel, &piece, 1);
}

int ivshmem_send(struct ivshmem_channel *channel, const void *buffer, size_t size)
{
    if (__builtin_expect(ring_units(size) > channel->tx.window, 0))
        return send_slowly(channel, buffer, size);
    ring_sender_put(&channel->tx, buffer, size, 0);
    channel_sent(channel);
    return 0;
}

int ivshmem_sendv(struct ivshmem_channel *channel, const struct iovec *pieces, unsigned count)
{
    size_t size;

    if (count > PARTS_MAX || !add_up(pieces, count, &size) ||
        ring_units(size) > channel->tx.window || size > channel->tx.piece)
        return send_message(channel, pieces, count);
    ring_sender_put_parts(&channel->tx, as_parts(pieces), count, 0, 0);
    channel_sent(channel);
    return 0;
}

/* Nobody waits: as much of a part as there is room for. */
static int send_some(struct ivshmem_channel *channel, const uint8_t *bytes, size_t size,
                     size_t *done)
{
    struct waiting waiting = {.deadline = 0};

    while (size >= RING_UNIT) {
        int r;

        size /= 2;
        r = send_stream(channel, bytes, size, 1, &waiting, done);
        if (r != -EAGAIN)
            return r;
    }
    return -EAGAIN;
}

ssize_t ivshmem_send_part(struct ivshmem_channel *channel, const void *buffer, size_t size,
                          bool more)
{
    struct waiting waiting = {.deadline = 0};
    size_t done = 0, most;
    int r = begin(channel);

    if (r < 0)
        return r;
    if (size > SSIZE_MAX)
        return refused(channel, RING_INVALID);
    if (!size && more)
        return 0;
    channel_hold(channel);
    r = send_stream(channel, buffer, size, more, &waiting, &done);
    if (r == -EAGAIN && !channel->ended) {
        most = record_size(&channel->tx);
        r = send_some(channel, (const uint8_t *)buffer + done,
                      size - done < most ? size - done : most, &done);
    }
    if (r == 0 || ((r == -EAGAIN || r == -ETIMEDOUT) && done))
        r = 0;
    return end(channel, r < 0 ? r : (ssize_t)done);
}

int ivshmem_send_abort(struct ivshmem_channel *channel)
{
    int r = begin(channel);

    if (r < 0)
        return r;
    ring_sender_abort(&channel->tx);
    channel_sent(channel);
    return 0;
}

int ivshmem_send_burst(struct ivshmem_channel *channel, const struct iovec *messages,
                       unsigned count)
{
    struct waiting waiting = {.deadline = 0};
    int64_t sent;
    int r = 0;

    if (!count)
        return 0;
    if (count > INT_MAX)
        count = INT_MAX;
    if (ring_units(messages[0].iov_len) > channel->tx.window) {
        r = begin(channel);
        if (r < 0)
            return r;
    }
    channel_hold(channel);
    for (;;) {
        sent = ring_sender_put_burst(&channel->tx, as_parts(messages), count);
        if (sent != RING_FULL)
            break;
        r = waiting_wait(channel, WAITING_ROOM, &waiting);
        if (r < 0)
            break;
    }
    if (sent > 0)
        channel_sent(channel);
    else if (r == 0)
        r = refused(channel, sent);
    return (int)end(channel, r < 0 ? r : (ssize_t)sent);
}

int ivshmem_reserve(struct ivshmem_channel *channel, size_t size, void **room)
{
    struct waiting waiting = {.deadline = 0};
    int r = 0;

    if (ring_units(size) > channel->tx.window)
        r = begin(channel);
    if (r < 0)
        return r;
    channel_hold(channel);
    while (r == 0) {
        r = ring_sender_reserve(&channel->tx, size, room);
        if (r == RING_OK)
            break;
        r = r == RING_FULL ? waiting_wait(channel, WAITING_ROOM, &waiting) : refused(channel, r);
    }
    channel->reserved = r == 0;
    return (int)end(channel, r);
}

bool ivshmem_is_far(const struct ivshmem_channel *channel)
{
    return ring_sender_far(&channel->tx);
}

int ivshmem_commit(struct ivshmem_channel *channel, size_t size, bool more)
{
    if (!channel->reserved || ring_sender_commit(&channel->tx, size, more) != RING_OK) {
        if (channel->ended)
            return (int)channel_explain(channel, channel->ended);
        return failure_set(&channel->board->iv->failure, EINVAL,
                           "there is no reservation of %zu bytes", size);
    }
    channel->reserved = false;
    channel_sent(channel);
    return 0;
}

void ivshmem_flush(struct ivshmem_channel *channel)
{
    if (channel->ended)
        return;
    if (channel->send.number != LAYOUT_CHANNEL_NONE && ring_sender_flush(&channel->tx))
        channel_ring(channel, &channel->send);
    if (channel->receive.number != LAYOUT_CHANNEL_NONE && ring_receiver_flush(&channel->rx))
        channel_ring(channel, &channel->receive);
}
