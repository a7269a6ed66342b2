/* SPDX-License-Identifier: MIT
 *
 * Directories that others could swap files in.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "server/trust.h"

static char folder[64];
static struct failure failure;

static int set_up(void **state)
{
    (void)state;
    failure.text[0] = '\0';
    scratch_make(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

/* Makes a directory in the scratch directory, of exactly that mode. */
static const char *make(const char *name, mode_t mode)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(0, mkdir(path, 0700));
    assert_int_equal(0, chmod(path, mode));
    return path;
}

static void refused(const char *path, const char *culprit, const char *why)
{
    failure.text[0] = '\0';
    assert_int_equal(-EPERM, trust_directory(path, &failure));
    assert_contains(failure.text, culprit);
    assert_contains(failure.text, why);
    assert_int_equal(-EPERM, trust_directory(path, NULL));
}

static void usual_places(void **state)
{
    (void)state;
    assert_int_equal(0, trust_directory("/", &failure));
    assert_int_equal(0, trust_directory("/tmp", &failure));
    assert_int_equal(0, trust_directory("/tmp/", &failure));
    assert_int_equal(0, trust_directory("/dev/shm", &failure));
    assert_int_equal(0, trust_directory(folder, &failure));
}

static void modes(void **state)
{
    (void)state;
    assert_int_equal(0, trust_directory(make("private", 0700), &failure));
    assert_int_equal(0, trust_directory(make("open", 0755), &failure));
    assert_int_equal(0, trust_directory(make("group", 0775), &failure)); /* our own group */
    assert_int_equal(0, trust_directory(make("sticky", 01777), &failure));
    refused(make("loose", 0777), "loose", "0777");
    refused(make("writable", 0702), "writable", "0702");
}

static void on_the_way(void **state)
{
    char deep[128];

    (void)state;
    make("loose", 0777);
    make("loose/inner", 0755);
    snprintf(deep, sizeof(deep), "%s", make("loose/inner/most", 0700));
    refused(deep, "/loose ", "0777"); /* named is the one to be mended */
    snprintf(deep, sizeof(deep), "%s/loose", folder);
    assert_int_equal(0, chmod(deep, 0755));
    snprintf(deep, sizeof(deep), "%s/loose/inner/most", folder);
    assert_int_equal(0, trust_directory(deep, &failure));
}

static void links(void **state)
{
    char link[128];

    (void)state;
    snprintf(link, sizeof(link), "%s/link", folder);
    assert_int_equal(0, symlink(make("loose", 0777), link));
    refused(link, "/loose ", "0777"); /* what counts is where it leads to */
    assert_int_equal(0, unlink(link));
    assert_int_equal(0, symlink(make("good", 0700), link));
    assert_int_equal(0, trust_directory(link, &failure));
}

static void owners(void **state)
{
    const char *path = make("theirs", 0755);

    (void)state;
    if (geteuid() != 0) {
        print_message("needs root: a directory of another user\n");
        skip();
    }
    assert_int_equal(0, chown(path, 12345, 0));
    refused(path, "theirs", "uid 12345");
    assert_int_equal(0, chown(path, 0, 12345));
    assert_int_equal(0, trust_directory(path, &failure)); /* their group may not write */
    assert_int_equal(0, chmod(path, 0775));
    refused(path, "theirs", "0775");
    assert_int_equal(0, chmod(path, 01775));
    assert_int_equal(0, trust_directory(path, &failure));
}

static void not_there(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/nothing", folder);
    assert_int_equal(-ENOENT, trust_directory(path, &failure));
    assert_contains(failure.text, path);
    assert_int_equal(-ENOENT, trust_directory(path, NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(usual_places), TEST(modes),  TEST(on_the_way),
        TEST(links),        TEST(owners), TEST(not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
