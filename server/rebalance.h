/* SPDX-License-Identifier: MIT
 *
 * Rebalancing: rings that are busy grow, those that were and are no more shrink again.
 *
 * What the ends tell of a ring's use (how often it was full, bytes) are hints: who lies gets what
 * its quota allows, as everybody does, and no more. A ring that was full several times since it was
 * looked at is doubled. One that is larger than it was opened with and was not used for a while
 * goes back to that size. Growing leaves a quarter of the data area free for newcomers.
 *
 * A ring is moved by telling both ends of the next place. The old one is theirs until both have
 * said LAYOUT_MOVED, however long that takes; until then the ring is not moved again, and both
 * places count against the quotas of both ends.
 */
#ifndef IVSHMEM_REBALANCE_H
#define IVSHMEM_REBALANCE_H

#include <stdint.h>

struct channels;

enum {
    REBALANCE_TOUCHES = 4,   /* times that a ring was full: it is too small */
    REBALANCE_REST = 2,      /* intervals between two decisions on the size of a ring */
    REBALANCE_IDLE = 8,      /* intervals without use: it may shrink */
    REBALANCE_MOVES_MAX = 8, /* that are begun at a time */
};

/**
 * rebalance() - look at all rings
 * @channels: the tables
 * @now:      the time
 */
void rebalance(struct channels *channels, int64_t now);

/**
 * channels_resize() - begin to move a ring to a place of another size, whatever its use
 * @channels: the tables
 * @channel:  any number
 * @size:     bytes, rounded up to blocks; may be what it has
 *
 * It is done when both ends have said so (channels_status(): @resizes).
 *
 * Return: 0, -ENOENT when the channel is not open, -EBUSY while it is being moved, -EINVAL for a
 * size that no ring can have, -EDQUOT or -ENOSPC.
 */
int channels_resize(struct channels *channels, unsigned channel, uint64_t size);

#endif
