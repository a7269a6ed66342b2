/* SPDX-License-Identifier: MIT
 *
 * See doors.h.
 */
#include "server/doors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "server/listener.h"
#include "server/store.h"

enum { DOOR_NAME_SIZE = 64 };

/**
 * struct door - one socket
 * @slot:     whose it is, NULL for the peers' common one
 * @name:     what a program that carries on finds it by
 */
struct door {
    struct hub *hub;
    struct notify *store;
    struct slot *slot;
    struct listener *listener;
    char name[DOOR_NAME_SIZE];
};

struct doors {
    struct door *items;
    size_t n_items;
};

static void on_accept(void *argument, int sock)
{
    const struct door *door = argument;

    hub_admit(door->hub, sock, hub_new_serial(door->hub, sock), door->slot);
}

static void on_taken(void *argument, int error)
{
    const struct door *door = argument;

    (void)error;
    listener_resume(door->listener);
}

/*
 * A connection that was accepted and is not yet in the store dies with the process, and a QEMU
 * whose greeting breaks off spins for ever. So nobody is accepted unless the store takes the
 * socket at once; until then clients wait in the backlog, which outlives us.
 */
static bool is_ready(void *argument)
{
    struct door *door = argument;

    if (!door->store || notify_writable(door->store))
        return true;
    return notify_barrier(door->store, on_taken, door) < 0;
}

static int open_inherited(const struct doors_setup *setup, struct door *door, const char *path,
                          const char *manager_name, struct failure *failure)
{
    int fd = inherited_take(setup->inherited, manager_name), r;

    if (fd >= 0) {
        snprintf(door->name, sizeof(door->name), "%s", manager_name);
        path = NULL; /* the manager made it, and removes it */
    } else {
        fd = inherited_take(setup->inherited, door->name);
    }
    if (fd < 0)
        return -ENOENT;
    r = listener_inherit(setup->base, fd, path, on_accept, door, &door->listener, failure);
    if (r < 0)
        close_fd(fd);
    return r;
}

static int open_door(const struct doors_setup *setup, struct door *door, struct failure *failure)
{
    const struct config *config = setup->config;
    const struct slot *slot = door->slot;
    _cleanup_free_ char *path = NULL;
    char manager_name[DOOR_NAME_SIZE];
    int r;

    if (slot ? asprintf(&path, "%s%s%s", slot->socket ? slot->socket : config->socket,
                        slot->socket ? "" : ".", slot->socket ? "" : slot->name) < 0
             : !(path = strdup(config->socket)))
        return failure_set(failure, ENOMEM, "out of memory");
    snprintf(manager_name, sizeof(manager_name), slot ? "slot-%s" : "peers",
             slot ? slot->name : "");
    r = open_inherited(setup, door, path, manager_name, failure);
    if (r == -ENOENT) {
        r = listener_new(setup->base, path, &config->rights, on_accept, door, &door->listener,
                         failure);
        if (r == 0 && setup->store)
            r = notify_store(setup->store, door->name, listener_fd(door->listener));
    }
    if (r == 0)
        listener_set_ready(door->listener, is_ready);
    return r;
}

int doors_new(const struct doors_setup *setup, struct doors **out, struct failure *failure)
{
    size_t count = setup->config->n_slots + 1;
    struct doors *doors = calloc(1, sizeof(*doors));
    int r = 0;

    if (!doors || !(doors->items = calloc(count, sizeof(*doors->items)))) {
        free(doors);
        return failure_set(failure, ENOMEM, "out of memory");
    }
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct door *door = &doors->items[doors->n_items++];

        *door = (struct door){.hub = setup->hub, .store = setup->store};
        /* The common one last: who sees it finds all the others there. */
        door->slot = i < count - 1 ? &setup->config->slots[i] : NULL;
        store_name_listener(door->name, (unsigned)i);
        r = open_door(setup, door, failure);
    }
    if (r < 0) {
        doors_free(doors, true);
        return r;
    }
    *out = doors;
    return 0;
}

void doors_resume(struct doors *doors)
{
    for (size_t i = 0; doors && i < doors->n_items; i++)
        listener_resume(doors->items[i].listener);
}

void doors_list(const struct doors *doors, FILE *out)
{
    for (size_t i = 0; i < doors->n_items; i++)
        fprintf(out, "%d %s\n", listener_fd(doors->items[i].listener), doors->items[i].name);
}

struct doors *doors_free(struct doors *doors, bool remove)
{
    if (!doors)
        return NULL;
    for (size_t i = 0; i < doors->n_items; i++)
        listener_free(doors->items[i].listener, remove);
    free(doors->items);
    free(doors);
    return NULL;
}
