/* SPDX-License-Identifier: MIT
 *
 * Rings: what happens inside the memory of one channel. One side sends, the other receives, nobody
 * locks. Header-only and C11 freestanding, like layout.h; only a channel with LAYOUT_CRC32C needs
 * crc32c.c too (with RING_WITHOUT_CRC32C defined there is no such channel, and no need).
 *
 * Theory of operation
 *
 * The ring holds records. A record begins at a multiple of 8 bytes and never wraps:
 *
 *     0  word   bit 31: there is a record; bits 30..27: enum ring_kind; bits 26..0: payload, bytes
 *     4  check  CRC32C of the payload where the channel has it, else 0
 *     8  payload, filled up to a multiple of 8
 *
 * The word is the signal: 0 means not yet, and the receiver looks at nothing else to find out. So
 * the sender writes 0 where the next record will start, then check and payload, and the word last
 * (release); the receiver loads the word first (acquire). At the next start there are always 8
 * bytes to spare: used + record + 8 <= size. A record that goes right up to the end of the ring is
 * followed by one at its start; where the next does not fit before the end, RING_SKIP says so.
 *
 * A message is any number of RING_MORE and one RING_DATA. A piece is at most a quarter of the ring,
 * and RING_MORE has at least a byte. RING_ABORT takes back the pieces of a message that will not be
 * finished. RING_END and RING_MOVE are the last record of a ring; they use the 8 bytes to spare, so
 * there is always room for them. The pieces of one message may lie in two rings with a move
 * between.
 *
 * Tail and head count units of 8 bytes modulo 2^32: all of a record, of a RING_SKIP all up to the
 * end, of RING_MOVE and RING_END one. They go on counting in the next ring. Both ends keep them for
 * themselves and publish them now and then: the head when a quarter of the ring was taken (or the
 * receiver goes to sleep), the tail for whoever wants to know. That is enough: when the receiver
 * has taken all, less than a quarter is unpublished, and a record with a skip needs about half.
 *
 * Nothing that the other side writes is believed. Each word of it is loaded once into a local
 * variable, checked, and then only that is used. Whatever lies in the ring: nothing outside
 * of it is touched, each call ends, and a piece that is handed out lies in the ring, and is what
 * the sender wrote if the sender is honest and nobody else scribbles.
 *
 * Sleeping and waking
 *
 * Each side has a counter that is odd while it sleeps. There is no fence for each message: whoever
 * publishes just looks at the other's counter, which costs nothing while that does not change
 * (`wake`). Then a store may still be under way while the flag is read, and the other goes to sleep
 * unseen. Therefore a sleeper looks again after at most a millisecond, and then sleeps for ever;
 * and who is about to sleep himself, or wants no such millisecond, looks after a fence (`flush`, or
 * `wake` after his own `sleep`, which has one). To sleep:
 *
 *     if (!ring_receiver_sleep(r)) {                 1: there is something, do not
 *         if (ring_receiver_wake(r)) ring the sender
 *         if (ring_sender_wake(s)) ring the receiver  of the channel back, if there is one
 *         if !ring_receiver_certain(r): wait for the eventfd, at most 1 ms
 *         if nobody rang and !ring_receiver_look(r): wait for it as long as you like
 *         ring_receiver_awake(r);
 *     }
 *
 * and then try again; the sender that found the ring full does the same with ring_sender_sleep(),
 * _certain(), _look() and _awake(), and the same two _wake() in between. After a doorbell there
 * must be an _awake(), and another _sleep() if need be: nobody rings twice for one sleep. Doorbells
 * may come for nothing.
 *
 * Waiting a millisecond first costs a timer, which is dear where sides take turns and sleep each
 * time. So whoever has just rung expects to do it again, and does look after a fence, for some
 * time, and says so: it writes the value that it rang for into its line, `rang`. A sleeper that
 * finds the value of one of its own sleeps there knows that it will not be missed: it is
 * _certain().
 *
 *   The sender looks after a fence until RING_FENCED messages were put after it rang: each
 *   ring_sender_wake() does, if fewer were complete at the one before. The receiver is certain
 *   while it has taken fewer records than that since it made its counter the value in `rang`. Why
 *   that is enough: let R be the first record that it has not seen when it looked, after the fence
 *   of ring_receiver_sleep(). The sender saw the counter have that value before it rang, so what it
 *   put after it rang was taken later than that, and all but R and what follows was taken: fewer
 *   than RING_FENCED records, so as many messages at most were complete when R was put, and when
 *   ring_sender_wake() was asked before. So the one that is asked after R looks after a fence, and
 *   finds the receiver asleep.
 *
 *   The receiver, who tells so seldom what it has taken, always looks after a fence, and writes
 *   `rang` from the first time that it rings on. A sender that was rung once so is certain.
 *
 * Who does not care leaves `rang` 0, which is no value of a sleep, and is given the millisecond.
 *
 * _wake() is asked after each call that puts or takes something (or a burst of them). It says 1 at
 * most once for each sleep of the other side, and then its doorbell has to be rung.
 *
 * A receiver that spins calls ring_receiver_pause() after each RING_EMPTY, a sender that spins
 * calls ring_relax() after each RING_FULL.
 *
 * Each object is used by one thread at a time.
 */
#ifndef IVSHMEM_RING_H
#define IVSHMEM_RING_H

#include <stddef.h>
#include <stdint.h>

#include "layout.h" /* beside this file, also when installed */
#include "ring_copy.h"
#ifndef RING_WITHOUT_CRC32C
#include "crc32c.h"
#endif

/** enum ring_kind - of a record; other values are corrupt */
enum ring_kind {
    RING_DATA = 0, /* the end of a message, or all of it */
    RING_MORE,     /* a piece of a message that goes on */
    RING_SKIP,     /* go on at the start of the ring; no payload, like the next */
    RING_MOVE,     /* the last record here: go on in the next ring */
    RING_END,      /* the last record of the channel */
    RING_ABORT,    /* forget the pieces of the message so far */
};

#define RING_VALID       UINT32_C(0x80000000)
#define RING_KIND_SHIFT  27
#define RING_LENGTH_MASK UINT32_C(0x07ffffff)
#define RING_UNIT        8
#define RING_FENCED      64 /* messages; part of the format, like the rest */

/** enum ring_result - what a call says when it cannot do what it was asked */
enum ring_result {
    RING_OK = 0,
    RING_EMPTY = -1,    /* receiver: there is no record yet */
    RING_FULL = -2,     /* sender: there is no room yet */
    RING_CORRUPT = -3,  /* the other side wrote what cannot be; from now on every call says so */
    RING_ENDED = -4,    /* no more records, ever */
    RING_MOVED = -5,    /* receiver: the ring goes on elsewhere: ring_receiver_move() */
    RING_ABORTED = -6,  /* receiver: forget the pieces of the message so far; then go on */
    RING_MISMATCH = -7, /* receiver: a CRC32C was wrong, the piece is dropped; one may go on */
    RING_TOO_BIG = -8,  /* sender: more than a piece; receiver: does not fit the buffer */
    RING_INVALID = -9,  /* an argument that cannot be */
};

/**
 * struct ring_part - some memory of the caller
 * @data:   its bytes; a sender only reads them
 * @length: how many
 */
struct ring_part {
    void *data;
    size_t length;
};

/**
 * ring_piece_max() - how much payload a record can have
 * @size: bytes of the ring
 *
 * Return: a quarter of the ring, as far as a word can tell; a multiple of 8.
 */
static inline size_t ring_piece_max(size_t size)
{
    size_t most = RING_LENGTH_MASK / RING_UNIT * RING_UNIT;

    return size / 4 < most ? size / 4 : most;
}

/** ring_size_valid() - whether a ring can have so many bytes */
static inline int ring_size_valid(uint64_t size)
{
    return size >= LAYOUT_BLOCK && size <= LAYOUT_RING_MAX && size % LAYOUT_BLOCK == 0 &&
           size <= SIZE_MAX / 2;
}

/** ring_relax() - tell the processor that this is a loop that waits */
static inline void ring_relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__ || defined __arm__
    __asm__ volatile("yield" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

/* The fence between making one's own counter odd and the second look, and between publishing and
 * the look at the other's counter: of two sides that do this, one sees the other. The thread
 * sanitizer of gcc knows no fences, but this. */
static inline void ring_fence(void)
{
#ifdef __SANITIZE_THREAD__
    static uint32_t meeting;

    __atomic_fetch_add(&meeting, 1, __ATOMIC_SEQ_CST);
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Units of a record with so much payload; no length overflows. */
static inline size_t ring_units(size_t length)
{
    return length / RING_UNIT + (length % RING_UNIT != 0) + 1;
}

/* Word of a record. @length is at most RING_LENGTH_MASK. */
static inline uint32_t ring_word(enum ring_kind kind, size_t length)
{
    return RING_VALID | (uint32_t)kind << RING_KIND_SHIFT | (uint32_t)length;
}

/* Copies into the ring, and takes the CRC32C if @flags say so. */
static inline uint32_t ring_copy_in_checked(uint32_t flags, uint32_t crc, void *to,
                                            const void *from, size_t n, int far)
{
#ifndef RING_WITHOUT_CRC32C
    if (flags & LAYOUT_CRC32C)
        return crc32c_copy(crc, to, from, n);
#endif
    (void)flags;
    ring_copy_in(to, from, n, far);
    return crc;
}

/* Copies out of the ring, and takes the CRC32C if @flags say so. */
static inline uint32_t ring_copy_out_checked(uint32_t flags, uint32_t crc, void *to,
                                             const void *from, size_t n, int far)
{
#ifndef RING_WITHOUT_CRC32C
    if (flags & LAYOUT_CRC32C)
        return crc32c_copy(crc, to, from, n);
#endif
    (void)flags;
    ring_copy_out(to, from, n, far);
    return crc;
}

/* The CRC32C of bytes where they are, if @flags say so. */
static inline uint32_t ring_check(uint32_t flags, uint32_t crc, const void *data, size_t n)
{
#ifndef RING_WITHOUT_CRC32C
    if (flags & LAYOUT_CRC32C)
        return crc32c(crc, data, n);
#endif
    (void)flags;
    (void)data;
    (void)n;
    return crc;
}

/* Flags that this header can do. */
static inline int ring_flags_valid(uint32_t flags)
{
#ifdef RING_WITHOUT_CRC32C
    return flags == 0;
#else
    return (flags & ~(uint32_t)LAYOUT_CRC32C) == 0;
#endif
}

/* A statistic of 64 bits; where the machine has no such store, the halves one by one. */
static inline void ring_store_64(uint64_t *to, uint64_t value)
{
#if __SIZEOF_POINTER__ >= 8
    __atomic_store_n(to, value, __ATOMIC_RELAXED);
#else
    uint32_t *half = (uint32_t *)(void *)to;

    __atomic_store_n(&half[0], (uint32_t)value, __ATOMIC_RELAXED);
    __atomic_store_n(&half[1], (uint32_t)(value >> 32), __ATOMIC_RELAXED);
#endif
}

#include "ring_receive.h"
#include "ring_send.h"

#endif
