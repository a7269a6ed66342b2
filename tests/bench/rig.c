/* SPDX-License-Identifier: MIT
 *
 * See rig.h. The child gets an order (which contender, size, how many) through shared memory and
 * says that it is ready; then both set off. The time runs from there until the last message was
 * received and checked.
 *
 * Where other programs hold a processor for long, at a real-time priority say, the two hardly ever
 * run at the same time, and who takes turns gets on by one turn each time: rounds end, but not
 * today.
 */
#include "tests/bench/rig.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/library.h"
#include "tests/load/harness.h"

enum { LINE_TRIPS = 200 }; /* of rig_distance() at a time: less than 100 us */

/* Shared: what the child has to do. The numbers count rounds. */
struct order {
    const struct transport *transport; /* the same address in both */
    size_t size;
    uint64_t count;
    uint8_t apart[104];
    uint32_t number, go; /* of the parent; a number without a contender is the end */
    uint8_t apart2[120];
    uint32_t ready, done; /* of the child */
    int64_t preempted;    /* how often it was, in this round */
};

static struct {
    struct lane lane;
    struct order *order;
    uint32_t number;
    pid_t child;
    int64_t preempted; /* in the last round, either process */
    char doing[100];
} rig;

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* How often another program took the processor from this one. */
static int64_t preemptions(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nivcsw;
}

void lane_wrong(const struct lane *lane, uint64_t number)
{
    fail("%s, %zu bytes: message %llu did not come as it was sent", lane->name, lane->size,
         (unsigned long long)number);
}

static void await(const uint32_t *word, uint32_t number)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != number)
        lane_pause(&rig.lane);
}

static void set_lane(const struct transport *transport, size_t size, uint64_t count)
{
    size_t burst = lane_queue(size) / 8 / size;

    rig.lane.name = transport->name;
    rig.lane.size = size;
    rig.lane.count = count;
    rig.lane.burst = burst > LANE_BURST ? LANE_BURST : burst ? (unsigned)burst : 1;
}

static noreturn void run_child(void)
{
    struct order *order = rig.order;

    for (uint32_t number = 1;; number++) {
        int64_t before;

        await(&order->number, number);
        if (!order->transport)
            _exit(0);
        set_lane(order->transport, order->size, order->count);
        __atomic_store_n(&order->ready, number, __ATOMIC_RELEASE);
        await(&order->go, number);
        before = preemptions();
        if (order->transport->send)
            order->transport->send(&rig.lane);
        order->preempted = preemptions() - before;
        __atomic_store_n(&order->done, number, __ATOMIC_RELEASE);
    }
}

/* The text of the file that names the threads of a core, or nothing. */
static void core_of(int cpu, char *text, size_t size)
{
    char path[100];
    FILE *file;

    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
             cpu);
    file = fopen(path, "re");
    snprintf(text, size, "cpu %d", cpu);
    if (file && !fgets(text, (int)size, file))
        snprintf(text, size, "cpu %d", cpu);
    if (file)
        fclose(file);
}

/* Two CPUs that we may use, of different cores. */
static void choose_cpus(int cpus[2])
{
    char first[100] = "", other[100];
    unsigned found = 0;
    cpu_set_t allowed;

    require(sched_getaffinity(0, sizeof(allowed), &allowed) == 0, "sched_getaffinity: %s",
            strerror(errno));
    for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        core_of(cpu, found ? other : first, sizeof(first));
        if (!found || strcmp(first, other) != 0)
            cpus[found++] = cpu;
    }
    if (found < 2)
        skip("needs two cores");
}

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    require(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity: %s", strerror(errno));
}

static void *map_shared(size_t size)
{
    int fd = memfd_create("bench", MFD_CLOEXEC);
    void *memory;

    require(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "memfd_create: %s", strerror(errno));
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    require(memory != MAP_FAILED, "mmap: %s", strerror(errno));
    close(fd);
    return memory;
}

static void *map_private(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    require(memory != MAP_FAILED, "mmap: %s", strerror(errno));
    return memory;
}

/* The program waits for the child in many places; none of them looks whether it lives. */
static void on_child(int signal_number)
{
    int status;

    (void)signal_number;
    if (waitpid(rig.child, &status, WNOHANG) == rig.child)
        _exit(1);
}

void rig_start(void)
{
    struct lane *lane = &rig.lane;
    int cpus[2];

    choose_cpus(cpus);
    rig.order = map_shared(sizeof(*rig.order));
    lane->words = map_shared(LANE_WORDS + LANE_QUEUE_MAX + LANE_TAIL);
    lane->queue = lane->words + LANE_WORDS;
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, lane->stream) == 0, "socketpair: %s",
            strerror(errno));
    for (int i = 0; i < 2; i++) {
        lane->doorbells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        lane->counters[i] = eventfd(0, EFD_CLOEXEC);
        require(lane->doorbells[i] >= 0 && lane->counters[i] >= 0, "eventfd: %s", strerror(errno));
    }
    signal(SIGCHLD, on_child);
    rig.child = child_start();
    lane->buffer = map_private(LANE_QUEUE_MAX);
    pin(cpus[rig.child ? 1 : 0]);
    library_join(lane, !rig.child);
    if (!rig.child)
        run_child();
    printf("sender on CPU %d, receiver on CPU %d\n", cpus[0], cpus[1]);
}

double rig_round(const struct transport *transport, size_t size, uint64_t count)
{
    struct order *order = rig.order;
    int64_t before;
    uint64_t stale;
    double start;

    set_lane(transport, size, count);
    snprintf(rig.doing, sizeof(rig.doing), "%s, %zu bytes, %llu messages", transport->name, size,
             (unsigned long long)count);
    harness_doing(rig.doing);
    while (read(rig.lane.doorbells[0], &stale, sizeof(stale)) > 0 ||
           read(rig.lane.doorbells[1], &stale, sizeof(stale)) > 0)
        continue;
    if (transport->prepare)
        transport->prepare(&rig.lane);
    order->transport = transport;
    order->size = size;
    order->count = count;
    __atomic_store_n(&order->number, ++rig.number, __ATOMIC_RELEASE);
    await(&order->ready, rig.number);
    before = preemptions();
    start = now_ns();
    __atomic_store_n(&order->go, rig.number, __ATOMIC_RELEASE);
    transport->receive(&rig.lane);
    start = now_ns() - start;
    before = preemptions() - before;
    await(&order->done, rig.number);
    rig.preempted = before + order->preempted;
    return start / (double)count;
}

double rig_distance(void)
{
    double least = 0;

    for (int i = 0; i < 3; i++) { /* one of them is not disturbed */
        double ns = rig_round(&transports_trip[0], 64, LINE_TRIPS);

        least = !i || ns < least ? ns : least;
    }
    return least;
}

bool rig_disturbed(void)
{
    return rig.preempted != 0;
}

uint64_t rig_calibrate(const struct transport *transport, size_t size, double ns)
{
    uint64_t count = 4;

    for (;;) {
        double each = rig_round(transport, size, count);

        if (each * (double)count >= ns / 8)
            return (uint64_t)(ns / each) + 1;
        count *= 4;
    }
}

void rig_stop(void)
{
    signal(SIGCHLD, SIG_DFL);
    rig.order->transport = NULL;
    __atomic_store_n(&rig.order->number, ++rig.number, __ATOMIC_RELEASE);
    waitpid(rig.child, NULL, 0);
}
