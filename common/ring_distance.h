/* SPDX-License-Identifier: MIT
 *
 * How far away the other side's processor is. On that depends how large pieces are best copied (see
 * ring_copy.h), and it cannot be known beforehand: hosts move the processors of their guests, from
 * two threads of one core to sockets that are far apart. So each side takes the time of loading a
 * word that the other writes for each quarter of the ring: if it is another one than before, it
 * has come from the other's cache. The receiver does so as often, the sender whenever it looks for
 * room, and after each large record.
 */
#ifndef IVSHMEM_RING_DISTANCE_H
#define IVSHMEM_RING_DISTANCE_H

#include <stdint.h>

/* Where there is a clock that is fine enough, and where it matters. Sanitizers shall see each
 * access of a copy, so with them everything is near. */
#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RING_ALWAYS_NEAR
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || !defined __x86_64__
#define RING_ALWAYS_NEAR
#endif

/* Ticks, the fences' among them. It is 30 to 150 where the two share a cache, and 250 and more
 * where they do not; the clock has 2 to 4 ticks in a nanosecond. */
enum { RING_FAR = 200 };

/**
 * struct ring_distance - private to a side of a ring, and 0 at first
 * @ticks: that a load took lately
 * @last:  what was loaded
 */
struct ring_distance {
    uint32_t ticks, last;
};

#ifndef RING_ALWAYS_NEAR
/* The time, after all loads before. */
static inline uint64_t ring_distance_clock(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}
#endif

/**
 * ring_distance_load() - load (acquire) a word of the other side, and see how long that takes
 * @distance: of this side
 * @word:     one that the other changes now and then
 */
static inline uint32_t ring_distance_load(struct ring_distance *distance, const uint32_t *word)
{
#ifdef RING_ALWAYS_NEAR
    (void)distance;
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
#else
    uint64_t start = ring_distance_clock();
    uint32_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    uint64_t ticks = ring_distance_clock() - start;

    if (value == distance->last) /* it was here already */
        return value;
    distance->last = value;
    if (ticks > 2 * RING_FAR) /* so that one interruption does not matter */
        ticks = 2 * RING_FAR;
    distance->ticks = (3 * distance->ticks + (uint32_t)ticks) / 4;
    return value;
#endif
}

/** ring_distance_far() - whether lines come from another cache that is not near */
static inline int ring_distance_far(const struct ring_distance *distance)
{
    return distance->ticks > RING_FAR;
}

#endif
