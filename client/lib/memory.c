/* SPDX-License-Identifier: MIT
 *
 * See memory.h.
 *
 * Seals are only ever added, so what is asked after them stays true: first the seals, then the
 * size. Huge pages are never steady, sealed or not: a peer can punch a hole, and then the pool can
 * be empty when we touch it.
 */
#include "client/lib/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "client/lib/handle.h"

static int get_size(int fd, uint64_t *size, struct failure *failure)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return failure_set(failure, errno, "cannot examine the memory: %s", strerror(errno));
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, EPROTO, "the memory that the server sent is no file");
    if (status.st_size <= 0)
        return failure_set(failure, EPROTO, "the memory that the server sent is empty");
    if ((uint64_t)status.st_size > SIZE_MAX)
        return failure_set(failure, EFBIG, "the memory is larger than the address space");
    *size = (uint64_t)status.st_size;
    return 0;
}

int memory_map(struct memory *memory, int fd, struct failure *failure)
{
    struct statfs system;
    int seals = fcntl(fd, F_GET_SEALS);
    bool sealed = seals >= 0 && seals & F_SEAL_SHRINK;
    bool huge = fstatfs(fd, &system) == 0 && system.f_type == HUGETLBFS_MAGIC;
    uint64_t size = 0;
    void *address;
    int r = get_size(fd, &size, failure);

    if (r < 0)
        return r;
    address = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED)
        return failure_set(failure, errno, "cannot map the memory of %" PRIu64 " bytes: %s", size,
                           strerror(errno));
    *memory = (struct memory){
        .address = address, .size = size, .fd = fd, .sealed = sealed, .steady = sealed && !huge};
    return 0;
}

void memory_unmap(struct memory *memory)
{
    if (memory->address)
        munmap(memory->address, (size_t)memory->size);
    *memory = (struct memory){.fd = -1};
}

int memory_check(const struct memory *memory, uint64_t offset, uint64_t size,
                 struct failure *failure)
{
    struct stat status;

    if (!memory->address)
        return failure_set(failure, ENOTCONN, "not connected: there is no memory");
    if (offset > memory->size || size > memory->size - offset)
        return failure_set(failure, ERANGE,
                           "%" PRIu64 " bytes at %" PRIu64
                           " are not all within the memory of %" PRIu64 " bytes",
                           size, offset, memory->size);
    if (memory->steady)
        return 0;
    if (fstat(memory->fd, &status) < 0)
        return failure_set(failure, errno, "cannot examine the memory: %s", strerror(errno));
    if ((uint64_t)status.st_size < offset + size)
        return failure_set(failure, EFAULT,
                           "somebody has cut the memory of %" PRIu64 " bytes to %" PRIu64,
                           memory->size, (uint64_t)status.st_size);
    return 0;
}

int ivshmem_memory_fd(const struct ivshmem *iv)
{
    return iv->memory.address ? iv->memory.fd : -ENOTCONN;
}

uint64_t ivshmem_memory_size(const struct ivshmem *iv)
{
    return iv->memory.size;
}

void *ivshmem_memory(const struct ivshmem *iv)
{
    return iv->memory.address;
}

int ivshmem_memory_sealed(const struct ivshmem *iv)
{
    return iv->memory.address ? iv->memory.sealed : -ENOTCONN;
}
