/* SPDX-License-Identifier: MIT
 *
 * CRC32C: known values, and that instruction, tables and the definition agree.
 */
#include "tests/unit/unit.h"

#include "common/crc32c.h"

enum { ROOM = 8192 };

/* The definition, bit by bit. */
static uint32_t slow(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_C(0xffffffff);

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static void known(void **state)
{
    uint8_t bytes[32];

    (void)state;
    assert_int_equal(0, crc32c(0, "", 0));
    assert_int_equal(0xe3069283, crc32c(0, "123456789", 9));
    assert_int_equal(0xe3069283, crc32c(crc32c(0, "1234", 4), "56789", 5));
    memset(bytes, 0, sizeof(bytes)); /* RFC 3720, B.4 */
    assert_int_equal(0x8a9136aa, crc32c(0, bytes, sizeof(bytes)));
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(0x62a8ab43, crc32c(0, bytes, sizeof(bytes)));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(0x46dd794e, crc32c(0, bytes, sizeof(bytes)));
}

/* Any size, any alignment, in one go and in two: the same number, and nothing beyond is touched. */
static void agree(void **state)
{
    static uint8_t from[ROOM + 16], to[ROOM + 16], before[ROOM + 16];
    uint64_t dice = random_start();

    (void)state;
    for (size_t i = 0; i < sizeof(from); i++) {
        from[i] = (uint8_t)random_next(&dice);
        before[i] = (uint8_t)random_next(&dice);
    }
    for (unsigned round = 0; round < 1500; round++) {
        size_t size = round < 300 ? round : random_below(&dice, ROOM + 1);
        size_t at = random_below(&dice, 8), put = random_below(&dice, 8);
        size_t first = random_below(&dice, (unsigned)size + 1);
        uint32_t right = slow(from + at, size);

        assert_int_equal(right, crc32c(0, from + at, size));
        assert_int_equal(right, crc32c_copy_table(0, NULL, from + at, size));
        assert_int_equal(right,
                         crc32c(crc32c(0, from + at, first), from + at + first, size - first));
        for (int table = 0; table < 2; table++) {
            memcpy(to, before, sizeof(to));
            assert_int_equal(right, table ? crc32c_copy_table(0, to + put, from + at, size)
                                          : crc32c_copy(0, to + put, from + at, size));
            assert_memory_equal(to, before, put);
            assert_memory_equal(to + put, from + at, size);
            assert_memory_equal(to + put + size, before + put + size, sizeof(to) - put - size);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known),
        cmocka_unit_test(agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
