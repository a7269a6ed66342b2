/* SPDX-License-Identifier: MIT
 *
 * What the unit tests of the library share: a handle, and a server that is this same process and
 * says what the test wants it to say. Each test ends with as many descriptors as it began with.
 */
#ifndef IVSHMEM_TESTS_LIBRARY_H
#define IVSHMEM_TESTS_LIBRARY_H

#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/doorbell.h"
#include "common/fdpass.h"
#include "ivshmem.h"

enum { DEADLINE_MS = 60000, MEMORY_SIZE = 8192 };

/* What the callbacks have said, one word each. */
static char heard[4096];

static char folder[] = "/tmp/ivshmem-unit-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listener = -1, server = -1, descriptors_before;
static struct ivshmem *iv;

static inline void __attribute__((format(printf, 1, 2))) hear(const char *format, ...)
{
    size_t length = strlen(heard);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(heard + length, sizeof(heard) - length, format, arguments);
    va_end(arguments);
}

static inline void on_connected(struct ivshmem *handle, void *context)
{
    assert_ptr_equal(handle, iv);
    assert_ptr_equal(heard, context);
    hear("connected ");
}

static inline void on_ready(struct ivshmem *handle, void *context)
{
    (void)context;
    assert_true(ivshmem_ready(handle));
    hear("ready ");
}

static inline void on_peer_joined(struct ivshmem *handle, void *context, unsigned peer)
{
    (void)handle;
    (void)context;
    hear("join-%u ", peer);
}

static inline void on_vector_added(struct ivshmem *handle, void *context, unsigned peer,
                                   unsigned vector)
{
    (void)context;
    assert_true(ivshmem_vector_fd(handle, peer, vector) >= 0);
    hear("vector-%u-%u ", peer, vector);
}

static inline void on_peer_left(struct ivshmem *handle, void *context, unsigned peer)
{
    (void)context;
    assert_int_equal(-ENOENT, ivshmem_vectors(handle, peer));
    hear("left-%u ", peer);
}

static inline void on_notification(struct ivshmem *handle, void *context, unsigned vector)
{
    (void)handle;
    (void)context;
    hear("rung-%u ", vector);
}

static inline void on_disconnected(struct ivshmem *handle, void *context, int error)
{
    (void)context;
    assert_int_equal(-ENOTCONN, ivshmem_id(handle));
    assert_int_equal(-ENOENT, ivshmem_next_peer(handle, -1));
    hear("disconnected-%d ", -error);
}

static const struct ivshmem_callbacks callbacks = {
    .size = sizeof(callbacks),
    .connected = on_connected,
    .ready = on_ready,
    .peer_joined = on_peer_joined,
    .vector_added = on_vector_added,
    .peer_left = on_peer_left,
    .notification = on_notification,
    .disconnected = on_disconnected,
};

static inline int set_up(void **state)
{
    (void)state;
    descriptors_before = count_descriptors();
    heard[0] = '\0';
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 4) < 0)
        return -1;
    return ivshmem_new(&iv, &callbacks, heard);
}

static inline int tear_down(void **state)
{
    (void)state;
    iv = ivshmem_free(iv);
    server = close_fd(server);
    listener = close_fd(listener);
    unlink(address.sun_path);
    return count_descriptors() == descriptors_before ? 0 : -1;
}

static inline void connect_both(void)
{
    assert_int_equal(0, ivshmem_open(iv, address.sun_path));
    server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(server >= 0);
}

/* Sends one message; the descriptor goes with it and is closed here. */
static inline void say(int64_t value, int fd)
{
    assert_int_equal(0, fdpass_write(server, value, fd));
    close_fd(fd);
}

static inline int new_memory(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_int_equal(0, ftruncate(fd, MEMORY_SIZE));
    return fd;
}

/* The first three messages. */
static inline void greet(int id)
{
    say(0, -1);
    say(id, -1);
    say(-1, new_memory());
}

/* Dispatches until a word has been heard, and returns what the last dispatch returned. */
static inline int dispatch_until(const char *word)
{
    struct pollfd wait = {.fd = ivshmem_fd(iv), .events = POLLIN};

    while (!strstr(heard, word)) {
        int r;

        if (poll(&wait, 1, DEADLINE_MS) != 1)
            fail_msg("waited in vain for '%s', heard '%s'", word, heard);
        r = ivshmem_dispatch(iv);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A connection that is ready, with some vectors of ours; another peer, 1, has as many. */
static inline void be_ready(unsigned vectors)
{
    connect_both();
    greet(0);
    for (unsigned i = 0; i < vectors; i++)
        say(1, doorbell_new());
    for (unsigned i = 0; i < vectors; i++)
        say(0, doorbell_new());
    assert_int_equal(0, ivshmem_wait_ready(iv, DEADLINE_MS));
    heard[0] = '\0';
}

/* Runs the tests, each with its own handle and listening socket. */
#define LIBRARY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#define library_run(tests)                                                                         \
    ({                                                                                             \
        int failed_;                                                                               \
        if (!mkdtemp(folder))                                                                      \
            return 1;                                                                              \
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);                 \
        alarm(300); /* should anything here ever wait */                                           \
        failed_ = cmocka_run_group_tests(tests, NULL, NULL);                                       \
        rmdir(folder);                                                                             \
        failed_;                                                                                   \
    })

#endif
