/* SPDX-License-Identifier: MIT
 *
 * What the contenders of bench_channel have in common. A contender is a struct transport: how one
 * process sends a number of messages and another receives and checks them. All use the same shared
 * memory, and as much of it.
 *
 * To add one: write it in a file of its own, and put its array into transports.c. For C and C++.
 */
#ifndef IVSHMEM_TESTS_TRANSPORT_H
#define IVSHMEM_TESTS_TRANSPORT_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    LANE_WORDS = 4096,            /* shared memory before the queue, for words of control */
    LANE_QUEUE = 1024 * 1024,     /* bytes that a queue may use */
    LANE_QUEUE_MAX = 4096 * 1024, /* the same for messages of 1 MiB, of which four shall fit */
    LANE_TAIL = 256 * 1024,       /* shared memory after the queue, for what else one has */
    LANE_LARGE = 1024 * 1024,
    LANE_BURST = 32, /* at most */
};

/** lane_queue() - bytes of the queue for messages of this size */
#define lane_queue(size) ((size) < LANE_LARGE ? LANE_QUEUE : LANE_QUEUE_MAX)

/**
 * struct lane - what a process has to send or to receive with; same addresses in both
 * @words:     LANE_WORDS bytes of shared memory
 * @queue:     lane_queue(@size) bytes of shared memory; from LANE_QUEUE_MAX on, LANE_TAIL more
 * @buffer:    this process's own, LANE_QUEUE_MAX bytes
 * @name:      of the contender
 * @size:      bytes of a message, a multiple of 64
 * @count:     messages of this round, numbered from 0
 * @burst:     messages of a burst
 * @doorbells: an eventfd to wake the sending, and one to wake the receiving process
 * @counters:  the same as blocking eventfds
 * @stream:    UNIX stream sockets of the sending and of the receiving process
 * @pauses:    spinning steps so far
 */
struct lane {
    uint8_t *words, *queue, *buffer;
    const char *name;
    size_t size;
    uint64_t count;
    unsigned burst;
    int doorbells[2], counters[2], stream[2];
    unsigned pauses;
};

/**
 * struct transport - a contender
 * @name:    in the tables; NULL ends an array
 * @least:   size of the smallest message that it is measured with
 * @most:    of the largest
 * @prepare: before each round, in one process, while the other waits; NULL for nothing
 * @send:    send @count messages; NULL: the receiving process needs nobody else
 * @receive: receive and check them; this is what is timed
 *
 * For a round trip, @send asks and @receive answers.
 */
struct transport {
    const char *name;
    size_t least, most;
    void (*prepare)(struct lane *lane);
    void (*send)(struct lane *lane);
    void (*receive)(struct lane *lane);
};

/** transports_all() - arrays of contenders, in the order of the tables; NULL is the end */
const struct transport *const *transports_all(void);

extern const struct transport transports_ring[], transports_waiting[], transports_library[],
    transports_boost[], transports_dpdk[], transports_plain[], transports_trip[];

/** lane_wrong() - end the program: message @number is not what was sent, or did not come */
void lane_wrong(const struct lane *lane, uint64_t number) __attribute__((noreturn));

/* For each step of spinning: where two processes share a processor, it has to be let go. */
static inline void lane_step(struct lane *lane)
{
    if (++lane->pauses % 16384 == 0)
        sched_yield();
}

/* One step of spinning, for all that have no better one. */
static inline void lane_pause(struct lane *lane)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield" ::: "memory");
#endif
    lane_step(lane);
}

/* How many messages the next burst has. */
static inline unsigned lane_next_burst(const struct lane *lane, uint64_t done)
{
    return lane->count - done < lane->burst ? (unsigned)(lane->count - done) : lane->burst;
}

#ifdef __cplusplus
}
#endif

#endif
