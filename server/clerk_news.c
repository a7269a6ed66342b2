/* SPDX-License-Identifier: MIT
 *
 * What the clerk says of channels: in the log, and to the hub's witness.
 */
#include <stdio.h>

#include "server/clerk_parts.h"
#include "server/hub.h"

enum { PARTY_SIZE = 160 };

/* "peer 3 of slot db (pid 77, uid 0, command x)", as far as it is known. */
static void describe(const struct clerk *clerk, unsigned id, char text[PARTY_SIZE])
{
    const struct peer *peer = id < clerk->n_callers ? clerk->callers[id].peer : NULL;

    if (peer)
        snprintf(text, PARTY_SIZE, "peer %u%s%s (" WHO_FORMAT ")", id,
                 peer->slot ? " of slot " : "", peer->slot ? peer->slot->name : "",
                 WHO(&peer->who));
    else
        snprintf(text, PARTY_SIZE, "peer %u", id);
}

static void log_connection(struct clerk *clerk, const struct channels_event *event, const char *why)
{
    static const struct {
        int level;
        const char *done;
    } words[] = {
        [CHANNELS_OFFERED] = {LOG_DEBUG, "offered"}, [CHANNELS_OPENED] = {LOG_INFO, "open"},
        [CHANNELS_REFUSED] = {LOG_INFO, "refused"},  [CHANNELS_CLOSED] = {LOG_INFO, "closed"},
        [CHANNELS_RESIZED] = {LOG_INFO, "moved"},
    };
    char from[PARTY_SIZE], to[PARTY_SIZE], number[32] = "";

    if (words[event->kind].level > log_level())
        return;
    describe(clerk, event->connector, from);
    describe(clerk, event->listener, to);
    if (event->channel != LAYOUT_CHANNEL_NONE)
        snprintf(number, sizeof(number), " %u", event->channel);
    log_limited(event->kind == CHANNELS_REFUSED ? &clerk->denied : &clerk->news,
                words[event->kind].level,
                "channel%s %s%s%s: %s, process %u, to %s, port %u, "
                "%llu bytes",
                number, words[event->kind].done, why ? ": " : "", why ? why : "", from, event->pid,
                to, event->port, (unsigned long long)event->size);
}

void clerk_tell(void *context, const struct channels_event *event)
{
    static const enum incident_kind kinds[] = {
        [CHANNELS_OPENED] = INCIDENT_CHANNEL_OPENED,
        [CHANNELS_REFUSED] = INCIDENT_CHANNEL_REFUSED,
        [CHANNELS_CLOSED] = INCIDENT_CHANNEL_CLOSED,
        [CHANNELS_RESIZED] = INCIDENT_CHANNEL_RESIZED,
        [CHANNELS_DAMAGED] = INCIDENT_SECTION_REPAIRED,
    };
    const bool has_status = event->kind == CHANNELS_REFUSED || event->kind == CHANNELS_CLOSED;
    const char *why = has_status ? channels_status_name(event->status) : NULL;
    struct clerk *clerk = context;
    struct incident incident = {.why = event->kind == CHANNELS_DAMAGED ? event->what : why,
                                .peer = event->connector,
                                .listener = event->listener,
                                .channel = event->channel,
                                .port = event->port,
                                .size = event->size,
                                .blocks = event->blocks};

    if (event->kind != CHANNELS_DAMAGED) /* which the tables have logged */
        log_connection(clerk, event, why);
    if (event->kind == CHANNELS_OFFERED || !clerk->hub)
        return;
    incident.kind = kinds[event->kind];
    witness_tell(&clerk->hub->witness, &incident);
}
