/* SPDX-License-Identifier: MIT
 *
 * See turns.h.
 */
#include "server/turns.h"

#include <errno.h>
#include <string.h>

enum { RETRY_US = 10000 }; /* until descriptors in flight may have landed */

static const struct timeval at_once = {.tv_sec = 0};

void turns_settle(struct hub *hub, struct peer *peer, enum peer_state state)
{
    const struct timeval retry = {.tv_usec = RETRY_US};
    const struct timeval patience = {.tv_sec = hub->access->peer_timeout};

    peer->state = state;
    switch (state) {
    case PEER_IDLE:
        break;
    case PEER_ARRIVING:
        TAILQ_INSERT_TAIL(&hub->arriving, peer, turn);
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

void turns_unsettle(struct hub *hub, struct peer *peer)
{
    if (peer->state == PEER_ARRIVING)
        TAILQ_REMOVE(peer->awaited ? &hub->awaited : &hub->arriving, peer, turn);
    else if (peer->state == PEER_READY)
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
    turns_unsettle(hub, peer);
    turns_settle(hub, peer, PEER_READY);
}

/* Those that are full or wait for room are not disturbed: news reaches them when they go on. */
void hub_wake_idle(struct hub *hub)
{
    struct peer *peer;

    TAILQ_FOREACH (peer, &hub->peers, all)
        if (peer->state == PEER_IDLE && announce_pending(&peer->announce))
            turns_settle(hub, peer, PEER_READY);
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
        turns_unsettle(hub, peer);
        state = peer_send(peer, &hub->state->file->batch);
        if (state >= 0)
            turns_settle(hub, peer, (enum peer_state)state);
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

int turns_init(struct hub *hub)
{
    TAILQ_INIT(&hub->ready);
    TAILQ_INIT(&hub->later);
    hub->turn = evtimer_new(hub->base, on_turn, hub);
    hub->retry = evtimer_new(hub->base, on_retry, hub);
    return hub->turn && hub->retry ? 0 : -ENOMEM;
}

void turns_deinit(struct hub *hub)
{
    if (hub->turn)
        event_free(hub->turn);
    if (hub->retry)
        event_free(hub->retry);
}
