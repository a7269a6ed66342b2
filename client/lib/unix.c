/* SPDX-License-Identifier: MIT
 *
 * See unix.h.
 */
#include "client/lib/unix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"

static int target_path(const char *target, const char **path, struct failure *failure)
{
    static const char scheme[] = "unix:";

    if (strncmp(target, scheme, sizeof(scheme) - 1) == 0)
        *path = target + sizeof(scheme) - 1;
    else if (target[strcspn(target, ":/")] == ':')
        return failure_set(failure, EINVAL, "'%s' is no target: say unix:PATH, or a path", target);
    else
        *path = target;
    if (!**path)
        return failure_set(failure, EINVAL, "the path of the server's socket is empty");
    return 0;
}

int unix_connect(const char *target, struct failure *failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = -1;
    const char *path = NULL;
    int r = target_path(target, &path, failure);

    if (r < 0)
        return r;
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
