/* SPDX-License-Identifier: MIT
 *
 * The stream of events: Monitor, and how an incident is put into words.
 */
#include <time.h>

#include "common/cleanup.h"
#include "common/layout.h"
#include "server/control.h"
#include "server/control_methods.h"

static uint64_t microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static cJSON *new_event(const char *event)
{
    cJSON *parameters = cJSON_CreateObject();

    control_add_name(parameters, "event", event);
    varlink_add_integer(parameters, "time", microseconds());
    return parameters;
}

/* The first event says that none is missed from here on. */
void control_monitor(struct control *control, struct session *session, const cJSON *parameters)
{
    _cleanup_free_ char *text = varlink_reply(new_event("ready"), true);

    (void)control;
    (void)parameters;
    session_stream(session);
    if (text)
        session_send(session, text);
}

static void add_channel(cJSON *event, const struct incident *incident)
{
    if (incident->channel != LAYOUT_CHANNEL_NONE)
        varlink_add_integer(event, "channel", incident->channel);
    varlink_add_integer(event, "peer", incident->peer);
    varlink_add_integer(event, "listener", incident->listener);
    varlink_add_integer(event, "port", incident->port);
    varlink_add_integer(event, "size", incident->size);
}

char *control_describe(const struct incident *incident)
{
    static const char *const names[] = {
        [INCIDENT_JOINED] = "joined",
        [INCIDENT_LEFT] = "left",
        [INCIDENT_REFUSED] = "refused",
        [INCIDENT_REPAIRED] = "repaired",
        [INCIDENT_CHANNEL_OPENED] = "channel_opened",
        [INCIDENT_CHANNEL_REFUSED] = "channel_refused",
        [INCIDENT_CHANNEL_CLOSED] = "channel_closed",
        [INCIDENT_CHANNEL_RESIZED] = "channel_resized",
        [INCIDENT_SECTION_REPAIRED] = "section_repaired",
    };
    cJSON *event = new_event(names[incident->kind]);

    if (incident->kind == INCIDENT_JOINED || incident->kind == INCIDENT_LEFT) {
        varlink_add_integer(event, "peer", incident->peer);
        varlink_add_text(event, "slot", incident->slot);
    }
    if (incident->who)
        control_add_process(event, incident->who);
    varlink_add_text(event, "reason", incident->why);
    if (incident->kind == INCIDENT_REPAIRED)
        varlink_add_integer(event, "size", incident->size);
    if (incident->kind == INCIDENT_SECTION_REPAIRED)
        varlink_add_integer(event, "blocks", incident->blocks);
    if (incident->kind >= INCIDENT_CHANNEL_OPENED && incident->kind <= INCIDENT_CHANNEL_RESIZED)
        add_channel(event, incident);
    return varlink_reply(event, true);
}
