/* SPDX-License-Identifier: MIT
 *
 * A well-behaved pair of peers that keeps ringing each other, whatever others do to the server.
 */
#ifndef IVSHMEM_TESTS_PAIR_H
#define IVSHMEM_TESTS_PAIR_H

#include "tests/load/crowd.h"

/**
 * struct pair - two clients of a crowd
 * @crowd: only the pair is in it, at first
 * @one:   keeps all doorbells
 * @other: keeps all doorbells
 * @rings: doorbells that arrived
 */
struct pair {
    struct crowd *crowd;
    struct crowd_client *one, *other;
    unsigned long rings;
};

/** pair_join() - connect both and wait until they know each other; @n_others are there already */
void pair_join(struct pair *pair, const char *path, unsigned n_vectors, unsigned n_others);

/** pair_leave() - both leave, and the crowd with them */
void pair_leave(struct pair *pair);

/**
 * pair_ring() - each rings each vector of the other, and it must arrive
 *
 * The test fails if one does not arrive in time or if one of the two was disconnected.
 */
void pair_ring(struct pair *pair);

/**
 * pair_settle() - wait until everybody in the pair's crowd knows exactly the crowd and so many
 * others
 * @pair:     the pair; rings before and after
 * @n_others: peers of the server that are not in the crowd
 */
void pair_settle(struct pair *pair, unsigned n_others);

#endif
