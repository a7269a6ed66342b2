/* SPDX-License-Identifier: MIT
 *
 * The hub: all peers, who may join them, and whose turn it is to be told something.
 *
 * Peers with something to hear stand in one list and take turns, one batch each, so that a
 * newcomer with a long greeting does not hold up the others. A turn is a zero timeout of the event
 * loop: between two rounds the sockets are looked at. A peer whose socket is full leaves the list
 * until the socket has room; nothing runs, and no timer is set, while nobody waits.
 *
 * Who comes is admitted only if everything that its coming needs is there: an ID, doorbells, room
 * in every peer's tables, and room for its doorbells in every peer's process (QEMU takes a join
 * whose descriptor the kernel stripped for a leave). Otherwise it is turned away before anybody
 * hears of it, with -2 in place of the version: a QEMU then exits with a message.
 */
#ifndef IVSHMEM_HUB_H
#define IVSHMEM_HUB_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

#include "common/failure.h"
#include "common/log.h"
#include "server/access.h"
#include "server/notify.h"
#include "server/peer.h"
#include "server/seats.h"
#include "server/slot.h"
#include "server/state.h"
#include "server/witness.h"

struct clerk;

TAILQ_HEAD(peer_list, peer);

/**
 * struct hub - all peers
 * @base:      event loop; not owned
 * @access:    who may join and what for; not owned, may change between two events
 * @seats:     the truth about who is there
 * @state:     where everything is remembered; not owned
 * @store:     the manager that keeps descriptors for us, NULL if there is none; not owned
 * @clerk:     serves channels, NULL where there are none; not owned
 * @trial:     only to find out whether the state can be restored: nothing happens to the peers
 * @n_vectors: doorbells of each peer
 * @n_mailboxes: with channels, IDs are below this and the daemon has this one; else 0
 * @memory_fd: descriptor of the memory that peers are given; not owned
 * @slots:     pinned seats; not owned
 * @n_slots:   how many
 * @peers:     all connected peers
 * @n_peers:   how many, with those that arrive
 * @arriving:  newcomers whose descriptors are on the way into the store
 * @awaited:   those of them that the barrier covers that is under way
 * @ready:     those that wait for their turn
 * @later:     those that wait for descriptors in flight to land
 * @turn:      event: the next round
 * @retry:     event: time to try those in @later
 * @reserved_ids: records of peers have room for IDs up to here
 * @fd_limit:  descriptors this process may open
 * @reserved:  how many of them the control socket and the metrics file may need
 * @on_change: called when somebody came or went, or room may have been made
 * @on_change_argument: its argument
 * @refused:   limits the log lines of refusals
 * @movement:  limits the log lines of joins and leaves
 * @offences:  limits those of peers that were thrown out: a flood of joins must not hide them
 * @stalled:   limits the log lines of peers that have to wait
 * @witness:   counts what happens here and tells those who watch
 */
struct hub {
    struct event_base *base;
    const struct access *access;
    struct seats seats;
    struct state *state;
    struct notify *store;
    struct clerk *clerk;
    bool trial;
    unsigned n_vectors, n_mailboxes;
    int memory_fd;
    struct slot *slots;
    size_t n_slots;
    struct peer_list peers;
    unsigned n_peers;
    struct peer_list arriving, awaited;
    struct peer_list ready, later;
    struct event *turn, *retry;
    unsigned reserved_ids;
    uint64_t fd_limit, reserved;
    void (*on_change)(void *argument);
    void *on_change_argument;
    struct log_limit refused, movement, offences, stalled;
    struct witness witness;
};

/**
 * struct hub_setup - what a hub is made of
 *
 * The members have the meaning that they have in struct hub.
 */
struct hub_setup {
    struct event_base *base;
    const struct access *access;
    struct state *state;
    struct notify *store;
    struct clerk *clerk;
    bool trial;
    unsigned n_vectors, n_mailboxes;
    int memory_fd;
    struct slot *slots;
    size_t n_slots;
};

/**
 * hub_new() - a hub without seats and peers: hub_seat_slots() or restore_hub() comes next
 * @setup:   what it is made of
 * @out:     the hub
 * @failure: says what is missing
 *
 * Return: 0 or a negative errno.
 */
int hub_new(const struct hub_setup *setup, struct hub **out, struct failure *failure);

/**
 * hub_seat_slot() - make the seat of a slot
 *
 * Return: 0, -EEXIST when its ID belongs to somebody already, or another negative errno.
 */
int hub_seat_slot(struct hub *hub, struct slot *slot);

/**
 * hub_seat_slots() - make the seats of those slots that have none
 * @hub:     the hub
 * @failure: says what is missing
 *
 * A slot whose ID restored peers know as somebody else stays closed until they have left.
 *
 * Return: 0 or a negative errno.
 */
int hub_seat_slots(struct hub *hub, struct failure *failure);

/**
 * hub_free() - forget everybody
 * @hub:     may be NULL
 * @hang_up: end the connections; else whoever holds copies of the descriptors can carry on
 *
 * Return: NULL.
 */
struct hub *hub_free(struct hub *hub, bool hang_up);

/**
 * hub_new_serial() - a number for the socket of somebody who has just connected
 * @hub:  the hub
 * @sock: the socket; put into the store at once, if there is one
 */
unsigned hub_new_serial(struct hub *hub, int sock);

/**
 * hub_reserve() - make room in everybody's tables for one more ID
 * @hub: the hub
 * @id:  the ID; its own record gets room too
 *
 * Return: 0 or -ENOMEM.
 */
int hub_reserve(struct hub *hub, unsigned id);

/**
 * hub_admit() - somebody has connected: give it a seat and tell everybody, or turn it away
 * @hub:  the hub
 * @sock:   connected non-blocking socket; owned by the hub, whatever happens
 * @serial: its number, from hub_new_serial()
 * @slot:   the slot whose socket it came through, NULL for the peers' common one
 *
 * With a store, nobody hears of it before the store has all that is announced.
 */
void hub_admit(struct hub *hub, int sock, unsigned serial, struct slot *slot);

/** hub_add() - a restored peer takes its place; its seat is occupied and its announce restored */
void hub_add(struct hub *hub, struct peer *peer);

/** hub_list() - write "NUMBER NAME" lines of all sockets and doorbells, for a next program */
void hub_list(const struct hub *hub, FILE *out);

/** hub_wake_idle() - give a turn to those who have something to hear and do not know */
void hub_wake_idle(struct hub *hub);

/**
 * hub_vacated() - nobody sits in a seat any more: remove it, unless its leave is withheld
 * @hub:  the hub
 * @seat: vacant; may be freed
 */
void hub_vacated(struct hub *hub, struct seat *seat);

/** hub_sweep() - forget vacant seats that nobody connected knows: their IDs are free again */
void hub_sweep(struct hub *hub);

/**
 * hub_drop() - a peer is gone or has to go: hang up, free its seat, tell the others
 * @hub:  the hub
 * @peer: the peer; freed
 * @why:  what it did wrong, for the log; NULL when it simply left
 */
void hub_drop(struct hub *hub, struct peer *peer, const char *why);

/** hub_wake() - a peer has something to hear or room to hear it: it gets a turn */
void hub_wake(struct hub *hub, struct peer *peer);

/** hub_is_short_of_ids() - whether so few IDs are free that seats have to be used again */
bool hub_is_short_of_ids(const struct hub *hub);

#endif
