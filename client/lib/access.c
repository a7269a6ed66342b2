/* SPDX-License-Identifier: MIT
 *
 * Copies into and out of the memory, fill and find.
 *
 * Theory of operation: a touch behind the end of an object that somebody has cut is a SIGBUS, and a
 * library has no business with signals. So where that can happen the kernel copies, from our own
 * address space into our own (process_vm_readv(2)): it answers with an error, and never changes the
 * object's size as a write(2) would. A sandbox may forbid that call; then a look at the size before
 * the copy has to do, and the moment between the two is a risk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/lib/handle.h"
#include "common/cleanup.h"

enum {
    FILL_AT_ONCE = 16384,
    FIND_AT_ONCE = 65536,
};

enum direction { OUT_OF_MEMORY, INTO_MEMORY };

static int cut_meanwhile(struct ivshmem *iv)
{
    return failure_set(&iv->failure, EFAULT, "somebody has cut the memory during the access");
}

static void copy_plain(uint8_t *shared, uint8_t *local, size_t size, enum direction direction)
{
    if (direction == INTO_MEMORY)
        memcpy(shared, local, size);
    else
        memcpy(local, shared, size);
}

/* Return: bytes that were copied, at least one; or a negative errno. */
static ssize_t copy_guarded(uint8_t *shared, uint8_t *local, size_t size, enum direction direction)
{
    const struct iovec here = {.iov_base = local, .iov_len = size};
    const struct iovec there = {.iov_base = shared, .iov_len = size};
    ssize_t done = direction == INTO_MEMORY ? process_vm_writev(getpid(), &here, 1, &there, 1, 0)
                                            : process_vm_readv(getpid(), &here, 1, &there, 1, 0);

    return done < 0 ? -errno : done > 0 ? done : -EFAULT;
}

/* The part has been checked. */
static int copy(struct ivshmem *iv, uint64_t offset, uint8_t *local, size_t size,
                enum direction direction)
{
    uint8_t *shared = iv->memory.address + offset;
    ssize_t done = 0;

    if (iv->memory.steady) {
        copy_plain(shared, local, size, direction);
        return 0;
    }
    for (; size > 0; size -= (size_t)done, shared += done, local += done) {
        done = copy_guarded(shared, local, size, direction);
        if (done == -EFAULT)
            return cut_meanwhile(iv);
        if (done == -EPERM || done == -ENOSYS) { /* a sandbox */
            copy_plain(shared, local, size, direction);
            return 0;
        }
        if (done < 0)
            return failure_set(&iv->failure, (int)-done, "cannot copy memory: %s",
                               strerror((int)-done));
    }
    return 0;
}

int ivshmem_read(struct ivshmem *iv, uint64_t offset, void *buffer, size_t size)
{
    int r = memory_check(&iv->memory, offset, size, &iv->failure);

    return r < 0 ? r : copy(iv, offset, buffer, size, OUT_OF_MEMORY);
}

int ivshmem_write(struct ivshmem *iv, uint64_t offset, const void *buffer, size_t size)
{
    int r = memory_check(&iv->memory, offset, size, &iv->failure);

    return r < 0 ? r : copy(iv, offset, (uint8_t *)(uintptr_t)buffer, size, INTO_MEMORY);
}

static int fill_guarded(struct ivshmem *iv, uint64_t offset, uint64_t size, uint8_t byte)
{
    uint8_t pattern[FILL_AT_ONCE];
    int r = 0;

    memset(pattern, byte, sizeof(pattern));
    while (r == 0 && size > 0) {
        size_t part = size < sizeof(pattern) ? (size_t)size : sizeof(pattern);

        r = copy(iv, offset, pattern, part, INTO_MEMORY);
        offset += part;
        size -= part;
    }
    return r;
}

int ivshmem_fill(struct ivshmem *iv, uint64_t offset, uint64_t size, uint8_t byte)
{
    int r = memory_check(&iv->memory, offset, size, &iv->failure);

    if (r < 0)
        return r;
    if (!iv->memory.steady)
        return fill_guarded(iv, offset, size, byte);
    memset(iv->memory.address + offset, byte, (size_t)size);
    return 0;
}

/* Looks at copies of overlapping pieces: what is compared must not change meanwhile. */
static int find_in_pieces(struct ivshmem *iv, uint64_t offset, uint64_t size, const void *needle,
                          size_t needle_size, uint64_t *found)
{
    size_t room = needle_size + (needle_size > FIND_AT_ONCE ? needle_size : FIND_AT_ONCE);
    _cleanup_free_ uint8_t *piece = malloc(room);

    if (!piece)
        return failure_set(&iv->failure, ENOMEM, "no memory for a copy of %zu bytes", room);
    while (size >= needle_size) {
        size_t part = size < room ? (size_t)size : room;
        const uint8_t *place;
        int r = copy(iv, offset, piece, part, OUT_OF_MEMORY);

        if (r < 0)
            return r;
        place = memmem(piece, part, needle, needle_size);
        if (place) {
            *found = offset + (uint64_t)(place - piece);
            return 0;
        }
        offset += part - (needle_size - 1);
        size -= part - (needle_size - 1);
    }
    return failure_set(&iv->failure, ENOENT, "not found");
}

int ivshmem_find(struct ivshmem *iv, uint64_t offset, uint64_t size, const void *needle,
                 size_t needle_size, uint64_t *found)
{
    int r = memory_check(&iv->memory, offset, size, &iv->failure);

    if (r < 0)
        return r;
    if (needle_size == 0)
        return failure_set(&iv->failure, EINVAL, "nothing to look for");
    if (needle_size > size)
        return failure_set(&iv->failure, ENOENT, "not found");
    return find_in_pieces(iv, offset, size, needle, needle_size, found);
}
