/* SPDX-License-Identifier: MIT
 *
 * State and memory of the server: those of the process before us where they can be carried on
 * with, new ones otherwise. Part of server.h.
 */
#include <errno.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "server/restore.h"
#include "server/server_parts.h"
#include "server/store.h"

static bool have_channels_changed(const struct channel_options *options,
                                  const struct channel_state *channels)
{
    if (!options->on || !channels->version)
        return options->on != (channels->version != 0);
    return options->n_mailboxes != channels->n_mailboxes ||
           options->n_channels != channels->n_channels;
}

/* Whether the configuration asks for something else than what is there. */
static bool has_changed(const struct config *config, const struct state *state)
{
    const struct state_head *head = &state->file->head;
    const bool rounded = config->region.directory || config->region.hugetlb;

    return config->n_vectors != head->n_vectors ||
           (!rounded && config->region.size != head->memory_size) ||
           have_channels_changed(&config->channels, &state->file->channels);
}

/* What is connected decides: a change of these needs a start with nobody there. */
static void prefer_state(struct config *config, const struct state *state)
{
    const struct channel_state *channels = &state->file->channels;
    const struct state_head *head = &state->file->head;

    if (has_changed(config, state))
        log_warning("peers are connected with %u vectors, %llu bytes and %u channels: these stay "
                    "until a start with none",
                    head->n_vectors, (unsigned long long)head->memory_size,
                    channels->version ? channels->n_channels : 0);
    config->channels.on = channels->version != 0;
    if (config->channels.on) {
        config->channels.n_mailboxes = channels->n_mailboxes;
        config->channels.n_channels = channels->n_channels;
    }
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
    if (has_changed(server->config, &server->state) && !state_has_peers(&server->state)) {
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
    prefer_state(server->config, &server->state);
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

int server_make_memory(struct server *server, struct failure *failure)
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
    if (r == 0 && !region_is_sealed(server->region))
        r = guard_new(server->base, server->region, &server->guard, failure);
    return server_forgive(server, r, failure);
}
