/* SPDX-License-Identifier: MIT
 *
 * See rebalance.h.
 */
#include "server/rebalance.h"

#include <errno.h>

#include "server/channels.h"
#include "server/connection.h"

/* Both ends have room for more in their quotas; who is at both ends twice as much. */
static bool within_quotas(const struct channels *channels, const struct channel_ring *ring,
                          uint64_t size)
{
    const unsigned one = ring->entry.sender_vm, other = ring->entry.receiver_vm;

    if (one == other)
        return size <= UINT64_MAX / 2 && !connection_over_quota(channels, one, 0, 2 * size);
    return !connection_over_quota(channels, one, 0, size) &&
           !connection_over_quota(channels, other, 0, size);
}

/* Return: 0, or -ENOENT, -EBUSY, -EDQUOT, -ENOSPC. */
static int begin_move(struct channels *channels, unsigned channel, uint64_t size)
{
    const struct channel_ring *ring = &channels->state->rings[channel];
    struct channel_ring *draft;
    uint64_t offset;

    if (ring->entry.state != LAYOUT_OPEN)
        return -ENOENT;
    if (ring->entry.moving)
        return -EBUSY;
    if (!within_quotas(channels, ring, size))
        return -EDQUOT;
    if (extents_place(&channels->extents, size, &offset) < 0)
        return -ENOSPC;
    section_clear_ring(&channels->section, offset);
    draft = channel_state_draft_ring(channels->state, channel);
    draft->entry.moving = 1;
    draft->entry.next_offset = offset;
    draft->entry.next_size = size;
    draft->moved = 0;
    channel_state_draft_peer(channels->state, ring->entry.sender_vm)->peer.events++;
    channel_state_draft_peer(channels->state, ring->entry.receiver_vm)->peer.events++;
    connections_commit(channels);
    return 0;
}

int channels_resize(struct channels *channels, unsigned channel, uint64_t size)
{
    if (channel >= channels->state->n_channels)
        return -ENOENT;
    if (!size || size > LAYOUT_RING_MAX)
        return -EINVAL;
    return begin_move(channels, channel, (size + LAYOUT_BLOCK - 1) / LAYOUT_BLOCK * LAYOUT_BLOCK);
}

/* Return: the size that a ring should have. */
static uint64_t wanted_size(const struct channels *channels, unsigned channel, int64_t now)
{
    const struct channel_ring *ring = &channels->state->rings[channel];
    const struct channels_watch *watch = &channels->watch[channel];
    const struct channels_options *options = &channels->setup.options;
    const uint64_t size = ring->entry.buff_size;
    uint64_t most = options->grow_max / LAYOUT_BLOCK * LAYOUT_BLOCK, all, left;

    if (ring->entry.state != LAYOUT_OPEN || ring->entry.moving ||
        now - watch->decided_at < (int64_t)REBALANCE_REST * options->interval_ms)
        return size;
    if (size > ring->minimum &&
        now - watch->used_at >= (int64_t)REBALANCE_IDLE * options->interval_ms)
        return ring->minimum;
    if (watch->touches < REBALANCE_TOUCHES || size >= most)
        return size;
    most = size < most / 2 ? 2 * size : most;
    all = channels->extents.end - channels->extents.start;
    left = channels->extents.free_bytes;
    return left > most && left - most >= all / 4 ? most : size;
}

void rebalance(struct channels *channels, int64_t now)
{
    const struct channel_state *state = channels->state;
    unsigned channel = channels->rebalance_next;

    for (unsigned i = channels->n_used; i > 0; i--, channel++) {
        uint64_t size;

        channel = connection_next(channels, channel);
        if (channel == CONNECTION_NONE)
            channel = connection_next(channels, 0);
        connection_watch(channels, channel, now);
        size = wanted_size(channels, channel, now);
        if (size == state->rings[channel].entry.buff_size || !channels->setup.options.grow_max)
            continue;
        if (!channels->moves_left)
            continue;
        channels->watch[channel].decided_at = now; /* also when it cannot be: not at once again */
        if (begin_move(channels, channel, size) == 0)
            channels->moves_left--;
    }
    channels->rebalance_next = channel;
}
