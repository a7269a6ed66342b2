/* SPDX-License-Identifier: MIT
 *
 * See witness.h.
 */
#include "server/witness.h"

const struct counter_spec witness_counters[] = {
    {"joins", "Peers that have joined.", offsetof(struct counters, joins)},
    {"leaves", "Peers that have left or were disconnected.", offsetof(struct counters, leaves)},
    {"refusals", "Clients that were turned away.", offsetof(struct counters, refusals)},
    {"repairs", "Times that the size of the memory was put right.",
     offsetof(struct counters, repairs)},
    {"announcements", "Messages sent to peers.", offsetof(struct counters, announcements)},
    {"rings", "Doorbells rung through the control socket.", offsetof(struct counters, rings)},
    {"channels_opened", "Connections between peers that were accepted.",
     offsetof(struct counters, channels_opened)},
    {"channels_refused", "Connections between peers that were asked for and came to nothing.",
     offsetof(struct counters, channels_refused)},
    {"channels_closed", "Connections between peers that have ended.",
     offsetof(struct counters, channels_closed)},
    {"channels_resized", "Rings that were moved to a place of another size.",
     offsetof(struct counters, channels_resized)},
    {"section_repairs", "Times that the tables in the memory were found written over.",
     offsetof(struct counters, section_repairs)},
    {NULL, NULL, 0},
};

void witness_init(struct witness *witness, struct counters *counters)
{
    *witness = (struct witness){.counters = counters};
    TAILQ_INIT(&witness->watchers);
}

void witness_watch(struct witness *witness, struct watcher *watcher)
{
    TAILQ_INSERT_TAIL(&witness->watchers, watcher, link);
}

void witness_unwatch(struct witness *witness, struct watcher *watcher)
{
    TAILQ_REMOVE(&witness->watchers, watcher, link);
}

void witness_count(struct witness *witness, uint64_t *counter, uint64_t times)
{
    const struct watcher *watcher;

    *counter += times;
    TAILQ_FOREACH (watcher, &witness->watchers, link)
        if (watcher->changed)
            watcher->changed(watcher->argument);
}

void witness_tell(struct witness *witness, const struct incident *incident)
{
    uint64_t *const counters[] = {
        [INCIDENT_JOINED] = &witness->counters->joins,
        [INCIDENT_LEFT] = &witness->counters->leaves,
        [INCIDENT_REFUSED] = &witness->counters->refusals,
        [INCIDENT_REPAIRED] = &witness->counters->repairs,
        [INCIDENT_CHANNEL_OPENED] = &witness->counters->channels_opened,
        [INCIDENT_CHANNEL_REFUSED] = &witness->counters->channels_refused,
        [INCIDENT_CHANNEL_CLOSED] = &witness->counters->channels_closed,
        [INCIDENT_CHANNEL_RESIZED] = &witness->counters->channels_resized,
        [INCIDENT_SECTION_REPAIRED] = &witness->counters->section_repairs,
    };
    const struct watcher *watcher;

    witness_count(witness, counters[incident->kind], 1);
    TAILQ_FOREACH (watcher, &witness->watchers, link)
        if (watcher->incident)
            watcher->incident(watcher->argument, incident);
}
