/* SPDX-License-Identifier: MIT
 *
 * See requests.h. Each request either drafts all that it changes, or nothing and has a status that
 * says why. The answer is drafted with it, so that both become true at once. HELLO and UNLISTEN end
 * connections first, each in a change of its own: carried out again, they go on with the rest.
 */
#include "server/requests.h"

#include <string.h>

#include "server/channels.h"
#include "server/connection.h"

/**
 * struct asked - a request that is being carried out
 * @channels: the tables
 * @state:    their records
 * @peer:     who asks
 * @request:  what for
 * @now:      the time
 * @channel:  for the answer
 */
struct asked {
    struct channels *channels;
    struct channel_state *state;
    unsigned peer;
    const struct layout_request *request;
    int64_t now;
    uint32_t channel;
};

static enum layout_status hello(struct asked *asked)
{
    struct channel_peer *peer;

    if (asked->request->vector >= asked->state->peers[asked->peer].peer.n_vectors)
        return LAYOUT_BAD_REQUEST;
    connections_drop(asked->channels, asked->peer);
    peer = channel_state_draft_peer(asked->state, asked->peer);
    peer->peer.speaks = 1;
    peer->peer.vector = asked->request->vector;
    peer->n_ports = 0;
    memset(peer->ports, 0, sizeof(peer->ports));
    return LAYOUT_OK;
}

/* Return: the place of a port among those of a peer; n_ports if it does not listen there. */
static uint32_t find_port(const struct channel_peer *peer, uint32_t port)
{
    uint32_t at = 0;

    while (at < peer->n_ports && peer->ports[at] != port)
        at++;
    return at;
}

static enum layout_status listen_at(struct asked *asked)
{
    const struct channel_peer *peer = &asked->state->peers[asked->peer];
    uint32_t most = asked->channels->setup.options.peer_ports;
    struct channel_peer *draft;

    if (!asked->request->port)
        return LAYOUT_BAD_REQUEST;
    if (find_port(peer, asked->request->port) < peer->n_ports)
        return LAYOUT_PORT_IN_USE;
    if (peer->n_ports >= most || peer->n_ports >= CHANNEL_STATE_PORTS)
        return LAYOUT_OVER_QUOTA;
    draft = channel_state_draft_peer(asked->state, asked->peer);
    draft->ports[draft->n_ports++] = asked->request->port;
    return LAYOUT_OK;
}

static enum layout_status unlisten(struct asked *asked)
{
    const struct channel_peer *peer = &asked->state->peers[asked->peer];
    uint32_t at = find_port(peer, asked->request->port);
    struct channel_peer *draft;

    if (!asked->request->port)
        return LAYOUT_BAD_REQUEST;
    if (at == peer->n_ports)
        return LAYOUT_NO_LISTENER;
    connections_refuse(asked->channels, asked->peer, asked->request->port);
    draft = channel_state_draft_peer(asked->state, asked->peer);
    draft->ports[at] = draft->ports[--draft->n_ports];
    draft->ports[draft->n_ports] = 0;
    return LAYOUT_OK;
}

/* Return: the bytes of a ring for which @size is asked, 0 for none or if there can be no such. */
static uint64_t ring_size(uint64_t size)
{
    if (size > LAYOUT_RING_MAX)
        return 0;
    return (size + LAYOUT_BLOCK - 1) / LAYOUT_BLOCK * LAYOUT_BLOCK;
}

static enum layout_status check_connect(const struct asked *asked, uint64_t size, uint64_t reverse)
{
    const struct layout_request *request = asked->request;
    const struct channels *channels = asked->channels;
    const struct channel_peer *listener;
    uint32_t count = reverse ? 2 : 1;

    if (!request->port || !size || (request->reverse_size && !reverse) ||
        (request->flags & ~(uint32_t)LAYOUT_CRC32C))
        return LAYOUT_BAD_REQUEST;
    if (request->peer >= asked->state->n_mailboxes ||
        !asked->state->peers[request->peer].peer.present)
        return LAYOUT_NO_PEER;
    listener = &asked->state->peers[request->peer];
    if (find_port(listener, request->port) == listener->n_ports)
        return LAYOUT_NO_LISTENER;
    if (connection_over_quota(channels, asked->peer, count, size + reverse) ||
        connection_over_quota(channels, request->peer, count, size + reverse))
        return LAYOUT_OVER_QUOTA;
    if (asked->state->n_channels - channels->n_used < count)
        return LAYOUT_NO_ENTRY;
    return LAYOUT_OK;
}

/* Return: 0, or -ENOSPC when nothing was placed. */
static int place(struct channels *channels, const uint64_t *sizes, uint64_t *offsets)
{
    int r = extents_place(&channels->extents, sizes[0], &offsets[0]);

    if (r < 0 || !sizes[1])
        return r;
    r = extents_place(&channels->extents, sizes[1], &offsets[1]);
    if (r < 0)
        extents_give_back(&channels->extents, offsets[0], sizes[0]);
    return r;
}

static unsigned free_channel(const struct channels *channels, unsigned from)
{
    while (idset_has(&channels->used, from))
        from++;
    return from;
}

/* A ring that is offered: what both rings of the connection have in common. */
static struct channel_ring *draft_ring(struct asked *asked, unsigned channel, uint64_t offset,
                                       uint64_t size)
{
    const struct layout_request *request = asked->request;
    struct channel_ring *ring = channel_state_draft_ring(asked->state, channel);

    section_clear_lines(&asked->channels->section, channel);
    section_clear_ring(&asked->channels->section, offset);
    asked->channels->watch[channel] =
        (struct channels_watch){.used_at = asked->now, .decided_at = asked->now};
    ring->entry.state = LAYOUT_OFFERED;
    ring->entry.sender_pid = request->pid;
    ring->entry.port = request->port;
    ring->entry.flags = request->flags;
    ring->entry.pair = LAYOUT_CHANNEL_NONE;
    ring->entry.first = asked->channel;
    ring->entry.serial = asked->state->last_serial;
    ring->entry.buff_offset = offset;
    ring->entry.buff_size = ring->minimum = size;
    ring->deadline = (uint64_t)asked->now + asked->channels->setup.options.offer_ms;
    ring->idle_ms = ring->entry.idle_ms = request->idle_ms;
    ring->sides = CHANNEL_CONNECTOR | CHANNEL_LISTENER;
    return ring;
}

static void direct(struct asked *asked, struct channel_ring *ring, unsigned from, unsigned to)
{
    ring->entry.sender_vm = (uint16_t)from;
    ring->entry.receiver_vm = (uint16_t)to;
    ring->entry.sender_vector = (uint16_t)asked->state->peers[from].peer.vector;
    ring->entry.receiver_vector = (uint16_t)asked->state->peers[to].peer.vector;
}

static enum layout_status connect_to(struct asked *asked)
{
    const struct layout_request *request = asked->request;
    struct channels *channels = asked->channels;
    const uint64_t sizes[2] = {ring_size(request->size), ring_size(request->reverse_size)};
    enum layout_status status = check_connect(asked, sizes[0], sizes[1]);
    struct channel_ring *there, *back;
    uint64_t offsets[2];
    int64_t end;

    if (status != LAYOUT_OK)
        return status;
    if (place(channels, sizes, offsets) < 0)
        return LAYOUT_NO_SPACE;
    asked->state->last_serial++;
    asked->channel = free_channel(channels, 0);
    there = draft_ring(asked, asked->channel, offsets[0], sizes[0]);
    direct(asked, there, asked->peer, request->peer);
    if (sizes[1]) {
        there->entry.pair = free_channel(channels, asked->channel + 1);
        back = draft_ring(asked, there->entry.pair, offsets[1], sizes[1]);
        back->entry.pair = asked->channel;
        direct(asked, back, request->peer, asked->peer);
    }
    channel_state_draft_peer(asked->state, request->peer)->peer.events++;
    end = (int64_t)there->deadline;
    channels->next_end = end < channels->next_end ? end : channels->next_end;
    asked->state->counters.opened++;
    return LAYOUT_OK;
}

static enum layout_status accept_offer(struct asked *asked)
{
    struct channels *channels = asked->channels;
    unsigned sides, first = connection_find(channels, asked->peer, asked->request->channel, &sides);
    const struct channel_ring *ring;
    uint32_t count, pair;
    uint64_t bytes;

    if (!(sides & CHANNEL_LISTENER) || asked->state->rings[first].entry.state != LAYOUT_OFFERED)
        return LAYOUT_NO_CHANNEL;
    count = connection_size(channels, first, &bytes);
    if (connection_over_quota(channels, asked->peer, count, bytes))
        return LAYOUT_OVER_QUOTA;
    ring = &asked->state->rings[first];
    pair = ring->entry.pair;
    for (unsigned i = 0, channel = first; i < count; i++, channel = pair) {
        struct channel_ring *draft = channel_state_draft_ring(asked->state, channel);

        draft->entry.state = LAYOUT_OPEN;
        draft->deadline = 0;
        channels->watch[channel].used_at = asked->now;
    }
    channel_state_draft_peer(asked->state, ring->entry.sender_vm)->peer.events++;
    if (ring->idle_ms && asked->now + ring->idle_ms < channels->next_end)
        channels->next_end = asked->now + ring->idle_ms;
    return LAYOUT_OK;
}

static enum layout_status refuse_offer(struct asked *asked)
{
    unsigned sides;
    unsigned first = connection_find(asked->channels, asked->peer, asked->request->channel, &sides);

    if (!(sides & CHANNEL_LISTENER) || asked->state->rings[first].entry.state != LAYOUT_OFFERED)
        return LAYOUT_NO_CHANNEL;
    connection_end(asked->channels, first, CHANNEL_LISTENER, LAYOUT_REFUSED);
    return LAYOUT_OK;
}

/* Whoever has both sides closes that of who connected first. */
static enum layout_status close_side(struct asked *asked)
{
    unsigned sides;
    unsigned first = connection_find(asked->channels, asked->peer, asked->request->channel, &sides);

    if (!sides)
        return LAYOUT_NO_CHANNEL;
    if (!(sides & CHANNEL_CONNECTOR) && asked->state->rings[first].entry.state == LAYOUT_OFFERED)
        return refuse_offer(asked);
    connection_end(asked->channels, first,
                   sides & CHANNEL_CONNECTOR ? CHANNEL_CONNECTOR : CHANNEL_LISTENER,
                   LAYOUT_PEER_CLOSED);
    return LAYOUT_OK;
}

/* Sides of a connection as ends of one of its rings: in the second the listener sends. */
static unsigned ends_of(const struct channel_ring *ring, unsigned channel, unsigned sides)
{
    static_assert((int)CHANNEL_CONNECTOR == (int)CHANNEL_SENDER, "the same bits");
    if (ring->entry.first == channel)
        return sides;
    return (sides & CHANNEL_CONNECTOR ? CHANNEL_RECEIVER : 0) |
           (sides & CHANNEL_LISTENER ? CHANNEL_SENDER : 0);
}

/* When both ends, as far as they are there, are in the new place, the old one is free. */
static enum layout_status moved(struct asked *asked)
{
    const uint32_t channel = asked->request->channel;
    const struct channel_ring *ring;
    struct channel_ring *draft;
    unsigned sides, mine, first;

    first = connection_find(asked->channels, asked->peer, channel, &sides);
    if (first == CONNECTION_NONE || asked->state->rings[first].entry.state == LAYOUT_OFFERED)
        return LAYOUT_NO_CHANNEL;
    ring = &asked->state->rings[channel];
    mine = ends_of(ring, channel, sides);
    if (asked->request->generation == ring->entry.ring_generation)
        return LAYOUT_OK; /* said twice */
    if (!ring->entry.moving || asked->request->generation != ring->entry.ring_generation + 1)
        return LAYOUT_NO_CHANNEL;
    if (mine & CHANNEL_SENDER & ~ring->moved)
        mine = CHANNEL_SENDER;
    draft = channel_state_draft_ring(asked->state, channel);
    draft->moved |= (uint8_t)mine;
    if (ends_of(ring, channel, ring->sides) & ~(unsigned)draft->moved)
        return LAYOUT_OK;
    draft->entry.buff_offset = ring->entry.next_offset;
    draft->entry.buff_size = ring->entry.next_size;
    draft->entry.next_offset = draft->entry.next_size = 0;
    draft->entry.moving = draft->moved = 0;
    draft->entry.ring_generation++;
    draft->resizes++;
    asked->state->counters.moves++;
    return LAYOUT_OK;
}

static enum layout_status carry_out(struct asked *asked)
{
    static enum layout_status (*const operations[])(struct asked *) = {
        [LAYOUT_HELLO] = hello,         [LAYOUT_LISTEN] = listen_at,
        [LAYOUT_UNLISTEN] = unlisten,   [LAYOUT_CONNECT] = connect_to,
        [LAYOUT_ACCEPT] = accept_offer, [LAYOUT_REFUSE] = refuse_offer,
        [LAYOUT_CLOSE] = close_side,    [LAYOUT_MOVED] = moved,
    };
    const uint32_t operation = asked->request->operation;
    const uint32_t speaks = asked->state->peers[asked->peer].peer.speaks;

    if (operation < LAYOUT_HELLO || operation > LAYOUT_MOVED ||
        (operation != LAYOUT_HELLO && !speaks))
        return LAYOUT_BAD_REQUEST;
    return operations[operation](asked);
}

/* Who connects and is told no at once has a connection that came to nothing. */
static void tell_denied(const struct asked *asked, enum layout_status status)
{
    const struct layout_request *request = asked->request;
    const struct channels_event event = {.kind = CHANNELS_REFUSED,
                                         .channel = LAYOUT_CHANNEL_NONE,
                                         .status = status,
                                         .connector = asked->peer,
                                         .listener = request->peer,
                                         .pid = request->pid,
                                         .port = request->port,
                                         .size = request->size};

    if (asked->channels->setup.tell && request->operation == LAYOUT_CONNECT)
        asked->channels->setup.tell(asked->channels->setup.context, &event);
}

void requests_carry_out(struct channels *channels, unsigned peer,
                        const struct layout_request *request, int64_t now)
{
    struct asked asked = {.channels = channels,
                          .state = channels->state,
                          .peer = peer,
                          .request = request,
                          .now = now,
                          .channel = LAYOUT_CHANNEL_NONE};
    enum layout_status status = carry_out(&asked);
    struct layout_reply *reply = &channel_state_draft_peer(asked.state, peer)->reply;

    reply->request = *request;
    reply->number = request->number;
    reply->status = status;
    reply->channel = asked.channel;
    asked.state->counters.requests++;
    asked.state->counters.answers[status]++;
    connections_commit(channels);
    if (status != LAYOUT_OK)
        tell_denied(&asked, status);
    if (status != LAYOUT_OK)
        log_limited(&channels->refused, LOG_DEBUG,
                    "peer %u: request %u (operation %u) is answered with %s", peer, request->number,
                    request->operation, channels_status_name(status));
}
