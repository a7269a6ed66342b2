/* SPDX-License-Identifier: MIT
 *
 * The commands peek and poke: words of 8 to 64 bits, each access atomic. The library has words of
 * 32 and 64 bits; smaller ones are changed within the one of 32 bits that they are in.
 */
#include <errno.h>
#include <string.h>

#include "client/shell/tool.h"

enum { DEFAULT_BITS = 32, WHOLE = 4 };

struct word {
    uint64_t offset;
    unsigned bytes;
};

static uint64_t limit(unsigned bytes)
{
    return bytes == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * bytes) - 1;
}

static unsigned width_of(const struct arguments *given)
{
    return (unsigned)(given->width == NOT_GIVEN ? DEFAULT_BITS : given->width) / 8;
}

/* A small word within a whole one, as it lies in memory. */
static uint32_t take_part(uint32_t whole, const struct word *word)
{
    uint8_t bytes[WHOLE];
    uint16_t two;

    memcpy(bytes, &whole, WHOLE);
    memcpy(&two, bytes + word->offset % WHOLE / 2 * 2, sizeof(two));
    return word->bytes == 2 ? two : bytes[word->offset % WHOLE];
}

static uint32_t put_part(uint32_t whole, const struct word *word, uint64_t value)
{
    uint8_t bytes[WHOLE], one = (uint8_t)value;
    uint16_t two = (uint16_t)value;

    memcpy(bytes, &whole, WHOLE);
    memcpy(bytes + word->offset % WHOLE, word->bytes == 2 ? (void *)&two : (void *)&one,
           word->bytes);
    memcpy(&whole, bytes, WHOLE);
    return whole;
}

static int load(struct tool *tool, const struct word *word, uint64_t *value)
{
    uint32_t whole = 0;
    int r;

    if (word->bytes == 8)
        return ivshmem_load64(tool->iv, word->offset, value);
    r = ivshmem_load32(tool->iv, word->offset / WHOLE * WHOLE, &whole);
    *value = word->bytes == WHOLE ? whole : take_part(whole, word);
    return r;
}

/* Return: 1 if the word was exchanged, 0 if it was not what it should be, or a negative errno. */
static int exchange(struct tool *tool, const struct word *word, uint64_t *expected, uint64_t value)
{
    uint64_t whole_at = word->offset / WHOLE * WHOLE;
    uint32_t whole = (uint32_t)*expected;
    int r;

    if (word->bytes == 8)
        return ivshmem_compare_exchange64(tool->iv, word->offset, expected, value);
    r = word->bytes == WHOLE ? 0 : ivshmem_load32(tool->iv, whole_at, &whole);
    do {
        uint32_t wanted = (uint32_t)value;

        if (r < 0)
            return r;
        if (word->bytes < WHOLE) {
            if (take_part(whole, word) != *expected) {
                *expected = take_part(whole, word);
                return 0;
            }
            wanted = put_part(whole, word, value);
        }
        r = ivshmem_compare_exchange32(tool->iv, whole_at, &whole, wanted);
    } while (r == 0 && word->bytes < WHOLE); /* a neighbour changed: try again */
    if (word->bytes == WHOLE)
        *expected = whole;
    return r;
}

static int check_word(struct arguments *given, struct failure *failure)
{
    struct word word = {.bytes = width_of(given)};
    int r = argument_size(given->words[0], "the offset", &word.offset, failure);
    uint64_t value;

    if (r < 0)
        return r;
    if (given->width != NOT_GIVEN && given->width != 8 && given->width != 16 &&
        given->width != 32 && given->width != 64)
        return failure_set(failure, EINVAL, "a word has 8, 16, 32 or 64 bits");
    if (word.offset % word.bytes)
        return failure_set(failure, EINVAL, "offset %s is no multiple of the word's %u bytes",
                           given->words[0], word.bytes);
    if (given->add && given->compares)
        return failure_set(failure, EINVAL, "--add and --cas exclude each other");
    if (given->expected > limit(word.bytes))
        return failure_set(failure, EINVAL, "--cas: a word of %u bits is never that",
                           8 * word.bytes);
    return given->count > 1
               ? argument_number(given->words[1], "the value", limit(word.bytes), &value, failure)
               : 0;
}

static void say_word(struct tool *tool, const struct word *word, const char *name, uint64_t value)
{
    cJSON *object = emit_object("offset", word->offset);
    char text[24];

    emit_add(object, name, value);
    snprintf(text, sizeof(text), "0x%0*llx", (int)(2 * word->bytes), (unsigned long long)value);
    cJSON_AddStringToObject(object, "hex", text);
    emit(&tool->emit, object, "{hex}\n");
}

static int run_peek(struct tool *tool, struct arguments *given)
{
    struct word word = {.bytes = width_of(given)};
    uint64_t times = given->times == NOT_GIVEN ? 1 : given->times;

    argument_size(given->words[0], "", &word.offset, NULL);
    for (; times; times--, word.offset += word.bytes) {
        uint64_t value = 0;
        int r = load(tool, &word, &value);

        if (r < 0)
            return tool_lost(tool, r);
        say_word(tool, &word, "value", value);
    }
    return STATUS_DONE;
}

static int run_poke(struct tool *tool, struct arguments *given)
{
    struct word word = {.bytes = width_of(given)};
    uint64_t value = 0, before = given->expected;
    int r = 0;

    argument_size(given->words[0], "", &word.offset, NULL);
    argument_number(given->words[1], "", UINT64_MAX, &value, NULL);
    if (given->compares) {
        r = exchange(tool, &word, &before, value);
    } else {
        r = load(tool, &word, &before);
        while (r >= 0 &&
               (r = exchange(tool, &word, &before,
                             given->add ? (before + value) & limit(word.bytes) : value)) == 0)
            ;
    }
    if (r < 0)
        return tool_lost(tool, r);
    if (r == 0)
        return emit_error(&tool->emit, STATUS_REFUSED, "the word is 0x%llx, so it was left alone",
                          (unsigned long long)before);
    say_word(tool, &word, "before", before);
    return STATUS_DONE;
}

static const struct option_spec peek_options[] = {
    {"width", 'w', "BITS", "8, 16, 32 or 64 [32]", argument_set_number, ARGUMENT(width), 0},
    {"count", 'n', "N", "so many words in a row [1]", argument_set_count, ARGUMENT(times), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

static const struct option_spec poke_options[] = {
    {"width", 'w', "BITS", "8, 16, 32 or 64 [32]", argument_set_number, ARGUMENT(width), 0},
    {"add", 'a', NULL, "add the value to the word", option_set_switch, ARGUMENT(add), 0},
    {"cas", 'c', "EXPECTED", "only if the word is EXPECTED; else the exit\nstatus is 5",
     argument_set_expected, 0, 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

const struct command word_commands[] = {
    {
        .name = "peek",
        .forms = {{"<offset>", "print a word of the memory"}},
        .options = peek_options,
        .needs = NEEDS_MEMORY,
        .least = 1,
        .most = 1,
        .check = check_word,
        .run = run_peek,
    },
    {
        .name = "poke",
        .forms = {{"<offset> <value>", "change a word of the memory; prints what it was"}},
        .details = "Words are in the byte order of this machine, and changed atomically.",
        .options = poke_options,
        .needs = NEEDS_MEMORY,
        .least = 2,
        .most = 2,
        .check = check_word,
        .run = run_poke,
    },
    {.name = NULL},
};
