/* SPDX-License-Identifier: MIT
 *
 * The clerk rings peers: those that are due stand in a list, and the ringer takes them from there.
 * See clerk.h.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "server/clerk_parts.h"
#include "server/hub.h"

enum {
    RETRY_MS = 100,          /* until those that could not be rung are tried again */
    SHUN_MS = 1000,          /* for which a peer is not rung that has made the ringer wait */
    SHUN_DOUBLINGS_MAX = 10, /* of that time */
};

static unsigned id_of(const struct clerk *clerk, const struct caller *caller)
{
    return (unsigned)(caller - clerk->callers);
}

static void not_due(struct clerk *clerk, struct caller *caller)
{
    if (caller->due)
        TAILQ_REMOVE(&clerk->due, caller, due_link);
    caller->due = false;
}

/* A full counter is an event that is pending: more is not needed, and could not be added. */
static bool can_be_rung(int doorbell)
{
    struct pollfd state = {.fd = doorbell, .events = POLLOUT};

    return poll(&state, 1, 0) == 1 && (state.revents & POLLOUT);
}

static unsigned aim(struct ringer_job *job, int *doorbells)
{
    struct clerk_job *work = (struct clerk_job *)job;
    struct clerk *clerk = work->clerk;
    struct caller *caller, *next;
    int64_t now = clerk_now();

    work->count = 0;
    if (work->pause > now)
        return 0;
    for (caller = TAILQ_FIRST(&clerk->due); caller && work->count < RINGER_TURN; caller = next) {
        int doorbell = -1;

        next = TAILQ_NEXT(caller, due_link);
        if (caller->shunned > now)
            continue;
        not_due(clerk, caller);
        if (caller->peer && caller->vector < caller->peer->seat->n_vectors)
            doorbell = caller->peer->seat->doorbells[caller->vector];
        if (doorbell < 0 || !can_be_rung(doorbell))
            continue;
        work->turn[work->count] = id_of(clerk, caller);
        doorbells[work->count++] = doorbell;
    }
    return work->count;
}

static void again(struct clerk *clerk, struct caller *caller)
{
    if (caller->due || !caller->peer)
        return;
    caller->due = true;
    TAILQ_INSERT_TAIL(&clerk->due, caller, due_link);
}

/* Somebody has filled the counter at this very moment, and made it wait. That is no accident. */
static void shun(struct clerk *clerk, struct caller *caller)
{
    unsigned doublings = caller->stuck < SHUN_DOUBLINGS_MAX ? caller->stuck : SHUN_DOUBLINGS_MAX;

    caller->stuck++;
    caller->shunned = clerk_now() + ((int64_t)SHUN_MS << doublings);
    if (caller->peer)
        log_limited(&clerk->stuck, LOG_WARNING,
                    "doorbell %u of peer %u (" WHO_FORMAT ") was made to block whoever rings it: "
                    "not ringing it for %d seconds",
                    caller->vector, id_of(clerk, caller), WHO(&caller->peer->who),
                    SHUN_MS / 1000 << doublings);
}

static void report(struct ringer_job *job, unsigned rung, int error)
{
    struct clerk_job *work = (struct clerk_job *)job;
    struct clerk *clerk = work->clerk;
    bool is_stuck = error == -EAGAIN && rung < work->count;

    if (error && !is_stuck) {
        log_limited(&clerk->stuck, LOG_ERR, "cannot ring the peers: %s; trying again",
                    strerror(-error));
        work->pause = clerk_now() + RETRY_MS;
    }
    if (is_stuck)
        shun(clerk, &clerk->callers[work->turn[rung]]);
    for (unsigned i = rung; i < work->count; i++)
        again(clerk, &clerk->callers[work->turn[i]]);
    work->count = 0;
}

/* Nobody is left, or only such as are not to be rung now. */
static void end(struct ringer_job *job)
{
    const struct timeval later = {.tv_usec = RETRY_MS * 1000L};
    struct clerk_job *work = (struct clerk_job *)job;

    work->active = false;
    if (!TAILQ_EMPTY(&work->clerk->due))
        event_add(work->clerk->retry, &later);
}

static void begin(struct clerk *clerk)
{
    if (clerk->job.active || TAILQ_EMPTY(&clerk->due))
        return;
    clerk->job.active = true;
    ringer_add(clerk->ringer, &clerk->job.job);
}

static void on_retry(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    begin(argument);
}

void clerk_ring(void *context, unsigned peer, unsigned vector)
{
    struct clerk *clerk = context;
    struct caller *caller = &clerk->callers[peer];

    caller->vector = vector;
    again(clerk, caller);
    begin(clerk);
}

void clerk_forget(struct clerk *clerk, struct caller *caller)
{
    not_due(clerk, caller);
}

int clerk_rings_init(struct clerk *clerk)
{
    static const struct ringer_orders orders = {aim, report, end};

    TAILQ_INIT(&clerk->due);
    clerk->job = (struct clerk_job){.job = {.orders = &orders}, .clerk = clerk};
    clerk->retry = evtimer_new(clerk->setup.base, on_retry, clerk);
    return clerk->retry ? ringer_new(clerk->setup.base, &clerk->ringer) : -ENOMEM;
}

void clerk_rings_deinit(struct clerk *clerk)
{
    TAILQ_INIT(&clerk->due); /* nobody is rung any more */
    ringer_free(clerk->ringer);
    if (clerk->retry)
        event_free(clerk->retry);
}
