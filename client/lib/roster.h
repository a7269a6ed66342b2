/* SPDX-License-Identifier: MIT
 *
 * The roster: what the server has told us so far, as a table. Who we are, the memory, and the
 * doorbells of every peer, our own included.
 *
 * Pure logic: it is fed the messages of the protocol one by one, and answers what each of them
 * changed. A message that makes no sense is refused by name, and its descriptor is closed.
 */
#ifndef IVSHMEM_ROSTER_H
#define IVSHMEM_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/failure.h"

/**
 * struct roster_peer - one peer and its doorbells
 * @next:    the peer that was heard of after this one
 * @prev:    the one before
 * @id:      0..WIRE_ID_MAX
 * @count:   number of vectors, at most WIRE_VECTORS_MAX
 * @vectors: their eventfds, owned
 */
struct roster_peer {
    struct roster_peer *next;
    struct roster_peer *prev;
    unsigned id;
    unsigned count;
    int *vectors;
};

enum roster_change {
    ROSTER_NOTHING,    /* a step of the greeting that nobody needs to hear of */
    ROSTER_CONNECTED,  /* our ID and the memory are known */
    ROSTER_JOINED,     /* a new peer, with its first vector */
    ROSTER_VECTOR,     /* another vector of a peer */
    ROSTER_OWN_VECTOR, /* another vector of ours: to be listened on */
    ROSTER_DAEMON,     /* the doorbell of the server itself */
    ROSTER_LEFT,       /* a peer is gone, its descriptors are closed */
};

/**
 * struct roster_event - what a message changed
 * @change: the kind
 * @peer:   ID of the peer it is about
 * @vector: number of the vector that was added
 * @fd:     its eventfd, which stays the roster's
 */
struct roster_event {
    enum roster_change change;
    unsigned peer;
    unsigned vector;
    int fd;
};

struct roster;

/**
 * roster_new() - a roster that waits for the first message of a greeting
 *
 * Return: the roster, or NULL when there is no memory.
 */
struct roster *roster_new(void);

/**
 * roster_free() - close every descriptor and forget everything
 * @roster: may be NULL
 *
 * Return: always NULL.
 */
struct roster *roster_free(struct roster *roster);

/**
 * roster_feed() - take one message
 * @roster:  the roster
 * @value:   of the message
 * @fd:      its descriptor or -1; the roster's from now on, also when the message is refused
 * @event:   set to what changed; left alone on error
 * @failure: names the message and what is wrong with it
 *
 * Return: 0, -EPROTO when the message makes no sense at this point, -EPROTONOSUPPORT when the
 * server speaks another version, -ECONNREFUSED when it turned us away, or -ENOMEM. After an error
 * the roster is good for roster_free() only.
 */
int roster_feed(struct roster *roster, int64_t value, int fd, struct roster_event *event,
                struct failure *failure);

/**
 * roster_expect_daemon() - the server may be a peer itself: one that looks after channels
 * @roster:    the roster, right after ROSTER_CONNECTED
 * @id:        the ID that it would have
 * @n_vectors: how many vectors we have in all, 0 if that is not known
 *
 * It is one only if the very next message is its doorbell. roster_find() finds it; it is not among
 * the others, who can be interrupted.
 */
void roster_expect_daemon(struct roster *roster, unsigned id, unsigned n_vectors);

/**
 * roster_connected() - whether ROSTER_CONNECTED has been
 * @roster: the roster
 */
bool roster_connected(const struct roster *roster);

/**
 * roster_complete() - whether the greeting has certainly ended
 * @roster: the roster
 *
 * True when we have as many vectors as the peer with most of them, or as we were said to have. A
 * roster without other peers never says so if nobody has said how many vectors the server gives.
 */
bool roster_complete(const struct roster *roster);

/**
 * roster_memory_fd() - the shared memory
 * @roster: the roster, which keeps it
 *
 * Return: a descriptor, or -1 before ROSTER_CONNECTED.
 */
int roster_memory_fd(const struct roster *roster);

/**
 * roster_own() - ourselves
 * @roster: the roster; our ID is valid after ROSTER_CONNECTED
 */
const struct roster_peer *roster_own(const struct roster *roster);

/**
 * roster_first() - the peer that was heard of first; others follow through its next member
 * @roster: the roster
 *
 * Return: NULL when we are alone.
 */
const struct roster_peer *roster_first(const struct roster *roster);

/**
 * roster_find() - look a peer up
 * @roster: the roster
 * @id:     any number; our own ID finds roster_own(), the server's its doorbell
 *
 * Return: the peer, or NULL.
 */
const struct roster_peer *roster_find(const struct roster *roster, unsigned id);

#endif
