/* SPDX-License-Identifier: MIT
 *
 * What can be asked through the control socket about channels.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "server/clerk.h"
#include "server/control.h"
#include "server/control_methods.h"
#include "server/rebalance.h"

static void no_such_channel(struct session *session, unsigned channel)
{
    cJSON *parameters = cJSON_CreateObject();

    varlink_add_integer(parameters, "channel", channel);
    session_error(session, "io.ivshmem.Server.NoSuchChannel", parameters);
}

void control_add_channels(cJSON *reply, const struct clerk *clerk)
{
    struct channels_totals totals;
    cJSON *object;

    if (!clerk)
        return;
    channels_totals(clerk_channels(clerk), &totals);
    object = cJSON_AddObjectToObject(reply, "channels");
    varlink_add_integer(object, "mailboxes", totals.n_mailboxes);
    varlink_add_integer(object, "channels_max", totals.n_channels);
    varlink_add_integer(object, "active", totals.active);
    varlink_add_integer(object, "speaking", totals.speaking);
    varlink_add_integer(object, "bytes", totals.data_bytes);
    varlink_add_integer(object, "free_bytes", totals.free_bytes);
    varlink_add_integer(object, "largest_free", totals.largest_free);
    varlink_add_integer(object, "quota_channels", channels_peer_channels(clerk_channels(clerk)));
    varlink_add_integer(object, "quota_bytes", channels_peer_bytes(clerk_channels(clerk)));
    varlink_add_integer(object, "requests", totals.counters.requests);
    varlink_add_integer(object, "repaired_blocks", totals.counters.repairs);
}

static cJSON *describe(const struct channels_status *status)
{
    cJSON *item = cJSON_CreateObject();

    varlink_add_integer(item, "channel", status->channel);
    varlink_add_integer(item, "first", status->first);
    if (status->pair != LAYOUT_CHANNEL_NONE)
        varlink_add_integer(item, "pair", status->pair);
    varlink_add_text(item, "state", channels_state_name(status->state));
    if (status->state == LAYOUT_CLOSED)
        varlink_add_text(item, "reason", channels_status_name(status->status));
    varlink_add_integer(item, "sender", status->sender);
    varlink_add_integer(item, "receiver", status->receiver);
    varlink_add_integer(item, "pid", status->sender_pid);
    varlink_add_integer(item, "port", status->port);
    cJSON_AddBoolToObject(item, "crc32c", status->flags & LAYOUT_CRC32C);
    varlink_add_integer(item, "offset", status->offset);
    varlink_add_integer(item, "size", status->size);
    if (status->next_size)
        varlink_add_integer(item, "next_size", status->next_size);
    varlink_add_integer(item, "bytes", status->bytes);
    varlink_add_integer(item, "messages", status->messages);
    varlink_add_integer(item, "full", status->full);
    varlink_add_integer(item, "resizes", status->resizes);
    return item;
}

void control_list_channels(struct control *control, struct session *session,
                           const cJSON *parameters)
{
    cJSON *reply = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(reply, "channels");
    const struct clerk *clerk = control->setup.clerk;
    struct channels_status status;
    unsigned from = 0;

    (void)parameters;
    for (; clerk && channels_status(clerk_channels(clerk), from, &status);
         from = status.channel + 1)
        cJSON_AddItemToArray(list, describe(&status));
    session_reply(session, reply);
}

static const char *reason_of(int error)
{
    switch (error) {
    case -EBUSY:
        return "it is being moved: an end has not answered yet";
    case -EINVAL:
        return "no ring can have that size";
    case -EDQUOT:
        return "it would be more than one of its ends may have";
    case -ENOSPC:
        return "the memory has no room for it";
    default:
        return strerror(-error);
    }
}

void control_resize(struct control *control, struct session *session, const cJSON *parameters)
{
    unsigned channel;
    uint64_t size;
    cJSON *why;
    int r;

    if (varlink_get_integer(parameters, "channel", INT_MAX, &channel) <= 0) {
        control_refuse(session, "channel");
        return;
    }
    if (varlink_get_size(parameters, "size", LAYOUT_RING_MAX, &size) <= 0) {
        control_refuse(session, "size");
        return;
    }
    r = control->setup.clerk ? clerk_resize(control->setup.clerk, channel, size) : -ENOENT;
    if (r == -ENOENT) {
        no_such_channel(session, channel);
    } else if (r < 0) {
        why = cJSON_CreateObject();
        varlink_add_text(why, "reason", reason_of(r));
        session_error(session, "io.ivshmem.Server.CannotResize", why);
    } else {
        log_info("channel %u is to have %llu bytes, asked for through the control socket "
                 "(" WHO_FORMAT ")",
                 channel, (unsigned long long)size, WHO(&session->who));
        session_reply(session, NULL);
    }
}

void control_close_channel(struct control *control, struct session *session,
                           const cJSON *parameters)
{
    unsigned channel;

    if (varlink_get_integer(parameters, "channel", INT_MAX, &channel) <= 0) {
        control_refuse(session, "channel");
        return;
    }
    if (!control->setup.clerk || clerk_close(control->setup.clerk, channel) < 0) {
        no_such_channel(session, channel);
        return;
    }
    log_notice("channel %u closed through the control socket (" WHO_FORMAT ")", channel,
               WHO(&session->who));
    session_reply(session, NULL);
}
