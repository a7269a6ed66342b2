/* SPDX-License-Identifier: MIT
 *
 * The memory: made whole, never shrunk under anybody, given up as it was found. The objects have
 * names of their own for this process, and each test ends with none of them there.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "server/region.h"

enum { SIZE = 1 << 20 };

static char name[64], path[96], lock_path[96], other_path[96];
static struct region_setup setup;
static struct failure failure;
static struct capture capture = CAPTURE_INIT;
static int descriptors_before;

static bool exists(const char *what)
{
    return access(what, F_OK) == 0;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(name, sizeof(name), "ivshmem-unit-%d", (int)getpid());
    snprintf(path, sizeof(path), "/dev/shm/%s", name);
    snprintf(lock_path, sizeof(lock_path), "/dev/shm/.%s.lock", name);
    snprintf(other_path, sizeof(other_path), "/dev/shm/%s-other", name);
    setup = (struct region_setup){.name = name,
                                  .size = SIZE,
                                  .mode = 0600,
                                  .owner = (uid_t)-1,
                                  .group = (gid_t)-1,
                                  .reserve = true,
                                  .numa_node = -1};
    failure.text[0] = '\0';
    descriptors_before = count_descriptors();
    capture_start(&capture);
    return 0;
}

static int tear_down(void **state)
{
    bool clean;

    (void)state;
    capture_stop(&capture);
    clean = !exists(path) && !exists(lock_path) && !exists(other_path);
    unlink(path);
    rmdir(path);
    unlink(lock_path);
    unlink(other_path);
    return clean && count_descriptors() == descriptors_before ? 0 : -1;
}

static struct region *make(void)
{
    struct region *region = NULL;
    int r = region_new(&setup, &region, &failure);

    if (r < 0)
        fail_msg("%s", failure.text);
    return region;
}

static void refused(int error, const char *why)
{
    struct region *region = NULL;
    int r = region_new(&setup, &region, &failure);

    assert_int_equal(error, r);
    assert_null(region);
    assert_contains(failure.text, why);
}

/* An object as another program would leave it: all bytes the same. */
static void leave_object(off_t size, mode_t mode, char content)
{
    char bytes[4096];
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    memset(bytes, content, sizeof(bytes));
    assert_true(fd >= 0);
    for (off_t at = 0; at < size; at += (off_t)sizeof(bytes))
        assert_int_equal(sizeof(bytes), pwrite(fd, bytes, sizeof(bytes), at));
    assert_int_equal(0, fchmod(fd, mode));
}

static char byte_at(int fd, off_t offset)
{
    char byte = '?';

    assert_int_equal(1, pread(fd, &byte, 1, offset));
    return byte;
}

static struct stat status_of(int fd)
{
    struct stat status;

    assert_int_equal(0, fstat(fd, &status));
    return status;
}

static void names(void **state)
{
    char longest[202] = "";

    (void)state;
    assert_int_equal(0, region_name_check("ivshmem", &failure));
    assert_int_equal(0, region_name_check("/ivshmem", &failure));
    assert_int_equal(0, region_name_check("...", &failure));
    memset(longest, 'x', 200);
    assert_int_equal(0, region_name_check(longest, &failure));
    longest[200] = 'x';
    assert_int_equal(-EINVAL, region_name_check(longest, &failure));
    assert_int_equal(-EINVAL, region_name_check("", &failure));
    assert_int_equal(-EINVAL, region_name_check("/", &failure));
    assert_int_equal(-EINVAL, region_name_check("//x", &failure));
    assert_int_equal(-EINVAL, region_name_check("a/b", &failure));
    assert_int_equal(-EINVAL, region_name_check(".", &failure));
    assert_int_equal(-EINVAL, region_name_check("/..", &failure));
    assert_contains(failure.text, "'..'");
}

static void a_named_object(void **state)
{
    struct region *region;
    struct stat status, named;

    (void)state;
    setup.mode = 0640;
    region = make();
    status = status_of(region->fd);
    assert_int_equal(0, lstat(path, &named));
    assert_int_equal(status.st_ino, named.st_ino);
    assert_int_equal(S_IFREG | 0640, named.st_mode);
    assert_int_equal(SIZE, named.st_size);
    assert_int_equal(SIZE, region->size);
    assert_true(named.st_blocks * 512 >= SIZE); /* the pages are there */
    assert_int_equal(1, named.st_nlink);
    assert_true(exists(lock_path));
    assert_true(fcntl(region->fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(region->peer_fd, F_GETFD) & FD_CLOEXEC);
    assert_null(region_free(region));
    assert_false(exists(path));
    assert_null(region_free(NULL));
}

/* What peers do to their description is theirs alone: flags, position, locks. */
static void a_description_for_peers(void **state)
{
    struct region *region = make();

    (void)state;
    assert_int_equal(status_of(region->fd).st_ino, status_of(region->peer_fd).st_ino);
    assert_int_equal(0, fcntl(region->peer_fd, F_SETFL, O_APPEND));
    assert_false(fcntl(region->fd, F_GETFL) & O_APPEND);
    assert_int_equal(77, lseek(region->peer_fd, 77, SEEK_SET));
    assert_int_equal(0, lseek(region->fd, 0, SEEK_CUR));
    assert_int_equal(0, flock(region->peer_fd, LOCK_EX | LOCK_NB));
    assert_int_equal(-1, flock(region->fd, LOCK_EX | LOCK_NB));
    assert_int_equal(O_RDWR, fcntl(region->peer_fd, F_GETFL) & O_ACCMODE);
    region_free(region);
}

static void not_reserved(void **state)
{
    struct region *region;

    (void)state;
    setup.reserve = false;
    setup.size = UINT64_C(1) << 33; /* more than 32 bits of it */
    region = make();
    assert_true(status_of(region->fd).st_size == (off_t)setup.size);
    assert_int_equal(0, status_of(region->fd).st_blocks);
    assert_int_equal(1, pwrite(region->peer_fd, "x", 1, (off_t)setup.size - 1));
    region_free(region);
}

static void more_than_there_is(void **state)
{
    (void)state;
    setup.size = UINT64_C(1) << 50;
    refused(-ENOSPC, "1125899906842624 bytes");
    assert_contains(failure.text, "missing");
    assert_contains(failure.text, "--no-reserve");
    assert_false(exists(path));
    leave_object(4096, 0600, 'x'); /* what was there before is still there */
    refused(-ENOSPC, "missing");
    assert_true(exists(path));
    assert_int_equal(0, unlink(path));
}

static void taken_over(void **state)
{
    struct region *region;
    struct stat status;

    (void)state;
    leave_object(SIZE, 0600, 'x');
    assert_int_equal(0, stat(path, &status));
    region = make();
    assert_int_equal(status.st_ino, status_of(region->fd).st_ino);
    assert_int_equal('x', byte_at(region->peer_fd, 0));
    assert_int_equal('x', byte_at(region->peer_fd, SIZE - 1));
    region_free(region);
    assert_false(exists(path));
}

static void cleared(void **state)
{
    struct region *region;
    struct stat status;

    (void)state;
    setup.zero = true;
    leave_object(SIZE, 0600, 'x');
    assert_int_equal(0, stat(path, &status));
    region = make();
    assert_int_equal(status.st_ino, status_of(region->fd).st_ino);
    for (off_t at = 0; at < SIZE; at += 4095)
        assert_int_equal(0, byte_at(region->peer_fd, at));
    assert_true(status_of(region->fd).st_blocks * 512 >= SIZE);
    region_free(region);
}

/* Somebody may map the old object: it stays whole, and only its name goes to a new one. */
static void check_replaced(void)
{
    _cleanup_close_ int old = open(path, O_RDWR | O_CLOEXEC);
    struct stat before = status_of(old);
    struct region *region = make();

    assert_true(status_of(region->fd).st_ino != before.st_ino);
    assert_int_equal(SIZE, status_of(region->fd).st_size);
    assert_int_equal(0, byte_at(region->fd, 0));
    assert_int_equal(before.st_size, status_of(old).st_size);
    assert_int_equal(before.st_nlink - 1, status_of(old).st_nlink);
    if (before.st_size)
        assert_int_equal('x', byte_at(old, before.st_size - 1));
    region_free(region);
    assert_false(exists(path));
}

static void replaced(void **state)
{
    (void)state;
    leave_object(2 * SIZE, 0600, 'x');
    check_replaced();
    leave_object(SIZE / 2, 0600, 'x');
    check_replaced();
    leave_object(0, 0600, 'x');
    check_replaced();
    leave_object(SIZE, 0666, 'x'); /* others might have put something there, or map it still */
    check_replaced();
    leave_object(SIZE, 0600, 'x');
    assert_int_equal(0, link(path, other_path)); /* reachable by another name */
    check_replaced();
    assert_int_equal(0, unlink(other_path));
}

static void owners(void **state)
{
    struct region *region;
    struct stat status;

    (void)state;
    if (geteuid() != 0) {
        print_message("needs root: objects of other users\n");
        skip();
    }
    setup.owner = 12345;
    setup.group = 12346;
    region = make();
    status = status_of(region->fd);
    assert_int_equal(12345, status.st_uid);
    assert_int_equal(12346, status.st_gid);
    region_free(region);

    leave_object(SIZE, 0600, 'x');
    assert_int_equal(0, chown(path, 12345, 12346));
    region = make(); /* whom it is to belong to */
    assert_int_equal('x', byte_at(region->fd, 0));
    region_free(region);

    leave_object(SIZE, 0600, 'x');
    check_replaced(); /* ours, but that is not what was asked for */

    leave_object(SIZE, 0600, 'x');
    assert_int_equal(0, chown(path, 54321, 0));
    refused(-EPERM, "uid 54321");
    setup.adopt = true;
    refused(-EPERM, "uid 54321");
    assert_int_equal(0, stat(path, &status)); /* left as it was */
    assert_int_equal(54321, status.st_uid);
    assert_int_equal(SIZE, status.st_size);
    assert_int_equal(0, unlink(path));
}

static void in_the_way(void **state)
{
    (void)state;
    assert_int_equal(0, symlink("/dev/null", path));
    refused(-ELOOP, path);
    assert_int_equal(0, unlink(path));
    assert_int_equal(0, mkdir(path, 0700));
    refused(-EISDIR, path);
    assert_int_equal(0, rmdir(path));
    assert_int_equal(0, mkfifo(path, 0600));
    refused(-EEXIST, "not a regular file");
    assert_int_equal(0, unlink(path));
}

static void one_server_a_name(void **state)
{
    struct region *region = make();
    char pid[32];

    (void)state;
    assert_int_equal(1, pwrite(region->fd, "x", 1, 5));
    snprintf(pid, sizeof(pid), "pid %d:", (int)getpid());
    setup.size = 2 * SIZE;
    refused(-EBUSY, pid);
    assert_contains(failure.text, name);
    setup.adopt = true;
    refused(-EBUSY, pid);
    assert_int_equal(SIZE, status_of(region->fd).st_size);
    assert_int_equal('x', byte_at(region->fd, 5));
    assert_true(exists(path) && exists(lock_path));
    region_free(region);
}

static void kept(void **state)
{
    struct region *region;

    (void)state;
    setup.keep = true;
    region = make();
    assert_int_equal(1, pwrite(region->peer_fd, "x", 1, 5));
    region_free(region);
    assert_true(exists(path));
    setup.keep = false;
    region = make();
    assert_int_equal('x', byte_at(region->peer_fd, 5));
    region_free(region);
}

static void name_is_another_now(void **state)
{
    struct region *region = make();

    (void)state;
    assert_int_equal(0, unlink(path));
    leave_object(4096, 0600, 'y');
    region_free(region);
    assert_true(exists(path)); /* not ours to remove */
    assert_int_equal(0, unlink(path));
}

static void adopted(void **state)
{
    struct region *region;
    struct stat status;

    (void)state;
    setup.adopt = true;
    leave_object(SIZE, 0666, 'x'); /* whatever mode the other creator gave it */
    region = make();
    assert_int_equal('x', byte_at(region->fd, SIZE - 1));
    region_free(region);
    assert_int_equal(0, stat(path, &status));
    assert_int_equal(SIZE, status.st_size);
    assert_int_equal(S_IFREG | 0666, status.st_mode);
    assert_int_equal(0, unlink(path));

    region = make(); /* we come first */
    assert_int_equal(SIZE, status_of(region->fd).st_size);
    region_free(region);
    assert_true(exists(path));
    assert_int_equal(0, unlink(path));

    leave_object(2 * SIZE, 0600, 'x');
    refused(-EINVAL, "exactly 1048576");
    assert_int_equal(0, stat(path, &status));
    assert_int_equal(2 * SIZE, status.st_size);
    assert_int_equal(0, unlink(path));
}

/* Size 0: the other creator is at work. */
static void adopted_while_it_is_made(void **state)
{
    const struct timespec moment = {.tv_nsec = 50000000};
    struct region *region;
    struct stat status;
    pid_t child;
    int outcome;

    (void)state;
    setup.adopt = true;
    leave_object(0, 0600, 'x');
    assert_int_equal(0, stat(path, &status));
    child = fork();
    if (child == 0) {
        nanosleep(&moment, NULL);
        _exit(truncate(path, SIZE) == 0 ? 0 : 1);
    }
    region = make();
    assert_int_equal(status.st_ino, status_of(region->fd).st_ino);
    assert_int_equal(child, waitpid(child, &outcome, 0));
    assert_int_equal(0, outcome);
    region_free(region);
    assert_int_equal(0, unlink(path));
}

static void sealed(void **state)
{
    struct region *region;
    int seals;

    (void)state;
    setup.sealed = true;
    region = make();
    assert_false(exists(path) || exists(lock_path));
    assert_null(region->name);
    seals = fcntl(region->peer_fd, F_GET_SEALS);
    assert_int_equal(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, seals);
    assert_int_equal(-1, ftruncate(region->peer_fd, 0));
    assert_int_equal(EPERM, errno);
    assert_int_equal(-1, ftruncate(region->peer_fd, 2 * SIZE));
    assert_int_equal(1, pwrite(region->peer_fd, "x", 1, SIZE - 1)); /* and it can be written */
    assert_true(status_of(region->fd).st_blocks * 512 >= SIZE);
    assert_int_equal(0600, status_of(region->fd).st_mode & 07777);
    region_free(region);
}

static void in_a_directory(void **state)
{
    char folder[64];
    struct region *region;

    (void)state;
    scratch_make(folder);
    setup.directory = folder;
    region = make();
    assert_int_equal(SIZE, status_of(region->fd).st_size);
    assert_int_equal(0, status_of(region->fd).st_nlink);
    assert_int_equal(0, rmdir(folder)); /* nothing is in it */
    region_free(region);
    refused(-ENOENT, folder);
}

static void numa(void **state)
{
    struct region *region;
    int r;

    (void)state;
    setup.numa_node = 0;
    r = region_new(&setup, &region, &failure);
    if (r == -ENOSYS || r == -EPERM) {
        capture_stop(&capture);
        print_message("this kernel binds no memory to nodes\n");
        skip();
    }
    assert_int_equal(0, r);
    region_free(region);
    setup.numa_node = 1000;
    refused(-EINVAL, "NUMA node 1000");
}

static void restored(void **state)
{
    struct region *region = make();
    uint64_t found = 0, refilled = 0;

    (void)state;
    assert_int_equal(0, region_restore(region, &found));
    assert_int_equal(SIZE, found);
    for (off_t at = 0; at < SIZE; at += 4096)
        assert_int_equal(1, pwrite(region->fd, "x", 1, at));
    assert_int_equal(0, truncate(path, SIZE / 4));
    assert_int_equal(1, region_restore(region, &found));
    assert_int_equal(SIZE / 4, found);
    assert_int_equal(SIZE, status_of(region->fd).st_size);
    assert_int_equal('x', byte_at(region->fd, SIZE / 4 - 4096)); /* outside the cut: as it was */
    assert_int_equal(0, byte_at(region->fd, SIZE / 4));
    while (region_refill(region, &refilled) > 0)
        continue;
    assert_int_equal(SIZE, refilled);
    assert_true(status_of(region->fd).st_blocks * 512 >= SIZE); /* and reserved again */
    assert_int_equal(0, truncate(path, 3 * SIZE));
    assert_int_equal(1, region_restore(region, &found));
    assert_int_equal(3 * SIZE, found);
    assert_int_equal(SIZE, status_of(region->fd).st_size);
    assert_int_equal(0, region_restore(region, &found));
    region_free(region);
}

/* Whichever descriptor is the one too many: an error, and everything is as it was before. */
static void no_descriptors_left(void **state)
{
    struct region *region;
    struct stat status;

    (void)state;
    for (int leftover = 0; leftover < 2; leftover++) {
        int r = -1;

        if (leftover)
            leave_object(SIZE, 0600, 'x');
        for (unsigned room = 0; r < 0; room++) {
            rlim_t limit = limit_descriptors(room);

            r = region_new(&setup, &region, &failure);
            unlimit_descriptors(limit);
            if (r == 0)
                break;
            assert_true(r == -EMFILE || room == 0);
            assert_int_equal(leftover, exists(path));
            assert_false(exists(lock_path));
            assert_in_range(room, 0, 20);
            if (leftover) {
                assert_int_equal(0, stat(path, &status));
                assert_int_equal(SIZE, status.st_size);
            }
        }
        region_free(region);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(names),
        TEST(a_named_object),
        TEST(a_description_for_peers),
        TEST(not_reserved),
        TEST(more_than_there_is),
        TEST(taken_over),
        TEST(cleared),
        TEST(replaced),
        TEST(owners),
        TEST(in_the_way),
        TEST(one_server_a_name),
        TEST(kept),
        TEST(name_is_another_now),
        TEST(adopted),
        TEST(adopted_while_it_is_made),
        TEST(sealed),
        TEST(in_a_directory),
        TEST(numa),
        TEST(restored),
        TEST(no_descriptors_left),
    };

    log_set_level(LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
