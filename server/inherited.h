/* SPDX-License-Identifier: MIT
 *
 * Descriptors that this process was started with, each under a name.
 *
 * They come from the service manager (sd_listen_fds(3): $LISTEN_PID, $LISTEN_FDS,
 * $LISTEN_FDNAMES), listening sockets and what was put into the descriptor store alike; or from
 * the program that this one takes over from (reexec.h), by a list in a memfd whose number is in
 * $IVSHMEM_INHERIT: that many names would not fit in the environment.
 */
#ifndef IVSHMEM_INHERITED_H
#define IVSHMEM_INHERITED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/failure.h"

#define INHERITED_LIST "IVSHMEM_INHERIT"
#define INHERITED_LOCK "lock-" /* in front of the name of what a lock file is for */

/**
 * struct inherited - the descriptors
 * @items:   sorted by name; fd is -1 once it was taken; with @ambiguous, another has the same name
 * @n_items: how many
 * @program: they come from the program before us, not from the manager
 */
struct inherited {
    struct inherited_item {
        char *name;
        int fd;
        bool ambiguous;
    } * items;
    size_t n_items;
    bool program;
};

/**
 * inherited_receive() - find out what there is
 * @inherited: filled in; give it to inherited_deinit()
 * @failure:   what is wrong with the environment
 *
 * The descriptors become CLOEXEC and the variables are unset.
 *
 * Return: 0 or a negative errno.
 */
int inherited_receive(struct inherited *inherited, struct failure *failure);

/**
 * inherited_take() - take a descriptor
 * @inherited: what there is
 * @name:      its name, which it must have alone: of two, nobody knows which is the right one
 *
 * Return: the descriptor, owned by the caller, or -1.
 */
int inherited_take(struct inherited *inherited, const char *name);

/** inherited_take_any() - the same for a name that several may have: one after the other */
int inherited_take_any(struct inherited *inherited, const char *name);

/**
 * inherited_take_path() - take a listening socket, whatever its name
 * @inherited: what there is
 * @path:      where it has to be
 * @name:      set to its name if there is one
 * @size:      room there
 *
 * Return: the descriptor, owned by the caller, or -1.
 */
int inherited_take_path(struct inherited *inherited, const char *path, char *name, size_t size);

/** inherited_has() - whether something came under a name, taken or not */
bool inherited_has(const struct inherited *inherited, const char *name);

/** inherited_report() - log which of the manager's listening sockets nobody took */
void inherited_report(const struct inherited *inherited);

/**
 * inherited_peek() - a descriptor that inherited_receive() would find, before that is called
 * @name: its name
 *
 * Return: the descriptor, which stays where it is, or -1.
 */
int inherited_peek(const char *name);

/**
 * inherited_take_lock() - take the lock file of something
 * @inherited: what came
 * @name:      the thing's own name
 *
 * Return: the descriptor, -1 if there is none; owned by the caller.
 */
int inherited_take_lock(struct inherited *inherited, const char *name);

/** inherited_deinit() - close what nobody took and forget the rest */
void inherited_deinit(struct inherited *inherited);

#endif
