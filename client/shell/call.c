/* SPDX-License-Identifier: MIT
 *
 * See call.h. Varlink: a JSON object and a NUL byte each way (varlink.org, "Method Call").
 */
#include "client/shell/call.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdbool.h>
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

static int complain(int status, const char *what, const char *why)
{
    fprintf(stderr, "ivshmem-client: %s: %s\n", what, why);
    return status;
}

static int connect_to(const char *path)
{
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s.ctl", path);

    if (sock < 0)
        return -errno;
    if (length >= (int)sizeof(address.sun_path))
        return -ENAMETOOLONG;
    if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return steal_fd(&sock);
}

/* Return: the text of the call, to be free()d, or NULL when @parameters is no object. */
static char *make_call(const char *method, const char *parameters)
{
    cJSON *call = cJSON_CreateObject(), *given = cJSON_Parse(parameters ? parameters : "{}");
    char name[256], *text = NULL;

    snprintf(name, sizeof(name), "%s%s", strchr(method, '.') ? "" : INTERFACE, method);
    cJSON_AddStringToObject(call, "method", name);
    if (cJSON_IsObject(given) && cJSON_AddItemToObject(call, "parameters", given))
        text = cJSON_PrintUnformatted(call);
    else
        cJSON_Delete(given);
    cJSON_Delete(call);
    return text;
}

static bool send_all(int sock, const char *bytes, size_t length)
{
    while (length) {
        ssize_t sent = send(sock, bytes, length, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* Return: the answer up to its NUL byte, to be free()d, or NULL when none comes. */
static char *receive(int sock)
{
    size_t have = 0, room = 0;
    char *answer = NULL;

    for (;;) {
        ssize_t got;

        if (have == room) {
            char *more = room < ANSWER_MAX ? realloc(answer, room += room + 4096) : NULL;

            if (!more)
                break;
            answer = more;
        }
        got = recv(sock, answer + have, room - have, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        have += (size_t)got;
        if (!answer[have - 1])
            return answer;
    }
    free(answer);
    return NULL;
}

/* Prints what was answered, or the error. */
static int show(const char *text)
{
    cJSON *answer = cJSON_Parse(text);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(answer, "error");
    const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(answer, "parameters");
    _cleanup_free_ char *shown = parameters ? cJSON_PrintUnformatted(parameters) : strdup("{}");
    int status = CALL_DONE;

    if (!answer || !shown)
        status = complain(CALL_NO_SERVER, "the answer", "it is no Varlink");
    else if (cJSON_IsString(error))
        status = complain(CALL_REFUSED, error->valuestring, shown);
    else if (puts(shown) < 0 || fflush(stdout) < 0)
        status = complain(CALL_USAGE, "standard output", strerror(errno));
    cJSON_Delete(answer);
    return status;
}

int call_run(const char *path, const char *method, const char *parameters)
{
    _cleanup_free_ char *call = make_call(method, parameters), *answer = NULL;
    _cleanup_close_ int sock = -1;
    int fd;

    if (!call)
        return complain(CALL_USAGE, parameters, "the parameters are no JSON object");
    fd = connect_to(path);
    if (fd < 0) {
        fprintf(stderr, "ivshmem-client: cannot reach the control socket %s.ctl: %s\n", path,
                strerror(-fd));
        return CALL_NO_SERVER;
    }
    sock = fd;
    if (send_all(sock, call, strlen(call) + 1))
        answer = receive(sock);
    if (!answer)
        return complain(CALL_NO_SERVER, "the server", "it hung up without an answer");
    return show(answer);
}
