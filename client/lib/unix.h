/* SPDX-License-Identifier: MIT
 *
 * The way to a server on this host: targets of the form `unix:PATH`, or a plain path. Peers are
 * rung through the eventfds that the server sends.
 */
#ifndef IVSHMEM_UNIX_H
#define IVSHMEM_UNIX_H

#include "client/lib/transport.h"

/**
 * unix_open() - connect to the socket of a server
 * @path:      of the socket
 * @transport: set on success
 * @failure:   names the path and the cause
 *
 * Does not wait, not even for a place in the server's queue.
 *
 * Return: 0, -EINVAL when the path is empty, -ENAMETOOLONG, -ENOMEM, -EAGAIN when the queue is
 * full, or another negative errno of connect(2).
 */
int unix_open(const char *path, struct transport **transport, struct failure *failure);

#endif
