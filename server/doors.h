/* SPDX-License-Identifier: MIT
 *
 * The doors: the sockets that peers come in by. One for all, and one for each slot.
 *
 * A door is a listening socket that the service manager passed (named "peers", or "slot-NAME", or
 * at the door's path), or one that the process before us made, or a new one.
 */
#ifndef IVSHMEM_DOORS_H
#define IVSHMEM_DOORS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/failure.h"
#include "server/config.h"
#include "server/hub.h"
#include "server/inherited.h"
#include "server/notify.h"

struct doors;

/**
 * struct doors_setup - what the doors need; nothing of it is owned
 * @base:      event loop
 * @config:    paths and rights
 * @store:     keeps the sockets that we make, NULL if there is none
 * @inherited: listening sockets in it are taken
 * @carry_on:  there may be peers from before, who must not be lost: what cannot be made is logged
 *             and left out
 */
struct doors_setup {
    struct event_base *base;
    const struct config *config;
    struct notify *store;
    struct inherited *inherited;
    bool carry_on;
};

/**
 * doors_new() - take the places of all doors, and see that nothing is in the way
 *
 * Return: 0 or a negative errno.
 */
int doors_new(const struct doors_setup *setup, struct doors **out, struct failure *failure);

/**
 * doors_open() - make the sockets that were not inherited, and let in who comes
 * @doors:   the doors
 * @hub:     where who comes is admitted
 * @failure: says what went wrong
 *
 * Return: 0 or a negative errno.
 */
int doors_open(struct doors *doors, struct hub *hub, struct failure *failure);

/**
 * doors_slot() - which slot somebody has come for
 * @doors: the doors
 * @sock:  a connection that was accepted, by this process or one before it
 *
 * Return: the slot, NULL if it came by the common door or one that is no more.
 */
struct slot *doors_slot(const struct doors *doors, int sock);

/** doors_resume() - accept again: descriptors were given back, or the manager reads again */
void doors_resume(struct doors *doors);

/** doors_list() - write "NUMBER NAME" lines of the sockets, for a program that carries on */
void doors_list(const struct doors *doors, FILE *out);

/** doors_free() - close all doors, and with @remove remove the sockets that we made */
struct doors *doors_free(struct doors *doors, bool remove);

#endif
