/* SPDX-License-Identifier: MIT
 *
 * Ordered, checked messages through channels whose rings are moved all the time: by Resize of the
 * control socket, and by the daemon itself. Nothing is lost, repeated or out of order, nobody
 * notices that the daemon executes itself again, and who does not answer keeps its ring and harms
 * no one.
 *
 * 200 MB in all and 200 moves at least; IVSHMEM_TEST_LONG=1: 8 GB and 2000.
 *
 * IVSHMEM_TEST_SOCKET: with the server there, which test_channels_killed.py kills and starts again
 * from "moving" on, and until it closes our standard input; a quarter of bytes and moves.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/load/talk.h"

enum {
    REGION = 16 << 20,
    PAIRS = 3, /* each way of waiting once, messages both ways */
    RING = 16384,
    RING_MOST = 64, /* blocks */
    MESSAGE_MOST = 400000,
    SMALL = 300,
    RESTARTS = 3,
    SLOWEST = 20, /* moves of a pair */
    SECONDS = 1200,
};

/* What processes tell each other. */
struct shared {
    volatile int enough;
    volatile unsigned listener[PAIRS + 1]; /* its ID and 1 */
    volatile uint64_t bytes[PAIRS][2];     /* received by the listener, by the connector */
    volatile unsigned channel[PAIRS + 1];  /* its number and 1 */
};

static struct shared *shared;

/* --- streams --- */

static size_t size_of(uint64_t number)
{
    uint64_t spread = talk_spread(number);

    return spread % 16 == 0 ? (spread >> 8) % MESSAGE_MOST : (spread >> 8) % SMALL;
}

/* What a message consists of; cheap, and different at each place of each message. */
static void fill(uint8_t *bytes, size_t size, uint64_t number)
{
    uint64_t word = talk_spread(number);

    for (size_t i = 0; i < size; i += sizeof(word), word += UINT64_C(0x9e3779b97f4a7c15))
        memcpy(bytes + i, &word, size - i < sizeof(word) ? size - i : sizeof(word));
}

/* One of the ways to send; the last message is empty and comes after one of 1 byte. */
static void send_message(struct ivshmem *iv, struct ivshmem_channel *channel, const uint8_t *bytes,
                         size_t size, uint64_t number)
{
    struct iovec piece = {(void *)(uintptr_t)bytes, size};
    ssize_t r = 0;
    void *room;

    if (number % 4 == 1 && size < 1000) {
        r = ivshmem_reserve(channel, size, &room);
        if (r == 0) {
            memcpy(room, bytes, size);
            r = ivshmem_commit(channel, size, false);
        }
    } else if (number % 4 == 2 && size < 1000) {
        r = ivshmem_send_burst(channel, &piece, 1);
    } else if (number % 4 == 3) {
        for (size_t done = 0; r >= 0 && done < size; done += (size_t)r)
            r = ivshmem_send_part(channel, bytes + done, size - done, false);
        if (!size)
            r = ivshmem_send(channel, bytes, 0);
    } else {
        r = ivshmem_send(channel, bytes, size);
    }
    require(r >= 0, "message %llu was not sent: %s", (unsigned long long)number, ivshmem_error(iv));
}

static void send_all(struct ivshmem *iv, struct ivshmem_channel *channel, uint64_t salt)
{
    uint8_t *bytes = malloc(MESSAGE_MOST + sizeof(uint64_t));
    uint64_t number;

    require(bytes, "no memory");
    for (number = 0; !shared->enough; number++) {
        size_t size = size_of(salt + number);

        fill(bytes, size, salt + number);
        send_message(iv, channel, bytes, size, number);
    }
    memcpy(bytes, &number, sizeof(number));
    fill(bytes + sizeof(number), MESSAGE_MOST - sizeof(number), salt);
    require(ivshmem_send(channel, bytes, MESSAGE_MOST) == 0, "%s", ivshmem_error(iv));
    ivshmem_flush(channel);
    free(bytes);
}

/* Until the one that is longer than all others, and says how many there were. */
static void receive_all(struct ivshmem *iv, struct ivshmem_channel *channel, uint64_t salt,
                        volatile uint64_t *total)
{
    uint8_t *bytes = malloc(MESSAGE_MOST), *wanted = malloc(MESSAGE_MOST);
    uint64_t number, count;

    require(bytes && wanted, "no memory");
    for (number = 0;; number++) {
        ssize_t got = ivshmem_recv(channel, bytes, MESSAGE_MOST);

        require(got >= 0, "message %llu did not come: %s", (unsigned long long)number,
                ivshmem_error(iv));
        *total += (uint64_t)got;
        if (got == MESSAGE_MOST)
            break;
        require((size_t)got == size_of(salt + number), "message %llu has %zd bytes, not %zu",
                (unsigned long long)number, got, size_of(salt + number));
        fill(wanted, (size_t)got, salt + number);
        require(memcmp(bytes, wanted, (size_t)got) == 0, "message %llu is not what was sent",
                (unsigned long long)number);
    }
    memcpy(&count, bytes, sizeof(count));
    require(count == number, "%llu messages came, of %llu", (unsigned long long)number,
            (unsigned long long)count);
    free(bytes);
    free(wanted);
}

static void set_up(struct ivshmem_channel *channel, unsigned pair)
{
    static const enum ivshmem_waiting ways[PAIRS] = {IVSHMEM_HYBRID, IVSHMEM_BLOCK, IVSHMEM_SPIN};

    ivshmem_channel_set_timeout(channel, SECONDS * 1000);
    ivshmem_channel_set_waiting(channel, ways[pair]);
}

/* A connection is of one thread: so the stream goes there first, and then the answer back. */
static void be_listener(const struct test_server *server, unsigned pair)
{
    struct ivshmem *iv = talk_join(server, NULL, NULL);
    struct ivshmem_channel *channel;

    require(ivshmem_listen(iv, TALK_PORT) == 0, "%s", ivshmem_error(iv));
    shared->listener[pair] = (unsigned)ivshmem_id(iv) + 1;
    channel = talk_accept(iv);
    set_up(channel, pair);
    receive_all(iv, channel, pair, &shared->bytes[pair][0]);
    require(ivshmem_send(channel, "all", 3) == 0, "%s", ivshmem_error(iv));
    require(ivshmem_recv(channel, NULL, 0) == -EPIPE, "the other side has not closed");
    ivshmem_close(channel);
    ivshmem_free(iv);
}

static void be_connector(const struct test_server *server, unsigned pair)
{
    struct ivshmem_connect_options options = {
        .size = sizeof(options), .ring_size = RING, .reverse_size = 4096};
    struct ivshmem_channel_info info = {.size = sizeof(info)};
    struct ivshmem *iv = talk_join(server, NULL, NULL);
    struct ivshmem_channel *channel;
    char answer[4];

    options.flags = pair == 0 ? IVSHMEM_CRC32C : 0;
    channel = talk_connect(iv, shared->listener[pair] - 1, &options);
    set_up(channel, pair);
    ivshmem_channel_get_info(channel, &info);
    shared->channel[pair] = info.channel + 1;
    send_all(iv, channel, pair);
    require(ivshmem_recv(channel, answer, sizeof(answer)) == 3, "%s", ivshmem_error(iv));
    ivshmem_channel_get_info(channel, &info);
    require(info.moves >= SLOWEST, "pair %u was moved %llu times only", pair,
            (unsigned long long)info.moves);
    printf("pair %u: %llu messages, %llu bytes, %llu moves, slept %llu times\n", pair,
           (unsigned long long)info.messages_sent, (unsigned long long)info.bytes_sent,
           (unsigned long long)info.moves, (unsigned long long)info.sleeps);
    ivshmem_close(channel);
    ivshmem_free(iv);
}

/* --- who never answers --- */

/* Its other end sends what fits, and waits. */
static void be_deaf(const struct test_server *server)
{
    struct ivshmem *iv = talk_join(server, NULL, NULL);

    require(ivshmem_listen(iv, TALK_PORT) == 0, "%s", ivshmem_error(iv));
    shared->listener[PAIRS] = (unsigned)ivshmem_id(iv) + 1;
    talk_accept(iv);
    while (!shared->enough)
        pause_ms(5);
    ivshmem_free(iv);
}

static void talk_to_deaf(const struct test_server *server)
{
    const struct ivshmem_connect_options options = {.size = sizeof(options), .ring_size = RING};
    struct ivshmem_channel_info info = {.size = sizeof(info)};
    struct ivshmem *iv = talk_join(server, NULL, NULL);
    struct ivshmem_channel *channel = talk_connect(iv, shared->listener[PAIRS] - 1, &options);

    ivshmem_channel_get_info(channel, &info);
    shared->channel[PAIRS] = info.channel + 1;
    ivshmem_channel_set_timeout(channel, 10);
    while (!shared->enough) {
        int r = ivshmem_send(channel, "nobody listens", 14);

        require(r == 0 || r == -ETIMEDOUT || r == -ECONNRESET, "%s", ivshmem_error(iv));
    }
    ivshmem_free(iv);
}

/* --- what moves the rings --- */

static const cJSON *find_channel(const cJSON *channels, unsigned number)
{
    const cJSON *channel;

    cJSON_ArrayForEach(channel,
                       cJSON_GetObjectItemCaseSensitive(
                           channels, "channels")) if (talk_number(channel, "channel", NULL) ==
                                                      number) return channel;
    fail("channel %u is not listed", number);
}

/* The one that is never left stays what it was, with a place to go to. */
static void check_deaf(const cJSON *channels, bool asked)
{
    const cJSON *channel = find_channel(channels, shared->channel[PAIRS] - 1);

    require(talk_number(channel, "size", NULL) == RING &&
                talk_number(channel, "resizes", NULL) == 0,
            "the ring of a peer that does not answer was moved");
    if (asked)
        require(talk_number(channel, "next_size", NULL) == 2.0 * RING,
                "the ring of a peer that does not answer has no next place");
}

/* One call for each channel, moved or not. Return: moves that are done, as long
 * as one connection has few of them: its own. */
static unsigned resize_all(const struct test_server *server, uint64_t *number)
{
    cJSON *channels = talk_call(server, "ListChannels", NULL);
    unsigned moves = 0, least = UINT32_MAX;

    require(channels, "channels are not listed");
    for (unsigned i = 0; i < PAIRS; i++) {
        unsigned channel = shared->channel[i] - 1;
        const cJSON *found = find_channel(channels, channel);
        char text[80];

        moves += (unsigned)talk_number(found, "resizes", NULL);
        if (talk_number(found, "resizes", NULL) < least)
            least = (unsigned)talk_number(found, "resizes", NULL);
        snprintf(text, sizeof(text), "{\"channel\":%u,\"size\":%llu}", channel,
                 (unsigned long long)(talk_spread((*number)++) % RING_MOST + 1) * 4096);
        cJSON_Delete(talk_call(server, "Resize", text)); /* it may be on its way */
        snprintf(text, sizeof(text), "{\"channel\":%.0f,\"size\":%u}",
                 talk_number(found, "pair", NULL), (unsigned)(*number % 3 + 1) * 4096);
        cJSON_Delete(talk_call(server, "Resize", text));
    }
    check_deaf(channels, *number > PAIRS);
    cJSON_Delete(channels);
    return least < SLOWEST ? least : moves;
}

static uint64_t total_bytes(void)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < PAIRS; i++)
        total += shared->bytes[i][0];
    return total;
}

static void ask_deaf(const struct test_server *server)
{
    char text[80];
    cJSON *answer;

    snprintf(text, sizeof(text), "{\"channel\":%u,\"size\":%u}", shared->channel[PAIRS] - 1,
             2 * RING);
    answer = talk_call(server, "Resize", text);
    require(answer, "the ring of a peer that does not answer is not to be moved");
    cJSON_Delete(answer);
}

/* Has the daemon been another process often enough? Ours becomes one now and then. */
static bool restarted(const struct test_server *server, unsigned done, unsigned moves,
                      unsigned *restarts)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    if (!server->pid)
        return poll(&input, 1, 0) > 0; /* its end */
    if (*restarts < RESTARTS && done >= moves / 4 * (*restarts + 1)) {
        kill(server->pid, SIGUSR2);
        server_await_log(server, "serving ", ++*restarts + 1);
    }
    return *restarts == RESTARTS;
}

/* Until enough has gone through, of bytes and of moves. */
static void move_all(const struct test_server *server, uint64_t bytes, unsigned moves)
{
    int64_t deadline = deadline_in(SECONDS);
    unsigned done = 0, restarts = 0;
    uint64_t number = 0;

    ask_deaf(server);
    puts("moving");
    while (!restarted(server, done, moves, &restarts) || done < moves || total_bytes() < bytes) {
        server_alive(server);
        done = resize_all(server, &number);
        require(now_ms() < deadline, "only %u moves, and %llu bytes", done,
                (unsigned long long)total_bytes());
        pause_ms(1);
    }
    printf("%u moves, %llu bytes, %u restarts\n", done, (unsigned long long)total_bytes(),
           restarts);
}

static pid_t start(const struct test_server *server, unsigned number)
{
    pid_t pid = child_start();

    if (pid)
        return pid;
    if (nice(10) < 0) /* it is the moves that are to be many: the daemon comes first */
        exit(EXIT_FAILURE);
    if (number == 2 * PAIRS)
        be_deaf(server);
    else if (number == 2 * PAIRS + 1)
        talk_to_deaf(server);
    else if (number % 2)
        be_connector(server, number / 2);
    else
        be_listener(server, number / 2);
    exit(EXIT_SUCCESS);
}

static void await_set(const volatile unsigned *number)
{
    int64_t deadline = deadline_in(SECONDS);

    while (!*number) {
        require(now_ms() < deadline, "a peer does not come");
        pause_ms(1);
    }
}

int main(void)
{
    static const char *const options[] = {"--channels", "--mailboxes=12", "--max-channels=64",
                                          NULL};
    const struct server_setup setup = {.vectors = 1, .options = options, .size = REGION};
    const char *socket = getenv("IVSHMEM_TEST_SOCKET");
    const unsigned part = socket ? 4 : 1;
    pid_t children[2 * PAIRS + 2];
    struct test_server server;

    harness_start("resized", SECONDS);
    shared = talk_shared(sizeof(*shared));
    if (socket)
        server_attach(&server, socket);
    else
        server_start(&server, &setup);
    for (unsigned i = 0; i < 2 * PAIRS + 2; i++) {
        children[i] = start(&server, i);
        await_set(i % 2 ? &shared->channel[i / 2] : &shared->listener[i / 2]);
    }
    move_all(&server, (harness_long() ? UINT64_C(8000000000) : 200000000) / part,
             (harness_long() ? 2000 : 200) / part);
    shared->enough = 1;
    for (unsigned i = 0; i < 2 * PAIRS + 2; i++)
        talk_await_end(children[i], "a peer", SECONDS);
    if (!socket)
        server_stop(&server);
    return EXIT_SUCCESS;
}
