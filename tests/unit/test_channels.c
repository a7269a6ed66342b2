/* SPDX-License-Identifier: MIT
 *
 * The tables of channels, one rule at a time. test_channels_model.c has them in any order.
 */
#include "tests/unit/tables.h"

static struct tables tables;

static int set_up(void **state)
{
    (void)state;
    tables_start(&tables);
    for (unsigned peer = 1; peer <= 3; peer++)
        tables_join_and_speak(&tables, peer);
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_LISTEN, .port = 9));
    memset(tables.rung, 0, sizeof(tables.rung));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tables_end(&tables);
    return 0;
}

static unsigned state_of(unsigned channel)
{
    return tables_entry(&tables, channel).state;
}

static unsigned status_of(unsigned channel)
{
    return tables_entry(&tables, channel).status;
}

static void nothing_before_hello(void **state)
{
    (void)state;
    tables_join(&tables, 5);
    for (unsigned operation = 0; operation < 20; operation++)
        if (operation != LAYOUT_HELLO)
            assert_int_equal(LAYOUT_BAD_REQUEST,
                             ASK(&tables, 5, operation, .port = 9, .peer = 2, .size = 1));
    assert_int_equal(LAYOUT_BAD_REQUEST, ASK(&tables, 5, LAYOUT_HELLO, .vector = TABLES_VECTORS));
    assert_int_equal(LAYOUT_BAD_REQUEST, ASK(&tables, 5, LAYOUT_HELLO, .vector = UINT32_MAX));
    assert_int_equal(0, tables.rung[5]);
    assert_int_equal(LAYOUT_OK, ASK(&tables, 5, LAYOUT_HELLO, .vector = 3));
    assert_int_equal(1, tables.rung[5]);
    assert_int_equal(3, tables.vector[5]);
    assert_int_equal(1, tables_peer(&tables, 5).speaks);
    assert_int_equal(105, tables_peer(&tables, 5).pid);
}

static void connect_accept_close(void **state)
{
    uint64_t before = tables_free_bytes(&tables);
    uint32_t events = tables_peer(&tables, 2).events;
    unsigned channel = tables_connect(&tables, 1, 2, 9, 5000, 1);
    struct layout_entry there = tables_entry(&tables, channel);
    struct layout_entry back = tables_entry(&tables, there.pair);

    (void)state;
    assert_int_equal(events + 1, tables_peer(&tables, 2).events);
    assert_int_equal(1, tables.rung[1]);
    assert_int_equal(1, tables.rung[2]);
    assert_int_equal(LAYOUT_OFFERED, there.state);
    assert_int_equal(1, there.sender_vm);
    assert_int_equal(2, there.receiver_vm);
    assert_int_equal(8192, there.buff_size);
    assert_int_equal(4096, back.buff_size);
    assert_int_equal(2, back.sender_vm);
    assert_int_equal(channel, there.first);
    assert_int_equal(channel, back.first);
    assert_int_equal(channel, back.pair);
    assert_int_equal(before - 12288, tables_free_bytes(&tables));
    assert_int_equal(LAYOUT_NO_CHANNEL, ASK(&tables, 1, LAYOUT_ACCEPT, .channel = channel));
    assert_int_equal(LAYOUT_NO_CHANNEL, ASK(&tables, 3, LAYOUT_ACCEPT, .channel = channel));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_ACCEPT, .channel = there.pair));
    assert_int_equal(LAYOUT_OPEN, state_of(channel));
    assert_int_equal(LAYOUT_OPEN, state_of(there.pair));
    assert_int_equal(LAYOUT_NO_CHANNEL, ASK(&tables, 2, LAYOUT_ACCEPT, .channel = channel));
    assert_int_equal(LAYOUT_NO_CHANNEL, ASK(&tables, 3, LAYOUT_CLOSE, .channel = channel));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_CLOSE, .channel = channel));
    assert_int_equal(LAYOUT_CLOSED, state_of(there.pair));
    assert_int_equal(LAYOUT_PEER_CLOSED, status_of(channel));
    assert_int_equal(before - 12288, tables_free_bytes(&tables));
    assert_int_equal(LAYOUT_NO_CHANNEL, ASK(&tables, 1, LAYOUT_CLOSE, .channel = channel));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_CLOSE, .channel = channel));
    assert_int_equal(LAYOUT_FREE, state_of(channel));
    assert_int_equal(LAYOUT_FREE, state_of(there.pair));
    assert_int_equal(before, tables_free_bytes(&tables));
}

static void lines_and_ring_are_cleared(void **state)
{
    unsigned channel = tables_open(&tables, 1, 2, 9, 4096, 0);
    struct layout_entry entry = tables_entry(&tables, channel);

    (void)state;
    memset(&tables_channel(&tables, channel)->sender, 0xff, sizeof(struct layout_sender));
    memset(&tables_channel(&tables, channel)->receiver, 0xff, sizeof(struct layout_receiver));
    memset(tables.region + entry.buff_offset, 0xff, entry.buff_size);
    ASK(&tables, 1, LAYOUT_CLOSE, .channel = channel);
    ASK(&tables, 2, LAYOUT_CLOSE, .channel = channel);
    assert_int_equal(channel, tables_connect(&tables, 1, 2, 9, 4096, 0));
    assert_true(tables_entry(&tables, channel).serial > entry.serial);
    assert_int_equal(0, *(uint64_t *)(tables.region + entry.buff_offset));
    assert_int_equal(0, tables_channel(&tables, channel)->sender.tail);
    assert_int_equal(0, tables_channel(&tables, channel)->receiver.rang);
}

static void refused_timed_out_withdrawn(void **state)
{
    unsigned refused = tables_connect(&tables, 1, 2, 9, 4096, 0);
    unsigned late = tables_connect(&tables, 1, 2, 9, 4096, 4096);
    unsigned withdrawn = tables_connect(&tables, 3, 2, 9, 4096, 0);
    uint32_t events = tables_peer(&tables, 2).events;

    (void)state;
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_REFUSE, .channel = refused));
    assert_int_equal(LAYOUT_REFUSED, status_of(refused));
    assert_int_equal(LAYOUT_NO_CHANNEL, ASK(&tables, 2, LAYOUT_CLOSE, .channel = refused));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 3, LAYOUT_CLOSE, .channel = withdrawn));
    assert_int_equal(LAYOUT_FREE, state_of(withdrawn));
    assert_int_equal(events + 1, tables_peer(&tables, 2).events);
    tables.now += 9999;
    channels_tick(tables.channels, tables.now);
    assert_int_equal(LAYOUT_OFFERED, state_of(late));
    assert_int_equal(tables.now + 1, channels_deadline(tables.channels));
    tables.now++;
    channels_tick(tables.channels, tables.now);
    assert_int_equal(LAYOUT_TIMED_OUT, status_of(late));
    assert_int_equal(LAYOUT_NO_CHANNEL, ASK(&tables, 2, LAYOUT_ACCEPT, .channel = late));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_CLOSE, .channel = late));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_CLOSE, .channel = refused));
    assert_int_equal(0, tables.channels->n_used);
}

static void unlisten_refuses_offers(void **state)
{
    unsigned offers[3], other;

    (void)state;
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_LISTEN, .port = 10));
    assert_int_equal(LAYOUT_PORT_IN_USE, ASK(&tables, 2, LAYOUT_LISTEN, .port = 10));
    for (int i = 0; i < 3; i++)
        offers[i] = tables_connect(&tables, i == 1 ? 2 : 3, 2, 9, 4096, i == 2 ? 4096 : 0);
    other = tables_connect(&tables, 1, 2, 10, 4096, 0);
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_UNLISTEN, .port = 9));
    for (int i = 0; i < 3; i++)
        assert_int_equal(LAYOUT_REFUSED, status_of(offers[i]));
    assert_int_equal(LAYOUT_OFFERED, state_of(other));
    assert_int_equal(LAYOUT_NO_LISTENER, ASK(&tables, 2, LAYOUT_UNLISTEN, .port = 9));
    assert_int_equal(LAYOUT_NO_LISTENER,
                     ASK(&tables, 1, LAYOUT_CONNECT, .peer = 2, .port = 9, .size = 1));
}

static void values_that_cannot_be(void **state)
{
    (void)state;
    assert_int_equal(LAYOUT_BAD_REQUEST, ASK(&tables, 1, LAYOUT_LISTEN, .port = 0));
    assert_int_equal(LAYOUT_BAD_REQUEST, ASK(&tables, 1, LAYOUT_UNLISTEN, .port = 0));
#define CONNECT(...) ASK(&tables, 1, LAYOUT_CONNECT, __VA_ARGS__)
    assert_int_equal(LAYOUT_BAD_REQUEST, CONNECT(.peer = 2, .port = 9));
    assert_int_equal(LAYOUT_BAD_REQUEST, CONNECT(.peer = 2, .size = 1));
    assert_int_equal(LAYOUT_BAD_REQUEST, CONNECT(.peer = 2, .port = 9, .size = UINT64_MAX));
    assert_int_equal(LAYOUT_BAD_REQUEST,
                     CONNECT(.peer = 2, .port = 9, .size = LAYOUT_RING_MAX + 1));
    assert_int_equal(LAYOUT_BAD_REQUEST,
                     CONNECT(.peer = 2, .port = 9, .size = 1, .reverse_size = UINT64_MAX - 4095));
    assert_int_equal(LAYOUT_BAD_REQUEST, CONNECT(.peer = 2, .port = 9, .size = 1, .flags = 2));
    assert_int_equal(LAYOUT_NO_PEER, CONNECT(.peer = TABLES_PEERS, .port = 9, .size = 1));
    assert_int_equal(LAYOUT_NO_PEER, CONNECT(.peer = UINT32_MAX, .port = 9, .size = 1));
    assert_int_equal(LAYOUT_NO_PEER, CONNECT(.peer = 7, .port = 9, .size = 1));
    assert_int_equal(LAYOUT_NO_LISTENER, CONNECT(.peer = 3, .port = 9, .size = 1));
    assert_int_equal(LAYOUT_OVER_QUOTA, CONNECT(.peer = 2, .port = 9, .size = LAYOUT_RING_MAX));
#undef CONNECT
    for (unsigned operation = LAYOUT_ACCEPT; operation <= LAYOUT_MOVED; operation++) {
        static const uint32_t channels[] = {0, TABLES_CHANNELS - 1, TABLES_CHANNELS, INT32_MAX,
                                            UINT32_MAX};

        for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++)
            assert_int_equal(LAYOUT_NO_CHANNEL, ASK(&tables, 2, operation, .channel = channels[i]));
    }
    assert_int_equal(0, tables.channels->n_used);
    assert_int_equal(5, tables.state->counters.answers[LAYOUT_NO_CHANNEL] / 4);
}

static void a_number_is_handled_once(void **state)
{
    unsigned channel = tables_connect(&tables, 1, 2, 9, 4096, 0);

    (void)state;
    tables_ring_daemon(&tables, 1);
    tables_mailbox(&tables, 1)->request.size = 8192;
    tables_ring_daemon(&tables, 1);
    assert_int_equal(1, tables.channels->n_used);
    tables_mailbox(&tables, 1)->request.number = 0;
    tables_ring_daemon(&tables, 1);
    assert_int_equal(1, tables.channels->n_used);
    assert_int_equal(4096, tables_entry(&tables, channel).buff_size);
}

static void who_leaves_or_begins_anew(void **state)
{
    unsigned one = tables_open(&tables, 1, 2, 9, 4096, 4096);
    unsigned offer = tables_connect(&tables, 3, 2, 9, 4096, 0);
    uint32_t session = tables_peer(&tables, 2).session;
    uint32_t events = tables_peer(&tables, 1).events;

    (void)state;
    channels_left(tables.channels, 2);
    assert_int_equal(0, tables_peer(&tables, 2).present);
    assert_int_equal(LAYOUT_PEER_GONE, status_of(one));
    assert_int_equal(LAYOUT_PEER_GONE, status_of(offer));
    assert_int_equal(events + 1, tables_peer(&tables, 1).events);
    tables_mailbox(&tables, 2)->request =
        (struct layout_request){.number = 77, .operation = LAYOUT_HELLO};
    tables_join(&tables, 2);
    tables_ring_daemon(&tables, 2); /* what an earlier one wrote is not taken for its own */
    assert_int_equal(0, tables_peer(&tables, 2).speaks);
    assert_int_equal(session + 1, tables_peer(&tables, 2).session);
    tables_join_and_speak(&tables, 2);
    assert_int_equal(LAYOUT_NO_CHANNEL, ASK(&tables, 2, LAYOUT_CLOSE, .channel = one));
    assert_int_equal(LAYOUT_NO_LISTENER,
                     ASK(&tables, 1, LAYOUT_CONNECT, .peer = 2, .port = 9, .size = 1));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_HELLO, .vector = 2));
    assert_int_equal(LAYOUT_FREE, state_of(one));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 3, LAYOUT_HELLO));
    assert_int_equal(0, tables.channels->n_used);
    channels_left(tables.channels, 7);
    channels_left(tables.channels, 1000);
}

static void with_itself(void **state)
{
    unsigned channel = tables_open(&tables, 2, 2, 9, 4096, 4096);

    (void)state;
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_CLOSE, .channel = channel));
    assert_int_equal(LAYOUT_CLOSED, state_of(channel));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_CLOSE, .channel = channel));
    assert_int_equal(LAYOUT_FREE, state_of(channel));
    tables_open(&tables, 2, 2, 9, 4096, 4096);
    channels_left(tables.channels, 2);
    assert_int_equal(0, tables.channels->n_used);
}

/* What others offer counts for them alone; what is accepted counts for both until each closes. */
static void quotas(void **state)
{
    unsigned accepted;

    (void)state;
    tables.channels->setup.options.peer_channels = 4;
    tables.channels->setup.options.peer_bytes = 10 * 4096;
    tables.channels->setup.options.peer_ports = 2;
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_LISTEN, .port = 10));
    assert_int_equal(LAYOUT_OVER_QUOTA, ASK(&tables, 2, LAYOUT_LISTEN, .port = 11));
    accepted = tables_connect(&tables, 1, 2, 9, 4096, 4096);
    tables_connect(&tables, 1, 2, 9, 4096, 0);
    assert_int_equal(LAYOUT_OVER_QUOTA, ASK(&tables, 1, LAYOUT_CONNECT, .peer = 2, .port = 9,
                                            .size = 1, .reverse_size = 1));
    assert_int_equal(LAYOUT_OVER_QUOTA,
                     ASK(&tables, 1, LAYOUT_CONNECT, .peer = 2, .port = 9, .size = 8 * 4096));
    assert_int_equal(0, tables.channels->usage[2].channels);
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_ACCEPT, .channel = accepted));
    assert_int_equal(2, tables.channels->usage[2].channels);
    assert_int_equal(2 * 4096, tables.channels->usage[2].bytes);
    tables_open(&tables, 3, 2, 9, 4096, 4096);
    assert_int_equal(LAYOUT_OVER_QUOTA,
                     ASK(&tables, 3, LAYOUT_CONNECT, .peer = 2, .port = 9, .size = 1));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_CLOSE, .channel = accepted));
    assert_int_equal(2, tables.channels->usage[2].channels);
    assert_int_equal(3, tables.channels->usage[1].channels);
    channels_left(tables.channels, 1);
    assert_int_equal(0, tables.channels->usage[1].channels);
    assert_int_equal(0, tables.channels->usage[1].bytes);
}

static void no_room(void **state)
{
    uint64_t size = tables_free_bytes(&tables) / 2 / 4096 * 4096;

    (void)state;
    tables.channels->setup.options.peer_bytes = UINT64_MAX;
    tables.channels->setup.options.peer_channels = TABLES_CHANNELS;
    assert_int_equal(LAYOUT_NO_SPACE, ASK(&tables, 1, LAYOUT_CONNECT, .peer = 2, .port = 9,
                                          .size = size, .reverse_size = size + 8192));
    assert_int_equal(1, tables.channels->extents.count);
    for (unsigned i = 0; i < TABLES_CHANNELS - 1; i++)
        tables_connect(&tables, 1, 2, 9, 1, 0);
    assert_int_equal(LAYOUT_NO_ENTRY, ASK(&tables, 3, LAYOUT_CONNECT, .peer = 2, .port = 9,
                                          .size = 1, .reverse_size = 1));
    tables_connect(&tables, 3, 2, 9, 1, 0);
    assert_int_equal(LAYOUT_NO_ENTRY,
                     ASK(&tables, 3, LAYOUT_CONNECT, .peer = 2, .port = 9, .size = 1));
    assert_int_equal(TABLES_CHANNELS, ((struct layout_header *)tables.region)->num_active_channel);
}

/* Idle is a connection in which neither ring was used. */
static void idle(void **state)
{
    unsigned channel, pair;

    (void)state;
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_CONNECT, .peer = 2, .port = 9, .size = 1,
                                    .reverse_size = 1, .idle_ms = 3000));
    channel = tables_mailbox(&tables, 1)->reply.channel;
    pair = tables_entry(&tables, channel).pair;
    tables.now += 5000;
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_ACCEPT, .channel = channel));
    for (int i = 0; i < 20; i++) {
        tables_channel(&tables, i % 2 ? channel : pair)->sender.bytes++;
        tables.now += 1000;
        channels_tick(tables.channels, tables.now);
        assert_int_equal(LAYOUT_OPEN, state_of(channel));
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(LAYOUT_OPEN, state_of(channel));
        tables.now += 1000;
        channels_tick(tables.channels, tables.now);
    }
    assert_int_equal(LAYOUT_IDLE, status_of(channel));
    assert_int_equal(LAYOUT_CLOSED, state_of(pair));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_CLOSE, .channel = channel));
    assert_int_equal(LAYOUT_IDLE, status_of(channel));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_CLOSE, .channel = pair));
    assert_int_equal(0, tables.channels->n_used);
}

static void no_timer_while_nobody_is_there(void **state)
{
    (void)state;
    assert_int_equal(2000, channels_deadline(tables.channels));
    for (unsigned peer = 1; peer <= 3; peer++)
        channels_left(tables.channels, peer);
    assert_int_equal(-1, channels_deadline(tables.channels));
}

/* Each ring is listed once, in order of its number. */
static void status(void **state)
{
    struct channels_status status = {.channel = UINT32_MAX};
    struct channels_totals totals;
    unsigned count = 0, channel = tables_open(&tables, 1, 2, 9, 8192, 4096);

    (void)state;
    tables_channel(&tables, channel)->sender.bytes = 17;
    tables_channel(&tables, channel)->sender.messages = 2;
    tables_channel(&tables, channel)->sender.head_touch = 3;
    for (; channels_status(tables.channels, status.channel + 1, &status); count++)
        assert_int_equal(channel, status.first);
    assert_int_equal(2, count);
    assert_true(channels_status(tables.channels, channel, &status));
    assert_int_equal(17, status.bytes);
    assert_int_equal(2, status.messages);
    assert_int_equal(3, status.full);
    assert_int_equal(8192, status.size);
    assert_string_equal("open", channels_state_name(status.state));
    assert_string_equal("no-space", channels_status_name(LAYOUT_NO_SPACE));
    channels_totals(tables.channels, &totals);
    assert_int_equal(2, totals.active);
    assert_int_equal(3, totals.speaking);
    assert_int_equal(totals.data_bytes - 12288, totals.free_bytes);
    assert_int_equal(1, totals.counters.opened);
}

/* A ring that was heard, and one whose change was not put in its place, when the process died. */
static void carries_on(void **state)
{
    unsigned channel = tables_open(&tables, 1, 2, 9, 4096, 0), offer;
    struct layout_entry before = tables_entry(&tables, channel);
    struct channel_state *records = tables.state;

    (void)state;
    tables_channel(&tables, channel)->sender.tail = 1234;
    memset(&tables_channel(&tables, channel)->entry, 0xee, sizeof(struct layout_entry));
    tables_write(
        &tables, 1,
        (struct layout_request){.operation = LAYOUT_CONNECT, .peer = 2, .port = 9, .size = 1});
    channels_hear(tables.channels, 1);
    memset(tables.rung, 0, sizeof(tables.rung));
    tables_restart(&tables);
    assert_int_equal(2, tables.channels->n_used);
    assert_int_equal(2, tables.rung[1]);
    assert_int_equal(2, tables.rung[2]);
    assert_int_equal(1, tables.rung[3]);
    assert_int_equal(1234, tables_channel(&tables, channel)->sender.tail);
    assert_int_equal(before.serial, tables_entry(&tables, channel).serial);
    assert_true(tables_entry(&tables, channel).generation > before.generation);
    offer = tables_mailbox(&tables, 1)->reply.channel;
    tables_restart(&tables);
    assert_int_equal(2, tables.channels->n_used);
    channel_state_draft_ring(records, offer)->entry.state = LAYOUT_OPEN;
    channel_state_draft_ring(records, offer)->deadline = 0;
    channel_state_draft_peer(records, 1)->peer.events = 999;
    tables_restart(&tables); /* not committed: it never was */
    assert_int_equal(LAYOUT_OFFERED, state_of(offer));
    channel_state_draft_ring(records, offer)->entry.state = LAYOUT_OPEN;
    channel_state_draft_ring(records, offer)->deadline = 0;
    channel_state_draft_peer(records, 1)->peer.events = 999;
    records->journal.committed = 1;
    tables_restart(&tables);
    assert_int_equal(LAYOUT_OPEN, state_of(offer));
    assert_int_equal(999, tables_peer(&tables, 1).events);
    assert_int_equal(1, tables.channels->usage[2].first != UINT32_MAX);
    assert_int_equal(2, tables.channels->usage[2].channels);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(nothing_before_hello),
        STORY(connect_accept_close),
        STORY(lines_and_ring_are_cleared),
        STORY(refused_timed_out_withdrawn),
        STORY(unlisten_refuses_offers),
        STORY(values_that_cannot_be),
        STORY(a_number_is_handled_once),
        STORY(who_leaves_or_begins_anew),
        STORY(with_itself),
        STORY(quotas),
        STORY(no_room),
        STORY(idle),
        STORY(no_timer_while_nobody_is_there),
        STORY(status),
        STORY(carries_on),
    };

    log_set_level(LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
