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
 * @path:     where it has to be
 * @name:     what a program that carries on finds it by
 * @fd:       one that came with us and is not listened to yet, -1 for none
 * @lock:     its lock file, likewise
 * @ours:     we made it, or the process before us did, so we remove it
 * @unstored: the store is yet to be given it
 */
struct door {
    struct hub *hub;
    struct notify *store;
    struct slot *slot;
    struct listener *listener;
    char *path;
    char name[DOOR_NAME_SIZE];
    int fd, lock;
    bool ours, unstored;
};

struct doors {
    struct door *items;
    size_t n_items;
    bool carry_on;
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

static bool is_our_name(const char *name)
{
    unsigned number;
    int length = 0;

    return sscanf(name, "l%5x%n", &number, &length) == 1 && length == 6 && !name[length];
}

/*
 * What came for this door: by the name that a socket unit gives it, else whatever is at its path:
 * ours, perhaps of a slot that had another ID, or one that a socket unit gives no name.
 */
static void find_inherited(const struct doors_setup *setup, struct door *door)
{
    char name[DOOR_NAME_SIZE], ours[STORE_NAME_SIZE];

    store_name_listener(ours, door->slot ? door->slot->id + 1 : 0);
    snprintf(name, sizeof(name), door->slot ? "slot-%s" : "peers",
             door->slot ? door->slot->name : "");
    snprintf(door->name, sizeof(door->name), "%s", name);
    door->fd = inherited_take_any(setup->inherited, name);
    if (door->fd < 0)
        door->fd = inherited_take_path(setup->inherited, door->path, name, sizeof(name));
    if (door->fd >= 0)
        door->lock = inherited_take_lock(setup->inherited, name);
    door->ours = door->fd < 0 || door->lock >= 0 || is_our_name(name);
    if (door->ours)
        snprintf(door->name, sizeof(door->name), "%s", ours);
    door->unstored = door->ours && (door->fd < 0 || strcmp(name, ours) != 0);
    if (door->fd >= 0 && door->unstored && door->store)
        notify_remove(door->store, name);
}

static void close_stranger(const struct doors_setup *setup, const char *name, int fd)
{
    int lock = inherited_take_lock(setup->inherited, name);

    if (fd < 0)
        close_fd(lock);
    else
        listener_end(setup->base, fd, lock, true);
}

/*
 * Sockets of ours that are at no path any more, of slots that are gone, say. Return: that of the
 * peers, in case that the new one cannot be made, or -1.
 */
static int drop_strangers(const struct doors_setup *setup, struct doors *doors)
{
    int kept = -1;

    for (size_t i = 0; i < setup->inherited->n_items; i++) {
        struct inherited_item *item = &setup->inherited->items[i];
        struct door *common = &doors->items[doors->n_items - 1];

        if (item->fd < 0 || !is_our_name(item->name))
            continue;
        if (setup->store)
            notify_remove(setup->store, item->name);
        for (size_t j = 0; j < doors->n_items; j++)
            if (strcmp(doors->items[j].name, item->name) == 0)
                doors->items[j].unstored = true;
        if (common->fd < 0 && kept < 0 && strcmp(item->name, common->name) == 0)
            kept = steal_fd(&item->fd);
        else
            close_stranger(setup, item->name, steal_fd(&item->fd));
    }
    return kept;
}

/* Peers that are there must not be lost because of a place: @fd is served where it is. */
static int serve_in_place(const struct doors_setup *setup, struct door *door, int fd)
{
    int r = fd < 0 ? -ENOENT
                   : listener_inherit(setup->base, fd, -1, NULL, on_accept, door, &door->listener,
                                      NULL);

    if (r < 0)
        close_fd(fd);
    return r;
}

/* @kept is for a door whose place cannot be had; NULL for nothing. */
static int place_door(const struct doors_setup *setup, struct door *door, int *kept,
                      struct failure *failure)
{
    int none = -1;
    struct failure cause = {.text = ""};
    int r;

    if (door->fd < 0) {
        r = listener_new(setup->base, door->path, &setup->config->rights, on_accept, door,
                         &door->listener, &cause);
    } else {
        r = listener_inherit(setup->base, door->fd, steal_fd(&door->lock),
                             door->ours ? door->path : NULL, on_accept, door, &door->listener,
                             &cause);
        if (r == 0)
            steal_fd(&door->fd);
    }
    if (r == 0)
        return 0;
    if (!setup->carry_on)
        return failure_set(failure, -r, "%s", cause.text);
    if (serve_in_place(setup, door, steal_fd(door->fd >= 0 ? &door->fd : kept ? kept : &none)) == 0)
        log_error("%s. The socket stays where it was", cause.text);
    else
        log_error("%s. Nobody can join there", cause.text);
    return 0;
}

static int place_doors(const struct doors_setup *setup, struct doors *doors,
                       struct failure *failure)
{
    int r = 0, kept = drop_strangers(setup, doors);

    for (size_t i = 0; r == 0 && i < doors->n_items; i++) {
        struct door *door = &doors->items[i];

        r = place_door(setup, door, i == doors->n_items - 1 ? &kept : NULL, failure);
        if (door->listener)
            listener_set_ready(door->listener, is_ready);
    }
    close_stranger(setup, doors->items[doors->n_items - 1].name, kept);
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

        *door = (struct door){.store = setup->store, .fd = -1, .lock = -1};
        /* The common one last: who sees it finds all the others there. */
        door->slot = i < count - 1 ? &setup->config->slots[i] : NULL;
        r = config_peers_path(setup->config, door->slot, &door->path, failure);
        if (r == 0)
            find_inherited(setup, door);
    }
    if (r == 0)
        r = place_doors(setup, doors, failure);
    doors->carry_on = setup->carry_on;
    if (r < 0) {
        doors_free(doors, true);
        return r;
    }
    *out = doors;
    return 0;
}

int doors_open(struct doors *doors, struct hub *hub, struct failure *failure)
{
    struct failure cause = {.text = ""};

    for (size_t i = 0; i < doors->n_items; i++) {
        struct door *door = &doors->items[i];
        int r = door->listener ? listener_open(door->listener, &cause) : 0;

        door->hub = hub;
        if (r < 0 && !doors->carry_on)
            return failure_set(failure, -r, "%s", cause.text);
        if (r < 0) {
            log_error("%s. Nobody can join there", cause.text);
            door->listener = listener_free(door->listener, true);
        }
        if (door->listener && door->unstored && door->store)
            r = notify_store(door->store, door->name, listener_fd(door->listener));
        if (r == -ENOMEM)
            return failure_set(failure, ENOMEM, "out of memory");
    }
    return 0;
}

/* An accepted socket has the address of the one that it was accepted on. */
struct slot *doors_slot(const struct doors *doors, int sock)
{
    struct sockaddr_un address, other;
    socklen_t length = address_of(sock, &address);

    for (size_t i = 0; i < doors->n_items; i++)
        if (doors->items[i].listener &&
            address_of(listener_fd(doors->items[i].listener), &other) == length &&
            memcmp(&other, &address, length) == 0)
            return doors->items[i].slot;
    return NULL;
}

void doors_resume(struct doors *doors)
{
    for (size_t i = 0; doors && i < doors->n_items; i++)
        if (doors->items[i].listener)
            listener_resume(doors->items[i].listener);
}

void doors_list(const struct doors *doors, FILE *out)
{
    for (size_t i = 0; i < doors->n_items; i++)
        if (doors->items[i].listener)
            listener_list(doors->items[i].listener, doors->items[i].name, out);
}

struct doors *doors_free(struct doors *doors, bool remove)
{
    if (!doors)
        return NULL;
    for (size_t i = 0; i < doors->n_items; i++) {
        listener_free(doors->items[i].listener, remove);
        close_fd(doors->items[i].fd);
        close_fd(doors->items[i].lock);
        free(doors->items[i].path);
    }
    free(doors->items);
    free(doors);
    return NULL;
}
