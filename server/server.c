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
#include "server/control.h"
#include "server/doors.h"
#include "server/guard.h"
#include "server/hub.h"
#include "server/inherited.h"
#include "server/metrics.h"
#include "server/notify.h"
#include "server/reexec.h"
#include "server/restore.h"
#include "server/state.h"
#include "server/store.h"

enum { N_SIGNALS = 4 };

/**
 * struct server - see server.h
 * @restored: the state is that of another process
 * @stored:   descriptors are kept by the service manager
 * @complete: clients can connect
 */
struct server {
    struct config *config;
    int argc;
    char **argv;
    struct event_base *base;
    struct event *signals[N_SIGNALS];
    struct notify *notify;
    struct inherited inherited;
    struct state state;
    struct region *region;
    struct guard *guard;
    struct hub *hub;
    struct doors *doors;
    struct control *control;
    struct metrics *metrics;
    struct reexec *reexec;
    bool restored, stored, complete;
};

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

static void on_change(void *argument)
{
    struct server *server = argument;

    doors_resume(server->doors);
    control_resume(server->control);
    notify_text(server->notify, "STATUS=%u peers on %s", server->hub->n_peers,
                server->config->socket);
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

/* Whether the configuration asks for something else than what is there. */
static bool has_changed(const struct config *config, const struct state_head *head)
{
    const bool rounded = config->region.directory || config->region.hugetlb;

    return config->n_vectors != head->n_vectors ||
           (!rounded && config->region.size != head->memory_size);
}

/* What is connected decides: a change of these needs a start with nobody there. */
static void prefer_state(struct config *config, const struct state_head *head)
{
    if (has_changed(config, head))
        log_warning("peers are connected with %u vectors and %llu bytes: these stay until a start "
                    "with none",
                    head->n_vectors, (unsigned long long)head->memory_size);
    config->n_vectors = head->n_vectors;
    config->region.size = head->memory_size;
}

/* Maps state and memory, if they can be carried on with. */
static int adopt(struct server *server, int *state, int *memory, struct failure *failure)
{
    struct region_setup setup = server->config->region;
    const struct state_head *head;
    int r = state_open(&server->state, *state, failure);

    if (r < 0)
        return r;
    steal_fd(state);
    head = &server->state.file->head;
    if (has_changed(server->config, head) && !state_has_peers(&server->state)) {
        r = failure_set(failure, ESTALE, "the configuration has changed, and nobody is connected");
    } else {
        setup.size = head->memory_size;
        r = region_inherit(&setup, *memory, inherited_take_lock(&server->inherited, STORE_MEMORY),
                           &server->region, failure);
    }
    if (r < 0) {
        state_deinit(&server->state);
        return r;
    }
    steal_fd(memory);
    prefer_state(server->config, head);
    return 0;
}

/* Return: 0 with state and memory of the process before us, or a negative errno. */
static int recall(struct server *server, struct failure *failure)
{
    _cleanup_close_ int state = inherited_take(&server->inherited, STORE_STATE);
    _cleanup_close_ int memory = inherited_take(&server->inherited, STORE_MEMORY);
    int r;

    if (state < 0 && memory < 0)
        return failure_set(failure, ENOENT, "nothing");
    if (state < 0 || memory < 0)
        return failure_set(failure, EPROTO, "the %s did not come back",
                           state < 0 ? "state" : "memory");
    r = adopt(server, &state, &memory, failure);
    server->restored = r == 0;
    return r;
}

static int make_anew(struct server *server, struct failure *failure)
{
    int r = region_new(&server->config->region, &server->region, failure);

    if (r == 0)
        r = state_new(&server->state, server->config->n_vectors, server->region->size, failure);
    return r;
}

/* Peers and doorbells of a state that cannot be restored are of no use to anybody. */
static void set_aside(struct server *server)
{
    notify_remove(server->notify, STORE_STATE);
    notify_remove(server->notify, STORE_MEMORY);
    restore_abandon(server->stored ? server->notify : NULL, &server->inherited);
}

static int make_memory(struct server *server, struct failure *failure)
{
    struct failure why = {.text = ""};
    int r = recall(server, &why);

    if (r == -ESTALE)
        log_notice("starting anew: %s", why.text);
    else if (r < 0 && r != -ENOENT)
        log_error("what another process left cannot be restored, starting anew: %s", why.text);
    if (r < 0) {
        if (r != -ENOENT)
            set_aside(server);
        r = make_anew(server, failure);
    }
    if (r == 0 && !server->config->region.sealed)
        r = guard_new(server->base, server->region, &server->guard, failure);
    return r;
}

static int make_hub(struct server *server, struct failure *failure)
{
    const struct hub_setup setup = {
        .base = server->base,
        .access = &server->config->access,
        .state = &server->state,
        .store = server->stored ? server->notify : NULL,
        .n_vectors = server->config->n_vectors,
        .memory_fd = server->region->peer_fd,
        .slots = server->config->slots,
        .n_slots = server->config->n_slots,
    };
    int r = hub_new(&setup, &server->hub, failure);

    if (r == 0 && server->restored)
        r = restore_hub(server->hub, &server->inherited, failure);
    if (r == 0)
        r = hub_seat_slots(server->hub, failure);
    if (r < 0)
        return r;
    server->hub->on_change = on_change;
    server->hub->on_change_argument = server;
    guard_report(server->guard, &server->hub->witness);
    return 0;
}

static int place_doors(struct server *server, struct failure *failure)
{
    const struct doors_setup setup = {
        .base = server->base,
        .config = server->config,
        .store = server->stored ? server->notify : NULL,
        .inherited = &server->inherited,
    };

    return doors_new(&setup, &server->doors, failure);
}

/* Everything that a program that carries on needs, by the names of the store. */
static void list_descriptors(void *argument, int state_fd, FILE *out)
{
    const struct server *server = argument;

    fprintf(out, "%d %s\n%d %s\n", state_fd, STORE_STATE, server->region->fd, STORE_MEMORY);
    if (server->region->lock.fd >= 0)
        fprintf(out, "%d " INHERITED_LOCK STORE_MEMORY "\n", server->region->lock.fd);
    doors_list(server->doors, out);
    control_list(server->control, out);
    hub_list(server->hub, out);
}

static bool may_reexec(void *argument)
{
    return notify_idle(((struct server *)argument)->notify);
}

static int copy_state(void *argument)
{
    return state_copy(&((struct server *)argument)->state);
}

static int state_fd(void *argument)
{
    return ((struct server *)argument)->state.fd;
}

static void on_decided(void *argument, const char *reason)
{
    control_reexec_decided(((struct server *)argument)->control, reason);
}

static int begin_reexec(void *argument, struct failure *failure)
{
    return reexec_begin(((struct server *)argument)->reexec, failure);
}

static int prepare_reexec(struct server *server, struct failure *failure)
{
    const struct reexec_setup setup = {
        .base = server->base,
        .argv = server->argv,
        .list = list_descriptors,
        .may = may_reexec,
        .copy = copy_state,
        .state = state_fd,
        .decided = on_decided,
        .argument = server,
    };

    return reexec_new(&setup, &server->reexec, failure);
}

static void on_ready(void *argument, int error)
{
    struct server *server = argument;

    if (error)
        log_warning("the service manager cannot be reached: %s", strerror(-error));
    notify_text(server->notify, "READY=1\nSTATUS=%u peers on %s", server->hub->n_peers,
                server->config->socket);
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
    inherited_deinit(&server->inherited);
    keep_config(server);
    server->complete = true;
    return 0;
}

/* What administrators look at. */
static int make_views(struct server *server, struct failure *failure)
{
    const struct control_setup control = {.base = server->base,
                                          .config = server->config,
                                          .hub = server->hub,
                                          .region = server->region,
                                          .inherited = &server->inherited,
                                          .reexec = begin_reexec,
                                          .argument = server};
    const struct metrics_setup metrics = {.base = server->base,
                                          .config = server->config,
                                          .hub = server->hub,
                                          .region = server->region};
    int r = control_new(&control, &server->control, failure);

    if (r == 0)
        r = metrics_new(&metrics, &server->metrics, failure);
    server->hub->reserved =
        (server->control ? CONTROL_DESCRIPTORS : 0) + (server->metrics ? METRICS_DESCRIPTORS : 0);
    return r;
}

/* What fails here is not the state's fault, and does not count as an attempt to restore it. */
static int open_up(struct server *server, struct failure *failure)
{
    int r = prepare_reexec(server, failure);

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
        r = make_memory(server, failure);
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

bool server_has_predecessor(void)
{
    return inherited_peek(STORE_STATE) >= 0;
}

int server_kept_config(void)
{
    int state = inherited_peek(STORE_STATE);

    return state < 0 ? -ENOENT : state_kept_config(state);
}

int server_trial(struct config *config, struct failure *failure)
{
    struct server server = {.config = config, .state = {.fd = -1}};
    struct hub_setup setup = {
        .access = &config->access, .state = &server.state, .trial = true, .memory_fd = -1};
    int state, r = inherited_receive(&server.inherited, failure);

    if (r < 0)
        return r;
    state = inherited_take(&server.inherited, STORE_STATE);
    server.base = setup.base = event_base_new();
    r = server.base ? state_open(&server.state, state, failure)
                    : failure_set(failure, ENOMEM, "cannot make an event loop");
    if (r == 0) {
        setup.n_vectors = server.state.file->head.n_vectors;
        r = hub_new(&setup, &server.hub, failure);
    }
    if (r == 0)
        r = restore_hub(server.hub, &server.inherited, failure);
    hub_free(server.hub, false);
    state_deinit(&server.state);
    inherited_deinit(&server.inherited);
    if (server.base)
        event_base_free(server.base);
    return r;
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
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (server->signals[i])
            event_free(server->signals[i]);
    if (server->base)
        event_base_free(server->base);
    libevent_global_shutdown();
    free(server);
    return NULL;
}
