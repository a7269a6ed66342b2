/* SPDX-License-Identifier: MIT
 *
 * Messages through a socketpair: whole and in pieces, with none, one and too many descriptors, at
 * the descriptor limit, and cut off. Each test ends with as many open descriptors as it began with.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/doorbell.h"
#include "common/fdpass.h"

enum { SCM_MAX = 253 }; /* descriptors that one message can carry, unix(7) */

static int us, them; /* a connected pair */
static struct fdpass_reader reader = FDPASS_READER_INIT;
static int descriptors_before;

static int set_up(void **state)
{
    int ends[2];

    (void)state;
    descriptors_before = count_descriptors();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    us = ends[0];
    them = ends[1];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fdpass_reader_deinit(&reader);
    us = close_fd(us);
    them = close_fd(them);
    return count_descriptors() == descriptors_before ? 0 : -1;
}

/* Sends any bytes with any number of descriptors, as a stranger might. */
static void send_raw(const void *bytes, size_t length, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(SCM_MAX * sizeof(int))];
    } control = {.room = {0}};
    struct iovec whole = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    struct msghdr header = {.msg_iov = &whole, .msg_iovlen = 1};

    if (n_fds) {
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    }
    assert_int_equal(length, sendmsg(them, &header, MSG_NOSIGNAL));
}

static int receive(int64_t *value, int *fd)
{
    *value = 4711;
    *fd = -4711;
    return fdpass_read(&reader, us, value, fd);
}

/* Whether two descriptors are the same eventfd: what is rung at one is taken at the other. */
static void assert_same_doorbell(int one, int other)
{
    assert_int_equal(0, doorbell_take(other));
    assert_int_equal(0, doorbell_ring(one));
    assert_int_equal(1, doorbell_take(other));
}

static void whole_messages(void **state)
{
    static const int64_t values[] = {0, -1, -2, 1, 65535, 65536, INT64_MAX, INT64_MIN};
    int64_t value;
    int fd;

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        _cleanup_close_ int doorbell = doorbell_new();

        assert_int_equal(0, fdpass_write(them, values[i], -1));
        assert_int_equal(0, fdpass_write(them, values[i], doorbell));
        assert_int_equal(1, receive(&value, &fd));
        assert_true(value == values[i]);
        assert_int_equal(-1, fd);
        assert_int_equal(1, receive(&value, &fd));
        assert_true(value == values[i]);
        assert_true(fd >= 0 && fd != doorbell); /* the sender's stays the sender's */
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_same_doorbell(doorbell, fd);
        close(fd);
    }
    assert_int_equal(-EAGAIN, receive(&value, &fd));
    assert_int_equal(-4711, fd);
    assert_int_equal(4711, value);
}

static void messages_stay_apart(void **state)
{
    int doorbells[20];
    int64_t value;
    int fd;

    (void)state;
    for (int i = 0; i < 20; i++) {
        doorbells[i] = i % 3 ? doorbell_new() : -1;
        assert_int_equal(0, fdpass_write(them, i, doorbells[i]));
    }
    for (int i = 0; i < 20; i++) {
        assert_int_equal(1, receive(&value, &fd));
        assert_int_equal(i, value);
        if (doorbells[i] < 0) {
            assert_int_equal(-1, fd);
            continue;
        }
        assert_same_doorbell(doorbells[i], fd);
        close(fd);
        close(doorbells[i]);
    }
}

static void two_pieces(void **state)
{
    uint8_t bytes[WIRE_SIZE];
    int64_t value;
    int fd;

    (void)state;
    wire_encode(bytes, INT64_C(0x1122334455667788));
    for (size_t cut = 1; cut < WIRE_SIZE; cut++)
        for (int with = -2; with < 2; with++) { /* the descriptor: with piece 0, with 1, or none */
            _cleanup_close_ int doorbell = doorbell_new();

            send_raw(bytes, cut, &doorbell, with == 0);
            if (with > -2) { /* else both pieces are there before anybody looks */
                assert_int_equal(-EAGAIN, receive(&value, &fd));
                assert_int_equal(4711, value);
                assert_int_equal(-EAGAIN, receive(&value, &fd));
            }
            send_raw(bytes + cut, WIRE_SIZE - cut, &doorbell, with == 1);
            assert_int_equal(1, receive(&value, &fd));
            assert_true(value == INT64_C(0x1122334455667788));
            assert_int_equal(with >= 0, fd >= 0);
            if (fd >= 0)
                assert_same_doorbell(doorbell, fd);
            close_fd(fd);
        }
}

static void byte_by_byte(void **state)
{
    uint8_t bytes[3 * WIRE_SIZE];
    int64_t value;
    int fd;

    (void)state;
    for (int i = 0; i < 3; i++)
        wire_encode(bytes + i * WIRE_SIZE, -i);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        send_raw(bytes + i, 1, NULL, 0);
        if (i % WIRE_SIZE < WIRE_SIZE - 1) {
            assert_int_equal(-EAGAIN, receive(&value, &fd));
        } else {
            assert_int_equal(1, receive(&value, &fd));
            assert_int_equal(-(int)(i / WIRE_SIZE), value);
            assert_int_equal(-1, fd);
        }
    }
}

/* A blocking socket: the rest of a message is waited for. */
static void pieces_waited_for(void **state)
{
    const struct timespec moment = {.tv_nsec = 20000000};
    uint8_t bytes[WIRE_SIZE];
    int64_t value;
    int fd, status;
    pid_t child;

    (void)state;
    wire_encode(bytes, 77);
    assert_int_equal(0, fcntl(us, F_SETFL, 0));
    child = fork();
    if (child == 0) {
        for (int i = 0; i < WIRE_SIZE; i += 4) {
            nanosleep(&moment, NULL);
            if (write(them, bytes + i, 4) != 4)
                _exit(1);
        }
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(1, receive(&value, &fd));
    assert_int_equal(77, value);
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(0, status);
}

static void too_many_descriptors(void **state)
{
    static const size_t counts[] = {2, 3, 17, SCM_MAX};
    uint8_t bytes[WIRE_SIZE];
    int fds[SCM_MAX], fd;
    int64_t value;
    int open_before;

    (void)state;
    wire_encode(bytes, 5);
    fds[0] = doorbell_new();
    for (size_t i = 1; i < SCM_MAX; i++)
        fds[i] = fds[0];
    open_before = count_descriptors();
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        send_raw(bytes, WIRE_SIZE, fds, counts[i]);
        assert_int_equal(-EPROTO, receive(&value, &fd));
        assert_int_equal(-4711, fd);
        fdpass_reader_deinit(&reader);
        assert_int_equal(open_before, count_descriptors());
    }
    close(fds[0]);
}

static void descriptor_with_each_piece(void **state)
{
    uint8_t bytes[WIRE_SIZE];
    _cleanup_close_ int doorbell = doorbell_new();
    int open_before = count_descriptors(), fd;
    int64_t value;

    (void)state;
    wire_encode(bytes, 5);
    send_raw(bytes, 3, &doorbell, 1);
    assert_int_equal(-EAGAIN, receive(&value, &fd));
    assert_int_equal(open_before + 1, count_descriptors());
    send_raw(bytes + 3, WIRE_SIZE - 3, &doorbell, 1);
    assert_int_equal(-EPROTO, receive(&value, &fd));
    fdpass_reader_deinit(&reader);
    assert_int_equal(open_before, count_descriptors());
}

static void descriptor_limit(void **state)
{
    uint8_t bytes[WIRE_SIZE];
    _cleanup_close_ int doorbell = doorbell_new();
    const int many[] = {doorbell, doorbell, doorbell};
    int64_t value;

    (void)state;
    wire_encode(bytes, 5);
    for (unsigned room = 0; room < 2; room++) {
        int open_before = count_descriptors(), fd = -1, r;
        rlim_t limit;

        send_raw(bytes, WIRE_SIZE, many, room ? 3 : 1);
        limit = limit_descriptors(room);
        r = receive(&value, &fd);
        unlimit_descriptors(limit);
        assert_int_equal(-EMFILE, r);
        assert_int_equal(-4711, fd);
        fdpass_reader_deinit(&reader);
        assert_int_equal(open_before, count_descriptors());
    }
}

static void end_of_stream(void **state)
{
    int64_t value;
    int fd;

    (void)state;
    assert_int_equal(0, fdpass_write(them, 9, -1));
    them = close_fd(them);
    assert_int_equal(1, receive(&value, &fd));
    assert_int_equal(0, receive(&value, &fd));
    assert_int_equal(0, receive(&value, &fd));
    assert_int_equal(-4711, fd);
}

static void end_inside_a_message(void **state)
{
    const uint8_t bytes[WIRE_SIZE] = {1};
    int doorbell = doorbell_new(), fd;
    int64_t value;

    (void)state;
    send_raw(bytes, WIRE_SIZE - 1, &doorbell, 1);
    close(doorbell);
    assert_int_equal(-EAGAIN, receive(&value, &fd));
    them = close_fd(them);
    assert_int_equal(-EPIPE, receive(&value, &fd));
    assert_int_equal(-4711, fd);
    assert_true(reader.fd >= 0); /* tear_down() looks whether it is closed */
}

/* Control messages that are not descriptors are no descriptors. */
static void credentials_beside(void **state)
{
    const int on = 1;
    _cleanup_close_ int doorbell = doorbell_new();
    int64_t value;
    int fd;

    (void)state;
    assert_int_equal(0, setsockopt(us, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    assert_int_equal(0, fdpass_write(them, 3, -1));
    assert_int_equal(0, fdpass_write(them, 4, doorbell));
    assert_int_equal(1, receive(&value, &fd));
    assert_int_equal(-1, fd);
    assert_int_equal(1, receive(&value, &fd));
    assert_int_equal(4, value);
    assert_same_doorbell(doorbell, fd);
    close(fd);
}

static void write_errors(void **state)
{
    _cleanup_close_ int doorbell = doorbell_new();
    int sent = 0, read = 0, r, fd;
    int64_t value;

    (void)state;
    assert_int_equal(-EBADF, fdpass_write(them, 1, 1 << 20)); /* no such descriptor */
    while ((r = fdpass_write(them, sent, doorbell)) == 0 && sent < 100000)
        sent++;
    assert_int_equal(-EAGAIN, r);
    assert_true(sent > 10);
    for (; (r = receive(&value, &fd)) == 1; read++) { /* all of them, and no half one */
        assert_int_equal(read, value);
        close(fd);
    }
    assert_int_equal(-EAGAIN, r);
    assert_int_equal(sent, read);
    us = close_fd(us);
    assert_int_equal(-EPIPE, fdpass_write(them, 1, -1)); /* and no SIGPIPE */
    assert_int_equal(-EBADF, fdpass_write(-1, 1, -1));
}

/* Return: exit status; the process is an unprivileged user with no descriptor in flight. */
static int flood_and_drain(void)
{
    const struct rlimit few = {.rlim_cur = 40, .rlim_max = 40};
    int doorbell = doorbell_new(), sent = 0, fd, r;
    int64_t value;

    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        return 2;
    while ((r = fdpass_write(them, sent, doorbell)) == 0 && sent < 200)
        sent++;
    if (r != -ETOOMANYREFS || sent < 40)
        return 3;
    for (int i = 0; i < sent; i++) {
        if (fdpass_read(&reader, us, &value, &fd) != 1 || value != i)
            return 4;
        close(fd);
    }
    return fdpass_write(them, 1, doorbell) == 0 ? 0 : 5;
}

static void too_many_in_flight(void **state)
{
    const uid_t nobodys = 1u << 20 | (uid_t)getpid(); /* a user that runs nothing else */
    int status;
    pid_t child;

    (void)state;
    if (geteuid() != 0) {
        print_message("needs root: another user, whose descriptors in flight are counted\n");
        skip();
    }
    child = fork();
    if (child == 0)
        _exit(setresuid(nobodys, nobodys, nobodys) == 0 ? flood_and_drain() : 1);
    assert_true(child > 0);
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(0, status);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(whole_messages),
        TEST(messages_stay_apart),
        TEST(two_pieces),
        TEST(byte_by_byte),
        TEST(pieces_waited_for),
        TEST(too_many_descriptors),
        TEST(descriptor_with_each_piece),
        TEST(descriptor_limit),
        TEST(end_of_stream),
        TEST(end_inside_a_message),
        TEST(credentials_beside),
        TEST(write_errors),
        TEST(too_many_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
