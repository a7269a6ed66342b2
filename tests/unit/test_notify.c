/* SPDX-License-Identifier: MIT
 *
 * Messages to the service manager. The manager is a datagram socket of this process, which reads
 * when a test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "server/notify.h"

enum {
    PATIENCE = 6000, /* times 10 ms */
    PING_MS = 10,    /* half of the manager's WATCHDOG_USEC, here */
};

/* One test: the manager's socket, the sender, and what came last. */
struct stage {
    struct sockaddr_un address;
    socklen_t length;
    int manager;
    struct event_base *base;
    struct notify *notify;
    char text[4096];
    int fd;
    int calls, error;
};

static void listen_at(struct stage *stage)
{
    stage->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(stage->manager >= 0);
    assert_int_equal(0,
                     bind(stage->manager, (const struct sockaddr *)&stage->address, stage->length));
}

/* The manager dies; what it has not read is lost. */
static void hang_up(struct stage *stage)
{
    close(stage->manager);
    stage->manager = -1;
    if (stage->address.sun_path[0])
        unlink(stage->address.sun_path);
}

static void start(struct stage *stage)
{
    struct failure failure = {.text = ""};

    stage->base = event_base_new();
    assert_non_null(stage->base);
    assert_int_equal(0, notify_new(stage->base, &stage->notify, &failure));
}

static void name_socket(struct stage *stage, char kind)
{
    char name[64];

    snprintf(name, sizeof(name), "%civshmem-test-notify-%d", kind, (int)getpid());
    if (kind == '/')
        snprintf(name, sizeof(name), "/tmp/ivshmem-test-notify-%d", (int)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    stage->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(stage->address.sun_path, name, strlen(name) + 1);
    stage->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    if (kind == '@')
        stage->address.sun_path[0] = '\0';
    else
        stage->length++;
}

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof(*stage));

    assert_non_null(stage);
    stage->fd = -1;
    log_set_level(LOG_ERR - 1); /* what is logged on purpose would only confuse */
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    name_socket(stage, '/');
    listen_at(stage);
    start(stage);
    *state = stage;
    return 0;
}

static void finish(struct stage *stage)
{
    stage->notify = notify_free(stage->notify);
    event_base_free(stage->base);
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    finish(stage);
    if (stage->fd >= 0)
        close(stage->fd);
    if (stage->manager >= 0)
        hang_up(stage);
    free(stage);
    unsetenv("NOTIFY_SOCKET");
    return 0;
}

/* Lets the sender do what it can do now. */
static void turn(struct stage *stage)
{
    assert_true(event_base_loop(stage->base, EVLOOP_NONBLOCK) >= 0);
}

/* The manager reads one message. Return: whether there was one. */
static bool take(struct stage *stage)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec text = {.iov_base = stage->text, .iov_len = sizeof(stage->text) - 1};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t length = recvmsg(stage->manager, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (stage->fd >= 0)
        close(stage->fd);
    stage->fd = -1;
    if (length < 0)
        return false;
    stage->text[length] = '\0';
    if (message.msg_controllen >= CMSG_LEN(sizeof(int))) {
        assert_int_equal(CMSG_LEN(sizeof(int)), control.header.cmsg_len); /* one and no more */
        memcpy(&stage->fd, CMSG_DATA(&control.header), sizeof(int));
    }
    return true;
}

static void expect(struct stage *stage, const char *text)
{
    for (int i = 0; i < PATIENCE; i++) {
        turn(stage);
        if (take(stage)) {
            assert_string_equal(text, stage->text);
            return;
        }
        poll(NULL, 0, 10);
    }
    fail_msg("waited in vain for %s", text);
}

static void nothing_more(struct stage *stage)
{
    turn(stage);
    assert_false(take(stage));
}

static void on_done(void *argument, int error)
{
    struct stage *stage = argument;

    stage->calls++;
    stage->error = error;
}

static void expect_done(struct stage *stage, int calls, int error)
{
    for (int i = 0; i < PATIENCE && stage->calls < calls; i++) {
        turn(stage);
        if (stage->calls < calls)
            poll(NULL, 0, 10);
    }
    assert_int_equal(calls, stage->calls);
    assert_int_equal(error, stage->error);
}

/* Fills the manager's queue, until a message has to wait: a socket may take more when poll() says
 * that it is full (where net.unix.max_dgram_qlen is large). Return: how many messages, that one
 * too.
 */
static int stuff(struct stage *stage)
{
    int n = 0;

    for (; notify_idle(stage->notify); n++) {
        assert_true(n < 100000);
        assert_int_equal(0, notify_text(stage->notify, "N=%d", n));
    }
    return n;
}

static void drain(struct stage *stage, int n)
{
    char text[32];

    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "N=%d", i);
        expect(stage, text);
    }
}

static bool same_file(int a, int b)
{
    struct stat left, right;

    return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_ino == right.st_ino &&
           left.st_dev == right.st_dev;
}

static void at_once_and_in_order(void **state)
{
    struct stage *stage = *state;
    int pair[2];

    assert_true(notify_active(stage->notify));
    assert_true(notify_writable(stage->notify));
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    assert_int_equal(0, notify_text(stage->notify, "READY=1\nSTATUS=%d peers", 3));
    assert_int_equal(0, notify_store(stage->notify, "p1", pair[0]));
    assert_int_equal(0, notify_remove(stage->notify, "p1"));
    assert_true(take(stage)); /* no turn of the event loop was needed */
    assert_string_equal("READY=1\nSTATUS=3 peers", stage->text);
    assert_int_equal(-1, stage->fd);
    assert_true(take(stage));
    assert_string_equal("FDSTORE=1\nFDNAME=p1\nFDPOLL=0", stage->text);
    assert_true(same_file(stage->fd, pair[0]));
    assert_true(take(stage));
    assert_string_equal("FDSTOREREMOVE=1\nFDNAME=p1", stage->text);
    nothing_more(stage);
    close(pair[0]);
    close(pair[1]);
}

static void full_socket(void **state)
{
    struct stage *stage = *state;
    int n = stuff(stage);

    assert_true(n > 1);
    turn(stage);
    assert_false(notify_writable(stage->notify));
    for (int i = 0; i < 300; i++)
        assert_int_equal(0, notify_text(stage->notify, "N=%d", n + i));
    turn(stage);
    drain(stage, n + 300);
    nothing_more(stage);
    assert_true(notify_writable(stage->notify));
}

/* The stream of events must not spin while the manager stalls. */
static void full_socket_sleeps(void **state)
{
    struct stage *stage = *state;
    const struct timeval limit = {.tv_usec = 50000};
    int n = stuff(stage);

    assert_int_equal(0, notify_text(stage->notify, "N=%d", n));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(0, event_base_loopexit(stage->base, &limit));
        assert_int_equal(0, event_base_loop(stage->base, EVLOOP_ONCE)); /* ends by the exit alone */
        assert_true(event_base_got_exit(stage->base));
    }
    drain(stage, n + 1);
}

static void newest_status_only(void **state)
{
    struct stage *stage = *state;
    int n = stuff(stage);

    notify_text(stage->notify, "STATUS=one");
    notify_text(stage->notify, "STATUS=two\nRELOADING=1");
    notify_text(stage->notify, "READY=1");
    for (int i = 0; i < 1000; i++)
        notify_text(stage->notify, "STATUS=%d", i);
    drain(stage, n);
    expect(stage, "STATUS=999");
    expect(stage, "STATUS=two\nRELOADING=1");
    expect(stage, "READY=1");
    nothing_more(stage);
}

static void store_taken_back(void **state)
{
    struct stage *stage = *state;
    int n = stuff(stage), fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    notify_store(stage->notify, "a", fd);
    notify_store(stage->notify, "ab", fd);
    notify_store(stage->notify, "b", fd);
    notify_remove(stage->notify, "a");
    notify_remove(stage->notify, "b");
    notify_remove(stage->notify, "c"); /* sent long ago */
    notify_remove(stage->notify, "ab");
    close(fd);
    fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    notify_store(stage->notify, "a", fd); /* a name may come back */
    drain(stage, n);
    expect(stage, "FDSTOREREMOVE=1\nFDNAME=c");
    expect(stage, "FDSTORE=1\nFDNAME=a\nFDPOLL=0");
    assert_true(stage->fd >= 0);
    nothing_more(stage);
    close(fd);
}

/* A descriptor that was closed too early must not hold up the rest. */
static void bad_descriptor(void **state)
{
    struct stage *stage = *state;

    assert_int_equal(0, notify_store(stage->notify, "bad", 1000000));
    notify_text(stage->notify, "STATUS=after");
    expect(stage, "STATUS=after");
}

static void barrier(void **state)
{
    struct stage *stage = *state;
    int n = stuff(stage);

    assert_int_equal(0, notify_barrier(stage->notify, on_done, stage));
    assert_int_equal(0, notify_text(stage->notify, "STATUS=behind"));
    drain(stage, n);
    turn(stage);
    expect(stage, "BARRIER=1");
    assert_true(stage->fd >= 0);
    turn(stage);
    assert_int_equal(0, stage->calls); /* taken, and not yet reached */
    close(stage->fd);
    stage->fd = -1;
    expect_done(stage, 1, 0);
    expect(stage, "STATUS=behind");
}

static void barriers_of_a_manager_that_dies(void **state)
{
    struct stage *stage = *state;
    char waiting[32];

    assert_int_equal(0, notify_barrier(stage->notify, on_done, stage)); /* it has it */
    snprintf(waiting, sizeof(waiting), "N=%d", stuff(stage) - 1);
    assert_int_equal(0, notify_barrier(stage->notify, on_done, stage)); /* this one waits */
    notify_text(stage->notify, "STATUS=later");
    hang_up(stage);
    expect_done(stage, 2, -ECONNREFUSED);
    assert_true(notify_active(stage->notify));
    assert_true(notify_writable(stage->notify)); /* nobody should wait for it */
    assert_int_equal(0, notify_barrier(stage->notify, on_done, stage));
    assert_int_equal(2, stage->calls);
    expect_done(stage, 3, -ECONNREFUSED);
    listen_at(stage);
    expect(stage, waiting);
    expect(stage, "STATUS=later");
    nothing_more(stage); /* the barrier was called off */
}

static void manager_comes_late(void **state)
{
    struct stage *stage = *state;

    finish(stage);
    hang_up(stage);
    start(stage);
    assert_true(notify_active(stage->notify));
    notify_text(stage->notify, "READY=1");
    turn(stage);
    listen_at(stage);
    expect(stage, "READY=1");
}

static void abstract_address(void **state)
{
    struct stage *stage = *state;

    finish(stage);
    hang_up(stage);
    name_socket(stage, '@');
    listen_at(stage);
    start(stage);
    assert_true(notify_active(stage->notify));
    notify_text(stage->notify, "READY=1");
    expect(stage, "READY=1");
}

static void no_manager(void **state)
{
    static const char *const addresses[] = {NULL, "", "@", "/", "relative", "vsock:2:1234"};
    struct stage *stage = *state;

    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
        finish(stage);
        if (addresses[i])
            setenv("NOTIFY_SOCKET", addresses[i], 1);
        else
            unsetenv("NOTIFY_SOCKET");
        setenv("WATCHDOG_USEC", "20000", 1);
        start(stage);
        assert_false(notify_active(stage->notify));
        assert_true(notify_writable(stage->notify));
        assert_int_equal(0, notify_text(stage->notify, "READY=1"));
        assert_int_equal(0, notify_store(stage->notify, "x", 0));
        assert_int_equal(0, notify_remove(stage->notify, "x"));
        assert_int_equal(0, notify_barrier(stage->notify, on_done, stage));
        assert_int_equal((int)i, stage->calls);
        expect_done(stage, (int)i + 1, 0);
    }
    nothing_more(stage);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Twenty times the turn of a ping comes, and the manager reads nothing. */
static void stall(struct stage *stage)
{
    for (int i = 0; i < 20; i++) {
        turn(stage);
        poll(NULL, 0, PING_MS);
    }
}

/* However slow the machine: pings come as time passes, and on a slow one that is many. */
static void watchdog(void **state)
{
    const char *behind = "STATUS=behind the ping";
    struct stage *stage = *state;
    char pid[32];
    int64_t began;
    int n, pings = 0;

    finish(stage);
    setenv("WATCHDOG_USEC", "20000", 1);
    start(stage);
    expect(stage, "WATCHDOG=1");
    expect(stage, "WATCHDOG=1");

    n = stuff(stage); /* while the manager stalls, pings do not pile up, and overtake the rest */
    notify_text(stage->notify, "%s", behind);
    stall(stage);
    began = now_ms();
    for (bool reached = false; !reached;) {
        turn(stage);
        assert_true(take(stage));
        reached = strcmp(stage->text, behind) == 0;
        if (strcmp(stage->text, "WATCHDOG=1") == 0)
            pings++;
        else
            n--;
    }
    assert_int_equal(-1, n);  /* all the rest, and what is behind the ping */
    assert_in_range(pings, 1, /* one or two of the stall, and those that were due since */
                    4 + (now_ms() - began) / PING_MS);

    finish(stage);
    while (take(stage))
        continue;
    snprintf(pid, sizeof(pid), "%d", (int)getpid() + 1);
    setenv("WATCHDOG_PID", pid, 1); /* not for us */
    start(stage);
    poll(NULL, 0, 5 * PING_MS);
    nothing_more(stage);
}

static void freed_in_the_middle(void **state)
{
    struct stage *stage = *state;

    assert_int_equal(0, notify_barrier(stage->notify, on_done, stage));
    stuff(stage);
    assert_int_equal(0, notify_barrier(stage->notify, on_done, stage));
    notify_text(stage->notify, "STATUS=never sent");
    stage->notify = notify_free(stage->notify);
    turn(stage);
    assert_int_equal(0, stage->calls);
    assert_null(notify_free(NULL));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(at_once_and_in_order),
        TEST(full_socket),
        TEST(full_socket_sleeps),
        TEST(newest_status_only),
        TEST(store_taken_back),
        TEST(bad_descriptor),
        TEST(barrier),
        TEST(barriers_of_a_manager_that_dies),
        TEST(manager_comes_late),
        TEST(abstract_address),
        TEST(no_manager),
        TEST(watchdog),
        TEST(freed_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
