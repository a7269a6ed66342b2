/* SPDX-License-Identifier: MIT */
/*
 * See channel.h. What waits here sleeps in hlt: until the doorbell of this guest rings, which the
 * other side and the daemon both use, or a key is pressed.
 */
#include "channel.h"

#define SECOND_LOOK_MS 1 /* by then the other side's stores are there, see ring.h */

static const char stopped[] = "stopped by a key";

static void ring_peer(const struct channel *channel)
{
    mailbox_bell(channel->mailbox, channel->peer, channel->bell);
}

/* Has the other side gone to sleep before it saw what we did? */
static void wake_peer(struct channel *channel)
{
    bool asleep = false;

    if (channel->out.exists)
        asleep = ring_sender_wake(&channel->sender);
    if (channel->in.exists && ring_receiver_wake(&channel->receiver))
        asleep = true;
    if (asleep)
        ring_peer(channel);
}

/* Sleeps until there may be room to send, or something to receive, or the daemon has changed
 * something. False: a key was pressed. */
static bool wait(struct channel *channel, bool for_room)
{
    const struct mailbox *mailbox = channel->mailbox;
    uint32_t seen = mailbox_rings(mailbox);
    bool go_on = true;

    if (for_room ? ring_sender_sleep(&channel->sender) : ring_receiver_sleep(&channel->receiver))
        return true;
    wake_peer(channel);
    if (mailbox_events(mailbox) == channel->events) {
        go_on = mailbox_nap(mailbox, seen, SECOND_LOOK_MS);
        if (go_on && mailbox_rings(mailbox) == seen &&
            !(for_room ? ring_sender_look(&channel->sender)
                       : ring_receiver_look(&channel->receiver)))
            go_on = mailbox_nap(mailbox, seen, 0);
    }
    if (for_room)
        ring_sender_awake(&channel->sender);
    else
        ring_receiver_awake(&channel->receiver);
    return go_on;
}

/* Sleeps until the daemon may have changed something since @events. False: a key was pressed. */
static bool wait_for_events(const struct mailbox *mailbox, uint32_t events)
{
    uint32_t seen = mailbox_rings(mailbox);

    return mailbox_events(mailbox) != events || mailbox_nap(mailbox, seen, 0);
}

/* One direction of the connection: @sends or receives in that channel's ring. */
static const char *open_way(struct channel *channel, bool sends, uint32_t number)
{
    struct layout_channel *words;
    struct layout_entry entry;
    uint8_t *ring;
    size_t size;
    int r = RING_INVALID;

    if (!mailbox_wait_entry(channel->mailbox, number, &entry))
        return "the entry of the channel cannot be read";
    words = mailbox_words(channel->mailbox, number);
    ring = mailbox_ring_at(channel->mailbox, entry.buff_offset, entry.buff_size);
    size = (size_t)entry.buff_size;
    if (ring && sends)
        r = ring_sender_init(&channel->sender, &words->sender, &words->receiver, ring, size,
                             entry.flags);
    else if (ring)
        r = ring_receiver_init(&channel->receiver, &words->receiver, &words->sender, ring, size,
                               entry.flags);
    if (r != RING_OK)
        return sends ? "the ring to send in cannot be used"
                     : "the ring to receive from cannot be used";
    *(sends ? &channel->out : &channel->in) = (struct channel_way){
        .exists = true,
        .channel = number,
        .size = entry.buff_size,
        .generation = entry.ring_generation,
        .told = entry.ring_generation,
    };
    channel->bell = sends ? entry.receiver_vector : entry.sender_vector;
    return NULL;
}

/* The connection is open: use its rings. @entry is that of its first channel. */
static const char *open(struct channel *channel, const struct layout_entry *entry)
{
    bool is_ours = entry->sender_vm == channel->mailbox->iv->peer_id;
    uint32_t out = is_ours ? entry->first : entry->pair;
    uint32_t in = is_ours ? entry->pair : entry->first;
    const char *wrong = NULL;

    channel->is_open = true;
    channel->ended = NULL;
    channel->first = entry->first;
    channel->serial = entry->serial;
    channel->peer = is_ours ? entry->receiver_vm : entry->sender_vm;
    channel->port = entry->port;
    channel->events = mailbox_events(channel->mailbox) - 1; /* so that we look once */
    channel->out.exists = channel->in.exists = false;
    if (out != LAYOUT_CHANNEL_NONE)
        wrong = open_way(channel, true, out);
    if (!wrong && in != LAYOUT_CHANNEL_NONE)
        wrong = open_way(channel, false, in);
    if (wrong)
        channel_close(channel);
    return wrong;
}

static const char *ask_about(struct mailbox *mailbox, uint32_t operation, uint32_t channel)
{
    const struct layout_request request = {.operation = operation, .channel = channel};
    uint32_t status = mailbox_ask(mailbox, &request);

    return status == LAYOUT_OK ? NULL : mailbox_status(status);
}

/**
 * channel_connect() - connect, and wait until the peer has said yes
 * @channel: not open; filled in
 * @request: LAYOUT_CONNECT
 *
 * Return: NULL, or why not.
 */
const char *channel_connect(struct channel *channel, const struct layout_request *request)
{
    struct mailbox *mailbox = channel->mailbox;
    uint32_t status = mailbox_ask(mailbox, request), number = mailbox->answer.channel;

    if (status != LAYOUT_OK)
        return mailbox_status(status);
    for (;;) {
        uint32_t events = mailbox_events(mailbox);
        struct layout_entry entry;

        if (mailbox_entry(mailbox, number, &entry) && entry.state != LAYOUT_OFFERED) {
            if (entry.state == LAYOUT_OPEN)
                return open(channel, &entry);
            ask_about(mailbox, LAYOUT_CLOSE, number);
            return mailbox_status(entry.status);
        }
        if (!wait_for_events(mailbox, events)) {
            ask_about(mailbox, LAYOUT_CLOSE, number);
            return stopped;
        }
    }
}

/* Waits for an offer at a port, any if it is 0. Return: NULL, or why there is none. */
static const char *wait_for_offer(struct mailbox *mailbox, uint32_t port,
                                  struct layout_entry *offer)
{
    for (;;) {
        uint32_t events = mailbox_events(mailbox);

        for (uint32_t i = 0; i < mailbox->header.n_channels; i++) {
            if (mailbox_entry(mailbox, i, offer) && offer->state == LAYOUT_OFFERED &&
                offer->receiver_vm == mailbox->iv->peer_id && offer->first == i &&
                (port == 0 || offer->port == port))
                return NULL;
        }
        if (!wait_for_events(mailbox, events))
            return stopped;
    }
}

/**
 * channel_accept() - wait until somebody connects, and say yes
 * @channel: not open; filled in
 * @port: one of those that this guest listens on, or 0 for any
 *
 * Return: NULL, or why not.
 */
const char *channel_accept(struct channel *channel, uint32_t port)
{
    struct layout_entry offer;
    const char *wrong = wait_for_offer(channel->mailbox, port, &offer);

    if (!wrong)
        wrong = ask_about(channel->mailbox, LAYOUT_ACCEPT, offer.first);
    return wrong ? wrong : open(channel, &offer);
}

/**
 * channel_refuse() - wait until somebody connects, and say no
 * @channel: not open
 * @port: as above
 *
 * Return: NULL, or why not.
 */
const char *channel_refuse(struct channel *channel, uint32_t port)
{
    struct layout_entry offer;
    const char *wrong = wait_for_offer(channel->mailbox, port, &offer);

    return wrong ? wrong : ask_about(channel->mailbox, LAYOUT_REFUSE, offer.first);
}

/* Where a ring goes next, if the daemon has said so and we have not gone there yet. NULL: nowhere
 * that it can be. */
static uint8_t *next_ring(const struct channel *channel, const struct channel_way *way,
                          const struct layout_entry *entry)
{
    if (!entry->moving || entry->serial != channel->serial ||
        entry->ring_generation != way->generation)
        return NULL;
    return mailbox_ring_at(channel->mailbox, entry->next_offset, entry->next_size);
}

/* As the sender we go whenever we hear of it, in the middle of a message, too. */
static void move_out(struct channel *channel)
{
    struct layout_entry entry;
    uint8_t *ring;

    if (!mailbox_entry(channel->mailbox, channel->out.channel, &entry)) {
        channel->events--; /* so that we look again */
        return;
    }
    ring = next_ring(channel, &channel->out, &entry);
    if (!ring || ring_sender_move(&channel->sender, ring, (size_t)entry.next_size) != RING_OK)
        return;
    channel->out.size = entry.next_size;
    channel->out.generation++;
    if (ring_sender_wake(&channel->sender))
        ring_peer(channel);
}

/* As the receiver we go when we have read all that is in the old ring. */
static const char *move_in(struct channel *channel)
{
    struct layout_entry entry;
    uint8_t *ring;

    if (!mailbox_wait_entry(channel->mailbox, channel->in.channel, &entry))
        return stopped;
    ring = next_ring(channel, &channel->in, &entry);
    if (!ring || ring_receiver_move(&channel->receiver, ring, (size_t)entry.next_size) != RING_OK)
        return "the next ring cannot be used";
    channel->in.size = entry.next_size;
    channel->in.generation++;
    return NULL;
}

/* The daemon is told when it is done with what it was asked before; nobody waits for that. */
static void tell_of_move(struct channel *channel, struct channel_way *way)
{
    struct layout_request request = {
        .operation = LAYOUT_MOVED, .channel = way->channel, .generation = way->generation};

    if (!way->exists || way->told == way->generation || !mailbox_is_free(channel->mailbox))
        return;
    way->told = way->generation;
    mailbox_post(channel->mailbox, &request);
}

/**
 * channel_attend() - see what the daemon has changed: after an interrupt, and now and then
 * @channel: open or not
 */
void channel_attend(struct channel *channel)
{
    uint32_t events;
    struct layout_entry entry;

    if (!channel->is_open)
        return;
    events = mailbox_events(channel->mailbox);
    if (events != channel->events && mailbox_entry(channel->mailbox, channel->first, &entry)) {
        channel->events = events;
        if (entry.serial != channel->serial || entry.state == LAYOUT_FREE)
            channel->ended = "the server has forgotten the connection";
        else if (entry.state == LAYOUT_CLOSED)
            channel->ended = mailbox_status(entry.status);
        else if (channel->out.exists)
            move_out(channel);
    }
    tell_of_move(channel, &channel->out);
    tell_of_move(channel, &channel->in);
}

/**
 * channel_send() - send a message, or a part of one; waits for room
 * @channel: any
 * @data: its bytes
 * @length: how many
 * @more: the message goes on with the next call
 *
 * Return: NULL, or why not.
 */
const char *channel_send(struct channel *channel, const void *data, uint32_t length, bool more)
{
    const struct ring_part part = {.data = (void *)(uintptr_t)data, .length = length};
    uint32_t done = 0;

    if (!channel->is_open || !channel->out.exists)
        return "there is no channel to send in";
    for (;;) {
        int64_t sent;

        channel_attend(channel);
        if (channel->ended)
            return channel->ended;
        sent = ring_sender_put_parts(&channel->sender, &part, 1, done, more);
        if (ring_sender_wake(&channel->sender))
            ring_peer(channel);
        if (sent == RING_FULL) {
            if (!wait(channel, true))
                return stopped;
        } else if (sent < 0) {
            return "the other side has broken the ring to send in";
        } else {
            done += (uint32_t)sent;
            if (done == length)
                return NULL;
        }
    }
}

/**
 * channel_flush() - nothing more will be sent for a while
 * @channel: any
 */
void channel_flush(struct channel *channel)
{
    if (channel->is_open && channel->out.exists && ring_sender_flush(&channel->sender))
        ring_peer(channel);
}

/**
 * channel_receive() - wait for the next piece of a message and take it
 * @channel: any
 * @buffer: where to
 * @room: its bytes; the rest of a larger piece is left for the next call
 * @length: how many bytes came
 * @more: set to whether the message goes on
 *
 * Return: NULL, or why not.
 */
const char *channel_receive(struct channel *channel, void *buffer, uint32_t room, uint32_t *length,
                            bool *more)
{
    const char *wrong = NULL;

    if (!channel->is_open || !channel->in.exists)
        return "there is no channel to receive from";
    while (!wrong) {
        const char *ended;
        int64_t got;
        int goes_on = 0;

        channel_attend(channel);
        ended = channel->ended; /* from before the look: what was sent until then is in the ring */
        got = ring_receiver_get(&channel->receiver, buffer, room, &goes_on);
        if (ring_receiver_wake(&channel->receiver))
            ring_peer(channel);
        if (got >= 0) {
            *length = (uint32_t)got;
            *more = goes_on;
            return NULL;
        }
        if (got == RING_EMPTY && !ended)
            wrong = wait(channel, false) ? NULL : stopped;
        else if (got == RING_EMPTY)
            wrong = ended;
        else if (got == RING_MOVED)
            wrong = move_in(channel);
        else if (got == RING_ENDED)
            wrong = mailbox_status(LAYOUT_PEER_CLOSED);
        else if (got == RING_ABORTED)
            wrong = "the peer has taken back the message so far";
        else
            wrong = got == RING_MISMATCH ? "a piece with a wrong checksum"
                                         : "the other side has broken the ring to receive from";
    }
    return wrong;
}

/**
 * channel_close() - our end of the connection; the rings are not touched any more
 * @channel: any
 *
 * Return: NULL, or why not.
 */
const char *channel_close(struct channel *channel)
{
    if (!channel->is_open)
        return "there is no connection";
    if (channel->out.exists) {
        ring_sender_end(&channel->sender);
        channel_flush(channel);
    }
    channel->is_open = false;
    return ask_about(channel->mailbox, LAYOUT_CLOSE, channel->first);
}
