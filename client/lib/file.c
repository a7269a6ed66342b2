/* SPDX-License-Identifier: MIT
 *
 * See file.h. What a server would say up to the memory is made up: its version, an ID, the file. An
 * eventfd is readable until all of that has been read.
 */
#include "client/lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/wire.h"

enum said { SAID_NOTHING, SAID_VERSION, SAID_ID, SAID_MEMORY };

struct file_transport {
    struct transport transport;
    enum said said;
    int file; /* until it has been handed over */
};

/* The transport is the first member. */
static struct file_transport *own(struct transport *transport)
{
    return (struct file_transport *)transport;
}

static int read_message(struct transport *transport, int64_t *value, int *fd)
{
    struct file_transport *file = own(transport);
    eventfd_t count;

    *fd = -1;
    switch (file->said) {
    case SAID_NOTHING:
        *value = WIRE_VERSION;
        break;
    case SAID_VERSION:
        *value = 0;
        break;
    case SAID_ID:
        *value = WIRE_MEMORY;
        *fd = steal_fd(&file->file);
        break;
    case SAID_MEMORY:
        eventfd_read(transport->fd, &count);
        return -EAGAIN;
    }
    file->said++;
    return 1;
}

/* Never called: there are no peers. */
static int ring(struct transport *transport, const struct roster_peer *peer, unsigned vector)
{
    (void)transport;
    (void)peer;
    (void)vector;
    return -ENOENT;
}

static int credentials(const struct transport *transport, pid_t *pid, uid_t *uid)
{
    (void)transport;
    (void)pid;
    (void)uid;
    return -EOPNOTSUPP;
}

static void end(struct transport *transport)
{
    close_fd(own(transport)->file);
    close_fd(transport->fd);
    free(own(transport));
}

static const struct transport_ops file_ops = {
    .read = read_message,
    .ring = ring,
    .credentials = credentials,
    .close = end,
};

static int open_memory(const char *path, struct failure *failure)
{
    _cleanup_close_ int fd = -1;
    struct stat status;

    if (!*path)
        return failure_set(failure, EINVAL, "the path of the memory is empty");
    fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0)
        return failure_set(failure, errno, "cannot open the memory %s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, EINVAL, "%s is no regular file, so no memory", path);
    if (status.st_size == 0)
        return failure_set(failure, ENODATA, "%s is empty, so no memory", path);
    return steal_fd(&fd);
}

int file_open(const char *path, struct transport **transport, struct failure *failure)
{
    _cleanup_close_ int file = open_memory(path, failure), unread = -1;
    struct file_transport *made;

    if (file < 0)
        return file;
    unread = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (unread < 0)
        return failure_set(failure, errno, "cannot make an eventfd: %s", strerror(errno));
    made = calloc(1, sizeof(*made));
    if (!made)
        return failure_set(failure, ENOMEM, "no memory for a connection");
    made->file = steal_fd(&file);
    made->transport = (struct transport){.ops = &file_ops, .fd = steal_fd(&unread), .alone = true};
    *transport = &made->transport;
    return 0;
}
