/* SPDX-License-Identifier: MIT
 *
 * Limits: the server's own, those of its peers, and those of the system. Whoever does not fit is
 * turned away with -2 before anybody hears of it; what runs short for a moment is waited for. A
 * well-behaved pair rings each other throughout.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/load/crowd.h"
#include "tests/load/harness.h"
#include "tests/load/pair.h"

enum {
    END_SECONDS = 60,
    JOINS_MAX = 4000, /* until a limit must have been reached */
};

static void await_state(struct pair *pair, const struct crowd_client *client,
                        enum crowd_state state)
{
    int64_t deadline = deadline_in(END_SECONDS);

    while (state == CROWD_IN ? !crowd_greeted(client) : client->state == CROWD_IN) {
        pair_ring(pair);
        crowd_pump(pair->crowd, 5);
        require(now_ms() < deadline, "a newcomer is neither let in nor turned away");
    }
    require(client->state == state, "a newcomer was %s",
            client->state == CROWD_REFUSED ? "turned away" : "not turned away as it should be");
}

/* A newcomer that must be turned away, in place of the version, and nobody hears of it. */
static void join_refused(struct pair *pair)
{
    struct crowd_client *client = crowd_join(pair->crowd, CROWD_KEEP_NONE);
    unsigned told = pair->one->n_told + pair->other->n_told;

    await_state(pair, client, CROWD_REFUSED);
    require(client->steps == 0, "the refusal came after %u messages of greeting", client->steps);
    crowd_leave(client);
    pair_settle(pair, pair->crowd->n_others);
    require(pair->one->n_told + pair->other->n_told == told,
            "the pair was told of somebody who was turned away");
}

static struct crowd_client *join_welcome(struct pair *pair)
{
    struct crowd_client *client = crowd_join(pair->crowd, CROWD_KEEP_NONE);

    await_state(pair, client, CROWD_IN);
    return client;
}

/* Joins until one is turned away. Return: how many got in. */
static unsigned join_until_refused(struct pair *pair)
{
    for (unsigned count = 0; count < JOINS_MAX; count++) {
        struct crowd_client *client = crowd_join(pair->crowd, CROWD_KEEP_NONE);

        while (client->state == CROWD_IN && !crowd_greeted(client))
            crowd_pump(pair->crowd, 20);
        if (client->state == CROWD_IN)
            continue;
        require(client->state == CROWD_REFUSED, "a newcomer was hung up on without a word");
        crowd_leave(client);
        return count;
    }
    fail("%d clients joined, and no limit was reached", JOINS_MAX);
}

static void test_max_peers(void)
{
    static const char *const options[] = {"--max-peers=4", NULL};
    const struct server_setup setup = {.vectors = 2, .options = options};
    struct test_server server;
    struct crowd_client *third;
    struct pair pair;

    server_start(&server, &setup);
    pair_join(&pair, server.socket, setup.vectors, 0);
    third = join_welcome(&pair);
    join_welcome(&pair);
    pair_settle(&pair, 0);
    for (unsigned i = 0; i < 50; i++)
        join_refused(&pair);
    require(server_logged(&server, "--max-peers") > 0, "the log does not name --max-peers");
    crowd_leave(third);
    pair_settle(&pair, 0); /* also the server has seen it */
    join_welcome(&pair);
    pair_settle(&pair, 0);
    pair_leave(&pair);
    server_stop(&server);
}

/* A server with few descriptors never runs out of them: it refuses first. */
static void test_own_budget(void)
{
    const struct server_setup setup = {.vectors = 4, .nofile = 128};
    struct test_server server;
    struct pair pair;
    unsigned in;

    server_start(&server, &setup);
    pair_join(&pair, server.socket, setup.vectors, 0);
    in = join_until_refused(&pair);
    printf("128 descriptors: %u peers of 4 vectors, %u in use\n", in + 2,
           process_descriptors(server.pid));
    require(in >= 5 && process_descriptors(server.pid) <= 128, "only %u peers fit", in + 2);
    for (unsigned i = 0; i < 20; i++)
        join_refused(&pair);
    require(server_logged(&server, "LimitNOFILE") > 0, "the log does not say what to raise");
    require(server_logged(&server, "cannot accept") == 0, "the server ran out of descriptors");
    crowd_leave(pair.crowd->clients[2]);
    pair_settle(&pair, 0);
    join_welcome(&pair);
    pair_settle(&pair, 0);
    pair_leave(&pair);
    server_stop(&server);
}

/* The @nth descriptor number, from 0, that a process does not use. */
static rlim_t free_number(pid_t pid, unsigned nth)
{
    char path[64];

    for (unsigned fd = 0;; fd++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)pid, fd);
        if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && nth-- == 0)
            return fd;
    }
}

static void limit_server(const struct test_server *server, rlim_t numbers)
{
    struct rlimit limit;

    require(prlimit(server->pid, RLIMIT_NOFILE, NULL, &limit) == 0, "prlimit: %s", strerror(errno));
    limit.rlim_cur = numbers;
    require(prlimit(server->pid, RLIMIT_NOFILE, &limit, NULL) == 0, "prlimit: %s", strerror(errno));
}

/* What no budget foresees: the limit is lowered, or the system's table is full. */
static void test_out_of_descriptors(void)
{
    const struct server_setup setup = {.vectors = 4};
    struct test_server server;
    struct crowd_client *low, *waiting;
    uint64_t cpu;
    struct pair pair;

    server_start(&server, &setup);
    pair_join(&pair, server.socket, setup.vectors, 0);
    low = join_welcome(&pair); /* its descriptors have low numbers */
    pair_settle(&pair, 0);
    limit_server(&server, free_number(server.pid, 0));
    waiting = crowd_join(pair.crowd, CROWD_KEEP_NONE); /* stays in the socket's queue */
    server_await_log(&server, "cannot accept", 1);
    pause_ms(200);
    cpu = process_cpu_ns(server.pid);
    for (int64_t end = now_ms() + 2500; now_ms() < end; pause_ms(20))
        pair_ring(&pair);
    cpu = process_cpu_ns(server.pid) - cpu;
    require(SANITIZED || cpu < 100000000, "it used %llu ms of CPU in a pause of 2500 ms",
            (unsigned long long)cpu / 1000000);
    require(server_logged(&server, "cannot accept") == 1, "it logged the pause more than once");
    require(waiting->steps == 0, "the newcomer was greeted without descriptors");
    crowd_leave(low); /* gives back what the newcomer needs */
    pair_settle(&pair, 0);
    require(server_logged(&server, "again") == 1, "it did not log the end of the pause");
    limit_server(&server, free_number(server.pid, 1)); /* one for the socket, none for doorbells */
    join_refused(&pair);
    limit_server(&server, free_number(server.pid, 0));
    waiting = crowd_join(pair.crowd, CROWD_KEEP_NONE);
    server_await_log(&server, "cannot accept", 2);
    limit_server(&server, 1024); /* nobody leaves: it finds out by itself */
    await_state(&pair, waiting, CROWD_IN);
    pair_settle(&pair, 0);
    pair_leave(&pair);
    server_stop(&server);
}

/* A process with a low limit joins, reads, and stays. */
static pid_t start_small_peer(const char *path, rlim_t numbers)
{
    const struct rlimit limit = {numbers, 4096};
    struct crowd *crowd;
    pid_t pid = child_start();

    if (pid)
        return pid;
    for (int fd = 3; fd < 1024; fd++) /* its own descriptors only */
        close(fd);
    setrlimit(RLIMIT_NOFILE, &limit);
    crowd = crowd_new(path, 8);
    crowd_join(crowd, CROWD_KEEP_ALL); /* as a QEMU does */
    while (!*crowd->violation)
        crowd_pump(crowd, -1);
    _exit(1);
}

/* A peer whose process cannot hold more doorbells: newcomers are turned away for its sake. */
static void test_budget_of_peer(void)
{
    const struct server_setup setup = {.vectors = 8};
    struct test_server server;
    struct pair pair;
    char who[64];
    pid_t small;
    unsigned in;

    server_start(&server, &setup);
    pair_join(&pair, server.socket, setup.vectors, 0);
    small = start_small_peer(server.socket, 80);
    pair_settle(&pair, 1);
    in = join_until_refused(&pair);
    printf("a peer with 80 descriptors holds the doorbells of %u others\n", in + 2);
    require(in >= 1 && (in + 3) * 8 < 80, "%u peers were let in", in);
    pair_settle(&pair, 1);
    join_refused(&pair);
    snprintf(who, sizeof(who), "pid %d", (int)small);
    require(server_logged(&server, who) > 0 && server_logged(&server, "prlimit --nofile") > 0,
            "the log does not name the process whose limit is too low and what to raise");
    const struct rlimit more = {200, 4096};
    require(prlimit(small, RLIMIT_NOFILE, &more, NULL) == 0, "prlimit: %s", strerror(errno));
    join_welcome(&pair); /* the limit was raised as the log says */
    pair_settle(&pair, 1);
    in += 1 + join_until_refused(&pair);
    require((in + 3) * 8 < 200, "%u peers were let in", in);
    child_kill(small);
    pair_settle(&pair, 0);
    join_welcome(&pair);
    pair_settle(&pair, 0);
    pair_leave(&pair);
    server_stop(&server);
}

/* A process of a user that has more descriptors in flight than a server of that user may have. */
static pid_t start_hog(uid_t uid, unsigned count)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct iovec whole = {.iov_base = &(char){0}, .iov_len = 1};
    struct msghdr header = {.msg_iov = &whole,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    int pair[2], ready[2], fd = STDIN_FILENO;
    char byte;
    pid_t pid;

    require(pipe(ready) == 0, "pipe: %s", strerror(errno));
    pid = child_start();
    if (pid) {
        close(ready[1]);
        require(read(ready[0], &byte, 1) == 1, "cannot have %u descriptors in flight", count);
        close(ready[0]);
        return pid;
    }
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    if (uid && setuid(uid) < 0)
        _exit(1);
    while (count) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
            _exit(1);
        while (count && sendmsg(pair[0], &header, 0) == 1)
            count--;
        if (count && errno != EAGAIN)
            _exit(1);
    }
    if (write(ready[1], "", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

/*
 * Descriptors in flight: a user may have as many as its limit of open ones, and then the kernel
 * says ETOOMANYREFS, unless the sender is privileged. What sleepers leave in their sockets must not
 * use it all up: the others get on. When another process of the user does, the server waits.
 */
static void test_in_flight(void)
{
    enum { LIMIT = 400, SLEEPERS = 12, HEALTHY = 20, LATE = 3 };
    const struct server_setup setup = {
        .vectors = 8,
        .nofile = LIMIT,
        .uid = geteuid() ? 0 : 40000 + (uid_t)getpid() % 20000, /* nobody else uses it */
    };
    struct test_server server;
    struct crowd_client *late = NULL;
    struct pair pair;
    pid_t hog;

    server_start(&server, &setup);
    pair_join(&pair, server.socket, setup.vectors, 0);
    for (unsigned i = 0; i < SLEEPERS; i++)
        crowd_stall(crowd_join(pair.crowd, CROWD_KEEP_NONE));
    for (unsigned i = 0; i < HEALTHY; i++)
        crowd_join(pair.crowd, CROWD_KEEP_NONE);
    pair_settle(&pair, 0);
    server_require_idle(&server, 200);
    hog = start_hog(setup.uid, LIMIT + 50);
    for (unsigned i = 0; i < LATE; i++)
        late = crowd_join(pair.crowd, CROWD_KEEP_NONE);
    server_await_log(&server, "in flight", 1);
    for (int64_t end = now_ms() + 300; now_ms() < end; crowd_pump(pair.crowd, 10))
        pair_ring(&pair);
    require(!crowd_greeted(late), "the limit was not reached");
    child_kill(hog);
    pair_settle(&pair, 0);
    for (size_t i = 0; i < pair.crowd->n_clients; i++)
        crowd_resume(pair.crowd->clients[i]);
    pair_settle(&pair, 0);
    pair_leave(&pair);
    server_stop(&server);
}

/* No memory for another peer: it is turned away, nothing else happens, and memory comes back. */
static void test_out_of_memory(void)
{
    const struct server_setup setup = {.vectors = 1};
    const struct rlimit none = {1, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
    struct test_server server;
    struct pair pair;

    if (SANITIZED) {
        puts("out of memory: not tried, a sanitizer has its own allocator");
        return;
    }
    server_start(&server, &setup);
    pair_join(&pair, server.socket, setup.vectors, 0);
    require(prlimit(server.pid, RLIMIT_AS, &none, NULL) == 0, "prlimit: %s", strerror(errno));
    printf("out of memory after %u peers more\n", join_until_refused(&pair));
    pair_settle(&pair, 0);
    join_refused(&pair);
    require(prlimit(server.pid, RLIMIT_AS, &all, NULL) == 0, "prlimit: %s", strerror(errno));
    join_welcome(&pair);
    pair_settle(&pair, 0);
    pair_leave(&pair);
    server_stop(&server);
}

int main(void)
{
    harness_start("limits", 600);
    harness_raise_limit(8192);
    test_max_peers();
    test_own_budget();
    test_out_of_descriptors();
    test_budget_of_peer();
    test_in_flight();
    test_out_of_memory();
    return EXIT_SUCCESS;
}
