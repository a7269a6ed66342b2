/* SPDX-License-Identifier: MIT
 *
 * The library against a server that is this same process, and says what the test wants it to say.
 */
#include "tests/unit/library.h"

#include <poll.h>
#include <time.h>

enum { QUIET_MS = 250 };

static void whole_life(void **state)
{
    int peer = doorbell_new(), own = doorbell_new();

    (void)state;
    connect_both();
    assert_int_equal(-ENOTCONN, ivshmem_id(iv));
    assert_int_equal(-ENOTCONN, ivshmem_memory_fd(iv));
    greet(3);
    say(0, dup(peer));
    say(0, doorbell_new());
    say(3, doorbell_new());
    assert_false(ivshmem_ready(iv));
    say(3, dup(own));
    assert_int_equal(0, dispatch_until("ready"));
    assert_string_equal("connected join-0 vector-0-0 vector-0-1 vector-3-0 vector-3-1 ready ",
                        heard);
    assert_int_equal(3, ivshmem_id(iv));
    assert_int_equal(MEMORY_SIZE, ivshmem_memory_size(iv));
    assert_true(ivshmem_memory_fd(iv) >= 0);
    assert_int_equal(0, ivshmem_next_peer(iv, -1));
    assert_int_equal(-ENOENT, ivshmem_next_peer(iv, 0));

    assert_int_equal(0, ivshmem_ring(iv, 0, 0));
    assert_int_equal(1, doorbell_take(peer));
    assert_int_equal(-ENOENT, ivshmem_ring(iv, 0, 2));
    assert_non_null(strstr(ivshmem_error(iv), "vector 2"));
    assert_int_equal(-ENOENT, ivshmem_ring(iv, 1, 0));
    assert_int_equal(0, ivshmem_ring_all(iv));
    assert_int_equal(1, doorbell_take(peer));

    heard[0] = '\0';
    for (int i = 0; i < 3; i++)
        doorbell_ring(own);
    assert_int_equal(0, dispatch_until("rung-1"));
    say(0, -1);
    assert_int_equal(0, dispatch_until("left-0"));
    assert_string_equal("rung-1 left-0 ", heard);
    close(peer);
    close(own);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Six vectors, which come in a time that is longer in all than the quiet time.
 * Return: whether none was late: we may be kept from running, and then it has been quiet.
 */
static bool six_vectors(void)
{
    struct timespec pause = {.tv_nsec = 60000000};
    int64_t last = INT64_MAX;

    for (int i = 0; i < 6; i++) {
        int64_t before = now_ms();

        say(0, doorbell_new());
        nanosleep(&pause, NULL);
        assert_int_equal(0, ivshmem_dispatch(iv));
        if (ivshmem_ready(iv)) {
            assert_true(now_ms() - last >= QUIET_MS);
            return false;
        }
        last = before;
    }
    return true;
}

/* Nobody tells how many vectors there are: the table is complete once it has been quiet. */
static void alone(void **state)
{
    (void)state;
    do {
        heard[0] = '\0';
        connect_both();
        greet(0);
    } while (!six_vectors()); /* until our alarm */
    assert_int_equal(0, dispatch_until("ready"));
    assert_int_equal(6, ivshmem_vectors(iv, 0));
}

/* The doorbells that we listened on live on in other processes: they must not wake us any more. */
static void no_wake_up_after_the_end(void **state)
{
    struct pollfd wait = {.events = POLLIN};
    int own = doorbell_new();

    (void)state;
    connect_both();
    greet(0);
    say(0, dup(own));
    assert_int_equal(0, dispatch_until("vector-0-0"));
    server = close_fd(server);
    assert_int_equal(-ECONNRESET, dispatch_until("disconnected"));
    doorbell_ring(own);
    wait.fd = ivshmem_fd(iv);
    assert_int_equal(0, poll(&wait, 1, 300)); /* neither the doorbell nor the timer */
    assert_int_equal(-ENOTCONN, ivshmem_dispatch(iv));
    close(own);

    heard[0] = '\0';
    connect_both(); /* the same handle, a new life */
    greet(9);
    assert_int_equal(0, dispatch_until("connected"));
    assert_int_equal(9, ivshmem_id(iv));
}

static void doorbells_before_messages(void **state)
{
    int own = doorbell_new();

    (void)state;
    connect_both();
    greet(0);
    say(0, dup(own));
    assert_int_equal(0, dispatch_until("vector-0-0"));
    heard[0] = '\0';
    doorbell_ring(own);
    server = close_fd(server);
    assert_int_equal(-ECONNRESET, dispatch_until("disconnected"));
    assert_string_equal("rung-0 disconnected-104 ", heard);
    close(own);
}

static void refused(const char *why)
{
    assert_int_equal(-EPROTO, dispatch_until("disconnected"));
    assert_non_null(strstr(ivshmem_error(iv), why));
    server = close_fd(server);
    heard[0] = '\0';
}

static int pipe_end(void)
{
    int ends[2];

    assert_int_equal(0, pipe(ends));
    close(ends[1]);
    return ends[0];
}

static void odd_descriptors(void **state)
{
    (void)state;
    connect_both();
    say(0, -1);
    say(1, -1);
    say(-1, pipe_end());
    refused("no file");

    connect_both();
    greet(1);
    say(1, pipe_end()); /* it would wake us for ever */
    refused("vector 0 of peer 1");

    connect_both();
    greet(1);
    say(0, new_memory());
    refused("no eventfd");

    connect_both();
    greet(1);
    say(5, -1);
    refused("peer 5");
}

static void turned_away(void **state)
{
    (void)state;
    connect_both();
    say(0, -1);
    say(-2, -1);
    assert_int_equal(-ECONNREFUSED, dispatch_until("disconnected"));
    assert_string_equal("disconnected-111 ", heard);
}

static void targets(void **state)
{
    char path[200];

    (void)state;
    snprintf(path, sizeof(path), "unix:%s", address.sun_path);
    assert_int_equal(0, ivshmem_open(iv, path));
    assert_true(ivshmem_socket(iv) >= 0);
    assert_int_equal(-EINVAL, ivshmem_open(iv, "pci:0000:00:04.0"));
    assert_int_equal(-ENOTCONN, ivshmem_socket(iv)); /* the old connection is given up */
    assert_int_equal(-EINVAL, ivshmem_open(iv, "unix:"));
    assert_int_equal(-EINVAL, ivshmem_open(iv, ""));
    assert_int_equal(-ENOENT, ivshmem_open(iv, "/nowhere/a:b"));
    assert_non_null(strstr(ivshmem_error(iv), "/nowhere/a:b"));
    memset(path, 'x', sizeof(path));
    path[108] = '\0';
    assert_int_equal(-ENAMETOOLONG, ivshmem_open(iv, path));
}

/* Memory without a server. */
static void file_target(void **state)
{
    int memory = new_memory();
    char target[64], text[6] = "";

    (void)state;
    snprintf(target, sizeof(target), "file:/proc/self/fd/%d", memory);
    heard[0] = '\0';
    assert_int_equal(0, ivshmem_open(iv, target));
    assert_false(ivshmem_ready(iv));
    assert_int_equal(0, ivshmem_wait_ready(iv, -1));
    assert_string_equal("connected ready ", heard);
    assert_int_equal(0, ivshmem_id(iv));
    assert_int_equal(0, ivshmem_vectors(iv, 0));
    assert_int_equal(-ENOENT, ivshmem_next_peer(iv, -1));
    assert_int_equal(-ENOENT, ivshmem_ring(iv, 0, 0));
    assert_int_equal(-EOPNOTSUPP, ivshmem_server_credentials(iv, NULL, NULL));
    assert_int_equal(MEMORY_SIZE, ivshmem_memory_size(iv));
    assert_int_equal(0, ivshmem_write(iv, MEMORY_SIZE - 6, "hello", 6));
    assert_int_equal(-ERANGE, ivshmem_write(iv, MEMORY_SIZE - 5, "hello", 6));
    assert_int_equal(6, pread(memory, text, 6, MEMORY_SIZE - 6));
    assert_string_equal("hello", text);
    assert_int_equal(0, ivshmem_dispatch(iv));
    assert_int_equal(0, poll(&(struct pollfd){.fd = ivshmem_fd(iv), .events = POLLIN}, 1, 0));

    assert_int_equal(0, ivshmem_open(iv, target)); /* given up before anything was read */
    assert_int_equal(-EINVAL, ivshmem_open(iv, "file:/dev/null"));
    assert_int_equal(-EINVAL, ivshmem_open(iv, "file:"));
    assert_int_equal(-ENOENT, ivshmem_open(iv, "file:/nowhere/memory"));
    assert_int_equal(0, ftruncate(memory, 0));
    assert_int_equal(-ENODATA, ivshmem_open(iv, target));
    close(memory);
}

/* A server that does not accept must not make us wait. */
static void full_queue(void **state)
{
    int fds[16], count = 0;

    (void)state;
    while (count < 16) {
        fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fds[count++], (struct sockaddr *)&address, sizeof(address)) < 0)
            break;
    }
    assert_int_equal(-EAGAIN, ivshmem_open(iv, address.sun_path));
    while (count > 0)
        close(fds[--count]);
}

static void callbacks_of_another_size(void **state)
{
    struct ivshmem_callbacks other = {.size = 1};
    struct ivshmem *handle = NULL;

    (void)state;
    assert_int_equal(-EINVAL, ivshmem_new(&handle, &other, NULL));
    assert_null(handle);
    assert_int_equal(0, ivshmem_new(&handle, NULL, NULL));
    assert_null(ivshmem_free(handle));
    assert_null(ivshmem_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIBRARY_TEST(whole_life),
        LIBRARY_TEST(alone),
        LIBRARY_TEST(no_wake_up_after_the_end),
        LIBRARY_TEST(doorbells_before_messages),
        LIBRARY_TEST(odd_descriptors),
        LIBRARY_TEST(turned_away),
        LIBRARY_TEST(targets),
        LIBRARY_TEST(file_target),
        LIBRARY_TEST(full_queue),
        LIBRARY_TEST(callbacks_of_another_size),
    };

    return library_run(tests);
}
