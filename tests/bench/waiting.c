/* SPDX-License-Identifier: MIT
 *
 * Contenders: common/ring.h with sides that sleep, and round trips through two rings.
 *
 * A side that has to wait spins for a while (not at all when it is to block, for ever when it is to
 * spin), and then sleeps as ring.h says, until its doorbell rings.
 */
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <time.h>

#include "common/doorbell.h"
#include "tests/bench/pattern.h"
#include "tests/bench/rings.h"

enum {
    SPIN_FOR_EVER = INT_MAX,
    SPIN_HYBRID = 20000, /* ns */
    STEPS = 32,          /* of spinning between two looks at the clock */
};

/**
 * struct end - what one process has
 * @lane:     its lane
 * @sender:   if @sends
 * @receiver: if @receives
 * @sends:    whether it has a ring to send in
 * @receives: whether it has a ring to receive from
 * @own:      its doorbell
 * @other:    that of the other process
 * @spin:     nanoseconds before it sleeps
 */
struct end {
    struct lane *lane;
    struct ring_sender sender;
    struct ring_receiver receiver;
    bool sends, receives;
    int own, other, spin;
};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What the other side might sleep for is asked after our own fence. */
static void wake_other(struct end *end)
{
    bool ring = end->sends && ring_sender_wake(&end->sender);

    if (end->receives && ring_receiver_wake(&end->receiver))
        ring = true;
    if (ring)
        doorbell_ring(end->other);
}

/* Wait for the doorbell; if somebody might have missed that we sleep, for a millisecond, and if
 * nobody rang and there is nothing, for ever. */
static void sleep_now(struct end *end, bool for_record)
{
    struct pollfd doorbell = {.fd = end->own, .events = POLLIN};
    bool certain =
        for_record ? ring_receiver_certain(&end->receiver) : ring_sender_certain(&end->sender);

    wake_other(end);
    if (certain || (poll(&doorbell, 1, 1) == 0 && !(for_record ? ring_receiver_look(&end->receiver)
                                                               : ring_sender_look(&end->sender))))
        poll(&doorbell, 1, -1);
    doorbell_take(end->own);
}

/* Spin until there is a record, or room. Return: whether there is. */
static bool spin(struct end *end, bool for_record)
{
    int64_t until = 0;

    if (!end->spin)
        return false;
    for (;;) {
        for (int i = 0; i < STEPS; i++) {
            if (for_record)
                rings_pause(&end->receiver, end->lane);
            else
                lane_pause(end->lane);
            if (for_record ? ring_receiver_look(&end->receiver) : ring_sender_look(&end->sender))
                return true;
        }
        if (end->spin == SPIN_FOR_EVER)
            continue;
        if (!until)
            until = now_ns() + end->spin;
        else if (now_ns() > until)
            return false;
    }
}

static void await_record(struct end *end)
{
    if (spin(end, true) || ring_receiver_sleep(&end->receiver))
        return;
    sleep_now(end, true);
    ring_receiver_awake(&end->receiver);
}

static void await_room(struct end *end)
{
    if (spin(end, false) || ring_sender_sleep(&end->sender))
        return;
    sleep_now(end, false);
    ring_sender_awake(&end->sender);
}

static void put(struct end *end, uint64_t number)
{
    struct lane *lane = end->lane;
    int result;

    pattern_fill(lane->buffer, number, 0, lane->size);
    while ((result = ring_sender_put(&end->sender, lane->buffer, lane->size, 0)) == RING_FULL)
        await_room(end);
    if (result)
        lane_wrong(lane, number);
}

static void get(struct end *end, uint64_t number)
{
    struct lane *lane = end->lane;
    int64_t got;
    int more = 0;

    while ((got = ring_receiver_get(&end->receiver, lane->buffer, lane->size, &more)) == RING_EMPTY)
        await_record(end);
    if (got != (int64_t)lane->size || more || pattern_differs(lane->buffer, number, 0, lane->size))
        lane_wrong(lane, number);
}

/* One ring; whoever puts or takes looks whether the other sleeps, also one who spins for ever
 * himself. */
static void stream_send(struct lane *lane, int spin_ns)
{
    struct end end = {.lane = lane, .sends = true, .spin = spin_ns};

    end.own = lane->doorbells[0];
    end.other = lane->doorbells[1];
    rings_sender(&end.sender, lane, 0);
    for (uint64_t i = 0; i < lane->count; i++) {
        put(&end, i);
        if (ring_sender_wake(&end.sender))
            doorbell_ring(end.other);
    }
    if (ring_sender_flush(&end.sender))
        doorbell_ring(end.other);
}

static void stream_receive(struct lane *lane, int spin_ns)
{
    struct end end = {.lane = lane, .receives = true, .spin = spin_ns};

    end.own = lane->doorbells[1];
    end.other = lane->doorbells[0];
    rings_receiver(&end.receiver, lane, 0);
    for (uint64_t i = 0; i < lane->count; i++) {
        get(&end, i);
        if (ring_receiver_wake(&end.receiver))
            doorbell_ring(end.other);
    }
}

static void spin_send(struct lane *lane)
{
    stream_send(lane, SPIN_FOR_EVER);
}

static void spin_receive(struct lane *lane)
{
    stream_receive(lane, SPIN_FOR_EVER);
}

static void hybrid_send(struct lane *lane)
{
    stream_send(lane, SPIN_HYBRID);
}

static void hybrid_receive(struct lane *lane)
{
    stream_receive(lane, SPIN_HYBRID);
}

/* Two rings. The asker sends in the first, the answerer in the second. */
static void trip_begin(struct end *end, struct lane *lane, bool asks, int spin_ns)
{
    struct rings_words *words = (struct rings_words *)(void *)lane->words;
    int out = asks ? 0 : 1, in = !out;

    *end = (struct end){.lane = lane, .sends = true, .receives = true, .spin = spin_ns};
    end->own = lane->doorbells[out];
    end->other = lane->doorbells[in];
    if (ring_sender_init(&end->sender, &words->sender[out], &words->receiver[out],
                         lane->queue + out * RINGS_BACK, RINGS_BACK, 0) ||
        ring_receiver_init(&end->receiver, &words->receiver[in], &words->sender[in],
                           lane->queue + in * RINGS_BACK, RINGS_BACK, 0))
        lane_wrong(lane, 0);
}

static void ask(struct lane *lane, int spin_ns)
{
    struct end end;

    trip_begin(&end, lane, true, spin_ns);
    for (uint64_t i = 0; i < lane->count; i++) {
        put(&end, 2 * i);
        if (spin_ns != SPIN_FOR_EVER && ring_sender_wake(&end.sender))
            doorbell_ring(end.other);
        get(&end, 2 * i + 1);
    }
}

static void answer(struct lane *lane, int spin_ns)
{
    struct end end;

    trip_begin(&end, lane, false, spin_ns);
    for (uint64_t i = 0; i < lane->count; i++) {
        get(&end, 2 * i);
        put(&end, 2 * i + 1);
        if (spin_ns != SPIN_FOR_EVER && ring_sender_wake(&end.sender))
            doorbell_ring(end.other);
    }
    if (ring_sender_flush(&end.sender) && spin_ns != SPIN_FOR_EVER)
        doorbell_ring(end.other);
}

static void spin_ask(struct lane *lane)
{
    ask(lane, SPIN_FOR_EVER);
}

static void spin_answer(struct lane *lane)
{
    answer(lane, SPIN_FOR_EVER);
}

static void block_ask(struct lane *lane)
{
    ask(lane, 0);
}

static void block_answer(struct lane *lane)
{
    answer(lane, 0);
}

static void hybrid_ask(struct lane *lane)
{
    ask(lane, SPIN_HYBRID);
}

static void hybrid_answer(struct lane *lane)
{
    answer(lane, SPIN_HYBRID);
}

const struct transport transports_waiting[] = {
    {"ring spin", 64, LANE_LARGE, rings_prepare, spin_send, spin_receive},
    {"ring hybrid", 64, LANE_LARGE, rings_prepare, hybrid_send, hybrid_receive},
    {"ring spin trip", 64, 64, rings_prepare, spin_ask, spin_answer},
    {"ring block trip", 64, 64, rings_prepare, block_ask, block_answer},
    {"ring hybrid trip", 64, 64, rings_prepare, hybrid_ask, hybrid_answer},
    {NULL},
};
