/* SPDX-License-Identifier: MIT
 *
 * The ringer: rings doorbells for the daemon, from a thread of its own.
 *
 * Theory of operation. The flags of an eventfd belong to all who hold it, so a peer can make it
 * blocking and fill its counter; whoever rings it then sleeps until the owner listens, which may be
 * never. The event loop must not be that one. So a thread rings, a handful of doorbells at a time,
 * on duplicates of the descriptors that it closes afterwards, because the peer may leave meanwhile.
 * When it has not come back in time it is sent a signal, again and again until it does: eventfd's
 * sleep ends with EINTR, and a ring that was only slow is not disturbed. The thread is made when
 * first needed; while nothing is rung it sleeps and no timer is set.
 *
 * Who has doorbells to ring hands in a job. Jobs take turns.
 */
#ifndef IVSHMEM_RINGER_H
#define IVSHMEM_RINGER_H

#include <event2/event.h>
#include <sys/queue.h>

enum { RINGER_TURN = 16 }; /* doorbells that are rung before the next job has its turn */

struct ringer;
struct ringer_job;

/**
 * struct ringer_orders - what a kind of job does; all are called in the event loop
 * @aim:    say what to ring now: puts up to RINGER_TURN descriptors, which stay the job's, into
 *          the array and returns how many; 0 ends the job
 * @report: of those, the first @rung were rung, and the one after them was not because of @error:
 *          0 when there is none, -EAGAIN when its counter is full, another negative errno when the
 *          thread cannot work
 * @end:    the job is over, or the ringer is: called once, and may free the job
 */
struct ringer_orders {
    unsigned (*aim)(struct ringer_job *job, int *doorbells);
    void (*report)(struct ringer_job *job, unsigned rung, int error);
    void (*end)(struct ringer_job *job);
};

/**
 * struct ringer_job - doorbells to be rung; a part of the user's own structure
 * @link:   place among those that wait
 * @orders: what to do
 */
struct ringer_job {
    TAILQ_ENTRY(ringer_job) link;
    const struct ringer_orders *orders;
};

/**
 * ringer_new() - a ringer with nothing to do
 * @base: event loop
 * @out:  the ringer
 *
 * Return: 0 or a negative errno.
 */
int ringer_new(struct event_base *base, struct ringer **out);

/** ringer_free() - end the thread and all jobs. Takes NULL, returns NULL. */
struct ringer *ringer_free(struct ringer *ringer);

/**
 * ringer_add() - hand in a job
 * @ringer: the ringer
 * @job:    its @orders are set; none of them is called before the event loop has its turn
 */
void ringer_add(struct ringer *ringer, struct ringer_job *job);

#endif
