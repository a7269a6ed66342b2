/* SPDX-License-Identifier: MIT
 *
 * The witness: sees what happens to the peers and to the memory, counts it, and tells those who
 * watch (the control socket's monitors, the metrics file).
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
};

/**
 * struct incident - something that has happened
 * @kind: what
 * @peer: JOINED, LEFT: ID of the peer
 * @slot: JOINED, LEFT: name of its slot, NULL for none
 * @who:  its process; NULL for REPAIRED
 * @why:  REFUSED: the reason; LEFT: what it did, NULL when it simply left
 * @size: REPAIRED: the size that was found
 */
struct incident {
    enum incident_kind kind;
    unsigned peer;
    const char *slot;
    const struct credentials *who;
    const char *why;
    uint64_t size;
};

/**
 * struct counters - how often something happened since the start
 *
 * What each of them counts is said in witness_counters[].
 */
struct counters {
    uint64_t joins, leaves, refusals, repairs, announcements, rings;
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
 * @counters: what was counted
 * @watchers: who watches
 */
struct witness {
    struct counters counters;
    struct watcher_list watchers;
};

/** witness_init() - nothing has happened, and nobody watches */
void witness_init(struct witness *witness);

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
    return *(const uint64_t *)(const void *)((const char *)&witness->counters + spec->offset);
}

#endif
