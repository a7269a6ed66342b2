/* SPDX-License-Identifier: MIT
 *
 * A set of peer IDs: one bit each, as long as the highest ID that was ever reserved in it.
 */
#ifndef IVSHMEM_IDSET_H
#define IVSHMEM_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct idset - bits by ID
 * @words:   the bits; NULL while nothing was reserved
 * @n_words: how many words there are
 * @lent:    the words are somebody else's (idset_lend())
 *
 * Zero-initialized. IDs beyond the reserved ones are not in the set.
 */
struct idset {
    uint64_t *words;
    size_t n_words;
    bool lent;
};

/**
 * idset_reserve() - make room for an ID, so that adding it later cannot fail
 * @set: the set
 * @id:  0..WIRE_ID_MAX
 *
 * Return: 0 or -ENOMEM.
 */
int idset_reserve(struct idset *set, unsigned id);

/**
 * idset_lend() - use memory of somebody else, with what is in it
 * @set:     an empty set
 * @words:   the bits; must live longer than the set
 * @n_words: how many words; no ID beyond them can be reserved
 */
static inline void idset_lend(struct idset *set, uint64_t *words, size_t n_words)
{
    *set = (struct idset){.words = words, .n_words = n_words, .lent = true};
}

/** idset_deinit() - give the memory back; the set is empty afterwards. */
void idset_deinit(struct idset *set);

/**
 * idset_next() - the first member at or after an ID
 * @set:  the set
 * @from: where to start
 *
 * Return: the ID, or -1 if there is none.
 */
int idset_next(const struct idset *set, unsigned from);

/**
 * idset_first_gap() - the lowest ID that is not in the set
 * @set:   the set
 * @limit: IDs from here on do not count
 *
 * Return: the ID, or -1 if all of 0..@limit - 1 are members.
 */
int idset_first_gap(const struct idset *set, unsigned limit);

/** idset_has() - whether @id is a member */
static inline bool idset_has(const struct idset *set, unsigned id)
{
    return id / 64 < set->n_words && (set->words[id / 64] >> (id % 64) & 1);
}

/** idset_add() - make a reserved ID a member */
static inline void idset_add(struct idset *set, unsigned id)
{
    set->words[id / 64] |= UINT64_C(1) << (id % 64);
}

/** idset_remove() - make an ID no member */
static inline void idset_remove(struct idset *set, unsigned id)
{
    if (id / 64 < set->n_words)
        set->words[id / 64] &= ~(UINT64_C(1) << (id % 64));
}

#endif
