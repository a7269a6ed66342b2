/* SPDX-License-Identifier: MIT
 *
 * The clerk: serves the channels to the peers. It hears their private doorbells, has the tables
 * (channels.h) carry out what they ask for, rings those who have to know, and looks after the time.
 *
 * Theory of operation. Each client has a doorbell of the daemon that nobody else was given, so
 * which one rings tells who asks. In a round of the event loop each doorbell counts once, however
 * often it was rung, and leads to one request at most. Who rings faster than anybody can need has
 * to rest for a few milliseconds again and again: it costs a bounded share of the processor, and
 * the others are served meanwhile. A doorbell is read without waiting, whatever was done to its
 * flags.
 *
 * Peers are rung from the thread of a ringer (ringer.h), for one of them can make that wait. Most
 * who would are seen before: a counter that is full has an event pending, and need not be rung.
 * Who makes the thread wait all the same is left alone for a while, longer each time.
 *
 * A timer runs only while something is due, and with no peer there nothing ever is.
 */
#ifndef IVSHMEM_CLERK_H
#define IVSHMEM_CLERK_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/failure.h"
#include "server/channels.h"
#include "server/config.h"
#include "server/region.h"
#include "server/ringer.h"
#include "server/state.h"

struct clerk;
struct hub;
struct peer;

enum { CLERK_DESCRIPTORS = 1 + RINGER_TURN }; /* beside the peers' doorbells */

/**
 * struct clerk_setup - what a clerk needs; nothing of it is owned
 * @base:     event loop
 * @config:   what the memory is divided into
 * @region:   the memory
 * @state:    where the tables lie
 * @restored: the state is that of another process, and has tables
 */
struct clerk_setup {
    struct event_base *base;
    const struct config *config;
    const struct region *region;
    struct state *state;
    bool restored;
};

/**
 * clerk_new() - map the region and find or make the tables
 * @setup:   what it needs
 * @out:     the clerk; clerk_begin() comes next
 * @failure: says what is missing
 *
 * Tables that cannot be true are given up, which is logged: the peers stay, their channels end.
 *
 * Return: 0 or a negative errno.
 */
int clerk_new(const struct clerk_setup *setup, struct clerk **out, struct failure *failure);

/**
 * clerk_begin() - make the section, and serve the peers that are there
 * @clerk: the clerk; NULL does nothing
 * @hub:   all peers, restored ones among them; not owned, must outlive the clerk
 *
 * Return: 0 or -ENOMEM.
 */
int clerk_begin(struct clerk *clerk, struct hub *hub);

/** clerk_free() - stop serving. Tables and section stay, for who carries on. Takes NULL. */
struct clerk *clerk_free(struct clerk *clerk);

/**
 * clerk_try() - whether the tables of a state could be carried on with
 * @state:   the state, a copy; it has tables
 * @failure: why not
 *
 * Return: 0 or a negative errno.
 */
int clerk_try(struct state *state, struct failure *failure);

/** clerk_joined() - a peer is there, and has not been told anything yet; @clerk may be NULL */
void clerk_joined(struct clerk *clerk, struct peer *peer);

/** clerk_left() - a peer has hung up, and its ID is still nobody else's; @clerk may be NULL */
void clerk_left(struct clerk *clerk, const struct peer *peer);

/** clerk_reconfigure() - limits in the configuration may have changed; @clerk may be NULL */
void clerk_reconfigure(struct clerk *clerk);

/** clerk_channels() - the tables, to be looked at */
const struct channels *clerk_channels(const struct clerk *clerk);

/**
 * clerk_resize() - begin to move a ring to a place of another size: channels_resize()
 * @clerk:   the clerk
 * @channel: any number
 * @size:    bytes
 *
 * Return: as channels_resize().
 */
int clerk_resize(struct clerk *clerk, unsigned channel, uint64_t size);

/**
 * clerk_close() - end a connection: channels_close()
 * @clerk:   the clerk
 * @channel: any of its channels
 *
 * Return: as channels_close().
 */
int clerk_close(struct clerk *clerk, unsigned channel);

#endif
