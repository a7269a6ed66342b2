/* SPDX-License-Identifier: MIT
 *
 * See tool.h. Which way a command goes that needs either connection: a peer acts as a peer; who is
 * none yet uses the control socket, and joins where there is none.
 */
#include "client/shell/tool.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/shell/commands.h"
#include "client/shell/interrupt.h"
#include "client/shell/secure.h"
#include "common/cleanup.h"

enum {
    GREETING_MS = 10000, /* a server that has more to tell than this is broken */
    RETRY_MS = 100,
};

int64_t tool_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t tool_deadline(int64_t timeout)
{
    return timeout < 0 ? -1 : tool_now() + timeout;
}

int tool_left(int64_t deadline)
{
    int64_t left = deadline < 0 ? -1 : deadline - tool_now();

    return deadline >= 0 && left < 0 ? 0 : (int)left;
}

static void tell(struct tool *tool, enum happening what, unsigned peer, unsigned vector, int error)
{
    const struct event event = {.what = what, .peer = peer, .vector = vector, .error = error};

    if (tool->listener)
        tool->listener(tool, &event);
}

static void on_connected(struct ivshmem *iv, void *context)
{
    tell(context, HAPPENED_CONNECTED, (unsigned)ivshmem_id(iv), 0, 0);
}

static void on_joined(struct ivshmem *iv, void *context, unsigned peer)
{
    (void)iv;
    tell(context, HAPPENED_JOINED, peer, 0, 0);
}

static void on_vector(struct ivshmem *iv, void *context, unsigned peer, unsigned vector)
{
    (void)iv;
    tell(context, HAPPENED_VECTOR, peer, vector, 0);
}

static void on_left(struct ivshmem *iv, void *context, unsigned peer)
{
    (void)iv;
    tell(context, HAPPENED_LEFT, peer, 0, 0);
}

static void on_rung(struct ivshmem *iv, void *context, unsigned vector)
{
    struct tool *tool = context;

    if ((int)vector == tool->channel_vector)
        return;
    if (vector < WIRE_VECTORS_MAX)
        tool->latched[vector] = true;
    tell(tool, HAPPENED_RUNG, (unsigned)ivshmem_id(iv), vector, 0);
}

static void on_disconnected(struct ivshmem *iv, void *context, int error)
{
    struct tool *tool = context;

    (void)iv;
    memset(tool->latched, 0, sizeof(tool->latched));
    tool->channel_vector = -1;
    tell(tool, HAPPENED_DISCONNECTED, 0, 0, error);
}

static const struct ivshmem_callbacks callbacks = {
    .size = sizeof(callbacks),
    .connected = on_connected,
    .peer_joined = on_joined,
    .vector_added = on_vector,
    .peer_left = on_left,
    .notification = on_rung,
    .disconnected = on_disconnected,
};

int tool_init(struct tool *tool, const struct settings *settings, const struct output *output)
{
    *tool = (struct tool){
        .settings = settings,
        .output = output,
        .emit = {.out = output->file, .json = settings->json, .quiet = settings->quiet},
        .channel_vector = -1,
        .verbose = settings->verbose,
    };
    return ivshmem_new(&tool->iv, &callbacks, tool);
}

void tool_deinit(struct tool *tool)
{
    secure_close(tool, true);
    tool->iv = ivshmem_free(tool->iv);
    tool->control = control_free(tool->control);
}

const char *tool_target(const struct tool *tool, char *room, size_t size)
{
    snprintf(room, size, "unix:%s", tool->settings->socket);
    return room;
}

bool tool_connected(const struct tool *tool)
{
    return ivshmem_socket(tool->iv) >= 0;
}

/* --- the place among the peers --- */

static bool just_absent(int r)
{
    return r == -ENOENT || r == -ECONNREFUSED || r == -EAGAIN;
}

static int cannot_join(struct tool *tool, const char *why, const char *hint)
{
    return emit_error(&tool->emit, STATUS_NO_SERVER, "no server at %s: %s%s",
                      tool->settings->socket, why, hint);
}

/* Waits for our ID and the memory, which come first. */
static int wait_memory(struct tool *tool)
{
    int64_t deadline = tool_deadline(GREETING_MS);
    int r = 0;

    while (r == 0 && ivshmem_id(tool->iv) < 0) {
        struct pollfd fd = {.fd = ivshmem_fd(tool->iv), .events = POLLIN};

        if (poll(&fd, 1, tool_left(deadline)) == 0)
            return -ETIMEDOUT;
        r = ivshmem_dispatch(tool->iv);
    }
    return r;
}

static int join(struct tool *tool, bool for_memory)
{
    int64_t deadline = tool_deadline(tool->settings->wait_ms);
    char room[160];
    int r;

    while (!tool_connected(tool)) {
        r = ivshmem_open(tool->iv, tool_target(tool, room, sizeof(room)));
        if (r < 0 && !(just_absent(r) && tool_now() + RETRY_MS <= deadline))
            return cannot_join(
                tool, strerror(-r),
                just_absent(r) && !tool->settings->wait_ms ? " (--wait-server waits for one)" : "");
        if (r < 0)
            poll(NULL, 0, RETRY_MS);
    }
    r = for_memory ? wait_memory(tool) : ivshmem_wait_ready(tool->iv, GREETING_MS);
    if (r == -ECONNREFUSED)
        return emit_error(&tool->emit, STATUS_REFUSED, "%s; its log says why",
                          ivshmem_error(tool->iv));
    if (r == -ETIMEDOUT)
        return cannot_join(tool, "it does not tell who is there", "");
    return r < 0 ? cannot_join(tool, ivshmem_error(tool->iv), "") : STATUS_DONE;
}

/* In place of a server, and so of a place among the peers. */
static int open_memory(struct tool *tool, const struct arguments *given)
{
    const struct command *command = given->command;
    char target[PATH_MAX + sizeof("file:")];
    int r;

    if (!(command->needs == NEEDS_MEMORY || command->flags & COMMAND_MEMORY) ||
        (command->needs_place && command->needs_place(given)))
        return emit_error(&tool->emit, STATUS_USAGE,
                          "%s: that needs a server; give --socket in place of --memory",
                          command->name);
    snprintf(target, sizeof(target), "file:%s", tool->settings->memory);
    r = tool_connected(tool) ? 0 : ivshmem_open(tool->iv, target);
    if (r == 0)
        r = ivshmem_wait_ready(tool->iv, GREETING_MS);
    if (r == 0)
        return STATUS_DONE;
    return emit_error(&tool->emit, STATUS_USAGE, "%s%s", ivshmem_error(tool->iv),
                      r == -ENOENT ? " (the server makes it: start that first)" : "");
}

int tool_lost(struct tool *tool, int r)
{
    if (r == -EINTR || r == -EPIPE)
        return STATUS_DONE;
    if (r == -ERANGE || r == -EINVAL || r == -EFAULT)
        return emit_error(&tool->emit, STATUS_USAGE, "%s", ivshmem_error(tool->iv));
    if (tool->emit.interactive && !tool_connected(tool))
        return STATUS_NO_SERVER;
    return emit_error(&tool->emit, STATUS_NO_SERVER, "%s", ivshmem_error(tool->iv));
}

int tool_pause(struct tool *tool, int64_t timeout, int fd)
{
    int64_t deadline = tool_deadline(timeout);

    fflush(tool->emit.out);
    for (;;) {
        struct pollfd fds[] = {
            {.fd = tool_connected(tool) ? ivshmem_fd(tool->iv) : -1, .events = POLLIN},
            {.fd = fd, .events = POLLIN},
            {.fd = STDOUT_FILENO}, /* tells when its reader goes */
        };
        int left = tool_left(deadline), r = 0;

        if (tool->output->error)
            return -EPIPE;
        if (interrupt_seen() || (poll(fds, 3, left) < 0 && errno == EINTR))
            return -EINTR;
        if (fds[2].revents & (POLLERR | POLLHUP))
            return -EPIPE;
        if (fds[0].revents)
            r = ivshmem_dispatch(tool->iv);
        fflush(tool->emit.out);
        if (r < 0)
            return r;
        if (fds[1].revents)
            return 1;
        if (left == 0 || tool->woken)
            return 0;
    }
}

/* --- the control socket --- */

int tool_open_control(const struct tool *tool, struct control **control, struct failure *failure)
{
    const char *given = tool->settings->control;
    char path[160];

    snprintf(path, sizeof(path), "%s.ctl", tool->settings->socket);
    return control_open(control, given ? given : path, failure);
}

static int open_control(struct tool *tool, struct failure *failure)
{
    return tool->control ? 0 : tool_open_control(tool, &tool->control, failure);
}

bool tool_has_control(struct tool *tool)
{
    struct failure failure;

    return open_control(tool, &failure) == 0;
}

static int call_once(struct tool *tool, const char *method, cJSON *parameters, cJSON **reply,
                     struct failure *failure)
{
    int r = open_control(tool, failure);

    if (r < 0)
        cJSON_Delete(parameters);
    else
        r = control_send(tool->control, method, parameters, false, failure);
    if (r == 0)
        r = control_receive(tool->control, true, reply, failure);
    if (r < 0)
        tool->control = control_free(tool->control);
    return r;
}

int tool_call(struct tool *tool, const char *method, cJSON *parameters, cJSON **reply)
{
    bool used = tool->control != NULL;
    cJSON *again = used ? cJSON_Duplicate(parameters, true) : NULL;
    struct failure failure = {.text = "interrupted"};
    int r = call_once(tool, method, parameters, reply, &failure);

    if (used && (r == -ECONNRESET || r == -EPIPE))
        r = call_once(tool, method, steal_ptr(again), reply, &failure);
    cJSON_Delete(again);
    return r < 0 ? emit_error(&tool->emit, STATUS_NO_SERVER, "%s", failure.text) : STATUS_DONE;
}

int tool_refused(struct tool *tool, const cJSON *reply)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
    const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(reply, "parameters");
    _cleanup_free_ char *text = parameters ? cJSON_PrintUnformatted(parameters) : strdup("{}");

    return emit_error(&tool->emit, STATUS_REFUSED, "%s: %s", cJSON_GetStringValue(error),
                      text ? text : "{}");
}

int tool_query(struct tool *tool, const char *method, cJSON *parameters, cJSON **result)
{
    cJSON *reply = NULL;
    int status = tool_call(tool, method, parameters, &reply);

    if (status != STATUS_DONE)
        return status;
    if (control_error(reply))
        status = tool_refused(tool, reply);
    else
        *result = cJSON_DetachItemFromObjectCaseSensitive(reply, "parameters");
    if (status == STATUS_DONE && !*result)
        *result = cJSON_CreateObject();
    cJSON_Delete(reply);
    return status;
}

/* --- commands --- */

bool tool_needs_place(const struct tool *tool, const struct arguments *given)
{
    const struct command *command = given->command;

    if (given->help || command->needs == NEEDS_NOTHING || command->needs == NEEDS_CONTROL)
        return false;
    return command->needs != NEEDS_EITHER || tool->emit.interactive || tool->settings->join ||
           tool_connected(tool) || (command->needs_place && command->needs_place(given));
}

static int wait_control(struct tool *tool)
{
    int64_t deadline = tool_deadline(tool->settings->wait_ms);
    struct failure failure = {.text = ""};
    int r;

    while ((r = open_control(tool, &failure)) < 0 && just_absent(r) &&
           tool_now() + RETRY_MS <= deadline)
        poll(NULL, 0, RETRY_MS);
    return r < 0 ? emit_error(&tool->emit, STATUS_NO_SERVER, "%s", failure.text) : STATUS_DONE;
}

static int prepare(struct tool *tool, const struct arguments *given)
{
    struct failure failure = {.text = ""};
    enum command_needs needs = given->command->needs;

    if (given->help || needs == NEEDS_NOTHING || tool->emit.interactive)
        return STATUS_DONE;
    if (tool->settings->memory)
        return open_memory(tool, given);
    if (needs == NEEDS_CONTROL)
        return wait_control(tool);
    if (given->command->before && !tool_connected(tool)) {
        int status = given->command->before(tool, given);

        if (status != STATUS_DONE)
            return status;
    }
    if (!tool_needs_place(tool, given)) {
        if (open_control(tool, &failure) == 0)
            return STATUS_DONE;
        if (tool->settings->control)
            return wait_control(tool);
    }
    return join(tool, needs == NEEDS_MEMORY &&
                          !(given->command->needs_place && given->command->needs_place(given)));
}

int tool_run(struct tool *tool, struct arguments *given)
{
    const struct emit before = tool->emit;
    int status;

    tool->emit.json |= given->json;
    tool->emit.quiet |= given->quiet;
    status = prepare(tool, given);
    if (status == STATUS_DONE && given->help)
        commands_help_one(tool->emit.out, given->command);
    else if (status == STATUS_DONE)
        status = given->command->run(tool, given);
    tool->emit = before;
    return status;
}
