/* SPDX-License-Identifier: MIT
 *
 * See idset.h.
 */
#include "server/idset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"

enum { ALL_WORDS = (WIRE_ID_MAX + 1) / 64 };

int idset_reserve(struct idset *set, unsigned id)
{
    size_t need = id / 64 + 1, room;
    uint64_t *words;

    if (need <= set->n_words)
        return 0;
    if (set->lent)
        return -ENOMEM;
    room = need + need / 2; /* newcomers come in order: grow ahead of them */
    if (room > ALL_WORDS && need <= ALL_WORDS)
        room = ALL_WORDS;
    words = reallocarray(set->words, room, sizeof(*words));
    if (!words)
        return -ENOMEM;
    memset(words + set->n_words, 0, (room - set->n_words) * sizeof(*words));
    set->words = words;
    set->n_words = room;
    return 0;
}

void idset_deinit(struct idset *set)
{
    if (!set->lent)
        free(set->words);
    *set = (struct idset){.words = NULL};
}

int idset_next(const struct idset *set, unsigned from)
{
    size_t word = from / 64;
    uint64_t bits;

    if (word >= set->n_words)
        return -1;
    bits = set->words[word] & ~UINT64_C(0) << (from % 64);
    while (!bits && ++word < set->n_words)
        bits = set->words[word];
    return bits ? (int)(word * 64) + __builtin_ctzll(bits) : -1;
}

int idset_first_gap(const struct idset *set, unsigned limit)
{
    size_t word = 0;
    unsigned gap;

    while (word < set->n_words && set->words[word] == ~UINT64_C(0))
        word++;
    gap = (unsigned)word * 64;
    if (word < set->n_words)
        gap += (unsigned)__builtin_ctzll(~set->words[word]);
    return gap < limit ? (int)gap : -1;
}
