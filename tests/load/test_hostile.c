/* SPDX-License-Identifier: MIT
 *
 * Clients that do what a client should not: each meets a server that serves a well-behaved pair,
 * which rings each other throughout, hears of everybody in time, and never notices.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fdpass.h"
#include "tests/load/crowd.h"
#include "tests/load/harness.h"
#include "tests/load/pair.h"

enum {
    VECTORS = 4,
    MANY = 60,         /* sockets of one kind of offender: their greetings do not fit the buffers */
    CLOSERS = 400,     /* connect and close at once */
    DESCRIPTORS = 253, /* that one message can carry (unix(7)) */
    END_SECONDS = 60,
};

/* Reads and closes all that comes until the server hangs up. */
static void await_end(struct pair *pair, int sock)
{
    struct fdpass_reader reader = FDPASS_READER_INIT;
    int64_t deadline = deadline_in(END_SECONDS), value;
    int fd, r;

    while ((r = fdpass_read(&reader, sock, &value, &fd)) == 1 || r == -EAGAIN) {
        if (r == 1)
            close_fd(fd);
        else
            pair_ring(pair);
        require(now_ms() < deadline, "the server does not hang up");
    }
    fdpass_reader_deinit(&reader);
    close(sock);
}

static void test_never_read(struct test_server *server, struct pair *pair)
{
    int socks[MANY];

    for (unsigned i = 0; i < MANY; i++) {
        socks[i] = crowd_connect(server->socket);
        pair_ring(pair);
    }
    pair_settle(pair, MANY);
    server_require_idle(server, 200); /* nobody is polled, nothing is tried again and again */
    for (unsigned i = 0; i < MANY; i++)
        close(socks[i]);
    pair_settle(pair, 0);
}

static void test_close_at_once(struct test_server *server, struct pair *pair)
{
    for (unsigned i = 0; i < CLOSERS; i++) {
        close(crowd_connect(server->socket));
        if (i % 10 == 0)
            pair_ring(pair);
    }
    pair_settle(pair, 0);
}

static void test_send_bytes(struct test_server *server, struct pair *pair)
{
    static const char bytes[65536];
    static const size_t sizes[] = {1, 8, 4096, sizeof(bytes)};

    for (unsigned i = 0; i < 20; i++) {
        int sock = crowd_connect(server->socket);

        require(send(sock, bytes, sizes[i % 4], MSG_NOSIGNAL) > 0, "send: %s", strerror(errno));
        await_end(pair, sock);
    }
    pair_settle(pair, 0);
    require(server_logged(server, "sent data") > 0, "the log does not say who sent data");
}

/* One message with so many copies of a descriptor. */
static void send_descriptors(int sock, int fd, unsigned count)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
    } control;
    char byte = 0;
    struct iovec whole = {.iov_base = &byte, .iov_len = 1};
    struct msghdr header = {.msg_iov = &whole,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = CMSG_SPACE(count * sizeof(int))};

    memset(&control, 0, sizeof(control));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    for (unsigned i = 0; i < count; i++)
        memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(fd));
    if (sendmsg(sock, &header, MSG_NOSIGNAL) < 0)
        require(errno == EPIPE || errno == EAGAIN || errno == ETOOMANYREFS || errno == ECONNRESET,
                "sendmsg: %s", strerror(errno));
}

/* The descriptors are ends of pipes: end of file at the other ends proves that they are closed. */
static void test_send_descriptors(struct test_server *server, struct pair *pair)
{
    for (unsigned i = 0; i < 20; i++) {
        int sock = crowd_connect(server->socket), ends[2];
        struct pollfd other = {.events = 0};

        require(pipe(ends) == 0, "pipe: %s", strerror(errno));
        for (unsigned j = 0; j < (i % 2 ? 4 : 1); j++)
            send_descriptors(sock, ends[1], i % 4 < 2 ? 1 : DESCRIPTORS);
        close(ends[1]);
        await_end(pair, sock);
        other.fd = ends[0];
        require(poll(&other, 1, END_SECONDS * 1000) == 1 && other.revents & POLLHUP,
                "the server keeps a descriptor that it was sent");
        close(ends[0]);
    }
    pair_settle(pair, 0);
}

static void test_half_close(struct test_server *server, struct pair *pair)
{
    struct crowd_client *late;
    int socks[MANY];

    for (unsigned i = 0; i < MANY; i++) {
        socks[i] = crowd_connect(server->socket);
        shutdown(socks[i], SHUT_WR); /* a client that will never write: it has hung up */
        pair_ring(pair);
    }
    pair_settle(pair, 0);
    for (unsigned i = 0; i < MANY; i++)
        await_end(pair, socks[i]);
    for (unsigned i = 0; i < MANY; i++) {
        socks[i] = crowd_connect(server->socket);
        shutdown(socks[i], SHUT_RD); /* it cannot be told anything: seen when the server tries */
        pair_ring(pair);
    }
    late = crowd_join(pair->crowd, CROWD_KEEP_NONE);
    pair_settle(pair, 0);
    for (unsigned i = 0; i < MANY; i++)
        close(socks[i]);
    crowd_leave(late);
    pair_settle(pair, 0);
}

/* --peer-timeout: only who leaves its socket full is dropped, and the others are told. */
static void test_peer_timeout(void)
{
    static const char *const options[] = {"--peer-timeout=3", NULL};
    const struct server_setup setup = {.vectors = 64, .options = options};
    struct test_server server;
    struct crowd_client *asleep;
    struct pair pair;
    int64_t start;

    server_start(&server, &setup);
    pair_join(&pair, server.socket, setup.vectors, 0);
    asleep = crowd_join(pair.crowd, CROWD_KEEP_NONE);
    crowd_stall(asleep);
    start = now_ms();
    pair_settle(&pair, 0); /* all three are there */
    server_await_log(&server, "did not read", 1);
    require(now_ms() - start >= 2900, "a peer was dropped before --peer-timeout");
    crowd_resume(asleep); /* it reads what had come, and then the end */
    while (asleep->state == CROWD_IN)
        pair_ring(&pair);
    crowd_leave(asleep);
    pair_settle(&pair, 0);
    pause_ms(3200); /* who has nothing to hear is not dropped */
    pair_settle(&pair, 0);
    require(server_logged(&server, "did not read") == 1, "more peers were dropped than slept");
    pair_leave(&pair);
    server_stop(&server);
}

int main(void)
{
    const struct server_setup setup = {.vectors = VECTORS};
    struct test_server server;
    struct pair pair;
    unsigned base, rounds;

    harness_start("hostile", harness_long() ? 3000 : 600);
    harness_raise_limit(1024);
    server_start(&server, &setup);
    base = process_descriptors(server.pid);
    pair_join(&pair, server.socket, VECTORS, 0);
    for (rounds = harness_long() ? 20 : 1; rounds; rounds--) {
        test_never_read(&server, &pair);
        test_close_at_once(&server, &pair);
        test_send_bytes(&server, &pair);
        test_send_descriptors(&server, &pair);
        test_half_close(&server, &pair);
    }
    printf("%lu rings arrived\n", pair.rings);
    server_require_small(&server);
    pair_leave(&pair);
    server_require_idle(&server, 50);
    require(process_descriptors(server.pid) == base, "the server kept descriptors: %u, had %u",
            process_descriptors(server.pid), base);
    server_stop(&server);
    test_peer_timeout();
    return EXIT_SUCCESS;
}
