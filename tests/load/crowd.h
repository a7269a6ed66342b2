/* SPDX-License-Identifier: MIT
 *
 * A crowd: hundreds of raw clients of the protocol in one process, each with a table of what it
 * was told, each message held against the rules.
 *
 * The rules, of one client: version, own ID, memory, the others, itself, in this order; the vectors
 * of a peer in one go and each with an eventfd; nobody is told twice without a leave between; only
 * who is known leaves; and since a QEMU does not survive it, nobody who left comes back. What
 * breaks a rule is recorded, and crowd_settle() then fails with it.
 *
 * The rules between clients hold at rest, when everybody who reads was told everything:
 * crowd_settle() compares all tables, vector by vector. An eventfd is told from another by its
 * eventfd-id (/proc/self/fdinfo/FD); the descriptor is then closed at once. Here that takes 7 us a
 * descriptor, beside 2.5 for receiving it, so 200 clients of 64 vectors (2.5 million) take half a
 * minute of one processor. Cheaper ways were weighed: kcmp(2) takes 1.5 us but needs one descriptor
 * of each kept, and a sample proves less; so it is every descriptor, and the default run of the
 * tests has fewer clients.
 */
#ifndef IVSHMEM_TESTS_CROWD_H
#define IVSHMEM_TESTS_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/fdpass.h"

enum crowd_keep {
    CROWD_KEEP_NONE, /* close each descriptor at once */
    CROWD_KEEP_OWN,  /* keep the client's own, to listen on */
    CROWD_KEEP_ALL,  /* keep the others' too, to ring them */
};

enum crowd_state {
    CROWD_IN,      /* it is in, or on its way: the greeting may still be coming */
    CROWD_REFUSED, /* the server turned it away */
    CROWD_ENDED,   /* the server hung up */
};

/**
 * struct crowd_peer - what one client was told of one peer
 * @next:     in the bucket of the client's table
 * @id:       the peer
 * @rank:     how many were told before it
 * @left:     its leave was told; the rest is history
 * @n_told:   vectors told so far
 * @vectors:  for each its eventfd-id, and the descriptor if it is kept, else -1
 */
struct crowd_peer {
    struct crowd_peer *next;
    unsigned id, rank, n_told;
    bool left;
    struct {
        uint32_t identity;
        int fd;
    } vectors[];
};

/**
 * struct crowd_client - one connection
 * @crowd:     where it belongs
 * @sock:      the socket; -1 once it has ended
 * @state:     whether it is still in
 * @stalled:   it does not read
 * @keep:      descriptors that it keeps
 * @joined:    its place in the order of connecting
 * @steps:     messages of the greeting that have come: version, ID, memory
 * @id:        its own ID; -1 until told
 * @own:       its own vectors; NULL until told, complete when n_told says so
 * @buckets:   table of who it was ever told of, by ID modulo @n_buckets
 * @n_buckets: a power of two
 * @current:   peer whose vectors are just being told
 * @n_known:   peers that it knows completely, itself among them
 * @n_told:    peers that it was ever told of
 * @n_left:    leaves that it was told of
 * @memory:    device and inode of the memory
 */
struct crowd_client {
    struct crowd *crowd;
    int sock;
    enum crowd_state state;
    bool stalled;
    enum crowd_keep keep;
    uint64_t joined;
    unsigned steps;
    int id;
    struct crowd_peer *own, **buckets, *current;
    unsigned n_buckets;
    unsigned n_known, n_told, n_left;
    struct fdpass_reader reader;
    struct {
        dev_t device;
        ino_t inode;
    } memory;
};

/**
 * struct crowd - all clients
 * @path:       the server's socket
 * @n_vectors:  doorbells of each peer
 * @identify:   compare eventfds (the benchmark does not)
 * @clients:    those that were not closed by crowd_leave()
 * @n_clients:  how many
 * @n_in:       how many of them are in (CROWD_IN)
 * @n_others:   peers of the same server that are not in this crowd: expected in each table
 * @messages:   messages that came, in all
 * @violation:  the first rule that was broken; empty if none was
 */
struct crowd {
    char path[108];
    unsigned n_vectors;
    bool identify;
    int epoll, fdinfo;
    struct crowd_client **clients;
    size_t n_clients, room;
    unsigned n_in, n_others;
    uint64_t messages, n_joined;
    char violation[256];
};

/** crowd_new() - a crowd without clients; the test fails if it cannot be made */
struct crowd *crowd_new(const char *path, unsigned n_vectors);

/** crowd_free() - all leave. Takes NULL, returns NULL. */
struct crowd *crowd_free(struct crowd *crowd);

/** crowd_connect() - a bare non-blocking connection to @path; the test fails if there is none */
int crowd_connect(const char *path);

/** crowd_join() - one more client */
struct crowd_client *crowd_join(struct crowd *crowd, enum crowd_keep keep);

/** crowd_leave() - a client closes its socket and is forgotten */
void crowd_leave(struct crowd_client *client);

/** crowd_stall() - a client stops reading */
void crowd_stall(struct crowd_client *client);

/** crowd_resume() - a client reads again */
void crowd_resume(struct crowd_client *client);

/**
 * crowd_pump() - read what is there
 * @crowd: the crowd
 * @ms:    how long to wait if nothing is there
 *
 * Return: how many messages came.
 */
unsigned crowd_pump(struct crowd *crowd, int ms);

/** crowd_knows() - whether a client has been told all vectors of an ID */
bool crowd_knows(const struct crowd_client *client, unsigned id);

/** crowd_was_told() - whether an ID was ever mentioned to a client, gone or not */
bool crowd_was_told(const struct crowd_client *client, unsigned id);

/** crowd_own() - descriptor of a client's own vector, as far as it keeps them */
int crowd_own(const struct crowd_client *client, unsigned vector);

/** crowd_doorbell() - descriptor of a peer's vector, as far as the client keeps them */
int crowd_doorbell(const struct crowd_client *client, unsigned id, unsigned vector);

/** crowd_greeted() - whether a client has its whole greeting */
bool crowd_greeted(const struct crowd_client *client);

/**
 * crowd_settle() - read until all who read know everybody, then compare all tables
 * @crowd:   the crowd; those that are stalled do not count, but the others must know them
 * @seconds: the test fails if it takes longer, times IVSHMEM_TEST_SLOW
 *
 * The test also fails when any rule was broken since the crowd was made, and when the server hung
 * up on a client or turned one away that is still in the crowd.
 */
void crowd_settle(struct crowd *crowd, unsigned seconds);

#endif
