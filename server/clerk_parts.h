/* SPDX-License-Identifier: MIT
 *
 * What the files of the clerk share among themselves. Nobody else needs to know.
 */
#ifndef IVSHMEM_CLERK_PARTS_H
#define IVSHMEM_CLERK_PARTS_H

#include <sys/queue.h>
#include <time.h>

#include "common/log.h"
#include "server/clerk.h"
#include "server/window.h"
#include "server/witness.h"

/**
 * struct caller - a peer that has channels, or could
 * @due_link:    place among those that have to be rung
 * @clerk:       whom it calls
 * @peer:        the peer, NULL while nobody has this ID; not owned
 * @rung:        event: it has rung its own doorbell of the daemon
 * @heard_since: when the present breath began
 * @heard:       how often it was heard in it
 * @resting:     it has rung too often: @rung is not watched until the breath is over
 * @due:         has to be rung
 * @vector:      on this vector
 * @stuck:       how often ringing it made the ringer wait
 * @shunned:     it is not rung before this time
 */
struct caller {
    TAILQ_ENTRY(caller) due_link;
    struct clerk *clerk;
    struct peer *peer;
    struct event *rung;
    int64_t heard_since;
    unsigned heard;
    bool resting, due;
    unsigned vector;
    unsigned stuck;
    int64_t shunned;
};

TAILQ_HEAD(caller_list, caller);

/**
 * struct clerk_job - what the ringer was given
 * @job:    must be first
 * @clerk:  whose
 * @active: it is with the ringer
 * @pause:  nobody is rung before this time
 * @turn:   IDs that the ringer rings now
 * @count:  how many
 */
struct clerk_job {
    struct ringer_job job;
    struct clerk *clerk;
    bool active;
    int64_t pause;
    unsigned turn[RINGER_TURN], count;
};

/**
 * struct clerk - see clerk.h
 * @setup:     what it was made of
 * @hub:       all peers, NULL before clerk_begin()
 * @window:    the region
 * @channels:  the tables
 * @callers:   by peer ID
 * @n_callers: how many
 * @tick:      event: something is due
 * @deadline:  when @tick is to run, -1 for never
 * @mend:      event: time to map what was missing
 * @breath:    event: those that rest are heard again
 * @ringer:    rings peers
 * @job:       its work
 * @due:       who has to be rung, in order
 * @retry:     event: time to ring those that could not be rung
 * @watcher:   our ear at the hub's witness
 * @torn:      limits the log lines about missing pages
 * @news:      those about channels that come and go
 * @denied:    those about requests that were refused
 * @stuck:     those about peers that cannot be rung
 */
struct clerk {
    struct clerk_setup setup;
    struct hub *hub;
    struct window window;
    struct channels *channels;
    struct caller *callers;
    unsigned n_callers;
    struct event *tick;
    int64_t deadline;
    struct event *mend, *breath;
    struct ringer *ringer;
    struct clerk_job job;
    struct caller_list due;
    struct event *retry;
    struct watcher watcher;
    struct log_limit torn, news, denied, stuck;
};

/** clerk_now() - the time of the tables: milliseconds of CLOCK_MONOTONIC */
static inline int64_t clerk_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* In clerk_rings.c. */

/** clerk_rings_init() - nobody has to be rung. Return: 0 or a negative errno. */
int clerk_rings_init(struct clerk *clerk);

/** clerk_rings_deinit() - ring nobody any more */
void clerk_rings_deinit(struct clerk *clerk);

/** clerk_ring() - a peer has to be rung, soon; channels_setup's @ring, of a clerk */
void clerk_ring(void *context, unsigned peer, unsigned vector);

/** clerk_forget() - a peer is gone and is not rung any more */
void clerk_forget(struct clerk *clerk, struct caller *caller);

/* In clerk_news.c. */

/** clerk_tell() - something has happened to a channel or to the section; channels_setup's @tell, of
 * a clerk */
void clerk_tell(void *context, const struct channels_event *event);

#endif
