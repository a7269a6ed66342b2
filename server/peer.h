/* SPDX-License-Identifier: MIT
 *
 * A peer: a client that is connected, and the seat it sits in.
 *
 * A peer is told what announce.h says it has to be told, a batch at a time, when the hub gives it
 * its turn. Its socket is watched for writing only while it is full. Whatever a peer sends is a
 * breach of the protocol and ends it; the daemon never installs a descriptor that a peer sent,
 * since it reads without room for control messages.
 */
#ifndef IVSHMEM_PEER_H
#define IVSHMEM_PEER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/announce.h"
#include "server/batch.h"
#include "server/credentials.h"

struct hub;
struct slot;

/** enum peer_state - where a peer is with its sends */
enum peer_state {
    PEER_ARRIVING, /* its descriptors are on the way into the store: nobody knows it yet */
    PEER_IDLE,     /* it was told everything */
    PEER_READY,    /* waits for its turn in the hub's list */
    PEER_FULL,     /* does not read: its socket is watched for writing */
    PEER_LATER,    /* the kernel had no room for more descriptors in flight: tried again soon */
};

/**
 * struct peer - a connected client
 * @all:        place in the hub's list of peers
 * @turn:       place in the hub's list of those that wait (PEER_READY, PEER_LATER, PEER_ARRIVING)
 * @hub:        where it belongs
 * @sock:       its socket, owned
 * @who:        the process behind it
 * @seat:       where it sits; owned by the hub's seats
 * @slot:       the slot that the seat belongs to, NULL for none
 * @serial:     number of its socket in the store
 * @bell:       doorbell by which it rings the daemon, owned, made for it alone; -1 for none
 * @announce:   what it was told
 * @state:      see enum peer_state
 * @awaited:    PEER_ARRIVING: the barrier that is under way covers it
 * @readable:   event: it said something, or hung up
 * @writable:   event: its socket has room again, or --peer-timeout is over
 * @joined:     when it joined, in seconds since 1970
 * @fd_limit:   descriptors its process may open; UINT64_MAX if not known
 * @fd_base:    descriptors its process had open when it connected
 */
struct peer {
    TAILQ_ENTRY(peer) all, turn;
    struct hub *hub;
    int sock;
    struct credentials who;
    struct seat *seat;
    struct slot *slot;
    unsigned serial;
    int bell;
    struct announce announce;
    enum peer_state state;
    bool awaited;
    struct event *readable, *writable;
    int64_t joined;
    uint64_t fd_limit, fd_base;
};

/**
 * peer_new() - take over a connection
 * @hub:  where it belongs
 * @sock: non-blocking socket; owned by the peer on success
 * @who:  the process behind it
 * @out:  the peer; it sits nowhere and is in no list yet
 *
 * Return: 0 or a negative errno.
 */
int peer_new(struct hub *hub, int sock, const struct credentials *who, struct peer **out);

/**
 * peer_hang_up() - end the connection, whoever else holds a descriptor of it
 * @peer: the peer
 *
 * One who waits for the rest of its greeting is told -2: a QEMU that sees only the end would spin.
 */
void peer_hang_up(const struct peer *peer);

/** peer_handout() - what the peer's greeting gives */
struct announce_handout peer_handout(const struct peer *peer);

/** peer_free() - forget a peer that is in no list. Takes NULL, returns NULL. */
struct peer *peer_free(struct peer *peer);

/**
 * peer_send() - tell a peer one batch of what it has to be told
 * @peer:  the peer
 * @batch: scratch space
 *
 * Return: the state that the peer should be in now, or a negative errno when it is lost.
 */
int peer_send(struct peer *peer, struct batch *batch);

/**
 * peer_hung_up() - whether a peer is gone, though the event loop has not noticed yet
 * @peer: the peer
 */
bool peer_hung_up(const struct peer *peer);

/**
 * peer_can_hold() - whether the peer's process has room for so many doorbells
 * @peer:      the peer
 * @doorbells: all that it will have been given
 *
 * The limit that was read when it connected is read again before the answer is no.
 */
bool peer_can_hold(struct peer *peer, uint64_t doorbells);

#endif
