/* SPDX-License-Identifier: MIT
 *
 * The server: the region, its guard, the hub, the sockets, and the signals, on one event loop.
 */
#ifndef IVSHMEM_SERVER_H
#define IVSHMEM_SERVER_H

#include <stdbool.h>

#include "common/failure.h"
#include "server/config.h"

struct server;

/**
 * server_new() - make everything, so that clients can connect
 * @config:  what to make; not owned, its live part is changed by SIGHUP
 * @argc:    as main() got it, to read it again on SIGHUP
 * @argv:    as main() got it
 * @out:     the server
 * @failure: says what is in the way
 *
 * If this process was given what another one stored, it carries on from there.
 *
 * Return: 0 or a negative errno; nothing is left behind on error.
 */
int server_new(struct config *config, int argc, char **argv, struct server **out,
               struct failure *failure);

/** server_has_predecessor() - whether this process was given a state; before server_new() */
bool server_has_predecessor(void);

/**
 * server_kept_config() - the configuration file of the process before us, when it was last good
 *
 * Return: descriptor of its content, owned by the caller, -ENOENT if there is none, or another
 * negative errno.
 */
int server_kept_config(void);

/**
 * server_trial() - whether this program could carry on with what it was given (reexec.h)
 * @config:  what the command line says
 * @failure: why not
 *
 * Nothing is sent, removed or hung up on.
 *
 * Return: 0 or a negative errno.
 */
int server_trial(struct config *config, struct failure *failure);

/**
 * server_run() - serve until SIGTERM or SIGINT
 * @server: the server
 *
 * Return: 0, or a negative errno when the event loop fails.
 */
int server_run(struct server *server);

/**
 * server_free() - hang up on everybody, remove socket and memory
 *
 * With a descriptor store nothing is hung up on or removed: the next process carries on.
 * Takes NULL, returns NULL.
 */
struct server *server_free(struct server *server);

#endif
