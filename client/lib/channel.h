/* SPDX-License-Identifier: MIT
 *
 * A connection: the ring in which we send, the ring in which we receive, or both.
 *
 * Theory of operation: the rings are ring.h's; what is published of them (the entry) is looked at
 * when its generation has changed, and only on slow paths: when there is no room, nothing to read,
 * once each quarter of a ring, and when our vector was rung. What ends a channel is kept in three
 * steps: `closed`, the daemon says that the other end is no more, what it left can be received;
 * `ended`, nothing works any more; and the program's ivshmem_close(). Then the object lives on
 * until the daemon has answered, or until a call returns that a callback closed it under.
 *
 * A channel that has ended has empty rings in a state of their own, so that the fast paths, which
 * do not look at `ended`, cannot touch memory that may be gone.
 */
#ifndef IVSHMEM_CHANNEL_H
#define IVSHMEM_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/lib/mailbox.h"
#include "client/lib/switchboard.h"
#include "common/ring.h"

/**
 * struct channel_way - what we know of one of the two rings, beside what ring.h knows
 * @number:     of the channel; LAYOUT_CHANNEL_NONE: there is no such ring
 * @shared:     its words
 * @generation: of the entry, when it was looked at last
 * @moves:      the ring_generation that we are at
 * @size:       bytes of the ring
 * @vector:     where to ring the other side
 * @moved:      tells the daemon that we have left a ring
 */
struct channel_way {
    uint32_t number;
    struct layout_channel *shared;
    uint32_t generation;
    uint32_t moves;
    uint64_t size;
    unsigned vector;
    struct mailbox_call moved;
};

/**
 * struct ivshmem_channel - a connection
 * @tx:         ring in which we send
 * @rx:         ring in which we receive
 * @have:       bytes of a message that are in the program's buffer, from an ivshmem_recv() that
 *              could not be finished
 * @goes_on:    what ring_receiver_get() said last of the message
 * @parted:     the program was given a part of the message that is under way
 * @peeked:     bytes that ivshmem_peek() showed; valid with @peeking
 * @peeking:    ivshmem_release() is due
 * @peek_more:  the message goes on behind them
 * @reserved:   ivshmem_commit() is due: the ring cannot be moved
 * @send:       the ring in which we send
 * @receive:    the ring in which we receive
 * @may_idle:   false: the daemon closes it when it does not see that something is sent
 * @closed:     negative errno: the other side is no more; 0 else
 * @ended:      negative errno: nothing works any more; 0 else
 * @timeout:    milliseconds
 * @waiting:    enum ivshmem_waiting
 * @watch:      enum ivshmem_watch
 * @known:      the program has it
 * @end_told:   the program has heard that it ended
 * @armed_head: of @rx, when the sender was asked to ring for the watch
 * @armed_room: head of @tx, likewise
 * @told_tail:  tail of @tx when we looked last, after a fence, whether the receiver sleeps
 * @told_head:  published head of @rx when we looked last, after a fence, whether the sender sleeps
 * @needed:     units that a message needs that was too much for the ring; 0 else
 * @context:    the program's
 * @board:      where it belongs to
 * @link:       in one of its lists
 * @users:      calls that are under way, and the lists
 * @number:     of the channel that names the connection
 * @serial:     of the connection
 * @peer:       the other side
 * @port:       that was connected to
 * @flags:      LAYOUT_CRC32C
 * @close:      the request
 * @info:       counters
 */
struct ivshmem_channel {
    struct ring_sender tx;
    struct ring_receiver rx;
    size_t have;
    int goes_on;
    bool parted;
    bool peeking;
    bool peek_more;
    bool reserved;
    size_t peeked;
    struct channel_way send;
    struct channel_way receive;
    bool may_idle;
    int closed;
    int ended;
    int timeout;
    enum ivshmem_waiting waiting;
    unsigned watch;
    bool known;
    bool end_told;
    uint32_t armed_head;
    uint32_t armed_room;
    uint32_t told_tail;
    uint32_t told_head;
    size_t needed;
    void *context;
    struct switchboard *board;
    TAILQ_ENTRY(ivshmem_channel) link;
    unsigned users;
    uint32_t number;
    uint64_t serial;
    unsigned peer;
    uint32_t port;
    uint32_t flags;
    struct mailbox_call close;
    struct ivshmem_channel_info info;
};

/** channel_new() - an object for a connection to come. Return: NULL without memory. */
struct ivshmem_channel *channel_new(struct switchboard *board);

/**
 * channel_attach() - the connection is open
 * @channel:   from channel_new()
 * @number:    of the channel that names it
 * @entry:     of that channel, open
 * @connector: we are who connected
 *
 * Return: 0; -EBADMSG when what the daemon published cannot be; -EAGAIN: try again later.
 */
int channel_attach(struct ivshmem_channel *channel, uint32_t number,
                   const struct layout_entry *entry, bool connector);

/** channel_hold() - a call begins that may call back */
static inline void channel_hold(struct ivshmem_channel *channel)
{
    channel->users++;
}

/** channel_drop() - it ends; the channel may be gone after this */
void channel_drop(struct ivshmem_channel *channel);

/**
 * channel_update() - see whether the daemon says something new of it
 * @channel: a channel
 *
 * Leaves a ring in which we send for its next place if it is to be moved.
 *
 * Return: whether anything has changed.
 */
bool channel_update(struct ivshmem_channel *channel);

/**
 * channel_follow() - the sender has left the ring: go on in the next one
 * @channel: whose @rx says RING_MOVED
 *
 * Return: whether we could; if not, the daemon has still to put its words right.
 */
bool channel_follow(struct ivshmem_channel *channel);

/**
 * channel_end() - nothing works any more
 * @channel: a channel
 * @error:   negative errno: what its calls return from now on
 *
 * Return: what they return, which is the first error.
 */
int channel_end(struct ivshmem_channel *channel, int error);

/**
 * channel_explain() - put into words why a call on a channel ends
 * @channel: the channel
 * @result:  what it is about to return
 *
 * Errors that were put into words where they were found are left alone. Cheap: a call that polls
 * comes here, too.
 *
 * Return: @result.
 */
ssize_t channel_explain(struct ivshmem_channel *channel, ssize_t result);

/** channel_ring() - ring the other side's doorbell */
void channel_ring(struct ivshmem_channel *channel, const struct channel_way *end);

/** channel_free() - forget it at once, without a word to the daemon */
void channel_free(struct ivshmem_channel *channel);

/** channel_close() - what ivshmem_close() does, also when it was never given to the program */
void channel_close(struct ivshmem_channel *channel);

/** channel_sent() - after something was put: wake the receiver if it sleeps */
static inline void channel_sent(struct ivshmem_channel *channel)
{
    if (__builtin_expect(!channel->may_idle, 0) && channel->tx.published != channel->tx.tail)
        ring_sender_publish(&channel->tx);
    if (__builtin_expect(ring_sender_wake(&channel->tx), 0))
        channel_ring(channel, &channel->send);
}

/** channel_took() - after something was taken: wake the sender if it sleeps */
static inline void channel_took(struct ivshmem_channel *channel)
{
    if (__builtin_expect(ring_receiver_wake(&channel->rx), 0))
        channel_ring(channel, &channel->receive);
}

#endif
