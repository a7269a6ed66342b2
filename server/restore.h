/* SPDX-License-Identifier: MIT
 *
 * Restoring a hub: seats and peers as the state says, with the descriptors that came back.
 *
 * Theory of operation. The state is believed as far as it makes sense, a descriptor only if it is
 * what its name says. A seat without all its doorbells, or a peer without its socket, is gone:
 * the others are told of its leave like of any other. Changes that a kill interrupted are ended
 * first: a batch in flight is recorded as far as the kernel sent it, a seat that was LEAVING is
 * removed. Sockets that belong to nobody are newcomers who were not yet admitted: they are
 * admitted now. What belongs to nothing is dropped from the store and closed.
 */
#ifndef IVSHMEM_RESTORE_H
#define IVSHMEM_RESTORE_H

#include "common/failure.h"
#include "server/doors.h"
#include "server/hub.h"
#include "server/inherited.h"

/**
 * restore_hub() - carry on where another process stopped
 * @hub:       a new hub on the restored state
 * @inherited: what came back; what belongs to the hub is taken
 * @failure:   what is missing
 *
 * Nothing is sent before restore_end(). In a trial (struct hub) the descriptors stay as they are.
 *
 * Return: 0, or a negative errno when it cannot be done at all.
 */
int restore_hub(struct hub *hub, struct inherited *inherited, struct failure *failure);

/**
 * restore_end() - drop who was lost, admit who was waiting, tell everybody what is new
 * @hub:       the restored hub
 * @inherited: sockets in it are admitted
 * @doors:     tell which slot each of them has come for
 */
void restore_end(struct hub *hub, struct inherited *inherited, const struct doors *doors);

/**
 * restore_abandon() - what was left cannot be restored: hang up on its peers and drop it all
 * @store:     the manager, NULL if nothing is stored
 * @inherited: all but listening sockets is closed
 */
void restore_abandon(struct notify *store, struct inherited *inherited);

#endif
