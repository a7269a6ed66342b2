/* SPDX-License-Identifier: MIT
 *
 * See doors.h.
 */
#include "server/doors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "server/listener.h"
#include "server/store.h"

enum { DOOR_NAME_SIZE = 64 };

/**
 * struct door - one socket
 * @slot:     whose it is, NULL for the peers' common one
 * @name:     what a program that carries on finds it by
 * @fresh:    the socket is yet to be made
 */
struct door {
    struct hub *hub;
    struct notify *store;
    struct slot *slot;
    struct listener *listener;
    char name[DOOR_NAME_SIZE];
    bool fresh;
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

static socklen_t address_of(int sock, struct sockaddr_un *address)
{
    socklen_t length = sizeof(*address);

    *address = (struct sockaddr_un){.sun_family = AF_UNSPEC};
    return getsockname(sock, (struct sockaddr *)address, &length) < 0 ? 0 : length;
}

/* Our own socket, as it was kept; not if the configuration has another path for it by now. */
static int take_own(const struct doors_setup *setup, const struct door *door, const char *path)
{
    int fd = inherited_take(setup->inherited, door->name);
    struct sockaddr_un address;

    if (fd < 0 || (address_of(fd, &address) > 0 &&
                   strncmp(address.sun_path, path, sizeof(address.sun_path)) == 0))
        return fd;
    log_notice("the socket %.108s is closed: it is %s now", address.sun_path, path);
    if (setup->store)
        notify_remove(setup->store, door->name);
    close_fd(fd);
    return -1;
}

/* Sockets of slots that the configuration has no more. */
static void drop_strangers(const struct doors_setup *setup)
{
    for (size_t i = 0; i < setup->inherited->n_items; i++) {
        struct inherited_item *item = &setup->inherited->items[i];
        unsigned number;
        int length = 0;

        if (item->fd < 0 || sscanf(item->name, "l%5x%n", &number, &length) != 1 || length != 6)
            continue;
        if (setup->store)
            notify_remove(setup->store, item->name);
        item->fd = close_fd(item->fd);
    }
}

static int open_inherited(const struct doors_setup *setup, struct door *door, const char *path,
                          const char *manager_name, struct failure *failure)
{
    int fd = inherited_take_any(setup->inherited, manager_name), r;

    if (fd >= 0) {
        snprintf(door->name, sizeof(door->name), "%s", manager_name);
        path = NULL; /* the manager made it, and removes it */
    } else {
        fd = take_own(setup, door, path);
    }
    if (fd < 0)
        return -ENOENT;
    r = listener_inherit(setup->base, fd, inherited_take_lock(setup->inherited, door->name), path,
                         on_accept, door, &door->listener, failure);
    if (r < 0)
        close_fd(fd);
    return r;
}

static int place_door(const struct doors_setup *setup, struct door *door, struct failure *failure)
{
    const struct config *config = setup->config;
    const struct slot *slot = door->slot;
    _cleanup_free_ char *path = NULL;
    char manager_name[DOOR_NAME_SIZE];
    int r;

    if (asprintf(&path, "%s%s%s", slot && slot->socket ? slot->socket : config->socket,
                 slot && !slot->socket ? "." : "", slot && !slot->socket ? slot->name : "") < 0)
        return failure_set(failure, ENOMEM, "out of memory");
    snprintf(manager_name, sizeof(manager_name), slot ? "slot-%s" : "peers",
             slot ? slot->name : "");
    r = open_inherited(setup, door, path, manager_name, failure);
    door->fresh = r == -ENOENT;
    if (door->fresh)
        r = listener_new(setup->base, path, &config->rights, on_accept, door, &door->listener,
                         failure);
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

        *door = (struct door){.store = setup->store};
        /* The common one last: who sees it finds all the others there. */
        door->slot = i < count - 1 ? &setup->config->slots[i] : NULL;
        store_name_listener(door->name, door->slot ? door->slot->id + 1 : 0);
        r = place_door(setup, door, failure);
    }
    if (r < 0) {
        doors_free(doors, true);
        return r;
    }
    drop_strangers(setup);
    *out = doors;
    return 0;
}

int doors_open(struct doors *doors, struct hub *hub, struct failure *failure)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < doors->n_items; i++) {
        struct door *door = &doors->items[i];

        door->hub = hub;
        r = listener_open(door->listener, failure);
        if (r == 0 && door->fresh && door->store)
            r = notify_store(door->store, door->name, listener_fd(door->listener));
    }
    return r;
}

/* An accepted socket has the address of the one that it was accepted on. */
struct slot *doors_slot(const struct doors *doors, int sock)
{
    struct sockaddr_un address, other;
    socklen_t length = address_of(sock, &address);

    for (size_t i = 0; i < doors->n_items; i++)
        if (address_of(listener_fd(doors->items[i].listener), &other) == length &&
            memcmp(&other, &address, length) == 0)
            return doors->items[i].slot;
    return NULL;
}

void doors_resume(struct doors *doors)
{
    for (size_t i = 0; doors && i < doors->n_items; i++)
        listener_resume(doors->items[i].listener);
}

void doors_list(const struct doors *doors, FILE *out)
{
    for (size_t i = 0; i < doors->n_items; i++)
        listener_list(doors->items[i].listener, doors->items[i].name, out);
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
