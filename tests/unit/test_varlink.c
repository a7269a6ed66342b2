/* SPDX-License-Identifier: MIT
 *
 * Varlink's framing and its texts, and the table of the control socket's methods against the
 * descriptions that it gives to clients.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "server/control_methods.h"
#include "server/varlink.h"

static struct varlink_reader reader;

static int set_up(void **state)
{
    (void)state;
    reader.start = reader.seen = reader.have = 0;
    return 0;
}

/* Gives the reader bytes as a socket would. */
static void feed(const char *bytes, size_t count)
{
    size_t room;
    char *to = varlink_reader_room(&reader, &room);

    assert_true(count <= room);
    memcpy(to, bytes, count);
    reader.have += count;
}

static void assert_message(const char *wanted)
{
    const char *text;

    assert_int_equal(1, varlink_reader_next(&reader, &text));
    assert_string_equal(wanted, text);
}

static void assert_none(void)
{
    const char *text;

    assert_int_equal(0, varlink_reader_next(&reader, &text));
}

static void messages_in_pieces(void **state)
{
    (void)state;
    assert_none();
    assert_false(varlink_reader_pending(&reader));
    feed("one\0tw", 6);
    assert_message("one");
    assert_none();
    assert_true(varlink_reader_pending(&reader));
    feed("o", 1);
    assert_none();
    feed("\0\0three\0", 8);
    assert_message("two");
    assert_message("");
    assert_message("three");
    assert_none();
    assert_false(varlink_reader_pending(&reader));
}

static void the_longest_message(void **state)
{
    static char bytes[VARLINK_MESSAGE_MAX];
    const char *text;

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    feed("a", 2);
    assert_message("a");
    feed(bytes, sizeof(bytes) - 1);
    assert_none();
    feed("\0", 1);
    assert_int_equal(1, varlink_reader_next(&reader, &text));
    assert_int_equal(sizeof(bytes) - 1, strlen(text));
    assert_none();
    feed(bytes, sizeof(bytes));
    assert_int_equal(-EMSGSIZE, varlink_reader_next(&reader, &text));
}

/* Random cuts of random messages give the messages. */
static void any_cut(void **state)
{
    static char bytes[40000];
    uint64_t seed = random_start();
    size_t size = 0, at = 0, cut = 0;

    (void)state;
    while (size < sizeof(bytes) - 300)
        size += (size_t)snprintf(bytes + size, 300, "%*u", (int)random_below(&seed, 250),
                                 random_below(&seed, 1000)) +
                1;
    while (at < size) {
        size_t step = random_below(&seed, 700);
        const char *text;

        step = step > size - cut ? size - cut : step;
        feed(bytes + cut, step);
        cut += step;
        while (varlink_reader_next(&reader, &text) > 0) {
            assert_string_equal(bytes + at, text);
            at += strlen(text) + 1;
        }
    }
    assert_false(varlink_reader_pending(&reader));
}

static void good_calls(void **state)
{
    struct varlink_call call;

    (void)state;
    assert_int_equal(0, varlink_call_parse("{\"method\":\"a.b.C\"}", &call));
    assert_string_equal("a.b.C", call.method);
    assert_null(call.parameters);
    assert_false(call.more || call.oneway || call.upgrade);
    varlink_call_deinit(&call);
    assert_null(call.message);
    assert_int_equal(0, varlink_call_parse(" {\"more\":true,\"x\":[{}],\"oneway\":false,\n"
                                           "\"parameters\":{\"n\":1},\"method\":\"\\u00e4\\\\\"} ",
                                           &call));
    assert_string_equal("\xc3\xa4\\", call.method);
    assert_true(call.more && !call.oneway && !call.upgrade);
    assert_non_null(call.parameters);
    varlink_call_deinit(&call);
    assert_int_equal(0, varlink_call_parse("{\"method\":\"\xf0\x9f\x94\x94\",\"parameters\":null,"
                                           "\"upgrade\":null,\"oneway\":true}",
                                           &call));
    assert_true(call.oneway);
    varlink_call_deinit(&call);
}

static void bad_calls(void **state)
{
    static const char *const no_json[] = {
        "",
        "x",
        "{",
        "{\"method\":\"a\"",
        "{\"method\":\"a\"}x",
        "{\"method\":\"a\",}",
        "\xff",
        "{\"method\":\"\xc0\x80\"}",         /* NUL, written too long */
        "{\"method\":\"\xe0\x80\x80\"}",     /* the same */
        "{\"method\":\"\xf0\x80\x80\x80\"}", /* the same */
        "{\"method\":\"\xed\xa0\x80\"}",     /* half a pair */
        "{\"method\":\"\xf4\x90\x80\x80\"}", /* beyond the last character */
        "{\"method\":\"\xe2\x82\"}",         /* cut */
        "{\"method\":\"a\\u0000b\"}",
        "{\"method\":\"\\ud800\"}",
        "{\"method\":\"\\",
        "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
    };
    static const char *const no_call[] = {
        "[]",
        "1",
        "null",
        "\"a\"",
        "{}",
        "{\"method\":null}",
        "{\"method\":1}",
        "{\"Method\":\"a\"}",
        "{\"method\":\"a\",\"parameters\":[]}",
        "{\"method\":\"a\",\"parameters\":\"\"}",
        "{\"method\":\"a\",\"more\":1}",
        "{\"method\":\"a\",\"more\":true,\"oneway\":true}",
        "{\"method\":\"a\",\"more\":true,\"upgrade\":true}",
    };
    struct varlink_call call;

    (void)state;
    for (size_t i = 0; i < sizeof(no_json) / sizeof(no_json[0]); i++)
        assert_int_equal(-EBADMSG, varlink_call_parse(no_json[i], &call));
    for (size_t i = 0; i < sizeof(no_call) / sizeof(no_call[0]); i++)
        assert_int_equal(-EPROTO, varlink_call_parse(no_call[i], &call));
}

/* Brackets inside strings are none, nor do quotes end them that are escaped. */
static void depth(void **state)
{
    struct varlink_call call;
    char text[200];

    (void)state;
    for (int depth = 1; depth <= VARLINK_DEPTH_MAX + 1; depth++) {
        char opening[32] = "", closing[32] = "";

        memset(opening, '[', (size_t)depth - 1);
        memset(closing, ']', (size_t)depth - 1);
        snprintf(text, sizeof(text), "{\"method\":\"a\",\"b\":%s1%s,\"[[[\":1}", opening, closing);
        assert_int_equal(depth <= VARLINK_DEPTH_MAX ? 0 : -EBADMSG,
                         varlink_call_parse(depth == 1 ? "{\"method\":\"a\"}" : text, &call));
        varlink_call_deinit(&call);
    }
    assert_int_equal(0, varlink_call_parse("{\"method\":\"[[[[[[[[[[[[[[[[[\\\"[[[[[[[\"}", &call));
    varlink_call_deinit(&call);
    assert_int_equal(0, varlink_call_parse("{\"method\":\"\\\\u0000\\\\\"}", &call));
    assert_string_equal("\\u0000\\", call.method);
    varlink_call_deinit(&call);
}

static void assert_text(const char *wanted, char *text)
{
    assert_string_equal(wanted, text);
    free(text);
}

static void replies(void **state)
{
    cJSON *parameters = cJSON_CreateObject();

    (void)state;
    assert_text("{\"parameters\":{}}", varlink_reply(NULL, false));
    assert_text("{\"continues\":true,\"parameters\":{}}", varlink_reply(NULL, true));
    assert_text("{\"error\":\"a.B\",\"parameters\":{}}", varlink_error("a.B", NULL));
    varlink_add_integer(parameters, "zero", 0);
    varlink_add_integer(parameters, "most", UINT64_MAX);
    varlink_add_integer(parameters, "round", 1000000000000000);
    varlink_add_text(parameters, "text", "a\"\\\n\x01\xff\xc3\xa4\xc3");
    varlink_add_text(parameters, "nothing", NULL);
    assert_text("{\"parameters\":{\"zero\":0,\"most\":18446744073709551615,"
                "\"round\":1000000000000000,\"text\":\"a\\\"\\\\\\n\\u0001?\xc3\xa4?\"}}",
                varlink_reply(parameters, false));
}

static void integers(void **state)
{
    cJSON *object = cJSON_Parse("{\"zero\":0,\"most\":70000,\"half\":0.5,\"minus\":-1,"
                                "\"huge\":1e300,\"text\":\"1\",\"null\":null,\"true\":true}");
    unsigned value = 7;

    (void)state;
    assert_int_equal(0, varlink_get_integer(NULL, "zero", 1, &value));
    assert_int_equal(0, varlink_get_integer(object, "missing", 1, &value));
    assert_int_equal(0, varlink_get_integer(object, "null", 1, &value));
    for (const char *const *name =
             (const char *const[]){"half", "minus", "huge", "text", "true", "most", NULL};
         *name; name++)
        assert_int_equal(-EINVAL, varlink_get_integer(object, *name, 69999, &value));
    assert_int_equal(7, value);
    assert_int_equal(1, varlink_get_integer(object, "zero", 0, &value));
    assert_int_equal(0, value);
    assert_int_equal(1, varlink_get_integer(object, "most", 70000, &value));
    assert_int_equal(70000, value);
    cJSON_Delete(object);
}

/* The text of an interface, by its name and its length. */
static const char *description_of(const char *method, size_t length)
{
    for (const struct control_interface *each = control_interfaces; each->name; each++)
        if (strlen(each->name) == length && memcmp(each->name, method, length) == 0)
            return each->text;
    return NULL;
}

/* What follows a parameter: the next one, or the parenthesis at the end. */
static const char *skip_parameter(const char *at)
{
    int inside = 0;

    for (; inside || (*at != ',' && *at != ')'); at++)
        inside += (*at == '(') - (*at == ')');
    return *at == ',' ? at + 2 : at;
}

/* Each method stands in its interface's description, and no others do; the same for parameters. */
static void methods_are_described(void **state)
{
    unsigned in_table = 0, described = 0;

    (void)state;
    for (const struct control_method *each = control_methods; each->name; each++, in_table++) {
        const char *dot = strrchr(each->name, '.'), *text, *at;
        char start[64];

        assert_non_null(dot);
        text = description_of(each->name, (size_t)(dot - each->name));
        assert_non_null(text);
        snprintf(start, sizeof(start), "\nmethod %s(", dot + 1);
        assert_contains(text, start);
        at = strstr(text, start) + strlen(start);
        for (int i = 0; i < CONTROL_PARAMETERS_MAX && each->parameters[i]; i++) {
            size_t length = strlen(each->parameters[i]);

            assert_memory_equal(each->parameters[i], at, length);
            assert_int_equal(':', at[length]);
            at = skip_parameter(at);
        }
        assert_int_equal(')', *at);
    }
    for (const struct control_interface *each = control_interfaces; each->name; each++)
        for (const char *at = each->text; (at = strstr(at, "\nmethod ")); at++)
            described++;
    assert_int_equal(described, in_table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(messages_in_pieces, set_up),
        cmocka_unit_test_setup(the_longest_message, set_up),
        cmocka_unit_test_setup(any_cut, set_up),
        cmocka_unit_test(good_calls),
        cmocka_unit_test(bad_calls),
        cmocka_unit_test(depth),
        cmocka_unit_test(replies),
        cmocka_unit_test(integers),
        cmocka_unit_test(methods_are_described),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
