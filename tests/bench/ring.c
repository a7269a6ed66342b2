/* SPDX-License-Identifier: MIT
 *
 * Contenders: common/ring.h, with both sides spinning. Copying, without a copy, in bursts, and
 * with CRC32C. A program that has several messages at a time has them in several buffers: so bursts
 * are compared with the same buffers and a call for each ("singly").
 */
#include "tests/bench/rings.h"

#include <stdbool.h>
#include <string.h>

#include "tests/bench/pattern.h"

void rings_prepare(struct lane *lane)
{
    memset(lane->words, 0, sizeof(struct rings_words));
    memset(lane->queue, 0, 8);
    memset(lane->queue + RINGS_BACK, 0, 8);
}

static void copy_send(struct lane *lane, uint32_t flags)
{
    struct ring_sender sender;
    int result;

    rings_sender(&sender, lane, flags);
    for (uint64_t i = 0; i < lane->count; i++) {
        pattern_fill(lane->buffer, i, 0, lane->size);
        while ((result = ring_sender_put(&sender, lane->buffer, lane->size, 0)) == RING_FULL)
            lane_pause(lane);
        if (result)
            lane_wrong(lane, i);
    }
}

static void copy_receive(struct lane *lane, uint32_t flags)
{
    struct ring_receiver receiver;
    int64_t got;
    int more = 0;

    rings_receiver(&receiver, lane, flags);
    for (uint64_t i = 0; i < lane->count; i++) {
        while ((got = ring_receiver_get(&receiver, lane->buffer, lane->size, &more)) == RING_EMPTY)
            rings_pause(&receiver, lane);
        if (got != (int64_t)lane->size || more || pattern_differs(lane->buffer, i, 0, lane->size))
            lane_wrong(lane, i);
    }
}

static void plain_send(struct lane *lane)
{
    copy_send(lane, 0);
}

static void plain_receive(struct lane *lane)
{
    copy_receive(lane, 0);
}

static void crc32c_send(struct lane *lane)
{
    copy_send(lane, LAYOUT_CRC32C);
}

static void crc32c_receive(struct lane *lane)
{
    copy_receive(lane, LAYOUT_CRC32C);
}

static void zero_copy_send(struct lane *lane)
{
    struct ring_sender sender;
    void *room = NULL;
    int result;

    rings_sender(&sender, lane, 0);
    for (uint64_t i = 0; i < lane->count; i++) {
        while ((result = ring_sender_reserve(&sender, lane->size, &room)) == RING_FULL)
            lane_pause(lane);
        if (result)
            lane_wrong(lane, i);
        if (lane->size >= RING_LARGE && ring_sender_far(&sender))
            pattern_fill_past(room, i, 0, lane->size);
        else
            pattern_fill(room, i, 0, lane->size);
        if (ring_sender_commit(&sender, lane->size, 0))
            lane_wrong(lane, i);
    }
}

static void zero_copy_receive(struct lane *lane)
{
    struct ring_receiver receiver;
    struct ring_piece piece = {NULL, 0, 0};

    rings_receiver(&receiver, lane, 0);
    for (uint64_t i = 0; i < lane->count; i++) {
        int result;

        while ((result = ring_receiver_peek(&receiver, &piece)) == RING_EMPTY)
            rings_pause(&receiver, lane);
        if (result != RING_OK || piece.length != lane->size || piece.more ||
            pattern_differs(piece.data, i, 0, lane->size))
            lane_wrong(lane, i);
        ring_receiver_release(&receiver, piece.length);
    }
}

static void set_parts(struct ring_part *parts, const struct lane *lane, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        parts[i] = (struct ring_part){lane->buffer + i * lane->size, lane->size};
}

/* @n messages with one call, or with a call each. Return: how many. */
static int64_t send_some(struct ring_sender *sender, const struct ring_part *parts, unsigned n,
                         bool singly)
{
    int64_t sent = 0;

    if (!singly)
        return ring_sender_put_burst(sender, parts, n);
    while (sent < n && !ring_sender_put(sender, parts[sent].data, parts[sent].length, 0))
        sent++;
    return sent ? sent : RING_FULL;
}

static int64_t take_some(struct ring_receiver *receiver, struct ring_part *parts, unsigned n,
                         size_t size, bool singly)
{
    int64_t taken = 0, got;
    int more;

    if (!singly)
        return ring_receiver_get_burst(receiver, parts, n);
    for (; taken < n; taken++) {
        got = ring_receiver_get(receiver, parts[taken].data, size, &more);
        if (got < 0)
            return taken ? taken : got;
        parts[taken].length = (size_t)got;
    }
    return taken;
}

static void some_send(struct lane *lane, bool singly)
{
    struct ring_part parts[LANE_BURST];
    struct ring_sender sender;

    rings_sender(&sender, lane, 0);
    set_parts(parts, lane, lane->burst);
    for (uint64_t i = 0; i < lane->count;) {
        unsigned n = lane_next_burst(lane, i);

        for (unsigned j = 0; j < n; j++)
            pattern_fill(parts[j].data, i + j, 0, lane->size);
        for (unsigned sent = 0; sent < n;) {
            int64_t r = send_some(&sender, parts + sent, n - sent, singly);

            if (r == RING_FULL)
                lane_pause(lane);
            else if (r < 0)
                lane_wrong(lane, i);
            else
                sent += (unsigned)r;
        }
        i += n;
    }
}

static void some_receive(struct lane *lane, bool singly)
{
    struct ring_part parts[LANE_BURST];
    struct ring_receiver receiver;

    rings_receiver(&receiver, lane, 0);
    set_parts(parts, lane, lane->burst);
    for (uint64_t i = 0; i < lane->count;) {
        int64_t n;

        while ((n = take_some(&receiver, parts, lane->burst, lane->size, singly)) == RING_EMPTY)
            rings_pause(&receiver, lane);
        if (n < 0)
            lane_wrong(lane, i);
        for (int64_t j = 0; j < n; j++, i++)
            if (parts[j].length != lane->size || pattern_differs(parts[j].data, i, 0, lane->size))
                lane_wrong(lane, i);
    }
}

static void burst_send(struct lane *lane)
{
    some_send(lane, false);
}

static void burst_receive(struct lane *lane)
{
    some_receive(lane, false);
}

static void singly_send(struct lane *lane)
{
    some_send(lane, true);
}

static void singly_receive(struct lane *lane)
{
    some_receive(lane, true);
}

const struct transport transports_ring[] = {
    {"ring copy", 64, LANE_LARGE, rings_prepare, plain_send, plain_receive},
    {"ring zero-copy", 64, LANE_LARGE, rings_prepare, zero_copy_send, zero_copy_receive},
    {"ring burst", 64, LANE_LARGE, rings_prepare, burst_send, burst_receive},
    {"ring singly", 64, LANE_LARGE, rings_prepare, singly_send, singly_receive},
    {"ring crc32c", 64, LANE_LARGE, rings_prepare, crc32c_send, crc32c_receive},
    {NULL},
};
