/* SPDX-License-Identifier: MIT
 *
 * Which text is which command, and with which numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/shell/commands.h"

static const struct command *find(const char *text, uint64_t *numbers)
{
    return command_find(text, strlen(text), numbers);
}

static void is(const char *text, const char *form)
{
    uint64_t numbers[COMMAND_NUMBERS_MAX];

    assert_string_equal(form, find(text, numbers)->form);
}

static void forms(void **state)
{
    (void)state;
    is("dump", "dump");
    is("  dump\t ", "dump");
    is("int all", "int all");
    is("int  3\tall ", "int <peer> all");
    is("int 3 4", "int <peer> <vector>");
    is("help", "help");
    is("?", "?");
    is("quit", "quit");
    is("exit", "exit");
}

static void numbers_of(void **state)
{
    uint64_t numbers[COMMAND_NUMBERS_MAX] = {0};

    (void)state;
    assert_true(find("int 65535 2047", numbers)->needs_peers);
    assert_int_equal(65535, numbers[0]);
    assert_int_equal(2047, numbers[1]);
    find("int 18446744073709551615 007", numbers);
    assert_true(numbers[0] == UINT64_MAX);
    assert_int_equal(7, numbers[1]);
}

static void invalid(void **state)
{
    static const char *const texts[] = {
        "foo",
        "dumpx",
        "dum",
        "DUMP",
        "dump 1",
        "int",
        "int 5",
        "int 0 0 0",
        "int all 0",
        "int 0 alle",
        "int 0x1 0",
        "int -1 0",
        "int +1 0",
        "int 1.0 0",
        "int 1a 0",
        "int a 0",
        "int 18446744073709551616 0",
        "int 99999999999999999999999999999999 0",
        "int <peer> all",
        "help me",
        "? ?",
        "\v",
        "\xff",
    };
    uint64_t numbers[COMMAND_NUMBERS_MAX];
    const struct command *answer = command_find(NULL, 0, numbers);

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_ptr_equal(answer, find(texts[i], numbers));
    assert_ptr_equal(answer, command_find("dump\0", 5, numbers));
    assert_ptr_equal(answer, command_find("\0dump", 5, numbers));
    assert_ptr_equal(answer, command_find("dump\0dump", 9, numbers));
    assert_false(answer->needs_peers);
}

static void empty_is_no_error(void **state)
{
    uint64_t numbers[COMMAND_NUMBERS_MAX];
    const struct command *nothing = find("", numbers);

    (void)state;
    assert_ptr_equal(nothing, find(" \t ", numbers));
    assert_ptr_not_equal(nothing, find("x", numbers));
}

/* The lines of the help that scripts know, first and in this order. */
static void help(void **state)
{
    static const char known[] = "dump: dump peers (including us)\n"
                                "int <peer> <vector>: notify one vector on a peer\n"
                                "int <peer> all: notify all vectors of a peer\n"
                                "int all: notify all vectors of all peers (excepting us)\n";
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    commands_help(out);
    fclose(out);
    assert_memory_equal(known, text, strlen(known));
    assert_non_null(strstr(text, "\nquit: "));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),   cmocka_unit_test(numbers_of),
        cmocka_unit_test(invalid), cmocka_unit_test(empty_is_no_error),
        cmocka_unit_test(help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
