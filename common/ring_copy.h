/* SPDX-License-Identifier: MIT
 *
 * Copies into and out of rings. There may be no libc, and where there is one, calling it costs a
 * small message half its speed, and a large one too: it does not know that the lines come from
 * another processor. So up to 128 bytes are moved by a few moves of fixed size that overlap in the
 * middle, and more by loops that go along the lines of the ring, whatever the private side's
 * alignment is.
 *
 * All go from the start to the end, as processors foresee it. Copies of some kilobytes into a ring
 * ask for its lines ahead, because the reader has them; from 8 KiB on the processor's own foresight
 * is better, and wider moves count.
 *
 * When the other side is far away (ring_distance.h), what costs is the exchange of lines between
 * two caches. Then large pieces go into the ring past the caches: the sender need not wait until
 * each line is taken away from the receiver. And the receiver leaves the loop to the processor,
 * which then has more lines under way at a time.
 */
#ifndef IVSHMEM_RING_COPY_H
#define IVSHMEM_RING_COPY_H

#include <stddef.h>
#include <stdint.h>

#include "ring_distance.h"

/* What lies at any address, and may be of any type. Compilers take vectors apart themselves for
 * machines that have none. */
typedef uint16_t ring_move2 __attribute__((aligned(1), may_alias));
typedef uint32_t ring_move4 __attribute__((aligned(1), may_alias));
typedef uint64_t ring_move8 __attribute__((aligned(1), may_alias));
typedef uint64_t ring_move16 __attribute__((vector_size(16), aligned(1), may_alias));
#if defined __x86_64__ && __STDC_HOSTED__
typedef uint64_t ring_move32 __attribute__((vector_size(32), aligned(1), may_alias));
#define RING_WIDE __attribute__((target("avx2")))
#endif

enum {
    RING_LINE = 64,    /* bytes of a cache line; a guess does no harm */
    RING_AHEAD = 512,  /* how far ahead lines are asked for */
    RING_LARGE = 8192, /* bytes from which on they are not */
    RING_STRING = 768, /* bytes from which on the instruction for strings is worth its start */
};

/** RING_LOAD() - read a ring_move from an address */
#define RING_LOAD(type, address) (*(const type *)(address))

/** RING_STORE() - write a ring_move to an address */
#define RING_STORE(type, address, value) (*(type *)(address) = (value))

/* Up to 16 bytes. */
static inline void ring_copy_few(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n >= 8) {
        uint64_t first = RING_LOAD(ring_move8, from), last = RING_LOAD(ring_move8, from + n - 8);

        RING_STORE(ring_move8, to, first);
        RING_STORE(ring_move8, to + n - 8, last);
    } else if (n >= 4) {
        uint32_t first = RING_LOAD(ring_move4, from), last = RING_LOAD(ring_move4, from + n - 4);

        RING_STORE(ring_move4, to, first);
        RING_STORE(ring_move4, to + n - 4, last);
    } else if (n >= 2) {
        uint16_t first = RING_LOAD(ring_move2, from), last = RING_LOAD(ring_move2, from + n - 2);

        RING_STORE(ring_move2, to, first);
        RING_STORE(ring_move2, to + n - 2, last);
    } else if (n) {
        *to = *from;
    }
}

/* 64 bytes, in one go. */
static inline void ring_copy_line(uint8_t *to, const uint8_t *from)
{
    ring_move16 a = RING_LOAD(ring_move16, from), b = RING_LOAD(ring_move16, from + 16);
    ring_move16 c = RING_LOAD(ring_move16, from + 32), d = RING_LOAD(ring_move16, from + 48);

    RING_STORE(ring_move16, to, a);
    RING_STORE(ring_move16, to + 16, b);
    RING_STORE(ring_move16, to + 32, c);
    RING_STORE(ring_move16, to + 48, d);
}

/* Bytes from an address to the end of its line. */
static inline size_t ring_copy_rest(const void *address)
{
    return RING_LINE - (uintptr_t)address % RING_LINE;
}

/* A line will be written soon; it may lie beyond what one may touch. */
static inline void ring_copy_ask(const void *address)
{
#ifdef __x86_64__
    /* Compilers have this for special processors only; others take it for nothing. */
    __asm__ volatile("prefetchw %0" : : "m"(*(const uint8_t *)address));
#else
    __builtin_prefetch(address, 1, 3);
#endif
}

/* What is left of @n bytes from byte @i on; there are 64 and more, @i is not more than @n. */
static inline void ring_copy_tail(uint8_t *to, const uint8_t *from, size_t i, size_t n)
{
    for (; n - i > 64; i += 64)
        ring_copy_line(to + i, from + i);
    ring_copy_line(to + n - 64, from + n - 64);
}

#ifdef RING_WIDE
/* Like ring_copy_tail(), with wider moves. */
RING_WIDE static inline void ring_copy_wide(uint8_t *to, const uint8_t *from, size_t i, size_t n)
{
    for (; n - i > 64; i += 64) {
        ring_move32 a = RING_LOAD(ring_move32, from + i), b = RING_LOAD(ring_move32, from + i + 32);

        RING_STORE(ring_move32, to + i, a);
        RING_STORE(ring_move32, to + i + 32, b);
    }
    ring_copy_line(to + n - 64, from + n - 64);
}
#endif

/* At least 128 bytes; the first @start of them bring the side that lies in the ring to a line. */
static inline void ring_copy_many(uint8_t *to, const uint8_t *from, size_t start, size_t n)
{
    ring_copy_line(to, from);
#ifdef RING_WIDE
    if (n >= RING_LARGE && __builtin_cpu_supports("avx2")) {
        ring_copy_wide(to, from, start, n);
        return;
    }
#endif
    ring_copy_tail(to, from, start, n);
}

/* Up to 128 bytes. */
static inline void ring_copy_small(void *to, const void *from, size_t n)
{
    uint8_t *t = (uint8_t *)to;
    const uint8_t *f = (const uint8_t *)from;

    if (n <= 16) {
        ring_copy_few(t, f, n);
    } else if (n <= 32) {
        ring_move16 first = RING_LOAD(ring_move16, f), last = RING_LOAD(ring_move16, f + n - 16);

        RING_STORE(ring_move16, t, first);
        RING_STORE(ring_move16, t + n - 16, last);
    } else if (n <= 64) {
        ring_move16 a = RING_LOAD(ring_move16, f), b = RING_LOAD(ring_move16, f + 16);
        ring_move16 c = RING_LOAD(ring_move16, f + n - 32);
        ring_move16 d = RING_LOAD(ring_move16, f + n - 16);

        RING_STORE(ring_move16, t, a);
        RING_STORE(ring_move16, t + 16, b);
        RING_STORE(ring_move16, t + n - 32, c);
        RING_STORE(ring_move16, t + n - 16, d);
    } else {
        ring_copy_line(t, f);
        ring_copy_line(t + n - 64, f + n - 64);
    }
}

/* At least 128 bytes into a ring, whose lines the reader has: they are asked for ahead. */
static inline void ring_copy_in_moves(uint8_t *to, const uint8_t *from, size_t n)
{
    size_t i = ring_copy_rest(to);

    ring_copy_line(to, from);
    for (; n - i > 64; i += 64) {
        ring_copy_ask((const void *)((uintptr_t)(to + i) + RING_AHEAD));
        ring_copy_line(to + i, from + i);
    }
    ring_copy_line(to + n - 64, from + n - 64);
}

#ifndef RING_ALWAYS_NEAR
/* At least 128 bytes into a ring, past the caches; of whole lines only. In any order with other
 * stores, but for the fence. */
static inline void ring_copy_in_past(uint8_t *to, const uint8_t *from, size_t n)
{
    size_t i = ring_copy_rest(to);

    ring_copy_line(to, from);
    for (; n - i >= 64; i += 64)
        for (size_t j = i; j < i + 64; j += 8)
            __asm__("movnti %1, %0"
                    : "=m"(*(ring_move8 *)(to + j))
                    : "r"(RING_LOAD(ring_move8, from + j)));
    ring_copy_small(to + i, from + i, n - i);
    __asm__ volatile("sfence" ::: "memory");
}
#endif

/**
 * ring_copy_in() - copy bytes into a ring
 * @ring: where to
 * @from: where from; they do not overlap
 * @n:    how many; with 0 nothing is touched
 * @far:  whether the receiver is far away
 */
static inline void ring_copy_in(void *ring, const void *from, size_t n, int far)
{
    uint8_t *to = (uint8_t *)ring;
    const uint8_t *f = (const uint8_t *)from;

    if (n <= 128)
        ring_copy_small(to, f, n);
    else if (n < RING_LARGE)
        ring_copy_in_moves(to, f, n);
#ifndef RING_ALWAYS_NEAR
    else if (far)
        ring_copy_in_past(to, f, n);
#endif
    else
        ring_copy_many(to, f, ring_copy_rest(to), n);
    (void)far;
}

/**
 * ring_copy_out() - copy bytes out of a ring
 * @to:   where to
 * @ring: where from; they do not overlap
 * @n:    how many; with 0 nothing is touched
 * @far:  whether the sender is far away
 */
static inline void ring_copy_out(void *to, const void *ring, size_t n, int far)
{
    if (n <= 128)
        ring_copy_small(to, ring, n);
#ifndef RING_ALWAYS_NEAR
    else if (far && n >= RING_STRING)
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(ring), "+c"(n) : : "memory");
#endif
    else
        ring_copy_many((uint8_t *)to, (const uint8_t *)ring, ring_copy_rest(ring), n);
    (void)far;
}

#endif
