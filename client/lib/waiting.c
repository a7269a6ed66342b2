/* SPDX-License-Identifier: MIT
 *
 * See waiting.h. Theory of operation: who goes to sleep asks the other side to ring (an odd counter
 * in the ring), looks again, and sleeps on our vector; after about a millisecond it looks a second
 * time, as ring.h wants it. Other channels of the handle, the daemon and the program's own vector
 * wake us too: then everything is looked at again, and the other side is asked anew, because it may
 * have rung for what we have seen already.
 *
 * A watch is the same without sleeping: the program sleeps, on ivshmem_fd(), and the second look is
 * the timer's.
 */
#include "client/lib/waiting.h"

#include <errno.h>
#include <sched.h>

enum {
    SPIN_NS = 20000,    /* of IVSHMEM_HYBRID */
    SPIN_LOOKS = 32,    /* between two looks at the clock */
    SERVE_NS = 1000000, /* how often IVSHMEM_SPIN looks at the rest of the world */
    SECOND_LOOK_MS = 1, /* see ring.h */
    SURE_NS = 100000,   /* no store hides longer */
    CHANGES_AT_ONCE = 8,
};

static bool is_there(struct ivshmem_channel *channel, enum waiting_for what)
{
    return what == WAITING_RECORD ? ring_receiver_look(&channel->rx)
                                  : ring_sender_look(&channel->tx);
}

static bool has_changed(const struct channel_way *end)
{
    return end->number != LAYOUT_CHANNEL_NONE &&
           __atomic_load_n(&end->shared->entry.generation, __ATOMIC_RELAXED) != end->generation;
}

/* For so many nanoseconds, once the first looks have failed: looking at the clock costs as much as
 * an answer takes to come. Return: whether it is there; if not, the time is over, or the daemon has
 * something to say. */
static bool spin_some(struct ivshmem_channel *channel, enum waiting_for what, int64_t span,
                      int64_t deadline)
{
    int64_t now, until = 0;

    do {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (what == WAITING_RECORD)
                ring_receiver_pause(&channel->rx);
            else
                ring_relax();
            if (is_there(channel, what))
                return true;
        }
        if (has_changed(&channel->send) || has_changed(&channel->receive))
            return false;
        now = switchboard_now();
        if (!until)
            until = now + span;
    } while (now < until && now < deadline);
    return false;
}

static int spin(struct ivshmem_channel *channel, enum waiting_for what, int64_t deadline)
{
    int r;

    if (spin_some(channel, what, SERVE_NS, deadline))
        return 0;
    if (switchboard_now() >= deadline)
        return -ETIMEDOUT;
    sched_yield(); /* where both sides have one processor, the other waits for us to let it go */
    r = switchboard_look(channel->board);
    return r > 0 ? 0 : r;
}

/* After a fence nobody can be missed who sleeps already. Only for what is new since the last time:
 * whoever was rung asks anew, and two who sleep would wake each other for ever. */
static void wake_other(struct ivshmem_channel *channel)
{
    if (channel->send.number != LAYOUT_CHANNEL_NONE && channel->tx.tail != channel->told_tail) {
        channel->told_tail = channel->tx.tail;
        channel_sent(channel);
    }
    if (channel->receive.number != LAYOUT_CHANNEL_NONE &&
        channel->rx.published != channel->told_head) {
        channel->told_head = channel->rx.published;
        channel_took(channel);
    }
}

/* Ask the other side to ring. Return: whether there is no need, because it is there. */
static bool ask(struct ivshmem_channel *channel, enum waiting_for what)
{
    bool there;

    if (what == WAITING_RECORD) {
        ring_receiver_awake(&channel->rx); /* another odd number than before */
        there = ring_receiver_sleep(&channel->rx);
    } else {
        ring_sender_awake(&channel->tx);
        there = ring_sender_sleep(&channel->tx);
    }
    wake_other(channel);
    return there;
}

/* Until we are rung, or the daemon has something to say. A timer of its own for the second look of
 * each sleep would cost a quarter of a wake-up: one that runs anyway is good enough. */
static int sleep_until(struct ivshmem_channel *channel, enum waiting_for what, int64_t deadline)
{
    bool sure = false;
    int64_t asked;
    int r;

    if (ask(channel, what))
        return 0;
    channel->info.sleeps++;
    asked = switchboard_now();
    do {
        if (!sure)
            switchboard_tick(channel->board, SECOND_LOOK_MS);
        r = switchboard_wait(channel->board, deadline);
        sure = sure || switchboard_now() - asked >= SURE_NS;
    } while (r == 0 && !channel->ended && !is_there(channel, what) &&
             !has_changed(&channel->send) && !has_changed(&channel->receive));
    if (channel->ended)
        return channel->ended;
    if (what == WAITING_RECORD)
        ring_receiver_awake(&channel->rx);
    else
        ring_sender_awake(&channel->tx);
    return r > 0 || (r == -ETIMEDOUT && is_there(channel, what)) ? 0 : r;
}

/* The sender has gone on to a place that the daemon's words do not show: they will be put right. */
static int nap(struct ivshmem_channel *channel, int64_t deadline)
{
    int64_t soon = switchboard_now() + (int64_t)SECOND_LOOK_MS * 1000000;
    int r = switchboard_wait(channel->board, soon < deadline ? soon : deadline);

    return r > 0 || (r == -ETIMEDOUT && soon < deadline) ? 0 : r;
}

/* What has ended the channel for this use; 0 when nothing has, or there is something left. */
static int end_of(struct ivshmem_channel *channel, enum waiting_for what)
{
    if (channel->ended)
        return channel->ended;
    if (!channel->closed)
        return 0;
    if (what == WAITING_RECORD && channel->rx.state != RING_MOVED &&
        ring_receiver_look(&channel->rx))
        return 0; /* it was put before the end */
    return channel->closed;
}

/* Nobody waits: a sender that does not wait either shall see all the room that there is. */
static int leave(struct ivshmem_channel *channel)
{
    if (channel->rx.head != channel->rx.published)
        ring_receiver_publish(&channel->rx);
    if (channel->receive.number != LAYOUT_CHANNEL_NONE)
        channel_took(channel);
    return -EAGAIN;
}

int waiting_wait(struct ivshmem_channel *channel, enum waiting_for what, struct waiting *waiting)
{
    bool changed = !channel->ended && channel_update(channel);
    int r = end_of(channel, what);

    if (r < 0 || (changed && waiting->changes++ < CHANGES_AT_ONCE))
        return r;
    if (channel->timeout == 0)
        return leave(channel);
    if (channel->board->iv->calling)
        return failure_set(&channel->board->iv->failure, EBUSY, "a callback cannot wait");
    if (!waiting->deadline)
        waiting->deadline = switchboard_deadline(channel->timeout);
    if (what == WAITING_RECORD && channel->rx.state == RING_MOVED) {
        r = nap(channel, waiting->deadline);
    } else if (channel->waiting == IVSHMEM_SPIN) {
        r = spin(channel, what, waiting->deadline);
    } else if (channel->waiting == IVSHMEM_HYBRID && !waiting->spun) {
        waiting->spun = true;
        spin_some(channel, what, SPIN_NS, waiting->deadline);
    } else {
        r = sleep_until(channel, what, waiting->deadline);
    }
    return channel->ended ? channel->ended : r;
}

/* @rung: for what we asked last, perhaps. The doorbell can be that of a record that was taken
 * already, whose sender saw our request late. */
static bool readable(struct ivshmem_channel *channel, bool rung)
{
    if (channel->rx.state == RING_MOVED && !channel_follow(channel))
        return false;
    if (ring_receiver_look(&channel->rx))
        return true;
    if (rung || !(channel->rx.waits & 1) || channel->rx.head != channel->armed_head) {
        channel->armed_head = channel->rx.head;
        if (ask(channel, WAITING_RECORD))
            return true;
        switchboard_tick(channel->board, SECOND_LOOK_MS);
    }
    return false;
}

/* Room for all of a message that was too much when it was tried. */
static bool has_room(struct ivshmem_channel *channel)
{
    int64_t room;

    if (!ring_sender_look(&channel->tx))
        return false;
    if (!channel->needed || channel->tx.state)
        return true;
    room = ring_sender_refresh(&channel->tx);
    return room < 0 || (uint64_t)room >= channel->needed;
}

static bool writable(struct ivshmem_channel *channel, bool rung)
{
    if (has_room(channel))
        return true;
    if (rung || !(channel->tx.waits & 1) || channel->tx.head != channel->armed_room) {
        channel->armed_room = channel->tx.head;
        ask(channel, WAITING_ROOM);
        if (has_room(channel))
            return true;
        switchboard_tick(channel->board, SECOND_LOOK_MS);
    }
    return false;
}

bool waiting_watch(struct ivshmem_channel *channel, bool rung)
{
    bool ready = channel->ended || channel->closed;

    if (!channel->known || (ready && !channel->watch && channel->end_told))
        return false;
    channel->end_told |= ready;
    if (!ready && channel->watch & IVSHMEM_READABLE && readable(channel, rung))
        ready = true;
    if (!ready && channel->watch & IVSHMEM_WRITABLE && writable(channel, rung))
        ready = true;
    if (!ready || !channel->board->iv->callbacks.channel_ready)
        return false;
    CALL(channel->board->iv, channel_ready, channel);
    return channel->watch != 0;
}

int ivshmem_channel_watch(struct ivshmem_channel *channel, unsigned what)
{
    struct switchboard *board = channel->board;
    bool was = channel->watch != 0;

    if (what & ~(unsigned)(IVSHMEM_READABLE | IVSHMEM_WRITABLE) ||
        (what & IVSHMEM_READABLE && !channel->ended &&
         channel->receive.number == LAYOUT_CHANNEL_NONE) ||
        (what & IVSHMEM_WRITABLE && !channel->ended && channel->send.number == LAYOUT_CHANNEL_NONE))
        return failure_set(&board->iv->failure, EINVAL,
                           "this channel cannot be watched for %#x: it has no such ring", what);
    channel->watch = what;
    board->watched += (what != 0) - was;
    if (what)
        layer_raise(board->iv); /* looked at, and armed, from the next dispatch */
    return 0;
}
