/* SPDX-License-Identifier: MIT
 *
 * Turns: which peer of a hub is sent something next, and where the others wait.
 *
 * Those that have something to hear take turns, one batch each; who is full waits for room in its
 * socket, who found too many descriptors in flight waits a moment. hub.h tells why.
 */
#ifndef IVSHMEM_TURNS_H
#define IVSHMEM_TURNS_H

#include "server/hub.h"

/** turns_init() - no peer waits for anything. Return: 0 or -ENOMEM. */
int turns_init(struct hub *hub);

/** turns_deinit() - forget the events; no peer may wait any more */
void turns_deinit(struct hub *hub);

/** turns_settle() - put a peer where @state says it belongs; it waits nowhere so far */
void turns_settle(struct hub *hub, struct peer *peer, enum peer_state state);

/** turns_unsettle() - take a peer out of where it waits; its state becomes PEER_IDLE */
void turns_unsettle(struct hub *hub, struct peer *peer);

#endif
