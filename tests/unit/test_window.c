/* SPDX-License-Identifier: MIT
 *
 * The window: a file is cut and given back under whoever writes to it.
 */
#include "tests/unit/unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "server/window.h"

enum { SIZE = 1 << 20, AT = 5 * 4096 + 8 };

static int make_file(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(0, ftruncate(fd, SIZE));
    return fd;
}

static unsigned char in_file(int fd, off_t at)
{
    unsigned char byte = 0;

    assert_int_equal(1, pread(fd, &byte, 1, at));
    return byte;
}

static void test_whole(void **unused)
{
    int fd = make_file();
    struct window window;

    (void)unused;
    assert_int_equal(0, window_open(&window, fd, SIZE));
    window.memory[AT] = 7;
    assert_int_equal(7, in_file(fd, AT));
    assert_false(window_is_torn(&window));
    assert_int_equal(0, window_mend(&window));
    assert_int_equal(7, window.memory[AT]);
    window_close(&window);
    window_close(&window);
    assert_false(window_is_torn(&window));
    close(fd);
}

static void test_cut(void **unused)
{
    int fd = make_file();
    struct window window;

    (void)unused;
    assert_int_equal(0, window_open(&window, fd, SIZE));
    for (int round = 0; round < 3; round++) {
        window.memory[0] = 1;
        assert_int_equal(0, ftruncate(fd, 4096));
        window.memory[AT] = 7; /* goes nowhere, and does no harm */
        assert_int_equal(7, window.memory[AT]);
        memset(window.memory + SIZE / 2, 1, SIZE / 2);
        assert_int_equal(1, in_file(fd, 0));
        assert_true(window_is_torn(&window));
        assert_int_equal(0, window_mend(&window)); /* too early */
        assert_int_equal(0, window.memory[SIZE - 1]);
        assert_true(window_is_torn(&window));
        assert_int_equal(0, ftruncate(fd, SIZE));
        assert_int_equal(0, window_mend(&window));
        assert_int_equal(0, window.memory[AT]);
        window.memory[AT] = 9;
        assert_int_equal(9, in_file(fd, AT));
        assert_false(window_is_torn(&window));
    }
    window_close(&window);
    close(fd);
}

/* A fault that is none of the window's ends the process, as it does without one. */
static void test_elsewhere(void **unused)
{
    int fd = make_file(), other = make_file(), status;
    struct window window;
    volatile char *memory;
    pid_t child = fork();

    (void)unused;
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
        if (memory == MAP_FAILED || window_open(&window, fd, SIZE) < 0 || ftruncate(other, 0) < 0)
            _exit(1);
        memory[0] = 1;
        _exit(2);
    }
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(SIGBUS, WTERMSIG(status));
    close(fd);
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
