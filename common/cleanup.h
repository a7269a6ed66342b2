/* SPDX-License-Identifier: MIT
 *
 * Cleanup attributes: a local that owns something says so where it is declared, and every return
 * path gives it back. Success takes it out first with steal_fd() or steal_ptr().
 */
#ifndef IVSHMEM_CLEANUP_H
#define IVSHMEM_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/**
 * close_fd() - close a descriptor if there is one
 * @fd: descriptor, or -1 for none
 *
 * Return: always -1, so that `x->fd = close_fd(x->fd)` leaves nothing dangling.
 */
static inline int close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
    return -1;
}

/**
 * steal_fd() - take a descriptor out of an owning variable
 * @fd: the variable; holds -1 afterwards
 *
 * Return: the descriptor, now owned by the caller.
 */
static inline int steal_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

static inline void cleanup_close(const int *fd)
{
    close_fd(*fd);
}

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_fclose(FILE **file)
{
    if (*file)
        fclose(*file);
}

/** steal_ptr() - take a pointer out of an owning variable, which is NULL afterwards. */
#define steal_ptr(pointer)                                                                         \
    ({                                                                                             \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _cleanup_close_     _cleanup_(cleanup_close)
#define _cleanup_free_      _cleanup_(cleanup_free)
#define _cleanup_fclose_    _cleanup_(cleanup_fclose)

#endif
