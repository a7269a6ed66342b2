/* SPDX-License-Identifier: MIT
 *
 * The tables of channels in any order: whatever peers ask, come, go and restarts happen, they are
 * as a simple model says, and so is what is published.
 */
#include "tests/unit/tables.h"

#include <errno.h>

enum { PORTS = 3, TURNS = 10000, TURNS_LONG = 300000, BOTH = CHANNEL_CONNECTOR | CHANNEL_LISTENER };

/** struct model_ring - one ring of a connection */
struct model_ring {
    unsigned channel;
    uint64_t size, next;
    unsigned moved;
    uint32_t generation;
};

/** struct model_connection - a connection; not there while it has no rings */
struct model_connection {
    unsigned n_rings;
    struct model_ring rings[2];
    unsigned state, status, peers[2], sides;
    uint32_t port;
    int64_t deadline;
};

/** struct model_peer - a peer */
struct model_peer {
    bool present, speaks, listens[PORTS + 1];
};

static struct tables tables;
static struct model_peer peers[TABLES_PEERS];
static struct model_connection connections[TABLES_CHANNELS]; /* by their first channel */
static uint64_t seed;

static int set_up(void **state)
{
    (void)state;
    tables_start(&tables);
    tables.channels->setup.options.peer_channels = 12;
    tables.channels->setup.options.grow_max = 0;
    memset(peers, 0, sizeof(peers));
    memset(connections, 0, sizeof(connections));
    seed = random_start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tables_end(&tables);
    return 0;
}

static uint64_t bytes_of(const struct model_connection *connection)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < connection->n_rings; i++)
        bytes += connection->rings[i].size + connection->rings[i].next;
    return bytes;
}

static void usage_of(unsigned peer, uint32_t *count, uint64_t *bytes)
{
    *count = 0;
    *bytes = 0;
    for (unsigned i = 0; i < TABLES_CHANNELS; i++) {
        const struct model_connection *connection = &connections[i];

        for (unsigned side = 0; connection->n_rings && side < 2; side++) {
            if (connection->peers[side] != peer || !(connection->sides & 1U << side) ||
                (side == 1 && connection->state == LAYOUT_OFFERED))
                continue;
            *count += connection->n_rings;
            *bytes += bytes_of(connection);
        }
    }
}

static bool over_quota(unsigned peer, uint32_t more, uint64_t more_bytes)
{
    uint32_t count;
    uint64_t bytes;

    usage_of(peer, &count, &bytes);
    return count + more > channels_peer_channels(tables.channels) ||
           bytes + more_bytes > channels_peer_bytes(tables.channels);
}

static void check_ring(const struct model_connection *connection, unsigned which, uint8_t *blocks)
{
    const struct model_ring *ring = &connection->rings[which];
    struct layout_entry entry = tables_entry(&tables, ring->channel);
    const uint64_t places[2][2] = {{entry.buff_offset, entry.buff_size},
                                   {entry.next_offset, entry.next_size}};

    assert_int_equal(connection->state, entry.state);
    assert_int_equal(connection->status, entry.status);
    assert_int_equal(connection->peers[which], entry.sender_vm);
    assert_int_equal(connection->peers[!which], entry.receiver_vm);
    assert_int_equal(connection->port, entry.port);
    assert_int_equal(connection->rings[0].channel, entry.first);
    assert_int_equal(connection->n_rings == 2 ? connection->rings[!which].channel
                                              : LAYOUT_CHANNEL_NONE,
                     entry.pair);
    assert_int_equal(ring->size, entry.buff_size);
    assert_int_equal(ring->next, entry.next_size);
    assert_int_equal(ring->next != 0, entry.moving);
    assert_int_equal(ring->generation, entry.ring_generation);
    for (unsigned i = 0; i < 2; i++)
        for (uint64_t at = places[i][0]; at < places[i][0] + places[i][1]; at += LAYOUT_BLOCK) {
            assert_in_range(at, layout_data_offset(TABLES_PEERS, TABLES_CHANNELS),
                            TABLES_REGION - LAYOUT_BLOCK);
            assert_int_equal(0, blocks[at / LAYOUT_BLOCK]++);
        }
}

static void check(void)
{
    const struct layout_header *header = (struct layout_header *)tables.region;
    uint8_t blocks[TABLES_REGION / LAYOUT_BLOCK] = {0};
    uint64_t taken = 0;
    unsigned active = 0;

    for (unsigned i = 0; i < TABLES_CHANNELS; i++) {
        for (unsigned which = 0; which < connections[i].n_rings; which++)
            check_ring(&connections[i], which, blocks);
        active += connections[i].n_rings;
        taken += bytes_of(&connections[i]);
    }
    assert_int_equal(active, tables.channels->n_used);
    assert_int_equal(active, header->num_active_channel);
    assert_int_equal(TABLES_REGION - layout_data_offset(TABLES_PEERS, TABLES_CHANNELS) - taken,
                     header->free_bytes);
    for (unsigned i = 0; i < TABLES_CHANNELS; i++)
        active -= tables_entry(&tables, i).state != LAYOUT_FREE;
    assert_int_equal(0, active);
    for (unsigned peer = 0; peer < TABLES_PEERS; peer++) {
        uint32_t count;
        uint64_t bytes;

        usage_of(peer, &count, &bytes);
        assert_int_equal(count, tables.channels->usage[peer].channels);
        assert_int_equal(bytes, tables.channels->usage[peer].bytes);
        assert_int_equal(peers[peer].present, tables_peer(&tables, peer).present);
        assert_int_equal(peers[peer].speaks, tables_peer(&tables, peer).speaks);
    }
}

/* Sides of a connection are there no more. */
static void model_end(struct model_connection *connection, unsigned leaving, unsigned status)
{
    connection->sides &= ~leaving;
    if (connection->state == LAYOUT_OFFERED)
        connection->sides &= CHANNEL_CONNECTOR;
    if (connection->state != LAYOUT_CLOSED)
        connection->status = status;
    connection->state = LAYOUT_CLOSED;
    if (!connection->sides)
        connection->n_rings = 0;
}

static unsigned sides_of(const struct model_connection *connection, unsigned peer)
{
    return ((connection->peers[0] == peer ? CHANNEL_CONNECTOR : 0) |
            (connection->peers[1] == peer ? CHANNEL_LISTENER : 0)) &
           (connection->n_rings ? connection->sides : 0);
}

static void model_drop(unsigned peer)
{
    for (unsigned i = 0; i < TABLES_CHANNELS; i++)
        if (sides_of(&connections[i], peer))
            model_end(&connections[i], sides_of(&connections[i], peer), LAYOUT_PEER_GONE);
    memset(peers[peer].listens, 0, sizeof(peers[peer].listens));
}

/* The connection with this channel; an empty one if there is none. */
static struct model_connection *find(unsigned channel, unsigned *which)
{
    static struct model_connection none;

    none = (struct model_connection){.n_rings = 0};
    for (unsigned i = 0; i < TABLES_CHANNELS; i++)
        for (*which = 0; *which < connections[i].n_rings; ++*which)
            if (connections[i].rings[*which].channel == channel)
                return &connections[i];
    *which = 0;
    return &none;
}

static void come_or_go(unsigned peer)
{
    if (!peers[peer].present) {
        tables_join(&tables, peer);
        peers[peer].present = true;
    } else if (random_below(&seed, 4) == 0) {
        channels_left(tables.channels, peer);
        model_drop(peer);
        peers[peer].present = peers[peer].speaks = false;
    } else if (!peers[peer].speaks || random_below(&seed, 3) == 0) {
        assert_int_equal(LAYOUT_OK, ASK(&tables, peer, LAYOUT_HELLO, .vector = peer % 4));
        model_drop(peer);
        peers[peer].speaks = true;
    }
}

static void listen_or_not(unsigned peer)
{
    uint32_t port = 1 + random_below(&seed, PORTS);
    bool *listens = &peers[peer].listens[port];

    if (random_below(&seed, 5)) {
        assert_int_equal(*listens ? LAYOUT_PORT_IN_USE : LAYOUT_OK,
                         ASK(&tables, peer, LAYOUT_LISTEN, .port = port));
        *listens = true;
        return;
    }
    assert_int_equal(*listens ? LAYOUT_OK : LAYOUT_NO_LISTENER,
                     ASK(&tables, peer, LAYOUT_UNLISTEN, .port = port));
    for (unsigned i = 0; *listens && i < TABLES_CHANNELS; i++)
        if (connections[i].n_rings && connections[i].state == LAYOUT_OFFERED &&
            connections[i].peers[1] == peer && connections[i].port == port)
            model_end(&connections[i], CHANNEL_LISTENER, LAYOUT_REFUSED);
    *listens = false;
}

static void connect_somewhere(unsigned peer)
{
    const unsigned to = random_below(&seed, TABLES_PEERS + 1);
    const uint32_t port = 1 + random_below(&seed, PORTS);
    const uint64_t size = (1 + random_below(&seed, 60)) * UINT64_C(4096);
    const uint64_t reverse =
        random_below(&seed, 2) * (1 + random_below(&seed, 60)) * UINT64_C(4096);
    const uint32_t count = reverse ? 2 : 1;
    const uint64_t largest = extents_largest(&tables.channels->extents);
    unsigned used = tables.channels->n_used, expected = LAYOUT_OK, status, channel;

    if (to == TABLES_PEERS || !peers[to].present)
        expected = LAYOUT_NO_PEER;
    else if (!peers[to].listens[port])
        expected = LAYOUT_NO_LISTENER;
    else if (over_quota(peer, count, size + reverse) || over_quota(to, count, size + reverse))
        expected = LAYOUT_OVER_QUOTA;
    else if (used + count > TABLES_CHANNELS)
        expected = LAYOUT_NO_ENTRY;
    status = ASK(&tables, peer, LAYOUT_CONNECT, .peer = to, .port = port, .size = size - 7,
                 .reverse_size = reverse ? reverse - 7 : 0);
    if (expected == LAYOUT_OK && status == LAYOUT_NO_SPACE) {
        assert_true(largest < size + reverse);
        return;
    }
    assert_int_equal(expected, status);
    channel = tables_mailbox(&tables, peer)->reply.channel;
    if (status != LAYOUT_OK) {
        assert_int_equal(LAYOUT_CHANNEL_NONE, channel);
        return;
    }
    connections[channel] = (struct model_connection){
        .n_rings = count,
        .rings = {{.channel = channel, .size = size},
                  {.channel = tables_entry(&tables, channel).pair, .size = reverse}},
        .state = LAYOUT_OFFERED,
        .peers = {peer, to},
        .sides = BOTH,
        .port = port,
        .deadline = tables.now + channels_defaults.offer_ms,
    };
}

static void answer_or_close(unsigned peer)
{
    unsigned which, channel = random_below(&seed, TABLES_CHANNELS + 1);
    unsigned operation = LAYOUT_ACCEPT + random_below(&seed, 3), expected = LAYOUT_NO_CHANNEL;
    struct model_connection *connection = find(channel, &which);
    unsigned sides = sides_of(connection, peer);
    const bool offered = connection->state == LAYOUT_OFFERED;

    if (operation == LAYOUT_CLOSE && sides) {
        expected = LAYOUT_OK;
    } else if (offered && sides & CHANNEL_LISTENER) {
        expected = LAYOUT_OK;
        if (operation == LAYOUT_ACCEPT &&
            over_quota(peer, connection->n_rings, bytes_of(connection)))
            expected = LAYOUT_OVER_QUOTA;
    }
    assert_int_equal(expected, ASK(&tables, peer, operation, .channel = channel));
    if (expected != LAYOUT_OK)
        return;
    if (operation == LAYOUT_ACCEPT)
        connection->state = LAYOUT_OPEN;
    else if (operation == LAYOUT_REFUSE || (offered && !(sides & CHANNEL_CONNECTOR)))
        model_end(connection, CHANNEL_LISTENER, LAYOUT_REFUSED);
    else
        model_end(connection, sides & CHANNEL_CONNECTOR ? CHANNEL_CONNECTOR : CHANNEL_LISTENER,
                  LAYOUT_PEER_CLOSED);
}

static void resize(void)
{
    unsigned which, channel = random_below(&seed, TABLES_CHANNELS);
    struct model_connection *connection = find(channel, &which);
    uint64_t size = (1 + random_below(&seed, 60)) * UINT64_C(4096);
    int r = channels_resize(tables.channels, channel, size - 5);

    if (!connection->n_rings || connection->state != LAYOUT_OPEN) {
        assert_int_equal(-ENOENT, r);
    } else if (connection->rings[which].next) {
        assert_int_equal(-EBUSY, r);
    } else if (over_quota(connection->peers[0], 0, size) ||
               over_quota(connection->peers[1], 0, size)) {
        assert_int_equal(-EDQUOT, r);
    } else if (r == 0) {
        connection->rings[which].next = size;
        connection->rings[which].moved = 0;
    } else if (r == -EDQUOT) { /* twice, for who has both ends */
        assert_true(connection->peers[0] == connection->peers[1]);
    } else {
        assert_int_equal(-ENOSPC, r);
        assert_true(extents_largest(&tables.channels->extents) < size);
    }
}

/* Bits of ends: the sender of the first ring connected, that of the second listens. */
static unsigned ends_of(unsigned sides, unsigned which)
{
    return which == 0 ? sides : (sides >> 1 | sides << 1) & BOTH;
}

static void leave_ring(unsigned peer)
{
    unsigned which, channel = random_below(&seed, TABLES_CHANNELS);
    struct model_connection *connection = find(channel, &which);
    struct model_ring *ring = &connection->rings[which];
    unsigned mine = ends_of(sides_of(connection, peer), which);
    unsigned expected =
        mine && ring->next && connection->state != LAYOUT_OFFERED ? LAYOUT_OK : LAYOUT_NO_CHANNEL;

    assert_int_equal(expected, ASK(&tables, peer, LAYOUT_MOVED, .channel = channel,
                                   .generation = ring->generation + 1));
    if (expected != LAYOUT_OK)
        return;
    ring->moved |= mine & CHANNEL_SENDER & ~ring->moved ? CHANNEL_SENDER : mine;
    if (ends_of(connection->sides, which) & ~ring->moved)
        return;
    ring->size = ring->next;
    ring->next = 0;
    ring->generation++;
}

static void time_passes(void)
{
    tables.now += random_below(&seed, 800);
    channels_tick(tables.channels, tables.now);
    for (unsigned i = 0; i < TABLES_CHANNELS; i++)
        if (connections[i].n_rings && connections[i].state == LAYOUT_OFFERED &&
            connections[i].deadline <= tables.now && tables.channels->n_present)
            model_end(&connections[i], CHANNEL_LISTENER, LAYOUT_TIMED_OUT);
}

static void one_turn(void)
{
    unsigned peer = random_below(&seed, TABLES_PEERS), what = random_below(&seed, 64);

    if (what == 0)
        tables_restart(&tables);
    else if (what == 1)
        time_passes();
    else if (what == 2 || !peers[peer].speaks)
        come_or_go(peer);
    else if (what < 12)
        listen_or_not(peer);
    else if (what < 26)
        connect_somewhere(peer);
    else if (what < 44)
        answer_or_close(peer);
    else if (what < 50)
        resize();
    else
        leave_ring(peer);
}

static void as_the_model_says(void **state)
{
    const int turns = getenv("IVSHMEM_TEST_LONG") ? TURNS_LONG : TURNS;

    (void)state;
    for (int turn = 0; turn < turns; turn++) {
        one_turn();
        check();
    }
    for (unsigned peer = 0; peer < TABLES_PEERS; peer++)
        channels_left(tables.channels, peer);
    assert_int_equal(0, tables.channels->n_used);
    assert_int_equal(1, tables.channels->extents.count);
    assert_int_equal(TABLES_REGION - layout_data_offset(TABLES_PEERS, TABLES_CHANNELS),
                     tables_free_bytes(&tables));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_the_model_says, set_up, tear_down),
    };

    log_set_level(LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
