/* SPDX-License-Identifier: MIT
 *
 * Calls that wait: ivshmem_wait_ready(), ivshmem_wait(), and the layer's layer_wait().
 */
#ifndef IVSHMEM_WAIT_H
#define IVSHMEM_WAIT_H

#include <stdint.h>

/**
 * wait_deadline() - the end of a time-out that begins now
 * @timeout: milliseconds, negative for never
 *
 * Return: CLOCK_MONOTONIC in nanoseconds, 0 for a time-out of 0 (so that a poll asks no clock), or
 * EVENTS_NEVER.
 */
int64_t wait_deadline(int timeout);

#endif
