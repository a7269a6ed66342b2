/* SPDX-License-Identifier: MIT
 *
 * See server.h.
 */
#include "server/server.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "server/guard.h"
#include "server/hub.h"
#include "server/listener.h"

enum { N_SIGNALS = 3 };

/* One socket: the peers' common one, or a slot's. */
struct door {
    struct server *server;
    struct slot *slot;
    struct listener *listener;
};

struct server {
    struct config *config;
    int argc;
    char **argv;
    struct event_base *base;
    struct event *signals[N_SIGNALS];
    struct region *region;
    struct guard *guard;
    struct hub *hub;
    struct door *doors;
    size_t n_doors;
};

static void on_end(evutil_socket_t number, short what, void *argument)
{
    struct server *server = argument;

    (void)what;
    log_info("ending on signal %d", (int)number);
    event_base_loopbreak(server->base);
}

static void on_reload(evutil_socket_t number, short what, void *argument)
{
    struct server *server = argument;
    struct failure failure = {.text = ""};

    (void)number;
    (void)what;
    if (config_reload(server->config, server->argc, server->argv, &failure) < 0) {
        log_error("the configuration stays as it was: %s", failure.text);
        return;
    }
    log_set_level(server->config->log_level);
    log_notice("configuration read again");
}

static void on_accept(void *argument, int sock)
{
    struct door *door = argument;

    hub_admit(door->server->hub, sock, door->slot);
}

static void on_room(void *argument)
{
    struct server *server = argument;

    for (size_t i = 0; i < server->n_doors; i++)
        listener_resume(server->doors[i].listener);
}

static void on_libevent_log(int severity, const char *text)
{
    log_line(severity == EVENT_LOG_ERR ? LOG_ERR : LOG_DEBUG, "libevent: %s", text);
}

static int watch_signals(struct server *server, struct failure *failure)
{
    static const struct {
        int number;
        event_callback_fn callback;
    } watched[N_SIGNALS] = {{SIGTERM, on_end}, {SIGINT, on_end}, {SIGHUP, on_reload}};

    signal(SIGPIPE, SIG_IGN);
    event_set_log_callback(on_libevent_log);
    server->base = event_base_new();
    if (!server->base)
        return failure_set(failure, ENOMEM, "cannot make an event loop");
    for (size_t i = 0; i < N_SIGNALS; i++) {
        server->signals[i] =
            evsignal_new(server->base, watched[i].number, watched[i].callback, server);
        if (!server->signals[i] || event_add(server->signals[i], NULL) < 0)
            return failure_set(failure, ENOMEM, "cannot watch signal %d", watched[i].number);
    }
    return 0;
}

static int make_memory(struct server *server, struct failure *failure)
{
    int r = region_new(&server->config->region, &server->region, failure);

    if (r == 0 && !server->config->region.sealed)
        r = guard_new(server->base, server->region, &server->guard, failure);
    return r;
}

static int make_hub(struct server *server, struct failure *failure)
{
    const struct hub_setup setup = {
        .base = server->base,
        .access = &server->config->access,
        .n_vectors = server->config->n_vectors,
        .memory_fd = server->region->peer_fd,
        .slots = server->config->slots,
        .n_slots = server->config->n_slots,
    };
    int r = hub_new(&setup, &server->hub, failure);

    if (r < 0)
        return r;
    server->hub->on_room = on_room;
    server->hub->on_room_argument = server;
    return 0;
}

static int open_door(struct server *server, struct slot *slot, struct failure *failure)
{
    const struct config *config = server->config;
    struct door *door = &server->doors[server->n_doors];
    _cleanup_free_ char *path = NULL;

    if (slot && !slot->socket && asprintf(&path, "%s.%s", config->socket, slot->name) < 0)
        return failure_set(failure, ENOMEM, "out of memory");
    *door = (struct door){.server = server, .slot = slot};
    server->n_doors++;
    return listener_new(server->base,
                        !slot          ? config->socket
                        : slot->socket ? slot->socket
                                       : path,
                        &config->rights, on_accept, door, &door->listener, failure);
}

static int open_doors(struct server *server, struct failure *failure)
{
    struct config *config = server->config;
    int r;

    server->doors = calloc(config->n_slots + 1, sizeof(*server->doors));
    if (!server->doors)
        return failure_set(failure, ENOMEM, "out of memory");
    r = open_door(server, NULL, failure);
    for (size_t i = 0; r == 0 && i < config->n_slots; i++)
        r = open_door(server, &config->slots[i], failure);
    return r;
}

int server_new(struct config *config, int argc, char **argv, struct server **out,
               struct failure *failure)
{
    struct server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return failure_set(failure, ENOMEM, "out of memory");
    *server = (struct server){.config = config, .argc = argc, .argv = argv};
    r = watch_signals(server, failure);
    if (r == 0)
        r = make_memory(server, failure);
    if (r == 0)
        r = make_hub(server, failure);
    if (r == 0)
        r = open_doors(server, failure);
    if (r < 0) {
        server_free(server);
        return r;
    }
    *out = server;
    return 0;
}

int server_run(struct server *server)
{
    log_info("serving %llu bytes and %u vectors on %s", (unsigned long long)server->region->size,
             server->config->n_vectors, server->config->socket);
    return event_base_dispatch(server->base) < 0 ? -EIO : 0;
}

struct server *server_free(struct server *server)
{
    if (!server)
        return NULL;
    for (size_t i = 0; i < server->n_doors; i++)
        listener_free(server->doors[i].listener);
    free(server->doors);
    hub_free(server->hub);
    guard_free(server->guard);
    region_free(server->region);
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (server->signals[i])
            event_free(server->signals[i]);
    if (server->base)
        event_base_free(server->base);
    libevent_global_shutdown();
    free(server);
    return NULL;
}
