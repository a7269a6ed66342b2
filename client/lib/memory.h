/* SPDX-License-Identifier: MIT
 *
 * The shared memory of a handle, mapped; and copies into and out of it that end in an error and not
 * in a SIGBUS when somebody has made the object smaller.
 */
#ifndef IVSHMEM_MEMORY_H
#define IVSHMEM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/failure.h"

/**
 * struct memory - the mapping
 * @address: of the first byte; NULL when there is none
 * @size:    bytes, as the object had when it was mapped
 * @fd:      the object, which is somebody else's
 * @sealed:  nobody can make it smaller
 * @steady:  every byte can be touched at any time, without a fault
 */
struct memory {
    uint8_t *address;
    uint64_t size;
    int fd;
    bool sealed;
    bool steady;
};

/**
 * memory_map() - map an object
 * @memory:  empty; set on success
 * @fd:      the object, which must stay open as long as the mapping
 * @failure: says what is wrong with it
 *
 * Return: 0, -EPROTO when it is no file or empty, -EFBIG when it is larger than the address space,
 * or a negative errno of mmap(2).
 */
int memory_map(struct memory *memory, int fd, struct failure *failure);

/**
 * memory_unmap() - forget the mapping
 * @memory: may be empty
 */
void memory_unmap(struct memory *memory);

/**
 * memory_check() - whether a part of the memory is there
 * @memory:  may be empty
 * @offset:  of the part
 * @size:    its bytes
 * @failure: says what is not
 *
 * Somebody can cut the object right after the call, unless it is steady.
 *
 * Return: 0, -ENOTCONN when it is empty, -ERANGE when the part is not all within the mapping,
 * -EFAULT when the object is too short by now.
 */
int memory_check(const struct memory *memory, uint64_t offset, uint64_t size,
                 struct failure *failure);

#endif
