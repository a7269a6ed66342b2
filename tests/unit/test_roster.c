/* SPDX-License-Identifier: MIT
 *
 * The roster: greetings, joins, leaves, and every message that makes no sense. Each test ends with
 * as many open descriptors as it began with, whatever was refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "client/lib/roster.h"
#include "common/doorbell.h"
#include "common/wire.h"

enum { NONE = -1, WITH_FD = -2 }; /* what say() sends beside the value */

static struct roster *roster;
static struct roster_event event;
static struct failure failure;
static int descriptors_before;

static int count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static int set_up(void **state)
{
    (void)state;
    descriptors_before = count_descriptors();
    failure.text[0] = '\0';
    roster = roster_new();
    return roster ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    roster = roster_free(roster);
    return count_descriptors() == descriptors_before ? 0 : -1;
}

static int say(int64_t value, int fd)
{
    event = (struct roster_event){.change = ROSTER_NOTHING};
    return roster_feed(roster, value, fd == WITH_FD ? doorbell_new() : fd, &event, &failure);
}

static void greet(unsigned id)
{
    assert_int_equal(0, say(WIRE_VERSION, NONE));
    assert_int_equal(ROSTER_NOTHING, event.change);
    assert_int_equal(0, say(id, NONE));
    assert_int_equal(ROSTER_NOTHING, event.change);
    assert_false(roster_connected(roster));
    assert_int_equal(0, say(WIRE_MEMORY, WITH_FD));
    assert_int_equal(ROSTER_CONNECTED, event.change);
    assert_int_equal(id, event.peer);
    assert_true(roster_connected(roster));
}

static void add_vectors(unsigned id, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(0, say(id, WITH_FD));
}

/* The message is refused, and the text names the value. */
static void refused(int error, int64_t value, int fd)
{
    char number[32];

    snprintf(number, sizeof(number), "%lld", (long long)value);
    assert_int_equal(error, say(value, fd));
    if (error == -EPROTO && value != WIRE_MEMORY && value != WIRE_VERSION)
        assert_non_null(strstr(failure.text, number));
    assert_true(strlen(failure.text) > 0);
}

static void greeting_and_peers(void **state)
{
    const struct roster_peer *peer;

    (void)state;
    assert_null(roster_find(roster, 0));
    greet(4);
    assert_true(roster_memory_fd(roster) >= 0);
    assert_int_equal(0, say(1, WITH_FD));
    assert_int_equal(ROSTER_JOINED, event.change);
    assert_int_equal(1, event.peer);
    assert_int_equal(0, event.vector);
    assert_int_equal(0, say(1, WITH_FD));
    assert_int_equal(ROSTER_VECTOR, event.change);
    assert_int_equal(1, event.vector);
    add_vectors(WIRE_ID_MAX, 2);
    add_vectors(0, 2);
    assert_int_equal(0, say(4, WITH_FD));
    assert_int_equal(ROSTER_OWN_VECTOR, event.change);
    assert_int_equal(event.fd, roster_own(roster)->vectors[0]);

    peer = roster_first(roster); /* in the order of arrival */
    assert_int_equal(1, peer->id);
    assert_int_equal(2, peer->count);
    assert_int_equal(WIRE_ID_MAX, peer->next->id);
    assert_int_equal(0, peer->next->next->id);
    assert_null(peer->next->next->next);
    assert_ptr_equal(peer, roster_find(roster, 1));
    assert_ptr_equal(roster_own(roster), roster_find(roster, 4));
    assert_null(roster_find(roster, 2));
    assert_null(roster_find(roster, WIRE_ID_MAX + 1));
    assert_null(roster_find(roster, UINT32_MAX));
}

static void join_and_leave(void **state)
{
    (void)state;
    greet(0);
    add_vectors(0, 1);
    for (unsigned id = 1; id <= 5; id++)
        add_vectors(id, 1);
    for (unsigned id = 1; id <= 5; id += 2) { /* the first, one between, the last */
        assert_int_equal(0, say(id, NONE));
        assert_int_equal(ROSTER_LEFT, event.change);
        assert_int_equal(id, event.peer);
        assert_null(roster_find(roster, id));
    }
    assert_int_equal(2, roster_first(roster)->id);
    assert_int_equal(4, roster_first(roster)->next->id);
    assert_null(roster_first(roster)->next->next);
    assert_int_equal(0, say(3, WITH_FD)); /* back again: a newcomer, at the end */
    assert_int_equal(ROSTER_JOINED, event.change);
    assert_int_equal(3, roster_first(roster)->next->next->id);
    for (unsigned id = 2; id <= 4; id++)
        assert_int_equal(0, say(id, NONE));
    assert_null(roster_first(roster));
    refused(-EPROTO, 3, NONE);
}

static void complete(void **state)
{
    (void)state;
    greet(2);
    assert_false(roster_complete(roster));
    add_vectors(0, 3);
    add_vectors(1, 3);
    assert_false(roster_complete(roster));
    add_vectors(2, 2);
    assert_false(roster_complete(roster));
    add_vectors(2, 1);
    assert_true(roster_complete(roster));
}

static void never_complete_alone(void **state)
{
    (void)state;
    greet(0);
    add_vectors(0, 8);
    assert_false(roster_complete(roster));
}

static void many_vectors(void **state)
{
    struct rlimit limit;
    int fd;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < WIRE_VECTORS_MAX + 64)
        skip();
    greet(0);
    add_vectors(1, WIRE_VECTORS_MAX);
    assert_int_equal(WIRE_VECTORS_MAX, roster_find(roster, 1)->count);
    assert_int_equal(WIRE_VECTORS_MAX - 1, event.vector);
    fd = doorbell_new();
    refused(-EPROTO, 1, fd);
    assert_int_equal(-1, fcntl(fd, F_GETFD)); /* closed */
    assert_non_null(strstr(failure.text, "2048"));
}

static void odd_version(void **state)
{
    static const int64_t versions[] = {1, -1, 42, INT64_MAX, INT64_MIN};

    (void)state;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        refused(-EPROTONOSUPPORT, versions[i], NONE);
        refused(-EPROTONOSUPPORT, versions[i], WITH_FD);
    }
    refused(-EPROTO, WIRE_VERSION, WITH_FD);
}

static void odd_id(void **state)
{
    (void)state;
    assert_int_equal(0, say(WIRE_VERSION, NONE));
    refused(-EPROTO, -1, NONE);
    refused(-EPROTO, WIRE_ID_MAX + 1, NONE);
    refused(-EPROTO, INT64_C(1) << 32, NONE);
    refused(-EPROTO, 3, WITH_FD);
    refused(-EPROTO, WIRE_REFUSED, WITH_FD);
}

static void odd_memory(void **state)
{
    (void)state;
    assert_int_equal(0, say(WIRE_VERSION, NONE));
    assert_int_equal(0, say(3, NONE));
    refused(-EPROTO, WIRE_MEMORY, NONE);
    refused(-EPROTO, 3, WITH_FD); /* a vector before the memory makes QEMU crash */
    refused(-EPROTO, 0, NONE);
    refused(-EPROTO, INT64_MIN, WITH_FD);
    assert_int_equal(-1, roster_memory_fd(roster));
}

static void odd_peer(void **state)
{
    (void)state;
    greet(7);
    refused(-EPROTO, WIRE_MEMORY, WITH_FD);
    refused(-EPROTO, WIRE_MEMORY, NONE);
    refused(-EPROTO, WIRE_ID_MAX + 1, WITH_FD);
    refused(-EPROTO, WIRE_ID_MAX + 1, NONE);
    refused(-EPROTO, -3, WITH_FD);
    refused(-EPROTO, INT64_MIN, NONE);
    refused(-EPROTO, 7, NONE); /* we have left? */
    assert_non_null(strstr(failure.text, "we, peer 7"));
    refused(-EPROTO, 8, NONE); /* who? */
    assert_null(roster_first(roster));
}

static void turned_away(void **state)
{
    (void)state;
    refused(-ECONNREFUSED, WIRE_REFUSED, NONE);
    assert_int_equal(0, say(WIRE_VERSION, NONE));
    refused(-ECONNREFUSED, WIRE_REFUSED, NONE);
    assert_int_equal(0, say(1, NONE));
    refused(-ECONNREFUSED, WIRE_REFUSED, NONE);
    assert_int_equal(0, say(WIRE_MEMORY, WITH_FD));
    refused(-ECONNREFUSED, WIRE_REFUSED, NONE);
}

static void to_the_peers(void)
{
    say(WIRE_VERSION, -1);
    say(2, -1);
    say(WIRE_MEMORY, WITH_FD);
}

/* A server with channels: its doorbell comes first, and is not among the others. */
static void daemon_is_apart(void **state)
{
    (void)state;
    to_the_peers();
    roster_expect_daemon(roster, 64, 2);
    assert_int_equal(0, say(64, WITH_FD));
    assert_int_equal(ROSTER_DAEMON, event.change);
    assert_null(roster_first(roster));
    assert_int_equal(1, roster_find(roster, 64)->count);
    assert_int_equal(0, say(2, WITH_FD));
    assert_false(roster_complete(roster));
    assert_int_equal(0, say(2, WITH_FD));
    assert_true(roster_complete(roster)); /* alone, and yet certain */
    refused(-EPROTO, 64, -1);
}

/* Memory that a server with channels left behind, and a server without them. */
static void daemon_that_is_not(void **state)
{
    (void)state;
    to_the_peers();
    roster_expect_daemon(roster, 64, 2);
    assert_int_equal(0, say(1, WITH_FD));
    assert_int_equal(ROSTER_JOINED, event.change);
    assert_int_equal(0, say(64, WITH_FD));
    assert_int_equal(ROSTER_JOINED, event.change);
    assert_int_equal(0, say(2, WITH_FD));
    assert_true(roster_complete(roster));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(greeting_and_peers),
        TEST(join_and_leave),
        TEST(complete),
        TEST(never_complete_alone),
        TEST(many_vectors),
        TEST(odd_version),
        TEST(odd_id),
        TEST(odd_memory),
        TEST(odd_peer),
        TEST(turned_away),
        TEST(daemon_is_apart),
        TEST(daemon_that_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
