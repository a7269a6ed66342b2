/* SPDX-License-Identifier: MIT
 *
 * Batches over a socketpair: what arrives is what was added, message by message, however little
 * the socket takes at a time.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/doorbell.h"
#include "common/fdpass.h"
#include "server/batch.h"

static struct batch batch;
static struct fdpass_reader reader = FDPASS_READER_INIT;
static int us, them, doorbell;
static int descriptors_before;

static int set_up(void **state)
{
    int ends[2];

    (void)state;
    descriptors_before = count_descriptors();
    batch_init(&batch);
    doorbell = doorbell_new();
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
    doorbell = close_fd(doorbell);
    return count_descriptors() == descriptors_before ? 0 : -1;
}

/* Message @number of a long stream: every third has no descriptor. */
static void add(int number)
{
    batch_add(&batch, number, number % 3 ? doorbell : -1);
}

/* Reads messages from @from on, as many as there are. Return: the number of the one to come. */
static int receive_from(int from)
{
    int64_t value;
    int fd, r;

    for (; (r = fdpass_read(&reader, them, &value, &fd)) == 1; from++) {
        assert_int_equal(from, value);
        assert_int_equal(from % 3 != 0, fd >= 0);
        if (fd >= 0) {
            assert_int_equal(0, doorbell_ring(fd));
            assert_int_equal(1, doorbell_take(doorbell));
        }
        close_fd(fd);
    }
    assert_int_equal(-EAGAIN, r); /* and not -EPROTO: two descriptors on one message */
    return from;
}

static void one_message(void **state)
{
    (void)state;
    add(1);
    assert_int_equal(1, batch_send(&batch, us));
    assert_int_equal(2, receive_from(1));
}

static void full_batches(void **state)
{
    (void)state;
    for (int start = 0; start < 10 * BATCH_MAX; start += BATCH_MAX) { /* the same batch again */
        batch.count = 0;
        for (int i = 0; i < BATCH_MAX; i++)
            add(start + i);
        assert_int_equal(BATCH_MAX, batch_send(&batch, us));
        assert_int_equal(start + BATCH_MAX, receive_from(start));
    }
}

/* A place in the batch that had a descriptor has none the next time, and the other way round. */
static void places_used_again(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++) {
        batch.count = 0;
        for (int i = 0; i < 4; i++)
            add(round + i);
        assert_int_equal(4, batch_send(&batch, us));
        assert_int_equal(round + 4, receive_from(round));
    }
}

/* The reader is slow and the socket small: nothing is lost, nothing comes twice. */
static void partial_sends(void **state)
{
    const int buffer = 16384;
    int sent = 0, received = 0, partial = 0, full = 0;

    (void)state;
    assert_int_equal(0, setsockopt(us, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)));
    while (sent < 2000) {
        int r;

        batch.count = 0;
        for (int i = 0; i < BATCH_MAX; i++)
            add(sent + i);
        r = batch_send(&batch, us);
        if (r == -EAGAIN) {
            full++;
            received = receive_from(received);
            assert_int_equal(sent, received);
            continue;
        }
        assert_in_range(r, 1, BATCH_MAX);
        partial += r < BATCH_MAX;
        sent += r;
    }
    assert_true(partial > 0 && full > 0);
    assert_int_equal(sent, receive_from(received));
}

static void nobody_there(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    them = close_fd(them);
    add(1);
    assert_int_equal(-EPIPE, batch_send(&batch, us)); /* and no SIGPIPE */
    assert_int_equal(-EBADF, batch_send(&batch, -1));
}

/* A bad descriptor in the middle: what stands before it goes out. */
static void bad_descriptor(void **state)
{
    (void)state;
    add(1);
    add(2);
    batch_add(&batch, 3, 1 << 20);
    add(4);
    assert_int_equal(2, batch_send(&batch, us));
    assert_int_equal(3, receive_from(1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_message),   TEST(full_batches), TEST(places_used_again),
        TEST(partial_sends), TEST(nobody_there), TEST(bad_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
