/* SPDX-License-Identifier: MIT
 *
 * See parse.h. Digits are read one by one: strtoull() would accept signs, spaces and other
 * locales, and a double has not enough bits for a size.
 */
#include "common/parse.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SIZE_LIMIT ((uint64_t)INT64_MAX)

static int digit_value(char digit, unsigned base)
{
    unsigned value;

    if (digit >= '0' && digit <= '9')
        value = (unsigned)(digit - '0');
    else if (digit >= 'a' && digit <= 'f')
        value = (unsigned)(digit - 'a') + 10;
    else if (digit >= 'A' && digit <= 'F')
        value = (unsigned)(digit - 'A') + 10;
    else
        return -1;
    return value < base ? (int)value : -1;
}

/* Reads digits up to the first other character; sets *end to it. -EINVAL when there is no digit. */
static int parse_digits(const char *text, unsigned base, uint64_t *out, const char **end)
{
    const char *at = text;
    uint64_t sum = 0;
    int digit;

    for (; (digit = digit_value(*at, base)) >= 0; at++)
        if (__builtin_mul_overflow(sum, base, &sum) ||
            __builtin_add_overflow(sum, (unsigned)digit, &sum))
            return -ERANGE;
    if (at == text)
        return -EINVAL;
    *out = sum;
    *end = at;
    return 0;
}

static unsigned number_base(const char **text)
{
    if ((*text)[0] != '0' || ((*text)[1] != 'x' && (*text)[1] != 'X'))
        return 10;
    *text += 2;
    return 16;
}

int parse_unsigned(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    unsigned base = number_base(&text);
    const char *end;
    uint64_t value;
    int r = parse_digits(text, base, &value, &end);

    if (r < 0)
        return r;
    if (*end)
        return -EINVAL;
    if (value < min || value > max)
        return -ERANGE;
    *out = value;
    return 0;
}

/* Reads ".25" as 25/100. Digits past the eighteenth are below a byte in any unit: checked only. */
static int parse_fraction(const char **at, uint64_t *numerator, uint64_t *denominator)
{
    const char *digits = *at + 1;
    int digit;

    *numerator = 0;
    *denominator = 1;
    for (*at = digits; (digit = digit_value(**at, 10)) >= 0; (*at)++)
        if (*at - digits < 18) {
            *numerator = *numerator * 10 + (unsigned)digit;
            *denominator *= 10;
        }
    return *at == digits ? -EINVAL : 0;
}

static int parse_unit(const char *text, unsigned *shift)
{
    static const char units[] = "bkmgtpe";
    const char *unit;
    char letter;

    *shift = 0;
    if (!*text)
        return 0;
    letter = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
    unit = strchr(units, letter);
    if (!unit || text[1])
        return -EINVAL;
    *shift = 10 * (unsigned)(unit - units);
    return 0;
}

int parse_size(const char *text, uint64_t *out)
{
    unsigned base = number_base(&text), shift;
    uint64_t whole, numerator = 0, denominator = 1;
    unsigned __int128 size;
    int r, fraction = 0;

    r = parse_digits(text, base, &whole, &text);
    if (r < 0)
        return r;
    if (*text == '.' && base == 10) {
        fraction = 1;
        r = parse_fraction(&text, &numerator, &denominator);
        if (r < 0)
            return r;
    }
    r = parse_unit(text, &shift);
    if (r < 0)
        return r;
    if (fraction && !shift && numerator)
        return -EINVAL;
    size =
        ((unsigned __int128)whole << shift) + ((unsigned __int128)numerator << shift) / denominator;
    if (size > SIZE_LIMIT)
        return -ERANGE;
    *out = (uint64_t)size;
    return 0;
}

int round_up_power_of_two(uint64_t size, uint64_t *out)
{
    uint64_t power = 1;

    while (power < size) {
        if (power > SIZE_LIMIT / 2)
            return -ERANGE;
        power *= 2;
    }
    *out = power;
    return 0;
}

char *absolute_path(const char *path)
{
    char here[PATH_MAX], *absolute;

    if (*path == '/')
        return strdup(path);
    if (!getcwd(here, sizeof(here)) || asprintf(&absolute, "%s/%s", here, path) < 0)
        return NULL;
    return absolute;
}
