/* SPDX-License-Identifier: MIT
 *
 * See clean_up.h. The places are taken first, as a server that starts takes them. So nothing of one
 * that runs is removed.
 */
#include "server/clean_up.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "server/listener.h"
#include "server/region.h"

/* The sockets that a server with these options has: one for each slot, the peers', its control. */
struct places {
    struct listener **items;
    size_t n_items;
};

static int take(struct places *places, const char *path, const struct config *config,
                struct failure *failure)
{
    int r = listener_new(NULL, path, &config->rights, NULL, NULL, &places->items[places->n_items],
                         failure);

    if (r == 0)
        places->n_items++;
    return r == -ENOENT ? 0 : r; /* where there is no directory, nothing is in it */
}

static int take_all(struct places *places, const struct config *config, struct failure *failure)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i <= config->n_slots; i++) {
        _cleanup_free_ char *path = NULL;

        r = config_peers_path(config, i < config->n_slots ? &config->slots[i] : NULL, &path,
                              failure);
        if (r == 0)
            r = take(places, path, config, failure);
    }
    if (r == 0 && !config->no_control) {
        _cleanup_free_ char *path = NULL;

        r = config_control_path(config, &path, failure);
        if (r == 0)
            r = take(places, path, config, failure);
    }
    return r;
}

int clean_up(const struct config *config, struct failure *failure)
{
    struct places places = {.items = calloc(config->n_slots + 2, sizeof(struct listener *))};
    int r = places.items ? take_all(&places, config, failure)
                         : failure_set(failure, ENOMEM, "out of memory");

    if (r == 0)
        r = region_remove(&config->region, failure);
    for (size_t i = 0; i < places.n_items; i++) {
        if (r == 0)
            r = listener_clear(places.items[i], failure);
        listener_free(places.items[i], true);
    }
    free(places.items);
    return r;
}
