/* SPDX-License-Identifier: MIT
 *
 * See hub.h. Admission is in admission.c.
 */
#include "server/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "server/admission.h"

enum {
    RETRY_US = 10000,    /* until descriptors in flight may have landed */
    FREE_IDS_LOW = 1024, /* with fewer free IDs, leaves are withheld and seats used again */
};

static const struct timeval at_once = {.tv_sec = 0};

/* Puts a peer where its state says it belongs. It is in no list, and no event of it is pending. */
static void settle(struct hub *hub, struct peer *peer, enum peer_state state)
{
    const struct timeval retry = {.tv_usec = RETRY_US};
    const struct timeval patience = {.tv_sec = hub->access->peer_timeout};

    peer->state = state;
    switch (state) {
    case PEER_IDLE:
        break;
    case PEER_READY:
        TAILQ_INSERT_TAIL(&hub->ready, peer, turn);
        if (!event_pending(hub->turn, EV_TIMEOUT, NULL))
            event_add(hub->turn, &at_once);
        break;
    case PEER_FULL:
        event_add(peer->writable, patience.tv_sec ? &patience : NULL);
        break;
    case PEER_LATER:
        log_limited(&hub->stalled, LOG_WARNING,
                    "peer %u (%s) has to wait: too many descriptors of this user in flight",
                    peer->seat->id, peer->who.command);
        TAILQ_INSERT_TAIL(&hub->later, peer, turn);
        if (!event_pending(hub->retry, EV_TIMEOUT, NULL))
            event_add(hub->retry, &retry);
        break;
    }
}

/* The opposite of settle(): takes a peer out of where it waits. */
static void unsettle(struct hub *hub, struct peer *peer)
{
    if (peer->state == PEER_READY)
        TAILQ_REMOVE(&hub->ready, peer, turn);
    else if (peer->state == PEER_LATER)
        TAILQ_REMOVE(&hub->later, peer, turn);
    else if (peer->state == PEER_FULL)
        event_del(peer->writable);
    peer->state = PEER_IDLE;
}

void hub_wake(struct hub *hub, struct peer *peer)
{
    if (peer->state == PEER_READY)
        return;
    unsettle(hub, peer);
    settle(hub, peer, PEER_READY);
}

/* Those that are full or wait for room are not disturbed: news reaches them when they go on. */
static void wake_idle(struct hub *hub)
{
    struct peer *peer;

    TAILQ_FOREACH (peer, &hub->peers, all)
        if (peer->state == PEER_IDLE && announce_pending(&peer->announce))
            settle(hub, peer, PEER_READY);
}

static void on_turn(evutil_socket_t fd, short what, void *argument)
{
    struct hub *hub = argument;
    struct peer *last = TAILQ_LAST(&hub->ready, peer_list), *peer;
    bool done = !last;

    (void)fd;
    (void)what;
    while (!done && (peer = TAILQ_FIRST(&hub->ready))) {
        int state;

        done = peer == last; /* who is added during this round waits for the next */
        unsettle(hub, peer);
        state = peer_send(peer, &hub->batch);
        if (state >= 0)
            settle(hub, peer, (enum peer_state)state);
        else
            hub_drop(hub, peer, state == -EPIPE || state == -ECONNRESET ? NULL : strerror(-state));
    }
}

static void on_retry(evutil_socket_t fd, short what, void *argument)
{
    struct hub *hub = argument;
    struct peer *peer;

    (void)fd;
    (void)what;
    while ((peer = TAILQ_FIRST(&hub->later)))
        hub_wake(hub, peer);
}

/* The soft limit is raised to the hard one: every doorbell is a descriptor. */
static uint64_t raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

static int seat_slots(struct hub *hub, struct failure *failure)
{
    for (size_t i = 0; i < hub->n_slots; i++) {
        struct slot *slot = &hub->slots[i];
        int r = seats_add(&hub->seats, (int)slot->id, hub->n_vectors, &slot->seat);

        if (r < 0)
            return failure_set(failure, -r, "cannot make the doorbells of slot %s: %s", slot->name,
                               strerror(-r));
        seats_pin(&hub->seats, slot->seat);
    }
    return 0;
}

int hub_new(const struct hub_setup *setup, struct hub **out, struct failure *failure)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    int r;

    if (!hub || seats_init(&hub->seats) < 0) {
        free(hub);
        return failure_set(failure, ENOMEM, "out of memory");
    }
    hub->base = setup->base;
    hub->access = setup->access;
    hub->n_vectors = setup->n_vectors;
    hub->memory_fd = setup->memory_fd;
    hub->slots = setup->slots;
    hub->n_slots = setup->n_slots;
    hub->fd_limit = raise_descriptor_limit();
    TAILQ_INIT(&hub->peers);
    TAILQ_INIT(&hub->ready);
    TAILQ_INIT(&hub->later);
    batch_init(&hub->batch);
    hub->turn = evtimer_new(hub->base, on_turn, hub);
    hub->retry = evtimer_new(hub->base, on_retry, hub);
    r = hub->turn && hub->retry ? seat_slots(hub, failure)
                                : failure_set(failure, ENOMEM, "out of memory");
    if (r < 0) {
        hub_free(hub);
        return r;
    }
    *out = hub;
    return 0;
}

struct hub *hub_free(struct hub *hub)
{
    struct peer *peer;

    if (!hub)
        return NULL;
    while ((peer = TAILQ_FIRST(&hub->peers))) {
        unsettle(hub, peer);
        TAILQ_REMOVE(&hub->peers, peer, all);
        announce_deinit(&peer->announce, &hub->seats);
        peer_free(peer);
    }
    if (hub->turn)
        event_free(hub->turn);
    if (hub->retry)
        event_free(hub->retry);
    seats_deinit(&hub->seats);
    free(hub);
    return NULL;
}

/* Forgets vacant seats that nobody connected knows: their IDs are free again. */
static void sweep_vacant(struct hub *hub)
{
    struct seat *seat = hub->seats.first, *later;

    for (; seat && hub->seats.n_vacant; seat = later) {
        struct peer *peer;

        later = seat->later;
        if (seat->occupied || seat->pinned || hub->seats.told[seat->id])
            continue;
        TAILQ_FOREACH (peer, &hub->peers, all)
            announce_left(&peer->announce, seat);
        seats_remove(&hub->seats, seat);
    }
}

static bool leave_is_withheld(const struct hub *hub, const struct seat *seat)
{
    return seat->pinned || hub->access->withhold_leaves || hub_is_short_of_ids(hub);
}

bool hub_is_short_of_ids(const struct hub *hub)
{
    return hub->seats.n_free < FREE_IDS_LOW;
}

/* The peer that sat here is gone. */
static void leave_seat(struct hub *hub, struct seat *seat)
{
    struct peer *peer;

    seats_vacate(&hub->seats, seat);
    if (!leave_is_withheld(hub, seat)) {
        TAILQ_FOREACH (peer, &hub->peers, all)
            announce_left(&peer->announce, seat);
        seats_remove(&hub->seats, seat);
    }
    sweep_vacant(hub);
}

void hub_drop(struct hub *hub, struct peer *peer, const char *why)
{
    struct seat *seat = peer->seat;

    log_limited(&hub->movement, why ? LOG_WARNING : LOG_INFO,
                "peer %u%s%s left%s%s (" WHO_FORMAT ")", seat->id, peer->slot ? " of slot " : "",
                peer->slot ? peer->slot->name : "", why ? ", disconnected: it " : "",
                why ? why : "", WHO(&peer->who));
    unsettle(hub, peer);
    TAILQ_REMOVE(&hub->peers, peer, all);
    hub->n_peers--;
    if (peer->slot)
        peer->slot->holder = NULL;
    announce_deinit(&peer->announce, &hub->seats);
    peer_free(peer);
    leave_seat(hub, seat);
    wake_idle(hub);
    if (hub->on_room)
        hub->on_room(hub->on_room_argument);
}

/* Everything that can fail was done: from here on the peer is there. */
static void join(struct hub *hub, struct peer *newcomer, struct seat *seat)
{
    struct peer *peer;

    TAILQ_FOREACH (peer, &hub->peers, all)
        announce_moving(&peer->announce, seat);
    seats_occupy(&hub->seats, seat);
    TAILQ_FOREACH (peer, &hub->peers, all)
        announce_joined(&peer->announce, seat);
    announce_start(&newcomer->announce, &hub->seats, seat, hub->memory_fd);
    newcomer->seat = seat;
    TAILQ_INSERT_TAIL(&hub->peers, newcomer, all);
    hub->n_peers++;
    wake_idle(hub);
}

void hub_admit(struct hub *hub, int sock, struct slot *slot)
{
    struct failure failure = {.text = ""};
    struct credentials who = {.command = "?"};
    struct peer *newcomer = NULL;
    struct seat *seat = NULL;
    int r;

    if (slot && slot->holder && peer_hung_up(slot->holder))
        hub_drop(hub, slot->holder, NULL);
    r = admission_check(hub, sock, slot, &who, &failure);
    if (r == 0)
        r = admission_seat(hub, slot, &seat, &failure);
    if (r == 0)
        r = admission_peer(hub, sock, &who, seat, &newcomer, &failure);
    if (r != 0) {
        admission_refuse(hub, sock, seat, &who, failure.text);
        return;
    }
    if (slot) {
        newcomer->slot = slot;
        slot->holder = newcomer;
    }
    join(hub, newcomer, seat);
    log_limited(&hub->movement, LOG_INFO, "peer %u%s%s joined (" WHO_FORMAT ")", seat->id,
                slot ? " of slot " : "", slot ? slot->name : "", WHO(&who));
}
