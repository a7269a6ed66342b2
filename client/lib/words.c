/* SPDX-License-Identifier: MIT
 *
 * Atomic words in the memory. The kernel cannot do these for us: should somebody cut the object
 * between the look at its size and the touch, that is a SIGBUS. Sealed memory has no such moment.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "client/lib/handle.h"

/* With a lock behind them, which each process would have for itself, they would be worth nothing.
 */
static_assert(__atomic_always_lock_free(sizeof(uint64_t), 0), "64-bit atomics without a lock");

/* The address of a word that is there. */
static int find_word(struct ivshmem *iv, uint64_t offset, size_t size, void **word)
{
    int r;

    if (iv->memory.address && offset % size != 0)
        return failure_set(&iv->failure, EINVAL, "offset %" PRIu64 " is no multiple of %zu", offset,
                           size);
    r = memory_check(&iv->memory, offset, size, &iv->failure);
    if (r == 0)
        *word = iv->memory.address + offset;
    return r;
}

int ivshmem_load32(struct ivshmem *iv, uint64_t offset, uint32_t *value)
{
    void *word = NULL;
    int r = find_word(iv, offset, sizeof(*value), &word);

    if (r == 0)
        *value = __atomic_load_n((uint32_t *)word, __ATOMIC_ACQUIRE);
    return r;
}

int ivshmem_load64(struct ivshmem *iv, uint64_t offset, uint64_t *value)
{
    void *word = NULL;
    int r = find_word(iv, offset, sizeof(*value), &word);

    if (r == 0)
        *value = __atomic_load_n((uint64_t *)word, __ATOMIC_ACQUIRE);
    return r;
}

int ivshmem_store32(struct ivshmem *iv, uint64_t offset, uint32_t value)
{
    void *word = NULL;
    int r = find_word(iv, offset, sizeof(value), &word);

    if (r == 0)
        __atomic_store_n((uint32_t *)word, value, __ATOMIC_SEQ_CST);
    return r;
}

int ivshmem_store64(struct ivshmem *iv, uint64_t offset, uint64_t value)
{
    void *word = NULL;
    int r = find_word(iv, offset, sizeof(value), &word);

    if (r == 0)
        __atomic_store_n((uint64_t *)word, value, __ATOMIC_SEQ_CST);
    return r;
}

int ivshmem_add32(struct ivshmem *iv, uint64_t offset, uint32_t addend, uint32_t *before)
{
    uint32_t was;
    void *word = NULL;
    int r = find_word(iv, offset, sizeof(was), &word);

    if (r < 0)
        return r;
    was = __atomic_fetch_add((uint32_t *)word, addend, __ATOMIC_SEQ_CST);
    if (before)
        *before = was;
    return 0;
}

int ivshmem_add64(struct ivshmem *iv, uint64_t offset, uint64_t addend, uint64_t *before)
{
    uint64_t was;
    void *word = NULL;
    int r = find_word(iv, offset, sizeof(was), &word);

    if (r < 0)
        return r;
    was = __atomic_fetch_add((uint64_t *)word, addend, __ATOMIC_SEQ_CST);
    if (before)
        *before = was;
    return 0;
}

int ivshmem_compare_exchange32(struct ivshmem *iv, uint64_t offset, uint32_t *expected,
                               uint32_t desired)
{
    void *word = NULL;
    int r = find_word(iv, offset, sizeof(desired), &word);

    return r < 0 ? r
                 : __atomic_compare_exchange_n((uint32_t *)word, expected, desired, 0,
                                               __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

int ivshmem_compare_exchange64(struct ivshmem *iv, uint64_t offset, uint64_t *expected,
                               uint64_t desired)
{
    void *word = NULL;
    int r = find_word(iv, offset, sizeof(desired), &word);

    return r < 0 ? r
                 : __atomic_compare_exchange_n((uint64_t *)word, expected, desired, 0,
                                               __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
