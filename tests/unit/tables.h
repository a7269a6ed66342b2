/* SPDX-License-Identifier: MIT
 *
 * What the tests of channels share: a region and records in plain memory, peers that write into
 * their mailboxes and ring, and a count of how often each was rung.
 */
#ifndef IVSHMEM_TESTS_TABLES_H
#define IVSHMEM_TESTS_TABLES_H

#include "tests/unit/unit.h"

#include <sys/mman.h>

#include "common/layout.h"
#include "server/channels.h"
#include "server/rebalance.h"

enum { TABLES_REGION = 4 << 20, TABLES_PEERS = 8, TABLES_CHANNELS = 32, TABLES_VECTORS = 4 };

/**
 * struct tables - a daemon's channels, and what is around them
 * @region:   the shared memory
 * @state:    the records
 * @channels: what is tested
 * @setup:    what it is made of
 * @rung:     how often each peer was rung, by peer
 * @vector:   the vector that was rung last, by peer
 * @number:   of the request that each made last
 * @now:      the time
 */
struct tables {
    uint8_t *region;
    struct channel_state *state;
    struct channels *channels;
    struct channels_setup setup;
    unsigned rung[TABLES_PEERS], vector[TABLES_PEERS];
    uint32_t number[TABLES_PEERS];
    int64_t now;
};

static inline void *tables_map(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(memory != MAP_FAILED);
    return memory;
}

static inline void tables_ring(void *context, unsigned peer, unsigned vector)
{
    struct tables *tables = context;

    assert_in_range(peer, 0, TABLES_PEERS - 1);
    assert_in_range(vector, 0, TABLES_VECTORS - 1);
    tables->rung[peer]++;
    tables->vector[peer] = vector;
}

static inline void tables_setup(struct tables *tables)
{
    *tables = (struct tables){.now = 1000};
    tables->region = tables_map(TABLES_REGION);
    tables->state = tables_map(sizeof(struct channel_state));
    tables->setup = (struct channels_setup){
        .region = tables->region,
        .region_size = TABLES_REGION,
        .state = tables->state,
        .n_mailboxes = TABLES_PEERS,
        .n_channels = TABLES_CHANNELS,
        .instance = 4711,
        .options = channels_defaults,
        .ring = tables_ring,
        .context = tables,
    };
}

/** tables_start() - a new daemon; everything is given back by tables_end() */
static inline void tables_start(struct tables *tables)
{
    struct failure failure;

    tables_setup(tables);
    assert_int_equal(0, channels_new(&tables->setup, &tables->channels, &failure));
    channels_start(tables->channels, tables->now);
}

static inline void tables_end(struct tables *tables)
{
    channels_free(tables->channels);
    munmap(tables->region, TABLES_REGION);
    munmap(tables->state, sizeof(struct channel_state));
}

/** tables_restart() - another process carries on; options are what they were */
static inline void tables_restart(struct tables *tables)
{
    struct failure failure = {.text = ""};
    int r;

    if (tables->channels)
        tables->setup.options = tables->channels->setup.options;
    channels_free(tables->channels);
    r = channels_restore(&tables->setup, &tables->channels, &failure);
    assert_string_equal("", failure.text);
    assert_int_equal(0, r);
    channels_start(tables->channels, tables->now);
}

static inline struct layout_mailbox *tables_mailbox(const struct tables *tables, unsigned peer)
{
    return (struct layout_mailbox *)(tables->region + sizeof(struct layout_header)) + peer;
}

static inline struct layout_channel *tables_channel(const struct tables *tables, unsigned channel)
{
    return (struct layout_channel *)(tables->region + layout_channel_offset(TABLES_PEERS)) +
           channel;
}

/** tables_entry() - what a channel is, as anybody reads it */
static inline struct layout_entry tables_entry(const struct tables *tables, unsigned channel)
{
    struct layout_entry entry;

    assert_int_equal(
        1, layout_snapshot(&entry, &tables_channel(tables, channel)->entry, sizeof(entry)));
    return entry;
}

static inline struct layout_peer tables_peer(const struct tables *tables, unsigned peer)
{
    struct layout_peer block;

    assert_int_equal(1,
                     layout_snapshot(&block, &tables_mailbox(tables, peer)->peer, sizeof(block)));
    return block;
}

/** tables_write() - write a request; its number is filled in */
static inline void tables_write(struct tables *tables, unsigned peer, struct layout_request request)
{
    request.number = ++tables->number[peer];
    tables_mailbox(tables, peer)->request = request;
}

/** tables_ring_daemon() - a peer's doorbell is taken */
static inline void tables_ring_daemon(struct tables *tables, unsigned peer)
{
    channels_hear(tables->channels, peer);
    channels_rung(tables->channels, peer, tables->now);
}

/** tables_ask() - make a request. Return: the status of the answer. */
static inline unsigned tables_ask(struct tables *tables, unsigned peer,
                                  struct layout_request request)
{
    const struct layout_reply *reply = &tables_mailbox(tables, peer)->reply;

    tables_write(tables, peer, request);
    tables_ring_daemon(tables, peer);
    assert_int_equal(tables->number[peer], reply->number);
    assert_memory_equal(&tables_mailbox(tables, peer)->request, &reply->request,
                        sizeof(reply->request));
    return reply->status;
}

#define ASK(tables, peer, ...)                                                                     \
    tables_ask(tables, peer, (struct layout_request){.operation = __VA_ARGS__})

static inline void tables_join(struct tables *tables, unsigned peer)
{
    channels_joined(tables->channels, peer, 100 + peer, 1000, TABLES_VECTORS);
    tables->number[peer] = 0;
}

static inline void tables_join_and_speak(struct tables *tables, unsigned peer)
{
    tables_join(tables, peer);
    assert_int_equal(LAYOUT_OK, ASK(tables, peer, LAYOUT_HELLO, .vector = 1));
}

/** tables_connect() - an offer. Return: its channel. */
static inline unsigned tables_connect(struct tables *tables, unsigned from, unsigned to,
                                      uint32_t port, uint64_t size, uint64_t reverse)
{
    assert_int_equal(LAYOUT_OK, ASK(tables, from, LAYOUT_CONNECT, .peer = to, .port = port,
                                    .size = size, .reverse_size = reverse));
    return tables_mailbox(tables, from)->reply.channel;
}

/** tables_open() - a connection that was accepted. Return: its channel. */
static inline unsigned tables_open(struct tables *tables, unsigned from, unsigned to, uint32_t port,
                                   uint64_t size, uint64_t reverse)
{
    unsigned channel = tables_connect(tables, from, to, port, size, reverse);

    assert_int_equal(LAYOUT_OK, ASK(tables, to, LAYOUT_ACCEPT, .channel = channel));
    return channel;
}

static inline uint64_t tables_free_bytes(const struct tables *tables)
{
    return tables->channels->extents.free_bytes;
}

#endif
