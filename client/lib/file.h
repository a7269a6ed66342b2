/* SPDX-License-Identifier: MIT
 *
 * Memory without a server: targets of the form `file:PATH`. There are no peers and no vectors, so
 * what can be done is to look at the memory and to change it.
 */
#ifndef IVSHMEM_FILE_H
#define IVSHMEM_FILE_H

#include "client/lib/transport.h"

/**
 * file_open() - open a shared memory object or another regular file
 * @path:      of the file, which must be there: it is neither made nor made larger
 * @transport: set on success
 * @failure:   names the path and the cause
 *
 * Return: 0, -EINVAL when the path is empty or names no regular file, -ENODATA when the file is
 * empty, -ENOMEM, or another negative errno of open(2).
 */
int file_open(const char *path, struct transport **transport, struct failure *failure);

#endif
