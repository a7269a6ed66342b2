/* SPDX-License-Identifier: MIT
 *
 * Rings of common/ring.h in the memory of a lane: one that takes the whole queue, or one in each
 * direction, which take half of it each.
 */
#ifndef IVSHMEM_TESTS_RINGS_H
#define IVSHMEM_TESTS_RINGS_H

#include "common/ring.h"
#include "tests/bench/transport.h"

enum { RINGS_BACK = LANE_QUEUE / 2 /* where the ring back is, and the size of both then */ };

/** struct rings_words - lies in the words of the lane; the second of each is for the ring back */
struct rings_words {
    struct layout_sender sender[2];
    struct layout_receiver receiver[2];
};
_Static_assert(sizeof(struct rings_words) <= LANE_WORDS, "rings");

/** rings_prepare() - make both rings empty; of a struct transport */
void rings_prepare(struct lane *lane);

/** rings_sender() - the sender of the one ring; with the other's, nothing fails: the sizes fit */
static inline void rings_sender(struct ring_sender *sender, struct lane *lane, uint32_t flags)
{
    struct rings_words *words = (struct rings_words *)(void *)lane->words;

    if (ring_sender_init(sender, &words->sender[0], &words->receiver[0], lane->queue,
                         lane_queue(lane->size), flags))
        lane_wrong(lane, 0);
}

/** rings_pause() - one step of spinning until there is a record */
static inline void rings_pause(struct ring_receiver *receiver, struct lane *lane)
{
    ring_receiver_pause(receiver);
    lane_step(lane);
}

/** rings_receiver() - the receiver of the one ring */
static inline void rings_receiver(struct ring_receiver *receiver, struct lane *lane, uint32_t flags)
{
    struct rings_words *words = (struct rings_words *)(void *)lane->words;

    if (ring_receiver_init(receiver, &words->receiver[0], &words->sender[0], lane->queue,
                           lane_queue(lane->size), flags))
        lane_wrong(lane, 0);
}

#endif
