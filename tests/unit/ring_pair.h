/* SPDX-License-Identifier: MIT
 *
 * Both ends of a ring in one process, for the tests of ring.h.
 */
#ifndef IVSHMEM_TESTS_RING_PAIR_H
#define IVSHMEM_TESTS_RING_PAIR_H

#include "tests/unit/unit.h"

#include "common/ring.h"

enum { RING_SIZE = 4096, PIECE = RING_SIZE / 4 };

/**
 * struct ring_pair - a channel with both ends
 * @channel: its words
 * @data:    its ring, malloc()ed: sanitizers see what goes beyond
 * @size:    bytes of that
 * @s:       one end
 * @r:       the other
 */
struct ring_pair {
    struct layout_channel channel;
    uint8_t *data;
    size_t size;
    struct ring_sender s;
    struct ring_receiver r;
};

/** ring_memory() - memory for a ring, to be free()d; full of what must not be believed, but for the
 * first word, like that which the daemon hands out */
static inline uint8_t *ring_memory(size_t size)
{
    uint8_t *data = aligned_alloc(64, size);

    assert_non_null(data);
    memset(data, 0xa5, size);
    memset(data, 0, RING_UNIT);
    return data;
}

/** ring_pair_init() - make a ring with both ends, whose indexes begin with @start */
static inline void ring_pair_init(struct ring_pair *pair, size_t size, uint32_t flags,
                                  uint32_t start)
{
    memset(pair, 0, sizeof(*pair));
    pair->size = size;
    pair->data = ring_memory(size);
    assert_int_equal(RING_OK, ring_sender_init(&pair->s, &pair->channel.sender,
                                               &pair->channel.receiver, pair->data, size, flags));
    assert_int_equal(RING_OK, ring_receiver_init(&pair->r, &pair->channel.receiver,
                                                 &pair->channel.sender, pair->data, size, flags));
    pair->s.tail = pair->s.head = pair->s.base = start;
    pair->r.head = start;
    ring_receiver_publish(&pair->r);
}

/** ring_pair_deinit() - free what ring_pair_init() made */
static inline void ring_pair_deinit(struct ring_pair *pair)
{
    free(pair->data);
}

/** fill() - bytes of a message that can be told from those of another */
static inline void fill(uint8_t *to, size_t length, uint32_t seed)
{
    for (size_t i = 0; i < length; i++)
        to[i] = (uint8_t)((seed + i) * 131 + (seed >> 8) + (i >> 8));
}

#endif
