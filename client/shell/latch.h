/* SPDX-License-Identifier: MIT
 *
 * Waiting for our own doorbells. An event latches: rung once or many times before somebody waits,
 * it ends that wait at once and is gone then, whether a callback took it meanwhile or it still lies
 * in its eventfd.
 */
#ifndef IVSHMEM_LATCH_H
#define IVSHMEM_LATCH_H

#include "client/shell/tool.h"

/**
 * latch_wait() - wait until one of our vectors is rung
 * @tool:    the tool, a peer
 * @vectors: which ones; NULL for any
 * @count:   of @vectors
 * @timeout: milliseconds, -1 for ever
 *
 * Return: the vector, -ETIMEDOUT, -EINTR when the user does not want to wait any longer, -EPIPE
 * when nobody reads our output any more, or as ivshmem_wait().
 */
int latch_wait(struct tool *tool, const unsigned *vectors, size_t count, int64_t timeout);

#endif
