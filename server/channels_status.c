/* SPDX-License-Identifier: MIT
 *
 * Channels, for who asks: the control socket and the metrics. See channels.h.
 */
#include "server/channels.h"

#include "server/connection.h"

bool channels_status(const struct channels *channels, unsigned from, struct channels_status *status)
{
    const unsigned channel = connection_next(channels, from);
    const struct channel_ring *ring;
    struct section_use use;

    if (channel == CONNECTION_NONE)
        return false;
    ring = &channels->state->rings[channel];
    use = section_load_use(&channels->section, channel);
    *status = (struct channels_status){
        .channel = channel,
        .state = ring->entry.state,
        .status = ring->entry.status,
        .sender = ring->entry.sender_vm,
        .receiver = ring->entry.receiver_vm,
        .sender_pid = ring->entry.sender_pid,
        .port = ring->entry.port,
        .flags = ring->entry.flags,
        .pair = ring->entry.pair,
        .first = ring->entry.first,
        .sides = ring->sides,
        .serial = ring->entry.serial,
        .offset = ring->entry.buff_offset,
        .size = ring->entry.buff_size,
        .next_size = ring->entry.next_size,
        .resizes = ring->resizes,
        .bytes = use.bytes,
        .messages = use.messages,
        .full = use.head_touch,
    };
    return true;
}

const char *channels_state_name(unsigned state)
{
    static const char *const names[] = {
        [LAYOUT_FREE] = "free",
        [LAYOUT_OFFERED] = "offered",
        [LAYOUT_OPEN] = "open",
        [LAYOUT_CLOSED] = "closed",
    };

    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "free";
}

const char *channels_status_name(unsigned status)
{
    static const char *const names[] = {
        [LAYOUT_OK] = "ok",
        [LAYOUT_BAD_REQUEST] = "bad-request",
        [LAYOUT_NO_PEER] = "no-peer",
        [LAYOUT_NO_LISTENER] = "no-listener",
        [LAYOUT_NO_CHANNEL] = "no-channel",
        [LAYOUT_NO_SPACE] = "no-space",
        [LAYOUT_NO_ENTRY] = "no-entry",
        [LAYOUT_OVER_QUOTA] = "over-quota",
        [LAYOUT_PORT_IN_USE] = "port-in-use",
        [LAYOUT_REFUSED] = "refused",
        [LAYOUT_TIMED_OUT] = "timed-out",
        [LAYOUT_PEER_CLOSED] = "peer-closed",
        [LAYOUT_PEER_GONE] = "peer-gone",
        [LAYOUT_IDLE] = "idle",
        [LAYOUT_SERVER_CLOSED] = "server-closed",
    };

    return status < sizeof(names) / sizeof(names[0]) ? names[status] : "unknown";
}

void channels_totals(const struct channels *channels, struct channels_totals *totals)
{
    const struct channel_state *state = channels->state;

    *totals = (struct channels_totals){
        .n_mailboxes = state->n_mailboxes,
        .n_channels = state->n_channels,
        .active = channels->n_used,
        .data_bytes = channels->extents.end - channels->extents.start,
        .free_bytes = channels->extents.free_bytes,
        .largest_free = extents_largest(&channels->extents),
        .counters = state->counters,
    };
    for (unsigned i = 0; i < state->n_mailboxes; i++)
        totals->speaking += state->peers[i].peer.speaks;
}
