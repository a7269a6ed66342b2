/* SPDX-License-Identifier: MIT
 *
 * Contenders: what users call, channels of the library, between the two processes and through a
 * real server. See library.h.
 *
 * The rings are as large as the queues of the others, and there is no room in the memory for the
 * server to enlarge them. The connections are made once; the sending process connects.
 */
#include "tests/bench/library.h"

#include <string.h>
#include <sys/socket.h>

#include "tests/bench/pattern.h"
#include "tests/load/harness.h"

enum { PORT = 1, CONNECT_MS = 60000, PAST = 8192 /* see ivshmem_is_far() */ };

/* The connections: all contenders of a way and a size share one. */
enum link { PLAIN, PLAIN_LARGE, CRC32C, CRC32C_LARGE, TRIP, N_LINKS };

static const struct ivshmem_connect_options links[N_LINKS] = {
    [PLAIN] = {sizeof(links[0]), LANE_QUEUE, 0, 0, 0},
    [PLAIN_LARGE] = {sizeof(links[0]), LANE_QUEUE_MAX, 0, 0, 0},
    [CRC32C] = {sizeof(links[0]), LANE_QUEUE, 0, IVSHMEM_CRC32C, 0},
    [CRC32C_LARGE] = {sizeof(links[0]), LANE_QUEUE_MAX, 0, IVSHMEM_CRC32C, 0},
    [TRIP] = {sizeof(links[0]), LANE_QUEUE / 4, LANE_QUEUE / 4, 0, 0},
};

static struct {
    struct test_server server;
    struct ivshmem *iv;
    unsigned receiver; /* its ID */
    struct ivshmem_channel *channels[N_LINKS];
} library;

/* A call of the library that must not fail. */
static void check(const char *what, int result)
{
    require(result >= 0, "%s: %s (%s)", what, ivshmem_error(library.iv), strerror(-result));
}

void library_start(void)
{
    /* Room for the connections, for LIBRARY_CHANNELS of 4 KiB, and for their tables. */
    static const char *const options[] = {
        "-l16M", "--channels", "--max-channels=1100", "--channel-quota=1100", "--channel-bytes=16M",
        NULL};

    _Static_assert(LIBRARY_CHANNELS + 2 * N_LINKS <= 1100, "--max-channels");
    server_start(&library.server, &(struct server_setup){.vectors = 1, .options = options});
}

void library_stop(void)
{
    for (unsigned i = 0; i < N_LINKS; i++)
        library.channels[i] = ivshmem_close(library.channels[i]);
    library.iv = ivshmem_free(library.iv);
    server_stop(&library.server);
}

pid_t library_server(void)
{
    return library.server.pid;
}

struct ivshmem *library_handle(void)
{
    return library.iv;
}

struct ivshmem_channel *library_connect(const struct ivshmem_connect_options *options)
{
    struct ivshmem_channel *channel = NULL;

    check("ivshmem_connect",
          ivshmem_connect(library.iv, library.receiver, PORT, options, CONNECT_MS, &channel));
    return channel;
}

struct ivshmem_channel *library_accept(void)
{
    struct ivshmem_channel *channel = NULL;
    struct ivshmem_offer offer;

    check("ivshmem_next_offer", ivshmem_next_offer(library.iv, PORT, CONNECT_MS, &offer));
    check("ivshmem_accept", ivshmem_accept(library.iv, &offer, &channel));
    return channel;
}

void library_join(const struct lane *lane, bool sends)
{
    check("ivshmem_new", ivshmem_new(&library.iv, NULL, NULL));
    check("ivshmem_open", ivshmem_open(library.iv, library.server.socket));
    check("ivshmem_wait_ready", ivshmem_wait_ready(library.iv, CONNECT_MS));
    if (sends) {
        require(recv(lane->stream[0], &library.receiver, sizeof(library.receiver), 0) ==
                    sizeof(library.receiver),
                "the receiver does not say its ID");
    } else {
        check("ivshmem_listen", ivshmem_listen(library.iv, PORT));
        library.receiver = (unsigned)ivshmem_id(library.iv);
        require(send(lane->stream[1], &library.receiver, sizeof(library.receiver), 0) ==
                    sizeof(library.receiver),
                "the sender does not hear our ID");
    }
    for (unsigned i = 0; i < N_LINKS; i++)
        library.channels[i] = sends ? library_connect(&links[i]) : library_accept();
}

/* The connection for a way and the lane's size, waiting as the contender does. */
static struct ivshmem_channel *pick(const struct lane *lane, enum link link,
                                    enum ivshmem_waiting waiting)
{
    bool large = link != TRIP && lane->size >= LANE_LARGE;
    struct ivshmem_channel *channel = library.channels[large ? link + 1 : link];

    check("ivshmem_channel_set_waiting", ivshmem_channel_set_waiting(channel, waiting));
    return channel;
}

static void put(struct lane *lane, struct ivshmem_channel *channel, uint64_t number)
{
    pattern_fill(lane->buffer, number, 0, lane->size);
    if (ivshmem_send(channel, lane->buffer, lane->size))
        lane_wrong(lane, number);
}

static void get(struct lane *lane, struct ivshmem_channel *channel, uint64_t number)
{
    if (ivshmem_recv(channel, lane->buffer, lane->size) != (ssize_t)lane->size ||
        pattern_differs(lane->buffer, number, 0, lane->size))
        lane_wrong(lane, number);
}

static void copy_send(struct lane *lane, enum link link, enum ivshmem_waiting waiting)
{
    struct ivshmem_channel *channel = pick(lane, link, waiting);

    for (uint64_t i = 0; i < lane->count; i++)
        put(lane, channel, i);
    ivshmem_flush(channel);
}

static void copy_receive(struct lane *lane, enum link link, enum ivshmem_waiting waiting)
{
    struct ivshmem_channel *channel = pick(lane, link, waiting);

    for (uint64_t i = 0; i < lane->count; i++)
        get(lane, channel, i);
}

static void spin_send(struct lane *lane)
{
    copy_send(lane, PLAIN, IVSHMEM_SPIN);
}

static void spin_receive(struct lane *lane)
{
    copy_receive(lane, PLAIN, IVSHMEM_SPIN);
}

static void crc32c_send(struct lane *lane)
{
    copy_send(lane, CRC32C, IVSHMEM_SPIN);
}

static void crc32c_receive(struct lane *lane)
{
    copy_receive(lane, CRC32C, IVSHMEM_SPIN);
}

static void hybrid_send(struct lane *lane)
{
    copy_send(lane, PLAIN, IVSHMEM_HYBRID);
}

static void hybrid_receive(struct lane *lane)
{
    copy_receive(lane, PLAIN, IVSHMEM_HYBRID);
}

static void block_send(struct lane *lane)
{
    copy_send(lane, PLAIN, IVSHMEM_BLOCK);
}

static void block_receive(struct lane *lane)
{
    copy_receive(lane, PLAIN, IVSHMEM_BLOCK);
}

static void zero_copy_send(struct lane *lane)
{
    struct ivshmem_channel *channel = pick(lane, PLAIN, IVSHMEM_SPIN);
    void *room = NULL;

    for (uint64_t i = 0; i < lane->count; i++) {
        if (ivshmem_reserve(channel, lane->size, &room))
            lane_wrong(lane, i);
        if (lane->size >= PAST && ivshmem_is_far(channel))
            pattern_fill_past(room, i, 0, lane->size);
        else
            pattern_fill(room, i, 0, lane->size);
        if (ivshmem_commit(channel, lane->size, false))
            lane_wrong(lane, i);
    }
}

static void zero_copy_receive(struct lane *lane)
{
    struct ivshmem_channel *channel = pick(lane, PLAIN, IVSHMEM_SPIN);
    const void *data = NULL;
    size_t size = 0;
    bool more = false;

    for (uint64_t i = 0; i < lane->count; i++)
        if (ivshmem_peek(channel, &data, &size, &more) || size != lane->size || more ||
            pattern_differs(data, i, 0, size) || ivshmem_release(channel))
            lane_wrong(lane, i);
}

static void set_messages(struct iovec *messages, const struct lane *lane)
{
    for (unsigned i = 0; i < lane->burst; i++)
        messages[i] = (struct iovec){lane->buffer + i * lane->size, lane->size};
}

/* @n messages with one call, or with a call each. Return: how many. */
static int send_some(struct ivshmem_channel *channel, const struct iovec *messages, unsigned n,
                     bool singly)
{
    if (!singly)
        return ivshmem_send_burst(channel, messages, n);
    for (unsigned i = 0; i < n; i++)
        if (ivshmem_send(channel, messages[i].iov_base, messages[i].iov_len))
            return -1;
    return (int)n;
}

static int take_some(struct ivshmem_channel *channel, struct iovec *messages, unsigned n,
                     bool singly)
{
    if (!singly)
        return ivshmem_recv_burst(channel, messages, n);
    for (unsigned i = 0; i < n; i++)
        if (ivshmem_recv(channel, messages[i].iov_base, messages[i].iov_len) < 0)
            return -1;
    return (int)n;
}

static void some_send(struct lane *lane, bool singly)
{
    struct ivshmem_channel *channel = pick(lane, PLAIN, IVSHMEM_SPIN);
    struct iovec messages[LANE_BURST];

    set_messages(messages, lane);
    for (uint64_t i = 0; i < lane->count;) {
        unsigned n = lane_next_burst(lane, i);

        for (unsigned j = 0; j < n; j++)
            pattern_fill(messages[j].iov_base, i + j, 0, lane->size);
        for (unsigned sent = 0; sent < n;) {
            int r = send_some(channel, messages + sent, n - sent, singly);

            if (r <= 0)
                lane_wrong(lane, i);
            sent += (unsigned)r;
        }
        i += n;
    }
}

static void some_receive(struct lane *lane, bool singly)
{
    struct ivshmem_channel *channel = pick(lane, PLAIN, IVSHMEM_SPIN);
    struct iovec messages[LANE_BURST];

    set_messages(messages, lane);
    for (uint64_t i = 0; i < lane->count;) {
        int n = take_some(channel, messages, lane_next_burst(lane, i), singly);

        if (n <= 0)
            lane_wrong(lane, i);
        for (int j = 0; j < n; j++, i++)
            if (messages[j].iov_len != lane->size ||
                pattern_differs(messages[j].iov_base, i, 0, lane->size))
                lane_wrong(lane, i);
    }
}

static void burst_send(struct lane *lane)
{
    some_send(lane, false);
}

static void burst_receive(struct lane *lane)
{
    some_receive(lane, false);
}

static void singly_send(struct lane *lane)
{
    some_send(lane, true);
}

static void singly_receive(struct lane *lane)
{
    some_receive(lane, true);
}

static void ask(struct lane *lane, enum ivshmem_waiting waiting)
{
    struct ivshmem_channel *channel = pick(lane, TRIP, waiting);

    for (uint64_t i = 0; i < lane->count; i++) {
        put(lane, channel, 2 * i);
        get(lane, channel, 2 * i + 1);
    }
}

static void answer(struct lane *lane, enum ivshmem_waiting waiting)
{
    struct ivshmem_channel *channel = pick(lane, TRIP, waiting);

    for (uint64_t i = 0; i < lane->count; i++) {
        get(lane, channel, 2 * i);
        put(lane, channel, 2 * i + 1);
    }
    ivshmem_flush(channel);
}

static void spin_ask(struct lane *lane)
{
    ask(lane, IVSHMEM_SPIN);
}

static void spin_answer(struct lane *lane)
{
    answer(lane, IVSHMEM_SPIN);
}

static void block_ask(struct lane *lane)
{
    ask(lane, IVSHMEM_BLOCK);
}

static void block_answer(struct lane *lane)
{
    answer(lane, IVSHMEM_BLOCK);
}

static void hybrid_ask(struct lane *lane)
{
    ask(lane, IVSHMEM_HYBRID);
}

static void hybrid_answer(struct lane *lane)
{
    answer(lane, IVSHMEM_HYBRID);
}

const struct transport transports_library[] = {
    {"library copy", 64, LANE_LARGE, NULL, spin_send, spin_receive},
    {"library zero-copy", 64, LANE_LARGE, NULL, zero_copy_send, zero_copy_receive},
    {"library burst", 64, LANE_LARGE, NULL, burst_send, burst_receive},
    {"library singly", 64, LANE_LARGE, NULL, singly_send, singly_receive},
    {"library crc32c", 64, LANE_LARGE, NULL, crc32c_send, crc32c_receive},
    {"library hybrid", 64, LANE_LARGE, NULL, hybrid_send, hybrid_receive},
    {"library block", 64, LANE_LARGE, NULL, block_send, block_receive},
    {"library spin trip", 64, 64, NULL, spin_ask, spin_answer},
    {"library block trip", 64, 64, NULL, block_ask, block_answer},
    {"library hybrid trip", 64, 64, NULL, hybrid_ask, hybrid_answer},
    {NULL},
};
