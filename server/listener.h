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
#include <stdbool.h>
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
 * typedef listener_ready_fn - whether a connection can be taken care of now
 * @argument: what listener_new() was given
 *
 * If not, the listener waits until listener_resume(); clients wait in the backlog.
 */
typedef bool listener_ready_fn(void *argument);

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
 * listener_new() - take a place for a socket: lock it, and see that nothing is in the way
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

/**
 * listener_open() - make the socket, if it was not inherited, and accept
 * @listener: as listener_new() or listener_inherit() made it
 * @failure:  says what went wrong
 *
 * Return: 0 or a negative errno.
 */
int listener_open(struct listener *listener, struct failure *failure);

/**
 * listener_inherit() - listen on a socket that exists: of the service manager, or of the process
 * before us
 * @base:      event loop
 * @fd:        the listening socket; owned by the listener on success
 * @lock:      its lock file, as it was kept; owned. -1: there is none
 * @path:      where it is, if we made it; NULL if it is the manager's
 * @on_accept: called for each connection
 * @argument:  first argument of @on_accept
 * @out:       the listener
 * @failure:   says what is wrong with it
 *
 * Return: 0, -EPROTO when @fd is not a listening UNIX stream socket, or another negative errno.
 */
int listener_inherit(struct event_base *base, int fd, int lock, const char *path,
                     listener_accept_fn *on_accept, void *argument, struct listener **out,
                     struct failure *failure);

/** listener_set_ready() - have a function asked before each accept */
void listener_set_ready(struct listener *listener, listener_ready_fn *ready);

/**
 * listener_clear() - remove the socket that a crashed server left in the listener's place
 * @listener: not opened yet
 * @failure:  says what is in the way
 *
 * Return: 0 or a negative errno.
 */
int listener_clear(struct listener *listener, struct failure *failure);

/**
 * listener_end() - a socket that the process before us made is no longer wanted: remove it
 * @base:  event loop
 * @fd:    the listening socket, taken
 * @lock:  its lock file, taken; -1 for none
 * @peers: peers come in there, and who waits in its backlog has to be turned away
 */
void listener_end(struct event_base *base, int fd, int lock, bool peers);

/** listener_fd() - the listening socket; stays the listener's */
int listener_fd(const struct listener *listener);

/**
 * listener_free() - stop listening
 * @listener: may be NULL
 * @remove:   remove the socket, if we made it
 *
 * Return: NULL.
 */
struct listener *listener_free(struct listener *listener, bool remove);

/** listener_resume() - accept again after a pause: descriptors were given back */
void listener_resume(struct listener *listener);

/** listener_list() - write "NUMBER NAME" lines of a socket and its lock file, for a next program */
void listener_list(const struct listener *listener, const char *name, FILE *out);

#endif
