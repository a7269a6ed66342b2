/* SPDX-License-Identifier: MIT
 *
 * The region: the memory that the peers share.
 *
 * It is made whole before it has a name: sized, owned, its pages reserved, and only then linked
 * into the directory, so that nobody ever sees half of it. It is sized once. What stands under its
 * name already is used again if it is ours and has the right size; an object of another size is
 * left alone, for there may be virtual machines that map it, and only its name is taken over.
 */
#ifndef IVSHMEM_REGION_H
#define IVSHMEM_REGION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "common/failure.h"
#include "server/lockfile.h"

/** enum region_kind - where the memory lives */
enum region_kind {
    REGION_NAMED,     /* a POSIX shared memory object, /dev/shm/NAME */
    REGION_DIRECTORY, /* a file without a name in a directory (hugetlbfs, say) */
    REGION_MEMFD,     /* no file system: can be sealed, can have huge pages */
};

/**
 * struct region_setup - what the memory has to be
 * @name:      name of the object, without a slash
 * @directory: for REGION_DIRECTORY: where; else NULL
 * @size:      bytes, a power of two
 * @mode:      permission bits
 * @owner:     user that it belongs to, (uid_t)-1 for our own
 * @group:     group that it belongs to, (gid_t)-1 for our own
 * @reserve:   have the pages allocated now
 * @sealed:    a memfd that nobody can resize
 * @hugetlb:   a memfd with huge pages
 * @huge_page: their size in bytes, 0 for the system's default
 * @numa_node: node that the pages come from, -1 for any
 * @keep:      do not remove the name at the end
 * @adopt:     take an object of exactly this size, or make one; never remove it
 * @zero:      clear what an object that was there holds
 * @fresh:     never take an object that was there: whoever maps it still writes to it
 */
struct region_setup {
    const char *name;
    const char *directory;
    uint64_t size;
    mode_t mode;
    uid_t owner;
    gid_t group;
    bool reserve, sealed, hugetlb;
    uint64_t huge_page;
    int numa_node;
    bool keep, adopt, zero, fresh;
};

/**
 * struct region - the memory
 * @kind:      where it lives
 * @fd:        our descriptor of it
 * @peer_fd:   another open file description, for peers: what they do to its flags is theirs
 * @size:      bytes
 * @directory: where its name is, -1 if it has none
 * @name:      its name there, owned; NULL if it has none
 * @status:    device and inode that the name leads to
 * @lock:      .NAME.lock beside it
 * @reserve:   its pages are to be there
 * @made:      the object is new, made by this process
 * @remove:    the name is removed at the end
 */
struct region {
    enum region_kind kind;
    int fd, peer_fd;
    uint64_t size;
    int directory;
    char *name;
    struct stat status;
    struct lockfile lock;
    bool reserve, made, remove;
};

/**
 * region_new() - make the memory, or take over what is there
 * @setup:   what it has to be
 * @out:     the region
 * @failure: says what is in the way or how much is missing
 *
 * Return: 0 or a negative errno; nothing was created, resized or removed on error.
 */
int region_new(const struct region_setup *setup, struct region **out, struct failure *failure);

/**
 * region_inherit() - carry on with the memory of another process of ours
 * @setup:   what it is: the name, and whether it stays
 * @fd:      the memory; owned by the region on success
 * @lock:    its lock file, as it was kept; owned. -1: there is none
 * @out:     the region
 * @failure: says what is wrong with it
 *
 * Return: 0, -EPROTO when @fd is not memory of that size, or another negative errno.
 */
int region_inherit(const struct region_setup *setup, int fd, int lock, struct region **out,
                   struct failure *failure);

/** region_is_sealed() - whether nobody can make it smaller */
bool region_is_sealed(const struct region *region);

/**
 * region_remove() - remove the object that a server which is gone has left, if it has a name
 * @setup:   what the server was given
 * @failure: says what is in the way
 *
 * Return: 0, also when there is none or it is to be kept; or a negative errno.
 */
int region_remove(const struct region_setup *setup, struct failure *failure);

/** region_undo() - the start has failed: when the region is freed, what it made goes, the rest
 * stays */
void region_undo(struct region *region);

/** region_keep() - leave the name when the region is freed: another process carries on with it */
void region_keep(struct region *region);

/** region_free() - let go of the memory, and remove its name unless it stays. Takes NULL. */
struct region *region_free(struct region *region);

/**
 * region_restore() - put right what somebody did to the size
 * @region: the region
 * @found:  set to the size it had
 *
 * Return: 1 when the size was wrong and is right again, 0 when it was right, or a negative errno
 * when it could not be put right.
 */
int region_restore(struct region *region, uint64_t *found);

/**
 * region_refill() - reserve some of the pages that were lost with the size
 * @region: the region
 * @from:   where to go on; moved
 *
 * A little at a time: a large region takes many seconds.
 *
 * Return: 1 when there is more to do, 0 when all is reserved (or is not to be), or a negative
 * errno.
 */
int region_refill(const struct region *region, uint64_t *from);

/**
 * region_name_check() - whether a name can be that of an object
 * @name:    the name; one leading slash is allowed, as in shm_open(3)
 * @failure: says what is wrong with it
 *
 * Return: 0 or -EINVAL.
 */
int region_name_check(const char *name, struct failure *failure);

#endif
