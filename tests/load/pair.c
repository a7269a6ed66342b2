/* SPDX-License-Identifier: MIT
 *
 * See pair.h.
 */
#include "tests/load/pair.h"

#include <poll.h>

#include "common/doorbell.h"
#include "tests/load/harness.h"

enum { RING_SECONDS = 60, SETTLE_SECONDS = 120 };

void pair_join(struct pair *pair, const char *path, unsigned n_vectors, unsigned n_others)
{
    *pair = (struct pair){.crowd = crowd_new(path, n_vectors)};
    pair->one = crowd_join(pair->crowd, CROWD_KEEP_ALL);
    pair->other = crowd_join(pair->crowd, CROWD_KEEP_ALL);
    pair_settle(pair, n_others);
}

void pair_leave(struct pair *pair)
{
    pair->crowd = crowd_free(pair->crowd);
}

static void ring_one(struct pair *pair, const struct crowd_client *from,
                     const struct crowd_client *to, unsigned vector)
{
    struct pollfd bell = {.fd = crowd_own(to, vector), .events = POLLIN};
    int64_t deadline = deadline_in(RING_SECONDS);
    int doorbell = crowd_doorbell(from, (unsigned)to->id, vector);

    require(doorbell_ring(doorbell) == 0, "client %d cannot ring client %d", from->id, to->id);
    while (poll(&bell, 1, 100) == 0)
        require(now_ms() < deadline, "a ring of client %d did not reach vector %u of client %d",
                from->id, vector, to->id);
    require(doorbell_take(bell.fd) == 1, "vector %u of client %d has no ring to take", vector,
            to->id);
    pair->rings++;
}

void pair_ring(struct pair *pair)
{
    while (crowd_pump(pair->crowd, 0))
        continue;
    require(pair->one->state == CROWD_IN && pair->other->state == CROWD_IN,
            "one of the well-behaved pair was disconnected");
    for (unsigned i = 0; i < pair->crowd->n_vectors; i++) {
        ring_one(pair, pair->one, pair->other, i);
        ring_one(pair, pair->other, pair->one, i);
    }
}

void pair_settle(struct pair *pair, unsigned n_others)
{
    pair->crowd->n_others = n_others;
    crowd_settle(pair->crowd, SETTLE_SECONDS);
    pair_ring(pair);
}
