/* SPDX-License-Identifier: MIT
 *
 * Connections, from within the tables: how one changes, and what follows from the records.
 *
 * A change is drafted (channel_state_draft_ring(), _draft_peer()) and then made true, published and
 * told by connections_commit(), which also keeps the derived tables: the free space, quotas, and
 * each peer's list of connections. All rings of a change belong to one connection.
 */
#ifndef IVSHMEM_CONNECTION_H
#define IVSHMEM_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/layout.h"
#include "server/channel_state.h"

struct channels;

#define CONNECTION_NONE UINT32_MAX

/** connection_peer() - who is, or was, on a side of the connection @first */
unsigned connection_peer(const struct channels *channels, unsigned first, unsigned side);

/** connection_sides() - the sides of the connection @first where @peer is still there */
unsigned connection_sides(const struct channels *channels, unsigned first, unsigned peer);

/**
 * connection_find() - the connection that a peer means
 * @channels: the tables
 * @peer:     who asks; it is still there on one side
 * @channel:  any number
 * @sides:    set to connection_sides()
 *
 * Return: its first channel, or CONNECTION_NONE.
 */
unsigned connection_find(const struct channels *channels, unsigned peer, uint32_t channel,
                         unsigned *sides);

/**
 * connection_end() - draft the end of some sides of a connection
 * @channels: the tables
 * @first:    names it; not LAYOUT_FREE
 * @leaving:  sides that are there no more, may be 0
 * @status:   why; said to who remains, unless it ended earlier
 */
void connection_end(struct channels *channels, unsigned first, unsigned leaving,
                    enum layout_status status);

/**
 * connections_drop() - end all sides of a peer
 * @channels: the tables
 * @peer:     it is gone, or begins anew
 */
void connections_drop(struct channels *channels, unsigned peer);

/**
 * connections_refuse() - end all offers that wait at a port
 * @channels: the tables
 * @peer:     who listened
 * @port:     where
 */
void connections_refuse(struct channels *channels, unsigned peer, uint32_t port);

/**
 * connections_commit() - make true what was drafted, publish it, and ring the peers in it
 *
 * Space of new rings was taken from the extents before; that of rings that are gone is given back.
 */
void connections_commit(struct channels *channels);

/** connections_learn() - add a connection that the records have to the derived tables */
void connections_learn(struct channels *channels, unsigned first);

/**
 * connection_over_quota() - whether some more is too much for a peer
 * @channels:   the tables
 * @peer:       whose
 * @n_channels: more rings
 * @bytes:      more bytes in rings
 */
bool connection_over_quota(const struct channels *channels, unsigned peer, uint32_t n_channels,
                           uint64_t bytes);

/** connection_size() - rings and bytes of the connection @first, with the next places */
uint32_t connection_size(const struct channels *channels, unsigned first, uint64_t *bytes);

/**
 * connection_next() - the first channel in use at or after @from
 *
 * Return: it, or CONNECTION_NONE.
 */
unsigned connection_next(const struct channels *channels, unsigned from);

/** connection_watch() - look at what the ends of a ring say of its use */
void connection_watch(struct channels *channels, unsigned channel, int64_t now);

#endif
