/* SPDX-License-Identifier: MIT
 *
 * Slots: IDs with a name. A slot has a socket of its own, and who connects there gets the slot's
 * ID with the same doorbells each time; the other peers are told once and hear of no leave.
 */
#ifndef IVSHMEM_SLOT_H
#define IVSHMEM_SLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/failure.h"

struct peer;
struct seat;

enum { SLOTS_MAX = 1024, SLOT_NAME_MAX = 32 };

/**
 * struct slot - a pinned ID
 * @name:   1..SLOT_NAME_MAX characters of [A-Za-z0-9._-], owned
 * @id:     0..WIRE_ID_MAX
 * @socket: path of its socket, owned; NULL for the peers' socket with ".NAME" appended
 * @seat:   its seat, while the hub lives
 * @holder: the peer that sits there, NULL when it is vacant
 */
struct slot {
    char *name;
    unsigned id;
    char *socket;
    struct seat *seat;
    struct peer *holder;
};

/**
 * slot_parse() - read NAME=ID[:SOCKET]
 * @text:    the text
 * @slot:    filled in; give it to slot_deinit()
 * @failure: says what is wrong
 *
 * Return: 0 or a negative errno.
 */
int slot_parse(const char *text, struct slot *slot, struct failure *failure);

/** slot_deinit() - free what slot_parse() allocated */
void slot_deinit(struct slot *slot);

/** slot_find() - the slot of this name or this ID among @count others, NULL if there is none */
struct slot *slot_find(struct slot *slots, size_t count, const char *name, unsigned id);

#endif
