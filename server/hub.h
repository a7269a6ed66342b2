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
#include <sys/queue.h>

#include "common/failure.h"
#include "common/log.h"
#include "server/access.h"
#include "server/batch.h"
#include "server/peer.h"
#include "server/seats.h"
#include "server/slot.h"

TAILQ_HEAD(peer_list, peer);

/**
 * struct hub - all peers
 * @base:      event loop; not owned
 * @access:    who may join and what for; not owned, may change between two events
 * @seats:     the truth about who is there
 * @n_vectors: doorbells of each peer
 * @memory_fd: descriptor of the memory that peers are given; not owned
 * @slots:     pinned seats; not owned
 * @n_slots:   how many
 * @peers:     all connected peers
 * @n_peers:   how many
 * @ready:     those that wait for their turn
 * @later:     those that wait for descriptors in flight to land
 * @turn:      event: the next round
 * @retry:     event: time to try those in @later
 * @batch:     scratch space for sending
 * @fd_limit:  descriptors this process may open
 * @on_room:   called when descriptors were given back
 * @on_room_argument: its argument
 * @refused:   limits the log lines of refusals
 * @movement:  limits the log lines of joins and leaves
 * @stalled:   limits the log lines of peers that have to wait
 */
struct hub {
    struct event_base *base;
    const struct access *access;
    struct seats seats;
    unsigned n_vectors;
    int memory_fd;
    struct slot *slots;
    size_t n_slots;
    struct peer_list peers;
    unsigned n_peers;
    struct peer_list ready, later;
    struct event *turn, *retry;
    struct batch batch;
    uint64_t fd_limit;
    void (*on_room)(void *argument);
    void *on_room_argument;
    struct log_limit refused, movement, stalled;
};

/**
 * struct hub_setup - what a hub is made of
 *
 * The members have the meaning that they have in struct hub.
 */
struct hub_setup {
    struct event_base *base;
    const struct access *access;
    unsigned n_vectors;
    int memory_fd;
    struct slot *slots;
    size_t n_slots;
};

/**
 * hub_new() - a hub without peers, with the seats of its slots made
 * @setup:   what it is made of
 * @out:     the hub
 * @failure: says what is missing
 *
 * Return: 0 or a negative errno.
 */
int hub_new(const struct hub_setup *setup, struct hub **out, struct failure *failure);

/** hub_free() - hang up on everybody and forget them. Takes NULL, returns NULL. */
struct hub *hub_free(struct hub *hub);

/**
 * hub_admit() - somebody has connected: give it a seat and tell everybody, or turn it away
 * @hub:  the hub
 * @sock: connected non-blocking socket; owned by the hub, whatever happens
 * @slot: the slot whose socket it came through, NULL for the peers' common one
 */
void hub_admit(struct hub *hub, int sock, struct slot *slot);

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
