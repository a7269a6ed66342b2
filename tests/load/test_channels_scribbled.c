/* SPDX-License-Identifier: MIT
 *
 * Peers that write random bytes over the whole region while others talk through channels of the
 * library. Nobody crashes, calls return errors and nothing worse, the daemon's tables stay what
 * they are; and when it is over, channels work and the section is as it should be.
 *
 * For 4 seconds; IVSHMEM_TEST_LONG=1: for 30.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/layout.h"
#include "tests/load/talk.h"

enum {
    REGION = 4 << 20,
    PAIRS = 2,
    VILLAINS = 3,
    HELD = 3,    /* connections of two peers who do nothing meanwhile */
    BURST = 256, /* writes of a villain between two pauses */
    MESSAGE_MAX = 40000,
    CALL_MS = 50,
    ENOUGH = 100, /* messages through a channel, then another one */
    SECONDS = 120,
    ERRNO_MAX = 4095,
};

/* What processes tell each other. */
struct shared {
    volatile int stop;
    volatile unsigned listener[PAIRS]; /* its ID and 1 */
    volatile unsigned long opened[PAIRS], sent[PAIRS], received[PAIRS];
};

static struct shared *shared;
static struct ivshmem
    *ours; /* not on the stack: children, who have a copy, would seem to leak it */
static uint64_t seed;

static uint64_t random_number(void)
{
    return talk_spread(seed++);
}

/* --- villains --- */

static uint32_t plausible(uint32_t old)
{
    static const uint32_t numbers[] = {0, 1, 2, 3, 8, 64, 4096, 65536, 0x7fffffff, 0xffffffff};
    uint64_t number = random_number();

    switch (number % 5) {
    case 0:
        return numbers[(number >> 8) % 10];
    case 1:
        return old ^ UINT32_C(1) << (number >> 8) % 32;
    case 2:
        return old + 8 - (uint32_t)(number >> 8) % 16;
    case 3: /* a record */
        return UINT32_C(0x80000000) | (uint32_t)(number >> 32 & 7) << 27 | (number >> 8 & 0xffff);
    default:
        return (uint32_t)(number >> 32);
    }
}

/* A word of the section, one of the rings, or anything anywhere. */
static void scribble(uint8_t *memory, uint64_t section)
{
    uint64_t number = random_number(), at = random_number();

    if (number % 3 == 2) {
        size_t size = number / 3 % 64 + 1;

        for (at %= REGION - 64; size; size--)
            __atomic_store_n(&memory[at + size], (uint8_t)random_number(), __ATOMIC_RELAXED);
        return;
    }
    at = number % 3 ? at % section : section + at % (REGION - section);
    at &= ~UINT64_C(3);
    for (uint64_t i = 0; i < number / 3 % 4 && at < REGION; i++, at += 4) {
        uint32_t *word = (uint32_t *)(void *)(memory + at);

        __atomic_store_n(word, plausible(__atomic_load_n(word, __ATOMIC_RELAXED)),
                         __ATOMIC_RELAXED);
    }
}

static void be_villain(const struct test_server *server, unsigned mailboxes, uint64_t section)
{
    struct ivshmem *iv = talk_join(server, NULL, NULL);

    while (!shared->stop) {
        for (int i = 0; i < BURST; i++)
            scribble(ivshmem_memory(iv), section);
        ivshmem_ring(iv, (unsigned)(random_number() % (mailboxes + 1)), 0);
        ivshmem_dispatch(iv);
        pause_ms((unsigned)(random_number() % 3));
    }
    ivshmem_free(iv);
}

/* --- honest ones --- */

/* Errors are allowed, nonsense is not. */
static bool went_well(ssize_t result, size_t most)
{
    require(result >= -ERRNO_MAX && (result < 0 || (size_t)result <= most),
            "a call returned %zd, and there can be %zu", result, most);
    return result >= 0;
}

/* One of the ways to send. */
static bool send_one(struct ivshmem_channel *channel, uint8_t *bytes)
{
    uint64_t number = random_number();
    size_t size = number % (number & 256 ? MESSAGE_MAX : 200);
    struct iovec pieces[3] = {{bytes, size / 2}, {bytes + size / 2, size / 4}, {bytes, size % 7}};
    void *room;

    switch (number >> 32 & 7) {
    case 0:
        return went_well(ivshmem_sendv(channel, pieces, 3), 0);
    case 1:
        if (!went_well(ivshmem_send_part(channel, bytes, size, true), size))
            return false;
        return went_well(ivshmem_send_abort(channel), 0);
    case 2:
        if (!went_well(ivshmem_reserve(channel, size % 500, &room), 0))
            return false;
        memcpy(room, bytes, size % 500);
        return went_well(ivshmem_commit(channel, size % 500, false), 0);
    case 3:
        pieces[0].iov_len %= 500;
        pieces[1].iov_len %= 500;
        return went_well(ivshmem_send_burst(channel, pieces, 3), 3);
    default:
        return went_well(ivshmem_send(channel, bytes, size), 0);
    }
}

/* What was shown lies in the region; all of it can be read. */
static bool look_at(struct ivshmem *iv, const void *data, size_t size)
{
    const uint8_t *memory = ivshmem_memory(iv), *bytes = data;
    uint32_t sum = 0;

    require(bytes >= memory && size <= REGION && bytes + size <= memory + REGION,
            "bytes outside of the region were shown");
    for (size_t i = 0; i < size; i++)
        sum += __atomic_load_n(&bytes[i], __ATOMIC_RELAXED);
    return sum != 1; /* so that it is looked at */
}

/* One of the ways to receive. -EMSGSIZE and -ECANCELED are no reason to give up. */
static bool receive_one(struct ivshmem *iv, struct ivshmem_channel *channel, uint8_t *buffer)
{
    uint64_t number = random_number();
    size_t room = number % MESSAGE_MAX + 1, size;
    struct iovec pieces[2] = {{buffer, room / 2}, {buffer + room / 2, room / 2}};
    const void *data;
    ssize_t r;
    bool more;

    switch (number >> 32 & 7) {
    case 0:
        r = ivshmem_recvv(channel, pieces, 2);
        break;
    case 1:
        r = ivshmem_recv_part(channel, buffer, room, &more);
        break;
    case 2:
        r = ivshmem_recv_burst(channel, pieces, 2);
        break;
    case 3:
        r = ivshmem_peek(channel, &data, &size, &more);
        if (r == 0 && look_at(iv, data, size))
            r = ivshmem_release(channel);
        break;
    default:
        r = ivshmem_recv(channel, buffer, room);
    }
    return went_well(r, room > 2 ? room : 2) || r == -EMSGSIZE || r == -ECANCELED;
}

static void on_ready(struct ivshmem *iv, void *context, struct ivshmem_channel *channel)
{
    unsigned *ready = context;

    (void)iv;
    (*ready)++;
    ivshmem_channel_watch(channel, 0);
}

static void converse(struct ivshmem *iv, struct ivshmem_channel *channel, unsigned pair,
                     bool connector, uint8_t *buffer)
{
    static const enum ivshmem_waiting ways[] = {IVSHMEM_HYBRID, IVSHMEM_BLOCK, IVSHMEM_SPIN};

    ivshmem_channel_set_timeout(channel, CALL_MS);
    ivshmem_channel_set_waiting(channel, ways[random_number() % 3]);
    for (unsigned i = 0; i < ENOUGH && !shared->stop; i++) {
        if (i % 16 == 15) {
            ivshmem_channel_watch(channel, IVSHMEM_READABLE | IVSHMEM_WRITABLE);
            if (!went_well(ivshmem_dispatch(iv), 0))
                break;
        }
        if ((connector || i % 2) && !send_one(channel, buffer))
            break;
        if (!connector && !receive_one(iv, channel, buffer))
            break;
        if (connector)
            shared->sent[pair]++;
        else
            shared->received[pair]++;
    }
    ivshmem_close(channel);
}

/* A handle that speaks of channels; the greeting reads the region, too. */
static struct ivshmem *join(const struct test_server *server, unsigned *ready)
{
    static const struct ivshmem_callbacks callbacks = {.size = sizeof(callbacks),
                                                       .channel_ready = on_ready};

    return talk_join(server, &callbacks, ready);
}

static void be_listener(const struct test_server *server, unsigned pair)
{
    uint8_t *buffer = calloc(1, MESSAGE_MAX);
    struct ivshmem_channel *channel;
    struct ivshmem_offer offer;
    unsigned ready = 0;

    require(buffer, "no memory");
    while (!shared->stop) {
        struct ivshmem *iv = join(server, &ready);

        shared->listener[pair] = (unsigned)ivshmem_id(iv) + 1;
        if (went_well(ivshmem_listen(iv, TALK_PORT), 0))
            for (int i = 0; i < 10 && !shared->stop; i++)
                if (went_well(ivshmem_next_offer(iv, TALK_PORT, CALL_MS, &offer), 0) &&
                    went_well(ivshmem_accept(iv, &offer, &channel), 0))
                    converse(iv, channel, pair, false, buffer);
        ivshmem_free(iv);
    }
    free(buffer);
}

static void be_connector(const struct test_server *server, unsigned pair)
{
    uint8_t *buffer = calloc(1, MESSAGE_MAX);
    struct ivshmem_connect_options options = {.size = sizeof(options), .reverse_size = 8192};
    struct ivshmem_channel *channel;
    unsigned ready = 0;

    require(buffer, "no memory");
    while (!shared->stop) {
        struct ivshmem *iv = join(server, &ready);

        for (int i = 0; i < 10 && !shared->stop; i++) {
            options.ring_size = 4096 << random_number() % 4;
            options.flags = random_number() % 2 ? IVSHMEM_CRC32C : 0;
            if (!shared->listener[pair] ||
                !went_well(ivshmem_connect(iv, shared->listener[pair] - 1, TALK_PORT, &options,
                                           4 * CALL_MS, &channel),
                           0)) {
                pause_ms(1);
                continue;
            }
            shared->opened[pair]++;
            converse(iv, channel, pair, true, buffer);
        }
        ivshmem_free(iv);
    }
    free(buffer);
}

/* --- what must be so --- */

/* Channels that nobody touches: a child has the other ends, and does nothing. */
static pid_t hold(struct ivshmem *iv, const struct test_server *server)
{
    const struct ivshmem_connect_options options = {.size = sizeof(options), .ring_size = 12288};
    pid_t child;

    require(ivshmem_listen(iv, TALK_PORT) == 0, "%s", ivshmem_error(iv));
    child = child_start();
    if (child == 0) {
        struct ivshmem *other = talk_join(server, NULL, NULL);

        for (unsigned i = 0; i < HELD; i++)
            talk_connect(other, (unsigned)ivshmem_id(iv), &options);
        while (!shared->stop)
            pause_ms(10);
        ivshmem_free(other);
        exit(EXIT_SUCCESS);
    }
    for (unsigned i = 0; i < HELD; i++)
        talk_accept(iv);
    return child;
}

/* What the daemon's tables say of a channel that is held; it does not depend on peers' words. */
static void describe(const cJSON *channels, unsigned receiver, char *text, size_t size)
{
    static const char *const names[] = {"channel", "first", "sender", "port", "offset", "size"};
    const cJSON *channel;
    size_t length = 0;

    *text = '\0';
    cJSON_ArrayForEach(channel, cJSON_GetObjectItemCaseSensitive(channels, "channels"))
    {
        if (talk_number(channel, "receiver", NULL) != receiver)
            continue;
        for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]) && length < size; i++)
            length += (size_t)snprintf(text + length, size - length, "%s %.0f ", names[i],
                                       talk_number(channel, names[i], NULL));
        if (length < size)
            length +=
                (size_t)snprintf(text + length, size - length, "%s\n",
                                 cJSON_GetObjectItemCaseSensitive(channel, "state")->valuestring);
    }
}

/* All channels lie in the region, beside each other. */
static void check_apart(const cJSON *channels)
{
    static bool taken[REGION / LAYOUT_BLOCK];
    const cJSON *channel;

    memset(taken, 0, sizeof(taken));
    cJSON_ArrayForEach(channel, cJSON_GetObjectItemCaseSensitive(channels, "channels"))
    {
        double offset = talk_number(channel, "offset", NULL);
        double size = talk_number(channel, "size", NULL);

        require(offset >= 0 && size >= LAYOUT_BLOCK && offset + size <= REGION,
                "a ring of %.0f bytes at %.0f", size, offset);
        for (size_t i = 0; i < (size_t)size / LAYOUT_BLOCK; i++) {
            bool *block = &taken[(size_t)offset / LAYOUT_BLOCK + i];

            require(!*block, "two rings lie at the same place");
            *block = true;
        }
    }
}

static void check_tables(const struct test_server *server, unsigned receiver, char *text,
                         size_t size)
{
    cJSON *channels = talk_call(server, "ListChannels", NULL);

    require(channels, "channels are not listed");
    describe(channels, receiver, text, size);
    check_apart(channels);
    cJSON_Delete(channels);
}

static bool is_zero(const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (((const uint8_t *)bytes)[i])
            return false;
    return true;
}

/* What does not fit the section of a server without channels and with one peer; NULL: all is right.
 */
static const char *find_fault(const uint8_t *memory, unsigned own, uint64_t free_bytes)
{
    const struct layout_header *header = (const void *)memory;
    const struct layout_mailbox *boxes;
    const struct layout_channel *channels;

    if (header->magic != LAYOUT_MAGIC || header->version != LAYOUT_VERSION ||
        header->region_size != REGION || header->block_size != LAYOUT_BLOCK ||
        header->mailbox_offset != sizeof(*header) || header->mailbox_size != sizeof(*boxes) ||
        header->channel_size != sizeof(*channels) ||
        header->channel_offset != layout_channel_offset(header->n_mailboxes) ||
        header->data_offset != layout_data_offset(header->n_mailboxes, header->n_channels))
        return "the header";
    if (header->generation % 2 || header->num_active_channel || header->control_mutex ||
        header->free_bytes != free_bytes || header->free_start_offset != header->data_offset ||
        !is_zero(header->reserved0, sizeof(header->reserved0)) ||
        !is_zero(header->reserved2, sizeof(header->reserved2)))
        return "the counts of the header";
    boxes = (const void *)(memory + header->mailbox_offset);
    for (unsigned i = 0; i < header->n_mailboxes; i++)
        if (boxes[i].peer.generation % 2 || boxes[i].peer.present != (i == own) ||
            boxes[i].peer.speaks || boxes[i].peer.vector ||
            !is_zero(&boxes[i].reply, sizeof(boxes[i].reply)) ||
            !is_zero(boxes[i].apart, sizeof(boxes[i].apart)))
            return "a mailbox";
    channels = (const void *)(memory + header->channel_offset);
    for (unsigned i = 0; i < header->n_channels; i++)
        if (channels[i].entry.generation % 2 ||
            !is_zero(&channels[i].entry.state, sizeof(channels[i].entry) - 4))
            return "the entry of a channel";
    return NULL;
}

static void check_section(const struct test_server *server)
{
    struct ivshmem *iv = talk_join(server, NULL, NULL);
    int64_t deadline = deadline_in(SECONDS);
    const char *fault;

    for (;;) { /* the daemon puts right at each interval, and may not have heard of all leaves */
        cJSON *status = talk_call(server, "Status", NULL);
        double free_bytes = talk_number(status, "channels", "free_bytes");

        fault = find_fault(ivshmem_memory(iv), (unsigned)ivshmem_id(iv), (uint64_t)free_bytes);
        if (free_bytes != talk_number(status, "channels", "bytes"))
            fault = "the memory that is free";
        require(talk_number(status, "counters", "section_repairs") > 0, "nothing was put right");
        cJSON_Delete(status);
        if (!fault)
            break;
        require(now_ms() < deadline, "the section is not put right: %s", fault);
        pause_ms(20);
    }
    ivshmem_free(iv);
}

/* Two newcomers get a channel, and each message arrives as it was. */
static void check_service(const struct test_server *server)
{
    struct ivshmem *iv = ours = talk_join(server, NULL, NULL);
    unsigned id = (unsigned)ivshmem_id(iv);
    uint8_t sent[5000], got[sizeof(sent)];
    struct ivshmem_channel *channel;
    pid_t child;

    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (uint8_t)talk_spread(i);
    require(ivshmem_listen(iv, TALK_PORT) == 0, "%s", ivshmem_error(iv));
    child = child_start();
    if (child == 0) {
        struct ivshmem *other = talk_join(server, NULL, NULL);

        channel = talk_connect(other, id, NULL);
        for (size_t size = 0; size < sizeof(sent); size += 7)
            require(ivshmem_send(channel, sent, size) == 0, "%s", ivshmem_error(other));
        require(ivshmem_recv(channel, got, sizeof(got)) == 4, "%s", ivshmem_error(other));
        ivshmem_close(channel);
        ivshmem_free(other);
        exit(EXIT_SUCCESS);
    }
    channel = talk_accept(iv);
    for (size_t size = 0; size < sizeof(sent); size += 7) {
        require(ivshmem_recv(channel, got, sizeof(got)) == (ssize_t)size, "%s", ivshmem_error(iv));
        require(memcmp(sent, got, size) == 0, "a message is not what was sent");
    }
    require(ivshmem_send(channel, sent, 4) == 0, "%s", ivshmem_error(iv));
    talk_await_end(child, "a newcomer", SECONDS);
    ivshmem_close(channel);
    ivshmem_free(iv);
}

static pid_t start(const struct test_server *server, unsigned number, unsigned mailboxes,
                   uint64_t section)
{
    pid_t pid;

    seed = talk_spread(harness_number("IVSHMEM_TEST_SEED", (unsigned)now_ms()) + number);
    pid = child_start();
    if (pid)
        return pid;
    if (number < VILLAINS)
        be_villain(server, mailboxes, section);
    else if ((number - VILLAINS) % 2)
        be_connector(server, (number - VILLAINS) / 2);
    else
        be_listener(server, (number - VILLAINS) / 2);
    exit(EXIT_SUCCESS);
}

static void attack(const struct test_server *server, unsigned seconds)
{
    static char before[4096], after[4096];
    struct ivshmem *iv = ours = talk_join(server, NULL, NULL);
    const struct layout_header *header = ivshmem_memory(iv);
    unsigned mailboxes = header->n_mailboxes;
    uint64_t section = header->data_offset;
    pid_t children[VILLAINS + 2 * PAIRS], idle = hold(iv, server);
    int64_t end = now_ms() + (int64_t)seconds * 1000;

    check_tables(server, (unsigned)ivshmem_id(iv), before, sizeof(before));
    for (unsigned i = 0; i < VILLAINS + 2 * PAIRS; i++)
        children[i] = start(server, i, mailboxes, section);
    while (now_ms() < end) {
        server_alive(server);
        for (unsigned i = 0; i < VILLAINS + 2 * PAIRS; i++)
            require(!talk_ended(children[i], "a peer"), "a peer has ended");
        check_tables(server, (unsigned)ivshmem_id(iv), after, sizeof(after));
        require(strcmp(before, after) == 0, "the tables were\n%sand are\n%s", before, after);
        pause_ms(20);
    }
    shared->stop = 1;
    for (unsigned i = 0; i < VILLAINS + 2 * PAIRS; i++)
        talk_await_end(children[i], i < VILLAINS ? "a villain" : "an honest peer", SECONDS);
    talk_await_end(idle, "who did nothing", SECONDS);
    ivshmem_free(iv);
}

int main(void)
{
    static const char *const options[] = {"--channels", "--mailboxes=12", "--max-channels=64",
                                          NULL};
    const struct server_setup setup = {.vectors = 2, .options = options, .size = REGION};
    struct test_server server;

    harness_start("scribbled", 900);
    shared = talk_shared(sizeof(*shared));
    server_start(&server, &setup);
    attack(&server, harness_long() ? 30 : 4);
    for (unsigned i = 0; i < PAIRS; i++)
        printf("pair %u: %lu channels, %lu messages sent, %lu received\n", i, shared->opened[i],
               shared->sent[i], shared->received[i]);
    check_service(&server);
    check_section(&server);
    server_stop(&server);
    return EXIT_SUCCESS;
}
