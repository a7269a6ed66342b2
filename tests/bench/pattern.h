/* SPDX-License-Identifier: MIT
 *
 * What the messages of a benchmark say: a sequence of 64-bit words, each made of the message's
 * number and its own place. A byte that is lost, repeated, old, torn or in another place makes a
 * word wrong, and all words are compared, by every contender alike.
 *
 * A message that is made right in the ring is made as its sender's interface recommends
 * (pattern_fill_past()); what is copied afterwards is made in the caches.
 *
 * What it costs: the sender stores each word once (in the buffer that it then sends, or right in
 * the ring where there is no copy), as an application that makes its data would. The receiver loads
 * each once, as one that uses it would, and needs an addition and two logical operations for 16
 * bytes. That is less than a copy of bytes that come from another core, and the same for all;
 * the contender "check" does only this, on one buffer, so the tables say what it comes to.
 *
 * For C and C++.
 */
#ifndef IVSHMEM_TESTS_PATTERN_H
#define IVSHMEM_TESTS_PATTERN_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t pattern_pair __attribute__((vector_size(16), aligned(8), may_alias));

#define PATTERN_NUMBER UINT64_C(0x9e3779b97f4a7c15) /* from one message to the next; odd */
#define PATTERN_PLACE  UINT64_C(0xd1342543de82ef95) /* from one word to the next; odd */

/** pattern_word() - word @place of message @number */
static inline uint64_t pattern_word(uint64_t number, uint64_t place)
{
    return number * PATTERN_NUMBER + place * PATTERN_PLACE;
}

/**
 * pattern_fill() - write a message, or a piece of it
 * @to:     where to, aligned to 8 bytes
 * @number: of the message
 * @offset: of the piece in the message, a multiple of 8
 * @size:   bytes, a multiple of 64
 */
static inline void pattern_fill(void *to, uint64_t number, size_t offset, size_t size)
{
    const uint64_t first = pattern_word(number, offset / 8), step = 2 * PATTERN_PLACE;
    const pattern_pair next = {4 * step, 4 * step};
    pattern_pair a = {first, first + PATTERN_PLACE};
    pattern_pair b = a + step, c = b + step, d = c + step;
    pattern_pair *at = (pattern_pair *)to;

    for (size_t i = 0; i < size / 16; i += 4) {
        at[i] = a;
        at[i + 1] = b;
        at[i + 2] = c;
        at[i + 3] = d;
        a += next;
        b += next;
        c += next;
        d += next;
    }
}

/** pattern_fill_past() - the same with stores past the caches, where the machine has them */
static inline void pattern_fill_past(void *to, uint64_t number, size_t offset, size_t size)
{
#ifdef __x86_64__
    uint64_t word = pattern_word(number, offset / 8), *at = (uint64_t *)to;

    for (size_t i = 0; i < size / 8; i++, word += PATTERN_PLACE)
        __asm__("movnti %1, %0" : "=m"(at[i]) : "r"(word));
    __asm__ volatile("sfence" ::: "memory");
#else
    pattern_fill(to, number, offset, size);
#endif
}

/** pattern_differs() - not 0 when any bit is not as pattern_fill() wrote it; arguments as there */
static inline uint64_t pattern_differs(const void *from, uint64_t number, size_t offset,
                                       size_t size)
{
    const uint64_t first = pattern_word(number, offset / 8), step = 2 * PATTERN_PLACE;
    const pattern_pair next = {4 * step, 4 * step};
    pattern_pair a = {first, first + PATTERN_PLACE}, wrong = {0, 0}, wrong2 = {0, 0};
    pattern_pair b = a + step, c = b + step, d = c + step;
    const pattern_pair *at = (const pattern_pair *)from;

    for (size_t i = 0; i < size / 16; i += 4) {
        wrong |= (at[i] ^ a) | (at[i + 1] ^ b);
        wrong2 |= (at[i + 2] ^ c) | (at[i + 3] ^ d);
        a += next;
        b += next;
        c += next;
        d += next;
    }
    wrong |= wrong2;
    return wrong[0] | wrong[1];
}

#endif
