/* SPDX-License-Identifier: MIT
 *
 * The eight bytes of a message.
 */
#include "tests/unit/unit.h"

#include "common/wire.h"

static void layout(void **state)
{
    static const struct {
        int64_t value;
        uint8_t bytes[WIRE_SIZE];
    } known[] = {
        {WIRE_VERSION, {0, 0, 0, 0, 0, 0, 0, 0}},
        {WIRE_MEMORY, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {WIRE_REFUSED, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        {WIRE_ID_MAX, {0xff, 0xff, 0, 0, 0, 0, 0, 0}},
        {INT64_C(0x0102030405060708), {8, 7, 6, 5, 4, 3, 2, 1}},
        {INT64_MAX, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
        {INT64_MIN, {0, 0, 0, 0, 0, 0, 0, 0x80}},
    };
    uint8_t bytes[WIRE_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        wire_encode(bytes, known[i].value);
        assert_memory_equal(known[i].bytes, bytes, WIRE_SIZE);
        assert_true(wire_decode(known[i].bytes) == known[i].value);
    }
}

static void there_and_back(void **state)
{
    uint64_t seed = random_start();
    uint8_t room[WIRE_SIZE + 2] = {0xa5};

    (void)state;
    room[WIRE_SIZE + 1] = 0x5a;
    for (int i = 0; i < 10000; i++) {
        int64_t value = (int64_t)random_next(&seed);

        wire_encode(room + 1, value); /* at any address: messages stand in byte arrays */
        assert_true(wire_decode(room + 1) == value);
        assert_int_equal(0xa5, room[0]);
        assert_int_equal(0x5a, room[WIRE_SIZE + 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),
        cmocka_unit_test(there_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
