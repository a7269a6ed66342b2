/* SPDX-License-Identifier: MIT
 *
 * How connections come about: listening, offers, connecting.
 *
 * The daemon's answers are in the memory, where anybody can write. So what it published of a new
 * connection is checked against what was asked for, and looked at until it makes sense or the time
 * is over: the daemon puts right what others have written.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "client/lib/channel.h"

enum {
    PATIENCE_MS = 10000, /* until the server has told us of a peer's doorbells */
    NS_PER_MS = 1000000,
    RING_DEFAULT = 65536,
};

static const struct ivshmem_connect_options defaults = {
    .size = sizeof(defaults),
    .ring_size = RING_DEFAULT,
    .reverse_size = RING_DEFAULT,
};

static int call_port(struct ivshmem *iv, uint32_t operation, uint32_t port)
{
    struct mailbox_call call = {.request = {.operation = operation, .port = port}};
    struct switchboard *board;
    int r;

    if (!port)
        return failure_set(&iv->failure, EINVAL, "0 is no port");
    r = switchboard_get(iv, &board);
    if (r == 0)
        r = switchboard_call(board, &call, EVENTS_NEVER);
    if (r < 0)
        return r;
    if (call.status == LAYOUT_OK || (call.status == LAYOUT_PORT_IN_USE && call.retried))
        return 0;
    if (operation == LAYOUT_UNLISTEN) {
        if (call.retried)
            return 0;
        return failure_set(&iv->failure, EINVAL, "we do not listen on port %" PRIu32, port);
    }
    return failure_set(&iv->failure, -view_errno(call.status),
                       "cannot listen on port %" PRIu32 ": %s", port,
                       view_status_text(call.status));
}

int ivshmem_listen(struct ivshmem *iv, uint32_t port)
{
    return call_port(iv, LAYOUT_LISTEN, port);
}

int ivshmem_unlisten(struct ivshmem *iv, uint32_t port)
{
    return call_port(iv, LAYOUT_UNLISTEN, port);
}

/* Connections have numbers that count up: the oldest offer is the next one. */
static bool find_offer(const struct switchboard *board, uint32_t port, struct ivshmem_offer *offer)
{
    struct ivshmem_offer candidate;
    bool found = false;

    for (uint32_t i = 0; i < board->view.n_channels; i++) {
        if (!switchboard_offer(board, i, &candidate) || (port && candidate.port != port) ||
            (found && candidate.serial > offer->serial))
            continue;
        *offer = candidate;
        found = true;
    }
    return found;
}

int ivshmem_next_offer(struct ivshmem *iv, uint32_t port, int timeout, struct ivshmem_offer *offer)
{
    int64_t deadline = switchboard_deadline(timeout);
    struct switchboard *board;
    int r = switchboard_get(iv, &board);

    if (r == 0 && iv->calling && timeout != 0)
        return failure_set(&iv->failure, EBUSY, "a callback cannot wait");
    while (r >= 0) {
        if (find_offer(board, port, offer))
            return 0;
        r = switchboard_wait(board, deadline);
    }
    return r == -ETIMEDOUT ? failure_set(&iv->failure, ETIMEDOUT, "nobody wants to connect") : r;
}

static int reject(struct switchboard *board, const char *what, uint32_t status)
{
    return failure_set(&board->iv->failure, -view_errno(status), "%s: %s", what,
                       view_status_text(status));
}

/* Until the server has told us of the doorbell: without it a sleeper would not be woken. */
static int wait_for_doorbell(struct ivshmem_channel *channel, int64_t deadline)
{
    struct ivshmem *iv = channel->board->iv;
    const struct channel_way *end =
        channel->send.number != LAYOUT_CHANNEL_NONE ? &channel->send : &channel->receive;
    int64_t patience = switchboard_now() + (int64_t)PATIENCE_MS * NS_PER_MS;
    int r = 0;

    if (deadline > patience)
        deadline = patience;
    while (ivshmem_vectors(iv, channel->peer) <= (int)end->vector) {
        if (r < 0)
            return r == -ETIMEDOUT
                       ? failure_set(&iv->failure, ETIMEDOUT,
                                     "the server has not told us of the doorbell of peer %u",
                                     channel->peer)
                       : r;
        r = switchboard_wait(channel->board, deadline);
    }
    return 0;
}

/* The daemon has made a connection, or not yet: until the state of its first channel is another. */
static int wait_for_state(struct ivshmem_channel *channel, uint32_t number, uint32_t state,
                          struct layout_entry *entry, int64_t deadline)
{
    struct switchboard *board = channel->board;
    int r = 0;

    for (;;) {
        if (channel->ended)
            return channel->ended;
        if (view_entry(&board->view, number, entry) && entry->state != state &&
            entry->state != LAYOUT_FREE && entry->first == number)
            return 0;
        if (r < 0)
            return r;
        r = switchboard_wait(board, deadline);
    }
}

/* Return: 0 when the channel is open. */
static int open_channel(struct ivshmem_channel *channel, uint32_t number, bool connector,
                        int64_t deadline)
{
    struct switchboard *board = channel->board;
    struct layout_entry entry = {.state = LAYOUT_FREE};
    int r;

    channel->number = number; /* to be closed, whatever comes of it */
    do {
        r = wait_for_state(channel, number, LAYOUT_OFFERED, &entry, deadline);
        if (r == -ETIMEDOUT)
            return reject(board, "cannot connect", LAYOUT_TIMED_OUT);
        if (r < 0)
            return r;
        if (entry.state == LAYOUT_CLOSED && entry.status != LAYOUT_PEER_CLOSED &&
            entry.status != LAYOUT_OK && connector)
            return reject(board, "cannot connect", entry.status);
        r = channel_attach(channel, number, &entry, connector);
        if (r == -EAGAIN && switchboard_wait(board, deadline) < 0)
            break;
    } while (r == -EAGAIN);
    if (r < 0)
        return failure_set(&board->iv->failure, EBADMSG,
                           "what the server published of channel %" PRIu32 " cannot be true",
                           number);
    return wait_for_doorbell(channel, deadline);
}

static int finish(struct ivshmem_channel *new, int r, struct ivshmem_channel **channel)
{
    if (new->ended)
        r = new->ended;
    if (r < 0) {
        channel_close(new);
        return r;
    }
    new->known = true;
    *channel = new;
    return 0;
}

int ivshmem_accept(struct ivshmem *iv, const struct ivshmem_offer *offer,
                   struct ivshmem_channel **channel)
{
    struct mailbox_call call = {.request = {.operation = LAYOUT_ACCEPT, .channel = offer->channel}};
    struct ivshmem_channel *new;
    struct ivshmem_offer now;
    struct switchboard *board;
    int r = switchboard_get(iv, &board);

    if (r < 0)
        return r;
    if (!switchboard_offer(board, offer->channel, &now) || now.serial != offer->serial)
        return reject(board, "cannot accept", LAYOUT_NO_CHANNEL);
    new = channel_new(board);
    if (!new)
        return failure_set(&iv->failure, ENOMEM, "no memory for a channel");
    r = switchboard_call(board, &call, EVENTS_NEVER);
    if (r == 0 && call.status != LAYOUT_OK && !call.retried)
        r = reject(board, "cannot accept", call.status);
    if (r == 0)
        r = open_channel(new, offer->channel, false, switchboard_deadline(PATIENCE_MS));
    return finish(new, r, channel);
}

int ivshmem_refuse(struct ivshmem *iv, const struct ivshmem_offer *offer)
{
    struct mailbox_call call = {.request = {.operation = LAYOUT_REFUSE, .channel = offer->channel}};
    struct ivshmem_offer now;
    struct switchboard *board;
    int r = switchboard_get(iv, &board);

    if (r < 0)
        return r;
    if (!switchboard_offer(board, offer->channel, &now) || now.serial != offer->serial)
        return reject(board, "cannot refuse", LAYOUT_NO_CHANNEL);
    r = switchboard_call(board, &call, EVENTS_NEVER);
    if (r == 0 && call.status != LAYOUT_OK && !call.retried)
        r = reject(board, "cannot refuse", call.status);
    return r;
}

static int check_options(struct ivshmem *iv, uint32_t port,
                         const struct ivshmem_connect_options *options)
{
    if (!port)
        return failure_set(&iv->failure, EINVAL, "0 is no port");
    if (options->size != sizeof(*options))
        return failure_set(&iv->failure, EINVAL,
                           "struct ivshmem_connect_options has another size in this library");
    if (options->flags & ~(unsigned)IVSHMEM_CRC32C)
        return failure_set(&iv->failure, EINVAL, "unknown flags %#x", options->flags);
    if (options->ring_size > LAYOUT_RING_MAX || options->reverse_size > LAYOUT_RING_MAX)
        return failure_set(&iv->failure, EINVAL, "a ring has at most %" PRIu64 " bytes",
                           LAYOUT_RING_MAX);
    return 0;
}

static int request_channel(struct switchboard *board, struct mailbox_call *call, int64_t deadline)
{
    int r = switchboard_call(board, call, deadline);

    if (r == 0 && call->status != LAYOUT_OK)
        r = reject(board, "cannot connect", call->status);
    if (r == 0 && !view_channel(&board->view, call->channel))
        r = failure_set(&board->iv->failure, EBADMSG, "the server's answer cannot be true");
    return r;
}

int ivshmem_connect(struct ivshmem *iv, unsigned peer, uint32_t port,
                    const struct ivshmem_connect_options *options, int timeout,
                    struct ivshmem_channel **channel)
{
    int64_t deadline = switchboard_deadline(timeout);
    struct mailbox_call call = {.request = {.operation = LAYOUT_CONNECT}};
    struct ivshmem_channel *new;
    struct switchboard *board;
    int r;

    if (iv->calling)
        return failure_set(&iv->failure, EBUSY, "a callback cannot wait");
    options = options ? options : &defaults;
    r = check_options(iv, port, options);
    if (r == 0)
        r = switchboard_get(iv, &board);
    if (r < 0)
        return r;
    new = channel_new(board);
    if (!new)
        return failure_set(&iv->failure, ENOMEM, "no memory for a channel");
    call.request.port = port;
    call.request.peer = peer;
    call.request.pid = (uint32_t)getpid();
    call.request.flags = options->flags & IVSHMEM_CRC32C ? LAYOUT_CRC32C : 0;
    call.request.size = options->ring_size ? options->ring_size : RING_DEFAULT;
    call.request.reverse_size = options->reverse_size;
    call.request.idle_ms = options->idle_ms;
    r = request_channel(board, &call, deadline);
    if (r == 0)
        r = open_channel(new, call.channel, true, deadline);
    return finish(new, r, channel);
}
