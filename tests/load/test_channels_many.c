/* SPDX-License-Identifier: MIT
 *
 * A thousand channels in one region. When they do nothing nobody wakes up, neither the daemon nor
 * a peer, though all are watched; and each carries a message. A connection that may not be idle is
 * closed when it is, but not while somebody sends a few bytes now and then.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/layout.h"
#include "tests/load/talk.h"

enum {
    REGION = 16 << 20,
    CONNECTIONS = 500, /* of two channels each */
    IDLE_MS = 1500,
    STEP_MS = 20,
    QUIET_MS = 1000,
    SECONDS = 300,
};

/* What the two peers and the test tell each other. */
struct shared {
    volatile unsigned listener; /* its ID and 1 */
    volatile unsigned open;     /* connections that were accepted */
    volatile unsigned waits;    /* peers that wait for messages */
    volatile int go;
    volatile unsigned messages[2];
};

static struct shared *shared;
static const char text[] = "a message";

static void await(const volatile unsigned *number, unsigned value)
{
    int64_t deadline = deadline_in(SECONDS);

    while (*number != value) {
        require(now_ms() < deadline, "%u, and should be %u", *number, value);
        pause_ms(1);
    }
}

/* One message for each connection; all are answered by the listener. */
static void on_ready(struct ivshmem *iv, void *context, struct ivshmem_channel *channel)
{
    const unsigned *side = context;
    char got[sizeof(text)];
    ssize_t r;

    ivshmem_channel_set_timeout(channel, 0);
    r = ivshmem_recv(channel, got, sizeof(got));
    if (r < 0 &&
        shared->messages[1] == CONNECTIONS) /* all is said, and the connector may be gone */
        return;
    require(r == sizeof(text) && memcmp(got, text, sizeof(text)) == 0, "received %zd: %s", r,
            ivshmem_error(iv));
    if (*side == 0)
        require(ivshmem_send(channel, text, sizeof(text)) == 0, "%s", ivshmem_error(iv));
    shared->messages[*side]++;
}

static void dispatch(struct ivshmem *iv)
{
    struct pollfd wait = {.fd = ivshmem_fd(iv), .events = POLLIN};

    poll(&wait, 1, shared->go ? 10 : 100000);
    require(ivshmem_dispatch(iv) == 0, "%s", ivshmem_error(iv));
}

static void on_rung(struct ivshmem *iv, void *context, unsigned vector)
{
    (void)iv;
    (void)context;
    (void)vector;
}

static const struct ivshmem_callbacks callbacks = {
    .size = sizeof(callbacks), .channel_ready = on_ready, .notification = on_rung};

static void be_listener(const struct test_server *server)
{
    unsigned side = 0;
    struct ivshmem *iv = talk_join(server, &callbacks, &side);

    require(ivshmem_listen(iv, TALK_PORT) == 0, "%s", ivshmem_error(iv));
    shared->listener = (unsigned)ivshmem_id(iv) + 1;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        require(ivshmem_channel_watch(talk_accept(iv), IVSHMEM_READABLE) == 0, "%s",
                ivshmem_error(iv));
        shared->open++;
    }
    __atomic_fetch_add(&shared->waits, 1, __ATOMIC_SEQ_CST);
    while (shared->messages[1] < CONNECTIONS)
        dispatch(iv);
    ivshmem_free(iv);
}

static void be_connector(const struct test_server *server)
{
    const struct ivshmem_connect_options options = {
        .size = sizeof(options), .ring_size = LAYOUT_BLOCK, .reverse_size = LAYOUT_BLOCK};
    struct ivshmem_channel *channels[CONNECTIONS];
    unsigned side = 1;
    struct ivshmem *iv = talk_join(server, &callbacks, &side);

    for (unsigned i = 0; i < CONNECTIONS; i++) {
        channels[i] = talk_connect(iv, shared->listener - 1, &options);
        require(ivshmem_channel_watch(channels[i], IVSHMEM_READABLE) == 0, "%s", ivshmem_error(iv));
    }
    __atomic_fetch_add(&shared->waits, 1, __ATOMIC_SEQ_CST);
    while (!shared->go)
        dispatch(iv);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        require(ivshmem_send(channels[i], text, sizeof(text)) == 0, "%s", ivshmem_error(iv));
    while (shared->messages[1] < CONNECTIONS)
        dispatch(iv);
    ivshmem_free(iv);
}

static uint64_t wake_ups(pid_t pid)
{
    return process_status(pid, "voluntary_ctxt_switches") +
           process_status(pid, "nonvoluntary_ctxt_switches");
}

/* A second of which nobody has seen anything; what was under way may end before. */
static void require_quiet(const pid_t *pids, unsigned count)
{
    int64_t deadline = deadline_in(SECONDS);
    uint64_t before, woken;

    do {
        before = woken = 0;
        for (unsigned i = 0; i < count; i++)
            before += wake_ups(pids[i]) + process_cpu_ns(pids[i]);
        pause_ms(QUIET_MS);
        for (unsigned i = 0; i < count; i++)
            woken += wake_ups(pids[i]) + process_cpu_ns(pids[i]);
        require(now_ms() < deadline, "idle channels cost CPU");
    } while (woken != before);
}

static void test_many(const struct test_server *server)
{
    pid_t pids[3] = {server->pid, child_start()};
    cJSON *status;
    uint64_t cpu;

    if (pids[1] == 0) {
        be_listener(server);
        exit(EXIT_SUCCESS);
    }
    while (!shared->listener)
        pause_ms(1);
    cpu = process_cpu_ns(server->pid);
    pids[2] = child_start();
    if (pids[2] == 0) {
        be_connector(server);
        exit(EXIT_SUCCESS);
    }
    await(&shared->waits, 2);
    printf("%u channels, each opened with %llu ns of the daemon's CPU\n", 2 * CONNECTIONS,
           (unsigned long long)(process_cpu_ns(server->pid) - cpu) / (2 * CONNECTIONS));
    status = talk_call(server, "Status", NULL);
    require(talk_number(status, "channels", "active") == 2 * CONNECTIONS, "%.0f channels",
            talk_number(status, "channels", "active"));
    cJSON_Delete(status);
    require_quiet(pids, 3);
    shared->go = 1;
    cJSON_Delete(talk_call(server, "Ring", NULL)); /* everybody looks at it */
    await(&shared->messages[0], CONNECTIONS);
    await(&shared->messages[1], CONNECTIONS);
    talk_await_end(pids[1], "the listener", SECONDS);
    talk_await_end(pids[2], "the connector", SECONDS);
}

/* --- idle --- */

/* Sends for longer than the connection may be idle. Return: false: we were not run in time. */
static bool send_now_and_then(struct ivshmem *iv, struct ivshmem_channel *channel)
{
    int64_t end = now_ms() + 2 * IDLE_MS, last = now_ms();

    while (now_ms() < end) {
        int r = ivshmem_dispatch(iv); /* which sees that a channel has ended */

        if (r == 0)
            r = ivshmem_send(channel, text, 1);
        if (now_ms() - last > IDLE_MS / 2)
            return false;
        last = now_ms();
        require(r == 0, "a connection that was in use: %s", ivshmem_error(iv));
        pause_ms(STEP_MS);
    }
    return true;
}

/* The other side, a child's, looks at nothing: only what the sender publishes tells of the use. */
static void test_idle(const struct test_server *server)
{
    const struct ivshmem_connect_options options = {
        .size = sizeof(options), .reverse_size = LAYOUT_BLOCK, .idle_ms = IDLE_MS};
    struct ivshmem_channel *channel;
    unsigned tries = 0;
    struct ivshmem *iv;
    pid_t child;

    shared->listener = 0;
    child = child_start();
    if (child == 0) {
        iv = talk_join(server, NULL, NULL);
        require(ivshmem_listen(iv, TALK_PORT) == 0, "%s", ivshmem_error(iv));
        shared->listener = (unsigned)ivshmem_id(iv) + 1;
        for (;;)
            talk_accept(iv);
    }
    while (!shared->listener)
        pause_ms(1);
    iv = talk_join(server, NULL, NULL);
    do {
        require(tries++ < 10, "this machine is too busy");
        channel = talk_connect(iv, shared->listener - 1, &options);
    } while (!send_now_and_then(iv, channel) && !ivshmem_close(channel));
    require(ivshmem_recv(channel, NULL, 0) == -ETIME, "a connection was not closed for being idle");
    ivshmem_close(channel);
    ivshmem_free(iv);
    child_kill(child);
}

int main(void)
{
    static const char *const options[] = {
        "--channels",          "--max-channels=1024",     "--channel-quota=1024",
        "--channel-bytes=12M", "--channel-interval=3600", NULL};
    const struct server_setup setup = {.vectors = 1, .options = options, .size = REGION};
    struct test_server server;

    harness_start("many", 2 * SECONDS);
    shared = talk_shared(sizeof(*shared));
    server_start(&server, &setup);
    test_many(&server);
    test_idle(&server);
    server_stop(&server);
    return EXIT_SUCCESS;
}
