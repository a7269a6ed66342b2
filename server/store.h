/* SPDX-License-Identifier: MIT
 *
 * The store: descriptors that the service manager keeps for us across the death of this process
 * (systemd's file descriptor store), under names of at most seven characters.
 *
 *   state     the state memfd (state.h)         memory    the shared memory
 *   lNNNNN    own listening socket: 0, or       sXXXXXX   a peer's socket, by serial number
 *             the ID of its slot plus 1         IIIIVVV   doorbell: peer ID, vector
 *   pXXXXXX   private doorbell of the peer whose socket has this number
 *
 * They come back in no order, and the names are all that tells them apart. $LISTEN_FDNAMES cannot
 * be longer than one argument of execve(2), 128 KiB: hence the short names, and STORE_MAX.
 */
#ifndef IVSHMEM_STORE_H
#define IVSHMEM_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "server/notify.h"

struct seat;

enum {
    STORE_NAME_SIZE = 8,
    STORE_MAX = 16000,           /* stored descriptors of eight bytes of $LISTEN_FDNAMES each */
    STORE_SERIAL_MAX = 0xffffff, /* of a peer's socket */
};

#define STORE_STATE  "state"
#define STORE_MEMORY "memory"

/** store_name_socket() - the name of a peer's socket */
static inline void store_name_socket(char name[STORE_NAME_SIZE], unsigned serial)
{
    snprintf(name, STORE_NAME_SIZE, "s%06x", serial & STORE_SERIAL_MAX);
}

/** store_name_bell() - the name of the doorbell by which one peer rings the daemon */
static inline void store_name_bell(char name[STORE_NAME_SIZE], unsigned serial)
{
    snprintf(name, STORE_NAME_SIZE, "p%06x", serial & STORE_SERIAL_MAX);
}

/** store_name_doorbell() - the name of one doorbell of a seat */
static inline void store_name_doorbell(char name[STORE_NAME_SIZE], unsigned id, unsigned vector)
{
    snprintf(name, STORE_NAME_SIZE, "%04x%03x", id & 0xffff, vector & 0xfff);
}

/** store_name_listener() - the name of a listening socket that we made */
static inline void store_name_listener(char name[STORE_NAME_SIZE], unsigned number)
{
    snprintf(name, STORE_NAME_SIZE, "l%05x", number & 0xfffff);
}

/**
 * store_seat() - store all doorbells of a seat
 * @notify: the manager
 * @seat:   the seat; must stay until they were taken (notify_barrier()) or store_forget_seat()
 *
 * Return: 0, or -ENOMEM; then nothing of the seat stays stored.
 */
int store_seat(struct notify *notify, const struct seat *seat);

/** store_forget_seat() - drop the doorbells of a seat from the store */
void store_forget_seat(struct notify *notify, unsigned id, unsigned n_vectors);

/** store_socket() - store a peer's socket. Return: 0 or -ENOMEM. */
int store_socket(struct notify *notify, unsigned serial, int sock);

/** store_bell() - store the doorbell by which a peer rings the daemon. Return: 0 or -ENOMEM. */
int store_bell(struct notify *notify, unsigned serial, int bell);

/** store_forget_socket() - drop a peer's socket from the store */
void store_forget_socket(struct notify *notify, unsigned serial);

/** store_forget_bell() - drop the doorbell by which a peer rang the daemon from the store */
void store_forget_bell(struct notify *notify, unsigned serial);

#endif
