/* SPDX-License-Identifier: MIT
 *
 * What channels cost besides their messages: opening one, and having many that nobody uses.
 *
 * Opening is connect, accept and close on both sides, one after the other: the time, and the CPU
 * of the server for it. Being idle is the CPU of the server and of both processes within a second
 * in which all three only wait for what comes: with one more channel, and with 1000.
 *
 * Variable: IVSHMEM_BENCH_CHANNELS [1000].
 */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/bench/library.h"
#include "tests/bench/rig.h"
#include "tests/load/harness.h"

enum {
    RING_SIZE = 4096,
    IDLE_MS = 1000,
    IDLE_US = 1000, /* a thousandth of a CPU: none, but to wake up once and look */
    ROUNDS_MAX = 5,
};

/* Of a second without work; nanoseconds of CPU. The sending process writes its own to the lane. */
struct idle {
    uint64_t server, sender, receiver;
};

static const struct ivshmem_connect_options small = {sizeof(small), RING_SIZE, 0, 0, 0};
static struct ivshmem_channel *opened[LIBRARY_CHANNELS]; /* by this process */
static struct idle idle;                                 /* of the receiving process */

static void open_send(struct lane *lane)
{
    for (uint64_t i = 0; i < lane->count; i++)
        ivshmem_close(library_connect(&small));
}

static void open_receive(struct lane *lane)
{
    for (uint64_t i = 0; i < lane->count; i++)
        ivshmem_close(library_accept());
}

static const struct transport opening = {"opening", 64, 64, NULL, open_send, open_receive};

static uint64_t own_cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Nobody goes on before the other is here too. */
static void meet(int stream)
{
    char byte = 0;

    require(send(stream, &byte, 1, 0) == 1 && recv(stream, &byte, 1, 0) == 1,
            "the other process has gone");
}

/* Do what a program does that has nothing to do. Return: the CPU of this process. */
static uint64_t serve(int stream)
{
    struct pollfd wait = {.fd = ivshmem_fd(library_handle()), .events = POLLIN};
    int64_t until, now;
    uint64_t before;

    meet(stream);
    before = own_cpu_ns();
    for (until = now_ms() + IDLE_MS; (now = now_ms()) < until;)
        if (poll(&wait, 1, (int)(until - now)) > 0)
            require(ivshmem_dispatch(library_handle()) == 0, "%s", ivshmem_error(library_handle()));
    before = own_cpu_ns() - before;
    meet(stream);
    return before;
}

static void idle_send(struct lane *lane)
{
    uint64_t *answer = (uint64_t *)(void *)lane->words;

    for (uint64_t i = 0; i < lane->count; i++)
        opened[i] = library_connect(&small);
    *answer = serve(lane->stream[0]);
    for (uint64_t i = 0; i < lane->count; i++)
        opened[i] = ivshmem_close(opened[i]);
    meet(lane->stream[0]);
}

static void idle_receive(struct lane *lane)
{
    uint64_t server;

    for (uint64_t i = 0; i < lane->count; i++)
        opened[i] = library_accept();
    server = process_cpu_ns(library_server());
    idle.receiver = serve(lane->stream[1]);
    idle.server = process_cpu_ns(library_server()) - server;
    for (uint64_t i = 0; i < lane->count; i++)
        opened[i] = ivshmem_close(opened[i]);
    meet(lane->stream[1]);
    idle.sender = *(const uint64_t *)(const void *)lane->words;
}

static const struct transport idling = {"idling", 64, 64, NULL, idle_send, idle_receive};

static void print_opening(unsigned n_rounds, unsigned n_channels)
{
    double ns[ROUNDS_MAX], cpu[ROUNDS_MAX];

    n_rounds = n_rounds < ROUNDS_MAX ? n_rounds : ROUNDS_MAX;
    for (unsigned i = 0; i < n_rounds; i++) {
        uint64_t before = process_cpu_ns(library_server());

        ns[i] = rig_round(&opening, 64, n_channels);
        cpu[i] = (double)(process_cpu_ns(library_server()) - before) / n_channels;
    }
    printf("  opening and closing one, of %u: %.1f us, CPU of the server %.1f us\n", n_channels,
           table_median(ns, n_rounds) / 1000, table_median(cpu, n_rounds) / 1000);
}

static void print_idle(unsigned n_channels)
{
    uint64_t most;

    rig_round(&idling, 64, n_channels);
    most = idle.server > idle.sender ? idle.server : idle.sender;
    most = idle.receiver > most ? idle.receiver : most;
    printf("  %4u idle, CPU in a second: server %.0f us, sender %.0f us, receiver %.0f us   "
           "wanted: at most %d   %s\n",
           n_channels, (double)idle.server / 1000, (double)idle.sender / 1000,
           (double)idle.receiver / 1000, IDLE_US, most <= IDLE_US * 1000 ? "yes" : "NO");
}

void costs_print(const struct table *table)
{
    unsigned n_channels = harness_number("IVSHMEM_BENCH_CHANNELS", LIBRARY_CHANNELS);

    if (table_find(table, "library copy") < 0)
        return;
    require(n_channels >= 1 && n_channels <= LIBRARY_CHANNELS, "IVSHMEM_BENCH_CHANNELS: 1 to %d",
            LIBRARY_CHANNELS);
    printf("\nchannels of %d bytes\n", RING_SIZE);
    print_opening(table->n_rounds, n_channels);
    print_idle(1);
    print_idle(n_channels);
}
