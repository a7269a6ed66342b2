/* SPDX-License-Identifier: MIT
 *
 * A listener: a socket in the file system that clients connect to.
 *
 * It never takes a socket away from a server that lives, whoever's that is; one that a crash left
 * behind is replaced. The socket has its owner and its mode before anybody could connect with
 * wider rights. When the process or the system runs out of descriptors it stops accepting, says
 * so once, and goes on when something was given back or after a second.
 */
#ifndef IVSHMEM_LISTENER_H
#define IVSHMEM_LISTENER_H

#include <event2/event.h>
#include <sys/types.h>

#include "common/failure.h"

struct listener;

/**
 * typedef listener_accept_fn - somebody has connected
 * @argument: what listener_new() was given
 * @sock:     non-blocking CLOEXEC socket, owned by the function
 */
typedef void listener_accept_fn(void *argument, int sock);

/**
 * struct socket_rights - who may connect to a socket
 * @mode:  permission bits
 * @owner: user that it belongs to; (uid_t)-1 for our own
 * @group: group that it belongs to; (gid_t)-1 for our own
 */
struct socket_rights {
    mode_t mode;
    uid_t owner;
    gid_t group;
};

/**
 * listener_new() - make a socket and listen
 * @base:      event loop
 * @path:      where; copied
 * @rights:    who may connect
 * @on_accept: called for each connection
 * @argument:  first argument of @on_accept
 * @out:       the listener
 * @failure:   says what is in the way
 *
 * Return: 0 or a negative errno; nothing was created or removed on error.
 */
int listener_new(struct event_base *base, const char *path, const struct socket_rights *rights,
                 listener_accept_fn *on_accept, void *argument, struct listener **out,
                 struct failure *failure);

/** listener_free() - stop listening and remove the socket. Takes NULL, returns NULL. */
struct listener *listener_free(struct listener *listener);

/** listener_resume() - accept again after a pause: descriptors were given back */
void listener_resume(struct listener *listener);

#endif
