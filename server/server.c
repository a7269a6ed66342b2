/* SPDX-License-Identifier: MIT
 *
 * See server.h: set-up, signals, run and tear-down. The rest is in server_memory.c and
 * server_handover.c.
 */
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "server/restore.h"
#include "server/server_parts.h"
#include "server/store.h"

enum { STATUS_SIZE = 256, STATUS_SECONDS = 1 };

static void on_end(evutil_socket_t number, short what, void *argument)
{
    struct server *server = argument;

    (void)what;
    log_info("ending on signal %d", (int)number);
    event_base_loopbreak(server->base);
}

/* A start after a bad edit of the file takes what was good before. */
static void keep_config(struct server *server)
{
    if (server->config->file && !server->config->kept)
        state_keep_config(&server->state, server->config->file);
}

static void on_reload(evutil_socket_t number, short what, void *argument)
{
    struct server *server = argument;
    struct failure failure = {.text = ""};
    struct timespec now;

    (void)number;
    (void)what;
    clock_gettime(CLOCK_MONOTONIC, &now);
    notify_text(server->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
                (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
    if (config_reload(server->config, server->argc, server->argv, &failure) < 0) {
        log_error("the configuration stays as it was: %s", failure.text);
    } else {
        log_set_level(server->config->log_level);
        clerk_reconfigure(server->clerk);
        log_notice("configuration read again");
        server->config->kept = false;
        keep_config(server);
    }
    notify_text(server->notify, "READY=1");
}

static void on_reexec(evutil_socket_t number, short what, void *argument)
{
    struct server *server = argument;
    struct failure failure = {.text = ""};

    (void)number;
    (void)what;
    if (reexec_begin(server->reexec, &failure) < 0)
        log_error("not executing again: %s", failure.text);
}

static const char *describe(const struct server *server, char *text, size_t size)
{
    int length = snprintf(text, size, "STATUS=%u peers", server->hub->n_peers);

    if (server->clerk)
        length += snprintf(text + length, size - (size_t)length, " and %u channels",
                           clerk_channels(server->clerk)->n_used);
    snprintf(text + length, size - (size_t)length, " on %s", server->config->socket);
    return text;
}

static void on_status(evutil_socket_t fd, short what, void *argument)
{
    const struct server *server = argument;
    char text[STATUS_SIZE];

    (void)fd;
    (void)what;
    notify_text(server->notify, "%s", describe(server, text, sizeof(text)));
}

static void on_change(void *argument)
{
    struct server *server = argument;

    doors_resume(server->doors);
    control_resume(server->control);
    on_status(-1, 0, server);
}

/* Channels come and go faster than anybody can read. */
static void on_incident(void *argument, const struct incident *incident)
{
    const struct timeval later = {.tv_sec = STATUS_SECONDS};
    struct server *server = argument;

    if (incident->kind >= INCIDENT_CHANNEL_OPENED && notify_active(server->notify) &&
        !event_pending(server->status, EV_TIMEOUT, NULL))
        event_add(server->status, &later);
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
    } watched[N_SIGNALS] = {
        {SIGTERM, on_end}, {SIGINT, on_end}, {SIGHUP, on_reload}, {SIGUSR2, on_reexec}};

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file beyond ulimit -f is an error like others */
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
    reexec_unblock();
    return 0;
}

/* Before the hub, which has to know whether there are mailboxes. */
static int make_clerk(struct server *server, struct failure *failure)
{
    const struct clerk_setup setup = {
        .base = server->base,
        .config = server->config,
        .region = server->region,
        .state = &server->state,
        .restored = server->restored,
    };

    return server->config->channels.on ? clerk_new(&setup, &server->clerk, failure) : 0;
}

static int make_hub(struct server *server, struct failure *failure)
{
    const struct hub_setup setup = {
        .base = server->base,
        .access = &server->config->access,
        .state = &server->state,
        .store = server->stored ? server->notify : NULL,
        .n_vectors = server->config->n_vectors,
        .n_mailboxes = server->clerk ? state_mailboxes(&server->state) : 0,
        .clerk = server->clerk,
        .memory_fd = server->region->peer_fd,
        .slots = server->config->slots,
        .n_slots = server->config->n_slots,
    };
    int r = hub_new(&setup, &server->hub, failure);

    if (r == 0 && server->restored)
        r = restore_hub(server->hub, &server->inherited, failure);
    if (r == 0)
        r = hub_seat_slots(server->hub, failure);
    if (r == 0 && (r = clerk_begin(server->clerk, server->hub)) < 0)
        failure_set(failure, -r, "out of memory");
    if (r < 0)
        return r;
    server->hub->on_change = on_change;
    server->hub->on_change_argument = server;
    guard_report(server->guard, &server->hub->witness);
    server->status = evtimer_new(server->base, on_status, server);
    if (!server->status)
        return failure_set(failure, ENOMEM, "out of memory");
    server->watcher = (struct watcher){.incident = on_incident, .argument = server};
    witness_watch(&server->hub->witness, &server->watcher);
    return 0;
}

static int place_doors(struct server *server, struct failure *failure)
{
    const struct doors_setup setup = {
        .base = server->base,
        .config = server->config,
        .store = server->stored ? server->notify : NULL,
        .inherited = &server->inherited,
        .carry_on = inherited_has(&server->inherited, STORE_STATE),
    };

    return doors_new(&setup, &server->doors, failure);
}

static void on_ready(void *argument, int error)
{
    struct server *server = argument;
    char text[STATUS_SIZE];

    if (error)
        log_warning("the service manager cannot be reached: %s", strerror(-error));
    notify_text(server->notify, "READY=1\n%s", describe(server, text, sizeof(text)));
    doors_resume(server->doors);
}

/* Stores what every peer needs, and says READY when that was taken. */
static int store_and_tell(struct server *server, struct failure *failure)
{
    int r = 0;

    if (server->stored && !server->restored) {
        r = notify_store(server->notify, STORE_STATE, server->state.fd);
        if (r == 0)
            r = notify_store(server->notify, STORE_MEMORY, server->region->fd);
    }
    if (r == 0)
        r = notify_barrier(server->notify, on_ready, server);
    if (r < 0)
        return failure_set(failure, -r, "cannot talk to the service manager: %s", strerror(-r));
    if (server->restored) {
        restore_end(server->hub, &server->inherited, server->doors);
        log_notice("carrying on with %u peers", server->hub->n_peers);
    }
    state_settled(&server->state);
    inherited_report(&server->inherited);
    inherited_deinit(&server->inherited);
    keep_config(server);
    server->complete = true;
    return 0;
}

int server_forgive(const struct server *server, int r, const struct failure *failure)
{
    if (r == 0 || !server->restored)
        return r;
    log_error("%s. Going on without", failure->text);
    return 0;
}

/* What administrators look at. */
static int make_views(struct server *server, struct failure *failure)
{
    const struct control_setup control = {.base = server->base,
                                          .config = server->config,
                                          .hub = server->hub,
                                          .region = server->region,
                                          .clerk = server->clerk,
                                          .inherited = &server->inherited,
                                          .reexec = server_begin_reexec,
                                          .argument = server};
    const struct metrics_setup metrics = {.base = server->base,
                                          .config = server->config,
                                          .hub = server->hub,
                                          .region = server->region,
                                          .clerk = server->clerk};
    int r = control_new(&control, &server->control, failure);

    r = server_forgive(server, r, failure);
    if (r == 0)
        r = server_forgive(server, metrics_new(&metrics, &server->metrics, failure), failure);
    server->hub->reserved = (server->control ? CONTROL_DESCRIPTORS : 0) +
                            (server->metrics ? METRICS_DESCRIPTORS : 0) +
                            (server->clerk ? CLERK_DESCRIPTORS : 0);
    return r;
}

/* What fails here is not the state's fault, and does not count as an attempt to restore it. */
static int open_up(struct server *server, struct failure *failure)
{
    int r = server_prepare_reexec(server, failure);

    if (r == 0)
        r = doors_open(server->doors, server->hub, failure);
    if (r == 0)
        r = make_views(server, failure);
    if (r == 0)
        r = store_and_tell(server, failure);
    if (r < 0)
        state_settled(&server->state);
    return r;
}

static int set_up(struct server *server, struct failure *failure)
{
    int r = watch_signals(server, failure);

    if (r == 0)
        r = notify_new(server->base, &server->notify, failure);
    if (r == 0)
        r = inherited_receive(&server->inherited, failure);
    if (r < 0)
        return r;
    server->stored = server->config->fd_store && notify_active(server->notify);
    r = place_doors(server, failure); /* first: where we cannot serve, no memory is touched */
    if (r == 0)
        r = server_make_memory(server, failure);
    if (r == 0)
        r = make_clerk(server, failure);
    if (r == 0)
        r = make_hub(server, failure);
    return r < 0 ? r : open_up(server, failure);
}

int server_new(struct config *config, int argc, char **argv, struct server **out,
               struct failure *failure)
{
    struct server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return failure_set(failure, ENOMEM, "out of memory");
    *server = (struct server){.config = config, .argc = argc, .argv = argv, .state = {.fd = -1}};
    r = set_up(server, failure);
    if (r < 0) {
        server_free(server);
        return r;
    }
    *out = server;
    return 0;
}

int server_run(struct server *server)
{
    int r;

    log_info("serving %llu bytes and %u vectors on %s", (unsigned long long)server->region->size,
             server->config->n_vectors, server->config->socket);
    r = event_base_dispatch(server->base);
    notify_text(server->notify, "STOPPING=1");
    return r < 0 ? -EIO : 0;
}

struct server *server_free(struct server *server)
{
    bool end;

    if (!server)
        return NULL;
    end = server->complete ? !server->stored : !server->restored;
    reexec_free(server->reexec);
    control_free(server->control);
    metrics_free(server->metrics);
    doors_free(server->doors, end);
    clerk_free(server->clerk);
    hub_free(server->hub, end);
    guard_free(server->guard);
    if (server->region && !end)
        region_keep(server->region);
    else if (server->region && !server->complete)
        region_undo(server->region);
    region_free(server->region);
    state_deinit(&server->state);
    inherited_deinit(&server->inherited);
    notify_free(server->notify);
    if (server->status)
        event_free(server->status);
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (server->signals[i])
            event_free(server->signals[i]);
    if (server->base)
        event_base_free(server->base);
    libevent_global_shutdown();
    free(server);
    return NULL;
}
