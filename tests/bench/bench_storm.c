/* SPDX-License-Identifier: MIT
 *
 * What a join storm costs the server, beside two plain loops in the same run.
 *
 * The plain loop does nothing but sendmsg(2): eight bytes and one descriptor each, as many eventfds
 * to as many clients as the server, over blocking UNIX stream sockets with default buffers. The
 * batched loop does the same with sendmmsg(2), 64 messages a call: nobody who has to send one
 * descriptor a message can do better, so it says how much of the server's cost is the kernel's.
 *
 * The receiving side is the same crowd for all; it reads and closes, and compares nothing. CPU time
 * is that of the sending process (/proc/PID/schedstat), for one message. A round measures all
 * three, in turning order, so that what else the machine does falls on each; the ratios are taken
 * within a round, and medians are printed.
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

#include "common/wire.h"
#include "tests/load/crowd.h"
#include "tests/load/harness.h"

enum { ROUNDS_MAX = 100, SECONDS = 300, BATCH = 64 };

enum sender { SERVER, PLAIN, BATCHED, N_SENDERS };

struct result {
    double wall_s, cpu_ns; /* cpu_ns is for one message */
    uint64_t messages, peak_kib;
};

static unsigned n_clients, n_vectors;

static void measure(struct crowd *crowd, pid_t sender, int64_t start, uint64_t cpu,
                    struct result *result)
{
    crowd_settle(crowd, SECONDS);
    result->wall_s = (double)(now_ms() - start) / 1000;
    result->messages = crowd->messages;
    result->cpu_ns = (double)(process_cpu_ns(sender) - cpu) / (double)crowd->messages;
    result->peak_kib = process_status(sender, "VmHWM");
}

static void server_round(struct result *result)
{
    struct server_setup setup = {.vectors = n_vectors};
    struct test_server server;
    struct crowd *crowd;
    uint64_t cpu;
    int64_t start;

    server_start(&server, &setup);
    crowd = crowd_new(server.socket, n_vectors);
    crowd->identify = false;
    cpu = process_cpu_ns(server.pid);
    start = now_ms();
    for (unsigned i = 0; i < n_clients; i++) {
        crowd_join(crowd, CROWD_KEEP_NONE);
        crowd_pump(crowd, 0);
    }
    measure(crowd, server.pid, start, cpu, result);
    crowd_free(crowd);
    server_stop(&server);
}

static int listen_at(const char *path)
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

/* Messages as the system calls take them. */
struct messages {
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];
    uint8_t bytes[BATCH][WIRE_SIZE];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control[BATCH];
    unsigned count;
};

static void add(struct messages *messages, int64_t value, int fd)
{
    unsigned i = messages->count++;
    struct cmsghdr *control = &messages->control[i].header;

    wire_encode(messages->bytes[i], value);
    messages->vectors[i] = (struct iovec){messages->bytes[i], WIRE_SIZE};
    messages->headers[i].msg_hdr =
        (struct msghdr){.msg_iov = &messages->vectors[i], .msg_iovlen = 1};
    if (fd < 0)
        return;
    messages->headers[i].msg_hdr.msg_control = control;
    messages->headers[i].msg_hdr.msg_controllen = sizeof(messages->control[i]);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(control), &fd, sizeof(fd));
}

static void send_all(struct messages *messages, int sock, bool batched)
{
    for (unsigned i = 0; i < messages->count; i++) {
        int sent = batched ? sendmmsg(sock, messages->headers + i, messages->count - i, 0)
                           : (int)sendmsg(sock, &messages->headers[i].msg_hdr, 0);

        if (sent <= 0)
            _exit(1);
        i += batched ? (unsigned)sent - 1 : 0;
    }
    messages->count = 0;
}

/* In the child: greets its clients as a server would, and tells each of all. */
static noreturn void run_loop(int listener, int go, int memory, bool batched)
{
    int *socks = calloc(n_clients, sizeof(*socks));
    int *doorbells = calloc((size_t)n_clients * n_vectors, sizeof(*doorbells));
    struct messages messages = {.count = 0};
    char byte;

    for (unsigned i = 0; i < n_clients * n_vectors; i++)
        doorbells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (unsigned i = 0; i < n_clients; i++)
        socks[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (read(go, &byte, 1) != 1)
        _exit(1);
    for (unsigned i = 0; i < n_clients; i++) {
        add(&messages, WIRE_VERSION, -1);
        add(&messages, i, -1);
        add(&messages, WIRE_MEMORY, memory);
        send_all(&messages, socks[i], batched);
    }
    for (unsigned id = 0; id < n_clients; id++)
        for (unsigned i = 0; i < n_clients; i++)
            for (unsigned vector = 0; vector < n_vectors; vector++) {
                add(&messages, id, doorbells[id * n_vectors + vector]);
                if (messages.count == BATCH || vector + 1 == n_vectors)
                    send_all(&messages, socks[i], batched);
            }
    for (;;)
        pause();
}

static void loop_round(struct result *result, bool batched)
{
    char path[PATH_SIZE + 8];
    FILE *memory = tmpfile();
    struct crowd *crowd;
    int listener, go[2];
    uint64_t cpu;
    int64_t start;
    pid_t sender;

    snprintf(path, sizeof(path), "%s/loop", harness_directory());
    listener = listen_at(path);
    require(memory && pipe(go) == 0 && ftruncate(fileno(memory), 4096) == 0, "cannot set up: %s",
            strerror(errno));
    sender = child_start();
    if (sender == 0)
        run_loop(listener, go[0], fileno(memory), batched);
    crowd = crowd_new(path, n_vectors);
    crowd->identify = false;
    for (unsigned i = 0; i < n_clients; i++)
        crowd_join(crowd, CROWD_KEEP_NONE);
    while (process_descriptors(sender) < n_clients * (n_vectors + 1))
        pause_ms(10); /* its eventfds and sockets: not part of the loop */
    pause_ms(20);
    cpu = process_cpu_ns(sender);
    start = now_ms();
    require(write(go[1], "", 1) == 1, "write: %s", strerror(errno));
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

static void one_round(unsigned round, struct result *results)
{
    for (unsigned i = 0; i < N_SENDERS; i++) {
        enum sender sender = (enum sender)((i + round) % N_SENDERS);

        if (sender == SERVER)
            server_round(&results[SERVER]);
        else
            loop_round(&results[sender], sender == BATCHED);
    }
    printf("round %u: %llu messages, %.2f s; CPU a message: server %.0f ns, sendmsg %.0f ns, "
           "sendmmsg %.0f ns; server memory %llu KiB\n",
           round + 1, (unsigned long long)results[SERVER].messages, results[SERVER].wall_s,
           results[SERVER].cpu_ns, results[PLAIN].cpu_ns, results[BATCHED].cpu_ns,
           (unsigned long long)results[SERVER].peak_kib);
}

int main(void)
{
    unsigned rounds = harness_number("IVSHMEM_BENCH_ROUNDS", 5);
    double cpu[N_SENDERS][ROUNDS_MAX], ratio[ROUNDS_MAX], floor[ROUNDS_MAX];
    struct result results[N_SENDERS];

    n_clients = harness_number("IVSHMEM_BENCH_CLIENTS", 200);
    n_vectors = harness_number("IVSHMEM_BENCH_VECTORS", 64);
    require(rounds >= 1 && rounds <= ROUNDS_MAX, "IVSHMEM_BENCH_ROUNDS: 1 to %d", ROUNDS_MAX);
    harness_start("bench", 3600);
    harness_raise_limit(n_clients * (n_vectors + 1) + 256);
    printf("join storm: %u clients of %u vectors\n", n_clients, n_vectors);
    for (unsigned i = 0; i < rounds; i++) {
        one_round(i, results);
        for (unsigned j = 0; j < N_SENDERS; j++)
            cpu[j][i] = results[j].cpu_ns;
        ratio[i] = results[SERVER].cpu_ns / results[PLAIN].cpu_ns;
        floor[i] = results[BATCHED].cpu_ns / results[PLAIN].cpu_ns;
    }
    printf("join storm: server %.0f ns of CPU a message, plain sendmsg loop %.0f ns: ratio %.2f "
           "(wanted: 0.75); bare sendmmsg loop %.0f ns: ratio %.2f\n",
           median(cpu[SERVER], rounds), median(cpu[PLAIN], rounds), median(ratio, rounds),
           median(cpu[BATCHED], rounds), median(floor, rounds));
    return EXIT_SUCCESS;
}
