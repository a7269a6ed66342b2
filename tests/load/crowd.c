/* SPDX-License-Identifier: MIT
 *
 * See crowd.h. The clients and their sockets; what they are told goes to table.c.
 */
#include "tests/load/crowd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/load/harness.h"
#include "tests/load/table.h"

enum {
    EVENTS = 64,          /* clients served in one round */
    READ_BURST = 32,      /* messages of one of them */
    CONNECT_SECONDS = 60, /* the server's queue of connections is full for longer: it hangs */
};

struct crowd *crowd_new(const char *path, unsigned n_vectors)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));

    require(crowd, "out of memory");
    *crowd = (struct crowd){.n_vectors = n_vectors, .identify = true};
    snprintf(crowd->path, sizeof(crowd->path), "%s", path);
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    crowd->fdinfo = open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(crowd->epoll >= 0 && crowd->fdinfo >= 0, "cannot make a crowd: %s", strerror(errno));
    return crowd;
}

struct crowd *crowd_free(struct crowd *crowd)
{
    if (!crowd)
        return NULL;
    while (crowd->n_clients)
        crowd_leave(crowd->clients[crowd->n_clients - 1]);
    close_fd(crowd->epoll);
    close_fd(crowd->fdinfo);
    free(crowd->clients);
    free(crowd);
    return NULL;
}

int crowd_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int64_t deadline = deadline_in(CONNECT_SECONDS);
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    require(sock >= 0, "socket: %s", strerror(errno));
    while (connect(sock, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        require(errno == EAGAIN && now_ms() < deadline, "cannot connect to %s: %s", path,
                strerror(errno));
        pause_ms(1);
    }
    return sock;
}

static void watch(struct crowd_client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = client}};

    require(epoll_ctl(client->crowd->epoll, EPOLL_CTL_ADD, client->sock, &event) == 0,
            "epoll_ctl: %s", strerror(errno));
}

struct crowd_client *crowd_join(struct crowd *crowd, enum crowd_keep keep)
{
    struct crowd_client *client = calloc(1, sizeof(*client));

    if (crowd->n_clients == crowd->room) {
        crowd->room = crowd->room ? crowd->room * 2 : 64;
        crowd->clients = reallocarray(crowd->clients, crowd->room, sizeof(struct crowd_client *));
    }
    require(client && crowd->clients, "out of memory");
    *client = (struct crowd_client){.crowd = crowd,
                                    .sock = crowd_connect(crowd->path),
                                    .keep = keep,
                                    .id = -1,
                                    .joined = crowd->n_joined++,
                                    .reader = FDPASS_READER_INIT};
    crowd->clients[crowd->n_clients++] = client;
    crowd->n_in++;
    watch(client);
    return client;
}

void crowd_end(struct crowd_client *client, enum crowd_state state)
{
    if (client->state == CROWD_IN)
        client->crowd->n_in--;
    client->state = state;
    client->sock = close_fd(client->sock); /* epoll(7): it drops out of the set */
    fdpass_reader_deinit(&client->reader);
}

void crowd_leave(struct crowd_client *client)
{
    struct crowd *crowd = client->crowd;
    size_t i = 0;

    crowd_end(client, CROWD_ENDED);
    table_free(client);
    while (crowd->clients[i] != client)
        i++;
    crowd->clients[i] = crowd->clients[--crowd->n_clients];
    free(client);
}

void crowd_stall(struct crowd_client *client)
{
    if (!client->stalled && client->sock >= 0)
        epoll_ctl(client->crowd->epoll, EPOLL_CTL_DEL, client->sock, NULL);
    client->stalled = true;
}

void crowd_resume(struct crowd_client *client)
{
    if (client->stalled && client->sock >= 0)
        watch(client);
    client->stalled = false;
}

static unsigned read_burst(struct crowd_client *client)
{
    for (unsigned i = 0; i < READ_BURST; i++) {
        int64_t value;
        int fd, r;

        if (client->sock < 0)
            return i;
        r = fdpass_read(&client->reader, client->sock, &value, &fd);
        if (r == -EAGAIN || r == -EINTR)
            return i;
        if (r <= 0) {
            if (r < 0 && r != -ECONNRESET)
                table_violation(client, "cannot receive: %s", strerror(-r));
            crowd_end(client, CROWD_ENDED);
            return i;
        }
        table_message(client, value, fd);
    }
    return READ_BURST;
}

unsigned crowd_pump(struct crowd *crowd, int ms)
{
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(crowd->epoll, events, EVENTS, ms);
    unsigned count = 0;

    for (int i = 0; i < ready; i++)
        count += read_burst(events[i].data.ptr);
    return count;
}
