/* SPDX-License-Identifier: MIT
 *
 * The way to a server on this host: targets of the form `unix:PATH`, or a plain path.
 */
#ifndef IVSHMEM_UNIX_H
#define IVSHMEM_UNIX_H

#include "common/failure.h"

/**
 * unix_connect() - connect to the server that a target names
 * @target:  `unix:PATH`, or a path without a colon before its first slash: what comes before such a
 *           colon names a kind of target
 * @failure: names the path and the cause
 *
 * Does not wait, not even for a place in the server's queue.
 *
 * Return: a connected non-blocking CLOEXEC socket, owned by the caller; -EINVAL for another kind of
 * target, -ENAMETOOLONG, -EAGAIN when the queue is full, or another negative errno of connect(2).
 */
int unix_connect(const char *target, struct failure *failure);

#endif
