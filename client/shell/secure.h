/* SPDX-License-Identifier: MIT
 *
 * Encrypted channels for commands (--key-file): the key, and how the sides agree. Messages are sent
 * and received with the functions of ivshmem-secure.h.
 */
#ifndef IVSHMEM_SHELL_SECURE_H
#define IVSHMEM_SHELL_SECURE_H

#include "client/shell/link.h"
#include "ivshmem-secure.h"

enum { SECURE_REVERSE = 4096 }; /* bytes of a ring back that has little more than agreements */

/**
 * secure_new() - get the key of --key-file
 * @tool:   the tool
 * @given:  the command
 * @secure: set; NULL when there is no such option
 *
 * Return: STATUS_DONE, or another status after saying why.
 */
int secure_new(struct tool *tool, const struct arguments *given, struct ivshmem_secure **secure);

/**
 * secure_start() - agree with the other side
 * @tool:    the tool
 * @given:   the command, with its time-out
 * @secure:  from secure_new(); NULL: nothing is to be done
 * @channel: the connection; closed, and set to NULL, if they do not agree
 * @side:    which one we are
 *
 * Return: STATUS_DONE, or another status after saying why.
 */
int secure_start(struct tool *tool, const struct arguments *given, struct ivshmem_secure *secure,
                 struct ivshmem_channel **channel, enum ivshmem_secure_side side);

/**
 * secure_close() - close the channel that a shell has, if there is one
 * @tool:  the tool
 * @whole: all that was sent is whole, so the other side is told of an orderly end; waits until
 * there is room for that, but not for ever
 */
void secure_close(struct tool *tool, bool whole);

#endif
