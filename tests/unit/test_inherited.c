/* SPDX-License-Identifier: MIT
 *
 * Descriptors that a process was started with: from the manager's variables, from a list; taken by
 * name, and closed when nobody took them.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/mman.h>

#include "server/inherited.h"

enum { FIRST = 3, PASSED = 4 };

/* Gives the process descriptors 3 to 6, as a manager does. Those that are in the way come back. */
struct passed {
    int kept[PASSED];
};

static void pass(struct passed *passed)
{
    for (int i = 0; i < PASSED; i++) {
        int memory = memfd_create("passed", 0);

        assert_true(memory >= 0);
        passed->kept[i] = memory == FIRST + i ? -1 : fcntl(FIRST + i, F_DUPFD_CLOEXEC, 50);
        assert_int_equal(1, pwrite(memory, &(char){(char)('a' + i)}, 1, 0));
        if (memory != FIRST + i) {
            assert_int_equal(FIRST + i, dup2(memory, FIRST + i));
            close(memory);
        }
    }
}

static void give_back(const struct passed *passed)
{
    for (int i = 0; i < PASSED; i++)
        if (passed->kept[i] >= 0) {
            dup2(passed->kept[i], FIRST + i);
            fcntl(FIRST + i, F_SETFD, FD_CLOEXEC);
            close(passed->kept[i]);
        } else {
            close(FIRST + i); /* if it was taken: else it is closed already */
        }
}

static void set_number(const char *variable, int number)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", number);
    setenv(variable, text, 1);
}

static void announce(int pid, int count, const char *names)
{
    set_number("LISTEN_PID", pid);
    set_number("LISTEN_FDS", count);
    if (names)
        setenv("LISTEN_FDNAMES", names, 1);
}

/* The letter that pass() wrote into a descriptor; '-' for -1. It is closed. */
static char letter(int fd)
{
    char found = '-';

    if (fd < 0)
        return found;
    assert_int_equal(FD_CLOEXEC, fcntl(fd, F_GETFD));
    assert_int_equal(1, pread(fd, &found, 1, 0));
    close(fd);
    return found;
}

static void receive(struct inherited *inherited)
{
    struct failure failure = {.text = ""};

    assert_int_equal(0, inherited_receive(inherited, &failure));
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_FDNAMES"));
    assert_null(getenv(INHERITED_LIST));
}

static void test_nothing(void **unused)
{
    struct inherited inherited;

    (void)unused;
    receive(&inherited);
    assert_int_equal(0, inherited.n_items);
    assert_int_equal(-1, inherited_take(&inherited, "peers"));
    assert_int_equal(-1, inherited_take_any(&inherited, "peers"));
    inherited_deinit(&inherited);
}

static void test_meant_for_another_process(void **unused)
{
    struct inherited inherited;

    (void)unused;
    announce((int)getpid() + 1, 1, "peers");
    receive(&inherited);
    assert_int_equal(0, inherited.n_items);
    inherited_deinit(&inherited);
}

static void test_from_the_manager(void **unused)
{
    struct inherited inherited;
    struct passed passed;

    (void)unused;
    pass(&passed);
    announce((int)getpid(), PASSED, "state:s000001:0000000:memory");
    receive(&inherited);
    assert_false(inherited.program);
    assert_int_equal('d', letter(inherited_take(&inherited, "memory")));
    assert_int_equal('a', letter(inherited_take(&inherited, "state")));
    assert_int_equal('-', letter(inherited_take(&inherited, "state"))); /* taken */
    assert_int_equal('-', letter(inherited_take(&inherited, "s00000")));
    assert_int_equal('b', letter(inherited_take(&inherited, "s000001")));
    inherited_deinit(&inherited);
    assert_int_equal(-1, fcntl(FIRST + 2, F_GETFD)); /* nobody took it */
    give_back(&passed);
}

static void test_too_few_names(void **unused)
{
    struct inherited inherited;
    struct passed passed;

    (void)unused;
    pass(&passed);
    announce((int)getpid(), PASSED, "one::three");
    receive(&inherited);
    assert_int_equal(PASSED, inherited.n_items);
    assert_int_equal('c', letter(inherited_take(&inherited, "three")));
    assert_int_equal('a', letter(inherited_take(&inherited, "one")));
    inherited_deinit(&inherited);
    give_back(&passed);
}

/* Of two with one name nobody knows which is the right one; of several sockets each is right. */
static void test_one_name_twice(void **unused)
{
    struct capture capture = CAPTURE_INIT;
    struct inherited inherited;
    struct passed passed;
    char first, second;

    (void)unused;
    pass(&passed);
    announce((int)getpid(), PASSED, "twice:alone:twice:twice");
    receive(&inherited);
    capture_start(&capture);
    assert_int_equal(-1, inherited_take(&inherited, "twice"));
    assert_contains(capture_read(&capture), "several descriptors came back as twice");
    capture_stop(&capture);
    assert_int_equal('b', letter(inherited_take(&inherited, "alone")));
    first = letter(inherited_take_any(&inherited, "twice"));
    second = letter(inherited_take_any(&inherited, "twice"));
    assert_int_equal('a' + 'c' + 'd',
                     first + second + letter(inherited_take_any(&inherited, "twice")));
    assert_int_equal(-1, inherited_take_any(&inherited, "twice"));
    inherited_deinit(&inherited);
    give_back(&passed);
}

static void test_descriptors_that_are_not_there(void **unused)
{
    struct failure failure = {.text = ""};
    struct inherited inherited;
    struct passed passed;

    (void)unused;
    pass(&passed);
    announce((int)getpid(), 5000, "state");
    assert_int_equal(-EBADF, inherited_receive(&inherited, &failure));
    assert_contains(failure.text, "passed");
    inherited_deinit(&inherited);
    give_back(&passed);
}

static void test_from_the_program_before(void **unused)
{
    struct inherited inherited;
    int list = memfd_create("list", 0), one = memfd_create("one", 0);

    (void)unused;
    assert_true(list >= 0 && one >= 0);
    assert_int_equal(1, pwrite(one, "x", 1, 0));
    dprintf(list, "%d state\n", one);
    set_number(INHERITED_LIST, list);
    announce((int)getpid(), 1, "peers"); /* does not count */
    receive(&inherited);
    assert_true(inherited.program);
    assert_int_equal(1, inherited.n_items);
    assert_int_equal('x', letter(inherited_take(&inherited, "state")));
    inherited_deinit(&inherited);
    assert_int_equal(-1, fcntl(list, F_GETFD)); /* the list itself is closed */
}

static int check_descriptors(void **state)
{
    return count_descriptors() == *(int *)*state ? 0 : -1;
}

int main(void)
{
    int before = count_descriptors(), *argument = &before;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(test_nothing, NULL, check_descriptors, argument),
        cmocka_unit_test_prestate_setup_teardown(test_meant_for_another_process, NULL,
                                                 check_descriptors, argument),
        cmocka_unit_test_prestate_setup_teardown(test_from_the_manager, NULL, check_descriptors,
                                                 argument),
        cmocka_unit_test_prestate_setup_teardown(test_too_few_names, NULL, check_descriptors,
                                                 argument),
        cmocka_unit_test_prestate_setup_teardown(test_one_name_twice, NULL, check_descriptors,
                                                 argument),
        cmocka_unit_test_prestate_setup_teardown(test_descriptors_that_are_not_there, NULL,
                                                 check_descriptors, argument),
        cmocka_unit_test_prestate_setup_teardown(test_from_the_program_before, NULL,
                                                 check_descriptors, argument),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
