/* SPDX-License-Identifier: MIT
 *
 * See extents.h.
 */
#include "server/extents.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int extents_init(struct extents *extents, uint64_t start, uint64_t end, size_t n_rings)
{
    *extents = (struct extents){.room = n_rings + 1, .start = start, .end = end};
    extents->free = calloc(extents->room, sizeof(*extents->free)); /* untouched: not there yet */
    if (!extents->free)
        return -ENOMEM;
    if (end > start)
        extents->free[extents->count++] = (struct extent){.offset = start, .size = end - start};
    extents->free_bytes = end - start;
    return 0;
}

void extents_deinit(struct extents *extents)
{
    free(extents->free);
    *extents = (struct extents){.free = NULL};
}

/* Return: the number of extents that begin at or before @offset. */
static size_t search(const struct extents *extents, uint64_t offset)
{
    size_t low = 0, high = extents->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (extents->free[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(struct extents *extents, size_t at, struct extent extent)
{
    assert(extents->count < extents->room);
    memmove(&extents->free[at + 1], &extents->free[at],
            (extents->count - at) * sizeof(*extents->free));
    extents->free[at] = extent;
    extents->count++;
}

static void erase(struct extents *extents, size_t at)
{
    extents->count--;
    memmove(&extents->free[at], &extents->free[at + 1],
            (extents->count - at) * sizeof(*extents->free));
}

int extents_place(struct extents *extents, uint64_t size, uint64_t *offset)
{
    struct extent *best = NULL;

    assert(size && size % LAYOUT_BLOCK == 0);
    for (size_t i = 0; i < extents->count && (!best || best->size > size); i++)
        if (extents->free[i].size >= size && (!best || extents->free[i].size < best->size))
            best = &extents->free[i];
    if (!best)
        return -ENOSPC;
    *offset = best->offset;
    best->offset += size;
    best->size -= size;
    extents->free_bytes -= size;
    if (!best->size)
        erase(extents, (size_t)(best - extents->free));
    return 0;
}

int extents_take(struct extents *extents, uint64_t offset, uint64_t size)
{
    struct extent *extent;
    size_t at;
    uint64_t before, after;

    if (!size || offset % LAYOUT_BLOCK || size % LAYOUT_BLOCK || offset < extents->start ||
        offset >= extents->end || size > extents->end - offset)
        return -EINVAL;
    at = search(extents, offset);
    if (at == 0)
        return -EEXIST;
    extent = &extents->free[--at];
    before = offset - extent->offset;
    if (before >= extent->size || size > extent->size - before)
        return -EEXIST;
    after = extent->size - before - size;
    if (before && after && extents->count == extents->room)
        return -EEXIST; /* more rings than there can be: the records are not ours */
    extents->free_bytes -= size;
    extent->size = before;
    if (after && before)
        insert(extents, at + 1, (struct extent){.offset = offset + size, .size = after});
    else if (after)
        *extent = (struct extent){.offset = offset + size, .size = after};
    else if (!before)
        erase(extents, at);
    return 0;
}

void extents_give_back(struct extents *extents, uint64_t offset, uint64_t size)
{
    size_t at = search(extents, offset);
    struct extent *before = at ? &extents->free[at - 1] : NULL;
    struct extent *after = at < extents->count ? &extents->free[at] : NULL;

    assert(size && offset >= extents->start && size <= extents->end - offset);
    assert(!before || before->offset + before->size <= offset);
    assert(!after || offset + size <= after->offset);
    extents->free_bytes += size;
    if (before && before->offset + before->size == offset) {
        before->size += size;
        if (after && after->offset == offset + size) {
            before->size += after->size;
            erase(extents, at);
        }
    } else if (after && after->offset == offset + size) {
        after->offset = offset;
        after->size += size;
    } else {
        insert(extents, at, (struct extent){.offset = offset, .size = size});
    }
}

uint64_t extents_largest(const struct extents *extents)
{
    uint64_t largest = 0;

    for (size_t i = 0; i < extents->count; i++)
        if (extents->free[i].size > largest)
            largest = extents->free[i].size;
    return largest;
}

uint64_t extents_free_start(const struct extents *extents)
{
    const struct extent *last = extents->count ? &extents->free[extents->count - 1] : NULL;

    return last && last->offset + last->size == extents->end ? last->offset : extents->end;
}
