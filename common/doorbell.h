/* SPDX-License-Identifier: MIT
 *
 * A doorbell: the eventfd behind one vector of one peer. Whoever rings writes 1, the owner reads
 * and so clears the counter; many rings before a read are one event (eventfd(2)).
 *
 * The flags of an eventfd belong to the description that all holders share, so a stranger can make
 * any of these calls block (clear O_NONBLOCK, fill the counter). Programs that serve one user may
 * live with that; the daemon neither rings nor waits for a doorbell that it handed out.
 */
#ifndef IVSHMEM_DOORBELL_H
#define IVSHMEM_DOORBELL_H

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

/**
 * doorbell_new() - make a doorbell
 *
 * Return: a CLOEXEC, non-blocking eventfd owned by the caller, or a negative errno.
 */
static inline int doorbell_new(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

/**
 * doorbell_ring() - raise the event
 * @fd: the doorbell
 *
 * Return: 0 (also when the counter was full: the event is pending as it is), or a negative errno.
 */
static inline int doorbell_ring(int fd)
{
    const uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) == (ssize_t)sizeof(one) || errno == EAGAIN)
        return 0;
    return -errno;
}

/**
 * doorbell_take() - take the pending event, if there is one
 * @fd: the doorbell
 *
 * RWF_NOWAIT does not wait even where somebody has cleared O_NONBLOCK (preadv2(2)). Kernels and
 * sandboxes without it have to do with the flag.
 *
 * Return: 1 if it had been rung, 0 if not, or a negative errno.
 */
static inline int doorbell_take(int fd)
{
    uint64_t count;
    struct iovec whole = {.iov_base = &count, .iov_len = sizeof(count)};
    ssize_t got = preadv2(fd, &whole, 1, -1, RWF_NOWAIT);

    if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM))
        got = read(fd, &count, sizeof(count));
    if (got == (ssize_t)sizeof(count))
        return 1;
    return got < 0 && errno != EAGAIN ? -errno : 0;
}

/**
 * doorbell_clear() - forget the pending event, whatever the holders did to the doorbell
 * @fd: the doorbell
 */
static inline void doorbell_clear(int fd)
{
    uint64_t count;
    struct iovec whole = {.iov_base = &count, .iov_len = sizeof(count)};
    ssize_t got = preadv2(fd, &whole, 1, -1, RWF_NOWAIT);

    (void)got; /* nothing was pending: as good */
}

#endif
