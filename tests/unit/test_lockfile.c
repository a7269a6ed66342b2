/* SPDX-License-Identifier: MIT
 *
 * Lock files: one holder at a time, leftovers stop nobody, and what is in the way is refused.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "server/lockfile.h"

static char folder[64];
static int directory, descriptors_before;
static struct failure failure;

static int set_up(void **state)
{
    (void)state;
    descriptors_before = count_descriptors();
    failure.text[0] = '\0';
    scratch_make(folder);
    directory = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return directory < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    directory = close_fd(directory);
    scratch_remove(folder);
    return count_descriptors() == descriptors_before ? 0 : -1;
}

static int acquire(struct lockfile *lock)
{
    return lockfile_acquire(lock, directory, ".x.lock", "socket /tmp/x", &failure);
}

static bool exists(void)
{
    return faccessat(directory, ".x.lock", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void take_and_give_back(void **state)
{
    struct lockfile lock = LOCKFILE_INIT;
    struct stat status;
    char text[32] = "", pid[32];
    _cleanup_fclose_ FILE *file = NULL;

    (void)state;
    assert_int_equal(0, acquire(&lock));
    assert_int_equal(0, fstatat(directory, ".x.lock", &status, AT_SYMLINK_NOFOLLOW));
    assert_int_equal(S_IFREG | 0600, status.st_mode);
    assert_true(fcntl(lock.fd, F_GETFD) & FD_CLOEXEC);
    file = fopen(path_of(".x.lock"), "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    assert_string_equal(pid, text);
    lockfile_release(&lock);
    assert_false(exists());
    lockfile_release(&lock); /* does nothing */
    assert_int_equal(0, acquire(&lock));
    lockfile_release(&lock);
}

static void second_is_refused(void **state)
{
    struct lockfile lock = LOCKFILE_INIT, other = LOCKFILE_INIT;
    char pid[32];

    (void)state;
    assert_int_equal(0, acquire(&lock));
    assert_int_equal(-EBUSY, acquire(&other));
    snprintf(pid, sizeof(pid), "pid %d:", (int)getpid());
    assert_contains(failure.text, pid);
    assert_contains(failure.text, "socket /tmp/x");
    assert_int_equal(-1, other.fd);
    lockfile_release(&other); /* takes nothing away from the holder */
    assert_true(exists());
    assert_int_equal(-EBUSY, acquire(&other));
    lockfile_release(&lock);
    assert_int_equal(0, acquire(&other));
    lockfile_release(&other);
}

/* The holder may have been killed before it wrote its number, or somebody wrote something else. */
static void odd_content(void **state)
{
    static const char *const contents[] = {"", "\n", "not a number", "-5", "\x1b[2J"};
    struct lockfile lock = LOCKFILE_INIT, other = LOCKFILE_INIT;

    (void)state;
    assert_int_equal(0, acquire(&lock));
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        write_file(path_of(".x.lock"), contents[i]);
        assert_int_equal(-EBUSY, acquire(&other));
        assert_contains(failure.text, "pid unknown:");
    }
    write_file(path_of(".x.lock"), "12345678901234567890123456789012345678901234567890");
    assert_int_equal(-EBUSY, acquire(&other));
    assert_contains(failure.text, "pid 123456789012345:");
    lockfile_release(&lock);
}

static void leftover(void **state)
{
    struct lockfile lock = LOCKFILE_INIT;
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0)
        _exit(acquire(&lock) == 0 ? 0 : 1); /* a crash: the file stays */
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(0, status);
    assert_true(exists());
    assert_int_equal(0, acquire(&lock));
    lockfile_release(&lock);
}

static void in_the_way(void **state)
{
    struct lockfile lock = LOCKFILE_INIT;

    (void)state;
    assert_int_equal(0, symlinkat("/dev/null", directory, ".x.lock"));
    assert_int_equal(-ELOOP, acquire(&lock));
    assert_contains(failure.text, ".x.lock");
    assert_true(exists());
    assert_int_equal(0, unlinkat(directory, ".x.lock", 0));

    assert_int_equal(0, mkdirat(directory, ".x.lock", 0700));
    assert_int_equal(-EISDIR, acquire(&lock));
    assert_int_equal(0, unlinkat(directory, ".x.lock", AT_REMOVEDIR));

    assert_int_equal(0, mkfifoat(directory, ".x.lock", 0600));
    assert_int_equal(-EPERM, acquire(&lock));
    assert_contains(failure.text, "not a regular file");
    assert_true(exists());
}

static void of_another_user(void **state)
{
    struct lockfile lock = LOCKFILE_INIT;

    (void)state;
    if (geteuid() != 0) {
        print_message("needs root: a file of another user\n");
        skip();
    }
    write_file(path_of(".x.lock"), "");
    assert_int_equal(0, chown(path_of(".x.lock"), 12345, 0));
    assert_int_equal(-EPERM, acquire(&lock)); /* he could hold the lock for ever */
    assert_true(exists());
}

static void no_directory(void **state)
{
    struct lockfile lock = LOCKFILE_INIT;

    (void)state;
    assert_int_equal(-EBADF, lockfile_acquire(&lock, -1, ".x.lock", "it", &failure));
    assert_int_equal(-ENOENT, lockfile_acquire(&lock, directory, "no/lock", "it", &failure));
    assert_int_equal(-1, lock.fd);
}

/* Return: exit status: 1 when two hold the lock at once. */
static int contend(void)
{
    struct lockfile lock = LOCKFILE_INIT;

    for (int i = 0; i < 100; i++) {
        int r = acquire(&lock), fd;

        if (r == -EBUSY || r == -EAGAIN)
            continue;
        if (r < 0)
            return 2;
        fd = openat(directory, "held", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0)
            return 1;
        close(fd);
        unlinkat(directory, "held", 0);
        lockfile_release(&lock);
    }
    return 0;
}

static void one_at_a_time(void **state)
{
    enum { CHILDREN = 4 };
    pid_t children[CHILDREN];
    int status, worst = 0;

    (void)state;
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(contend());
        assert_true(children[i] > 0);
    }
    for (int i = 0; i < CHILDREN; i++) {
        assert_int_equal(children[i], waitpid(children[i], &status, 0));
        worst = status > worst ? status : worst;
    }
    assert_int_equal(0, worst);
    assert_false(exists());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(take_and_give_back), TEST(second_is_refused), TEST(odd_content),  TEST(leftover),
        TEST(in_the_way),         TEST(of_another_user),   TEST(no_directory), TEST(one_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
