/* SPDX-License-Identifier: MIT
 *
 * Who is at the other end of a socket, and what its process holds: ourselves and a child.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "server/credentials.h"

/* A child that waits on a pipe, and is ended and reaped by child_end(). */
struct child {
    pid_t pid;
    int hold;
};

static void child_end(struct child *child)
{
    int status;

    close(child->hold);
    assert_int_equal(child->pid, waitpid(child->pid, &status, 0));
    assert_int_equal(0, status);
}

static void wait_for_end(int pipe)
{
    char byte;

    while (read(pipe, &byte, 1) > 0)
        continue;
    _exit(0);
}

static void ourselves(void **state)
{
    struct credentials who = {.pid = 4711};
    char name[COMMAND_SIZE] = "";
    int ends[2];

    (void)state;
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    assert_int_equal(0, prctl(PR_GET_NAME, name));
    assert_int_equal(0, credentials_read(ends[0], &who));
    assert_int_equal(getpid(), who.pid);
    assert_int_equal(geteuid(), who.uid);
    assert_int_equal(getegid(), who.gid);
    assert_string_equal(name, who.command);
    assert_in_range(who.n_groups, 0, CREDENTIALS_GROUPS_MAX);
    close(ends[0]);
    close(ends[1]);
}

/* A command name is up to its owner: newlines, no name. */
static void odd_commands(void **state)
{
    static const char *const names[][2] = {
        {"two\nlines", "two"}, {"", ""}, {"fifteen letters", "fifteen letters"}, {"\n", ""}};
    struct credentials who;
    char before[COMMAND_SIZE] = "";
    int ends[2];

    (void)state;
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    assert_int_equal(0, prctl(PR_GET_NAME, before));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(0, prctl(PR_SET_NAME, names[i][0]));
        assert_int_equal(0, credentials_read(ends[0], &who));
        assert_string_equal(names[i][1], who.command);
    }
    assert_int_equal(0, prctl(PR_SET_NAME, before));
    close(ends[0]);
    close(ends[1]);
}

static void no_socket(void **state)
{
    struct credentials who;
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    assert_int_equal(-ENOTSOCK, credentials_read(null, &who));
    assert_int_equal(-EBADF, credentials_read(-1, &who));
}

/* Another user connects, with groups of its own. Return: exit status. */
static int be_another(int sock)
{
    const gid_t groups[] = {111, 222};
    int ends[2];
    const char byte = 1;

    if (setgroups(2, groups) < 0 || setresgid(555, 555, 555) < 0 || setresuid(666, 666, 666) < 0)
        return 1;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return 2;
    /* The credentials are those of the maker; hand one end over. */
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec whole = {.iov_base = (void *)(uintptr_t)&byte, .iov_len = 1};
    struct msghdr header = {.msg_iov = &whole,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};

    control.align.cmsg_level = SOL_SOCKET;
    control.align.cmsg_type = SCM_RIGHTS;
    control.align.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.align), &ends[0], sizeof(int));
    return sendmsg(sock, &header, 0) == 1 ? 0 : 3;
}

static int receive_descriptor(int sock)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec whole = {.iov_base = &byte, .iov_len = 1};
    struct msghdr header = {.msg_iov = &whole,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    int fd;

    assert_int_equal(1, recvmsg(sock, &header, MSG_CMSG_CLOEXEC));
    assert_int_equal(CMSG_SPACE(sizeof(int)), header.msg_controllen);
    memcpy(&fd, CMSG_DATA(&control.align), sizeof(fd));
    return fd;
}

static void another_user(void **state)
{
    struct credentials who;
    int ends[2], sock, status;
    pid_t child;

    (void)state;
    if (geteuid() != 0) {
        print_message("needs root: another user\n");
        skip();
    }
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    child = fork();
    if (child == 0)
        _exit(be_another(ends[1]));
    sock = receive_descriptor(ends[0]);
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(0, status);
    assert_int_equal(0, credentials_read(sock, &who));
    assert_int_equal(child, who.pid);
    assert_int_equal(666, who.uid);
    assert_int_equal(555, who.gid);
    assert_int_equal(2, who.n_groups);
    assert_int_equal(111, who.groups[0]);
    assert_int_equal(222, who.groups[1]);
    assert_string_equal("?", who.command); /* it has ended, and left no name */
    close(sock);
    close(ends[0]);
    close(ends[1]);
}

static void descriptor_limits(void **state)
{
    struct rlimit few = {.rlim_cur = 77};
    struct child child;
    uint64_t limit = 4711;
    int ends[2];

    (void)state;
    assert_int_equal(-ESRCH, descriptor_limit_of(0, &limit));
    assert_int_equal(-ENOENT, descriptor_limit_of(INT32_MAX, &limit));
    assert_int_equal(4711, limit);
    assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &few));
    assert_int_equal(0, descriptor_limit_of(getpid(), &limit));
    assert_int_equal(few.rlim_cur, limit);

    assert_int_equal(0, pipe2(ends, O_CLOEXEC));
    child.pid = fork();
    if (child.pid == 0) {
        close(ends[1]);
        wait_for_end(ends[0]);
    }
    close(ends[0]);
    child.hold = ends[1];
    few.rlim_cur = 77;
    assert_int_equal(0, prlimit(child.pid, RLIMIT_NOFILE, &few, NULL));
    assert_int_equal(0, descriptor_limit_of(child.pid, &limit));
    assert_int_equal(77, limit);
    child_end(&child);
}

static void descriptor_counts(void **state)
{
    uint64_t before = 0, after = 0, count = 4711;
    int spare[30], ends[2], ready[2];
    struct child child;
    char byte;

    (void)state;
    assert_int_equal(-ESRCH, descriptors_of(0, &count));
    assert_int_equal(-ENOENT, descriptors_of(INT32_MAX, &count));
    assert_int_equal(4711, count);
    assert_int_equal(0, descriptors_of(getpid(), &before));
    assert_in_range(before, count_descriptors(), count_descriptors() + 1); /* and who looks */
    for (int i = 0; i < 30; i++)
        spare[i] = dup(STDIN_FILENO);
    assert_int_equal(0, descriptors_of(getpid(), &after));
    assert_int_equal(before + 30, after);
    for (int i = 0; i < 30; i++)
        close(spare[i]);

    assert_int_equal(0, pipe2(ends, O_CLOEXEC));
    assert_int_equal(0, pipe2(ready, O_CLOEXEC));
    child.pid = fork();
    if (child.pid == 0) {
        close(ends[1]);
        for (int fd = 0; fd < 1024; fd++)
            if (fd != ends[0] && fd != ready[1])
                close(fd);
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        wait_for_end(ends[0]);
    }
    close(ends[0]);
    child.hold = ends[1];
    assert_int_equal(1, read(ready[0], &byte, 1));
    assert_int_equal(0, descriptors_of(child.pid, &count));
    assert_int_equal(2, count);
    child_end(&child);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ourselves),         cmocka_unit_test(odd_commands),
        cmocka_unit_test(no_socket),         cmocka_unit_test(another_user),
        cmocka_unit_test(descriptor_limits), cmocka_unit_test(descriptor_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
