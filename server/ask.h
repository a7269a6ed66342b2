/* SPDX-License-Identifier: MIT
 *
 * Asking the server that runs, through its control socket: what --re-exec does.
 */
#ifndef IVSHMEM_ASK_H
#define IVSHMEM_ASK_H

#include "common/failure.h"
#include "server/config.h"

/**
 * ask_reexec() - have the server that runs execute its program again
 * @config:  tells where its control socket is
 * @failure: why it does not
 *
 * Return: 0 when it is doing it, or a negative errno.
 */
int ask_reexec(const struct config *config, struct failure *failure);

#endif
