/* SPDX-License-Identifier: MIT
 *
 * See connection.h. The one timer of the connection has two uses that exclude each other: from our
 * first vector until the table counts as complete, if the roster cannot tell (see ivshmem_ready());
 * and while there is no connection, until the next try.
 */
#include "client/lib/connection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/handle.h"
#include "common/layout.h"
#include "common/wire.h"

enum {
    MESSAGES_AT_ONCE = 256, /* of a dispatch */
    QUIET_MS = 250,         /* see ivshmem_ready() */
};

/* A target that cannot be right is none to be tried again. */
static bool can_be_right(int error)
{
    return error != -EINVAL && error != -ENAMETOOLONG;
}

static bool try_again(struct ivshmem *iv, int error)
{
    iv->retrying = iv->interval > 0 && can_be_right(error);
    if (iv->retrying)
        events_set_timer(&iv->events, iv->interval);
    return iv->retrying;
}

static int open_now(struct ivshmem *iv)
{
    int r = transport_open(iv->target, &iv->transport, &iv->failure);

    if (r < 0)
        return r;
    iv->roster = roster_new();
    r = iv->roster ? events_add_socket(&iv->events, iv->transport->fd) : -ENOMEM;
    if (r < 0) {
        connection_close(iv);
        return failure_set(&iv->failure, -r, "cannot watch the connection: %s", strerror(-r));
    }
    return 0;
}

int connection_open(struct ivshmem *iv)
{
    int r = open_now(iv);

    return r < 0 && try_again(iv, r) ? 0 : r;
}

void connection_close(struct ivshmem *iv)
{
    const struct roster_peer *own = handle_own(iv);

    if (iv->layer && own)
        iv->layer->ops->down(iv->layer);
    for (unsigned i = 0; own && i < own->count; i++)
        events_remove_vector(&iv->events, own->vectors[i]);
    iv->roster = roster_free(iv->roster);
    memory_unmap(&iv->memory);
    iv->transport = transport_close(iv->transport);
    iv->ready = false;
    iv->retrying = false;
    events_set_timer(&iv->events, 0);
}

/* Whether there is a next try is seen after the callback, which may have decided that. */
int connection_lost(struct ivshmem *iv, int error)
{
    connection_close(iv);
    CALL(iv, disconnected, error);
    return try_again(iv, error) ? 0 : error;
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
    int r = events_add_vector(&iv->events, vector, fd);

    if (r < 0)
        return failure_set(&iv->failure, -r, "cannot listen on our vector %u: %s", vector,
                           strerror(-r));
    if (!iv->ready)
        events_set_timer(&iv->events, QUIET_MS);
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

/*
 * The memory can have a control section. If the server that looks after it is there, its doorbell
 * comes next, and the section says how many vectors we have: then we need not wait for quiet to
 * know that the greeting has ended. Nothing but that depends on what is read here.
 */
static void expect_daemon(struct ivshmem *iv)
{
    unsigned own = roster_own(iv->roster)->id;
    struct layout_header header;
    struct layout_peer peer;
    uint64_t offset;

    if (iv->memory.size < sizeof(header) || ivshmem_read(iv, 0, &header, sizeof(header)) < 0)
        return;
    if (header.magic != LAYOUT_MAGIC || header.version != LAYOUT_VERSION ||
        own >= header.n_mailboxes || header.mailbox_size != sizeof(struct layout_mailbox))
        return;
    if (__builtin_add_overflow(header.mailbox_offset, own * sizeof(struct layout_mailbox),
                               &offset) ||
        __builtin_add_overflow(offset, offsetof(struct layout_mailbox, peer), &offset) ||
        offset > iv->memory.size - sizeof(peer) ||
        ivshmem_read(iv, offset, &peer, sizeof(peer)) < 0)
        return;
    roster_expect_daemon(iv->roster, header.n_mailboxes,
                         peer.n_vectors <= WIRE_VECTORS_MAX ? peer.n_vectors : 0);
}

static int apply(struct ivshmem *iv, const struct roster_event *event)
{
    int r = 0;

    switch (event->change) {
    case ROSTER_NOTHING:
        break;
    case ROSTER_CONNECTED:
        r = memory_map(&iv->memory, event->fd, &iv->failure);
        if (r == 0) {
            expect_daemon(iv);
            CALL(iv, connected);
        }
        break;
    case ROSTER_DAEMON:
        r = check_eventfd(iv, event);
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

static void set_ready(struct ivshmem *iv)
{
    iv->ready = true;
    events_set_timer(&iv->events, 0);
    if (iv->layer)
        iv->layer->ops->up(iv->layer);
    CALL(iv, ready);
}

static int read_some(struct ivshmem *iv)
{
    for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
        struct roster_event event;
        int64_t value;
        int fd, r = iv->transport->ops->read(iv->transport, &value, &fd);

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

static bool complete(const struct ivshmem *iv)
{
    return iv->transport->alone ? roster_connected(iv->roster) : roster_complete(iv->roster);
}

int connection_read(struct ivshmem *iv)
{
    int r = read_some(iv);

    if (r == 0 && !iv->ready && complete(iv))
        set_ready(iv);
    return r;
}

void connection_timer(struct ivshmem *iv)
{
    if (iv->transport && !iv->ready)
        set_ready(iv);
    else if (!iv->transport && iv->retrying)
        connection_open(iv);
}
