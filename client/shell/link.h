/* SPDX-License-Identifier: MIT
 *
 * Channels for commands: making one, and saying what went wrong with it.
 *
 * Calls on a channel wait in slices, so that Ctrl-C and the time-out of the command count.
 */
#ifndef IVSHMEM_LINK_H
#define IVSHMEM_LINK_H

#include "client/shell/tool.h"

/** LINK_ANY - instead of a peer: whoever there is */
#define LINK_ANY UINT64_MAX

enum { LINK_SLICE_MS = 250 }; /* what calls on a channel wait at a time */

/**
 * link_peer() - read a word that is a peer
 * @text:    an ID, or "any"; NULL is any
 * @peer:    set; LINK_ANY
 * @failure: what is wrong with it
 *
 * Return: 0 or a negative errno.
 */
int link_peer(const char *text, uint64_t *peer, struct failure *failure);

/**
 * link_connect() - connect to a port of a peer
 * @tool:    the tool, a peer
 * @given:   its options say what the channel is like. With a time-out, who does not listen yet is
 *           waited for
 * @peer:    ID, or LINK_ANY for the first that listens
 * @port:    not 0
 * @reverse: bytes of the ring back, 0 for none
 * @channel: NULL; set to the connection, unless the user did not want to wait any longer
 *
 * Return: STATUS_DONE, or another status after saying why.
 */
int link_connect(struct tool *tool, const struct arguments *given, uint64_t peer, uint64_t port,
                 uint64_t reverse, struct ivshmem_channel **channel);

/** link_listen() - let others connect to a port. Return: enum status, after saying why not. */
int link_listen(struct tool *tool, uint64_t port);

/**
 * link_accept() - wait until somebody has connected, and listen no longer
 * @tool:    the tool, a peer
 * @given:   its time-out
 * @peer:    who may; LINK_ANY for anybody. Others are refused
 * @port:    that we listen on
 * @channel: as of link_connect()
 *
 * Return: STATUS_DONE, or another status after saying why.
 */
int link_accept(struct tool *tool, const struct arguments *given, uint64_t peer, uint64_t port,
                struct ivshmem_channel **channel);

/**
 * link_close() - close a connection, and see that the server knows
 * @tool:    the tool
 * @channel: may be NULL
 *
 * Without the second half, whoever exits at once after it might as well have died for the server.
 *
 * Return: always NULL.
 */
struct ivshmem_channel *link_close(struct tool *tool, struct ivshmem_channel *channel);

/** link_info() - how a channel stands */
struct ivshmem_channel_info link_info(const struct ivshmem_channel *channel);

/**
 * link_failed() - say that a call on channels failed
 * @tool: the tool
 * @what: what was tried, "connect to peer 3"; NULL for nothing
 * @r:    what the library returned
 *
 * Return: the status that goes with it.
 */
int link_failed(struct tool *tool, const char *what, int r);

/** link_failed_as() - the same with a text of its @own; NULL, or a server that is gone: as above */
int link_failed_as(struct tool *tool, const char *what, int r, const char *own);

#endif
