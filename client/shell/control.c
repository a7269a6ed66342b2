/* SPDX-License-Identifier: MIT
 *
 * See control.h. Varlink: a JSON object and a NUL byte each way (varlink.org, "Method Call").
 */
#include "client/shell/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "common/cleanup.h"

#define INTERFACE "io.ivshmem.Server."

enum {
    ANSWER_MAX = 16 << 20, /* all peers of a server with all IDs in use */
    PATIENCE_SECONDS = 15, /* a program is tried for ten before it is executed (Reexec) */
};

static int connect_to(const char *path)
{
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (sock < 0)
        return -errno;
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return steal_fd(&sock);
}

int control_open(struct control **control, const char *path, struct failure *failure)
{
    int fd = connect_to(path);
    struct control *made;

    if (fd < 0)
        return failure_set(failure, -fd, "cannot reach the control socket %s: %s", path,
                           strerror(-fd));
    made = calloc(1, sizeof(*made));
    if (!made) {
        close(fd);
        return failure_set(failure, ENOMEM, "no memory for a connection");
    }
    made->sock = fd;
    *control = made;
    return 0;
}

struct control *control_free(struct control *control)
{
    if (control) {
        close(control->sock);
        free(control->bytes);
        free(control);
    }
    return NULL;
}

static int send_all(int sock, const char *bytes, size_t length)
{
    while (length) {
        ssize_t sent = send(sock, bytes, length, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR)
            return -errno;
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
    }
    return 0;
}

int control_send(struct control *control, const char *method, cJSON *parameters, bool more,
                 struct failure *failure)
{
    cJSON *call = cJSON_CreateObject();
    _cleanup_free_ char *text = NULL;
    char name[256];
    int r = -ENOMEM;

    snprintf(name, sizeof(name), "%s%s", strchr(method, '.') ? "" : INTERFACE, method);
    cJSON_AddStringToObject(call, "method", name);
    if (parameters)
        cJSON_AddItemToObject(call, "parameters", parameters);
    if (more)
        cJSON_AddTrueToObject(call, "more");
    text = cJSON_PrintUnformatted(call);
    cJSON_Delete(call);
    if (text)
        r = send_all(control->sock, text, strlen(text) + 1);
    return r < 0 ? failure_set(failure, -r, "cannot call %s: %s", name, strerror(-r)) : 0;
}

/* Drops what was handed out, and makes room. */
static int make_room(struct control *control)
{
    char *bytes;

    if (control->taken) {
        control->have -= control->taken;
        memmove(control->bytes, control->bytes + control->taken, control->have);
        control->taken = 0;
    }
    if (control->have < control->room)
        return 0;
    if (control->room >= ANSWER_MAX)
        return -EMSGSIZE;
    bytes = realloc(control->bytes, 2 * control->room + 4096);
    if (!bytes)
        return -ENOMEM;
    control->bytes = bytes;
    control->room = 2 * control->room + 4096;
    return 0;
}

static int read_more(struct control *control, bool wait)
{
    int r = make_room(control);
    ssize_t got;

    if (r < 0)
        return r;
    got = recv(control->sock, control->bytes + control->have, control->room - control->have,
               wait ? 0 : MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN && wait ? -ETIMEDOUT : -errno;
    control->have += (size_t)got;
    return got ? 0 : -ECONNRESET;
}

int control_receive(struct control *control, bool wait, cJSON **reply, struct failure *failure)
{
    size_t looked = control->taken;
    const char *end;
    cJSON *parsed;

    while (!(end = control->have > looked
                       ? memchr(control->bytes + looked, '\0', control->have - looked)
                       : NULL)) {
        size_t behind = control->have - control->taken;
        int r = read_more(control, wait);

        if (r == -EAGAIN || r == -EINTR)
            return r;
        if (r == -ECONNRESET)
            return failure_set(failure, ECONNRESET, "the server: it hung up without an answer");
        if (r < 0)
            return failure_set(failure, -r, "no answer from the server: %s", strerror(-r));
        looked = behind;
    }
    parsed = cJSON_Parse(control->bytes + control->taken);
    control->taken = (size_t)(end - control->bytes) + 1;
    if (!cJSON_IsObject(parsed)) {
        cJSON_Delete(parsed);
        return failure_set(failure, EPROTO, "the answer of the server is no Varlink");
    }
    *reply = parsed;
    return 0;
}

const char *control_error(const cJSON *reply)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
    const char *dot = cJSON_IsString(error) ? strrchr(error->valuestring, '.') : NULL;

    return dot ? dot + 1 : cJSON_IsString(error) ? error->valuestring : NULL;
}
