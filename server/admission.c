/* SPDX-License-Identifier: MIT
 *
 * See admission.h.
 */
#include "server/admission.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/doorbell.h"
#include "common/fdpass.h"
#include "server/hub.h"
#include "server/store.h"

enum {
    DESCRIPTORS_OF_OUR_OWN = 24, /* event loop, signals, memory, guard, logs, spares */
    DESCRIPTORS_PER_SOCKET = 4,  /* a listener, its directory, its lock */
};

static unsigned count_waiting_of(const struct peer_list *list, uid_t uid)
{
    const struct peer *peer;
    unsigned count = 0;

    TAILQ_FOREACH (peer, list, turn)
        count += peer->who.uid == uid;
    return count;
}

/* Who waits for the store to have taken what is his is in as well. */
static unsigned peers_of(const struct hub *hub, uid_t uid)
{
    const struct peer *peer;
    unsigned count = count_waiting_of(&hub->arriving, uid) + count_waiting_of(&hub->awaited, uid);

    TAILQ_FOREACH (peer, &hub->peers, all)
        count += peer->who.uid == uid;
    return count;
}

static int check_access(const struct hub *hub, const struct slot *slot,
                        const struct credentials *who, struct failure *failure)
{
    const struct access *access = hub->access;

    if (!access_allows(access, who))
        return failure_set(failure, EACCES,
                           "neither its user nor its groups are on the allow list "
                           "(--allow-uid, --allow-gid)");
    if (slot && slot->holder)
        return failure_set(failure, EBUSY, "slot %s is held by pid %d", slot->name,
                           (int)slot->holder->who.pid);
    if (access->max_peers && hub->n_peers >= access->max_peers)
        return failure_set(failure, EUSERS, "there are %u peers, as many as --max-peers allows",
                           hub->n_peers);
    if (access->max_peers_per_uid && peers_of(hub, who->uid) >= access->max_peers_per_uid)
        return failure_set(failure, EUSERS,
                           "uid %u has %u peers, as many as --max-peers-per-uid "
                           "allows",
                           (unsigned)who->uid, access->max_peers_per_uid);
    return 0;
}

/* A socket, and with channels a doorbell of its own for the daemon. */
static unsigned descriptors_per_peer(const struct hub *hub)
{
    return hub->n_mailboxes ? 2 : 1;
}

static uint64_t descriptors_in_use(const struct hub *hub)
{
    return DESCRIPTORS_OF_OUR_OWN + DESCRIPTORS_PER_SOCKET * (1 + hub->n_slots) + hub->reserved +
           (uint64_t)hub->n_peers * descriptors_per_peer(hub) +
           (uint64_t)hub->seats.n_seats * hub->n_vectors;
}

static bool has_descriptors_for_seat(const struct hub *hub)
{
    return descriptors_in_use(hub) + descriptors_per_peer(hub) + hub->n_vectors <= hub->fd_limit;
}

static int check_own_budget(const struct hub *hub, const struct slot *slot, struct failure *failure)
{
    uint64_t in_use = descriptors_in_use(hub);

    if (slot || seats_vacant(&hub->seats) ? in_use + descriptors_per_peer(hub) <= hub->fd_limit
                                          : has_descriptors_for_seat(hub))
        return 0;
    return failure_set(failure, EMFILE,
                       "the server has %llu of its %llu descriptors in use and a peer takes %u: "
                       "raise its limit (ulimit -Hn, LimitNOFILE=)",
                       (unsigned long long)in_use, (unsigned long long)hub->fd_limit,
                       hub->n_vectors + descriptors_per_peer(hub));
}

/* Would the doorbells of so many seats fit in a peer's process, the newcomer's or another? */
static int check_budget_of(const struct hub *hub, struct peer *peer, const char *whose,
                           uint64_t seats, struct failure *failure)
{
    uint64_t doorbells = seats * hub->n_vectors + (hub->n_mailboxes ? 1 : 0);

    if (peer_can_hold(peer, doorbells))
        return 0;
    return failure_set(failure, EMFILE,
                       "%s process (pid %d, command %s) may open %llu descriptors and would have "
                       "%llu doorbells beside its own %llu: raise its limit (prlimit --nofile, "
                       "ulimit -n)",
                       whose, (int)peer->who.pid, peer->who.command,
                       (unsigned long long)peer->fd_limit, (unsigned long long)doorbells,
                       (unsigned long long)peer->fd_base);
}

static int check_budget_of_peer(const struct hub *hub, struct peer *peer, uint64_t seats,
                                struct failure *failure)
{
    char whose[32];

    snprintf(whose, sizeof(whose), "peer %u's", peer->seat->id);
    return check_budget_of(hub, peer, whose, seats, failure);
}

/* Those who wait for the store will be told of all who are there by then, the newcomer included. */
static int check_budgets_of_waiting(const struct hub *hub, const struct peer_list *list,
                                    unsigned *count, struct failure *failure)
{
    struct peer *peer;
    int r = 0;

    TAILQ_FOREACH (peer, list, turn) {
        (*count)++;
        if (r == 0)
            r = check_budget_of_peer(hub, peer, hub->n_peers + 1u, failure);
    }
    return r;
}

static int check_budgets_of_peers(const struct hub *hub, struct failure *failure)
{
    struct peer *peer;
    unsigned waiting = 0;
    int r = check_budgets_of_waiting(hub, &hub->arriving, &waiting, failure);

    if (r == 0)
        r = check_budgets_of_waiting(hub, &hub->awaited, &waiting, failure);
    TAILQ_FOREACH (peer, &hub->peers, all) {
        if (r < 0)
            break;
        r = check_budget_of_peer(hub, peer, announce_holds(&peer->announce) + waiting + 1u,
                                 failure);
    }
    return r;
}

int admission_check(struct hub *hub, int sock, const struct slot *slot, struct credentials *who,
                    struct failure *failure)
{
    int r = credentials_read(sock, who);

    if (r < 0)
        return failure_set(failure, -r, "its credentials cannot be read: %s", strerror(-r));
    r = check_access(hub, slot, who, failure);
    if (r == 0)
        r = check_own_budget(hub, slot, failure);
    return r < 0 ? r : check_budgets_of_peers(hub, failure);
}

/* A new seat, its doorbells on the way into the store. */
static int make_seat(struct hub *hub, struct seat **out)
{
    int r = seats_add(&hub->seats, -1, hub->n_vectors, out);

    if (r < 0 || !hub->store)
        return r;
    r = store_seat(hub->store, *out);
    if (r < 0) {
        seats_remove(&hub->seats, *out);
        *out = NULL;
    }
    return r;
}

/* Whether a vacant seat is to be preferred to a new one. */
static bool must_use_again(const struct hub *hub)
{
    bool is_short = hub->n_mailboxes ? !hub->seats.n_free : hub_is_short_of_ids(hub);

    return is_short || !has_descriptors_for_seat(hub);
}

int admission_seat(struct hub *hub, struct slot *slot, struct seat **out, struct failure *failure)
{
    int r;

    if (slot) {
        r = slot->seat ? 0 : hub_seat_slot(hub, slot);
        *out = slot->seat;
        if (r == -EEXIST)
            return failure_set(failure, -r, "peers know ID %u of slot %s as somebody else",
                               slot->id, slot->name);
        return r == 0 ? 0
                      : failure_set(failure, -r, "cannot make the doorbells of slot %s: %s",
                                    slot->name, strerror(-r));
    }
    *out = must_use_again(hub) ? seats_vacant(&hub->seats) : NULL;
    if (*out)
        return 0;
    r = make_seat(hub, out);
    if (r == -ENOSPC && hub->n_mailboxes)
        return failure_set(failure, ENOSPC,
                           "there are mailboxes for %u peers, and all are taken: raise --mailboxes",
                           hub->n_mailboxes);
    if (r == -ENOSPC)
        return failure_set(failure, ENOSPC, "no peer ID is left");
    if (r < 0)
        return failure_set(failure, -r, "cannot make its doorbells: %s", strerror(-r));
    return 0;
}

/* What was rung for whoever sat here before must not reach the next one. */
static void silence(const struct seat *seat)
{
    for (unsigned i = 0; i < seat->n_vectors; i++)
        doorbell_clear(seat->doorbells[i]);
}

/* The daemon's doorbell for this peer alone, on the way into the store. */
static int make_bell(struct hub *hub, struct peer *newcomer, unsigned serial)
{
    if (!hub->n_mailboxes)
        return 0;
    newcomer->bell = doorbell_new();
    if (newcomer->bell < 0 || !hub->store)
        return newcomer->bell < 0 ? newcomer->bell : 0;
    return store_bell(hub->store, serial, newcomer->bell);
}

int admission_peer(struct hub *hub, int sock, unsigned serial, const struct credentials *who,
                   const struct seat *seat, struct peer **out, struct failure *failure)
{
    struct peer *newcomer;
    int r;

    state_forget_peer(hub->state, seat->id); /* of whoever sat here before */
    r = hub_reserve(hub, seat->id);
    if (r < 0)
        return failure_set(failure, -r, "out of memory");
    r = peer_new(hub, sock, who, &newcomer);
    if (r < 0)
        return failure_set(failure, -r, "cannot watch its socket: %s", strerror(-r));
    r = check_budget_of(hub, newcomer, "its", hub->n_peers + 1u, failure);
    if (r == 0 && (r = make_bell(hub, newcomer, serial)) < 0)
        failure_set(failure, -r, "cannot make its doorbell for the server: %s", strerror(-r));
    if (r < 0) {
        newcomer->sock = -1; /* still the caller's: it has to be told */
        peer_free(newcomer);
        return r;
    }
    announce_remember(&newcomer->announce, &hub->state->file->peers[seat->id]);
    if (!seat->pinned)
        silence(seat);
    *out = newcomer;
    return 0;
}

void admission_refuse(struct hub *hub, int sock, unsigned serial, struct seat *seat,
                      const struct credentials *who, const char *why)
{
    const struct incident incident = {.kind = INCIDENT_REFUSED, .who = who, .why = why};

    log_limited(&hub->refused, LOG_WARNING, "turned away (" WHO_FORMAT "): %s", WHO(who), why);
    witness_tell(&hub->witness, &incident);
    if (seat && !seat->pinned && !hub->seats.told[seat->id]) {
        if (hub->store)
            store_forget_seat(hub->store, seat->id, seat->n_vectors);
        seats_remove(&hub->seats, seat);
    }
    fdpass_write(sock, WIRE_REFUSED, -1); /* if it cannot be told, it is hung up on all the same */
    shutdown(sock, SHUT_RDWR);
    if (hub->store)
        store_forget_socket(hub->store, serial);
    close_fd(sock);
}
