/* SPDX-License-Identifier: MIT
 *
 * See restore.h.
 */
#include "server/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "server/store.h"

/* proc(5): what an eventfd's entry in /proc/self/fd points to. */
static bool is_doorbell(int fd)
{
    static const char eventfd[] = "anon_inode:[eventfd]";
    char path[64], target[sizeof(eventfd)];
    ssize_t length;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    length = readlink(path, target, sizeof(target));
    return length == (ssize_t)sizeof(eventfd) - 1 &&
           memcmp(target, eventfd, sizeof(eventfd) - 1) == 0;
}

/* A connected UNIX stream socket, of this process if @pid is not 0. */
static bool is_peer_socket(int fd, pid_t pid)
{
    int domain = 0, type = 0, listening = 1;
    socklen_t size = sizeof(int), who_size = sizeof(struct ucred);
    struct ucred who;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && !listening &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_size) == 0 &&
           (!pid || who.pid == pid);
}

/* The batch that was being sent: what went out is recorded with the peer that it went to. */
static void recover_batch(struct hub *hub)
{
    struct state_file *file = hub->state->file;
    struct batch *batch = &file->batch;
    unsigned sent = batch_progress(batch);

    if (sent && batch->peer < STATE_IDS) {
        log_debug("%u messages to peer %u were sent and not recorded", sent, batch->peer);
        announce_recover(&file->peers[batch->peer], batch->effects, sent);
    }
    batch_recorded(batch); /* first: a kill while it is laid out anew must not leave half of it */
    batch_init(batch);     /* its pointers were those of another process */
}

/* Takes a seat's doorbells; all or none. Return: 0, -ENOENT, or -ENOMEM. */
static int take_doorbells(const struct hub *hub, struct inherited *inherited, unsigned id,
                          int **out)
{
    int *doorbells = calloc(hub->n_vectors, sizeof(*doorbells));
    char name[STORE_NAME_SIZE];
    unsigned taken = 0;

    if (!doorbells)
        return -ENOMEM;
    for (; taken < hub->n_vectors; taken++) {
        store_name_doorbell(name, id, taken);
        doorbells[taken] = inherited_take(inherited, name);
        if (doorbells[taken] < 0 || !is_doorbell(doorbells[taken]))
            break;
    }
    if (taken == hub->n_vectors) {
        *out = doorbells;
        return 0;
    }
    log_warning("doorbell %u of peer %u did not come back: the peer is given up", taken, id);
    for (unsigned i = 0; i <= taken; i++)
        close_fd(doorbells[i]);
    free(doorbells);
    return -ENOENT;
}

static bool was_begun_only(const struct state_seat *record)
{
    return record->phase == SEAT_VACANT && !record->order && !record->pinned;
}

/*
 * A seat is about to be removed. The record of who sits there stays until its connection was ended
 * (give_up_peer()); that of a newcomer who was only promised the seat is none of a peer.
 */
static void give_up_seat(struct hub *hub, unsigned id)
{
    struct state_seat *record = &hub->state->file->seats[id];

    if (record->phase == SEAT_VACANT)
        state_forget_peer(hub->state, id);
    record->phase = SEAT_LEAVING;
}

static int restore_seats(struct hub *hub, struct inherited *inherited)
{
    for (unsigned id = 0; id < STATE_IDS; id++) {
        struct state_seat *record = &hub->state->file->seats[id];
        struct seat *seat;
        int *doorbells = NULL, r;

        if (record->phase == SEAT_ABSENT)
            continue;
        if (record->phase > SEAT_LEAVING || was_begun_only(record))
            give_up_seat(hub, id);
        if (record->phase == SEAT_LEAVING)
            continue;
        r = take_doorbells(hub, inherited, id, &doorbells);
        if (r == -ENOENT)
            give_up_seat(hub, id);
        else if (r == 0)
            r = seats_restore(&hub->seats, id, doorbells, hub->n_vectors, &seat);
        free(doorbells);
        if (r == -ENOMEM)
            return r;
        if (id > hub->reserved_ids)
            hub->reserved_ids = id;
    }
    return seats_put_in_order(&hub->seats);
}

/* The descriptors of a trial are copies of live ones: nothing is done to those. */
static void hang_up(const struct hub *hub, int sock)
{
    if (!hub->trial)
        shutdown(sock, SHUT_RDWR);
}

/* What is stored for a peer that is no more. */
static void forget_peer(const struct hub *hub, unsigned serial)
{
    if (hub->store)
        store_forget_socket(hub->store, serial);
    if (hub->store && hub->n_mailboxes)
        store_forget_bell(hub->store, serial);
}

/* Whoever sat in a seat that is given up was greeted, and must not come back as a newcomer. */
static void give_up_peer(struct hub *hub, struct inherited *inherited, unsigned id)
{
    const struct state_peer *record = &hub->state->file->peers[id];
    char name[STORE_NAME_SIZE];
    int sock;

    if (!record->serial)
        return;
    store_name_socket(name, record->serial);
    sock = inherited_take(inherited, name);
    if (sock >= 0 && is_peer_socket(sock, record->pid))
        hang_up(hub, sock);
    close_fd(sock);
    forget_peer(hub, record->serial);
}

/* Ends what remove_seat() had begun, on the records: all who were told have to hear of the leave.
 */
static void finish_leaving(struct hub *hub, struct inherited *inherited)
{
    struct state_file *file = hub->state->file;

    for (unsigned id = 0; id < STATE_IDS; id++) {
        if (file->seats[id].phase != SEAT_LEAVING)
            continue;
        for (const struct seat *seat = hub->seats.first; seat; seat = seat->later) {
            struct state_peer *record = &file->peers[seat->id];
            const uint64_t bit = UINT64_C(1) << (id % 64);

            if (!seat->occupied)
                continue;
            record->leaves[id / 64] |= record->told[id / 64] & bit;
            if (record->current == (int32_t)id)
                record->current = -1;
        }
        give_up_peer(hub, inherited, id);
        state_forget_peer(hub->state, id);
        file->seats[id] = (struct state_seat){.phase = SEAT_ABSENT};
        if (hub->store)
            store_forget_seat(hub->store, id, hub->n_vectors);
    }
}

/* The doorbell by which a peer rings the daemon. Return: a descriptor, or -1 if it is lost. */
static int take_bell(struct inherited *inherited, unsigned serial)
{
    _cleanup_close_ int bell = -1;
    char name[STORE_NAME_SIZE];

    store_name_bell(name, serial);
    bell = inherited_take(inherited, name);
    return bell >= 0 && is_doorbell(bell) ? steal_fd(&bell) : -1;
}

static int restore_peer(struct hub *hub, struct inherited *inherited, struct seat *seat)
{
    struct state_peer *record = &hub->state->file->peers[seat->id];
    _cleanup_close_ int sock = -1, bell = -1;
    struct announce_handout handout;
    struct credentials who;
    struct peer *peer;
    char name[STORE_NAME_SIZE];
    int r;

    store_name_socket(name, record->serial);
    sock = inherited_take(inherited, name);
    if (sock < 0 || !is_peer_socket(sock, record->pid) || credentials_read(sock, &who) < 0) {
        forget_peer(hub, record->serial);
        return -ENOENT;
    }
    bell = hub->n_mailboxes ? take_bell(inherited, record->serial) : -1;
    if (hub->n_mailboxes && bell < 0) {
        hang_up(hub, sock); /* it could ask for nothing any more */
        forget_peer(hub, record->serial);
        return -ENOENT;
    }
    r = peer_new(hub, sock, &who, &peer);
    if (r < 0)
        return r;
    steal_fd(&sock);
    peer->bell = steal_fd(&bell);
    peer->seat = seat;
    peer->serial = record->serial;
    peer->fd_base = record->fd_base;
    peer->joined = record->joined;
    hub_add(hub, peer);
    handout = peer_handout(peer);
    r = announce_restore(&peer->announce, record, &hub->seats, seat, &handout);
    if (r < 0) {
        /* Start over as if nothing was told would lie: it is dropped as soon as that is allowed. */
        log_error("what peer %u was told makes no sense: it is given up", seat->id);
        record->current = -1;
        record->greeted = 0;
        hang_up(hub, peer->sock);
        r = announce_restore(&peer->announce, record, &hub->seats, seat, &handout);
    }
    return r;
}

static int restore_peers(struct hub *hub, struct inherited *inherited)
{
    for (struct seat *seat = hub->seats.first; seat; seat = seat->later) {
        int r;

        if (!seat->occupied)
            continue;
        r = restore_peer(hub, inherited, seat);
        if (r == -ENOENT) {
            log_warning("what belongs to peer %u did not come back: it has left", seat->id);
            seats_vacate(&hub->seats, seat);
        } else if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* Slots of the configuration find their seats; a seat whose slot is gone stays as it is. */
static void restore_slots(struct hub *hub)
{
    struct peer *peer;

    for (size_t i = 0; i < hub->n_slots; i++) {
        struct slot *slot = &hub->slots[i];
        struct seat *seat = hub->seats.by_id[slot->id];

        if (!seat || !seat->pinned)
            continue;
        slot->seat = seat;
        TAILQ_FOREACH (peer, &hub->peers, all)
            if (peer->seat == seat) {
                slot->holder = peer;
                peer->slot = slot;
            }
    }
}

/*
 * Doorbells of seats that are no more or, with the letter of their names in front, those by which
 * lost peers rang us. Other names are not ours to judge.
 */
static void drop_orphans(struct hub *hub, struct inherited *inherited, const char *letter)
{
    const size_t start = strlen(letter);

    for (size_t i = 0; i < inherited->n_items; i++) {
        struct inherited_item *item = &inherited->items[i];

        if (item->fd < 0 || strncmp(item->name, letter, start) != 0 ||
            strspn(item->name + start, "0123456789abcdef") != STORE_NAME_SIZE - 1 - start)
            continue;
        log_debug("nobody's doorbell %s is dropped", item->name);
        if (hub->store)
            notify_remove(hub->store, item->name);
        item->fd = close_fd(item->fd);
    }
}

int restore_hub(struct hub *hub, struct inherited *inherited, struct failure *failure)
{
    int r;

    recover_batch(hub);
    r = restore_seats(hub, inherited);
    if (r == 0) {
        finish_leaving(hub, inherited);
        drop_orphans(hub, inherited, ""); /* before new ones are stored under the same names */
        r = restore_peers(hub, inherited);
        drop_orphans(hub, inherited, "p");
    }
    if (r < 0)
        return failure_set(failure, -r, "cannot restore the peers: %s", strerror(-r));
    restore_slots(hub);
    return 0;
}

/* Vacant seats whose peer was lost on the way: others were told of them, or nobody was. */
static void drop_lost(struct hub *hub)
{
    for (struct seat *seat = hub->seats.first, *later; seat; seat = later) {
        later = seat->later;
        if (!seat->occupied && !seat->claimed)
            hub_vacated(hub, seat);
    }
}

static void admit_waiting(struct hub *hub, struct inherited *inherited, const struct doors *doors)
{
    for (size_t i = 0; i < inherited->n_items; i++) {
        struct inherited_item *item = &inherited->items[i];
        unsigned serial;
        char byte;
        int sock, length = 0;

        if (item->fd < 0 || sscanf(item->name, "s%6x%n", &serial, &length) != 1 || length != 7)
            continue;
        sock = steal_fd(&item->fd);
        if (!item->ambiguous && is_peer_socket(sock, 0) &&
            recv(sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN) {
            hub_admit(hub, sock, serial, doors_slot(doors, sock));
            continue;
        }
        if (hub->store)
            store_forget_socket(hub->store, serial);
        close_fd(sock);
    }
}

void restore_end(struct hub *hub, struct inherited *inherited, const struct doors *doors)
{
    drop_lost(hub);
    admit_waiting(hub, inherited, doors);
    hub_wake_idle(hub);
}

void restore_abandon(struct notify *store, struct inherited *inherited)
{
    for (size_t i = 0; i < inherited->n_items; i++) {
        struct inherited_item *item = &inherited->items[i];
        bool socket = item->fd >= 0 && is_peer_socket(item->fd, 0);

        if (item->fd < 0 || (!socket && !is_doorbell(item->fd)))
            continue;
        if (socket)
            shutdown(item->fd, SHUT_RDWR);
        if (store)
            notify_remove(store, item->name);
        item->fd = close_fd(item->fd);
    }
}
