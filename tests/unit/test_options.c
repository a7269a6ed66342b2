/* SPDX-License-Identifier: MIT
 *
 * Options from a command line and from a file, with a table that has one of each kind.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/options.h"

struct values {
    bool quiet, once;
    char *name, *list, *maybe;
};

/* Adds ":VALUE" to a string, "-" where there is none; refuses "bad". */
static int set_list(void *config, const struct option_spec *spec, const char *value,
                    struct failure *failure)
{
    char **list = (char **)(void *)((char *)config + spec->offset), *longer;

    if (value && strcmp(value, "bad") == 0)
        return failure_set(failure, EINVAL, "'%s' is bad", value);
    if (asprintf(&longer, "%s:%s", *list ? *list : "", value ? value : "-") < 0)
        return -ENOMEM;
    free(*list);
    *list = longer;
    return 0;
}

#define AT(member) offsetof(struct values, member)

static const struct option_spec table[] = {
    {"quiet", 'q', NULL, "say nothing", option_set_switch, AT(quiet), 0},
    {"once", 0, NULL, "only now", option_set_switch, AT(once), OPTION_NOT_IN_FILE},
    {"name", 'n', "NAME", "what it is called\nby everybody", option_set_string, AT(name), 0},
    {"list", 'l', "ITEM[,ITEM...]", "may be repeated", set_list, AT(list),
     OPTION_LIVE | OPTION_ADDS_UP},
    {"maybe", 'm', "[=SIZE]", "with or without", set_list, AT(maybe), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

enum { QUIET, ONCE, NAME, LIST, MAYBE }; /* places in the table */

static struct values values;
static char *given[OPTIONS_MAX];
static struct failure failure;
static char folder[64], file[80];

static void forget(void)
{
    free(values.name);
    free(values.list);
    free(values.maybe);
    values = (struct values){.quiet = false};
    for (int i = 0; i < OPTIONS_MAX; i++) {
        free(given[i]);
        given[i] = NULL;
    }
    failure.text[0] = '\0';
}

static int set_up(void **state)
{
    (void)state;
    scratch_make(folder);
    snprintf(file, sizeof(file), "%s/conf", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    forget();
    scratch_remove(folder);
    return 0;
}

/* Parses a command line whose words stand in one string, one blank between two. */
static int parse(const char *line)
{
    char program[] = "program", words[256], *argv[32] = {program}, *rest = words, *word;
    int argc = 1;

    forget();
    snprintf(words, sizeof(words), "%s", line);
    while (*line && (word = strsep(&rest, " ")))
        argv[argc++] = word;
    return options_parse(table, argc, argv, &values, given, &failure);
}

static int parse_file(const char *text)
{
    forget();
    write_file(file, text);
    return options_parse_file(table, file, &values, given, &failure);
}

static void refused(int r, const char *text)
{
    const char *unknown = "unknown option -"; /* on the command line */

    assert_int_equal(strncmp(text, unknown, strlen(unknown)) == 0 ? -ENOENT : -EINVAL, r);
    assert_contains(failure.text, text);
}

static void command_line(void **state)
{
    static const char *const same[] = {
        "-q -n x -l a -l b -m",
        "--quiet --name x --list a --list b --maybe",
        "-qnx -la -lb -m",
        "--name=x --list=a --list=b --maybe --quiet",
        "--maybe --nam=x --lis a -qlb", /* unique abbreviations will do */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_true(parse(same[i]) > 1);
        assert_true(values.quiet);
        assert_false(values.once);
        assert_string_equal("x", values.name);
        assert_string_equal(":a:b", values.list);
        assert_string_equal(":-", values.maybe);
        assert_string_equal("yes", given[QUIET]);
        assert_string_equal("x", given[NAME]);
        assert_string_equal("a,b", given[LIST]);
        assert_string_equal("yes", given[MAYBE]);
        assert_null(given[ONCE]);
    }
}

static void nothing_given(void **state)
{
    (void)state;
    assert_int_equal(1, parse(""));
    assert_false(values.quiet);
    assert_null(values.name);
    for (int i = 0; i < OPTIONS_MAX; i++)
        assert_null(given[i]);
}

static void optional_value(void **state)
{
    (void)state;
    assert_int_equal(2, parse("--maybe=2M"));
    assert_string_equal(":2M", values.maybe);
    assert_int_equal(2, parse("-m2M"));
    assert_string_equal(":2M", values.maybe);
    assert_int_equal(2, parse("--maybe 2M")); /* not its value: an argument */
    assert_string_equal(":-", values.maybe);
}

static void last_one_wins(void **state)
{
    (void)state;
    assert_int_equal(3, parse("--name=x --name=y"));
    assert_string_equal("y", values.name);
    assert_string_equal("y", given[NAME]);
}

static void arguments(void **state)
{
    (void)state;
    assert_int_equal(2, parse("-q word"));
    assert_int_equal(2, parse("word -q")); /* moved behind the options */
    assert_true(values.quiet);
    assert_int_equal(2, parse("-- -q"));
    assert_false(values.quiet);
    assert_int_equal(1, parse("-")); /* by itself it is a word */
}

static void command_line_errors(void **state)
{
    (void)state;
    refused(parse("--what"), "unknown option --what; see --help");
    refused(parse("--what=ever"), "unknown option --what=ever");
    refused(parse("-x"), "unknown option -x");
    refused(parse("-qx"), "unknown option -x");
    refused(parse("-q -:"), "unknown option -:");
    refused(parse("-q -?"), "unknown option -?");
    refused(parse("--n"), ""); /* an abbreviation, but the value is missing */
    refused(parse("-q --name"), "option --name needs a value");
    refused(parse("-n"), "option -n needs a value");
    refused(parse("--quiet=1"), "option --quiet=1 takes no value");
    refused(parse("--name="), "option --name: the value is empty");
    assert_null(given[NAME]);
    refused(parse("-l ok -l bad --once"), "option --list: 'bad' is bad");
    assert_string_equal("ok", given[LIST]);
    assert_false(values.once); /* nothing after the error is looked at */
}

static void file_lines(void **state)
{
    (void)state;
    assert_int_equal(0, parse_file("# a comment\n"
                                   "\n"
                                   "  \t \n"
                                   "name = some thing # else \n"
                                   "   # an indented comment\n"
                                   "\tlist=a\r\n"
                                   "list  =  b=c\r\n"
                                   "maybe\n"
                                   "quiet")); /* and no newline at the end */
    assert_true(values.quiet);
    assert_string_equal("some thing # else", values.name);
    assert_string_equal(":a:b=c", values.list);
    assert_string_equal(":-", values.maybe);
    assert_string_equal("a,b=c", given[LIST]);
    assert_string_equal("yes", given[QUIET]);
    assert_int_equal(0, parse_file(""));
    assert_int_equal(0, parse_file("maybe = 1G\n"));
    assert_string_equal(":1G", values.maybe);
}

static void file_switches(void **state)
{
    (void)state;
    assert_int_equal(0, parse_file("quiet = yes\n"));
    assert_true(values.quiet);
    assert_int_equal(0, parse_file("quiet = no\n"));
    assert_false(values.quiet);
    assert_string_equal("no", given[QUIET]);
    assert_int_equal(0, parse_file("quiet = yes\nquiet = no\n"));
    assert_false(values.quiet); /* the last word counts */
    assert_int_equal(0, parse_file("quiet = no\nquiet\n"));
    assert_true(values.quiet);
    refused(parse_file("quiet = maybe\n"), "option quiet: 'maybe' is neither yes nor no");
    refused(parse_file("quiet =\n"), "option quiet: '' is neither yes nor no");
}

static void long_lines(void **state)
{
    const size_t length = 100000;
    char *text = malloc(length + 16);

    (void)state;
    assert_non_null(text);
    strcpy(text, "name = ");
    memset(text + 7, 'x', length);
    strcpy(text + 7 + length, "\nquiet\n");
    assert_int_equal(0, parse_file(text));
    assert_int_equal(length, strlen(values.name));
    assert_true(values.quiet);
    memcpy(text, "nome", 4);
    refused(parse_file(text), "line 1: unknown option 'nome'");
    text[length] = '\0';
    memset(text, 'y', 7);
    refused(parse_file(text), "line 1: unknown option 'yyy"); /* and cut, not overrun */
    assert_true(strlen(failure.text) < sizeof(failure.text));
    free(text);
}

static void file_errors(void **state)
{
    (void)state;
    refused(parse_file("\n#\nwhat = 1\n"), "conf line 3: unknown option 'what'");
    refused(parse_file("= 1\n"), "line 1: unknown option ''");
    refused(parse_file("--name = x\n"), "line 1: unknown option '--name'");
    refused(parse_file("n = x\n"), "line 1: unknown option 'n'"); /* letters are for the shell */
    refused(parse_file("quiet\nonce\n"), "line 2: option once belongs on the command line");
    refused(parse_file("name\n"), "line 1: option name needs a value: name = NAME");
    refused(parse_file("name = \n"), "line 1: option name needs a value");
    refused(parse_file("list = ok\nlist = bad\n"), "line 2: option --list: 'bad' is bad");
    assert_contains(failure.text, file);
}

static void unreadable_files(void **state)
{
    (void)state;
    forget();
    assert_int_equal(-ENOENT, options_parse_file(table, file, &values, NULL, &failure));
    assert_contains(failure.text, file);
    assert_contains(failure.text, strerror(ENOENT));
    assert_int_equal(-EISDIR, options_parse_file(table, folder, &values, NULL, &failure));
    assert_contains(failure.text, folder);
    assert_int_equal(-ENOENT, options_parse_file(table, file, &values, NULL, NULL));
}

static void help(void **state)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    (void)state;
    assert_non_null(out);
    options_print(table, out);
    fclose(out);
    assert_string_equal("  -q, --quiet                 say nothing\n"
                        "      --once                  only now\n"
                        "  -n, --name=NAME             what it is called\n"
                        "                              by everybody\n"
                        "  -l, --list=ITEM[,ITEM...]   may be repeated\n"
                        "  -m, --maybe[=SIZE]          with or without\n",
                        text);
    free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(command_line), TEST(nothing_given),       TEST(optional_value),   TEST(last_one_wins),
        TEST(arguments),    TEST(command_line_errors), TEST(file_lines),       TEST(file_switches),
        TEST(long_lines),   TEST(file_errors),         TEST(unreadable_files), TEST(help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
