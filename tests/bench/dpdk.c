/* SPDX-License-Identifier: MIT
 *
 * Contenders: DPDK's rte_ring with one producer and one consumer. It carries the places of buffers
 * of a pool, into which messages are copied, and out of which they are copied; one by one, and
 * many with one call.
 *
 * A pool of DPDK would need its environment, and cost as much again as the ring. Here buffers are
 * used in turn: the ring takes two bursts fewer than the pool has, one that the producer fills and
 * one that the consumer empties, so whatever comes next was given back. That is in favour of this
 * contender.
 */
#include <rte_memcpy.h>
#include <rte_ring.h>

#include "tests/bench/pattern.h"
#include "tests/bench/transport.h"

/* The queue is divided into buffers; the ring lies in the memory after it. */
static struct rte_ring *ring_of(const struct lane *lane)
{
    return (struct rte_ring *)(void *)(lane->queue + LANE_QUEUE_MAX);
}

static unsigned buffers(const struct lane *lane)
{
    return (unsigned)(lane_queue(lane->size) / lane->size);
}

static void prepare(struct lane *lane)
{
    if (rte_ring_init(ring_of(lane), "bench", buffers(lane) - 2 * lane->burst,
                      RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ))
        lane_wrong(lane, 0);
}

/* A small message is moved in line, a large one by whoever does it best. */
static inline void copy(void *to, const void *from, size_t size)
{
    if (size <= 1024)
        rte_memcpy(to, from, size);
    else
        memcpy(to, from, size);
}

static void single_send(struct lane *lane)
{
    struct rte_ring *ring = ring_of(lane);
    const unsigned n_buffers = buffers(lane);
    unsigned next = 0;

    for (uint64_t i = 0; i < lane->count; i++) {
        uint8_t *place = lane->queue + next * lane->size;

        pattern_fill(lane->buffer, i, 0, lane->size);
        copy(place, lane->buffer, lane->size);
        while (rte_ring_sp_enqueue(ring, place))
            lane_pause(lane);
        next = next + 1 == n_buffers ? 0 : next + 1;
    }
}

static void single_receive(struct lane *lane)
{
    struct rte_ring *ring = ring_of(lane);
    void *place;

    for (uint64_t i = 0; i < lane->count; i++) {
        while (rte_ring_sc_dequeue(ring, &place))
            lane_pause(lane);
        copy(lane->buffer, place, lane->size);
        if (pattern_differs(lane->buffer, i, 0, lane->size))
            lane_wrong(lane, i);
    }
}

static void bulk_send(struct lane *lane)
{
    struct rte_ring *ring = ring_of(lane);
    const unsigned n_buffers = buffers(lane);
    void *places[LANE_BURST];
    unsigned next = 0;

    for (uint64_t i = 0; i < lane->count;) {
        unsigned n = lane_next_burst(lane, i);

        for (unsigned j = 0; j < n; j++)
            pattern_fill(lane->buffer + j * lane->size, i + j, 0, lane->size);
        for (unsigned j = 0; j < n; j++) {
            places[j] = lane->queue + next * lane->size;
            copy(places[j], lane->buffer + j * lane->size, lane->size);
            next = next + 1 == n_buffers ? 0 : next + 1;
        }
        while (!rte_ring_sp_enqueue_bulk(ring, places, n, NULL))
            lane_pause(lane);
        i += n;
    }
}

static void bulk_receive(struct lane *lane)
{
    struct rte_ring *ring = ring_of(lane);
    void *places[LANE_BURST];

    for (uint64_t i = 0; i < lane->count;) {
        unsigned n;

        while (!(n = rte_ring_sc_dequeue_burst(ring, places, lane->burst, NULL)))
            lane_pause(lane);
        for (unsigned j = 0; j < n; j++)
            copy(lane->buffer + j * lane->size, places[j], lane->size);
        for (unsigned j = 0; j < n; j++, i++)
            if (pattern_differs(lane->buffer + j * lane->size, i, 0, lane->size))
                lane_wrong(lane, i);
    }
}

const struct transport transports_dpdk[] = {
    {"dpdk", 64, LANE_LARGE, prepare, single_send, single_receive},
    {"dpdk bulk", 64, LANE_LARGE, prepare, bulk_send, bulk_receive},
    {.name = NULL},
};
