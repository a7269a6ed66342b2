/* SPDX-License-Identifier: MIT
 *
 * The published section: what it says, and that whatever others write there is put back, while what
 * is theirs is left alone.
 */
#include "tests/unit/tables.h"

#include "server/section.h"

static struct tables tables;

static int set_up(void **state)
{
    (void)state;
    tables_start(&tables);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tables_end(&tables);
    return 0;
}

static void header_says_what_is_where(void **state)
{
    const struct layout_header *header = (struct layout_header *)tables.region;

    (void)state;
    assert_true(header->magic == LAYOUT_MAGIC);
    assert_memory_equal("ivchannl", &header->magic, 8);
    assert_int_equal(LAYOUT_VERSION, header->version);
    assert_int_equal(TABLES_REGION, header->region_size);
    assert_int_equal(4711, header->instance);
    assert_int_equal(TABLES_PEERS, header->n_mailboxes);
    assert_int_equal(sizeof(struct layout_mailbox), header->mailbox_size);
    assert_int_equal(LAYOUT_BLOCK, header->mailbox_offset);
    assert_int_equal(layout_channel_offset(TABLES_PEERS), header->channel_offset);
    assert_int_equal(TABLES_CHANNELS, header->n_channels);
    assert_int_equal(header->data_offset, header->free_start_offset);
    assert_int_equal(TABLES_REGION - header->data_offset, header->free_bytes);
    assert_int_equal(0, header->num_active_channel);
    assert_int_equal(0, header->generation % 2);
}

static uint64_t repairs(void)
{
    return tables.state->counters.repairs;
}

/* Lets all be compared by time; the section takes two ticks at most. */
static void repair(void)
{
    tables.now += 1000;
    channels_tick(tables.channels, tables.now);
}

/* Whether a word is one that peers write, and the daemon never. */
static bool is_theirs(uint64_t offset)
{
    const uint64_t mailboxes = sizeof(struct layout_header);
    const uint64_t channels = layout_channel_offset(TABLES_PEERS);

    if (offset < mailboxes || offset >= layout_data_offset(TABLES_PEERS, TABLES_CHANNELS))
        return false;
    if (offset < channels)
        return (offset - mailboxes) % sizeof(struct layout_mailbox) < sizeof(struct layout_request);
    offset -= channels;
    return offset < TABLES_CHANNELS * sizeof(struct layout_channel) &&
           offset % sizeof(struct layout_channel) >= sizeof(struct layout_entry);
}

/* The generation of a block goes on when it is put back; nothing else is other than it was. */
static void each_word_is_put_back(void **state)
{
    const uint64_t end = layout_data_offset(TABLES_PEERS, TABLES_CHANNELS);

    (void)state;
    tables_join_and_speak(&tables, 2);
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_LISTEN, .port = 5));
    tables_open(&tables, 2, 2, 5, 8192, 4096);
    for (uint64_t offset = 0; offset < end; offset += 4) {
        uint32_t *word = (uint32_t *)(tables.region + offset), before = *word;
        uint64_t count = repairs();

        *word ^= 0x10101010;
        repair();
        if (is_theirs(offset)) {
            assert_int_equal(before ^ 0x10101010, *word);
            assert_int_equal(count, repairs());
            *word = before;
            continue;
        }
        assert_int_equal(count + 1, repairs());
        assert_in_range(*word - before, 0, 2);
        repair();
        assert_int_equal(count + 1, repairs());
    }
}

static void all_bytes_at_once(void **state)
{
    uint64_t random = random_start();
    struct layout_entry entry;
    struct layout_reply reply;

    (void)state;
    tables_join_and_speak(&tables, 1);
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_LISTEN, .port = 7));
    tables_open(&tables, 1, 1, 7, 4096, 0);
    entry = tables_entry(&tables, 0);
    reply = tables_mailbox(&tables, 1)->reply;
    tables.channels->setup.options.grow_max = 0; /* else a ring that seems busy is moved */
    for (int turn = 0; turn < 50; turn++) {
        for (uint64_t i = 0; i < layout_data_offset(TABLES_PEERS, TABLES_CHANNELS); i++)
            tables.region[i] = (uint8_t)random_next(&random);
        repair();
        entry.generation = tables_entry(&tables, 0).generation;
        assert_memory_equal(&entry, &(struct layout_entry[]){tables_entry(&tables, 0)},
                            sizeof(entry));
        assert_memory_equal(&reply, &tables_mailbox(&tables, 1)->reply, sizeof(reply));
        assert_int_equal(1, tables_peer(&tables, 1).speaks);
    }
}

/* At a doorbell: the header, the mailbox of who rang, and channels in use. */
static void found_at_a_doorbell(void **state)
{
    unsigned channel;

    (void)state;
    tables_join_and_speak(&tables, 1);
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_LISTEN, .port = 7));
    channel = tables_open(&tables, 1, 1, 7, 4096, 0);
    tables_channel(&tables, channel)->entry.buff_offset = 12;
    ((struct layout_header *)tables.region)->control_mutex = 1;
    tables_mailbox(&tables, 1)->peer.vector = 99;
    tables_ring_daemon(&tables, 1);
    assert_int_equal(3, repairs());
    assert_int_equal(layout_data_offset(TABLES_PEERS, TABLES_CHANNELS),
                     tables_entry(&tables, channel).buff_offset);
    assert_int_equal(0, ((struct layout_header *)tables.region)->control_mutex);
    assert_int_equal(1, tables_peer(&tables, 1).vector);
}

static void says_what_was_hit(void **state)
{
    static const struct {
        struct section_damage damage;
        const char *text;
    } cases[] = {
        {{.part = SECTION_HEADER, .word = 0}, "the header: magic"},
        {{.part = SECTION_HEADER, .word = 1}, "the header: magic"},
        {{.part = SECTION_HEADER, .word = 34}, "the header: control_mutex"},
        {{.part = SECTION_HEADER, .word = 1023}, "the header: reserved"},
        {{.part = SECTION_MAILBOX, .index = 3, .word = 9}, "mailbox 3: unused"},
        {{.part = SECTION_REPLY, .index = 3, .word = 16}, "the reply to peer 3: number"},
        {{.part = SECTION_PEER, .index = 4, .word = 3}, "peer 4: events"},
        {{.part = SECTION_ENTRY, .index = 5, .word = 12}, "channel 5: buff_offset"},
        {{.part = SECTION_ENTRY, .index = 5, .word = 31}, "channel 5: reserved"},
        {{.part = SECTION_REST, .word = 31}, "the end: unused"},
    };
    char text[80];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        section_damage_describe(&cases[i].damage, text, sizeof(text));
        assert_string_equal(cases[i].text, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(header_says_what_is_where, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_word_is_put_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_bytes_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(found_at_a_doorbell, set_up, tear_down),
        cmocka_unit_test(says_what_was_hit),
    };

    log_set_level(LOG_ERR); /* each repair would be told */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
