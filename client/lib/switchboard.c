/* SPDX-License-Identifier: MIT
 *
 * See switchboard.h.
 */
#include "client/lib/switchboard.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "client/lib/channel.h"
#include "client/lib/waiting.h"
#include "common/cleanup.h"
#include "common/wire.h"

enum {
    PATIENCE_MS = 10000, /* for an answer of the daemon, which may be away */
    NS_PER_MS = 1000000,
};

/* What the sleeper listens to. */
enum { TAG_VECTOR, TAG_OTHERS };

static struct switchboard *of_layer(struct layer *layer)
{
    return (struct switchboard *)layer; /* it is the first member */
}

static void ring_daemon(void *context)
{
    struct switchboard *board = context;

    ivshmem_ring(board->iv, board->view.n_mailboxes, 0);
}

/* The answer has come, or nobody can give one any more. */
static void drop_closed(struct switchboard *board, bool all)
{
    struct ivshmem_channel *channel, *next;

    for (channel = TAILQ_FIRST(&board->closing); channel; channel = next) {
        next = TAILQ_NEXT(channel, link);
        if (!all && channel->close.queued)
            continue;
        TAILQ_REMOVE(&board->closing, channel, link);
        channel_drop(channel);
    }
}

static void on_up(struct layer *layer)
{
    (void)layer; /* channels do not come back by themselves */
}

static void on_down(struct layer *layer)
{
    struct switchboard *board = of_layer(layer);
    struct ivshmem_channel *channel;

    board->greeted = false;
    mailbox_clear(&board->mailbox);
    board->sleeper = close_fd(board->sleeper);
    TAILQ_FOREACH (channel, &board->channels, link)
        channel_end(channel, -ENOTCONN);
    drop_closed(board, true);
    free(board->told);
    board->told = NULL;
    layer_set_timer(board->iv, 0);
    board->tick_at = 0;
}

static void on_rung(struct layer *layer)
{
    switchboard_serve(of_layer(layer), true);
}

/* Raised by us, or because the event was taken within a callback. */
static void on_look(struct layer *layer)
{
    switchboard_serve(of_layer(layer), true);
}

static void on_tick(struct layer *layer)
{
    of_layer(layer)->tick_at = 0;
    switchboard_serve(of_layer(layer), false);
}

static void on_free(struct layer *layer)
{
    struct switchboard *board = of_layer(layer);
    struct ivshmem_channel *channel;

    while ((channel = TAILQ_FIRST(&board->channels)) != NULL)
        channel_free(channel);
    free(board);
}

static const struct layer_ops ops = {
    .up = on_up,
    .down = on_down,
    .rung = on_rung,
    .tick = on_tick,
    .look = on_look,
    .free = on_free,
};

/* Without LAYOUT_HELLO. */
static int get_board(struct ivshmem *iv, struct switchboard **out)
{
    struct switchboard *board = (struct switchboard *)iv->layer;

    if (!board) {
        board = calloc(1, sizeof(*board));
        if (!board)
            return failure_set(&iv->failure, ENOMEM, "no memory for channels");
        board->layer.ops = &ops;
        board->iv = iv;
        board->sleeper = -1;
        TAILQ_INIT(&board->channels);
        TAILQ_INIT(&board->closing);
        layer_attach(iv, &board->layer);
    }
    *out = board;
    return 0;
}

int ivshmem_set_channel_vector(struct ivshmem *iv, int vector)
{
    struct switchboard *board;
    int r;

    if (vector < -1 || vector >= WIRE_VECTORS_MAX)
        return failure_set(&iv->failure, EINVAL, "nobody has a vector %d", vector);
    r = get_board(iv, &board);
    if (r < 0)
        return r;
    if (board->greeted)
        return failure_set(&iv->failure, EBUSY, "channels use vector %u already",
                           board->layer.vector);
    board->chosen = vector >= 0;
    board->layer.vector = vector >= 0 ? (unsigned)vector : 0;
    return 0;
}

/* What calls that wait sleep on: edge-triggered, so that an event wakes them, and stays where it is
 * for the program. */
static int make_sleeper(struct switchboard *board)
{
    int fd = ivshmem_vector_fd(board->iv, board->own, board->layer.vector);
    struct epoll_event vector = {.events = EPOLLIN | EPOLLET, .data.u32 = TAG_VECTOR};
    struct epoll_event others = {.events = EPOLLIN, .data.u32 = TAG_OTHERS};

    board->sleeper = close_fd(board->sleeper);
    board->sleeper = epoll_create1(EPOLL_CLOEXEC);
    if (board->sleeper < 0 || epoll_ctl(board->sleeper, EPOLL_CTL_ADD, fd, &vector) < 0 ||
        epoll_ctl(board->sleeper, EPOLL_CTL_ADD, board->iv->events.others, &others) < 0)
        return failure_set(&board->iv->failure, errno, "cannot wait for channels: %s",
                           strerror(errno));
    return 0;
}

/* The roster and the section: is there somebody to talk to, and on which vector are we rung? */
static int prepare(struct switchboard *board)
{
    struct ivshmem *iv = board->iv;
    int own = ivshmem_id(iv), vectors, r;

    if (own < 0 || !ivshmem_ready(iv))
        return failure_set(&iv->failure, ENOTCONN, "not connected, or the greeting has not ended");
    r = view_init(&board->view, ivshmem_memory(iv), ivshmem_memory_size(iv), &iv->failure);
    if (r < 0)
        return r;
    if ((unsigned)own >= board->view.n_mailboxes ||
        ivshmem_vectors(iv, board->view.n_mailboxes) < 1)
        return failure_set(&iv->failure, EOPNOTSUPP,
                           "the memory has channels, but this server does not look after them");
    vectors = ivshmem_vectors(iv, (unsigned)own);
    if (vectors < 1 || (board->chosen && board->layer.vector >= (unsigned)vectors))
        return failure_set(&iv->failure, EINVAL, "we have %d vectors: none to be rung for channels",
                           vectors < 0 ? 0 : vectors);
    if (!board->chosen)
        board->layer.vector = (unsigned)vectors - 1;
    board->own = (uint32_t)own;
    return make_sleeper(board);
}

static int greet(struct switchboard *board)
{
    struct mailbox_call hello = {.request.operation = LAYOUT_HELLO};
    struct failure *failure = &board->iv->failure;
    uint32_t number = 0;
    int r = prepare(board);

    if (r < 0)
        return r;
    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
        number = (uint32_t)switchboard_now();
    mailbox_init(&board->mailbox, view_mailbox(&board->view, board->own), number, ring_daemon,
                 board);
    free(board->told);
    board->told = calloc(board->view.n_channels, sizeof(*board->told));
    if (!board->told)
        return failure_set(failure, ENOMEM, "no memory for channels");
    board->events = 0;
    hello.request.vector = board->layer.vector;
    r = switchboard_call(board, &hello, EVENTS_NEVER);
    if (r < 0)
        return r;
    if (hello.status != LAYOUT_OK)
        return failure_set(failure, -view_errno(hello.status), "channels: %s",
                           view_status_text(hello.status));
    board->greeted = true;
    return 0;
}

int switchboard_get(struct ivshmem *iv, struct switchboard **out)
{
    int r = get_board(iv, out);

    return r < 0 || (*out)->greeted ? r : greet(*out);
}

void switchboard_pump(struct switchboard *board)
{
    if (mailbox_idle(&board->mailbox))
        return;
    mailbox_pump(&board->mailbox, switchboard_now() / NS_PER_MS);
    drop_closed(board, false);
}

int switchboard_call(struct switchboard *board, struct mailbox_call *call, int64_t deadline)
{
    int64_t now = switchboard_now(), patience = now + (int64_t)PATIENCE_MS * NS_PER_MS;
    int r = 0;

    if (deadline > patience)
        deadline = patience;
    mailbox_add(&board->mailbox, call, now / NS_PER_MS);
    for (;;) {
        switchboard_pump(board);
        if (call->done)
            return 0;
        if (r == -ETIMEDOUT)
            break;
        r = switchboard_wait(board, deadline);
        if (r < 0 && r != -ETIMEDOUT)
            break;
    }
    mailbox_remove(&board->mailbox, call);
    if (r != -ETIMEDOUT)
        return r;
    return failure_set(&board->iv->failure, ETIMEDOUT,
                       "the server has not answered: it is away, or busy");
}

/* Within a callback: our vector only. What is taken from it is kept for the program. */
static int wait_in_callback(struct switchboard *board, int milliseconds)
{
    struct pollfd vector = {.fd = ivshmem_vector_fd(board->iv, board->own, board->layer.vector),
                            .events = POLLIN};
    int r = poll(&vector, 1, milliseconds);

    if (r <= 0)
        return r;
    layer_raise(board->iv);
    return layer_wait(board->iv, 0);
}

static int wait_for_events(struct switchboard *board, int milliseconds)
{
    struct epoll_event events[2];
    int count = epoll_wait(board->sleeper, events, 2, milliseconds), r = 0;
    bool rung = false;

    for (int i = 0; i < count; i++) {
        if (events[i].data.u32 == TAG_OTHERS)
            r = events_serve_others(board->iv);
        else
            rung = true;
    }
    return r < 0 ? r : rung;
}

/* Whether our vector was rung for more than whoever waits can see. */
static bool something_new(const struct switchboard *board)
{
    const struct layout_mailbox *shared = view_mailbox(&board->view, board->own);

    return board->watched ||
           __atomic_load_n(&shared->peer.events, __ATOMIC_RELAXED) != board->events;
}

/* Return: as switchboard_wait(). */
static int wait_and_serve(struct switchboard *board, int milliseconds)
{
    struct ivshmem *iv = board->iv;
    int r =
        iv->calling ? wait_in_callback(board, milliseconds) : wait_for_events(board, milliseconds);

    if (r < 0 && r != -ETIMEDOUT)
        return r;
    if (!iv->layer || board->sleeper < 0)
        return failure_set(&iv->failure, ENOTCONN, "the connection to the server has gone");
    if (board->greeted && !iv->calling && something_new(board))
        switchboard_serve(board, false); /* the event is still there, for a dispatch */
    switchboard_pump(board);
    return r > 0;
}

int switchboard_wait(struct switchboard *board, int64_t deadline)
{
    int milliseconds = -1;

    if (deadline != EVENTS_NEVER) {
        int64_t left = deadline - switchboard_now();

        if (left <= 0)
            return -ETIMEDOUT;
        milliseconds = left > (int64_t)PATIENCE_MS * NS_PER_MS
                           ? PATIENCE_MS
                           : (int)((left + NS_PER_MS - 1) / NS_PER_MS);
    }
    if (!mailbox_idle(&board->mailbox) && (unsigned)milliseconds > MAILBOX_RETRY_MS)
        milliseconds = MAILBOX_RETRY_MS;
    return wait_and_serve(board, milliseconds);
}

int switchboard_look(struct switchboard *board)
{
    return wait_and_serve(board, 0);
}

void switchboard_tick(struct switchboard *board, int milliseconds)
{
    int64_t when = switchboard_now() + (int64_t)milliseconds * NS_PER_MS;

    if (board->tick_at && board->tick_at <= when)
        return;
    board->tick_at = when;
    layer_set_timer(board->iv, milliseconds);
}

bool switchboard_offer(const struct switchboard *board, uint32_t channel,
                       struct ivshmem_offer *offer)
{
    const struct layout_channel *shared = view_channel(&board->view, channel);
    struct layout_entry entry, back = {.buff_size = 0};

    /* Most are not: a look that may be wrong, and then comes again. */
    if (!shared || __atomic_load_n(&shared->entry.state, __ATOMIC_RELAXED) != LAYOUT_OFFERED)
        return false;
    if (!view_entry(&board->view, channel, &entry) || entry.state != LAYOUT_OFFERED ||
        entry.receiver_vm != board->own || entry.first != channel)
        return false;
    if (entry.pair != LAYOUT_CHANNEL_NONE && !view_entry(&board->view, entry.pair, &back))
        return false;
    *offer = (struct ivshmem_offer){
        .size = sizeof(*offer),
        .channel = channel,
        .serial = entry.serial,
        .peer = entry.sender_vm,
        .pid = entry.sender_pid,
        .port = entry.port,
        .ring_size = entry.buff_size,
        .reverse_size = back.buff_size,
        .flags = entry.flags,
    };
    return true;
}

static void tell_offers(struct switchboard *board)
{
    const struct layout_mailbox *shared = view_mailbox(&board->view, board->own);
    uint32_t events = __atomic_load_n(&shared->peer.events, __ATOMIC_ACQUIRE);

    if (events == board->events)
        return;
    board->events = events;
    if (!board->iv->callbacks.offered)
        return;
    for (uint32_t i = 0; board->greeted && i < board->view.n_channels; i++) {
        struct ivshmem_offer offer;

        if (!switchboard_offer(board, i, &offer) || board->told[i] == offer.serial)
            continue;
        board->told[i] = offer.serial;
        CALL(board->iv, offered, &offer);
    }
}

static void serve_channels(struct switchboard *board, bool rung)
{
    struct ivshmem_channel *channel = TAILQ_FIRST(&board->channels);
    bool again = false;

    for (; channel; channel = board->next) {
        board->next = TAILQ_NEXT(channel, link);
        channel_hold(channel);
        if (!channel->ended)
            channel_update(channel);
        again |= waiting_watch(channel, rung);
        channel_drop(channel);
    }
    if (again)
        layer_raise(board->iv);
}

void switchboard_serve(struct switchboard *board, bool rung)
{
    board->rung |= rung;
    if (board->serving) { /* from a callback: what it wants is seen by who called it back */
        layer_raise(board->iv);
        return;
    }
    rung = board->rung;
    board->rung = false;
    board->serving = true;
    if (board->greeted) {
        switchboard_pump(board);
        tell_offers(board);
    }
    serve_channels(board, rung);
    if (board->greeted) {
        switchboard_pump(board);
        if (!mailbox_idle(&board->mailbox))
            switchboard_tick(board, MAILBOX_RETRY_MS);
    }
    board->serving = false;
}
