/* SPDX-License-Identifier: MIT
 *
 * What a join storm costs the server, beside a raw loop in the same run.
 *
 * The raw loop is a plain process that does nothing but sendmsg(2): eight bytes and one descriptor
 * each, the same eventfds to as many clients in the same amount, over blocking UNIX stream sockets
 * with default buffers. The receiving side is the same crowd for both; it reads and closes, and
 * compares nothing. CPU time is that of the sending process (/proc/PID/schedstat). Rounds come in
 * pairs, the raw loop first and then second in turn, so that what else the machine does falls on
 * both; medians are printed, and the ratio is the median of the pairs'.
 *
 * Variables: IVSHMEM_BENCH_CLIENTS [200], IVSHMEM_BENCH_VECTORS [64], IVSHMEM_BENCH_ROUNDS [5].
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fdpass.h"
#include "tests/load/crowd.h"
#include "tests/load/harness.h"

enum { ROUNDS_MAX = 100, SECONDS = 300 };

struct result {
    double wall_s, cpu_ns; /* cpu_ns is for one message */
    uint64_t messages, peak_kib;
};

static unsigned n_clients, n_vectors;

static void measure(struct crowd *crowd, pid_t sender, int64_t start, uint64_t cpu,
                    struct result *result)
{
    result->wall_s = (double)(now_ms() - start) / 1000;
    result->messages = crowd->messages;
    result->cpu_ns = (double)(process_cpu_ns(sender) - cpu) / (double)crowd->messages;
    result->peak_kib = process_status(sender, "VmHWM");
}

static void server_round(struct result *result)
{
    const char *const options[] = {"--log-level=notice", NULL};
    struct server_setup setup = {.vectors = n_vectors};
    struct test_server server;
    struct crowd *crowd;
    uint64_t cpu;
    int64_t start;

    (void)options;
    server_start(&server, &setup);
    crowd = crowd_new(server.socket, n_vectors);
    crowd->identify = false;
    cpu = process_cpu_ns(server.pid);
    start = now_ms();
    for (unsigned i = 0; i < n_clients; i++) {
        crowd_join(crowd, CROWD_KEEP_NONE);
        crowd_pump(crowd, 0);
    }
    crowd_settle(crowd, SECONDS);
    measure(crowd, server.pid, start, cpu, result);
    crowd_free(crowd);
    server_stop(&server);
}

static int listen_raw(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path);
    require(sock >= 0 && bind(sock, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                listen(sock, SOMAXCONN) == 0,
            "cannot listen on %s: %s", path, strerror(errno));
    return sock;
}

static void send_raw(int sock, int64_t value, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(sizeof(int))}};
    uint8_t bytes[WIRE_SIZE];
    struct iovec whole = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    struct msghdr header = {.msg_iov = &whole,
                            .msg_iovlen = 1,
                            .msg_control = fd < 0 ? NULL : &control,
                            .msg_controllen = fd < 0 ? 0 : sizeof(control)};

    wire_encode(bytes, value);
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    if (sendmsg(sock, &header, MSG_NOSIGNAL) != WIRE_SIZE)
        _exit(1);
}

/* The raw sender: greets its clients as a server would, and tells each of all. */
static void run_raw(int listener, int go, int memory)
{
    int *socks = calloc(n_clients, sizeof(*socks));
    int *doorbells = calloc((size_t)n_clients * n_vectors, sizeof(*doorbells));
    char byte;

    for (unsigned i = 0; i < n_clients * n_vectors; i++)
        doorbells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (unsigned i = 0; i < n_clients; i++)
        socks[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (read(go, &byte, 1) != 1)
        _exit(1);
    for (unsigned i = 0; i < n_clients; i++) {
        send_raw(socks[i], WIRE_VERSION, -1);
        send_raw(socks[i], i, -1);
        send_raw(socks[i], WIRE_MEMORY, memory);
    }
    for (unsigned id = 0; id < n_clients; id++)
        for (unsigned i = 0; i < n_clients; i++)
            for (unsigned vector = 0; vector < n_vectors; vector++)
                send_raw(socks[i], id, doorbells[id * n_vectors + vector]);
    pause();
}

static void raw_round(struct result *result)
{
    char path[PATH_SIZE + 8];
    FILE *memory = tmpfile();
    struct crowd *crowd;
    int listener, go[2];
    uint64_t cpu;
    int64_t start;
    pid_t sender;

    snprintf(path, sizeof(path), "%s/raw", harness_directory());
    listener = listen_raw(path);
    require(memory && pipe(go) == 0 && ftruncate(fileno(memory), 4096) == 0, "cannot set up: %s",
            strerror(errno));
    sender = child_start();
    if (sender == 0)
        run_raw(listener, go[0], fileno(memory));
    crowd = crowd_new(path, n_vectors);
    crowd->identify = false;
    for (unsigned i = 0; i < n_clients; i++)
        crowd_join(crowd, CROWD_KEEP_NONE);
    while (process_descriptors(sender) < n_clients * (n_vectors + 1))
        pause_ms(10);
    pause_ms(20);
    cpu = process_cpu_ns(sender);
    start = now_ms();
    require(write(go[1], "", 1) == 1, "write: %s", strerror(errno));
    crowd_settle(crowd, SECONDS);
    measure(crowd, sender, start, cpu, result);
    crowd_free(crowd);
    child_kill(sender);
    close(listener);
    close(go[0]);
    close(go[1]);
    fclose(memory);
}

static int ascending(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;

    return (a > b) - (a < b);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int main(void)
{
    unsigned rounds = harness_number("IVSHMEM_BENCH_ROUNDS", 5);
    double served[ROUNDS_MAX], raw[ROUNDS_MAX], ratio[ROUNDS_MAX];
    struct result server, plain;

    n_clients = harness_number("IVSHMEM_BENCH_CLIENTS", 200);
    n_vectors = harness_number("IVSHMEM_BENCH_VECTORS", 64);
    require(rounds >= 1 && rounds <= ROUNDS_MAX, "IVSHMEM_BENCH_ROUNDS: 1 to %d", ROUNDS_MAX);
    harness_start("bench", 3600);
    harness_raise_limit(n_clients * (n_vectors + 1) + 256);
    printf("join storm: %u clients of %u vectors\n", n_clients, n_vectors);
    for (unsigned i = 0; i < rounds; i++) {
        if (i % 2) {
            raw_round(&plain);
            server_round(&server);
        } else {
            server_round(&server);
            raw_round(&plain);
        }
        served[i] = server.cpu_ns;
        raw[i] = plain.cpu_ns;
        ratio[i] = server.cpu_ns / plain.cpu_ns;
        printf("round %u: %llu messages; server %.2f s, %.0f ns CPU a message, %llu KiB; "
               "raw %.2f s, %.0f ns; ratio %.2f\n",
               i + 1, (unsigned long long)server.messages, server.wall_s, server.cpu_ns,
               (unsigned long long)server.peak_kib, plain.wall_s, plain.cpu_ns, ratio[i]);
    }
    printf("join storm: server %.0f ns a message, raw sendmsg loop %.0f ns, ratio %.2f "
           "(wanted: at most 0.75)\n",
           median(served, rounds), median(raw, rounds), median(ratio, rounds));
    return EXIT_SUCCESS;
}
