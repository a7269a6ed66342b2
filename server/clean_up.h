/* SPDX-License-Identifier: MIT
 *
 * Clearing up after a server that could not do it, or that was not to: what --clean-up does.
 */
#ifndef IVSHMEM_CLEAN_UP_H
#define IVSHMEM_CLEAN_UP_H

#include "common/failure.h"
#include "server/config.h"

/**
 * clean_up() - remove the sockets, their lock files, and the memory of a server that is gone
 * @config:  tells where they are. The memory stays with --keep and --adopt
 * @failure: what is in the way; a server that runs, for instance
 *
 * Return: 0, also when there was nothing; or a negative errno.
 */
int clean_up(const struct config *config, struct failure *failure);

#endif
