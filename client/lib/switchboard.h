/* SPDX-License-Identifier: MIT
 *
 * The switchboard: all channels of a handle, and its word with the daemon.
 *
 * It is the layer (layer.h) of a handle whose program uses channels. It says LAYOUT_HELLO once for
 * each connection to the server, makes requests, sees offers, and looks after the channels when our
 * vector is rung: has one ended, is a ring to be moved, is one that the program watches ready.
 *
 * Theory of operation: one vector rings for everything, so a ring says only that something is to be
 * looked at. All state is in the memory, and every look begins there: an event that somebody else
 * has taken, or that came for nothing, does no harm.
 */
#ifndef IVSHMEM_SWITCHBOARD_H
#define IVSHMEM_SWITCHBOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "client/lib/handle.h"
#include "client/lib/mailbox.h"
#include "client/lib/view.h"

struct ivshmem_channel;
TAILQ_HEAD(channel_list, ivshmem_channel);

/**
 * struct switchboard - the channels of a handle
 * @layer:    what the handle knows
 * @iv:       the handle
 * @chosen:   the program has said which vector
 * @greeted:  this connection's LAYOUT_HELLO was answered; what follows is valid
 * @own:      our ID
 * @view:     the section
 * @mailbox:  to the daemon
 * @events:   of our peer block, when offers were looked at last
 * @told:     by channel: serial of the offer that the program was told of
 * @channels: open ones
 * @closing:  whose LAYOUT_CLOSE was not answered yet
 * @next:     where a walk through @channels goes on
 * @watched:  how many have something to be watched
 * @serving:  within switchboard_serve()
 * @rung:     our vector was rung since it was last there
 * @tick_at:  when the timer runs out, in nanoseconds; 0: it does not run
 * @sleeper:  epoll set that calls wait on; -1 without a connection
 */
struct switchboard {
    struct layer layer;
    struct ivshmem *iv;
    bool chosen;
    bool greeted;
    uint32_t own;
    struct view view;
    struct mailbox mailbox;
    uint32_t events;
    uint64_t *told;
    struct channel_list channels;
    struct channel_list closing;
    struct ivshmem_channel *next;
    unsigned watched;
    bool serving;
    bool rung;
    int64_t tick_at;
    int sleeper;
};

/** switchboard_now() - CLOCK_MONOTONIC in nanoseconds */
static inline int64_t switchboard_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/** switchboard_deadline() - when a time-out in milliseconds is over; negative ones never are */
static inline int64_t switchboard_deadline(int timeout)
{
    return timeout < 0 ? EVENTS_NEVER : switchboard_now() + (int64_t)timeout * 1000000;
}

/**
 * switchboard_get() - the switchboard of a handle, which has said LAYOUT_HELLO
 * @iv:  the handle
 * @out: set to it
 *
 * Return: 0, -EOPNOTSUPP when the server has no channels, or as ivshmem_listen().
 */
int switchboard_get(struct ivshmem *iv, struct switchboard **out);

/**
 * switchboard_call() - ask the daemon for something, and wait for the answer
 * @board:    greeted, or about to be
 * @call:     with its request
 * @deadline: nanoseconds; nobody waits longer than 10 s
 *
 * Return: 0 with @call's status; -ETIMEDOUT; or as ivshmem_dispatch(). The call is not in the queue
 * any more.
 */
int switchboard_call(struct switchboard *board, struct mailbox_call *call, int64_t deadline);

/**
 * switchboard_wait() - wait until our vector is rung, and serve whatever comes
 * @board:    the switchboard
 * @deadline: nanoseconds
 *
 * Also returns when nothing has happened, so that what was waited for has to be looked at.
 *
 * Return: 1 when our vector was rung, 0 when something else woke us, -ETIMEDOUT, or the reason why
 * there is no connection any more.
 */
int switchboard_wait(struct switchboard *board, int64_t deadline);

/** switchboard_look() - the same without waiting: 0 when there was nothing to serve */
int switchboard_look(struct switchboard *board);

/**
 * switchboard_serve() - look after everything, with callbacks
 * @board: the switchboard
 * @rung:  our vector was rung, and the event taken
 *
 * Does not wait.
 */
void switchboard_serve(struct switchboard *board, bool rung);

/**
 * switchboard_pump() - see to the mailbox
 * @board: the switchboard
 */
void switchboard_pump(struct switchboard *board);

/**
 * switchboard_tick() - have everything looked at again before long
 * @board:        the switchboard
 * @milliseconds: until then, at most
 */
void switchboard_tick(struct switchboard *board, int milliseconds);

/**
 * switchboard_offer() - look at a channel as an offer
 * @board:   greeted
 * @channel: its number
 * @offer:   filled in
 *
 * Return: whether it is an offer to us.
 */
bool switchboard_offer(const struct switchboard *board, uint32_t channel,
                       struct ivshmem_offer *offer);

#endif
