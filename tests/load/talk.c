/* SPDX-License-Identifier: MIT
 *
 * See talk.h.
 */
#include "tests/load/talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"

enum { ANSWER_FIRST = 4096 };

struct ivshmem *talk_join(const struct test_server *server,
                          const struct ivshmem_callbacks *callbacks, void *context)
{
    struct ivshmem *iv = NULL;
    int r = ivshmem_new(&iv, callbacks, context);

    require(r == 0, "cannot make a handle: %s", strerror(-r));
    r = ivshmem_open(iv, server->socket);
    if (r == 0)
        r = ivshmem_wait_ready(iv, TALK_MS);
    require(r == 0, "cannot join: %s", ivshmem_error(iv));
    return iv;
}

struct ivshmem_channel *talk_accept(struct ivshmem *iv)
{
    struct ivshmem_channel *channel = NULL;
    struct ivshmem_offer offer;
    int r = ivshmem_next_offer(iv, TALK_PORT, TALK_MS, &offer);

    if (r == 0)
        r = ivshmem_accept(iv, &offer, &channel);
    require(r == 0, "cannot accept: %s", ivshmem_error(iv));
    ivshmem_channel_set_timeout(channel, TALK_MS);
    return channel;
}

struct ivshmem_channel *talk_connect(struct ivshmem *iv, unsigned peer,
                                     const struct ivshmem_connect_options *options)
{
    int64_t deadline = deadline_in(TALK_MS / 1000);
    struct ivshmem_channel *channel = NULL;
    int r;

    while ((r = ivshmem_connect(iv, peer, TALK_PORT, options, TALK_MS, &channel)) < 0) {
        require((r == -ECONNREFUSED || r == -ENOENT) && now_ms() < deadline, "cannot connect: %s",
                ivshmem_error(iv));
        pause_ms(1);
    }
    ivshmem_channel_set_timeout(channel, TALK_MS);
    return channel;
}

/* What comes until the byte 0. Return: NULL when the end comes first. */
static char *read_answer(int sock)
{
    size_t room = ANSWER_FIRST, length = 0;
    char *text = malloc(room);

    for (;;) {
        ssize_t got;

        require(text, "no memory");
        got = read(sock, text + length, room - length);
        if (got <= 0) {
            free(text);
            return NULL;
        }
        length += (size_t)got;
        if (!text[length - 1])
            return text;
        if (length == room)
            text = realloc(text, room *= 2);
    }
}

/* One call. Return: the answer; NULL when the server is away. */
static char *call_once(const struct test_server *server, const char *call, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%.90s.ctl", server->socket);
    if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        send(sock, call, length, MSG_NOSIGNAL) != (ssize_t)length)
        return NULL;
    return read_answer(sock);
}

cJSON *talk_call(const struct test_server *server, const char *method, const char *parameters)
{
    int64_t deadline = deadline_in(TALK_MS / 1000);
    char call[512], *text;
    cJSON *answer, *result = NULL;
    int length =
        snprintf(call, sizeof(call), "{\"method\":\"io.ivshmem.Server.%s\",\"parameters\":%s}",
                 method, parameters ? parameters : "{}");

    while (!(text = call_once(server, call, (size_t)length + 1))) {
        require(!server->pid && now_ms() < deadline, "cannot call %s: %s", method, strerror(errno));
        pause_ms(1);
    }
    answer = cJSON_Parse(text);
    require(answer, "%s was answered with %s", method, text);
    if (!cJSON_GetObjectItemCaseSensitive(answer, "error"))
        result = cJSON_DetachItemFromObjectCaseSensitive(answer, "parameters");
    cJSON_Delete(answer);
    free(text);
    return result;
}

double talk_number(const cJSON *answer, const char *name, const char *inner)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(answer, name);

    if (inner)
        found = cJSON_GetObjectItemCaseSensitive(found, inner);
    require(cJSON_IsNumber(found), "the answer has no number %s %s", name, inner ? inner : "");
    return found->valuedouble;
}

/* The mixing of splitmix64. */
uint64_t talk_spread(uint64_t number)
{
    number += UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

bool talk_ended(pid_t pid, const char *what)
{
    int status = 0;

    if (waitpid(pid, &status, WNOHANG) == 0)
        return false;
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s ended with status 0x%x", what,
            (unsigned)status);
    return true;
}

void talk_await_end(pid_t pid, const char *what, unsigned seconds)
{
    int64_t deadline = deadline_in(seconds);

    while (!talk_ended(pid, what)) {
        require(now_ms() < deadline, "%s does not end", what);
        pause_ms(2);
    }
}

void *talk_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    require(memory != MAP_FAILED, "mmap: %s", strerror(errno));
    return memory;
}
