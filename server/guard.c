/* SPDX-License-Identifier: MIT
 *
 * See guard.h.
 */
#include "server/guard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

enum { REFILL_PAUSE_US = 2000 };

struct guard {
    struct region *region;
    int fd;
    struct event *changed, *refill;
    uint64_t refilled; /* pages up to here are reserved again */
    struct log_limit repairs;
    struct witness *witness;
};

/* A slice now and then, so that peers are served meanwhile, also when this never ends. */
static void on_refill(evutil_socket_t fd, short what, void *argument)
{
    const struct timeval soon = {.tv_usec = REFILL_PAUSE_US};
    struct guard *guard = argument;
    int r = region_refill(guard->region, &guard->refilled);

    (void)fd;
    (void)what;
    if (r > 0)
        event_add(guard->refill, &soon);
    else if (r < 0)
        log_limited(&guard->repairs, LOG_ERR,
                    "the memory has its size again, but only %llu bytes of it could be reserved: "
                    "%s. Whoever touches the rest may die",
                    (unsigned long long)guard->refilled, strerror(-r));
}

static void check_size(struct guard *guard)
{
    struct region *region = guard->region;
    const struct stat *status = &region->status;
    uint64_t found = 0;
    int r = region_restore(region, &found);
    const struct incident incident = {.kind = INCIDENT_REPAIRED, .size = found};

    if (r > 0) {
        guard->refilled = 0;
        event_active(guard->refill, EV_TIMEOUT, 0);
    }
    if (r > 0 && guard->witness)
        witness_tell(guard->witness, &incident);
    if (r > 0)
        log_limited(&guard->repairs, LOG_WARNING,
                    "somebody changed the size of the memory from %llu to %llu bytes; restored. It "
                    "could be any peer (each holds its descriptor) or whoever may write the object "
                    "(uid %u, gid %u, mode %04o); --sealed makes it impossible",
                    (unsigned long long)region->size, (unsigned long long)found,
                    (unsigned)status->st_uid, (unsigned)status->st_gid,
                    (unsigned)status->st_mode & 07777);
    else if (r < 0)
        log_limited(&guard->repairs, LOG_ERR,
                    "somebody changed the size of the memory from %llu to %llu bytes, and it "
                    "cannot be restored: %s",
                    (unsigned long long)region->size, (unsigned long long)found, strerror(-r));
}

/* The kernel forgets the watch when the object loses its name, though peers still have it. */
static int watch(const struct guard *guard)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", guard->region->fd); /* whatever its name */
    return inotify_add_watch(guard->fd, path, IN_MODIFY) < 0 ? -errno : 0;
}

static void on_changed(evutil_socket_t fd, short what, void *argument)
{
    struct guard *guard = argument;
    char events[4096];
    int r;

    (void)what;
    if (read(fd, events, sizeof(events)) < 0 && errno != EAGAIN) /* what they say does not matter */
        log_limited(&guard->repairs, LOG_ERR, "cannot read what changed: %s", strerror(errno));
    r = watch(guard);
    if (r < 0)
        log_limited(&guard->repairs, LOG_ERR, "cannot watch the memory any more: %s", strerror(-r));
    check_size(guard);
}

int guard_new(struct event_base *base, struct region *region, struct guard **out,
              struct failure *failure)
{
    struct guard *guard = calloc(1, sizeof(*guard));
    int r;

    if (!guard)
        return failure_set(failure, ENOMEM, "out of memory");
    guard->region = region;
    fstat(region->fd, &region->status);
    guard->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    r = guard->fd < 0 ? -errno : watch(guard);
    if (r < 0)
        failure_set(failure, -r,
                    "cannot watch the memory: %s (fs.inotify.max_user_instances and "
                    "max_user_watches limit this)",
                    strerror(-r));
    if (r == 0) {
        guard->refill = evtimer_new(base, on_refill, guard);
        guard->changed = event_new(base, guard->fd, EV_READ | EV_PERSIST, on_changed, guard);
        if (!guard->changed || !guard->refill || event_add(guard->changed, NULL) < 0)
            r = failure_set(failure, ENOMEM, "out of memory");
    }
    if (r < 0) {
        guard_free(guard);
        return r;
    }
    check_size(guard); /* between the making and the watching, too */
    *out = guard;
    return 0;
}

void guard_report(struct guard *guard, struct witness *witness)
{
    if (guard)
        guard->witness = witness;
}

struct guard *guard_free(struct guard *guard)
{
    if (!guard)
        return NULL;
    if (guard->changed)
        event_free(guard->changed);
    if (guard->refill)
        event_free(guard->refill);
    close_fd(guard->fd);
    free(guard);
    return NULL;
}
