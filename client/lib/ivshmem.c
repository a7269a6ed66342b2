/* SPDX-License-Identifier: MIT
 *
 * The handle of ivshmem.h: a connection, its roster, and what wakes a program up.
 *
 * Theory of operation: one epoll set holds the server's socket, our own vectors' eventfds, and a
 * timer; its descriptor is what the program polls. The set outlives connections, so that the
 * descriptor can stay in the program's event loop. An eventfd must be taken out of the set before
 * it is closed: the server holds a copy, which would keep it in the set as a wake-up without an
 * owner.
 *
 * The timer runs only from our first vector until the table counts as complete, if the roster
 * cannot tell (see ivshmem_ready()).
 */

#include "ivshmem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include "client/lib/roster.h"
#include "client/lib/unix.h"
#include "common/cleanup.h"
#include "common/doorbell.h"
#include "common/fdpass.h"
#include "common/wire.h"

enum {
    EVENTS_AT_ONCE = 64,    /* of a dispatch */
    MESSAGES_AT_ONCE = 256, /* of a dispatch */
    QUIET_MS = 250,         /* see ivshmem_ready() */
};

/* What an entry of the epoll set is; smaller values are numbers of vectors. */
enum { TAG_SOCKET = WIRE_VECTORS_MAX, TAG_TIMER };

struct ivshmem {
    struct ivshmem_callbacks callbacks;
    void *context;
    int epoll;
    int timer;
    int socket;
    struct fdpass_reader reader;
    struct roster *roster;
    uint64_t memory_size;
    int ready;
    struct failure failure;
};

#define CALL(iv, member, ...)                                                                      \
    do {                                                                                           \
        if ((iv)->callbacks.member)                                                                \
            (iv)->callbacks.member(iv, (iv)->context, ##__VA_ARGS__);                              \
    } while (0)

static int watch(const struct ivshmem *iv, int fd, uint32_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};

    return epoll_ctl(iv->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void set_timer(const struct ivshmem *iv, long milliseconds)
{
    struct itimerspec when = {.it_value.tv_nsec = milliseconds * 1000000};

    timerfd_settime(iv->timer, 0, &when, NULL);
}

int ivshmem_new(struct ivshmem **out, const struct ivshmem_callbacks *callbacks, void *context)
{
    struct ivshmem *iv;
    int r = -ENOMEM;

    if (callbacks && callbacks->size != sizeof(*callbacks))
        return -EINVAL;
    iv = calloc(1, sizeof(*iv));
    if (!iv)
        return r;
    if (callbacks)
        iv->callbacks = *callbacks;
    iv->context = context;
    iv->socket = iv->reader.fd = -1;
    iv->epoll = epoll_create1(EPOLL_CLOEXEC);
    iv->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    r = iv->epoll < 0 || iv->timer < 0 ? -errno : watch(iv, iv->timer, TAG_TIMER);
    if (r < 0) {
        ivshmem_free(iv);
        return r;
    }
    *out = iv;
    return 0;
}

static void disconnect(struct ivshmem *iv)
{
    if (iv->roster) {
        const struct roster_peer *own = roster_own(iv->roster);

        for (unsigned i = 0; i < own->count; i++)
            epoll_ctl(iv->epoll, EPOLL_CTL_DEL, own->vectors[i], NULL);
    }
    iv->roster = roster_free(iv->roster);
    fdpass_reader_deinit(&iv->reader);
    iv->socket = close_fd(iv->socket);
    iv->memory_size = 0;
    iv->ready = 0;
    set_timer(iv, 0);
}

struct ivshmem *ivshmem_free(struct ivshmem *iv)
{
    if (!iv)
        return NULL;
    disconnect(iv);
    close_fd(iv->timer);
    close_fd(iv->epoll);
    free(iv);
    return NULL;
}

int ivshmem_open(struct ivshmem *iv, const char *target)
{
    int r;

    disconnect(iv);
    r = unix_connect(target, &iv->failure);
    if (r < 0)
        return r;
    iv->socket = r;
    iv->roster = roster_new();
    r = iv->roster ? watch(iv, iv->socket, TAG_SOCKET) : -ENOMEM;
    if (r < 0) {
        disconnect(iv);
        return failure_set(&iv->failure, -r, "cannot watch the connection: %s", strerror(-r));
    }
    return 0;
}

/* The memory is here: learns its size. */
static int take_memory(struct ivshmem *iv, int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return failure_set(&iv->failure, errno, "cannot examine the memory: %s", strerror(errno));
    if (!S_ISREG(status.st_mode))
        return failure_set(&iv->failure, EPROTO, "the memory that the server sent is no file");
    iv->memory_size = (uint64_t)status.st_size;
    return 0;
}

/* Anything else would be written to when rung, or keep us awake. Without /proc we trust. */
static int check_eventfd(struct ivshmem *iv, const struct roster_event *event)
{
    static const char name[] = "anon_inode:[eventfd]";
    char path[32], link[sizeof(name)];
    ssize_t length;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", event->fd);
    length = readlink(path, link, sizeof(link));
    if (length < 0 || (length == sizeof(name) - 1 && memcmp(link, name, sizeof(name) - 1) == 0))
        return 0;
    return failure_set(&iv->failure, EPROTO,
                       "vector %u of peer %u, as the server sent it, is no eventfd", event->vector,
                       event->peer);
}

static int listen_to(struct ivshmem *iv, unsigned vector, int fd)
{
    int r = watch(iv, fd, vector);

    if (r < 0)
        return failure_set(&iv->failure, -r, "cannot listen on our vector %u: %s", vector,
                           strerror(-r));
    if (!iv->ready)
        set_timer(iv, QUIET_MS);
    return 0;
}

static int take_vector(struct ivshmem *iv, const struct roster_event *event)
{
    int r = check_eventfd(iv, event);

    if (r == 0 && event->change == ROSTER_OWN_VECTOR)
        r = listen_to(iv, event->vector, event->fd);
    if (r < 0)
        return r;
    if (event->change == ROSTER_JOINED)
        CALL(iv, peer_joined, event->peer);
    CALL(iv, vector_added, event->peer, event->vector);
    return 0;
}

static int apply(struct ivshmem *iv, const struct roster_event *event)
{
    int r = 0;

    switch (event->change) {
    case ROSTER_NOTHING:
        break;
    case ROSTER_CONNECTED:
        r = take_memory(iv, event->fd);
        if (r == 0)
            CALL(iv, connected);
        break;
    case ROSTER_JOINED:
    case ROSTER_VECTOR:
    case ROSTER_OWN_VECTOR:
        r = take_vector(iv, event);
        break;
    case ROSTER_LEFT:
        CALL(iv, peer_left, event->peer);
        break;
    }
    return r;
}

static int read_failure(struct ivshmem *iv, int r)
{
    if (r == 0 || r == -EPIPE || r == -ECONNRESET)
        return failure_set(&iv->failure, ECONNRESET, "the server closed the connection");
    if (r == -EMFILE)
        return failure_set(&iv->failure, EMFILE,
                           "no room for a descriptor of the server: raise RLIMIT_NOFILE");
    if (r == -EPROTO)
        return failure_set(&iv->failure, EPROTO,
                           "the server sent a message with more than one descriptor");
    return failure_set(&iv->failure, -r, "cannot read from the server: %s", strerror(-r));
}

static int read_messages(struct ivshmem *iv)
{
    for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
        struct roster_event event;
        int64_t value;
        int fd, r = fdpass_read(&iv->reader, iv->socket, &value, &fd);

        if (r == -EAGAIN || r == -EINTR)
            return 0;
        if (r <= 0)
            return read_failure(iv, r);
        r = roster_feed(iv->roster, value, fd, &event, &iv->failure);
        if (r == 0)
            r = apply(iv, &event);
        if (r < 0)
            return r;
    }
    return 0;
}

static void set_ready(struct ivshmem *iv)
{
    iv->ready = 1;
    set_timer(iv, 0);
    CALL(iv, ready);
}

/* Our vectors that were rung. A stranger can have cleared an event before we come: no call then. */
static int take_notification(struct ivshmem *iv, unsigned vector)
{
    int r = doorbell_take(roster_own(iv->roster)->vectors[vector]);

    if (r > 0)
        CALL(iv, notification, vector);
    return r < 0 ? failure_set(&iv->failure, -r, "cannot read our vector %u: %s", vector,
                               strerror(-r))
                 : 0;
}

static int serve(struct ivshmem *iv)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(iv->epoll, events, EVENTS_AT_ONCE, 0), r = 0;
    bool talks = false;
    uint64_t expired = 0;

    if (count < 0)
        return errno == EINTR ? 0 : failure_set(&iv->failure, errno, "epoll: %s", strerror(errno));
    for (int i = 0; r == 0 && i < count; i++) {
        if (events[i].data.u32 == TAG_SOCKET)
            talks = true;
        else if (events[i].data.u32 < TAG_SOCKET)
            r = take_notification(iv, events[i].data.u32);
    }
    if (r == 0 && talks)
        r = read_messages(iv);
    if (r < 0 || iv->ready)
        return r;
    if (roster_complete(iv->roster) || read(iv->timer, &expired, sizeof(expired)) > 0)
        set_ready(iv); /* a message just read has set the timer anew, so it has not expired */
    return 0;
}

int ivshmem_dispatch(struct ivshmem *iv)
{
    int r;

    if (iv->socket < 0)
        return failure_set(&iv->failure, ENOTCONN, "not connected");
    r = serve(iv);
    if (r < 0) {
        disconnect(iv);
        CALL(iv, disconnected, r);
    }
    return r;
}

const char *ivshmem_error(const struct ivshmem *iv)
{
    return iv->failure.text;
}

int ivshmem_fd(const struct ivshmem *iv)
{
    return iv->epoll;
}

int ivshmem_ready(const struct ivshmem *iv)
{
    return iv->ready;
}

static bool connected(const struct ivshmem *iv)
{
    return iv->roster && roster_connected(iv->roster);
}

int ivshmem_id(const struct ivshmem *iv)
{
    return connected(iv) ? (int)roster_own(iv->roster)->id : -ENOTCONN;
}

int ivshmem_memory_fd(const struct ivshmem *iv)
{
    return connected(iv) ? roster_memory_fd(iv->roster) : -ENOTCONN;
}

uint64_t ivshmem_memory_size(const struct ivshmem *iv)
{
    return iv->memory_size;
}

int ivshmem_socket(const struct ivshmem *iv)
{
    return iv->socket < 0 ? -ENOTCONN : iv->socket;
}

static const struct roster_peer *find_peer(const struct ivshmem *iv, unsigned peer)
{
    return iv->roster ? roster_find(iv->roster, peer) : NULL;
}

int ivshmem_next_peer(const struct ivshmem *iv, int after)
{
    const struct roster_peer *peer = NULL;

    if (after >= 0) {
        peer = find_peer(iv, (unsigned)after);
        peer = peer ? peer->next : NULL;
    } else if (iv->roster) {
        peer = roster_first(iv->roster);
    }
    return peer ? (int)peer->id : -ENOENT;
}

int ivshmem_vectors(const struct ivshmem *iv, unsigned peer)
{
    const struct roster_peer *found = find_peer(iv, peer);

    return found ? (int)found->count : -ENOENT;
}

int ivshmem_vector_fd(const struct ivshmem *iv, unsigned peer, unsigned vector)
{
    const struct roster_peer *found = find_peer(iv, peer);

    return found && vector < found->count ? found->vectors[vector] : -ENOENT;
}

static int ring(struct ivshmem *iv, const struct roster_peer *peer, unsigned vector)
{
    int r = doorbell_ring(peer->vectors[vector]);

    if (r < 0)
        return failure_set(&iv->failure, -r, "cannot ring vector %u of peer %u: %s", vector,
                           peer->id, strerror(-r));
    return 0;
}

static int ring_each(struct ivshmem *iv, const struct roster_peer *peer)
{
    int result = 0;

    for (unsigned i = 0; i < peer->count; i++) {
        int r = ring(iv, peer, i);

        if (result == 0)
            result = r;
    }
    return result;
}

int ivshmem_ring(struct ivshmem *iv, unsigned peer, unsigned vector)
{
    const struct roster_peer *found = find_peer(iv, peer);

    if (!found)
        return failure_set(&iv->failure, ENOENT, "there is no peer %u", peer);
    if (vector >= found->count)
        return failure_set(&iv->failure, ENOENT, "peer %u has no vector %u, but %u vectors", peer,
                           vector, found->count);
    return ring(iv, found, vector);
}

int ivshmem_ring_peer(struct ivshmem *iv, unsigned peer)
{
    const struct roster_peer *found = find_peer(iv, peer);

    if (!found)
        return failure_set(&iv->failure, ENOENT, "there is no peer %u", peer);
    return ring_each(iv, found);
}

int ivshmem_ring_all(struct ivshmem *iv)
{
    int result = 0;

    if (!iv->roster)
        return failure_set(&iv->failure, ENOTCONN, "not connected");
    for (const struct roster_peer *peer = roster_first(iv->roster); peer; peer = peer->next) {
        int r = ring_each(iv, peer);

        if (result == 0)
            result = r;
    }
    return result;
}
