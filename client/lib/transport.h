/* SPDX-License-Identifier: MIT
 *
 * A transport: the way on which a handle hears what a server has to say, and rings peers. It is a
 * source of the messages of the protocol; whoever has no such server (a guest with the device
 * itself, say) makes them up from what it knows, in the order of a greeting.
 *
 * Kinds have names. A target is `KIND:ADDRESS`, or a plain path, which is of the kind `unix`. A new
 * kind is a file of its own with an open function, and a line in the table of transport.c.
 */
#ifndef IVSHMEM_TRANSPORT_H
#define IVSHMEM_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/lib/roster.h"
#include "common/failure.h"

struct transport;

/**
 * struct transport_ops - what a kind of transport can do
 * @read:        the next message; as fdpass_read()
 * @ring:        notify a vector of a peer, without waiting; 0 or a negative errno
 * @credentials: the process at the other end; 0 or a negative errno
 * @close:       give everything back
 */
struct transport_ops {
    int (*read)(struct transport *transport, int64_t *value, int *fd);
    int (*ring)(struct transport *transport, const struct roster_peer *peer, unsigned vector);
    int (*credentials)(const struct transport *transport, pid_t *pid, uid_t *uid);
    void (*close)(struct transport *transport);
};

/**
 * struct transport - the part that all kinds have; theirs begin with it
 * @ops:   what it can do
 * @fd:    readable when there is a message, or the end
 * @alone: there will never be a vector, neither ours nor a peer's: the memory is all there is
 */
struct transport {
    const struct transport_ops *ops;
    int fd;
    bool alone;
};

/**
 * transport_open() - connect to what a target names
 * @target:    `KIND:ADDRESS`, or a path without a colon before its first slash
 * @transport: set on success
 * @failure:   names the target and the cause
 *
 * Does not wait.
 *
 * Return: 0; -EINVAL or -ENAMETOOLONG for a target that cannot be right, now or later; or another
 * negative errno.
 */
int transport_open(const char *target, struct transport **transport, struct failure *failure);

/**
 * transport_close() - end the connection
 * @transport: may be NULL
 *
 * Return: always NULL.
 */
struct transport *transport_close(struct transport *transport);

#endif
