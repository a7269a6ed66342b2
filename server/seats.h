/* SPDX-License-Identifier: MIT
 *
 * Seats: the truth about who is there.
 *
 * A seat is an ID with its doorbells, as the other peers know it. A connected peer sits in one.
 * Seats stand in joining order, so that what a peer has not been told yet is simply the rest of
 * the list from where it stopped (announce.h).
 *
 * Theory of operation: when is an ID free again? QEMU corrupts its heap when an ID that left comes
 * back, so an ID may be given out anew only when no connected peer was ever told of it. The seats
 * count, for each ID, the connected peers that were told. Some seats outlast the peer in them:
 * pinned ones (slots), and those whose leave was withheld because IDs ran short. They are vacant,
 * keep their doorbells, and the next peer to sit there is nothing new to whoever knows them.
 */
#ifndef IVSHMEM_SEATS_H
#define IVSHMEM_SEATS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/idset.h"

struct state_seat;

/**
 * struct seat - an ID and its doorbells
 * @earlier:   who joined before, NULL for the first
 * @later:     who joined next, NULL for the last
 * @id:        peer ID
 * @claimed:   a newcomer is about to sit down here
 * @occupied:  a connected peer sits here
 * @order:     place in joining order that is remembered; 0 if nobody sat here yet
 * @pinned:    belongs to a slot: never given to others, its leave never told
 * @n_vectors: how many doorbells
 * @doorbells: eventfds, owned; index is the vector
 */
struct seat {
    struct seat *earlier, *later;
    unsigned id;
    bool claimed, occupied, pinned;
    uint64_t order;
    unsigned n_vectors;
    int doorbells[];
};

/**
 * struct seats - all seats
 * @first:     first in joining order
 * @last:      last in joining order
 * @by_id:     WIRE_ID_MAX + 1 pointers; NULL where there is no seat
 * @told:      for each ID, how many connected peers were ever told of it
 * @taken:     IDs that are seats or that somebody was told of: not free
 * @limit:     IDs are below this
 * @n_free:    how many of them are free
 * @n_seats:   how many seats there are
 * @n_vacant:  how many of them are free for anybody: neither claimed, occupied nor pinned
 * @records:   where every change is remembered (state.h), by ID; NULL for nowhere
 * @order:     the last place in joining order that was given out
 */
struct seats {
    struct seat *first, *last;
    struct seat **by_id;
    uint32_t *told;
    struct idset taken;
    unsigned limit, n_free, n_seats, n_vacant;
    struct state_seat *records;
    uint64_t *order;
};

/**
 * seats_init() - start with no seat and all IDs free
 *
 * Return: 0 or -ENOMEM.
 */
int seats_init(struct seats *seats);

/** seats_set_limit() - IDs have to be below @limit; before there is any seat */
void seats_set_limit(struct seats *seats, unsigned limit);

/** seats_deinit() - close all doorbells and forget all seats. */
void seats_deinit(struct seats *seats);

/**
 * seats_add() - make a seat with fresh doorbells, vacant and not yet in joining order
 * @seats:     the table
 * @id:        its ID, or -1 for the lowest free one
 * @n_vectors: doorbells to make, 1..WIRE_VECTORS_MAX
 * @out:       the seat; owned by @seats
 *
 * Return: 0, -ENOSPC when no ID is free or @id is beyond them, -EEXIST when @id is taken, -ENOMEM,
 * or what eventfd(2) says (-EMFILE, -ENFILE).
 */
int seats_add(struct seats *seats, int id, unsigned n_vectors, struct seat **out);

/** seats_pin() - make a vacant seat a slot's */
void seats_pin(struct seats *seats, struct seat *seat);

/**
 * seats_leaving() - remember that a vacant seat is about to be removed
 * @seats: the table
 * @seat:  the seat
 *
 * Between this and seats_remove() everybody who was told of the seat is marked (announce_left()).
 * Who restores a state in which that was begun does it again and ends it; nothing was sent yet.
 */
void seats_leaving(struct seats *seats, struct seat *seat);

/**
 * seats_remove() - close a seat's doorbells and forget it
 * @seats: the table
 * @seat:  no peer may sit in it, and no announce may point at it
 *
 * Its ID is free as soon as nobody connected was told of it.
 */
void seats_remove(struct seats *seats, struct seat *seat);

/** seats_claim() - a newcomer has been promised a vacant seat: nobody else gets it */
void seats_claim(struct seats *seats, struct seat *seat);

/**
 * seats_occupy() - a peer sits down: the seat becomes the last in joining order
 * @seats: the table
 * @seat:  a vacant or claimed seat that no announce has as its next
 */
void seats_occupy(struct seats *seats, struct seat *seat);

/** seats_vacate() - the peer got up, or the newcomer did not come; the seat keeps its place. */
void seats_vacate(struct seats *seats, struct seat *seat);

/** seats_vacant() - a vacant seat that is nobody's slot, NULL if there is none. */
struct seat *seats_vacant(const struct seats *seats);

/**
 * seats_restore() - put a seat in place as it is remembered
 * @seats:     the table, with its @records
 * @id:        a peer ID whose record is not SEAT_ABSENT
 * @doorbells: @n_vectors eventfds; owned by the seat on success
 * @n_vectors: how many
 * @out:       the seat; not yet in joining order (seats_put_in_order())
 *
 * Return: 0 or -ENOMEM.
 */
int seats_restore(struct seats *seats, unsigned id, const int *doorbells, unsigned n_vectors,
                  struct seat **out);

/**
 * seats_put_in_order() - all seats were restored: those that were sat in stand in joining order
 *
 * Return: 0 or -ENOMEM.
 */
int seats_put_in_order(struct seats *seats);

/** seats_told() - a connected peer is now told of an ID (once for each peer and ID). */
void seats_told(struct seats *seats, unsigned id);

/** seats_untold() - a peer that was told of an ID has disconnected. */
void seats_untold(struct seats *seats, unsigned id);

#endif
