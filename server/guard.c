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

struct guard {
    struct region *region;
    int fd;
    struct event *changed;
    struct log_limit repairs;
};

static void check_size(struct guard *guard)
{
    struct region *region = guard->region;
    const struct stat *status = &region->status;
    uint64_t found = 0;
    int r = region_restore(region, &found);

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

static void on_changed(evutil_socket_t fd, short what, void *argument)
{
    char events[4096];

    (void)what;
    while (read(fd, events, sizeof(events)) > 0) /* what they say does not matter: look */
        continue;
    check_size(argument);
}

int guard_new(struct event_base *base, struct region *region, struct guard **out,
              struct failure *failure)
{
    struct guard *guard = calloc(1, sizeof(*guard));
    char path[64];
    int r = 0;

    if (!guard)
        return failure_set(failure, ENOMEM, "out of memory");
    guard->region = region;
    fstat(region->fd, &region->status);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", region->fd); /* the file, whatever its name */
    guard->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (guard->fd < 0 || inotify_add_watch(guard->fd, path, IN_MODIFY) < 0)
        r = failure_set(failure, errno,
                        "cannot watch the memory: %s (fs.inotify.max_user_instances "
                        "and max_user_watches limit this)",
                        strerror(errno));
    if (r == 0) {
        guard->changed = event_new(base, guard->fd, EV_READ | EV_PERSIST, on_changed, guard);
        if (!guard->changed || event_add(guard->changed, NULL) < 0)
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

struct guard *guard_free(struct guard *guard)
{
    if (!guard)
        return NULL;
    if (guard->changed)
        event_free(guard->changed);
    close_fd(guard->fd);
    free(guard);
    return NULL;
}
