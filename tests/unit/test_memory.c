/* SPDX-License-Identifier: MIT
 *
 * The shared memory: mapping, bounds, words; and an object that somebody cuts, before an access and
 * in the middle of it, with the kernel's help and in a sandbox that forbids it.
 */
#include "tests/unit/library.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* Connects with an object of a size; returns a descriptor of it. */
static int with_object(off_t size, bool sealed)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(0, ftruncate(fd, size));
    if (sealed)
        assert_int_equal(0, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    server = close_fd(server);
    connect_both();
    say(0, -1);
    say(0, -1);
    say(-1, dup(fd));
    heard[0] = '\0';
    assert_int_equal(0, dispatch_until("connected"));
    return fd;
}

static void mapping(void **state)
{
    char *memory, byte;
    int fd;

    (void)state;
    assert_null(ivshmem_memory(iv));
    assert_int_equal(0, ivshmem_memory_size(iv));
    assert_int_equal(-ENOTCONN, ivshmem_memory_sealed(iv));
    assert_int_equal(-ENOTCONN, ivshmem_read(iv, 0, &byte, 1));
    assert_contains(ivshmem_error(iv), "not connected");

    fd = with_object(5000, false); /* not even a multiple of a page */
    assert_int_equal(5000, ivshmem_memory_size(iv));
    assert_int_equal(0, ivshmem_memory_sealed(iv));
    memory = ivshmem_memory(iv);
    memory[4999] = 'x';
    assert_int_equal(1, pread(fd, &byte, 1, 4999));
    assert_int_equal('x', byte);
    close(fd);
    fd = with_object(4096, true);
    assert_int_equal(1, ivshmem_memory_sealed(iv));
    close(fd);
}

static void copies_of(bool sealed)
{
    static const char text[] = "hello world";
    char back[sizeof(text)] = "";
    int fd = with_object(8192, sealed);

    assert_int_equal(0, ivshmem_write(iv, 4090, text, sizeof(text))); /* over a page's end */
    assert_int_equal(sizeof(back), pread(fd, back, sizeof(back), 4090));
    assert_string_equal(text, back);
    memset(back, 0, sizeof(back));
    assert_int_equal(0, ivshmem_read(iv, 4090, back, sizeof(back)));
    assert_string_equal(text, back);

    assert_int_equal(0, ivshmem_write(iv, 8192 - 5, text, 5));
    assert_int_equal(0, ivshmem_write(iv, 8192, text, 0));
    assert_int_equal(-ERANGE, ivshmem_write(iv, 8192 - 5, "HELLO!", 6));
    assert_contains(ivshmem_error(iv), "8192");
    assert_int_equal(0, ivshmem_read(iv, 8192 - 5, back, 5));
    assert_memory_equal("hello", back, 5); /* nothing of what did not fit */
    assert_int_equal(-ERANGE, ivshmem_read(iv, 8193, back, 0));
    assert_int_equal(-ERANGE, ivshmem_read(iv, UINT64_MAX, back, 2));
    assert_int_equal(-ERANGE, ivshmem_fill(iv, 1, UINT64_MAX, 0));
    assert_int_equal(8192, lseek(fd, 0, SEEK_END)); /* never changes */

    assert_int_equal(0, ivshmem_fill(iv, 0, 8192, 7));
    assert_int_equal(0, ivshmem_read(iv, 8191, back, 1));
    assert_int_equal(7, back[0]);
    close(fd);
}

static void copies(void **state)
{
    (void)state;
    copies_of(false);
    copies_of(true);
}

static int find(uint64_t offset, uint64_t size, const char *needle, uint64_t *found)
{
    return ivshmem_find(iv, offset, size, needle, strlen(needle), found);
}

static void finding(void **state)
{
    enum { SIZE = 300000 };
    int fd = with_object(SIZE, false);
    char *large = malloc(SIZE);
    uint64_t found = 1;

    (void)state;
    assert_int_equal(-EINVAL, find(0, SIZE, "", &found));
    assert_int_equal(-ENOENT, find(0, SIZE, "needle", &found));
    assert_int_equal(-ENOENT, find(0, 5, "needle", &found));
    assert_int_equal(-ERANGE, find(1, SIZE, "needle", &found));
    assert_int_equal(1, found);
    for (uint64_t at = 65530; at < 65550; at++) { /* across where pieces meet */
        assert_int_equal(0, ivshmem_write(iv, at, "needle", 6));
        assert_int_equal(0, find(0, SIZE, "needle", &found));
        assert_int_equal(at, found);
        assert_int_equal(-ENOENT, find(0, at + 5, "needle", &found));
        assert_int_equal(0, find(at, 6, "needle", &found));
        assert_int_equal(-ENOENT, find(at + 1, SIZE - at - 1, "needle", &found));
        assert_int_equal(0, ivshmem_fill(iv, at, 6, 0));
    }
    assert_int_equal(0, ivshmem_write(iv, SIZE - 6, "needle", 6));
    assert_int_equal(0, find(3, SIZE - 3, "needle", &found));
    assert_int_equal(SIZE - 6, found);
    memset(large, 'n', SIZE);
    assert_int_equal(0, ivshmem_fill(iv, 50000, 200000, 'n'));
    assert_int_equal(0, ivshmem_find(iv, 0, SIZE, large, 200000, &found)); /* larger than a piece */
    assert_int_equal(50000, found);
    assert_int_equal(-ENOENT, ivshmem_find(iv, 0, SIZE, large, 200001, &found));
    free(large);
    close(fd);
}

static void words(void **state)
{
    int fd = with_object(4096, false);
    uint32_t word = 0;
    uint64_t wide = 0;

    (void)state;
    assert_int_equal(0, ivshmem_store32(iv, 4092, 41));
    assert_int_equal(0, ivshmem_add32(iv, 4092, 2, &word));
    assert_int_equal(41, word);
    assert_int_equal(0, ivshmem_add32(iv, 4092, UINT32_MAX, NULL));
    assert_int_equal(0, ivshmem_load32(iv, 4092, &word));
    assert_int_equal(42, word);
    word = 1;
    assert_int_equal(0, ivshmem_compare_exchange32(iv, 4092, &word, 5));
    assert_int_equal(42, word);
    assert_int_equal(1, ivshmem_compare_exchange32(iv, 4092, &word, 5));
    assert_int_equal(0, ivshmem_load32(iv, 4092, &word));
    assert_int_equal(5, word);

    assert_int_equal(0, ivshmem_store64(iv, 8, UINT64_MAX));
    assert_int_equal(0, ivshmem_add64(iv, 8, 8, &wide));
    assert_true(wide == UINT64_MAX);
    assert_int_equal(0, ivshmem_load64(iv, 8, &wide));
    assert_int_equal(7, wide);
    assert_int_equal(1, ivshmem_compare_exchange64(iv, 8, &wide, 1));
    assert_int_equal(0, ivshmem_compare_exchange64(iv, 8, &wide, 2));
    assert_int_equal(1, wide);

    assert_int_equal(-EINVAL, ivshmem_load32(iv, 2, &word));
    assert_int_equal(-EINVAL, ivshmem_load64(iv, 4, &wide));
    assert_contains(ivshmem_error(iv), "no multiple of 8");
    assert_int_equal(-ERANGE, ivshmem_store32(iv, 4096, 0));
    assert_int_equal(-ERANGE, ivshmem_add64(iv, UINT64_MAX - 7, 1, NULL));
    assert_int_equal(1, wide);
    close(fd);
}

/* Every function, on memory of which the end has gone. */
static void check_cut(void)
{
    char bytes[64] = "";
    uint32_t word = 1;
    uint64_t wide = 1;

    assert_int_equal(-EFAULT, ivshmem_read(iv, 8190, bytes, sizeof(bytes)));
    assert_contains(ivshmem_error(iv), "cut");
    assert_int_equal(-EFAULT, ivshmem_write(iv, 65000, bytes, sizeof(bytes)));
    assert_int_equal(-EFAULT, ivshmem_fill(iv, 0, 65536, 1));
    assert_int_equal(-EFAULT, ivshmem_find(iv, 0, 65536, "x", 1, &wide));
    assert_int_equal(-EFAULT, ivshmem_load32(iv, 8192, &word));
    assert_int_equal(-EFAULT, ivshmem_store64(iv, 8192, 1));
    assert_int_equal(-EFAULT, ivshmem_add32(iv, 8192, 1, NULL));
    assert_int_equal(-EFAULT, ivshmem_compare_exchange64(iv, 65528, &wide, 1));
    assert_int_equal(1, word);
    assert_int_equal(1, wide);
    assert_int_equal(0, ivshmem_write(iv, 0, bytes, sizeof(bytes))); /* the rest is there */
}

static void cut_before(void **state)
{
    int fd = with_object(65536, false);

    (void)state;
    assert_int_equal(0, ivshmem_fill(iv, 0, 65536, 1));
    assert_int_equal(0, ftruncate(fd, 8192));
    check_cut();
    assert_int_equal(8192, lseek(fd, 0, SEEK_END)); /* no access has made it longer */
    assert_int_equal(0, ftruncate(fd, 65536));
    assert_int_equal(0, ivshmem_fill(iv, 0, 65536, 1)); /* whole again: as before */
    close(fd);
}

static atomic_bool enough;

static void *cut_and_mend(void *context)
{
    int fd = (int)(intptr_t)context;
    uint64_t state = 0;

    while (!enough) {
        if (ftruncate(fd, 4096) < 0 || ftruncate(fd, 1 << 20) < 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = random_below(&state, 500000)}, NULL);
    }
    return NULL;
}

/* Somebody cuts and mends the object all the time: each access works, or is an error. */
static void cut_meanwhile(void **state)
{
    enum { SIZE = 1 << 20 };
    int fd = with_object(SIZE, false), faults = 0, done = 0, late = 0;
    uint8_t *bytes = calloc(1, SIZE);
    uint64_t found;
    pthread_t thread;

    (void)state;
    enough = false;
    pthread_create(&thread, NULL, cut_and_mend, (void *)(intptr_t)fd);
    for (int i = 0; i < 1500 && (late < 20 || done < 20); i++) {
        int r = i % 4 == 0   ? ivshmem_write(iv, 0, bytes, SIZE)
                : i % 4 == 1 ? ivshmem_read(iv, 0, bytes, SIZE)
                : i % 4 == 2 ? ivshmem_fill(iv, 0, SIZE, 0)
                             : ivshmem_find(iv, 0, SIZE, "not there", 9, &found);

        faults += r == -EFAULT;
        if (r == -EFAULT)
            nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL); /* until it is mended */
        late += r == -EFAULT && strstr(ivshmem_error(iv), "during");
        done += r == 0 || r == -ENOENT;
        assert_true(r == 0 || r == -EFAULT || r == -ENOENT);
    }
    enough = true;
    pthread_join(thread, NULL);
    print_message("%d faults, %d of them in the middle, %d done\n", faults, late, done);
    free(bytes);
    close(fd);
}

/* Has the kernel answer EPERM to process_vm_readv() and process_vm_writev(). */
static int enter_sandbox(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_process_vm_readv, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_process_vm_writev, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int in_sandbox(int fd)
{
    char bytes[64] = "sandbox", back[64];

    if (enter_sandbox() < 0)
        return 77;
    if (ivshmem_write(iv, 60000, bytes, sizeof(bytes)) != 0 ||
        ivshmem_read(iv, 60000, back, sizeof(back)) != 0 || memcmp(bytes, back, 64) != 0)
        return 1;
    if (ftruncate(fd, 8192) < 0)
        return 2;
    return ivshmem_write(iv, 60000, bytes, sizeof(bytes)) == -EFAULT &&
                   ivshmem_read(iv, 8190, back, sizeof(back)) == -EFAULT &&
                   ivshmem_fill(iv, 0, 65536, 1) == -EFAULT && ivshmem_fill(iv, 0, 8192, 1) == 0
               ? 0
               : 3;
}

static void sandboxed(void **state)
{
    int fd = with_object(65536, false), status = -1;
    pid_t child = fork();

    (void)state;
    if (child == 0)
        _exit(in_sandbox(fd));
    assert_int_equal(child, waitpid(child, &status, 0));
    close(fd);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(0, WEXITSTATUS(status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIBRARY_TEST(mapping),   LIBRARY_TEST(copies),     LIBRARY_TEST(finding),
        LIBRARY_TEST(words),     LIBRARY_TEST(cut_before), LIBRARY_TEST(cut_meanwhile),
        LIBRARY_TEST(sandboxed),
    };

    return library_run(tests);
}
