/* SPDX-License-Identifier: MIT
 *
 * Hostile peers: requests with any values, any bytes anywhere in the region, and whatever else can
 * happen to the tables of channels in between. Each step is a byte, its low half says what, its
 * high half which peer, and then:
 *
 *     0 join, 1 leave, 2 just ring, 3 another process carries on
 *     4 a byte of time in tenths of a second
 *     5 four bytes: operation, channel or peer, port, size of a ring in blocks; a request
 *     6 sixteen words of a request, raw (but for its number)
 *     7 offset in words (two bytes), word: written into the region
 *     8 channel, blocks: resize it
 *
 * Nobody can get more than there is, records are always ones that a restart takes, and when all
 * have left everything is free again.
 */
#include <sys/mman.h>

#include "server/channels.h"
#include "server/rebalance.h"
#include "tests/fuzz/fuzz.h"

enum { PEERS = 4, CHANNELS = 8, VECTORS = 2, REGION = 128 * 1024, STEPS_MAX = 2000 };

/**
 * struct input - what is left of the bytes
 * @data: the rest
 * @size: how many
 */
struct input {
    const uint8_t *data;
    size_t size;
};

static struct channel_state *state;
static uint8_t *region;
static int64_t now;
static uint32_t number;

static void ring(void *context, unsigned peer, unsigned vector)
{
    (void)context;
    REQUIRE(peer < PEERS && vector < VECTORS && state->peers[peer].peer.present);
}

static uint8_t take(struct input *input)
{
    if (!input->size)
        return 0;
    input->size--;
    return *input->data++;
}

static uint32_t take_word(struct input *input)
{
    uint32_t word = 0;

    for (int i = 0; i < 4; i++)
        word |= (uint32_t)take(input) << 8 * i;
    return word;
}

static struct channels_setup make_setup(void)
{
    struct channels_setup setup = {
        .region = region,
        .region_size = REGION,
        .state = state,
        .n_mailboxes = PEERS,
        .n_channels = CHANNELS,
        .instance = 1,
        .options = channels_defaults,
        .ring = ring,
    };

    setup.options.peer_channels = CHANNELS / 2;
    setup.options.grow_max = 32768;
    return setup;
}

/* Records without anything; only what is used is touched, the rest of them stays as it was. */
static void begin(struct channels **channels)
{
    struct channels_setup setup;

    if (!state)
        state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(state != MAP_FAILED);
    memset(state, 0, offsetof(struct channel_state, peers));
    memset(state->peers, 0, PEERS * sizeof(state->peers[0]));
    memset(state->rings, 0, CHANNELS * sizeof(state->rings[0]));
    region = calloc(1, REGION);
    REQUIRE(region);
    now = number = 0;
    setup = make_setup();
    REQUIRE(channels_new(&setup, channels, NULL) == 0);
    channels_start(*channels, now);
}

/* The free space and what each peer uses, as another process computes it. */
static void carry_on(struct channels **channels)
{
    struct channels_setup setup = make_setup();
    struct channels *next;

    REQUIRE(channels_restore(&setup, &next, NULL) == 0);
    REQUIRE(next->n_used == (*channels)->n_used && next->n_present == (*channels)->n_present);
    REQUIRE(next->extents.count == (*channels)->extents.count);
    REQUIRE(next->extents.free_bytes == (*channels)->extents.free_bytes);
    for (unsigned i = 0; i < PEERS; i++) {
        REQUIRE(next->usage[i].channels == (*channels)->usage[i].channels);
        REQUIRE(next->usage[i].bytes == (*channels)->usage[i].bytes);
        REQUIRE(next->usage[i].channels <= CHANNELS / 2);
        REQUIRE(next->usage[i].bytes <= channels_peer_bytes(next));
    }
    channels_free(*channels);
    *channels = next;
    channels_start(next, now);
}

static struct layout_mailbox *mailbox(unsigned peer)
{
    return (struct layout_mailbox *)(region + sizeof(struct layout_header)) + peer;
}

static void make_request(struct input *input, unsigned peer)
{
    struct layout_request *request = &mailbox(peer)->request;
    uint8_t operation = take(input), which = take(input), port = take(input), size = take(input);

    *request = (struct layout_request){
        .number = ++number,
        .operation = operation,
        .peer = which,
        .channel = which,
        .vector = which,
        .port = port,
        .size = size * (uint64_t)LAYOUT_BLOCK,
        .reverse_size = size & 1 ? LAYOUT_BLOCK : 0,
        .idle_ms = size & 2 ? 500 : 0,
        .generation = state->rings[which % CHANNELS].entry.ring_generation + 1,
    };
}

static void step(struct channels **channels, struct input *input)
{
    uint8_t what = take(input);
    unsigned peer = what / 16 % PEERS;
    uint32_t at, word;

    switch (what % 16) {
    case 0:
        channels_joined(*channels, peer, 1, 2, VECTORS);
        return;
    case 1:
        channels_left(*channels, peer);
        return;
    case 3:
        carry_on(channels);
        return;
    case 4:
        now += take(input) * 100;
        channels_tick(*channels, now);
        return;
    case 5:
        make_request(input, peer);
        break;
    case 6:
        for (unsigned i = 0; i < sizeof(struct layout_request) / 4; i++)
            ((layout_word *)&mailbox(peer)->request)[i] = take_word(input);
        mailbox(peer)->request.number = ++number;
        break;
    case 7:
        at = take(input);
        at = (at | (uint32_t)take(input) << 8) % (REGION / 4);
        word = take_word(input);
        memcpy(region + 4 * (size_t)at, &word, sizeof(word));
        return;
    case 8:
        at = take(input);
        channels_resize(*channels, at, take(input) * (uint64_t)LAYOUT_BLOCK);
        return;
    }
    channels_hear(*channels, peer);
    channels_rung(*channels, peer, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.data = data, .size = size};
    struct channels *channels;

    log_set_level(LOG_ERR);
    begin(&channels);
    for (int i = 0; i < STEPS_MAX && input.size; i++)
        step(&channels, &input);
    carry_on(&channels);
    for (unsigned i = 0; i < PEERS; i++)
        channels_left(channels, i);
    REQUIRE(channels->n_used == 0 && channels_deadline(channels) == -1);
    REQUIRE(channels->extents.free_bytes == channels->extents.end - channels->extents.start);
    channels_free(channels);
    free(region);
    return 0;
}
