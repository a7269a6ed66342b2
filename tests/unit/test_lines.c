/* SPDX-License-Identifier: MIT
 *
 * Input cut into commands, in pieces of every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/shell/lines.h"

static void feed(struct lines *lines, const char *text)
{
    assert_int_equal(0, lines_feed(lines, text, strlen(text)));
}

/* Takes the next command, which must be this one. */
static void take(struct lines *lines, const char *expected)
{
    const char *text;
    size_t length;

    assert_true(lines_peek(lines, &text, &length));
    assert_string_equal(expected, text);
    assert_int_equal(strlen(expected), length);
    assert_true(lines_peek(lines, &text, &length)); /* it stays until it is dropped */
    assert_string_equal(expected, text);
    lines_drop(lines);
}

static void nothing(struct lines *lines)
{
    const char *text;
    size_t length;

    assert_false(lines_peek(lines, &text, &length));
}

static void separators(void **state)
{
    struct lines lines = {.data = NULL};

    (void)state;
    nothing(&lines);
    feed(&lines, "dump\nint 0 0;int all\r\n;;last");
    take(&lines, "dump");
    take(&lines, "int 0 0");
    take(&lines, "int all");
    take(&lines, "");
    take(&lines, "");
    take(&lines, "");
    nothing(&lines);
    lines_end(&lines);
    take(&lines, "last");
    nothing(&lines);
    lines_deinit(&lines);
}

static void end_without_input(void **state)
{
    struct lines lines = {.data = NULL};

    (void)state;
    lines_end(&lines);
    nothing(&lines);
    lines_deinit(&lines);
    feed(&lines, "dump\n");
    take(&lines, "dump");
    lines_end(&lines);
    nothing(&lines); /* a newline at the end begins no empty command */
    lines_deinit(&lines);
}

static void in_pieces_of_every_size(void **state)
{
    static const char text[] = "dump\nint 12 34;\n\nhelp;quit";

    (void)state;
    for (size_t piece = 1; piece <= sizeof(text); piece++) {
        struct lines lines = {.data = NULL};
        char seen[sizeof(text) + 8] = "";

        for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
            size_t rest = sizeof(text) - 1 - at, length;
            const char *command;

            assert_int_equal(0, lines_feed(&lines, text + at, rest < piece ? rest : piece));
            if (at + piece >= sizeof(text) - 1)
                lines_end(&lines);
            while (lines_peek(&lines, &command, &length)) {
                strcat(seen, command);
                strcat(seen, "|");
                lines_drop(&lines);
            }
        }
        assert_string_equal("dump|int 12 34|||help|quit|", seen);
        lines_deinit(&lines);
    }
}

static void fed_while_a_command_waits(void **state)
{
    struct lines lines = {.data = NULL};
    const char *text;
    size_t length;

    (void)state;
    feed(&lines, "first\nsecond\nth");
    take(&lines, "first");
    assert_true(lines_peek(&lines, &text, &length));
    feed(&lines, "ird\n");
    take(&lines, "second");
    take(&lines, "third");
    nothing(&lines);
    lines_deinit(&lines);
}

static void nul_bytes(void **state)
{
    struct lines lines = {.data = NULL};
    const char *text;
    size_t length;

    (void)state;
    assert_int_equal(0, lines_feed(&lines, "int\0all\ndump\n", 13));
    assert_true(lines_peek(&lines, &text, &length));
    assert_int_equal(7, length);
    assert_memory_equal("int\0all", text, 8);
    lines_drop(&lines);
    take(&lines, "dump");
    lines_deinit(&lines);
}

static void long_command(void **state)
{
    struct lines lines = {.data = NULL};
    enum { SIZE = 1000000 };
    char *word = malloc(SIZE + 1);

    (void)state;
    assert_non_null(word);
    memset(word, 'x', SIZE);
    word[SIZE] = '\0';
    for (size_t at = 0; at < SIZE; at += 1000)
        assert_int_equal(0, lines_feed(&lines, word + at, 1000));
    nothing(&lines);
    feed(&lines, "\ndump\n");
    take(&lines, word);
    take(&lines, "dump");
    lines_deinit(&lines);
    free(word);
}

static void too_long_command(void **state)
{
    static char chunk[65536];
    struct lines lines = {.data = NULL};
    const char *text;
    size_t length;

    (void)state;
    for (size_t fed = 0; fed <= 3 * (size_t)LINES_MAX; fed += sizeof(chunk)) {
        assert_int_equal(0, lines_feed(&lines, chunk, sizeof(chunk)));
        nothing(&lines);
        assert_true(lines.room <= 4 * (size_t)LINES_MAX);
    }
    feed(&lines, "\ndump\n");
    assert_true(lines_peek(&lines, &text, &length));
    assert_null(text);
    lines_drop(&lines);
    take(&lines, "dump");

    for (size_t fed = 0; fed <= (size_t)LINES_MAX; fed += sizeof(chunk))
        assert_int_equal(0, lines_feed(&lines, chunk, sizeof(chunk)));
    nothing(&lines);
    lines_end(&lines);
    assert_true(lines_peek(&lines, &text, &length));
    assert_null(text);
    lines_drop(&lines);
    nothing(&lines);
    lines_deinit(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(separators),
        cmocka_unit_test(end_without_input),
        cmocka_unit_test(in_pieces_of_every_size),
        cmocka_unit_test(fed_while_a_command_waits),
        cmocka_unit_test(nul_bytes),
        cmocka_unit_test(long_command),
        cmocka_unit_test(too_long_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
