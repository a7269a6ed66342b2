/* SPDX-License-Identifier: MIT
 *
 * Extents: which blocks of the region's data area belong to no ring.
 *
 * The free extents stand in one array in order of their place, so that what is given back is merged
 * with its neighbours at once. A ring gets the smallest extent that it fits into, and of those the
 * first: large ones stay whole for as long as they can. Searching is a walk over the free extents,
 * of which there is at most one more than rings; giving back is a binary search.
 */
#ifndef IVSHMEM_EXTENTS_H
#define IVSHMEM_EXTENTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/layout.h"

/**
 * struct extent - a stretch of bytes
 * @offset: from the start of the region, a multiple of LAYOUT_BLOCK
 * @size:   likewise, not 0
 */
struct extent {
    uint64_t offset;
    uint64_t size;
};

/**
 * struct extents - the free ones
 * @free:       them, by offset; no two touch
 * @count:      how many
 * @room:       how many there can be
 * @start:      where the data area begins
 * @end:        where it ends
 * @free_bytes: in all of them
 */
struct extents {
    struct extent *free;
    size_t count, room;
    uint64_t start, end;
    uint64_t free_bytes;
};

/**
 * extents_init() - everything is free
 * @extents: filled in; give it to extents_deinit()
 * @start:   where the data area begins, a multiple of LAYOUT_BLOCK
 * @end:     where it ends, likewise, not before @start
 * @n_rings: how many stretches can be taken at a time
 *
 * Return: 0 or -ENOMEM. Nothing else here needs memory.
 */
int extents_init(struct extents *extents, uint64_t start, uint64_t end, size_t n_rings);

/** extents_deinit() - free the memory */
void extents_deinit(struct extents *extents);

/**
 * extents_place() - take a stretch, wherever there is one
 * @extents: the free ones
 * @size:    a multiple of LAYOUT_BLOCK, not 0
 * @offset:  set to where it lies
 *
 * Return: 0 or -ENOSPC.
 */
int extents_place(struct extents *extents, uint64_t size, uint64_t *offset);

/**
 * extents_take() - take a certain stretch
 * @extents: the free ones
 * @offset:  any number
 * @size:    any number
 *
 * Return: 0, -EINVAL when it is no stretch of blocks of the data area, or -EEXIST when a part of it
 * is taken.
 */
int extents_take(struct extents *extents, uint64_t offset, uint64_t size);

/**
 * extents_give_back() - a stretch is free again
 * @extents: the free ones
 * @offset:  as it was taken
 * @size:    as it was taken
 */
void extents_give_back(struct extents *extents, uint64_t offset, uint64_t size);

/** extents_largest() - bytes of the largest free stretch */
uint64_t extents_largest(const struct extents *extents);

/** extents_free_start() - from here to the end everything is free */
uint64_t extents_free_start(const struct extents *extents);

#endif
