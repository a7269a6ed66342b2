/* SPDX-License-Identifier: MIT
 *
 * The client's input: the first byte says in pieces of which size the rest arrives, and how many
 * commands are taken after each piece. Whatever the pieces, the commands are those between the
 * separators, and each is understood or refused.
 */
#include "client/shell/arguments.h"
#include "client/shell/lines.h"
#include "client/shell/words.h"
#include "tests/fuzz/fuzz.h"

/* The command that begins at @at, as one would find it with all input at hand. */
static size_t command_length(const uint8_t *data, size_t size, size_t at)
{
    size_t end = at;

    while (end < size && data[end] != '\n' && data[end] != '\r' && data[end] != ';')
        end++;
    return end - at;
}

/* A command is understood, or refused with a reason; its words stay inside its text. */
static void check_command(const char *text, size_t length)
{
    struct failure failure = {.text = ""};
    struct arguments given = {.command = NULL};
    struct words words;
    int r = words_split(&words, text, &failure);
    size_t total = 0;

    REQUIRE(r == 0 || failure.text[0]);
    for (int i = 0; r == 0 && i < words.count; i++)
        total += strlen(words.list[i]);
    REQUIRE(total <= length);
    if (r == 0 && words.count) {
        r = arguments_parse(&given, words.count, words.list, &failure);
        REQUIRE(r == 0 ? given.command && given.command->run && given.count >= 0
                       : failure.text[0] != '\0');
    }
    words_deinit(&words);
}

/* Takes up to @most commands, and looks at the next without taking it. Return: where the next
 * command begins. */
static size_t take_commands(struct lines *lines, const uint8_t *data, size_t size, size_t at,
                            size_t most)
{
    const char *text, *again;
    size_t length, same;

    for (; lines_peek(lines, &text, &length); most--) {
        REQUIRE(text && at <= size && length == command_length(data, size, at));
        REQUIRE(memcmp(text, data + at, length) == 0 && text[length] == '\0');
        REQUIRE(lines_peek(lines, &again, &same) && again == text && same == length);
        check_command(text, length);
        if (!most)
            break;
        lines_drop(lines);
        at += length + 1;
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lines lines = {.data = NULL};
    size_t piece, most, at = 0;

    if (size < 1)
        return 0;
    piece = 1 + data[0] % 64;
    most = data[0] / 64; /* after each piece; the rest at the end */
    data++;
    size--;
    for (size_t fed = 0; fed < size;) {
        size_t count = size - fed < piece ? size - fed : piece;

        REQUIRE(lines_feed(&lines, (const char *)data + fed, count) == 0);
        fed += count;
        at = take_commands(&lines, data, size, at, most);
    }
    lines_end(&lines);
    at = take_commands(&lines, data, size, at, SIZE_MAX);
    REQUIRE(at >= size); /* every byte was part of a command, or behind one */
    lines_deinit(&lines);
    return 0;
}
