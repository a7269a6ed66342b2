/* SPDX-License-Identifier: MIT
 *
 * The allocator of blocks, against a plain array of flags.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>

#include "server/extents.h"

enum { BLOCKS = 300, RINGS = 60, START = 7 * LAYOUT_BLOCK };

static const uint64_t end = START + (uint64_t)BLOCKS * LAYOUT_BLOCK;

static struct extents extents;
static uint8_t taken[BLOCKS];

static int set_up(void **state)
{
    (void)state;
    memset(taken, 0, sizeof(taken));
    return extents_init(&extents, START, end, RINGS);
}

static int tear_down(void **state)
{
    (void)state;
    extents_deinit(&extents);
    return 0;
}

static uint64_t place(uint64_t blocks)
{
    uint64_t offset = 0;

    assert_int_equal(0, extents_place(&extents, blocks * LAYOUT_BLOCK, &offset));
    return (offset - START) / LAYOUT_BLOCK;
}

static void give_back(uint64_t at, uint64_t blocks)
{
    extents_give_back(&extents, START + at * LAYOUT_BLOCK, blocks * LAYOUT_BLOCK);
}

static int take(uint64_t at, uint64_t blocks)
{
    return extents_take(&extents, START + at * LAYOUT_BLOCK, blocks * LAYOUT_BLOCK);
}

static void smallest_that_fits(void **state)
{
    (void)state;
    assert_int_equal(0, place(10));
    assert_int_equal(10, place(1));
    assert_int_equal(11, place(4));
    assert_int_equal(15, place(1));
    give_back(0, 10);
    give_back(11, 4);
    assert_int_equal(11, place(3));
    assert_int_equal(14, place(1));
    assert_int_equal(0, place(5));
    assert_int_equal(5, place(5));
    assert_int_equal(START + 16 * LAYOUT_BLOCK, extents_free_start(&extents));
}

static void merges_with_both_neighbours(void **state)
{
    uint64_t offset;

    (void)state;
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(i * 100, place(100));
    assert_int_equal(-ENOSPC, extents_place(&extents, LAYOUT_BLOCK, &offset));
    assert_int_equal(end, extents_free_start(&extents));
    assert_int_equal(0, extents_largest(&extents));
    give_back(0, 100);
    give_back(200, 100);
    assert_int_equal(2, extents.count);
    give_back(100, 100);
    assert_int_equal(1, extents.count);
    assert_int_equal(end - START, extents_largest(&extents));
    assert_int_equal(end - START, extents.free_bytes);
    assert_int_equal(START, extents_free_start(&extents));
}

static void what_cannot_be_taken(void **state)
{
    (void)state;
    assert_int_equal(-EINVAL, extents_take(&extents, START, 0));
    assert_int_equal(-EINVAL, extents_take(&extents, START + 1, LAYOUT_BLOCK));
    assert_int_equal(-EINVAL, extents_take(&extents, START, LAYOUT_BLOCK + 1));
    assert_int_equal(-EINVAL, extents_take(&extents, START - LAYOUT_BLOCK, LAYOUT_BLOCK));
    assert_int_equal(-EINVAL, extents_take(&extents, end, LAYOUT_BLOCK));
    assert_int_equal(-EINVAL, extents_take(&extents, end - LAYOUT_BLOCK, 2 * LAYOUT_BLOCK));
    assert_int_equal(-EINVAL,
                     extents_take(&extents, START, UINT64_MAX / LAYOUT_BLOCK * LAYOUT_BLOCK));
    assert_int_equal(
        -EINVAL, extents_take(&extents, UINT64_MAX / LAYOUT_BLOCK * LAYOUT_BLOCK, LAYOUT_BLOCK));
    assert_int_equal(0, take(10, 10));
    assert_int_equal(-EEXIST, take(10, 10));
    assert_int_equal(-EEXIST, take(5, 6));
    assert_int_equal(-EEXIST, take(19, 2));
    assert_int_equal(-EEXIST, take(0, BLOCKS));
    assert_int_equal(0, take(0, 10));
    assert_int_equal(0, take(20, BLOCKS - 20));
    assert_int_equal(0, extents.free_bytes);
    assert_int_equal(-EEXIST, take(0, 1));
}

/* Everything that the extents say, against the flags. */
static void compare(void)
{
    uint64_t free_blocks = 0, run = 0, largest = 0, runs = 0, start = BLOCKS;

    for (int i = 0; i < BLOCKS; i++) {
        run = taken[i] ? 0 : run + 1;
        runs += run == 1;
        free_blocks += !taken[i];
        largest = run > largest ? run : largest;
    }
    while (start > 0 && !taken[start - 1])
        start--;
    assert_int_equal(free_blocks * LAYOUT_BLOCK, extents.free_bytes);
    assert_int_equal(largest * LAYOUT_BLOCK, extents_largest(&extents));
    assert_int_equal(START + start * LAYOUT_BLOCK, extents_free_start(&extents));
    assert_int_equal(runs, extents.count);
    for (size_t i = 0; i < extents.count; i++) {
        uint64_t at = (extents.free[i].offset - START) / LAYOUT_BLOCK;
        uint64_t blocks = extents.free[i].size / LAYOUT_BLOCK;

        assert_true(at == 0 || taken[at - 1]);
        assert_true(at + blocks == BLOCKS || taken[at + blocks]);
        while (blocks--)
            assert_false(taken[at + blocks]);
    }
}

static bool is_free(uint64_t at, uint64_t blocks)
{
    for (uint64_t i = at; i < at + blocks; i++)
        if (taken[i])
            return false;
    return true;
}

static void like_a_bitmap(void **state)
{
    struct {
        uint64_t at, blocks;
    } rings[RINGS];
    uint64_t random = random_start();
    unsigned count = 0;

    (void)state;
    for (int turn = 0; turn < 20000; turn++) {
        uint64_t blocks = 1 + random_below(&random, random_below(&random, 8) ? 6 : 60), offset;
        unsigned action = random_below(&random, 4);

        if (action < 2 && count) {
            unsigned which = random_below(&random, count);

            give_back(rings[which].at, rings[which].blocks);
            memset(taken + rings[which].at, 0, rings[which].blocks);
            rings[which] = rings[--count];
        } else if (action == 2 && count < RINGS) {
            uint64_t largest = extents_largest(&extents);
            int r = extents_place(&extents, blocks * LAYOUT_BLOCK, &offset);

            assert_int_equal(largest >= blocks * LAYOUT_BLOCK ? 0 : -ENOSPC, r);
            if (r == 0)
                rings[count++].blocks = blocks,
                rings[count - 1].at = (offset - START) / LAYOUT_BLOCK;
        } else if (count < RINGS) {
            uint64_t at = random_below(&random, (unsigned)(BLOCKS - blocks));
            int r = take(at, blocks);

            assert_int_equal(is_free(at, blocks) ? 0 : -EEXIST, r);
            if (r == 0)
                rings[count++].blocks = blocks, rings[count - 1].at = at;
        }
        if (count && is_free(rings[count - 1].at, rings[count - 1].blocks))
            memset(taken + rings[count - 1].at, 1, rings[count - 1].blocks);
        compare();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(smallest_that_fits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(merges_with_both_neighbours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(like_a_bitmap, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
