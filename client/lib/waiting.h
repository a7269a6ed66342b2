/* SPDX-License-Identifier: MIT
 *
 * How a call on a channel waits, and how a program is told of the channels that it watches.
 */
#ifndef IVSHMEM_WAITING_H
#define IVSHMEM_WAITING_H

#include "client/lib/channel.h"

/** enum waiting_for - what */
enum waiting_for {
    WAITING_RECORD, /* something in the ring in which we receive */
    WAITING_ROOM,   /* room for what was refused last in the ring in which we send */
};

/**
 * struct waiting - the waits of one call
 * @deadline: nanoseconds; 0: not known yet
 * @spun:     it has spun for as long as it may
 * @changes:  how often it was let look again because the daemon said something
 */
struct waiting {
    int64_t deadline;
    bool spun;
    unsigned changes;
};

/**
 * waiting_wait() - wait a while
 * @channel: held (channel_hold())
 * @what:    for what
 * @waiting: all zero at first
 *
 * May return for nothing.
 *
 * Return: 0: look again; -EAGAIN when the channel's time-out is 0; -ETIMEDOUT; or what has ended
 * the channel and there is nothing left in it.
 */
int waiting_wait(struct ivshmem_channel *channel, enum waiting_for what, struct waiting *waiting);

/**
 * waiting_watch() - tell the program if a channel that it watches is ready; else be rung when it is
 * @channel: held
 * @rung:    our vector was rung since the last time
 *
 * Return: whether it was told, and so has to be looked at again.
 */
bool waiting_watch(struct ivshmem_channel *channel, bool rung);

#endif
