/* SPDX-License-Identifier: MIT
 *
 * See connection.h. The sides of connections stand in a list for each peer: side @s of connection
 * @first is number 2 * @first + (0 who connected, 1 who listens), CONNECTION_NONE is no more.
 */
#include "server/connection.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "server/channels.h"

unsigned connection_peer(const struct channels *channels, unsigned first, unsigned side)
{
    const struct layout_entry *entry = &channels->state->rings[first].entry;

    return side == CHANNEL_CONNECTOR ? entry->sender_vm : entry->receiver_vm;
}

unsigned connection_sides(const struct channels *channels, unsigned first, unsigned peer)
{
    const struct channel_ring *ring = &channels->state->rings[first];
    unsigned sides = (ring->entry.sender_vm == peer ? CHANNEL_CONNECTOR : 0) |
                     (ring->entry.receiver_vm == peer ? CHANNEL_LISTENER : 0);

    return sides & ring->sides;
}

unsigned connection_find(const struct channels *channels, unsigned peer, uint32_t channel,
                         unsigned *sides)
{
    unsigned first;

    *sides = 0;
    if (channel >= channels->state->n_channels || !idset_has(&channels->used, channel))
        return CONNECTION_NONE;
    first = channels->state->rings[channel].entry.first;
    *sides = connection_sides(channels, first, peer);
    return *sides ? first : CONNECTION_NONE;
}

unsigned connection_next(const struct channels *channels, unsigned from)
{
    int next = idset_next(&channels->used, from);

    return next < 0 ? CONNECTION_NONE : (unsigned)next;
}

uint32_t connection_size(const struct channels *channels, unsigned first, uint64_t *bytes)
{
    const struct channel_ring *ring = &channels->state->rings[first];
    uint32_t pair = ring->entry.pair;

    *bytes = ring->entry.buff_size + ring->entry.next_size;
    if (pair == LAYOUT_CHANNEL_NONE)
        return 1;
    ring = &channels->state->rings[pair];
    *bytes += ring->entry.buff_size + ring->entry.next_size;
    return 2;
}

bool connection_over_quota(const struct channels *channels, unsigned peer, uint32_t n_channels,
                           uint64_t bytes)
{
    const struct channels_usage *usage = &channels->usage[peer];
    uint32_t most = channels_peer_channels(channels);
    uint64_t most_bytes = channels_peer_bytes(channels);

    return usage->channels > most || n_channels > most - usage->channels ||
           usage->bytes > most_bytes || bytes > most_bytes - usage->bytes;
}

/* An offer counts for who made it alone. */
static void charge(struct channels *channels, unsigned first, unsigned side, bool add)
{
    const struct channel_ring *ring = &channels->state->rings[first];
    struct channels_usage *usage = &channels->usage[connection_peer(channels, first, side)];
    uint64_t bytes;
    uint32_t count = connection_size(channels, first, &bytes);

    if (ring->entry.state == LAYOUT_OFFERED && side == CHANNEL_LISTENER)
        return;
    usage->channels = add ? usage->channels + count : usage->channels - count;
    usage->bytes = add ? usage->bytes + bytes : usage->bytes - bytes;
}

static void link_side(struct channels *channels, unsigned first, unsigned side)
{
    struct channels_usage *usage = &channels->usage[connection_peer(channels, first, side)];
    uint32_t link = 2 * first + (side == CHANNEL_LISTENER);

    channels->links[link] =
        (struct channels_link){.next = usage->first, .previous = CONNECTION_NONE};
    if (usage->first != CONNECTION_NONE)
        channels->links[usage->first].previous = link;
    usage->first = link;
}

static void unlink_side(struct channels *channels, unsigned first, unsigned side)
{
    struct channels_usage *usage = &channels->usage[connection_peer(channels, first, side)];
    struct channels_link link = channels->links[2 * first + (side == CHANNEL_LISTENER)];

    if (link.previous == CONNECTION_NONE)
        usage->first = link.next;
    else
        channels->links[link.previous].next = link.next;
    if (link.next != CONNECTION_NONE)
        channels->links[link.next].previous = link.previous;
}

static void use_channel(struct channels *channels, unsigned channel, bool add)
{
    if (channel == LAYOUT_CHANNEL_NONE)
        return;
    if (add)
        idset_add(&channels->used, channel);
    else
        idset_remove(&channels->used, channel);
    channels->n_used = add ? channels->n_used + 1 : channels->n_used - 1;
}

void connections_learn(struct channels *channels, unsigned first)
{
    const struct channel_ring *ring = &channels->state->rings[first];

    for (unsigned side = CHANNEL_CONNECTOR; side <= CHANNEL_LISTENER; side++) {
        if (!(ring->sides & side))
            continue;
        charge(channels, first, side, true);
        link_side(channels, first, side);
    }
    use_channel(channels, first, true);
    use_channel(channels, ring->entry.pair, true);
}

static void forget(struct channels *channels, unsigned first)
{
    const struct channel_ring *ring = &channels->state->rings[first];

    for (unsigned side = CHANNEL_CONNECTOR; side <= CHANNEL_LISTENER; side++) {
        if (!(ring->sides & side))
            continue;
        charge(channels, first, side, false);
        unlink_side(channels, first, side);
    }
    use_channel(channels, first, false);
    use_channel(channels, ring->entry.pair, false);
}

/* Gives back what the old record of a ring had and the new one has not. */
static void give_back(struct channels *channels, const struct layout_entry *old,
                      const struct layout_entry *new)
{
    const struct extent before[] = {{old->buff_offset, old->buff_size},
                                    {old->next_offset, old->next_size}};

    for (unsigned i = 0; i < 2; i++)
        if (before[i].size &&
            before[i].offset != new->buff_offset &&before[i].offset != new->next_offset)
            extents_give_back(&channels->extents, before[i].offset, before[i].size);
}

static void publish_counts(struct channels *channels)
{
    struct layout_header *header = &channels->state->header;
    uint64_t start = extents_free_start(&channels->extents);

    if (header->num_active_channel == channels->n_used && header->free_start_offset == start &&
        header->free_bytes == channels->extents.free_bytes)
        return;
    header->num_active_channel = channels->n_used;
    header->free_start_offset = start;
    header->free_bytes = channels->extents.free_bytes;
    section_publish_header(&channels->section);
}

static void ring_peer(struct channels *channels, unsigned peer)
{
    const struct layout_peer *record = &channels->state->peers[peer].peer;

    if (record->present && record->speaks)
        channels->setup.ring(channels->setup.context, peer, record->vector);
}

/* What a change of the ring that names a connection means to it. Return: false for nothing. */
static bool understand(const struct layout_entry *old, const struct layout_entry *new,
                       struct channels_event *event)
{
    const bool goes = new->state == LAYOUT_CLOSED || new->state == LAYOUT_FREE;

    if (old->state == LAYOUT_FREE && new->state == LAYOUT_OFFERED)
        event->kind = CHANNELS_OFFERED;
    else if (old->state == LAYOUT_OFFERED && new->state == LAYOUT_OPEN)
        event->kind = CHANNELS_OPENED;
    else if (old->state == LAYOUT_OFFERED && goes)
        event->kind = CHANNELS_REFUSED;
    else if (old->state == LAYOUT_OPEN && goes)
        event->kind = CHANNELS_CLOSED;
    else
        return false;
    /* The end that connected and closes or goes while its offer waits leaves no status behind. */
    event->status = new->state == LAYOUT_FREE ? LAYOUT_PEER_CLOSED : new->status;
    return true;
}

static void tell(struct channels *channels, unsigned channel, const struct layout_entry *old)
{
    const struct layout_entry *new = &channels->state->rings[channel].entry;
    const struct layout_entry *entry = new->state == LAYOUT_FREE ? old : new;
    struct channels_event event = {.channel = channel,
                                   .connector = entry->sender_vm,
                                   .listener = entry->receiver_vm,
                                   .pid = entry->sender_pid,
                                   .port = entry->port,
                                   .size = entry->buff_size};

    if (!channels->setup.tell)
        return;
    if (new->state == LAYOUT_OPEN && old->ring_generation != new->ring_generation)
        event.kind = CHANNELS_RESIZED;
    else if (entry->first != channel || !understand(old, new, &event))
        return;
    channels->setup.tell(channels->setup.context, &event);
}

void connections_commit(struct channels *channels)
{
    struct channel_state *state = channels->state;
    struct channel_journal *journal = &state->journal;
    struct layout_entry old[2] = {{.state = LAYOUT_FREE}};
    unsigned first = CONNECTION_NONE;

    for (unsigned i = 0; i < journal->n_rings; i++) {
        old[i] = state->rings[journal->ring[i]].entry;
        first = old[i].state != LAYOUT_FREE ? old[i].first : journal->rings[i].entry.first;
    }
    if (first != CONNECTION_NONE && state->rings[first].entry.state != LAYOUT_FREE)
        forget(channels, first);
    channel_state_commit(state);
    if (first != CONNECTION_NONE && state->rings[first].entry.state != LAYOUT_FREE)
        connections_learn(channels, first);
    for (unsigned i = 0; i < journal->n_rings; i++) {
        give_back(channels, &old[i], &journal->rings[i].entry);
        section_publish_entry(&channels->section, journal->ring[i]);
    }
    publish_counts(channels);
    for (unsigned i = 0; i < journal->n_peers; i++)
        section_publish_peer(&channels->section, journal->peer[i]);
    for (unsigned i = 0; i < journal->n_peers; i++)
        section_publish_reply(&channels->section, journal->peer[i]);
    for (unsigned i = 0; i < journal->n_peers; i++)
        ring_peer(channels, journal->peer[i]);
    for (unsigned i = 0; i < journal->n_rings; i++)
        tell(channels, journal->ring[i], &old[i]);
    channel_state_begin(state);
}

static void draft_end(struct channel_ring *ring, unsigned sides, enum layout_status status)
{
    uint32_t generation = ring->entry.generation;

    if (!sides) {
        memset(ring, 0, sizeof(*ring));
        ring->entry.generation = generation;
        return;
    }
    if (ring->entry.state != LAYOUT_CLOSED) {
        ring->entry.state = LAYOUT_CLOSED;
        ring->entry.status = status;
    }
    ring->deadline = 0;
    ring->sides = (uint8_t)sides;
}

void connection_end(struct channels *channels, unsigned first, unsigned leaving,
                    enum layout_status status)
{
    struct channel_state *state = channels->state;
    const struct channel_ring *ring = &state->rings[first];
    const bool offered = ring->entry.state == LAYOUT_OFFERED;
    unsigned told = ring->sides & ~leaving, sides = told;

    if (offered)
        sides &= ~(unsigned)CHANNEL_LISTENER; /* it has nothing to close */
    if (offered && !(leaving & CHANNEL_CONNECTOR))
        told = CHANNEL_CONNECTOR;
    else if (ring->entry.state == LAYOUT_CLOSED)
        told = 0;
    draft_end(channel_state_draft_ring(state, first), sides, status);
    if (ring->entry.pair != LAYOUT_CHANNEL_NONE)
        draft_end(channel_state_draft_ring(state, ring->entry.pair), sides, status);
    for (unsigned side = CHANNEL_CONNECTOR; side <= CHANNEL_LISTENER; side++)
        if (told & side)
            channel_state_draft_peer(state, connection_peer(channels, first, side))->peer.events++;
}

void connections_drop(struct channels *channels, unsigned peer)
{
    uint32_t link;

    while ((link = channels->usage[peer].first) != CONNECTION_NONE) {
        unsigned first = link / 2;

        connection_end(channels, first, connection_sides(channels, first, peer), LAYOUT_PEER_GONE);
        connections_commit(channels);
    }
}

void connections_refuse(struct channels *channels, unsigned peer, uint32_t port)
{
    uint32_t count = 0, link = channels->usage[peer].first;

    for (; link != CONNECTION_NONE; link = channels->links[link].next) {
        const struct layout_entry *entry = &channels->state->rings[link / 2].entry;

        if ((link & 1) && entry->state == LAYOUT_OFFERED && entry->port == port)
            channels->scratch[count++] = link / 2;
    }
    while (count) {
        connection_end(channels, channels->scratch[--count], CHANNEL_LISTENER, LAYOUT_REFUSED);
        connections_commit(channels);
    }
}

int channels_close(struct channels *channels, unsigned channel)
{
    unsigned first;

    if (channel >= channels->state->n_channels || !idset_has(&channels->used, channel))
        return -ENOENT;
    first = channels->state->rings[channel].entry.first;
    if (channels->state->rings[first].entry.state == LAYOUT_CLOSED)
        return -ENOENT;
    connection_end(channels, first, 0, LAYOUT_SERVER_CLOSED);
    connections_commit(channels);
    return 0;
}

static bool same_use(const struct section_use *one, const struct section_use *other)
{
    return one->tail == other->tail && one->head == other->head && one->bytes == other->bytes &&
           one->messages == other->messages && one->head_touch == other->head_touch;
}

void connection_watch(struct channels *channels, unsigned channel, int64_t now)
{
    struct channels_watch *watch = &channels->watch[channel];
    struct section_use use = section_load_use(&channels->section, channel);
    uint32_t touched = use.head_touch - watch->use.head_touch;

    if (!same_use(&use, &watch->use))
        watch->used_at = now;
    if (touched > UINT32_MAX - watch->touches)
        touched = UINT32_MAX - watch->touches;
    watch->touches += touched;
    watch->use = use;
}
