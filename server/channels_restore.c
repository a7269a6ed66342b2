/* SPDX-License-Identifier: MIT
 *
 * Carrying on with channels that another process had: its records are checked, each and against
 * each other, and what follows from them is computed. Only the daemon writes them, so one that
 * cannot be true means that they are of no use: all of them are refused, with what is wrong.
 */
#include <errno.h>
#include <string.h>

#include "server/channels.h"
#include "server/connection.h"

static bool is_zero(const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;

    while (size && !*byte)
        byte++, size--;
    return !size;
}

static int check_head(const struct channels_setup *setup, struct failure *failure)
{
    const struct channel_state *state = setup->state;

    if (state->version != CHANNEL_STATE_VERSION)
        return failure_set(failure, EPROTO,
                           "the tables of channels have version %u, and this program reads %d",
                           state->version, CHANNEL_STATE_VERSION);
    if (channels_fit(state->region_size, state->n_mailboxes, state->n_channels, failure) < 0)
        return -EPROTO;
    if (state->region_size != setup->region_size)
        return failure_set(
            failure, EPROTO, "the tables of channels are for a region of %llu bytes, not %llu",
            (unsigned long long)state->region_size, (unsigned long long)setup->region_size);
    if (state->started > 1 || !state->instance)
        return failure_set(failure, EPROTO, "the head of the tables of channels cannot be true");
    return 0;
}

static bool ports_are_good(const struct channel_peer *record)
{
    if (record->n_ports > CHANNEL_STATE_PORTS)
        return false;
    for (uint32_t i = 0; i < record->n_ports; i++) {
        if (!record->ports[i])
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (record->ports[i] == record->ports[j])
                return false;
    }
    return true;
}

static bool peer_is_good(const struct channel_peer *record)
{
    const struct layout_peer *peer = &record->peer;

    if (peer->generation & 1 || peer->present > 1 || peer->speaks > peer->present ||
        record->hearing > 1 || peer->n_vectors > UINT16_MAX ||
        (peer->speaks && peer->vector >= peer->n_vectors))
        return false;
    if (record->n_ports && !peer->speaks)
        return false;
    return ports_are_good(record) && is_zero(peer->reserved, sizeof(peer->reserved)) &&
           is_zero(record->reply.reserved, sizeof(record->reply.reserved));
}

/* Whether a side that is there belongs to a peer that is. */
static bool side_is_good(const struct channel_state *state, unsigned peer, uint32_t vector)
{
    return state->peers[peer].peer.speaks && state->peers[peer].peer.vector == vector;
}

static bool sides_are_good(const struct channel_state *state, const struct channel_ring *ring,
                           bool is_first)
{
    const struct layout_entry *entry = &ring->entry;
    const unsigned both = CHANNEL_CONNECTOR | CHANNEL_LISTENER;
    unsigned sender = is_first ? CHANNEL_CONNECTOR : CHANNEL_LISTENER;

    if (!ring->sides || ring->sides > both ||
        (entry->state != LAYOUT_CLOSED && ring->sides != both) ||
        entry->sender_vm >= state->n_mailboxes || entry->receiver_vm >= state->n_mailboxes)
        return false;
    if ((ring->sides & sender) && !side_is_good(state, entry->sender_vm, entry->sender_vector))
        return false;
    return !(ring->sides & (both & ~sender)) ||
           side_is_good(state, entry->receiver_vm, entry->receiver_vector);
}

static bool size_is_good(uint64_t size)
{
    return size && size <= LAYOUT_RING_MAX && size % LAYOUT_BLOCK == 0;
}

static bool place_is_good(const struct channel_ring *ring)
{
    const struct layout_entry *entry = &ring->entry;

    if (!size_is_good(entry->buff_size) || !size_is_good(ring->minimum) || entry->moving > 1)
        return false;
    if (!entry->moving)
        return !entry->next_offset && !entry->next_size && !ring->moved;
    return size_is_good(entry->next_size) && entry->state != LAYOUT_OFFERED &&
           ring->moved <= (CHANNEL_SENDER | CHANNEL_RECEIVER);
}

static bool ring_is_good(const struct channel_state *state, const struct channel_ring *ring,
                         unsigned channel)
{
    const struct layout_entry *entry = &ring->entry;
    const bool closed = entry->state == LAYOUT_CLOSED;

    return !(entry->generation & 1) && entry->state <= LAYOUT_CLOSED &&
           (closed ? entry->status > LAYOUT_OK && entry->status <= LAYOUT_SERVER_CLOSED
                   : !entry->status) &&
           entry->port && !(entry->flags & ~(uint32_t)LAYOUT_CRC32C) &&
           (!ring->deadline || entry->state == LAYOUT_OFFERED) &&
           entry->serial <= state->last_serial && place_is_good(ring) &&
           sides_are_good(state, ring, entry->first == channel) &&
           is_zero(entry->reserved, sizeof(entry->reserved));
}

/* Whether two rings are one connection; each was found good by itself. */
static bool pair_is_good(const struct channel_ring *one, const struct channel_ring *other,
                         unsigned channel)
{
    const struct layout_entry *there = &one->entry, *back = &other->entry;

    return back->pair == channel && back->first == channel && back->state == there->state &&
           back->status == there->status && back->serial == there->serial &&
           back->port == there->port && back->sender_vm == there->receiver_vm &&
           back->receiver_vm == there->sender_vm && other->sides == one->sides;
}

static bool takes_its_place(struct channels *channels, const struct layout_entry *entry)
{
    return extents_take(&channels->extents, entry->buff_offset, entry->buff_size) == 0 &&
           (!entry->moving ||
            extents_take(&channels->extents, entry->next_offset, entry->next_size) == 0);
}

static bool learn(struct channels *channels, unsigned channel)
{
    const struct channel_state *state = channels->state;
    const struct channel_ring *ring = &state->rings[channel];
    const uint32_t first = ring->entry.first, pair = ring->entry.pair;

    if (ring->entry.state == LAYOUT_FREE)
        return is_zero((const uint8_t *)ring + sizeof(ring->entry.generation),
                       sizeof(*ring) - sizeof(ring->entry.generation)) &&
               !(ring->entry.generation & 1);
    if (first >= state->n_channels || !ring_is_good(state, ring, channel) ||
        (pair != LAYOUT_CHANNEL_NONE && (pair >= state->n_channels || pair == channel)) ||
        !takes_its_place(channels, &ring->entry))
        return false;
    if (first != channel)
        return pair == first && state->rings[first].entry.first == first &&
               state->rings[first].entry.pair == channel &&
               state->rings[first].entry.state != LAYOUT_FREE;
    if (pair != LAYOUT_CHANNEL_NONE && !pair_is_good(ring, &state->rings[pair], channel))
        return false;
    connections_learn(channels, channel);
    return true;
}

static int learn_all(struct channels *channels, struct failure *failure)
{
    const struct channel_state *state = channels->state;

    for (unsigned i = 0; i < state->n_mailboxes; i++) {
        if (!peer_is_good(&state->peers[i]))
            return failure_set(failure, EPROTO, "the record of peer %u cannot be true", i);
        channels->n_present += state->peers[i].peer.present;
    }
    for (unsigned i = 0; i < state->n_channels; i++)
        if (!learn(channels, i))
            return failure_set(failure, EPROTO, "the record of channel %u cannot be true", i);
    return 0;
}

int channels_restore(const struct channels_setup *setup, struct channels **out,
                     struct failure *failure)
{
    struct channels *channels;
    int r = check_head(setup, failure);

    if (r < 0)
        return r;
    if (channel_state_complete(setup->state) < 0)
        return failure_set(failure, EPROTO, "the journal of the tables of channels is damaged");
    r = channels_make(setup, &channels, failure);
    if (r < 0)
        return r;
    r = learn_all(channels, failure);
    if (r < 0) {
        channels_free(channels);
        return r;
    }
    *out = channels;
    return 0;
}
