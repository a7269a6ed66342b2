/* SPDX-License-Identifier: MIT
 *
 * Calls that wait: events latch, one of several waiters gets one, other vectors keep theirs, and
 * connections come and go meanwhile.
 */
#include "tests/unit/library.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_one(unsigned vector, int timeout)
{
    return ivshmem_wait(iv, &vector, 1, timeout);
}

static void events_latch(void **state)
{
    (void)state;
    be_ready(2);
    assert_int_equal(-ETIMEDOUT, ivshmem_wait(iv, NULL, 0, 0));
    for (int i = 0; i < 3; i++)
        assert_int_equal(0, ivshmem_ring(iv, 0, 1));
    assert_int_equal(1, ivshmem_wait(iv, NULL, 0, -1));
    assert_int_equal(-ETIMEDOUT, ivshmem_wait(iv, NULL, 0, 0));
    assert_string_equal("", heard); /* what is returned is not told */
}

static void others_keep_their_events(void **state)
{
    const unsigned both[] = {1, 2};
    int64_t cpu;

    (void)state;
    be_ready(3);
    ivshmem_ring(iv, 0, 0);
    cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    assert_int_equal(-ETIMEDOUT, wait_one(1, 400));
    assert_true(clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu < 250); /* it slept */
    ivshmem_ring(iv, 0, 2);
    ivshmem_ring(iv, 0, 1);
    assert_int_equal(1, ivshmem_wait(iv, both, 2, -1)); /* in the order of the list */
    assert_int_equal(2, ivshmem_wait(iv, both, 2, -1));
    assert_int_equal(-ETIMEDOUT, ivshmem_wait(iv, both, 2, 0));
    assert_int_equal(0, ivshmem_wait(iv, NULL, 0, -1));
    assert_string_equal("", heard);
}

static void any_goes_round(void **state)
{
    unsigned seen = 0;

    (void)state;
    be_ready(3);
    for (unsigned i = 0; i < 3; i++)
        ivshmem_ring(iv, 0, i);
    for (unsigned i = 0; i < 3; i++) {
        int vector = ivshmem_wait(iv, NULL, 0, 0);

        assert_in_range(vector, 0, 2);
        seen |= 1U << vector;
        ivshmem_ring(iv, 0, (unsigned)vector); /* who rings all the time keeps nobody away */
    }
    assert_int_equal(7, seen);
}

static void long_list(void **state)
{
    unsigned list[40];

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        list[i] = 39 - i;
    be_ready(40);
    ivshmem_ring(iv, 0, 7);
    assert_int_equal(7, ivshmem_wait(iv, list, 40, -1));
    assert_int_equal(-ETIMEDOUT, ivshmem_wait(iv, list, 40, 0));
}

static void time_out(void **state)
{
    int64_t before = clock_ms(CLOCK_MONOTONIC);

    (void)state;
    be_ready(1);
    assert_int_equal(-ETIMEDOUT, wait_one(0, 50));
    assert_true(clock_ms(CLOCK_MONOTONIC) - before >= 50);
    assert_contains(ivshmem_error(iv), "in time");
}

static void vectors_that_are_not_there(void **state)
{
    (void)state;
    be_ready(2);
    assert_int_equal(-EINVAL, wait_one(2, 0));
    assert_contains(ivshmem_error(iv), "no vector 2, but 2 vectors");
    assert_int_equal(-EINVAL, ivshmem_wait(iv, (const unsigned[]){0}, 0, 0));
    assert_int_equal(-EINVAL, ivshmem_wait(iv, (const unsigned[]){0}, 2049, 0));
}

/* A vector may be waited for before it has arrived. */
static void before_ready(void **state)
{
    int own = doorbell_new();

    (void)state;
    doorbell_ring(own);
    connect_both();
    assert_int_equal(-ETIMEDOUT, wait_one(0, 0));
    greet(0);
    say(0, dup(own));
    assert_int_equal(0, wait_one(0, DEADLINE_MS));
    close(own);
}

static void *wait_in_thread(void *context)
{
    struct ivshmem *handle = context;
    const unsigned vector = 0;

    return (void *)(intptr_t)ivshmem_wait(handle, &vector, 1, 300);
}

/* Two that wait for the same doorbell, as after a restart of one that a slot is for. */
static void one_winner(void **state)
{
    int own = doorbell_new();
    struct ivshmem *handles[2] = {iv, NULL};
    int servers[2];
    pthread_t threads[2];
    void *results[2];

    (void)state;
    assert_int_equal(0, ivshmem_new(&handles[1], NULL, NULL));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(0, ivshmem_open(handles[i], address.sun_path));
        server = servers[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        greet(0);
        say(0, dup(own));
        assert_int_equal(0, ivshmem_wait_ready(handles[i], DEADLINE_MS));
    }
    doorbell_ring(own);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, wait_in_thread, handles[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], &results[i]);
    assert_int_equal(-ETIMEDOUT, (intptr_t)results[0] + (intptr_t)results[1]); /* the other is 0 */
    ivshmem_free(handles[1]);
    close(servers[0]);
    close(own);
}

static void peers_meanwhile(void **state)
{
    (void)state;
    be_ready(1);
    say(5, doorbell_new());
    say(1, -1);
    assert_int_equal(-ETIMEDOUT, wait_one(0, 50));
    assert_string_equal("join-5 vector-5-0 left-1 ", heard);
    server = close_fd(server);
    assert_int_equal(-ECONNRESET, wait_one(0, -1));
    assert_int_equal(-ENOTCONN, wait_one(0, -1));
    assert_int_equal(-ENOTCONN, ivshmem_wait_ready(iv, -1));
}

static void still_connecting(struct ivshmem *handle, void *context)
{
    (void)context;
    assert_int_equal(-ETIMEDOUT, ivshmem_wait_ready(handle, 0));
    assert_int_equal(-EBUSY, ivshmem_wait_ready(handle, 1));
    hear("connected ");
}

static void ready_within_callbacks(void **state)
{
    const struct ivshmem_callbacks own = {.size = sizeof(own), .connected = still_connecting};

    (void)state;
    ivshmem_free(iv);
    assert_int_equal(0, ivshmem_new(&iv, &own, NULL));
    connect_both();
    greet(0);
    assert_int_equal(0, dispatch_until("connected"));
}

/* Getting ready takes no event away. */
static void ready_leaves_events(void **state)
{
    int own = doorbell_new();

    (void)state;
    connect_both();
    assert_int_equal(-ETIMEDOUT, ivshmem_wait_ready(iv, 20));
    greet(2);
    say(2, dup(own));
    doorbell_ring(own);
    assert_int_equal(0, ivshmem_wait_ready(iv, DEADLINE_MS));
    assert_string_equal("connected vector-2-0 ready ", heard);
    assert_int_equal(0, ivshmem_wait_ready(iv, 0));
    assert_int_equal(0, ivshmem_wait(iv, NULL, 0, 0));
    close(own);
}

/* What strangers do to the flags of an eventfd must not make us wait. */
static void blocking_doorbells(void **state)
{
    const uint64_t full = UINT64_MAX - 1;
    int own, other;

    (void)state;
    be_ready(1);
    own = ivshmem_vector_fd(iv, 0, 0);
    other = ivshmem_vector_fd(iv, 1, 0);
    fcntl(own, F_SETFL, 0);
    fcntl(other, F_SETFL, 0);
    assert_int_equal(8, write(other, &full, sizeof(full)));
    assert_int_equal(0, ivshmem_ring(iv, 1, 0));
    doorbell_ring(own);
    assert_int_equal(0, wait_one(0, -1));
    assert_int_equal(-ETIMEDOUT, wait_one(0, 0));
    assert_int_equal(0, ivshmem_dispatch(iv));
}

static void ignore(int number)
{
    (void)number;
}

static void signals(void **state)
{
    const struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART};
    const struct itimerval often = {.it_interval.tv_usec = 20000, .it_value.tv_usec = 20000};
    const struct itimerval never = {.it_value.tv_usec = 0};

    (void)state;
    be_ready(1);
    alarm(0); /* it is the same timer */
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    assert_int_equal(-EINTR, wait_one(0, -1));
    assert_int_equal(-EINTR, wait_one(0, -2)); /* all of them wait for ever */
    assert_int_equal(-EINTR, wait_one(0, INT_MIN));
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_DFL);
    alarm(300);
    assert_int_equal(0, ivshmem_ring(iv, 0, 0)); /* the handle is as good as before */
    assert_int_equal(0, wait_one(0, 0));
}

static void from_callback(struct ivshmem *handle, void *context, unsigned vector)
{
    const unsigned other = 1;

    (void)context;
    hear("rung-%u ", vector);
    if (vector != 0)
        return;
    assert_int_equal(1, ivshmem_wait(handle, &other, 1, 0));
    assert_int_equal(-ETIMEDOUT, ivshmem_wait(handle, NULL, 0, 0));
    assert_int_equal(-EBUSY, ivshmem_wait(handle, NULL, 0, 1));
    assert_int_equal(-EBUSY, ivshmem_dispatch(handle));
    assert_int_equal(-EBUSY, ivshmem_open(handle, address.sun_path));
    assert_int_equal(0, ivshmem_wait_ready(handle, 0));
}

static void within_callbacks(void **state)
{
    const struct ivshmem_callbacks own = {.size = sizeof(own), .notification = from_callback};

    (void)state;
    ivshmem_free(iv);
    assert_int_equal(0, ivshmem_new(&iv, &own, NULL));
    be_ready(2);
    ivshmem_ring(iv, 0, 0);
    ivshmem_ring(iv, 0, 1);
    say(7, doorbell_new()); /* stays where it is while the callback looks */
    assert_int_equal(0, ivshmem_dispatch(iv));
    assert_string_equal("rung-0 ", heard);
    assert_int_equal(1, ivshmem_vectors(iv, 7));
}

/* All vectors that were rung come before what the server says, be they ever so many. */
static void many_notifications(void **state)
{
    (void)state;
    be_ready(130); /* what a socket takes at once */
    heard[0] = '\0';
    for (unsigned i = 0; i < 130; i++)
        ivshmem_ring(iv, 0, i);
    server = close_fd(server);
    assert_int_equal(-ECONNRESET, ivshmem_dispatch(iv));
    assert_contains(heard, "rung-129 disconnected-104 ");
    assert_contains(heard, "rung-0 ");
}

static void accept_one(int id)
{
    struct pollfd wait = {.fd = listener, .events = POLLIN};

    /* The handle tries while it waits for what cannot come. */
    for (int64_t end = clock_ms(CLOCK_MONOTONIC) + DEADLINE_MS; poll(&wait, 1, 0) == 0;) {
        assert_true(clock_ms(CLOCK_MONOTONIC) < end);
        assert_int_equal(-ETIMEDOUT, ivshmem_wait(iv, NULL, 0, 5));
    }
    server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    greet(id);
    say(id, doorbell_new());
}

static void reconnects(void **state)
{
    (void)state;
    assert_int_equal(-EINVAL, ivshmem_set_reconnect(iv, -1));
    assert_int_equal(0, ivshmem_set_reconnect(iv, 10));
    assert_int_equal(-EINVAL, ivshmem_open(iv, "pci:0000:00:04.0"));
    assert_contains(ivshmem_error(iv), "'pci'");
    assert_int_equal(-ENOTCONN, ivshmem_dispatch(iv));

    listener = close_fd(listener);
    unlink(address.sun_path);
    assert_int_equal(0, ivshmem_open(iv, address.sun_path)); /* nobody there: later */
    assert_int_equal(-ENOTCONN, ivshmem_socket(iv));
    assert_int_equal(0, ivshmem_dispatch(iv));
    assert_int_equal(-ETIMEDOUT, ivshmem_wait_ready(iv, 30));
    assert_string_equal("", heard);

    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(listener, (struct sockaddr *)&address, sizeof(address)));
    assert_int_equal(0, listen(listener, 4));
    accept_one(4);
    assert_int_equal(0, ivshmem_wait_ready(iv, DEADLINE_MS));
    assert_int_equal(4, ivshmem_id(iv));

    server = close_fd(server); /* a call that waits goes on with the next connection */
    heard[0] = '\0';
    accept_one(9);
    ivshmem_wait_ready(iv, DEADLINE_MS);
    assert_string_equal("disconnected-104 connected vector-9-0 ready ", heard);
    assert_int_equal(9, ivshmem_id(iv));

    assert_int_equal(0, ivshmem_set_reconnect(iv, 0));
    server = close_fd(server);
    assert_int_equal(-ECONNRESET, ivshmem_wait(iv, NULL, 0, -1));
    assert_int_equal(-ENOTCONN, ivshmem_dispatch(iv));
}

/* The program has an event loop: its descriptor wakes it for the next try. */
static void reconnects_in_a_loop(void **state)
{
    (void)state;
    assert_int_equal(0, ivshmem_set_reconnect(iv, 10));
    connect_both();
    server = close_fd(server);
    assert_int_equal(0, dispatch_until("disconnected"));
    heard[0] = '\0';
    for (struct pollfd wait = {.fd = listener, .events = POLLIN}; poll(&wait, 1, 0) == 0;) {
        wait.fd = ivshmem_fd(iv);
        assert_int_equal(1, poll(&wait, 1, DEADLINE_MS));
        assert_int_equal(0, ivshmem_dispatch(iv));
        wait.fd = listener;
    }
    server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    greet(3);
    say(-2, -1); /* a server that turns us away is asked again, no faster than that */
    assert_int_equal(0, dispatch_until("disconnected-111"));
    assert_int_equal(0, ivshmem_set_reconnect(iv, 0));
    assert_int_equal(-ENOTCONN, ivshmem_dispatch(iv));
}

static int new_interval;

static void decides(struct ivshmem *handle, void *context, int error)
{
    on_disconnected(handle, context, error);
    assert_int_equal(0, ivshmem_set_reconnect(handle, new_interval));
}

/* The callback that tells of the end says whether there is a next try. */
static void reconnects_or_not_from_the_callback(void **state)
{
    struct ivshmem_callbacks deciding = callbacks;

    (void)state;
    deciding.disconnected = decides;
    ivshmem_free(iv);
    assert_int_equal(0, ivshmem_new(&iv, &deciding, heard));
    assert_int_equal(0, ivshmem_set_reconnect(iv, 10));
    for (int i = 0; i < 2; i++) {
        be_ready(1);
        server = close_fd(server);
        heard[0] = '\0';
        new_interval = 0;
        assert_int_equal(-ECONNRESET,
                         i ? dispatch_until("disconnected") : ivshmem_wait(iv, NULL, 0, -1));
        assert_string_equal("disconnected-104 ", heard);
        assert_int_equal(-ENOTCONN, ivshmem_dispatch(iv));
        assert_int_equal(0, ivshmem_set_reconnect(iv, i ? 0 : 10)); /* no try was left behind */
        assert_int_equal(-ENOTCONN, ivshmem_dispatch(iv));
    }
    be_ready(1);
    new_interval = 10;
    server = close_fd(server);
    assert_int_equal(0, dispatch_until("disconnected"));
    accept_one(5);
    assert_int_equal(0, ivshmem_wait_ready(iv, DEADLINE_MS));
}

static void who_serves(void **state)
{
    pid_t pid = 0;
    uid_t uid = 1;

    (void)state;
    assert_int_equal(-ENOTCONN, ivshmem_server_credentials(iv, &pid, &uid));
    be_ready(1);
    assert_int_equal(0, ivshmem_server_credentials(iv, &pid, &uid));
    assert_int_equal(getpid(), pid);
    assert_int_equal(getuid(), uid);
    assert_int_equal(-ENODATA, ivshmem_peer_credentials(iv, 1, &pid, &uid));
    assert_int_equal(-ENOENT, ivshmem_peer_credentials(iv, 2, &pid, &uid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIBRARY_TEST(events_latch),
        LIBRARY_TEST(others_keep_their_events),
        LIBRARY_TEST(any_goes_round),
        LIBRARY_TEST(long_list),
        LIBRARY_TEST(time_out),
        LIBRARY_TEST(vectors_that_are_not_there),
        LIBRARY_TEST(before_ready),
        LIBRARY_TEST(one_winner),
        LIBRARY_TEST(peers_meanwhile),
        LIBRARY_TEST(ready_leaves_events),
        LIBRARY_TEST(ready_within_callbacks),
        LIBRARY_TEST(blocking_doorbells),
        LIBRARY_TEST(signals),
        LIBRARY_TEST(within_callbacks),
        LIBRARY_TEST(many_notifications),
        LIBRARY_TEST(reconnects),
        LIBRARY_TEST(reconnects_in_a_loop),
        LIBRARY_TEST(reconnects_or_not_from_the_callback),
        LIBRARY_TEST(who_serves),
    };

    return library_run(tests);
}
