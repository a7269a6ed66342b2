/* SPDX-License-Identifier: MIT
 *
 * Which text is which command, and with which arguments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/shell/arguments.h"
#include "client/shell/commands.h"
#include "client/shell/words.h"

static struct words words;
static struct arguments given;
static struct failure failure;

/* Splits and parses a line; what it was is in the variables above. */
static int parse(const char *text)
{
    int r;

    words_deinit(&words);
    failure.text[0] = '\0';
    given = (struct arguments){.command = NULL};
    r = words_split(&words, text, &failure);
    return r < 0 ? r : arguments_parse(&given, words.count, words.list, &failure);
}

static int forget(void **state)
{
    (void)state;
    words_deinit(&words);
    return 0;
}

static void is(const char *text, const char *name, int count)
{
    assert_int_equal(0, parse(text));
    assert_string_equal(name, given.command->name);
    assert_int_equal(count, given.count);
}

static void forms(void **state)
{
    (void)state;
    is("dump", "dump", 0);
    is("  dump\t ", "dump", 0);
    is("int all", "int", 1);
    is("int  3\tall ", "int", 2);
    is("int 3 4", "int", 2);
    is("int 18446744073709551615 007", "int", 2);
    is("help", "help", 0);
    is("help int", "help", 1);
    is("?", "?", 0);
    is("quit", "quit", 0);
    is("exit", "exit", 0);
}

static void invalid(void **state)
{
    static const char *const texts[] = {
        "foo",       "dumpx",    "dum",       "DUMP",           "dump 1",
        "int",       "int 5",    "int 0 0 0", "int all 0",      "int 0 alle",
        "int 0x1 0", "int -1 0", "int +1 0",  "int 1.0 0",      "int 1a 0",
        "int a 0",   "help me",  "? ?",       "int <peer> all", "int 18446744073709551616 0",
        "\v",        "\xff",     "quit now",  "it's",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_true(parse(texts[i]) < 0);
}

static void quotes(void **state)
{
    (void)state;
    is("write 'a  b'", "write", 1);
    assert_string_equal("a  b", given.words[0]);
    is("write \"a'\\\"\\x3b\\n\\t\\\\\"'\\n'c", "write", 1);
    assert_string_equal("a'\";\n\t\\\\nc", given.words[0]);
    is("write ''", "write", 1);
    assert_string_equal("", given.words[0]);
    assert_int_equal(-EINVAL, parse("write 'a"));
    assert_int_equal(-EINVAL, parse("write \"a"));
    assert_int_equal(-EINVAL, parse("write \"\\q\""));
    assert_int_equal(-EINVAL, parse("write \"\\x00\""));
    assert_int_equal(-EINVAL, parse("write \"\\x1\""));
    assert_int_equal(-EINVAL, parse("write \"\\"));
}

static void options(void **state)
{
    (void)state;
    is("int 3 4 --count 0x10 --interval 0.25", "int", 2);
    assert_true(given.times == 16);
    assert_true(given.interval == 250);
    assert_true(given.timeout == -1);
    is("int 3 4 --until-reply 2 --timeout 100ms", "int", 2);
    assert_true(given.until_reply);
    assert_true(given.reply_vector == 2);
    assert_true(given.timeout == 100);
    is("int 3 4 --until-reply=1 -t2m", "int", 2);
    assert_true(given.reply_vector == 1);
    assert_true(given.timeout == 120000);
    is("read --offset 1.5K --length 0x10", "read", 0);
    assert_true(given.offset == 1536);
    assert_true(given.length == 16);
    is("write --hex 00ff", "write", 0);
    is("write x --ring 1 all", "write", 2);
    is("write -- --hex", "write", 1);
    is("write -", "write", 1);
    is("poke 8 1 --json -q", "poke", 2);
    assert_true(given.json && given.quiet);
    is("int --help", "int", 0);
}

static void wrong_options(void **state)
{
    static const char *const texts[] = {
        "dump --frob",
        "int 3 4 --count 0",
        "int 3 4 --count x",
        "int 3 4 --timeout 1",
        "int 3 4 --until-reply --count 3",
        "int 3 4 --until-reply --until-word 0",
        "int 3 4 --until-reply --timeout 1.5h",
        "int 3 4 --until-reply --timeout 99999999999999999999",
        "read --offset -1",
        "read --offset 99999999999E",
        "read --hex --raw",
        "write",
        "write a b",
        "write a --ring 1",
        "write a --file b",
        "write --hex 0",
        "write --hex 0g --file b",
        "fill 256",
        "peek 2",
        "peek 0 --width 7",
        "poke 0 0x1ff --width 8",
        "poke 0 1 --add --cas 1",
        "wait 2048",
        "find ''",
        "kick 65536",
        "log-level loud",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(parse(texts[i]) < 0);
        assert_non_null(given.command);
        assert_string_not_equal("", failure.text);
    }
}

/* What is wrong, and the way out where there is one. */
static void says(const char *text, const char *what, const char *way_out)
{
    assert_int_equal(-EINVAL, parse(text));
    assert_non_null(strstr(failure.text, what));
    if (way_out)
        assert_non_null(strstr(failure.text, way_out));
    else
        assert_null(strpbrk(failure.text, ",;"));
}

static void ways_out(void **state)
{
    (void)state;
    says("help a b", "'b' is too much", NULL);
    says("peek 0 0", "'0' is too much", NULL);
    says("find a b", "'b' is too much", "quote a word with blanks");
    says("write a b", "'b' is too much", "quote a word with blanks");
    says("write --nul -text", "unknown option -t", "put -- before");
    says("find --text", "unknown option --text", "put -- before");
    says("send -file", "unknown option -f", "put -- before");
    is("write --nul -- -text", "write", 1);
    assert_int_equal(-EINVAL, parse("peek -4"));
    assert_null(strstr(failure.text, "put --"));
}

static char *help_text(bool all)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    commands_help(out, all);
    fclose(out);
    return text;
}

/* The lines that scripts know, first and in this order; at start nothing but these and quit. */
static void help(void **state)
{
    static const char known[] = "dump: dump peers (including us)\n"
                                "int <peer> <vector>: notify one vector on a peer\n"
                                "int <peer> all: notify all vectors of a peer\n"
                                "int all: notify all vectors of all peers (excepting us)\n";
    static const char ours[] = "quit: leave; exit and the end of the input do the same\n";
    char *text = help_text(false);

    (void)state;
    assert_memory_equal(known, text, strlen(known));
    assert_string_equal(ours, text + strlen(known));
    free(text);
    text = help_text(true);
    assert_memory_equal(known, text, strlen(known));
    assert_non_null(strstr(text, ours));
    free(text);
}

/* A name that is there twice would hide the second. */
static void names_are_unique(void **state)
{
    const struct command *each = NULL;

    (void)state;
    while ((each = commands_next(each))) {
        assert_ptr_equal(each, commands_find(each->name));
        assert_non_null(each->run);
        assert_non_null(each->forms[0].help);
        assert_true(each->least <= each->most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),   cmocka_unit_test(invalid),          cmocka_unit_test(quotes),
        cmocka_unit_test(options), cmocka_unit_test(wrong_options),    cmocka_unit_test(ways_out),
        cmocka_unit_test(help),    cmocka_unit_test(names_are_unique),
    };

    return cmocka_run_group_tests(tests, NULL, forget);
}
