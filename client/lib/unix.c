/* SPDX-License-Identifier: MIT
 *
 * See unix.h.
 */
#include "client/lib/unix.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/doorbell.h"
#include "common/fdpass.h"

struct unix_transport {
    struct transport transport;
    struct fdpass_reader reader;
};

/* The transport is the first member. */
static struct unix_transport *own(struct transport *transport)
{
    return (struct unix_transport *)transport;
}

static int read_message(struct transport *transport, int64_t *value, int *fd)
{
    return fdpass_read(&own(transport)->reader, transport->fd, value, fd);
}

/*
 * A stranger can have made the eventfd block and filled its counter: then the event is pending as
 * it is. (He would have to do so between the two calls to make us wait.)
 */
static int ring(struct transport *transport, const struct roster_peer *peer, unsigned vector)
{
    struct pollfd room = {.fd = peer->vectors[vector], .events = POLLOUT};

    (void)transport;
    return poll(&room, 1, 0) == 0 ? 0 : doorbell_ring(room.fd);
}

static int credentials(const struct transport *transport, pid_t *pid, uid_t *uid)
{
    struct ucred listener;
    socklen_t size = sizeof(listener);

    if (getsockopt(transport->fd, SOL_SOCKET, SO_PEERCRED, &listener, &size) < 0)
        return -errno;
    *pid = listener.pid;
    *uid = listener.uid;
    return 0;
}

static void end(struct transport *transport)
{
    fdpass_reader_deinit(&own(transport)->reader);
    close_fd(transport->fd);
    free(own(transport));
}

static const struct transport_ops unix_ops = {
    .read = read_message,
    .ring = ring,
    .credentials = credentials,
    .close = end,
};

static int connect_to(const char *path, struct failure *failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = -1;

    if (!*path)
        return failure_set(failure, EINVAL, "the path of the server's socket is empty");
    if (strlen(path) >= sizeof(address.sun_path))
        return failure_set(failure, ENAMETOOLONG, "the socket path '%s' is longer than %zu bytes",
                           path, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failure_set(failure, errno, "cannot make a socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return failure_set(failure, errno, "cannot connect to %s: %s", path,
                           errno == EAGAIN ? "the server has too many newcomers waiting"
                                           : strerror(errno));
    return steal_fd(&fd);
}

int unix_open(const char *path, struct transport **transport, struct failure *failure)
{
    int fd = connect_to(path, failure);
    struct unix_transport *made;

    if (fd < 0)
        return fd;
    made = calloc(1, sizeof(*made));
    if (!made) {
        close_fd(fd);
        return failure_set(failure, ENOMEM, "no memory for a connection");
    }
    made->transport = (struct transport){.ops = &unix_ops, .fd = fd};
    made->reader = (struct fdpass_reader)FDPASS_READER_INIT;
    *transport = &made->transport;
    return 0;
}
