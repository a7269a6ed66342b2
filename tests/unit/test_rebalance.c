/* SPDX-License-Identifier: MIT
 *
 * Rings that are moved: by use, and because somebody asked. Both ends have to leave the old place
 * before it is anybody else's.
 */
#include "tests/unit/tables.h"

#include <errno.h>

static struct tables tables;
static unsigned channel, pair;

enum { SIZE = 16384 };

static int set_up(void **state)
{
    (void)state;
    tables_start(&tables);
    for (unsigned peer = 1; peer <= 3; peer++)
        tables_join_and_speak(&tables, peer);
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_LISTEN, .port = 9));
    channel = tables_open(&tables, 1, 2, 9, SIZE, SIZE);
    pair = tables_entry(&tables, channel).pair;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tables_end(&tables);
    return 0;
}

static unsigned moved(unsigned peer, unsigned ring, uint32_t generation)
{
    return ASK(&tables, peer, LAYOUT_MOVED, .channel = ring, .generation = generation);
}

static void pass(unsigned intervals)
{
    for (; intervals > 0; intervals--) {
        tables.now += 1000;
        channels_tick(tables.channels, tables.now);
    }
}

/* The old place stays taken until both ends have left it. */
static void both_ends_leave(void **state)
{
    uint64_t before = tables_free_bytes(&tables);
    struct layout_entry old = tables_entry(&tables, channel), entry;

    (void)state;
    memset(tables.region + old.buff_offset + 2 * SIZE, 0xff, SIZE);
    assert_int_equal(0, channels_resize(tables.channels, channel, 5000));
    entry = tables_entry(&tables, channel);
    assert_int_equal(1, entry.moving);
    assert_int_equal(8192, entry.next_size);
    assert_int_equal(0, *(uint64_t *)(tables.region + entry.next_offset));
    assert_int_equal(old.buff_offset, entry.buff_offset);
    assert_int_equal(before - 8192, tables_free_bytes(&tables));
    assert_int_equal(-EBUSY, channels_resize(tables.channels, channel, SIZE));
    assert_int_equal(LAYOUT_NO_CHANNEL, moved(1, channel, 2));
    assert_int_equal(LAYOUT_NO_CHANNEL, moved(3, channel, 1));
    assert_int_equal(LAYOUT_NO_CHANNEL, moved(1, pair, 1));
    assert_int_equal(LAYOUT_OK, moved(1, channel, 1));
    assert_int_equal(LAYOUT_OK, moved(1, channel, 1));
    assert_int_equal(before - 8192, tables_free_bytes(&tables));
    assert_int_equal(LAYOUT_OK, moved(2, channel, 1));
    assert_int_equal(LAYOUT_OK, moved(2, channel, 1));
    assert_int_equal(before - 8192 + SIZE, tables_free_bytes(&tables));
    old = entry;
    entry = tables_entry(&tables, channel);
    assert_int_equal(old.next_offset, entry.buff_offset);
    assert_int_equal(8192, entry.buff_size);
    assert_int_equal(1, entry.ring_generation);
    assert_int_equal(0, entry.moving);
    assert_int_equal(0, entry.next_size);
    assert_int_equal(1, tables.state->counters.moves);
}

/* In the second ring it is the listener who sends. */
static void in_the_other_direction(void **state)
{
    (void)state;
    assert_int_equal(0, channels_resize(tables.channels, pair, 2 * SIZE));
    assert_int_equal(LAYOUT_OK, moved(1, pair, 1));
    assert_int_equal(CHANNEL_RECEIVER, tables.state->rings[pair].moved);
    assert_int_equal(LAYOUT_OK, moved(2, pair, 1));
    assert_int_equal(2 * SIZE, tables_entry(&tables, pair).buff_size);
}

static void closed_meanwhile(void **state)
{
    uint64_t before = tables_free_bytes(&tables);

    (void)state;
    assert_int_equal(0, channels_resize(tables.channels, channel, 2 * SIZE));
    assert_int_equal(LAYOUT_OK, moved(1, channel, 1));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_CLOSE, .channel = channel));
    assert_int_equal(-ENOENT, channels_resize(tables.channels, pair, SIZE));
    assert_int_equal(before - 2 * SIZE, tables_free_bytes(&tables));
    assert_int_equal(LAYOUT_OK, moved(2, channel, 1));
    assert_int_equal(before - SIZE, tables_free_bytes(&tables));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_CLOSE, .channel = channel));
    assert_int_equal(before + 2 * SIZE, tables_free_bytes(&tables));
}

static void restart_while_moving(void **state)
{
    uint64_t before = tables_free_bytes(&tables);

    (void)state;
    assert_int_equal(0, channels_resize(tables.channels, channel, 2 * SIZE));
    assert_int_equal(LAYOUT_OK, moved(1, channel, 1));
    tables_restart(&tables);
    assert_int_equal(before - 2 * SIZE, tables_free_bytes(&tables));
    assert_int_equal(LAYOUT_OK, moved(2, channel, 1));
    assert_int_equal(before - SIZE, tables_free_bytes(&tables));
}

static void sizes_that_cannot_be(void **state)
{
    (void)state;
    assert_int_equal(-ENOENT, channels_resize(tables.channels, TABLES_CHANNELS, SIZE));
    assert_int_equal(-ENOENT, channels_resize(tables.channels, TABLES_CHANNELS - 1, SIZE));
    assert_int_equal(-EINVAL, channels_resize(tables.channels, channel, 0));
    assert_int_equal(-EINVAL, channels_resize(tables.channels, channel, UINT64_MAX));
    assert_int_equal(-EDQUOT, channels_resize(tables.channels, channel, TABLES_REGION / 2));
    tables.channels->setup.options.peer_bytes = UINT64_MAX;
    assert_int_equal(-ENOSPC, channels_resize(tables.channels, channel, TABLES_REGION));
}

static void finish_moves(void)
{
    for (unsigned ring = 0; ring < TABLES_CHANNELS; ring++) {
        struct layout_entry entry = tables_entry(&tables, ring);

        if (!entry.moving)
            continue;
        assert_int_equal(LAYOUT_OK, moved(entry.sender_vm, ring, entry.ring_generation + 1));
        assert_int_equal(LAYOUT_OK, moved(entry.receiver_vm, ring, entry.ring_generation + 1));
    }
}

static void busy_grows_and_idle_shrinks(void **state)
{
    (void)state;
    tables.channels->setup.options.grow_max = 3 * SIZE;
    for (int i = 0; i < 20; i++) {
        tables_channel(&tables, channel)->sender.head_touch += REBALANCE_TOUCHES;
        pass(1);
        finish_moves();
    }
    assert_int_equal(3 * SIZE, tables_entry(&tables, channel).buff_size);
    assert_int_equal(SIZE, tables_entry(&tables, pair).buff_size);
    for (int i = 0; i < 2 * REBALANCE_IDLE; i++) {
        tables_channel(&tables, channel)->sender.bytes++;
        pass(1);
    }
    assert_int_equal(0, tables_entry(&tables, channel).moving);
    pass(REBALANCE_IDLE);
    finish_moves();
    assert_int_equal(SIZE, tables_entry(&tables, channel).buff_size);
    pass(4 * REBALANCE_IDLE);
    assert_int_equal(0, tables_entry(&tables, channel).moving);
    assert_int_equal(3, tables.state->rings[channel].resizes);
}

/* An end that never answers keeps what it has; others go on. Full now and then is not busy. */
static void patience(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        tables_channel(&tables, channel)->sender.head_touch += 1;
        pass(1);
    }
    assert_int_equal(0, tables_entry(&tables, channel).moving);
    for (int i = 0; i < 20; i++) {
        tables_channel(&tables, channel)->sender.head_touch += 100;
        tables_channel(&tables, pair)->sender.head_touch += 100;
        pass(1);
        if (tables_entry(&tables, pair).moving) {
            assert_int_equal(LAYOUT_OK,
                             moved(1, pair, tables_entry(&tables, pair).ring_generation + 1));
            assert_int_equal(LAYOUT_OK,
                             moved(2, pair, tables_entry(&tables, pair).ring_generation + 1));
        }
    }
    assert_int_equal(1, tables_entry(&tables, channel).moving);
    assert_int_equal(2 * SIZE, tables_entry(&tables, channel).next_size);
    assert_true(tables_entry(&tables, pair).buff_size > 8 * SIZE);
}

/* However busy they say they are, a quarter of the data area stays free. */
static void room_for_newcomers(void **state)
{
    struct channels_totals totals;

    (void)state;
    tables.channels->setup.options.peer_bytes = UINT64_MAX;
    tables.channels->setup.options.grow_max = TABLES_REGION;
    for (int i = 0; i < 60; i++) {
        tables_channel(&tables, channel)->sender.head_touch = i % 2 ? INT32_MAX : 0;
        tables_channel(&tables, pair)->sender.head_touch += 100;
        pass(1);
        channels_totals(tables.channels, &totals);
        assert_true(totals.free_bytes >= totals.data_bytes / 4);
        finish_moves();
    }
    assert_true(totals.free_bytes < totals.data_bytes * 3 / 4);
}

static void few_at_a_time(void **state)
{
    unsigned rings[12], moving = 0;

    (void)state;
    tables.channels->setup.options.peer_channels = TABLES_CHANNELS;
    tables.channels->setup.options.doorbells = 1;
    for (unsigned i = 0; i < 12; i++)
        rings[i] = tables_open(&tables, 3, 2, 9, 4096, 0);
    pass(REBALANCE_REST);
    for (unsigned i = 0; i < 12; i++)
        tables_channel(&tables, rings[i])->sender.head_touch = 50;
    for (int i = 0; i < 5; i++)
        tables_ring_daemon(&tables, 1); /* looked at then, too */
    for (unsigned i = 0; i < 12; i++)
        moving += tables_entry(&tables, rings[i]).moving;
    assert_int_equal(REBALANCE_MOVES_MAX, moving);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(both_ends_leave),
        STORY(in_the_other_direction),
        STORY(closed_meanwhile),
        STORY(restart_while_moving),
        STORY(sizes_that_cannot_be),
        STORY(busy_grows_and_idle_shrinks),
        STORY(patience),
        STORY(room_for_newcomers),
        STORY(few_at_a_time),
    };

    log_set_level(LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
