/* SPDX-License-Identifier: MIT
 *
 * See region_file.h. Facts: memfd_create(2), posix_fallocate(3), mbind(2), fcntl(2).
 */
#include "server/region_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"

#define ULL(number) ((unsigned long long)(number))

/* Memory that could be had without killing anybody, proc(5); UINT64_MAX if it does not say. */
static uint64_t available_memory(void)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/meminfo", "re");
    uint64_t sum = 0;
    unsigned long long kib;
    char line[128];
    int found = 0;

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1 ||
            sscanf(line, "SwapFree: %llu", &kib) == 1) {
            sum += kib * 1024;
            found++;
        }
    return found == 2 ? sum : UINT64_MAX;
}

/* Bytes of a file that have pages already. */
static uint64_t allocated(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}

static int refuse_size(int fd, uint64_t size, uint64_t free, struct failure *failure)
{
    uint64_t have = free + allocated(fd);

    return failure_set(
        failure, ENOSPC,
        "cannot reserve %llu bytes of memory: %llu are free, %llu are missing. Free "
        "or add some (a larger /dev/shm, more huge pages), take a smaller --size, or "
        "take the risk with --no-reserve",
        ULL(size), ULL(have), ULL(size > have ? size - have : 0));
}

/* Not a disk, which has room of its own, nor huge pages, which were set aside. */
static bool is_ordinary_memory(int fd)
{
    struct statfs system;

    return fstatfs(fd, &system) == 0 && (unsigned long)system.f_type == TMPFS_MAGIC;
}

int region_file_reserve(int fd, uint64_t size, struct failure *failure)
{
    uint64_t missing = size - (allocated(fd) < size ? allocated(fd) : size);
    struct statvfs room;
    int error;

    /* Asked beforehand, since Linux would rather kill somebody than fail here. */
    if (is_ordinary_memory(fd) && missing > available_memory())
        return refuse_size(fd, size, available_memory(), failure);
    do
        error = posix_fallocate(fd, 0, (off_t)size);
    while (error == EINTR);
    if (error == ENOSPC || error == ENOMEM)
        return refuse_size(fd, size,
                           fstatvfs(fd, &room) == 0 ? (uint64_t)room.f_bavail * room.f_bsize : 0,
                           failure);
    if (error)
        return failure_set(failure, error, "cannot reserve %llu bytes of memory: %s", ULL(size),
                           strerror(error));
    return 0;
}

int region_file_clear(int fd, uint64_t size, struct failure *failure)
{
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size) < 0)
        return failure_set(failure, errno, "cannot clear the memory: %s", strerror(errno));
    return 0;
}

static int open_memfd(const struct region_setup *setup, struct failure *failure)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd;

    if (setup->hugetlb)
        flags |= MFD_HUGETLB;
    if (setup->huge_page)
        flags |= (unsigned)__builtin_ctzll(setup->huge_page)
                 << MAP_HUGE_SHIFT; /* as MFD_HUGE_SHIFT */
    fd = memfd_create(setup->name, flags);
    if (fd >= 0)
        return fd;
    if (setup->huge_page)
        return failure_set(failure, errno,
                           "this kernel has no huge pages of %llu bytes: %s "
                           "(/sys/kernel/mm/hugepages lists the sizes)",
                           ULL(setup->huge_page), strerror(errno));
    if (setup->hugetlb)
        return failure_set(failure, errno, "this kernel gives no huge pages: %s", strerror(errno));
    return failure_set(failure, errno, "memfd_create: %s", strerror(errno));
}

/* A file without a name, also on file systems that do not know O_TMPFILE. */
static int open_nameless(int directory, const char *where, struct failure *failure)
{
    char name[64];
    int fd = openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        snprintf(name, sizeof(name), ".ivshmem-%d", (int)getpid());
        fd = openat(directory, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            unlinkat(directory, name, 0);
    }
    if (fd < 0)
        return failure_set(failure, errno, "cannot make a file in %s: %s", where, strerror(errno));
    return fd;
}

/* Where the file system refuses a size (huge pages), the next powers of two are tried. */
static int set_size(int fd, uint64_t *size, enum region_kind kind, struct failure *failure)
{
    uint64_t attempt = *size;

    while (ftruncate(fd, (off_t)attempt) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EINVAL || kind == REGION_NAMED || attempt > INT64_MAX / 2)
            return failure_set(failure, errno, "cannot give the memory %llu bytes: %s%s",
                               ULL(attempt), strerror(errno),
                               errno == EFBIG ? " (see ulimit -f)" : "");
        attempt *= 2;
    }
    *size = attempt;
    return 0;
}

/* The policy of the mapping becomes that of the file's pages, mbind(2), "shared memory". */
static int bind_node(int fd, uint64_t size, int node, struct failure *failure)
{
    unsigned long nodes[16] = {0};
    const unsigned bits = 8 * sizeof(nodes[0]);
    void *memory;
    long r;

    if (node < 0)
        return 0;
    nodes[(unsigned)node / bits] = 1ul << ((unsigned)node % bits);
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (memory == MAP_FAILED)
        return failure_set(failure, errno, "cannot map the memory: %s", strerror(errno));
    r = syscall(SYS_mbind, memory, size, MPOL_BIND, nodes, bits * 16ul, 0);
    if (r < 0)
        r = failure_set(failure, errno,
                        "cannot bind the memory to NUMA node %d: %s "
                        "(/sys/devices/system/node lists the nodes)",
                        node, strerror(errno));
    munmap(memory, size);
    return (int)r;
}

static int seal(int fd, struct failure *failure)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return failure_set(failure, errno, "cannot seal the memory: %s", strerror(errno));
    return 0;
}

static int set_rights(int fd, const struct region_setup *setup, struct failure *failure)
{
    if ((setup->owner != (uid_t)-1 || setup->group != (gid_t)-1) &&
        fchown(fd, setup->owner, setup->group) < 0)
        return failure_set(failure, errno,
                           "cannot give the memory to its --owner and --group (user %d, group %d, "
                           "-1: ours): %s; only root can, and others to their own groups",
                           (int)setup->owner, (int)setup->group, strerror(errno));
    if (fchmod(fd, setup->mode) < 0)
        return failure_set(failure, errno, "cannot give the memory mode %04o: %s",
                           (unsigned)setup->mode, strerror(errno));
    return 0;
}

int region_file_new(const struct region_setup *setup, enum region_kind kind, int directory,
                    uint64_t *size, struct failure *failure)
{
    _cleanup_close_ int fd = -1;
    uint64_t given = setup->size;
    int r;

    if (kind == REGION_MEMFD)
        fd = open_memfd(setup, failure);
    else
        fd = open_nameless(directory, setup->directory ? setup->directory : "/dev/shm", failure);
    if (fd < 0)
        return fd;
    r = set_rights(fd, setup, failure);
    if (r == 0)
        r = set_size(fd, &given, kind, failure);
    if (r == 0)
        r = bind_node(fd, given, setup->numa_node, failure);
    if (r == 0 && setup->reserve)
        r = region_file_reserve(fd, given, failure);
    if (r == 0 && kind == REGION_MEMFD) /* huge pages too: a peer could seal them at a wrong size */
        r = seal(fd, failure);
    if (r < 0)
        return r;
    *size = given;
    return steal_fd(&fd);
}
