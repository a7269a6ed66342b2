/* SPDX-License-Identifier: MIT
 *
 * See wait.h. Theory of operation: a step polls the vectors that are waited for, together with the
 * server's socket and the timers, which are served meanwhile. All other vectors are left out, and
 * so keep their events and do not wake us. The one exception is the layer's vector: the layer gets
 * to know, and the event is kept for the program in layer_keep().
 */
#include "client/lib/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "client/lib/handle.h"
#include "common/cleanup.h"
#include "common/wire.h"

enum { NS_PER_S = 1000000000, NS_PER_MS = 1000000, FEW = 16 };

/* What is polled before the vectors that are listed. */
enum { OTHERS, SET, LISTED };

/*
 * What a call waits for. any: every vector that we have, else those that are listed. Vectors that
 * we do not have are an error when the table of peers is complete, and may come before.
 */
struct wish {
    const unsigned *vectors;
    size_t count;
    bool any;
    bool of_layer;
};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t wait_deadline(int timeout)
{
    if (timeout < 0)
        return EVENTS_NEVER;
    return timeout ? now_ns() + (int64_t)timeout * NS_PER_MS : 0;
}

static const struct timespec *time_left(int64_t deadline, struct timespec *room)
{
    int64_t left;

    if (deadline == EVENTS_NEVER)
        return NULL;
    left = deadline ? deadline - now_ns() : 0;
    if (left < 0)
        left = 0;
    *room = (struct timespec){.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
    return room;
}

static int no_vector(struct ivshmem *iv, unsigned vector)
{
    return failure_set(&iv->failure, EINVAL, "we have no vector %u, but %u vectors", vector,
                       roster_own(iv->roster)->count);
}

static int layer_fd(const struct ivshmem *iv, const struct roster_peer *own)
{
    return iv->layer && own && iv->layer->vector < own->count ? own->vectors[iv->layer->vector]
                                                              : -1;
}

static int list_fds(struct ivshmem *iv, const struct wish *wish, struct pollfd *fds)
{
    const struct roster_peer *own = handle_own(iv);

    for (size_t i = 0; i < LISTED + wish->count; i++)
        fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    if (!iv->calling)
        fds[OTHERS].fd = iv->events.others;
    if (wish->any)
        fds[SET].fd = iv->events.vectors;
    else if (!wish->of_layer)
        fds[SET].fd = layer_fd(iv, own);
    for (size_t i = 0; i < wish->count; i++) {
        if (own && wish->vectors[i] < own->count)
            fds[LISTED + i].fd = own->vectors[wish->vectors[i]];
        else if (iv->ready)
            return no_vector(iv, wish->vectors[i]);
    }
    return 0;
}

static bool wants_layer(const struct ivshmem *iv, const struct wish *wish)
{
    for (size_t i = 0; i < wish->count; i++)
        if (wish->vectors[i] == iv->layer->vector)
            return true;
    return wish->any;
}

/* The first one that was rung, in the order of the list. */
static int take_listed(struct ivshmem *iv, const struct wish *wish, const struct pollfd *fds)
{
    for (size_t i = 0; i < wish->count; i++) {
        int r = fds[LISTED + i].revents ? events_take_vector(iv, wish->vectors[i]) : 0;

        if (r > 0 && !wish->of_layer)
            layer_rung(iv, wish->vectors[i]);
        if (r != 0)
            return r < 0 ? r : (int)wish->vectors[i];
    }
    return -EAGAIN;
}

/* One that was rung; the set goes round them all. */
static int take_any(struct ivshmem *iv)
{
    struct epoll_event event;
    int r = 0;

    if (epoll_wait(iv->events.vectors, &event, 1, 0) > 0)
        r = events_take_vector(iv, event.data.u32);
    if (r <= 0)
        return r < 0 ? r : -EAGAIN;
    layer_rung(iv, event.data.u32);
    return (int)event.data.u32;
}

static int take_for_layer(struct ivshmem *iv)
{
    int r = events_take_vector(iv, iv->layer->vector);

    if (r > 0) {
        layer_keep(iv);
        layer_rung(iv, iv->layer->vector);
    }
    return r < 0 ? r : -EAGAIN;
}

static int take(struct ivshmem *iv, const struct wish *wish, const struct pollfd *fds)
{
    int r = take_listed(iv, wish, fds);

    if (r == -EAGAIN && fds[SET].revents)
        r = wish->any ? take_any(iv) : take_for_layer(iv);
    return r;
}

/* Return: the vector, -EAGAIN when something else was done, -ETIMEDOUT, or another errno. */
static int step_with(struct ivshmem *iv, const struct wish *wish, int64_t deadline,
                     struct pollfd *fds)
{
    struct timespec room;
    const struct timespec *left = time_left(deadline, &room);
    int ready, r = list_fds(iv, wish, fds);

    if (r < 0)
        return r;
    ready = ppoll(fds, LISTED + wish->count, left, NULL);
    if (ready < 0)
        return failure_set(&iv->failure, errno, "cannot wait: %s", strerror(errno));
    r = take(iv, wish, fds);
    if (r == -EAGAIN && fds[OTHERS].revents) {
        r = events_serve_others(iv);
        r = r == 0 ? -EAGAIN : r;
    }
    if (r == -EAGAIN && left && left->tv_sec == 0 && left->tv_nsec == 0)
        r = -ETIMEDOUT;
    return r;
}

static int step(struct ivshmem *iv, const struct wish *wish, int64_t deadline)
{
    struct pollfd few[FEW];
    _cleanup_free_ struct pollfd *many = NULL;

    if (!iv->transport && !iv->retrying)
        return failure_set(&iv->failure, ENOTCONN, "not connected");
    if (!wish->of_layer && iv->layer && iv->layer->unseen && wants_layer(iv, wish)) {
        layer_take(iv);
        return (int)iv->layer->vector;
    }
    if (LISTED + wish->count <= FEW)
        return step_with(iv, wish, deadline, few);
    many = calloc(LISTED + wish->count, sizeof(*many));
    if (!many)
        return failure_set(&iv->failure, ENOMEM, "no memory for a list of vectors");
    return step_with(iv, wish, deadline, many);
}

static int wait_for(struct ivshmem *iv, const struct wish *wish, int64_t deadline)
{
    int r;

    if (iv->calling && deadline != 0)
        return failure_set(&iv->failure, EBUSY, "a callback cannot wait");
    do {
        r = step(iv, wish, deadline);
    } while (r == -EAGAIN);
    return r;
}

int ivshmem_wait(struct ivshmem *iv, const unsigned *vectors, size_t count, int timeout)
{
    const struct wish wish = {.vectors = vectors, .count = vectors ? count : 0, .any = !vectors};
    int r;

    if (vectors && (count == 0 || count > WIRE_VECTORS_MAX))
        return failure_set(&iv->failure, EINVAL, "%zu vectors are not 1 to %d", count,
                           WIRE_VECTORS_MAX);
    if (!iv->calling)
        layer_look(iv);
    r = wait_for(iv, &wish, wait_deadline(timeout));
    return r == -ETIMEDOUT ? failure_set(&iv->failure, ETIMEDOUT, "no vector was rung in time") : r;
}

int ivshmem_wait_ready(struct ivshmem *iv, int timeout)
{
    const struct wish nothing = {.count = 0};
    int64_t deadline = wait_deadline(timeout);
    int r = -EAGAIN;

    if (iv->ready)
        return 0;
    if (iv->calling && deadline != 0)
        return failure_set(&iv->failure, EBUSY, "a callback cannot wait");
    while (!iv->ready && r == -EAGAIN)
        r = step(iv, &nothing, deadline);
    if (iv->ready)
        return 0;
    return r == -ETIMEDOUT ? failure_set(&iv->failure, ETIMEDOUT,
                                         "the server has not sent the whole table of peers in time")
                           : r;
}

int layer_wait(struct ivshmem *iv, int64_t deadline)
{
    const struct wish wish = {.vectors = &iv->layer->vector, .count = 1, .of_layer = true};
    int r = wait_for(iv, &wish, deadline);

    if (r < 0)
        return r;
    layer_keep(iv);
    return 0;
}
