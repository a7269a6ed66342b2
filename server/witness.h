/* SPDX-License-Identifier: MIT
 *
 * The witness: sees what happens to the peers, to the memory and to channels, counts it, and tells
 * those who watch (the control socket's monitors, the metrics file).
 */
#ifndef IVSHMEM_WITNESS_H
#define IVSHMEM_WITNESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/credentials.h"

/** enum incident_kind - what can happen */
enum incident_kind {
    INCIDENT_JOINED,
    INCIDENT_LEFT,
    INCIDENT_REFUSED,  /* somebody was turned away */
    INCIDENT_REPAIRED, /* the memory had another size, and has the right one again */
    INCIDENT_CHANNEL_OPENED,
    INCIDENT_CHANNEL_REFUSED, /* it was asked for, and is not there */
    INCIDENT_CHANNEL_CLOSED,
    INCIDENT_CHANNEL_RESIZED,
    INCIDENT_SECTION_REPAIRED, /* somebody had written over the tables in the memory */
};

/**
 * struct incident - something that has happened
 * @kind: what
 * @peer: JOINED, LEFT: ID of the peer; CHANNEL_*: of who connected
 * @slot: JOINED, LEFT: name of its slot, NULL for none
 * @who:  its process; NULL for REPAIRED and all that is about channels
 * @why:  REFUSED, CHANNEL_REFUSED, CHANNEL_CLOSED: the reason; LEFT: what it did, NULL when it
 *        simply left; SECTION_REPAIRED: what was hit first
 * @size: REPAIRED: the size that was found; CHANNEL_*: of the ring
 * @listener: CHANNEL_*: ID of who was connected to
 * @channel: CHANNEL_*: its number, LAYOUT_CHANNEL_NONE for one that was not even offered
 * @port: CHANNEL_*: that was connected to
 * @blocks: SECTION_REPAIRED: how many were hit
 */
struct incident {
    enum incident_kind kind;
    unsigned peer;
    const char *slot;
    const struct credentials *who;
    const char *why;
    uint64_t size;
    unsigned listener, channel, port, blocks;
};

/**
 * struct counters - how often something happened since the start
 *
 * What each of them counts is said in witness_counters[]. They are part of the state (state.h): new
 * ones come last.
 */
struct counters {
    uint64_t joins, leaves, refusals, repairs, announcements, rings;
    uint64_t channels_opened, channels_refused, channels_closed, channels_resized;
    uint64_t section_repairs;
};

/**
 * struct counter_spec - one of the counters
 * @name:   its name
 * @help:   what it counts, one sentence
 * @offset: where it is in struct counters
 */
struct counter_spec {
    const char *name, *help;
    size_t offset;
};

/** witness_counters - all counters; ends with one whose name is NULL */
extern const struct counter_spec witness_counters[];

/**
 * struct watcher - somebody who wants to hear of it
 * @link:     place among the watchers
 * @incident: called for each incident; NULL if not wanted
 * @changed:  called when any counter has changed; NULL if not wanted
 * @argument: first argument of both
 */
struct watcher {
    TAILQ_ENTRY(watcher) link;
    void (*incident)(void *argument, const struct incident *incident);
    void (*changed)(void *argument);
    void *argument;
};

TAILQ_HEAD(watcher_list, watcher);

/**
 * struct witness - see above
 * @counters: what was counted; not owned
 * @watchers: who watches
 */
struct witness {
    struct counters *counters;
    struct watcher_list watchers;
};

/** witness_init() - go on counting, in counters that live longer; nobody watches */
void witness_init(struct witness *witness, struct counters *counters);

/** witness_watch() - somebody begins to watch; not owned, must stay until witness_unwatch() */
void witness_watch(struct witness *witness, struct watcher *watcher);

/** witness_unwatch() - somebody watches no more. Not to be called from a watcher's function. */
void witness_unwatch(struct witness *witness, struct watcher *watcher);

/** witness_tell() - something has happened: count it and tell everybody */
void witness_tell(struct witness *witness, const struct incident *incident);

/**
 * witness_count() - something that is only counted has happened
 * @witness: the witness
 * @counter: one of its counters
 * @times:   how often
 */
void witness_count(struct witness *witness, uint64_t *counter, uint64_t times);

/** witness_counter() - the value of a counter */
static inline uint64_t witness_counter(const struct witness *witness,
                                       const struct counter_spec *spec)
{
    return *(const uint64_t *)(const void *)((const char *)witness->counters + spec->offset);
}

#endif
