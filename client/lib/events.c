/* SPDX-License-Identifier: MIT
 *
 * See events.h. Theory of operation: the program polls one epoll set, which has two others inside:
 * one for our vectors and one for the rest. So a call that waits for certain vectors can sleep on
 * those and on the rest, and is not kept awake by events that nobody wants now. Everything is
 * level-triggered: an event stays in its eventfd until somebody takes it.
 *
 * The sets outlive connections, so that the descriptor can stay in the program's event loop. An
 * eventfd must be taken out of the set before it is closed: the server holds a copy, which would
 * keep it in the set as a wake-up without an owner.
 */
#include "client/lib/events.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/lib/connection.h"
#include "client/lib/handle.h"
#include "common/cleanup.h"
#include "common/doorbell.h"
#include "common/wire.h"

enum { VECTORS_AT_ONCE = 64 };

enum { TAG_VECTORS, TAG_OTHERS, TAG_WORK, TAG_SOCKET, TAG_TIMER, TAG_TICK, TAGS };

static int watch(int set, int fd, uint32_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};

    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int events_init(struct events *events)
{
    int r;

    events->all = epoll_create1(EPOLL_CLOEXEC);
    events->vectors = epoll_create1(EPOLL_CLOEXEC);
    events->others = epoll_create1(EPOLL_CLOEXEC);
    events->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (events->all < 0 || events->vectors < 0 || events->others < 0 || events->timer < 0)
        return -errno;
    r = watch(events->all, events->vectors, TAG_VECTORS);
    if (r == 0)
        r = watch(events->all, events->others, TAG_OTHERS);
    if (r == 0)
        r = watch(events->others, events->timer, TAG_TIMER);
    return r;
}

int events_add_layer(struct events *events)
{
    _cleanup_close_ int work = doorbell_new();
    _cleanup_close_ int tick = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int r = work < 0 || tick < 0 ? -errno : watch(events->all, work, TAG_WORK);

    if (r == 0)
        r = watch(events->others, tick, TAG_TICK);
    if (r < 0)
        return r;
    events->work = steal_fd(&work);
    events->tick = steal_fd(&tick);
    return 0;
}

void events_deinit(struct events *events)
{
    close_fd(events->all);
    close_fd(events->vectors);
    close_fd(events->others);
    close_fd(events->work);
    close_fd(events->timer);
    close_fd(events->tick);
    *events = (struct events)EVENTS_INIT;
}

int events_add_socket(const struct events *events, int fd)
{
    return watch(events->others, fd, TAG_SOCKET);
}

int events_add_vector(const struct events *events, unsigned vector, int fd)
{
    return watch(events->vectors, fd, vector);
}

void events_remove_vector(const struct events *events, int fd)
{
    epoll_ctl(events->vectors, EPOLL_CTL_DEL, fd, NULL);
}

static void set_timer(int timer, int milliseconds)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L}};

    timerfd_settime(timer, 0, &when, NULL);
}

void events_set_timer(const struct events *events, int milliseconds)
{
    set_timer(events->timer, milliseconds);
}

void events_set_tick(const struct events *events, int milliseconds)
{
    set_timer(events->tick, milliseconds);
}

static bool expired(int timer)
{
    uint64_t times;

    return read(timer, &times, sizeof(times)) > 0;
}

/* Which of the sources with these tags have something, as bits. */
static int look_at(struct ivshmem *iv, int set, unsigned *tags)
{
    struct epoll_event events[TAGS];
    int count = epoll_wait(set, events, TAGS, 0);

    *tags = 0;
    if (count < 0 && errno != EINTR)
        return failure_set(&iv->failure, errno, "epoll: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        *tags |= 1U << events[i].data.u32;
    return 0;
}

int events_take_vector(struct ivshmem *iv, unsigned vector)
{
    int r = doorbell_take(roster_own(iv->roster)->vectors[vector]);

    return r < 0 ? failure_set(&iv->failure, -r, "cannot read our vector %u: %s", vector,
                               strerror(-r))
                 : r;
}

/* Our vectors that were rung, each once. Somebody else can have taken an event: no call then. */
static int take_notifications(struct ivshmem *iv)
{
    int count = VECTORS_AT_ONCE, r = 0;

    for (int seen = 0; count == VECTORS_AT_ONCE && seen < WIRE_VECTORS_MAX; seen += count) {
        struct epoll_event events[VECTORS_AT_ONCE];

        count = epoll_wait(iv->events.vectors, events, VECTORS_AT_ONCE, 0);
        for (int i = 0; i < count; i++) {
            unsigned vector = events[i].data.u32;

            r = events_take_vector(iv, vector);
            if (r < 0)
                return r;
            if (r > 0) {
                layer_rung(iv, vector);
                CALL(iv, notification, vector);
            }
        }
    }
    return 0;
}

int events_serve_others(struct ivshmem *iv)
{
    unsigned tags;
    int r = look_at(iv, iv->events.others, &tags);

    if (r < 0)
        return connection_lost(iv, r);
    if (tags & 1U << TAG_SOCKET)
        r = connection_read(iv);
    if (r < 0)
        return connection_lost(iv, r);
    if (tags & 1U << TAG_TIMER && expired(iv->events.timer)) /* a message may have set it anew */
        connection_timer(iv);
    if (tags & 1U << TAG_TICK && expired(iv->events.tick) && iv->layer)
        iv->layer->ops->tick(iv->layer);
    return 0;
}

int ivshmem_dispatch(struct ivshmem *iv)
{
    unsigned tags;
    int r;

    if (iv->calling)
        return failure_set(&iv->failure, EBUSY, "a callback cannot dispatch");
    if (!iv->transport && !iv->retrying)
        return failure_set(&iv->failure, ENOTCONN, "not connected");
    r = look_at(iv, iv->events.all, &tags);
    if (r == 0 && tags & 1U << TAG_VECTORS)
        r = take_notifications(iv);
    if (r < 0)
        return connection_lost(iv, r);
    if (tags & 1U << TAG_WORK) {
        layer_show(iv);
        layer_look(iv);
    }
    return tags & 1U << TAG_OTHERS ? events_serve_others(iv) : 0;
}
