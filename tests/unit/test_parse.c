/* SPDX-License-Identifier: MIT
 *
 * Numbers and sizes: what is accepted, what is not, and exactly which value comes out.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <inttypes.h>

#include "common/parse.h"

#define KIB   UINT64_C(1024)
#define UNSET UINT64_C(0x5ca1ab1e) /* what stands in the result where nothing was written */

static void unsigned_good(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"0", 0},
        {"7", 7},
        {"007", 7},
        {"65535", 65535},
        {"0x0", 0},
        {"0xff", 255},
        {"0XfF", 255},
        {"18446744073709551615", UINT64_MAX},
        {"0xffffffffffffffff", UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t value = UNSET;

        assert_int_equal(0, parse_unsigned(good[i].text, 0, UINT64_MAX, &value));
        assert_true(value == good[i].value);
    }
}

static void unsigned_bad(void **state)
{
    static const char *const bad[] = {"",    " ",   "-1",  "+1", " 1",  "1 ", "1a",
                                      "a",   "0x",  "0xg", "x1", "1.0", "1k", "1e3",
                                      "0b1", "--1", "1\n", ".",  "0x 1"};
    uint64_t value = UNSET;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(-EINVAL, parse_unsigned(bad[i], 0, UINT64_MAX, &value));
    assert_int_equal(-ERANGE, parse_unsigned("18446744073709551616", 0, UINT64_MAX, &value));
    assert_int_equal(-ERANGE, parse_unsigned("0x10000000000000000", 0, UINT64_MAX, &value));
    assert_int_equal(-ERANGE, parse_unsigned("99999999999999999999999", 0, UINT64_MAX, &value));
    assert_true(value == UNSET);
}

static void unsigned_range(void **state)
{
    uint64_t value = UNSET;

    (void)state;
    assert_int_equal(-ERANGE, parse_unsigned("0", 1, 2048, &value));
    assert_int_equal(-ERANGE, parse_unsigned("2049", 1, 2048, &value));
    assert_true(value == UNSET);
    assert_int_equal(0, parse_unsigned("1", 1, 2048, &value));
    assert_int_equal(1, value);
    assert_int_equal(0, parse_unsigned("2048", 1, 2048, &value));
    assert_int_equal(2048, value);
}

static void size_good(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {"4096", 4096},
        {"0x400000", 0x400000},
        {"4194304", 4 * KIB * KIB},
        {"4M", 4 * KIB * KIB},
        {"4m", 4 * KIB * KIB},
        {"7b", 7},
        {"7B", 7},
        {"1k", KIB},
        {"1K", KIB},
        {"1g", KIB * KIB * KIB},
        {"1T", KIB * KIB * KIB * KIB},
        {"1P", KIB * KIB * KIB * KIB * KIB},
        {"7E", 7 * KIB * KIB * KIB * KIB * KIB * KIB},
        {"1.5M", 1536 * KIB},
        {"0.5k", 512},
        {"1.0", 1}, /* a fraction of nothing */
        {"1.00k", KIB},
        {"0.0001k", 0},
        {"1.999k", 2046},             /* 2046.976 */
        {"0.000000000000000001E", 1}, /* the eighteenth digit still counts: 1.15 bytes */
        {"0.0000000000000000009E", 0},
        {"1.5000000000000000000000000000000001k", 1536},
        {"0x10k", 16 * KIB},
        {"0x1b", 0x1b}, /* digits, not units */
        {"0xE", 14},
        {"9223372036854775807", INT64_MAX},
        {"0x7fffffffffffffff", INT64_MAX},
        {"7.999999999999999999E", INT64_MAX - 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t value = UNSET;

        if (parse_size(good[i].text, &value) != 0 || value != good[i].value)
            fail_msg("\"%s\" is %" PRIu64 ", not %" PRIu64, good[i].text, value, good[i].value);
    }
}

static void size_bad(void **state)
{
    static const struct {
        const char *text;
        int error;
    } bad[] = {
        {"", -EINVAL},
        {"M", -EINVAL},
        {"-1", -EINVAL},
        {"+1", -EINVAL},
        {" 1", -EINVAL},
        {"1 ", -EINVAL},
        {"1 M", -EINVAL},
        {"1MM", -EINVAL},
        {"1MB", -EINVAL},
        {"1KiB", -EINVAL},
        {"1x", -EINVAL},
        {"1.", -EINVAL},
        {"1.M", -EINVAL},
        {".5M", -EINVAL},
        {"1.5", -EINVAL},
        {"1.5b", -EINVAL},
        {"1..5M", -EINVAL},
        {"1.5.5M", -EINVAL},
        {"0x", -EINVAL},
        {"0xM", -EINVAL},
        {"0x1.8M", -EINVAL},
        {"1,5M", -EINVAL},
        {"nan", -EINVAL},
        {"inf", -EINVAL},
        {"1e3", -EINVAL},
        {"4M\n", -EINVAL},
        {"4\xb5", -EINVAL},
        {"8E", -ERANGE},
        {"16E", -ERANGE},
        {"18446744073709551616", -ERANGE},
        {"9223372036854775808", -ERANGE},
        {"18446744073709551615E", -ERANGE},
        {"0x8000000000000000", -ERANGE},
        {"99999999999999999999999E", -ERANGE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t value = UNSET;
        int r = parse_size(bad[i].text, &value);

        if (r != bad[i].error || value != UNSET)
            fail_msg("\"%s\" gives %d (%" PRIu64 ")", bad[i].text, r, value);
    }
}

/* Whole numbers and fractions in binary steps, where a long double is exact. */
static void size_random(void **state)
{
    static const char units[] = "bkmgtpe";
    uint64_t seed = random_start();

    (void)state;
    for (int i = 0; i < 20000; i++) {
        unsigned unit = random_below(&seed, 7), eighths = unit ? random_below(&seed, 8) : 0;
        uint64_t whole = random_next(&seed) >> random_below(&seed, 64), value = UNSET;
        long double exact =
            ((long double)whole + eighths / 8.0L) * (long double)(UINT64_C(1) << 10 * unit);
        char text[64];
        int r;

        snprintf(text, sizeof(text), "%" PRIu64 ".%03u%c", whole, eighths * 125, units[unit]);
        r = parse_size(text, &value);
        if (exact >= 0x1p63L ? r != -ERANGE || value != UNSET : r != 0 || value != (uint64_t)exact)
            fail_msg("\"%s\" gives %d, %" PRIu64, text, r, value);
    }
}

static void powers_of_two(void **state)
{
    const uint64_t largest = UINT64_C(1) << 62;
    uint64_t power = UNSET;

    (void)state;
    assert_false(is_power_of_two(0));
    assert_false(is_power_of_two(3 * KIB * KIB));
    assert_int_equal(0, round_up_power_of_two(1, &power));
    assert_int_equal(1, power);
    for (unsigned shift = 1; shift < 62; shift++) {
        uint64_t exact = UINT64_C(1) << shift;

        assert_true(is_power_of_two(exact));
        assert_int_equal(0, round_up_power_of_two(exact, &power));
        assert_true(power == exact);
        assert_int_equal(0, round_up_power_of_two(exact + 1, &power));
        assert_true(power == 2 * exact);
        assert_int_equal(0, round_up_power_of_two(exact / 2 + 1, &power));
        assert_true(power == exact);
    }
    assert_int_equal(0, round_up_power_of_two(largest, &power));
    assert_true(power == largest);
    assert_int_equal(-ERANGE, round_up_power_of_two(largest + 1, &power));
    assert_int_equal(-ERANGE, round_up_power_of_two(UINT64_MAX, &power));
    assert_true(power == largest);
}

static void absolute_paths(void **state)
{
    char *here = getcwd(NULL, 0), *path = absolute_path("a/b"), *expected;

    (void)state;
    assert_non_null(here);
    assert_true(asprintf(&expected, "%s/a/b", here) > 0);
    assert_string_equal(expected, path);
    free(path);
    free(expected);
    free(here);
    path = absolute_path("/a/../b");
    assert_string_equal("/a/../b", path);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsigned_good),  cmocka_unit_test(unsigned_bad),
        cmocka_unit_test(unsigned_range), cmocka_unit_test(size_good),
        cmocka_unit_test(size_bad),       cmocka_unit_test(size_random),
        cmocka_unit_test(powers_of_two),  cmocka_unit_test(absolute_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
