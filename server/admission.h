/* SPDX-License-Identifier: MIT
 *
 * Admission: what has to be true, and what has to be ready, before a newcomer becomes a peer.
 *
 * The steps are taken in this order, each may refuse, and none is seen by the other peers.
 */
#ifndef IVSHMEM_ADMISSION_H
#define IVSHMEM_ADMISSION_H

#include "common/failure.h"
#include "server/credentials.h"

struct hub;
struct peer;
struct seat;
struct slot;

/**
 * admission_check() - whether somebody may join and there is room for it
 * @hub:     the hub
 * @sock:    its socket
 * @slot:    the slot that it asks for, NULL for none
 * @who:     filled in: who it is
 * @failure: why it is refused, and what to raise if that would help
 *
 * Return: 0 or a negative errno.
 */
int admission_check(struct hub *hub, int sock, const struct slot *slot, struct credentials *who,
                    struct failure *failure);

/**
 * admission_seat() - find or make a vacant seat
 * @hub:     the hub
 * @slot:    the slot that it is for, NULL for none
 * @out:     the seat
 * @failure: why there is none
 *
 * Return: 0 or a negative errno.
 */
int admission_seat(struct hub *hub, struct slot *slot, struct seat **out, struct failure *failure);

/**
 * admission_peer() - make the peer, and room for its ID in everybody's tables
 * @hub:     the hub
 * @sock:    its socket, owned by the peer on success
 * @serial:  number of the socket in the store
 * @who:     who it is
 * @seat:    where it will sit
 * @out:     the peer
 * @failure: what is missing
 *
 * Return: 0 or a negative errno.
 */
int admission_peer(struct hub *hub, int sock, unsigned serial, const struct credentials *who,
                   const struct seat *seat, struct peer **out, struct failure *failure);

/**
 * admission_refuse() - turn a newcomer away in a way that its QEMU understands, and log it
 * @hub:  the hub
 * @sock:   its socket, closed
 * @serial: number of the socket in the store
 * @seat: the seat that was found for it, NULL for none
 * @who:  who it is
 * @why:  the reason
 */
void admission_refuse(struct hub *hub, int sock, unsigned serial, struct seat *seat,
                      const struct credentials *who, const char *why);

#endif
