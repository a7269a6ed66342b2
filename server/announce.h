/* SPDX-License-Identifier: MIT
 *
 * What one peer still has to be told.
 *
 * Theory of operation. Nothing is queued. The seats stand in joining order, and a peer has heard
 * of them up to some place in that order: a cursor. What it has to hear is its greeting, the rest
 * of the seat it is just being told of, the leaves of seats that it knows, and the seats after its
 * cursor. So a peer that does not read costs two bits for each ID, however many joins and leaves
 * it misses, and when it reads again it hears only what is true by then: a peer that came and went
 * in between is never mentioned. Its own seat stands in the same list, after those that were there
 * before it; that is why the greeting ends with its own vectors.
 *
 * Sending is speculative: announce_next() steps a copy of the cursor to fill a batch, and
 * announce_sent() then moves the real one by as many messages as the kernel took. Nothing changes
 * between the two.
 */
#ifndef IVSHMEM_ANNOUNCE_H
#define IVSHMEM_ANNOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/seats.h"

struct batch_effect;
struct state_peer;

/**
 * struct announce_handout - what a greeting gives, before it tells of the peers
 * @memory: descriptor of the shared memory; not owned
 * @daemon: ID by which the daemon is a peer, -1 if it is none
 * @bell:   doorbell by which this peer and no other rings the daemon; not owned
 */
struct announce_handout {
    int memory;
    int daemon;
    int bell;
};

/**
 * struct announce_cursor - a place in what has to be told
 * @greeted: messages of the greeting that are out: version, ID, memory, the daemon's doorbell
 * @next:    first seat in joining order that was not looked at; NULL at the end of the list
 * @current: seat whose vectors are just being told, NULL between two
 * @vector:  next vector of @current
 * @leave:   leaves of IDs below this were told
 */
struct announce_cursor {
    unsigned greeted;
    const struct seat *next, *current;
    unsigned vector;
    unsigned leave;
};

/**
 * struct announce - what one peer was told
 * @own:       the peer's own seat
 * @handout:   what its greeting gives
 * @cursor:    how far it was told
 * @told:      IDs that it was told of while connected, with those that have left since
 * @leaves:    those of them whose leave it has not been told
 * @n_leaves:  how many are in @leaves
 * @record:    where it is remembered (state.h); NULL for nowhere
 * @n_known:   seats it was told of and not told the leave of, its own among them: each holds
 *             n_vectors of the peer's descriptors
 */
struct announce {
    const struct seat *own;
    struct announce_handout handout;
    struct announce_cursor cursor;
    struct idset told, leaves;
    struct state_peer *record;
    unsigned n_leaves, n_known;
};

/**
 * struct announcement - one message
 * @value:  as it goes over the wire
 * @fd:     descriptor to go with it, -1 for none; not owned
 * @begins: ID of the seat that it is the first vector of, or -1
 * @ends:   ID whose leave it tells, or -1
 */
struct announcement {
    int64_t value;
    int fd;
    int begins, ends;
};

/**
 * announce_start() - a peer has connected: it has to be told everything
 * @announce:  zero-initialized, with room reserved for all seats (announce_reserve())
 * @seats:     the truth; @own is the last in its order
 * @own:       the peer's own seat
 * @handout:   what the greeting gives; the descriptors stay the caller's
 */
void announce_start(struct announce *announce, const struct seats *seats, const struct seat *own,
                    const struct announce_handout *handout);

/**
 * announce_remember() - keep what the peer was told in its record
 * @announce: zero-initialized
 * @record:   all zero for a newcomer; room for it is reserved by state_reserve()
 */
void announce_remember(struct announce *announce, struct state_peer *record);

/**
 * announce_restore() - carry on with what a record says
 * @announce:  zero-initialized
 * @record:    as another process left it
 * @seats:     all restored and in order; is told what the peer was told
 * @own:       the peer's seat
 * @handout:   what the greeting gives
 *
 * Return: 0, or -EPROTO when the record cannot be true.
 */
int announce_restore(struct announce *announce, struct state_peer *record, struct seats *seats,
                     const struct seat *own, const struct announce_handout *handout);

/**
 * announce_effect() - what a message changes in the peer's record, for a batch to remember
 * @cursor:  the cursor after the message
 * @message: the message
 */
struct batch_effect announce_effect(const struct announce_cursor *cursor,
                                    const struct announcement *message);

/**
 * announce_recover() - record messages of a batch that went out before their sender was killed
 * @record:  of the peer that they went to; recorded ones do no harm
 * @effects: of the batch's messages
 * @count:   how many went out
 */
void announce_recover(struct state_peer *record, const struct batch_effect *effects,
                      unsigned count);

/**
 * announce_deinit() - the peer has disconnected
 * @announce: afterwards it points nowhere
 * @seats:    is told that this peer knows of nobody any more
 */
void announce_deinit(struct announce *announce, struct seats *seats);

/**
 * announce_reserve() - make room for telling of an ID and of all below it
 * @announce: the peer
 * @id:       a seat's ID
 *
 * To be called for every peer before a seat is occupied, so that nothing can fail afterwards.
 *
 * Return: 0 or -ENOMEM.
 */
int announce_reserve(struct announce *announce, unsigned id);

/**
 * announce_moving() - a seat is about to leave its place in joining order
 * @announce: the peer; its cursor steps past the seat if it stands there
 * @seat:     the seat
 */
void announce_moving(struct announce *announce, const struct seat *seat);

/**
 * announce_joined() - a seat has become the last in joining order
 * @announce: the peer
 * @seat:     the seat
 */
void announce_joined(struct announce *announce, const struct seat *seat);

/**
 * announce_left() - a seat is about to be removed
 * @announce: the peer; has to be told the leave if it was told of the seat
 * @seat:     the seat; nothing here points at it afterwards
 */
void announce_left(struct announce *announce, const struct seat *seat);

/**
 * announce_next() - step a cursor over the next message
 * @announce: the peer
 * @cursor:   a copy of the peer's cursor
 * @message:  set to the message
 *
 * Return: false when there is nothing to tell.
 */
bool announce_next(const struct announce *announce, struct announce_cursor *cursor,
                   struct announcement *message);

/** announce_in_greeting() - whether version, ID or memory is not out yet: a QEMU waits for it */
bool announce_in_greeting(const struct announce *announce);

/** announce_pending() - whether there is anything to tell */
bool announce_pending(const struct announce *announce);

/**
 * announce_holds() - how many seats' doorbells the peer will hold when it has heard everything
 * @announce: the peer
 */
unsigned announce_holds(const struct announce *announce);

/** announce_backlog() - how many messages it takes to tell the peer everything */
uint64_t announce_backlog(const struct announce *announce);

/**
 * announce_sent() - messages have gone out
 * @announce: the peer
 * @seats:    is told which IDs the peer has now been told of
 * @count:    how many; they are what announce_next() would yield
 */
void announce_sent(struct announce *announce, struct seats *seats, unsigned count);

#endif
