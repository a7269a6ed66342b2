/* SPDX-License-Identifier: MIT
 *
 * A stand-in for the server, with channels: the protocol in its simplest form, and the real tables
 * (server/channels.h), in a thread of the test. Peers come through a socket, from this process or
 * from others.
 */
#ifndef IVSHMEM_TESTS_STANDIN_H
#define IVSHMEM_TESTS_STANDIN_H

#include <stdbool.h>
#include <stdint.h>

#include "server/channels.h"

struct standin;

enum { STANDIN_PEERS = 8, STANDIN_CHANNELS = 64, STANDIN_VECTORS = 2 };

/**
 * standin_new() - start one
 * @region_size: bytes of the memory
 * @options:     of the channels; NULL for none at all: the memory is the users'
 *
 * Return: it answers already. What does not work fails the test.
 */
struct standin *standin_new(uint64_t region_size, const struct channels_options *options);

/** standin_free() - stop it: its sockets close. Return: NULL. */
struct standin *standin_free(struct standin *standin);

/** standin_target() - for ivshmem_open() */
const char *standin_target(const struct standin *standin);

/** standin_memory() - the shared memory, as anybody may write to it */
uint8_t *standin_memory(const struct standin *standin);

/** standin_resize() - as channels_resize() */
int standin_resize(struct standin *standin, unsigned channel, uint64_t size);

/** standin_status() - as channels_status() */
bool standin_status(struct standin *standin, unsigned from, struct channels_status *status);

/** standin_away() - requests are not answered, from now on or no longer; the sockets stay open */
void standin_away(struct standin *standin, bool away);

/** standin_restart() - another process carries on with the tables */
void standin_restart(struct standin *standin);

/** standin_idle() - whether nobody is connected and no channel is in use */
bool standin_idle(struct standin *standin);

#endif
