/* SPDX-License-Identifier: MIT
 *
 * Slots: NAME=ID[:SOCKET].
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "server/slot.h"

static void good(void **state)
{
    static const struct {
        const char *text, *name, *socket;
        unsigned id;
    } known[] = {
        {"a=0", "a", NULL, 0},
        {"web=1", "web", NULL, 1},
        {"A.b_c-9=65535", "A.b_c-9", NULL, 65535},
        {"x=0x10", "x", NULL, 16},
        {"db=7:/run/db.sock", "db", "/run/db.sock", 7},
        {"db=7:relative:with=signs", "db", "relative:with=signs", 7},
        {"12345678901234567890123456789012=3", "12345678901234567890123456789012", NULL, 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct slot slot;

        assert_int_equal(0, slot_parse(known[i].text, &slot, NULL));
        assert_string_equal(known[i].name, slot.name);
        assert_int_equal(known[i].id, slot.id);
        if (known[i].socket)
            assert_string_equal(known[i].socket, slot.socket);
        else
            assert_null(slot.socket);
        assert_null(slot.seat);
        assert_null(slot.holder);
        slot_deinit(&slot);
        assert_null(slot.name);
        slot_deinit(&slot); /* does no harm */
    }
}

static void bad(void **state)
{
    static const char *const texts[] = {
        "",
        "=",
        "=1",
        "a",
        "a:1",
        ":a=1",
        "a b=1",
        "a/b=1",
        "../x=1",
        "\xc3\xa4=1",
        "a\n=1",
        "123456789012345678901234567890123=3", /* a name of 33 */
        "a=",
        "a=x",
        "a=-1",
        "a=+1",
        "a= 1",
        "a=1 ",
        "a=65536",
        "a=99999999999999999999",
        "a=0000000000000001",
        "a=1.0",
        "a=1k",
        "a=1:",
        "a=:",
        "a=:/run/x",
        "a=1=2",
    };
    struct slot slot = {.id = 4711};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct failure failure = {.text = ""};
        int r = slot_parse(texts[i], &slot, &failure);

        if (r != -EINVAL)
            fail_msg("\"%s\" gives %d", texts[i], r);
        assert_contains(failure.text, texts[i]);
        assert_int_equal(4711, slot.id);
    }
}

static void find(void **state)
{
    char one[] = "one", two[] = "two";
    struct slot slots[] = {{.name = one, .id = 5}, {.name = two, .id = 0}};

    (void)state;
    assert_null(slot_find(NULL, 0, "one", 5));
    assert_ptr_equal(&slots[0], slot_find(slots, 2, "one", 9));
    assert_ptr_equal(&slots[0], slot_find(slots, 2, "three", 5));
    assert_ptr_equal(&slots[1], slot_find(slots, 2, "two", 9));
    assert_ptr_equal(&slots[1], slot_find(slots, 2, "zero", 0));
    assert_null(slot_find(slots, 2, "three", 9));
    assert_null(slot_find(slots, 2, "on", 9));
    assert_null(slot_find(slots, 1, "two", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(bad),
        cmocka_unit_test(find),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
