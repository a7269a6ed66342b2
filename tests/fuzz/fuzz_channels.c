/* SPDX-License-Identifier: MIT
 *
 * Records of channels that are damaged: those of some connections, with any bytes in them. Each
 * change is where (a part: head, journal, header, peers, rings; offset in two bytes), how many
 * bytes, and they. They are refused, or what comes of them agrees with itself: all can end, and
 * then everything is free.
 */
#include <sys/mman.h>

#include "server/channels.h"
#include "server/rebalance.h"
#include "tests/fuzz/fuzz.h"

enum { PEERS = 4, CHANNELS = 8, VECTORS = 2, REGION = 128 * 1024 };

static struct channel_state *state;
static uint8_t *region;

static void ring(void *context, unsigned peer, unsigned vector)
{
    (void)context;
    REQUIRE(peer < state->n_mailboxes && vector < state->peers[peer].peer.n_vectors);
}

static void ask(struct channels *channels, unsigned peer, struct layout_request request)
{
    struct layout_mailbox *mailbox =
        (struct layout_mailbox *)(region + sizeof(struct layout_header)) + peer;

    request.number = mailbox->reply.number + 1;
    mailbox->request = request;
    channels_rung(channels, peer, 1);
    REQUIRE(mailbox->reply.status == LAYOUT_OK);
}
#define ASK(channels, peer, ...)                                                                   \
    ask(channels, peer, (struct layout_request){.operation = __VA_ARGS__})

/* An offer, an open connection of two rings one of which moves, a closed one, one with itself. */
static void make_records(const struct channels_setup *setup)
{
    struct channels *channels;

    memset(state, 0, offsetof(struct channel_state, peers));
    memset(state->peers, 0, PEERS * sizeof(state->peers[0]));
    memset(state->rings, 0, CHANNELS * sizeof(state->rings[0]));
    REQUIRE(channels_new(setup, &channels, NULL) == 0);
    channels_start(channels, 0);
    for (unsigned i = 0; i < 3; i++) {
        channels_joined(channels, i, 1, 2, VECTORS);
        ASK(channels, i, LAYOUT_HELLO, .vector = 1);
    }
    ASK(channels, 1, LAYOUT_LISTEN, .port = 9);
    ASK(channels, 1, LAYOUT_LISTEN, .port = 10);
    ASK(channels, 0, LAYOUT_CONNECT, .peer = 1, .port = 9, .size = 4096);
    ASK(channels, 0, LAYOUT_CONNECT, .peer = 1, .port = 10, .size = 8192, .reverse_size = 4096);
    ASK(channels, 1, LAYOUT_ACCEPT, .channel = 1);
    REQUIRE(channels_resize(channels, 2, 8192) == 0);
    ASK(channels, 1, LAYOUT_MOVED, .channel = 2, .generation = 1);
    ASK(channels, 2, LAYOUT_CONNECT, .peer = 1, .port = 9, .size = 4096);
    ASK(channels, 1, LAYOUT_ACCEPT, .channel = 3);
    ASK(channels, 2, LAYOUT_CLOSE, .channel = 3);
    ASK(channels, 1, LAYOUT_CONNECT, .peer = 1, .port = 9, .size = 4096);
    channels_free(channels);
}

static void damage(const uint8_t *data, size_t size)
{
    const struct {
        void *start;
        size_t size;
    } parts[] = {
        {state, offsetof(struct channel_state, counters)},
        {&state->journal, sizeof(state->journal)},
        {&state->header, sizeof(state->header)},
        {state->peers, PEERS * sizeof(state->peers[0])},
        {state->rings, CHANNELS * sizeof(state->rings[0])},
    };

    while (size > 4) {
        unsigned part = data[0] % 5;
        size_t at = (data[1] | (size_t)data[2] << 8) % parts[part].size;
        size_t count = data[3] < size - 4 ? data[3] : size - 4;

        data += 4;
        size -= 4;
        if (count > parts[part].size - at)
            count = parts[part].size - at;
        memcpy((uint8_t *)parts[part].start + at, data, count);
        data += count;
        size -= count;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channels_setup setup = {.region_size = REGION,
                                   .n_mailboxes = PEERS,
                                   .n_channels = CHANNELS,
                                   .instance = 1,
                                   .options = channels_defaults,
                                   .ring = ring};
    struct channels *channels;
    struct failure failure = {.text = ""};

    log_set_level(LOG_ERR);
    if (!state)
        state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(state != MAP_FAILED);
    region = calloc(1, REGION);
    REQUIRE(region);
    setup.region = region;
    setup.state = state;
    make_records(&setup);
    damage(data, size);
    if (channels_restore(&setup, &channels, &failure) == 0) {
        channels_start(channels, 0);
        channels_tick(channels, 1 << 30);
        for (unsigned i = 0; i < state->n_mailboxes; i++)
            channels_left(channels, i);
        REQUIRE(channels->n_used == 0 && channels->n_present == 0);
        REQUIRE(channels->extents.free_bytes == channels->extents.end - channels->extents.start);
        channels_free(channels);
    } else {
        REQUIRE(failure.text[0]);
    }
    free(region);
    return 0;
}
