/* SPDX-License-Identifier: MIT
 *
 * See channel.h.
 */
#include "client/lib/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the rings of a channel that has ended point to: never written, and nothing is there. */
static uint8_t nothing[RING_UNIT] __attribute__((aligned(RING_UNIT)));
static struct layout_channel nobody;

static void forget_rings(struct ivshmem_channel *channel)
{
    uint64_t bytes = channel->tx.bytes, messages = channel->tx.messages;
    uint32_t full = channel->tx.touched;

    channel->tx = (struct ring_sender){
        .own = &nobody.sender,
        .other = &nobody.receiver,
        .data = nothing,
        .total = 1,
        .state = RING_ENDED,
        .touched = full,
        .bytes = bytes,
        .messages = messages,
    };
    channel->rx = (struct ring_receiver){
        .own = &nobody.receiver,
        .other = &nobody.sender,
        .data = nothing,
        .total = 1,
        .quarter = 1,
        .state = RING_ENDED,
    };
}

struct ivshmem_channel *channel_new(struct switchboard *board)
{
    struct ivshmem_channel *channel = calloc(1, sizeof(*channel));

    if (!channel)
        return NULL;
    forget_rings(channel);
    channel->board = board;
    channel->may_idle = true;
    channel->timeout = -1;
    channel->users = 1;
    channel->number = channel->send.number = channel->receive.number = LAYOUT_CHANNEL_NONE;
    TAILQ_INSERT_TAIL(&board->channels, channel, link);
    return channel;
}

/* The two rings' entries are of one connection, and ours. */
static bool belongs(const struct ivshmem_channel *channel, const struct layout_entry *entry,
                    bool sender)
{
    uint32_t own = channel->board->own;

    return entry->serial == channel->serial && entry->first == channel->number &&
           (sender ? entry->sender_vm : entry->receiver_vm) == own &&
           (sender ? entry->receiver_vm : entry->sender_vm) == channel->peer;
}

static int attach(struct ivshmem_channel *channel, struct channel_way *end, uint32_t number,
                  const struct layout_entry *entry, bool sender)
{
    const struct view *view = &channel->board->view;
    void *ring = view_ring(view, entry->buff_offset, entry->buff_size);
    struct layout_channel *shared = view_channel(view, number);
    int r;

    if (!ring || !shared || !belongs(channel, entry, sender))
        return -EBADMSG;
    if (sender)
        r = ring_sender_init(&channel->tx, &shared->sender, &shared->receiver, ring,
                             entry->buff_size, entry->flags);
    else
        r = ring_receiver_init(&channel->rx, &shared->receiver, &shared->sender, ring,
                               entry->buff_size, entry->flags);
    if (r != RING_OK)
        return -EBADMSG;
    end->number = number;
    end->shared = shared;
    end->generation = entry->generation;
    end->moves = entry->ring_generation;
    end->size = entry->buff_size;
    end->vector = sender ? entry->receiver_vector : entry->sender_vector;
    return 0;
}

int channel_attach(struct ivshmem_channel *channel, uint32_t number,
                   const struct layout_entry *entry, bool connector)
{
    const struct view *view = &channel->board->view;
    struct layout_entry back;
    int r;

    channel->number = number;
    channel->serial = entry->serial;
    channel->peer = connector ? entry->receiver_vm : entry->sender_vm;
    channel->port = entry->port;
    channel->flags = entry->flags;
    channel->may_idle = !entry->idle_ms;
    if (entry->pair != LAYOUT_CHANNEL_NONE && !view_entry(view, entry->pair, &back))
        return entry->pair < view->n_channels ? -EAGAIN : -EBADMSG;
    r = attach(channel, connector ? &channel->send : &channel->receive, number, entry, connector);
    if (r == 0 && entry->pair != LAYOUT_CHANNEL_NONE)
        r = attach(channel, connector ? &channel->receive : &channel->send, entry->pair, &back,
                   !connector);
    return r;
}

void channel_free(struct ivshmem_channel *channel)
{
    struct switchboard *board = channel->board;

    if (board->next == channel)
        board->next = TAILQ_NEXT(channel, link);
    TAILQ_REMOVE(&board->channels, channel, link);
    board->watched -= channel->watch != 0;
    free(channel);
}

void channel_drop(struct ivshmem_channel *channel)
{
    if (--channel->users == 0)
        free(channel);
}

int channel_end(struct ivshmem_channel *channel, int error)
{
    if (!channel->ended) {
        channel->ended = error;
        channel->have = 0;
        channel->peeking = channel->reserved = channel->parted = false;
        forget_rings(channel);
    }
    return channel->ended;
}

ssize_t channel_explain(struct ivshmem_channel *channel, ssize_t result)
{
    static const struct {
        int error;
        char text[80];
    } texts[] = {
        {-EAGAIN, "there is nothing in the channel, or no room"},
        {-ETIMEDOUT, "the other side did not receive, or send, in time"},
        {-EPIPE, "the other side closed the channel"},
        {-ECONNRESET, "the peer on the other side has gone"},
        {-ETIME, "the channel was closed because nothing was sent for long"},
        {-ECONNABORTED, "an administrator of the server closed the channel"},
        {-ENOTCONN, "the connection to the server has gone, and the channel with it"},
        {-EBADF, "a callback closed the channel"},
    };
    struct failure *failure = &channel->board->iv->failure;

    for (size_t i = 0; result < 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].error == result)
            memcpy(failure->text, texts[i].text, sizeof(texts[i].text));
    return result;
}

void channel_ring(struct ivshmem_channel *channel, const struct channel_way *end)
{
    channel->info.doorbells++;
    ivshmem_ring(channel->board->iv, channel->peer, end->vector);
}

/* Who never sleeps has nobody else to see to the mailbox: until the answer to the last request is
 * taken the next one is not sent, and the ring would not be moved again. */
static void tell_moved(struct ivshmem_channel *channel, struct channel_way *end)
{
    struct mailbox *mailbox = &channel->board->mailbox;

    channel->info.moves++;
    mailbox_remove(mailbox, &end->moved);
    end->moved.request = (struct layout_request){
        .operation = LAYOUT_MOVED,
        .channel = end->number,
        .generation = end->moves,
    };
    mailbox_add(mailbox, &end->moved, switchboard_now() / 1000000);
    switchboard_pump(channel->board);
}

/* Where a ring is to be moved that is at our generation; NULL when it is not, or that cannot be. */
static void *next_place(const struct ivshmem_channel *channel, const struct channel_way *end,
                        const struct layout_entry *entry)
{
    if (!entry->moving || entry->ring_generation != end->moves)
        return NULL;
    return view_ring(&channel->board->view, entry->next_offset, entry->next_size);
}

bool channel_follow(struct ivshmem_channel *channel)
{
    struct channel_way *end = &channel->receive;
    struct layout_entry entry;
    void *ring;

    if (!view_entry(&channel->board->view, end->number, &entry) || !belongs(channel, &entry, false))
        return false;
    ring = next_place(channel, end, &entry);
    if (!ring || ring_receiver_move(&channel->rx, ring, entry.next_size) != RING_OK)
        return false;
    end->size = entry.next_size;
    end->moves++;
    tell_moved(channel, end);
    return true;
}

static void leave_ring(struct ivshmem_channel *channel, struct channel_way *end,
                       const struct layout_entry *entry)
{
    void *ring = next_place(channel, end, entry);

    if (!ring || ring_sender_move(&channel->tx, ring, entry->next_size) != RING_OK)
        return;
    end->size = entry->next_size;
    end->moves++;
    tell_moved(channel, end);
    if (ring_sender_flush(&channel->tx))
        channel_ring(channel, end);
}

/* Return: whether the entry has changed. */
static bool update_end(struct ivshmem_channel *channel, struct channel_way *end)
{
    bool sender = end == &channel->send;
    struct layout_entry entry;

    if (end->number == LAYOUT_CHANNEL_NONE ||
        __atomic_load_n(&end->shared->entry.generation, __ATOMIC_RELAXED) == end->generation)
        return false;
    if (!view_entry(&channel->board->view, end->number, &entry))
        return false;
    if (!belongs(channel, &entry, sender))
        return false; /* scribbled on: it is ours until we close, and will be put right */
    if (entry.state == LAYOUT_CLOSED && !channel->closed)
        channel->closed = view_errno(entry.status) ? view_errno(entry.status) : -ECONNRESET;
    if (sender && !channel->closed) {
        if (channel->reserved)
            return false; /* later */
        leave_ring(channel, end, &entry);
    }
    end->generation = entry.generation;
    return true;
}

bool channel_update(struct ivshmem_channel *channel)
{
    bool sender, receiver;

    switchboard_pump(channel->board);
    sender = update_end(channel, &channel->send);
    receiver = update_end(channel, &channel->receive);
    if (channel->closed)
        channel->tx.window = 0; /* so that the next message is told */
    return sender || receiver;
}

void channel_close(struct ivshmem_channel *channel)
{
    struct switchboard *board = channel->board;

    if (channel->send.number != LAYOUT_CHANNEL_NONE && channel->tx.state == RING_OK) {
        ring_sender_end(&channel->tx);
        if (ring_sender_flush(&channel->tx))
            channel_ring(channel, &channel->send);
    }
    channel_end(channel, -EBADF);
    board->watched -= channel->watch != 0;
    channel->watch = 0;
    if (board->next == channel)
        board->next = TAILQ_NEXT(channel, link);
    TAILQ_REMOVE(&board->channels, channel, link);
    if (!board->greeted || channel->number == LAYOUT_CHANNEL_NONE) {
        channel_drop(channel);
        return;
    }
    mailbox_remove(&board->mailbox, &channel->send.moved);
    mailbox_remove(&board->mailbox, &channel->receive.moved);
    channel->close.request = (struct layout_request){
        .operation = LAYOUT_CLOSE,
        .channel = channel->number,
    };
    TAILQ_INSERT_TAIL(&board->closing, channel, link);
    mailbox_add(&board->mailbox, &channel->close, switchboard_now() / 1000000);
    switchboard_tick(board, MAILBOX_RETRY_MS);
}

struct ivshmem_channel *ivshmem_close(struct ivshmem_channel *channel)
{
    if (channel)
        channel_close(channel);
    return NULL;
}

void ivshmem_channel_set_timeout(struct ivshmem_channel *channel, int timeout)
{
    channel->timeout = timeout;
}

int ivshmem_channel_set_waiting(struct ivshmem_channel *channel, enum ivshmem_waiting waiting)
{
    if (waiting != IVSHMEM_HYBRID && waiting != IVSHMEM_BLOCK && waiting != IVSHMEM_SPIN)
        return failure_set(&channel->board->iv->failure, EINVAL,
                           "there is no such way of waiting: %d", (int)waiting);
    channel->waiting = waiting;
    return 0;
}

void ivshmem_channel_set_context(struct ivshmem_channel *channel, void *context)
{
    channel->context = context;
}

void *ivshmem_channel_context(const struct ivshmem_channel *channel)
{
    return channel->context;
}

int ivshmem_channel_get_info(const struct ivshmem_channel *channel,
                             struct ivshmem_channel_info *info)
{
    if (info->size != sizeof(*info))
        return failure_set(&channel->board->iv->failure, EINVAL,
                           "struct ivshmem_channel_info has another size in this library");
    *info = channel->info;
    info->size = sizeof(*info);
    info->channel = channel->number;
    info->peer = channel->peer;
    info->port = channel->port;
    info->send_size = channel->send.size;
    info->receive_size = channel->receive.size;
    info->flags = channel->flags;
    info->bytes_sent = channel->tx.bytes;
    info->messages_sent = channel->tx.messages;
    info->full = channel->tx.touched;
    return 0;
}
