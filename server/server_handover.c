/* SPDX-License-Identifier: MIT
 *
 * Handing over: what the next program is given, and what a program finds out about the one before
 * it. Part of server.h; reexec.h tells how it goes.
 */
#include <errno.h>

#include "server/restore.h"
#include "server/server_parts.h"
#include "server/store.h"

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

int server_begin_reexec(void *argument, struct failure *failure)
{
    return reexec_begin(((struct server *)argument)->reexec, failure);
}

int server_prepare_reexec(struct server *server, struct failure *failure)
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
    if (r == 0 && state_mailboxes(&server.state))
        r = clerk_try(&server.state, failure);
    if (r == 0) {
        setup.n_mailboxes = state_mailboxes(&server.state);
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
