/* SPDX-License-Identifier: MIT
 *
 * Copies into and out of rings. There may be no libc, and where there is one, calling it costs a
 * small message half its speed: so up to 128 bytes are moved by a few moves of fixed size that
 * overlap in the middle, and more by a loop. The moves go from the end to the start: the line that
 * holds a record's word is then written last, right before the word, and is not taken away half
 * written by a reader that looks at the word all the time.
 */
#ifndef IVSHMEM_RING_COPY_H
#define IVSHMEM_RING_COPY_H

#include <stddef.h>
#include <stdint.h>

/* What lies at any address, and may be of any type. Compilers take vectors apart themselves for
 * machines that have none. */
typedef uint16_t ring_move2 __attribute__((aligned(1), may_alias));
typedef uint32_t ring_move4 __attribute__((aligned(1), may_alias));
typedef uint64_t ring_move8 __attribute__((aligned(1), may_alias));
typedef uint64_t ring_move16 __attribute__((vector_size(16), aligned(1), may_alias));

/** RING_LOAD() - read a ring_move from an address */
#define RING_LOAD(type, address) (*(const type *)(address))

/** RING_STORE() - write a ring_move to an address */
#define RING_STORE(type, address, value) (*(type *)(address) = (value))

/* Up to 16 bytes. */
static inline void ring_copy_few(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n >= 8) {
        uint64_t first = RING_LOAD(ring_move8, from), last = RING_LOAD(ring_move8, from + n - 8);

        RING_STORE(ring_move8, to + n - 8, last);
        RING_STORE(ring_move8, to, first);
    } else if (n >= 4) {
        uint32_t first = RING_LOAD(ring_move4, from), last = RING_LOAD(ring_move4, from + n - 4);

        RING_STORE(ring_move4, to + n - 4, last);
        RING_STORE(ring_move4, to, first);
    } else if (n >= 2) {
        uint16_t first = RING_LOAD(ring_move2, from), last = RING_LOAD(ring_move2, from + n - 2);

        RING_STORE(ring_move2, to + n - 2, last);
        RING_STORE(ring_move2, to, first);
    } else if (n) {
        *to = *from;
    }
}

/* 64 bytes, in one go. */
static inline void ring_copy_line(uint8_t *to, const uint8_t *from)
{
    ring_move16 a = RING_LOAD(ring_move16, from), b = RING_LOAD(ring_move16, from + 16);
    ring_move16 c = RING_LOAD(ring_move16, from + 32), d = RING_LOAD(ring_move16, from + 48);

    RING_STORE(ring_move16, to + 48, d);
    RING_STORE(ring_move16, to + 32, c);
    RING_STORE(ring_move16, to + 16, b);
    RING_STORE(ring_move16, to, a);
}

/* More than 128 bytes. */
static inline void ring_copy_many(uint8_t *to, const uint8_t *from, size_t n)
{
    size_t done = 0;

    for (; n - done > 64; done += 64)
        ring_copy_line(to + done, from + done);
    ring_copy_line(to + n - 64, from + n - 64);
}

/**
 * ring_copy() - copy bytes that do not overlap
 * @to:   where to
 * @from: where from
 * @n:    how many; with 0 nothing is touched
 */
static inline void ring_copy(void *to, const void *from, size_t n)
{
    uint8_t *t = (uint8_t *)to;
    const uint8_t *f = (const uint8_t *)from;

    if (n <= 16) {
        ring_copy_few(t, f, n);
    } else if (n <= 32) {
        ring_move16 first = RING_LOAD(ring_move16, f), last = RING_LOAD(ring_move16, f + n - 16);

        RING_STORE(ring_move16, t + n - 16, last);
        RING_STORE(ring_move16, t, first);
    } else if (n <= 64) {
        ring_move16 a = RING_LOAD(ring_move16, f), b = RING_LOAD(ring_move16, f + 16);
        ring_move16 c = RING_LOAD(ring_move16, f + n - 32);
        ring_move16 d = RING_LOAD(ring_move16, f + n - 16);

        RING_STORE(ring_move16, t + n - 16, d);
        RING_STORE(ring_move16, t + n - 32, c);
        RING_STORE(ring_move16, t + 16, b);
        RING_STORE(ring_move16, t, a);
    } else if (n <= 128) {
        ring_copy_line(t + n - 64, f + n - 64);
        ring_copy_line(t, f);
    } else {
        ring_copy_many(t, f, n);
    }
}

#endif
