/* SPDX-License-Identifier: MIT
 *
 * See ask.h.
 */
#include "server/ask.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"

enum {
    REPLY_SIZE = 4096,
    PATIENCE_SECONDS = 60, /* a trial of the program may take ten, and the machine may be busy */
};

/* Return: a socket, or a negative errno. */
static int connect_to(const char *path, struct failure *failure)
{
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(address.sun_path))
        return failure_set(failure, ENAMETOOLONG, "control socket %s: the path is too long", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
        return failure_set(failure, errno,
                           "cannot reach the server at its control socket %s: %s; --socket or "
                           "--control-socket says where it is, and SIGUSR2 asks it, too",
                           path, strerror(errno));
    return steal_fd(&sock);
}

/* Sends a call and waits for its reply, which ends with a NUL. Return: 0 or a negative errno. */
static int call(int sock, const char *text, char *reply, size_t size)
{
    ssize_t sent = send(sock, text, strlen(text) + 1, MSG_NOSIGNAL);
    size_t have = 0;

    if (sent != (ssize_t)strlen(text) + 1)
        return sent < 0 ? -errno : -EIO;
    while (!memchr(reply, '\0', have)) {
        ssize_t got = have < size ? read(sock, reply + have, size - have) : 0;

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        have += (size_t)got;
    }
    return 0;
}

/* Whether it does what was asked. */
static int judge(const char *reply, struct failure *failure)
{
    cJSON *message = cJSON_Parse(reply);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(message, "error");
    const cJSON *reason = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(message, "parameters"), "reason");
    int r = 0;

    if (!cJSON_IsObject(message) || error)
        r = failure_set(failure, EPROTO, "the server goes on as it is: %.400s",
                        cJSON_IsString(reason)  ? reason->valuestring
                        : cJSON_IsString(error) ? error->valuestring
                                                : "it does not understand");
    cJSON_Delete(message);
    return r;
}

int ask_reexec(const struct config *config, struct failure *failure)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_close_ int sock = -1;
    char reply[REPLY_SIZE];
    int r;

    if (config->no_control)
        return failure_set(failure, EINVAL,
                           "--re-exec asks through the control socket, and --control-socket is "
                           "none: send SIGUSR2 to the server");
    r = config_control_path(config, &path, failure);
    if (r < 0)
        return r;
    sock = connect_to(path, failure);
    if (sock < 0)
        return sock;
    r = call(sock, "{\"method\":\"io.ivshmem.Server.Reexec\"}", reply, sizeof(reply));
    if (r == -EAGAIN)
        return failure_set(failure, ETIMEDOUT, "the server at %s has not answered for %d seconds",
                           path, PATIENCE_SECONDS);
    if (r < 0)
        return failure_set(failure, -r, "the server at %s does not answer: %s", path, strerror(-r));
    return judge(reply, failure);
}
