/* SPDX-License-Identifier: MIT
 *
 * Contenders without a queue: what the machine can do, and what the kernel offers.
 *
 * The copy loops are the limit for all that copies in and out between two cores: one process copies
 * into the shared memory, the other copies out. No framing, and counters only for each CHUNK. One
 * has a loop of moves and one calls memcpy(3). The two of one process alone say what a copy and the
 * check cost.
 */
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/bench/pattern.h"
#include "tests/bench/transport.h"

enum { CHUNK = 64 * 1024 };

/* Bytes that were copied so far, of one process each. */
struct laps {
    uint64_t in, apart[15], out, apart2[15];
};

static struct laps *laps_of(const struct lane *lane)
{
    return (struct laps *)(void *)lane->words;
}

static void laps_prepare(struct lane *lane)
{
    *laps_of(lane) = (struct laps){.in = 0};
}

/* How bytes are copied; both are given a chance, since neither is best everywhere. */
typedef void copy_way(void *to, const void *from, size_t size);

static inline void copy_libc(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
}

static inline void copy_moves(void *to, const void *from, size_t size)
{
    const pattern_pair *f = from;
    pattern_pair *t = to;

    for (size_t i = 0; i < size / 16; i += 4) {
        pattern_pair a = f[i], b = f[i + 1], c = f[i + 2], d = f[i + 3];

        t[i] = a;
        t[i + 1] = b;
        t[i + 2] = c;
        t[i + 3] = d;
    }
}

static inline __attribute__((always_inline)) void laps_send(struct lane *lane, copy_way *copy)
{
    struct laps *laps = laps_of(lane);
    const size_t room = lane_queue(lane->size);
    const size_t chunk = lane->size > CHUNK ? lane->size : CHUNK;
    uint64_t in = 0, all = lane->count * lane->size;

    for (uint64_t i = 0; i < lane->count; i++) {
        pattern_fill(lane->buffer, i, 0, lane->size);
        if (in % chunk == 0)
            while (in + chunk - __atomic_load_n(&laps->out, __ATOMIC_ACQUIRE) > room)
                lane_pause(lane);
        copy(lane->queue + in % room, lane->buffer, lane->size);
        in += lane->size;
        if (in % chunk == 0 || in == all)
            __atomic_store_n(&laps->in, in, __ATOMIC_RELEASE);
    }
}

static inline __attribute__((always_inline)) void laps_receive(struct lane *lane, copy_way *copy)
{
    struct laps *laps = laps_of(lane);
    const size_t room = lane_queue(lane->size);
    const size_t chunk = lane->size > CHUNK ? lane->size : CHUNK;
    uint64_t out = 0, in = 0;

    for (uint64_t i = 0; i < lane->count; i++) {
        while (in < out + lane->size) {
            in = __atomic_load_n(&laps->in, __ATOMIC_ACQUIRE);
            if (in < out + lane->size)
                lane_pause(lane);
        }
        copy(lane->buffer, lane->queue + out % room, lane->size);
        out += lane->size;
        if (out % chunk == 0)
            __atomic_store_n(&laps->out, out, __ATOMIC_RELEASE);
        if (pattern_differs(lane->buffer, i, 0, lane->size))
            lane_wrong(lane, i);
    }
}

static void libc_send(struct lane *lane)
{
    laps_send(lane, copy_libc);
}

static void libc_receive(struct lane *lane)
{
    laps_receive(lane, copy_libc);
}

static void moves_send(struct lane *lane)
{
    laps_send(lane, copy_moves);
}

static void moves_receive(struct lane *lane)
{
    laps_receive(lane, copy_moves);
}

static void memcpy_receive(struct lane *lane)
{
    uint8_t *to = lane->buffer + LANE_LARGE;

    for (uint64_t i = 0; i < lane->count; i++) {
        pattern_fill(lane->buffer, i, 0, lane->size);
        memcpy(to, lane->buffer, lane->size);
        if (pattern_differs(to, i, 0, lane->size))
            lane_wrong(lane, i);
    }
}

static void check_receive(struct lane *lane)
{
    pattern_fill(lane->buffer, 0, 0, lane->size);
    for (uint64_t i = 0; i < lane->count; i++) {
        __asm__ volatile("" ::: "memory"); /* it could be another message, as for all others */
        if (pattern_differs(lane->buffer, 0, 0, lane->size))
            lane_wrong(lane, i);
    }
}

static void stream_send(struct lane *lane)
{
    for (uint64_t i = 0; i < lane->count; i++) {
        pattern_fill(lane->buffer, i, 0, lane->size);
        for (size_t done = 0; done < lane->size;) {
            ssize_t n = send(lane->stream[0], lane->buffer + done, lane->size - done, 0);

            if (n <= 0)
                lane_wrong(lane, i);
            done += (size_t)n;
        }
    }
}

static void stream_receive(struct lane *lane)
{
    for (uint64_t i = 0; i < lane->count; i++)
        if (recv(lane->stream[1], lane->buffer, lane->size, MSG_WAITALL) != (ssize_t)lane->size ||
            pattern_differs(lane->buffer, i, 0, lane->size))
            lane_wrong(lane, i);
}

const struct transport transports_plain[] = {
    {"unix stream", 64, LANE_LARGE, NULL, stream_send, stream_receive},
    {"copy loop", 64, LANE_LARGE, laps_prepare, moves_send, moves_receive},
    {"memcpy loop", 64, LANE_LARGE, laps_prepare, libc_send, libc_receive},
    {"memcpy", 64, LANE_LARGE, NULL, NULL, memcpy_receive},
    {"check", 64, LANE_LARGE, NULL, NULL, check_receive},
    {NULL},
};
