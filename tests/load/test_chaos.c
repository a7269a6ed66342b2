/* SPDX-License-Identifier: MIT
 *
 * Chaos: several hundred peers join, leave, fall asleep, wake, are killed; doorbells are flooded
 * and spoilt, strangers send rubbish, and the memory is cut by path; all at random, from a seed.
 *
 * The model is the crowd: each client that reads holds every message against the rules (nothing
 * twice, no leave of a stranger, nobody comes back, vectors in order), and at each checkpoint all
 * of their tables must be the truth: who is there, with which doorbells, in the order of joining;
 * so nothing was lost. Peers in processes of their own are strangers to the model, known by number;
 * they are there to be killed. A pair rings each other throughout. At the end of an epoch everybody
 * leaves, and the server must have as many descriptors as at the start, and no more than 16 MiB.
 *
 * Variables: IVSHMEM_CHAOS_SECONDS [12], IVSHMEM_CHAOS_SEED [from the clock].
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/doorbell.h"
#include "tests/load/crowd.h"
#include "tests/load/harness.h"
#include "tests/load/pair.h"

enum {
    VECTORS = 2,
    CLIENTS_MAX = 220,   /* in the crowd */
    CHILDREN_MAX = 8,    /* processes that are killed */
    CHILD_PEERS = 10,    /* peers of each */
    STEPS = 60,          /* between two checkpoints */
    EPOCH_JOINS = 20000, /* well below the number of IDs, so that no leave is withheld */
    REPAIR_SECONDS = 60, /* it takes milliseconds */
    CONTENT = 4096,      /* bytes of memory that are never cut off */
};

/**
 * struct chaos - the world
 * @children: processes with CHILD_PEERS peers each, 0 for none
 * @joins:    of this epoch, at least
 * @steps:    deeds that were done, in all
 */
struct chaos {
    struct test_server server;
    struct pair pair;
    pid_t children[CHILDREN_MAX];
    unsigned n_children;
    unsigned joins, steps;
    uint64_t random;
    int64_t slowest_repair;
};

static unsigned draw(struct chaos *chaos, unsigned below)
{
    chaos->random ^= chaos->random << 13; /* xorshift64 */
    chaos->random ^= chaos->random >> 7;
    chaos->random ^= chaos->random << 17;
    return (unsigned)(chaos->random >> 33) % below;
}

/* Somebody of the crowd, but none of the pair; NULL if there is nobody. */
static struct crowd_client *somebody(struct chaos *chaos)
{
    struct crowd *crowd = chaos->pair.crowd;
    struct crowd_client *client = crowd->clients[draw(chaos, (unsigned)crowd->n_clients)];

    return client == chaos->pair.one || client == chaos->pair.other ? NULL : client;
}

static void join(struct chaos *chaos)
{
    if (chaos->pair.crowd->n_clients >= CLIENTS_MAX)
        return;
    crowd_join(chaos->pair.crowd, CROWD_KEEP_NONE);
    chaos->joins++;
}

static void leave(struct chaos *chaos)
{
    struct crowd_client *client = somebody(chaos);

    if (client)
        crowd_leave(client);
}

static void fall_asleep(struct chaos *chaos)
{
    struct crowd_client *client = somebody(chaos);

    if (client)
        crowd_stall(client);
}

static void wake_up(struct chaos *chaos)
{
    for (unsigned i = 0; i < 20; i++) {
        struct crowd_client *client = somebody(chaos);

        if (client && client->stalled) {
            crowd_resume(client);
            return;
        }
    }
}

/* Rings everybody a hundred times, or fills their counters and makes later writers wait. */
static void flood(struct chaos *chaos)
{
    const struct crowd_client *one = chaos->pair.one;
    const uint64_t full = UINT64_MAX - 1;
    bool spoil = draw(chaos, 4) == 0;

    for (unsigned i = 0; i < one->n_buckets; i++)
        for (const struct crowd_peer *peer = one->buckets[i]; peer; peer = peer->next) {
            int fd = peer->left ? -1 : crowd_doorbell(one, peer->id, 0);

            if (fd < 0 || peer == one->own || (int)peer->id == chaos->pair.other->id ||
                !(fcntl(fd, F_GETFL) & O_NONBLOCK))
                continue; /* the last: it is spoilt, and we would wait, too */
            if (spoil && write(fd, &full, sizeof(full)) > 0)
                fcntl(fd, F_SETFL, 0);
            for (unsigned j = 0; !spoil && j < 100; j++)
                doorbell_ring(fd);
        }
}

static void offend(struct chaos *chaos)
{
    static const char rubbish[3000];
    int sock = crowd_connect(chaos->server.socket);

    chaos->joins++;
    if (draw(chaos, 2))
        send(sock, rubbish, 1 + draw(chaos, sizeof(rubbish) - 1), MSG_NOSIGNAL);
    close(sock);
}

/* In the child: many peers, which read or do not, until the process is killed. */
static noreturn void be_child(const struct chaos *chaos, int ready, bool reads)
{
    struct crowd *crowd;

    for (int fd = 3; fd < 4096; fd++)
        if (fd != ready)
            close(fd);
    crowd = crowd_new(chaos->server.socket, VECTORS);
    for (unsigned i = 0; i < CHILD_PEERS; i++)
        crowd_join(crowd, CROWD_KEEP_NONE);
    if (write(ready, "", 1) != 1)
        _exit(1);
    while (reads && !*crowd->violation)
        crowd_pump(crowd, -1);
    if (*crowd->violation) {
        fprintf(stderr, "in a child: %s\n", crowd->violation);
        _exit(1); /* its peers vanish, and the next checkpoint fails */
    }
    for (;;)
        pause();
}

static void bear_child(struct chaos *chaos)
{
    bool reads = draw(chaos, 2);
    int ends[2];
    char byte;
    pid_t pid;

    if (chaos->n_children == CHILDREN_MAX)
        return;
    require(pipe(ends) == 0, "pipe: %s", strerror(errno));
    pid = child_start();
    if (pid == 0)
        be_child(chaos, ends[1], reads);
    close(ends[1]);
    require(read(ends[0], &byte, 1) == 1, "a child could not connect");
    close(ends[0]);
    chaos->children[chaos->n_children++] = pid;
    chaos->pair.crowd->n_others += CHILD_PEERS;
    chaos->joins += CHILD_PEERS;
}

static void kill_child(struct chaos *chaos)
{
    unsigned victim;

    if (!chaos->n_children)
        return;
    victim = draw(chaos, chaos->n_children);
    child_kill(chaos->children[victim]);
    chaos->children[victim] = chaos->children[--chaos->n_children];
    chaos->pair.crowd->n_others -= CHILD_PEERS;
}

/* Cuts or stretches the memory by its path; the size must come back, and what was not cut stays. */
static void cut_memory(struct chaos *chaos)
{
    const struct test_server *server = &chaos->server;
    _cleanup_close_ int fd = open(server->object, O_RDWR | O_CLOEXEC);
    char pattern[CONTENT], found[CONTENT];
    int64_t start, deadline;
    struct stat status;

    memset(pattern, (int)draw(chaos, 256), sizeof(pattern));
    require(fd >= 0 && pwrite(fd, pattern, CONTENT, 0) == CONTENT, "cannot write %s: %s",
            server->object, strerror(errno));
    start = now_ms();
    deadline = deadline_in(REPAIR_SECONDS);
    require(truncate(server->object, CONTENT + draw(chaos, 2 * (unsigned)server->size)) == 0,
            "truncate: %s", strerror(errno));
    while (fstat(fd, &status) == 0 && status.st_size != server->size) {
        require(now_ms() < deadline, "the size of the memory was not restored");
        pause_ms(1);
    }
    start = now_ms() - start;
    if (start > chaos->slowest_repair)
        chaos->slowest_repair = start;
    require(pread(fd, found, CONTENT, 0) == CONTENT && memcmp(found, pattern, CONTENT) == 0,
            "memory that was not cut off has changed");
}

/* What may happen, and how often in a thousand. */
static const struct {
    unsigned weight;
    void (*do_it)(struct chaos *chaos);
} deeds[] = {
    {430, join},  {290, leave},     {60, fall_asleep}, {60, wake_up},    {20, flood},
    {60, offend}, {30, bear_child}, {25, kill_child},  {25, cut_memory},
};

static void step(struct chaos *chaos)
{
    unsigned total = 0, drawn, i = 0;

    for (size_t j = 0; j < sizeof(deeds) / sizeof(deeds[0]); j++)
        total += deeds[j].weight;
    drawn = draw(chaos, total);
    while (drawn >= deeds[i].weight)
        drawn -= deeds[i++].weight;
    deeds[i].do_it(chaos);
    chaos->steps++;
    crowd_pump(chaos->pair.crowd, 0);
}

/* From the first join to the last leave. */
static void epoch(struct chaos *chaos, int64_t end)
{
    unsigned base = process_descriptors(chaos->server.pid);

    pair_join(&chaos->pair, chaos->server.socket, VECTORS, 0);
    chaos->joins = 2;
    while (chaos->joins < EPOCH_JOINS && now_ms() < end) {
        for (unsigned i = 0; i < STEPS; i++)
            step(chaos);
        pair_settle(&chaos->pair, chaos->n_children * CHILD_PEERS);
        server_alive(&chaos->server);
    }
    for (size_t i = 0; i < chaos->pair.crowd->n_clients; i++)
        crowd_resume(chaos->pair.crowd->clients[i]);
    pair_settle(&chaos->pair, chaos->n_children * CHILD_PEERS); /* those who slept, too */
    printf("%u joins in this epoch, at the end %u peers, %llu messages, %lu rings\n", chaos->joins,
           chaos->pair.crowd->n_in + chaos->pair.crowd->n_others,
           (unsigned long long)chaos->pair.crowd->messages, chaos->pair.rings);
    while (chaos->n_children)
        kill_child(chaos);
    pair_settle(&chaos->pair, 0);
    pair_leave(&chaos->pair);
    server_require_idle(&chaos->server, 50);
    require(process_descriptors(chaos->server.pid) == base, "the server kept descriptors: %u of %u",
            process_descriptors(chaos->server.pid), base);
    server_require_small(&chaos->server);
}

int main(void)
{
    const struct server_setup setup = {.vectors = VECTORS};
    unsigned seconds = harness_number("IVSHMEM_CHAOS_SECONDS", 12);
    unsigned seed = harness_number("IVSHMEM_CHAOS_SEED", (unsigned)time(NULL) ^ (unsigned)getpid());
    struct chaos chaos = {.random = (uint64_t)seed * 2654435761u + 88172645463325252u};
    int64_t end;

    harness_start("chaos", seconds + 600);
    harness_raise_limit(4096);
    printf("IVSHMEM_CHAOS_SEED=%u\n", seed);
    server_start(&chaos.server, &setup);
    end = now_ms() + (int64_t)seconds * 1000;
    while (now_ms() < end)
        epoch(&chaos, end);
    printf("%u deeds; the memory's size was restored within %lld ms\n", chaos.steps,
           (long long)chaos.slowest_repair);
    server_stop(&chaos.server);
    return EXIT_SUCCESS;
}
