/* SPDX-License-Identifier: MIT
 *
 * Numbers and sizes: the bytes are the text.
 */
#include <errno.h>
#include <inttypes.h>

#include "common/parse.h"
#include "tests/fuzz/fuzz.h"

#define UNSET UINT64_C(0x5ca1ab1e)

/* A number that was read can be written and read again, and stays what it is. */
static void check_number(const char *text)
{
    uint64_t value = UNSET, again = UNSET;
    char decimal[32];
    int r = parse_unsigned(text, 0, UINT64_MAX, &value);

    REQUIRE(r == 0 || ((r == -EINVAL || r == -ERANGE) && value == UNSET));
    if (r < 0)
        return;
    REQUIRE(text[0] >= '0' && text[0] <= '9');
    snprintf(decimal, sizeof(decimal), "%" PRIu64, value);
    REQUIRE(parse_unsigned(decimal, value, value, &again) == 0 && again == value);
    if (value)
        REQUIRE(parse_unsigned(text, 0, value - 1, &again) == -ERANGE && again == value);
}

/* A fraction stays below the next whole unit. */
static void check_fraction(const char *text, uint64_t value)
{
    static const char units[] = "bkmgtpe";
    const char *dot = strchr(text, '.');
    char digits[32] = "", unit = text[strlen(text) - 1];
    uint64_t whole;

    if (!dot || (size_t)(dot - text) >= sizeof(digits))
        return;
    memcpy(digits, text, (size_t)(dot - text));
    unit = (char)(unit >= 'A' && unit <= 'Z' ? unit - 'A' + 'a' : unit);
    REQUIRE(parse_unsigned(digits, 0, INT64_MAX, &whole) == 0);
    if (strchr(units, unit))
        REQUIRE(value >> 10 * (strchr(units, unit) - units) == whole);
    else
        REQUIRE(value == whole);
}

/* The same for a size; one that is a number is the same number. */
static void check_size(const char *text)
{
    uint64_t value = UNSET, again = UNSET, power = UNSET;
    char decimal[32];
    int r = parse_size(text, &value);

    REQUIRE(r == 0 || ((r == -EINVAL || r == -ERANGE) && value == UNSET));
    if (parse_unsigned(text, 0, INT64_MAX, &again) == 0)
        REQUIRE(r == 0 && again == value);
    if (r < 0)
        return;
    REQUIRE(value <= INT64_MAX);
    check_fraction(text, value);
    snprintf(decimal, sizeof(decimal), "%" PRIu64 "b", value);
    REQUIRE(parse_size(decimal, &again) == 0 && again == value);
    r = value ? round_up_power_of_two(value, &power) : -ERANGE;
    if (r == 0)
        REQUIRE(is_power_of_two(power) && power <= INT64_MAX && power >= value &&
                power / 2 < value);
    else
        REQUIRE(r == -ERANGE && power == UNSET && (!value || value > INT64_MAX / 2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = copy_text(data, size);

    check_number(text);
    check_size(text);
    free(text);
    return 0;
}
