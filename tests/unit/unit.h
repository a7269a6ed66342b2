/* SPDX-License-Identifier: MIT
 *
 * What the unit tests of the server and of common/ share: cmocka with the headers that it wants to
 * come first, a count of open descriptors, random numbers that come again, a private directory, and
 * the text that goes to stderr meanwhile.
 */
#ifndef IVSHMEM_TESTS_UNIT_H
#define IVSHMEM_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/** count_descriptors() - how many descriptors this process has open, as /proc/self/fd tells */
static inline int count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = -3; /* ".", ".." and the one that is looking */

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/** limit_descriptors() - let at most @more descriptors be opened; gives back the old soft limit */
static inline rlim_t limit_descriptors(unsigned more)
{
    struct rlimit limit;
    int spare[64];
    rlim_t before;

    assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &limit));
    assert_in_range(more, 0, 63);
    for (unsigned i = 0; i <= more; i++) { /* numbers below may have gaps: the limit is a number */
        spare[i] = dup(STDIN_FILENO);
        assert_true(spare[i] >= 0);
    }
    before = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)spare[more];
    for (unsigned i = 0; i <= more; i++)
        close(spare[i]);
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &limit));
    return before;
}

/** unlimit_descriptors() - put back the soft limit that limit_descriptors() gave back */
static inline void unlimit_descriptors(rlim_t before)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = before;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/** random_start() - the seed: that of the variable IVSHMEM_TEST_SEED, else always the same */
static inline uint64_t random_start(void)
{
    const char *seed = getenv("IVSHMEM_TEST_SEED");
    uint64_t state = seed ? strtoull(seed, NULL, 0) : 0;

    print_message("seed: IVSHMEM_TEST_SEED=%llu\n", (unsigned long long)state);
    return state;
}

/** random_next() - 64 random bits; @state is any number (the generator is SplitMix64) */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/** random_below() - a random number from 0 to @limit - 1 */
static inline unsigned random_below(uint64_t *state, unsigned limit)
{
    return (unsigned)(random_next(state) % limit);
}

/** scratch_make() - fill in the path of a new private directory; /tmp is one that the server trusts
 */
static inline void scratch_make(char path[64])
{
    snprintf(path, 64, "/tmp/ivshmem-unit-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline int remove_entry(const char *path, const struct stat *status, int kind,
                               struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

/** scratch_remove() - remove a directory with all that is in it */
static inline void scratch_remove(const char *path)
{
    nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/** write_file() - make a file that holds a text */
static inline void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(0, fclose(file));
}

/**
 * struct capture - stderr goes into a pipe
 * @real: where it went before, -1 when nothing is captured
 * @pipe: the reading end
 */
struct capture {
    int real, pipe;
};

#define CAPTURE_INIT                                                                               \
    {                                                                                              \
        .real = -1, .pipe = -1                                                                     \
    }

/** capture_start() - from now on stderr is captured; what does not fit the pipe is not waited for
 */
static inline void capture_start(struct capture *capture)
{
    int ends[2];

    assert_int_equal(0, pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    fflush(stderr);
    capture->real = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(capture->real >= 0);
    assert_int_equal(STDERR_FILENO, dup2(ends[1], STDERR_FILENO));
    close(ends[1]);
    capture->pipe = ends[0];
}

/** capture_read() - what has been written so far and not been read yet, as a string */
static inline const char *capture_read(const struct capture *capture)
{
    static char text[1 << 17];
    size_t length = 0;
    ssize_t got;

    fflush(stderr);
    while ((got = read(capture->pipe, text + length, sizeof(text) - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    return text;
}

/** capture_stop() - stderr is what it was, and gets what nobody read: why a test failed, perhaps */
static inline void capture_stop(struct capture *capture)
{
    const char *unread;

    if (capture->real < 0)
        return;
    unread = capture_read(capture);
    dup2(capture->real, STDERR_FILENO);
    fputs(unread, stderr);
    close(capture->real);
    close(capture->pipe);
    *capture = (struct capture)CAPTURE_INIT;
}

/** assert_contains() - a text holds another; says both when it does not */
static inline void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

#endif
