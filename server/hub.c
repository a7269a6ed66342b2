/* SPDX-License-Identifier: MIT
 *
 * See hub.h. Who may come in is in admission.c, whose turn it is in turns.c.
 */
#include "server/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "server/admission.h"
#include "server/clerk.h"
#include "server/store.h"
#include "server/turns.h"

enum {
    RESERVE_STEP = 16384, /* IDs that records are given room for at a time */
    FREE_IDS_LOW = 1024,  /* with fewer free IDs, leaves are withheld and seats used again */
};

/*
 * The soft limit is raised to the hard one: every doorbell is a descriptor. Not with a store: the
 * next process starts with the soft limit as it was and all that is stored, and has to fit.
 */
static uint64_t descriptor_limit(bool raise)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    if (!raise)
        return limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

int hub_seat_slot(struct hub *hub, struct slot *slot)
{
    struct seat *seat;
    int r = seats_add(&hub->seats, (int)slot->id, hub->n_vectors, &seat);

    if (r == 0 && hub->store && (r = store_seat(hub->store, seat)) < 0)
        seats_remove(&hub->seats, seat);
    if (r < 0)
        return r;
    seats_pin(&hub->seats, seat);
    slot->seat = seat;
    return 0;
}

int hub_seat_slots(struct hub *hub, struct failure *failure)
{
    for (size_t i = 0; i < hub->n_slots; i++) {
        struct slot *slot = &hub->slots[i];
        int r = slot->seat ? 0 : hub_seat_slot(hub, slot);

        if (r == -EEXIST)
            log_error("slot %s is closed until the peers are gone that know ID %u as somebody else",
                      slot->name, slot->id);
        else if (r == -ENOSPC)
            log_error("slot %s is closed until a start with no peers: ID %u is beyond the %u "
                      "mailboxes that there are",
                      slot->name, slot->id, hub->n_mailboxes);
        else if (r < 0)
            return failure_set(failure, -r, "cannot make the doorbells of slot %s: %s", slot->name,
                               strerror(-r));
    }
    return 0;
}

int hub_new(const struct hub_setup *setup, struct hub **out, struct failure *failure)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    if (!hub || seats_init(&hub->seats) < 0) {
        free(hub);
        return failure_set(failure, ENOMEM, "out of memory");
    }
    hub->base = setup->base;
    hub->access = setup->access;
    hub->n_vectors = setup->n_vectors;
    hub->n_mailboxes = setup->n_mailboxes;
    if (hub->n_mailboxes)
        seats_set_limit(&hub->seats, hub->n_mailboxes);
    hub->memory_fd = setup->memory_fd;
    hub->slots = setup->slots;
    hub->n_slots = setup->n_slots;
    hub->state = setup->state;
    hub->store = setup->store;
    hub->clerk = setup->clerk;
    hub->trial = setup->trial;
    hub->seats.records = hub->state->file->seats;
    hub->seats.order = &hub->state->file->head.last_order;
    hub->reserved_ids = RESERVE_STEP - 1;
    hub->fd_limit = descriptor_limit(!hub->store);
    witness_init(&hub->witness, &hub->state->file->head.counters);
    if (hub->store && hub->fd_limit > STORE_MAX)
        hub->fd_limit = STORE_MAX;
    TAILQ_INIT(&hub->arriving);
    TAILQ_INIT(&hub->awaited);
    TAILQ_INIT(&hub->peers);
    if (turns_init(hub) < 0) {
        hub_free(hub, false);
        return failure_set(failure, ENOMEM, "out of memory");
    }
    *out = hub;
    return 0;
}

static void free_list(struct hub *hub, struct peer_list *list, bool hang_up)
{
    struct peer *peer;

    while ((peer = TAILQ_FIRST(list))) {
        turns_unsettle(hub, peer);
        if (list == &hub->peers)
            TAILQ_REMOVE(list, peer, all);
        if (hang_up)
            peer_hang_up(peer);
        announce_deinit(&peer->announce, &hub->seats);
        peer_free(peer);
    }
}

struct hub *hub_free(struct hub *hub, bool hang_up)
{
    if (!hub)
        return NULL;
    free_list(hub, &hub->arriving, hang_up);
    free_list(hub, &hub->awaited, hang_up);
    free_list(hub, &hub->peers, hang_up);
    turns_deinit(hub);
    seats_deinit(&hub->seats);
    free(hub);
    return NULL;
}

static bool is_held(const struct hub *hub, unsigned serial)
{
    const struct peer_list *const waiting[] = {&hub->arriving, &hub->awaited};
    const struct peer *peer;

    TAILQ_FOREACH (peer, &hub->peers, all)
        if (peer->serial == serial)
            return true;
    for (size_t i = 0; i < 2; i++)
        TAILQ_FOREACH (peer, waiting[i], turn)
            if (peer->serial == serial)
                return true;
    return false;
}

/* Numbers come round again, and a machine may be connected for longer than that takes. */
unsigned hub_new_serial(struct hub *hub, int sock)
{
    unsigned serial;

    do
        serial = ++hub->state->file->head.last_serial & STORE_SERIAL_MAX;
    while (hub->store && (!serial || is_held(hub, serial)));
    if (hub->store && store_socket(hub->store, serial, sock) < 0)
        log_error("no memory to store a socket: its client will be lost in a restart");
    return serial;
}

int hub_reserve(struct hub *hub, unsigned id)
{
    unsigned reserved = hub->reserved_ids;
    const struct peer *peer;
    int r = 0;

    while (reserved < id)
        reserved += RESERVE_STEP;
    if (reserved > hub->reserved_ids)
        TAILQ_FOREACH (peer, &hub->peers, all)
            if ((r = state_reserve(hub->state, peer->seat->id, reserved)) < 0)
                return r;
    hub->reserved_ids = reserved;
    return state_reserve(hub->state, id, reserved);
}

/*
 * Forgets a vacant seat. A kill at any point of this is made good by a restore: while the seat is
 * LEAVING everybody is marked again, and nothing is sent before it is ABSENT.
 */
static void remove_seat(struct hub *hub, struct seat *seat)
{
    struct peer *peer;

    seats_leaving(&hub->seats, seat);
    TAILQ_FOREACH (peer, &hub->peers, all)
        announce_left(&peer->announce, seat);
    if (hub->store)
        store_forget_seat(hub->store, seat->id, seat->n_vectors);
    seats_remove(&hub->seats, seat);
}

void hub_sweep(struct hub *hub)
{
    struct seat *seat = hub->seats.first, *later;

    for (; seat && hub->seats.n_vacant; seat = later) {
        later = seat->later;
        if (!seat->occupied && !seat->claimed && !seat->pinned && !hub->seats.told[seat->id])
            remove_seat(hub, seat);
    }
}

static bool leave_is_withheld(const struct hub *hub, const struct seat *seat)
{
    return seat->pinned || hub->n_mailboxes || hub->access->withhold_leaves ||
           hub_is_short_of_ids(hub);
}

bool hub_is_short_of_ids(const struct hub *hub)
{
    return hub->seats.n_free < FREE_IDS_LOW;
}

void hub_vacated(struct hub *hub, struct seat *seat)
{
    if (!hub->seats.told[seat->id] ? !seat->pinned : !leave_is_withheld(hub, seat))
        remove_seat(hub, seat);
}

static void witness_peer(struct hub *hub, enum incident_kind kind, const struct peer *peer,
                         const char *why)
{
    const struct incident incident = {.kind = kind,
                                      .peer = peer->seat->id,
                                      .slot = peer->slot ? peer->slot->name : NULL,
                                      .who = &peer->who,
                                      .why = why};

    witness_tell(&hub->witness, &incident);
}

static void log_movement(struct hub *hub, const struct peer *peer, const char *what,
                         const char *why)
{
    log_limited(why ? &hub->offences : &hub->movement, why ? LOG_WARNING : LOG_INFO,
                "peer %u%s%s %s%s%s (" WHO_FORMAT ")", peer->seat->id,
                peer->slot ? " of slot " : "", peer->slot ? peer->slot->name : "", what,
                why ? ", disconnected: it " : "", why ? why : "", WHO(&peer->who));
}

static void changed(struct hub *hub)
{
    if (hub->on_change)
        hub->on_change(hub->on_change_argument);
}

/*
 * The end of a connection, known to the peers or still arriving. It is shut down before anything
 * else: if we are killed from here on, the restore finds it closed and drops it again.
 */
void hub_drop(struct hub *hub, struct peer *peer, const char *why)
{
    struct seat *seat = peer->seat;
    bool known = peer->state != PEER_ARRIVING;

    peer_hang_up(peer);
    log_movement(hub, peer, known ? "left" : "left before it joined", why);
    if (known) {
        clerk_left(hub->clerk, peer);
        witness_peer(hub, INCIDENT_LEFT, peer, why);
    }
    turns_unsettle(hub, peer);
    if (known)
        TAILQ_REMOVE(&hub->peers, peer, all);
    hub->n_peers--;
    if (peer->slot)
        peer->slot->holder = NULL;
    if (hub->store)
        store_forget_socket(hub->store, peer->serial);
    if (hub->store && peer->bell >= 0)
        store_forget_bell(hub->store, peer->serial);
    announce_deinit(&peer->announce, &hub->seats);
    peer_free(peer);
    seats_vacate(&hub->seats, seat);
    state_forget_peer(hub->state, seat->id);
    hub_vacated(hub, seat);
    hub_sweep(hub);
    hub_wake_idle(hub);
    changed(hub);
}

static void list_sockets(const struct peer_list *list, FILE *out)
{
    const struct peer *peer;
    char name[STORE_NAME_SIZE];

    for (peer = TAILQ_FIRST(list); peer;
         peer = peer->state == PEER_ARRIVING ? TAILQ_NEXT(peer, turn) : TAILQ_NEXT(peer, all)) {
        store_name_socket(name, peer->serial);
        fprintf(out, "%d %s\n", peer->sock, name);
        store_name_bell(name, peer->serial);
        if (peer->bell >= 0)
            fprintf(out, "%d %s\n", peer->bell, name);
    }
}

void hub_list(const struct hub *hub, FILE *out)
{
    char name[STORE_NAME_SIZE];

    list_sockets(&hub->peers, out);
    list_sockets(&hub->arriving, out);
    list_sockets(&hub->awaited, out);
    for (unsigned id = 0; id < STATE_IDS; id++) {
        const struct seat *seat = hub->seats.by_id[id];

        for (unsigned vector = 0; seat && vector < seat->n_vectors; vector++) {
            store_name_doorbell(name, id, vector);
            fprintf(out, "%d %s\n", seat->doorbells[vector], name);
        }
    }
}

void hub_add(struct hub *hub, struct peer *peer)
{
    TAILQ_INSERT_TAIL(&hub->peers, peer, all);
    hub->n_peers++;
}

/* Everything that can fail was done, and is stored: from here on the peer is there. */
static void join(struct hub *hub, struct peer *newcomer)
{
    const struct announce_handout handout = peer_handout(newcomer);
    struct seat *seat = newcomer->seat;
    struct peer *peer;

    TAILQ_FOREACH (peer, &hub->peers, all)
        announce_moving(&peer->announce, seat);
    seats_occupy(&hub->seats, seat);
    TAILQ_FOREACH (peer, &hub->peers, all)
        announce_joined(&peer->announce, seat);
    clerk_joined(hub->clerk, newcomer);
    announce_start(&newcomer->announce, &hub->seats, seat, &handout);
    TAILQ_INSERT_TAIL(&hub->peers, newcomer, all);
    log_movement(hub, newcomer, "joined", NULL);
    witness_peer(hub, INCIDENT_JOINED, newcomer, NULL);
}

static void await_store(struct hub *hub);

/* The store has what belongs to those that the barrier covered. */
static void on_stored(void *argument, int error)
{
    struct hub *hub = argument;
    struct peer *peer;

    if (error)
        log_limited(&hub->stalled, LOG_WARNING,
                    "the descriptor store cannot be reached: newcomers join all the same");
    while ((peer = TAILQ_FIRST(&hub->awaited))) {
        TAILQ_REMOVE(&hub->awaited, peer, turn);
        peer->state = PEER_IDLE;
        peer->awaited = false;
        join(hub, peer);
    }
    hub_wake_idle(hub);
    await_store(hub);
    changed(hub);
}

/* One barrier at a time: those that come meanwhile wait for the next. */
static void await_store(struct hub *hub)
{
    struct peer *peer;

    if (!TAILQ_EMPTY(&hub->awaited) || TAILQ_EMPTY(&hub->arriving))
        return;
    TAILQ_CONCAT(&hub->awaited, &hub->arriving, turn);
    TAILQ_FOREACH (peer, &hub->awaited, turn)
        peer->awaited = true;
    if (notify_barrier(hub->store, on_stored, hub) < 0)
        on_stored(hub, -ENOMEM);
}

/* The seat is promised, and the record of the peer is ready to become true with the seat's. */
static void prepare(struct hub *hub, struct peer *newcomer, struct seat *seat, unsigned serial,
                    struct slot *slot)
{
    struct state_peer *record = &hub->state->file->peers[seat->id];

    seats_claim(&hub->seats, seat);
    newcomer->seat = seat;
    newcomer->serial = serial;
    newcomer->slot = slot;
    if (slot)
        slot->holder = newcomer;
    record->current = -1;
    record->pid = newcomer->who.pid;
    record->uid = newcomer->who.uid;
    record->serial = serial;
    record->joined = newcomer->joined = time(NULL);
    record->fd_base = newcomer->fd_base;
    hub->n_peers++;
}

void hub_admit(struct hub *hub, int sock, unsigned serial, struct slot *slot)
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
        r = admission_peer(hub, sock, serial, &who, seat, &newcomer, &failure);
    if (r != 0) {
        admission_refuse(hub, sock, serial, seat, &who, failure.text);
        return;
    }
    prepare(hub, newcomer, seat, serial, slot);
    if (hub->store) {
        turns_settle(hub, newcomer, PEER_ARRIVING);
        await_store(hub);
    } else {
        join(hub, newcomer);
        hub_wake_idle(hub);
        changed(hub);
    }
}
