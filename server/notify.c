/* SPDX-License-Identifier: MIT
 *
 * See notify.h.
 *
 * What is said, and in which words; outbox.c sends it.
 *
 * A barrier is a message with the write end of a pipe: the manager closes it when it gets there in
 * its queue, and we see the end of the file. We see the same when the manager dies, so its address
 * is connected to once more, to tell which.
 */
#include "server/notify.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"
#include "server/outbox.h"

enum {
    NAME_LIMIT = 255,             /* the manager's */
    STORE_SIZE = NAME_LIMIT + 64, /* room for the text of a store */
};

#define STATUS  "STATUS="
#define PING    "WATCHDOG=1"
#define BARRIER "BARRIER=1"

/* A barrier that was not reached yet; its message is queued or was sent. */
struct barrier {
    TAILQ_ENTRY(barrier) link;
    struct notify *notify;
    int fd; /* read end of the pipe; -1 where there is no manager */
    struct event *reached;
    notify_done_fn *done;
    void *argument;
    bool failed;
};

TAILQ_HEAD(barriers, barrier);

/*
 * @active:   there is a manager
 * @outbox:   to the manager, if there is one
 * @barriers: that were not reached yet
 * @ping:     event: time for a sign of life, NULL if none is wanted
 */
struct notify {
    struct event_base *base;
    bool active;
    struct outbox outbox;
    struct barriers barriers;
    struct event *ping;
};

bool notify_active(const struct notify *notify)
{
    return notify->active;
}

bool notify_writable(const struct notify *notify)
{
    return !notify->active || notify->outbox.gone || outbox_writable(&notify->outbox);
}

bool notify_idle(const struct notify *notify)
{
    return !notify->active || TAILQ_EMPTY(&notify->outbox.queue);
}

static int post(struct notify *notify, const char *text, int fd)
{
    struct message *message = message_new(text, fd, false);

    if (!message)
        return -ENOMEM;
    outbox_post(&notify->outbox, message);
    return 0;
}

/* ---- text ---- */

static bool is_status(const char *text)
{
    return strncmp(text, STATUS, strlen(STATUS)) == 0 && !strchr(text, '\n');
}

static struct message *find_status(struct notify *notify)
{
    struct message *message;

    TAILQ_FOREACH (message, &notify->outbox.queue, link) {
        if (is_status(message->text))
            return message;
    }
    return NULL;
}

int notify_text(struct notify *notify, const char *format, ...)
{
    _cleanup_free_ char *text = NULL;
    struct message *older;
    va_list arguments;
    int length;

    if (!notify->active)
        return 0;
    va_start(arguments, format);
    length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        text = NULL; /* undefined after an error */
        return -ENOMEM;
    }
    older = is_status(text) ? find_status(notify) : NULL;
    if (!older)
        return post(notify, text, -1);
    free(older->text);
    older->text = steal_ptr(text);
    return 0;
}

/* ---- the store ---- */

static void store_text(char text[STORE_SIZE], const char *name)
{
    assert(*name && strlen(name) <= NAME_LIMIT);
    snprintf(text, STORE_SIZE, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
}

int notify_store(struct notify *notify, const char *name, int fd)
{
    char text[STORE_SIZE];

    if (!notify->active)
        return 0;
    store_text(text, name);
    return post(notify, text, fd);
}

int notify_remove(struct notify *notify, const char *name)
{
    struct message *message;
    char text[STORE_SIZE];

    if (!notify->active)
        return 0;
    store_text(text, name);
    if (notify->outbox.n_fds > 0) /* else there may be thousands of removals to look through */
        TAILQ_FOREACH (message, &notify->outbox.queue, link) {
            if (message->fd >= 0 && strcmp(message->text, text) == 0) {
                outbox_drop(&notify->outbox, message);
                return 0;
            }
        }
    return notify_text(notify, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* ---- barriers ---- */

static void barrier_free(struct barrier *barrier)
{
    if (barrier->reached)
        event_free(barrier->reached);
    close_fd(barrier->fd);
    free(barrier);
}

static void on_reached(evutil_socket_t fd, short what, void *argument)
{
    struct barrier *barrier = argument;
    struct notify *notify = barrier->notify;
    notify_done_fn *done = barrier->done;
    bool failed = barrier->failed;
    char ignored[64];

    (void)what;
    if (fd >= 0 && !failed) {
        ssize_t n = read(fd, ignored, sizeof(ignored));

        if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
            return;
        if (!outbox_reach(&notify->outbox))
            return; /* called again, as one that failed */
    }
    argument = barrier->argument;
    TAILQ_REMOVE(&notify->barriers, barrier, link);
    barrier_free(barrier);
    done(argument, failed ? -ECONNREFUSED : 0);
}

/* Nobody is to wait for a manager that is not there: every barrier is called off. */
static void on_gone(void *argument)
{
    struct notify *notify = argument;
    struct message *message, *next;
    struct barrier *barrier;

    for (message = TAILQ_FIRST(&notify->outbox.queue); message; message = next) {
        next = TAILQ_NEXT(message, link);
        if (strcmp(message->text, BARRIER) == 0)
            outbox_drop(&notify->outbox, message);
    }
    TAILQ_FOREACH (barrier, &notify->barriers, link) {
        barrier->failed = true;
        event_active(barrier->reached, EV_READ, 0);
    }
}

/* Gives a barrier its pipe, and the manager's end of it a message. */
static int open_pipe(struct barrier *barrier, struct message **out)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    barrier->fd = ends[0];
    *out = message_new(BARRIER, ends[1], true);
    if (*out)
        return 0;
    close_fd(ends[1]);
    return -ENOMEM;
}

int notify_barrier(struct notify *notify, notify_done_fn *done, void *argument)
{
    const bool at_once = !notify->active || notify->outbox.gone;
    struct barrier *barrier = calloc(1, sizeof(*barrier));
    struct message *message = NULL;
    int r = 0;

    if (!barrier)
        return -ENOMEM;
    *barrier = (struct barrier){.notify = notify,
                                .fd = -1,
                                .done = done,
                                .argument = argument,
                                .failed = notify->outbox.gone};
    if (!at_once)
        r = open_pipe(barrier, &message);
    if (r == 0)
        barrier->reached = event_new(notify->base, barrier->fd, at_once ? 0 : EV_READ | EV_PERSIST,
                                     on_reached, barrier);
    if (r == 0 && (!barrier->reached || (!at_once && event_add(barrier->reached, NULL) < 0)))
        r = -ENOMEM;
    if (r < 0) {
        message_free(message);
        barrier_free(barrier);
        return r;
    }
    TAILQ_INSERT_TAIL(&notify->barriers, barrier, link);
    if (at_once)
        event_active(barrier->reached, EV_READ, 0);
    else
        outbox_post(&notify->outbox, message);
    return 0;
}

/* ---- set-up and end ---- */

/* Reads $NOTIFY_SOCKET. Return: the length of the address, 0 if there is none that we can use. */
static socklen_t manager_address(struct sockaddr_un *address)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;

    if (length == 0)
        return 0;
    if ((*path != '/' && *path != '@') || length < 2 || length >= sizeof(address->sun_path)) {
        log_warning("NOTIFY_SOCKET=%s is no address of a UNIX socket: the service manager is not "
                    "told anything",
                    path);
        return 0;
    }
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, length + 1);
    if (*path == '@')
        address->sun_path[0] = '\0'; /* an abstract one: the length is part of the name */
    else
        length++;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* A ping must not wait behind thousands of descriptors to be stored, nor may pings pile up. */
static void on_ping(evutil_socket_t fd, short what, void *argument)
{
    struct notify *notify = argument;
    struct message *message = TAILQ_FIRST(&notify->outbox.queue);

    (void)fd;
    (void)what;
    if (message && strcmp(message->text, PING) == 0)
        return;
    message = message_new(PING, -1, false);
    if (message)
        outbox_hurry(&notify->outbox, message);
}

/* Starts the pings that the manager wants to see, two in the time that it allows for one. */
static int start_pings(struct notify *notify)
{
    const char *period = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    struct timeval half;
    uint64_t value;

    if (!period || !notify->active)
        return 0;
    if (pid && (parse_unsigned(pid, 1, INT32_MAX, &value) < 0 || (pid_t)value != getpid()))
        return 0; /* meant for somebody else */
    if (parse_unsigned(period, 2, INT64_MAX, &value) < 0) {
        log_warning("WATCHDOG_USEC=%s is no time: no watchdog", period);
        return 0;
    }
    half.tv_sec = (time_t)(value / 2 / 1000000);
    half.tv_usec = (suseconds_t)(value / 2 % 1000000);
    notify->ping = event_new(notify->base, -1, EV_PERSIST, on_ping, notify);
    return notify->ping && event_add(notify->ping, &half) == 0 ? 0 : -ENOMEM;
}

int notify_new(struct event_base *base, struct notify **out, struct failure *failure)
{
    struct notify *notify = calloc(1, sizeof(*notify));
    struct sockaddr_un address;
    socklen_t length;
    int r = 0;

    if (!notify)
        return failure_set(failure, ENOMEM, "out of memory");
    notify->base = base;
    TAILQ_INIT(&notify->barriers);
    length = manager_address(&address);
    notify->active = length > 0;
    if (notify->active)
        r = outbox_init(&notify->outbox, base, &address, length, on_gone, notify);
    if (r == 0)
        r = start_pings(notify);
    if (r < 0) {
        notify_free(notify);
        return failure_set(failure, -r, "cannot talk to the service manager: %s", strerror(-r));
    }
    *out = notify;
    return 0;
}

struct notify *notify_free(struct notify *notify)
{
    struct barrier *barrier;

    if (!notify)
        return NULL;
    if (notify->ping)
        event_free(notify->ping);
    outbox_deinit(&notify->outbox);
    while ((barrier = TAILQ_FIRST(&notify->barriers))) {
        TAILQ_REMOVE(&notify->barriers, barrier, link);
        barrier_free(barrier);
    }
    free(notify);
    return NULL;
}
