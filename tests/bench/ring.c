/* SPDX-License-Identifier: MIT
 *
 * Contenders: common/ring.h, with both sides spinning. Copying, without a copy, in bursts, and
 * with CRC32C.
 */
#include "tests/bench/rings.h"

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

static void burst_send(struct lane *lane)
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
            int64_t r = ring_sender_put_burst(&sender, parts + sent, n - sent);

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

static void burst_receive(struct lane *lane)
{
    struct ring_part parts[LANE_BURST];
    struct ring_receiver receiver;

    rings_receiver(&receiver, lane, 0);
    set_parts(parts, lane, lane->burst);
    for (uint64_t i = 0; i < lane->count;) {
        int64_t n;

        while ((n = ring_receiver_get_burst(&receiver, parts, lane->burst)) == RING_EMPTY)
            rings_pause(&receiver, lane);
        if (n < 0)
            lane_wrong(lane, i);
        for (int64_t j = 0; j < n; j++, i++)
            if (parts[j].length != lane->size || pattern_differs(parts[j].data, i, 0, lane->size))
                lane_wrong(lane, i);
    }
}

const struct transport transports_ring[] = {
    {"ring copy", 64, LANE_LARGE, rings_prepare, plain_send, plain_receive},
    {"ring zero-copy", 64, LANE_LARGE, rings_prepare, zero_copy_send, zero_copy_receive},
    {"ring burst", 64, LANE_LARGE, rings_prepare, burst_send, burst_receive},
    {"ring crc32c", 64, LANE_LARGE, rings_prepare, crc32c_send, crc32c_receive},
    {NULL},
};
