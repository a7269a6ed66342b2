/* SPDX-License-Identifier: MIT
 *
 * What a restored server makes of a peer's record, wherever the one before it was killed.
 *
 * Seats and what one peer was told live random lives, their records as in the state. Each batch is
 * looked at as a kill would leave it: the kernel has sent some of the messages, and of the words
 * that recording them changes any part is in the record. Recovered, the record must be the one that
 * is there without a kill; and who carries on with it must tell the peer the very same messages.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/socket.h>

#include "server/announce.h"
#include "server/batch.h"
#include "server/state.h"

enum {
    IDS = 12,
    VECTORS = 3,
    OWN = 0,
    CUTS = 12, /* ways to be killed while a batch is recorded */
    STEPS = 3000,
    MEMORY_FD = 1000000, /* never sent */
    BELL_FD,
    DAEMON = 5000,
};

static const struct announce_handout without_daemon = {MEMORY_FD, -1, -1};
static const struct announce_handout with_daemon = {MEMORY_FD, DAEMON, BELL_FD};

struct world {
    const struct announce_handout *handout;
    struct seats seats;
    struct seat *seat[IDS]; /* NULL: nobody has that ID now */
    struct state_seat *records;
    uint64_t order;
    struct announce announce; /* of the peer in seat OWN */
    struct state_peer *record;
    struct batch batch;
};

static void world_start(struct world *world, const struct announce_handout *handout)
{
    *world = (struct world){.handout = handout};
    assert_int_equal(0, seats_init(&world->seats));
    world->records = calloc(STATE_IDS, sizeof(*world->records));
    world->record = calloc(1, sizeof(*world->record));
    assert_true(world->records && world->record);
    world->seats.records = world->records;
    world->seats.order = &world->order;
    batch_init(&world->batch);
    assert_int_equal(0, seats_add(&world->seats, OWN, VECTORS, &world->seat[OWN]));
    seats_claim(&world->seats, world->seat[OWN]);
    announce_remember(&world->announce, world->record);
    seats_occupy(&world->seats, world->seat[OWN]);
    announce_start(&world->announce, &world->seats, world->seat[OWN], handout);
}

static void world_end(struct world *world)
{
    announce_deinit(&world->announce, &world->seats);
    seats_deinit(&world->seats);
    free(world->records);
    free(world->record);
}

static void join(struct world *world, unsigned id)
{
    if (seats_add(&world->seats, (int)id, VECTORS, &world->seat[id]) < 0)
        return; /* the peer still knows the last one with that ID */
    seats_occupy(&world->seats, world->seat[id]);
    announce_joined(&world->announce, world->seat[id]);
}

static void leave(struct world *world, unsigned id)
{
    seats_vacate(&world->seats, world->seat[id]);
    seats_leaving(&world->seats, world->seat[id]);
    announce_left(&world->announce, world->seat[id]);
    seats_remove(&world->seats, world->seat[id]);
    world->seat[id] = NULL;
}

static void fill(struct world *world, unsigned limit)
{
    struct announce_cursor cursor = world->announce.cursor;
    struct announcement message;

    batch_begin(&world->batch, OWN);
    while (world->batch.count < limit && announce_next(&world->announce, &cursor, &message)) {
        batch_add(&world->batch, message.value, message.fd);
        batch_note(&world->batch, announce_effect(&cursor, &message));
    }
}

/* Some of the words that changed are as they were before, others as they are afterwards. */
static void mix(struct state_peer *mixed, const struct state_peer *before,
                const struct state_peer *after, uint64_t *random)
{
    uint32_t *out = (uint32_t *)mixed;
    const uint32_t *old = (const uint32_t *)before, *new = (const uint32_t *)after;

    for (size_t i = 0; i < sizeof(*mixed) / sizeof(*out); i++)
        out[i] = old[i] == new[i] || random_below(random, 2) ? old[i] : new[i];
}

/* A batch of which the kernel takes some is sent, and killed on the way in several ways. */
static void send_and_be_killed(struct world *world, uint64_t *random)
{
    static struct state_peer before, after, mixed;
    unsigned sent;

    before = *world->record;
    fill(world, 1 + random_below(random, BATCH_MAX));
    sent = random_below(random, world->batch.count + 1);
    assert_int_equal(0, batch_progress(&world->batch));
    for (unsigned i = 0; i < sent; i++)
        world->batch.headers[i].msg_len = WIRE_SIZE;
    world->batch.in_flight = 1;
    assert_int_equal(sent, batch_progress(&world->batch));
    announce_sent(&world->announce, &world->seats, sent);
    after = *world->record;
    for (unsigned i = 0; i < CUTS; i++) {
        mix(&mixed, &before, &after, random);
        announce_recover(&mixed, world->batch.effects, batch_progress(&world->batch));
        assert_memory_equal(&after, &mixed, sizeof(after));
    }
    batch_recorded(&world->batch);
    assert_int_equal(0, batch_progress(&world->batch));
}

/* The seats as another process finds them: from the records and copies of the doorbells. */
static void restore_seats(const struct world *world, struct seats *seats)
{
    assert_int_equal(0, seats_init(seats));
    seats->records = world->records;
    for (unsigned id = 0; id < IDS; id++) {
        int doorbells[VECTORS];
        struct seat *seat;

        if (world->records[id].phase == SEAT_ABSENT)
            continue;
        for (unsigned i = 0; i < VECTORS; i++)
            doorbells[i] = fcntl(world->seat[id]->doorbells[i], F_DUPFD_CLOEXEC, 3);
        assert_int_equal(0, seats_restore(seats, id, doorbells, VECTORS, &seat));
    }
    assert_int_equal(0, seats_put_in_order(seats));
}

static int vector_of(const struct seat *seat, int fd)
{
    for (unsigned i = 0; i < seat->n_vectors; i++)
        if (seat->doorbells[i] == fd)
            return (int)i;
    fail_msg("descriptor %d is no doorbell of seat %u", fd, seat->id);
    return -1;
}

/* What the process before would have said next, and what the next one says. */
static void same_messages(const struct world *world, const struct seats *seats,
                          const struct announce *restored)
{
    struct announce_cursor ours = world->announce.cursor, theirs = restored->cursor;
    struct announcement one, other;

    while (announce_next(&world->announce, &ours, &one)) {
        assert_true(announce_next(restored, &theirs, &other));
        assert_int_equal(one.value, other.value);
        assert_int_equal(one.begins, other.begins);
        assert_int_equal(one.ends, other.ends);
        if (one.fd == MEMORY_FD || one.fd == BELL_FD || one.fd < 0)
            assert_int_equal(one.fd, other.fd);
        else
            assert_int_equal(vector_of(world->seats.by_id[one.value], one.fd),
                             vector_of(seats->by_id[one.value], other.fd));
    }
    assert_false(announce_next(restored, &theirs, &other));
}

static void carry_on(const struct world *world)
{
    static struct state_peer record;
    struct announce announce = {.own = NULL};
    struct seats seats;

    record = *world->record;
    restore_seats(world, &seats);
    assert_int_equal(
        0, announce_restore(&announce, &record, &seats, seats.by_id[OWN], world->handout));
    same_messages(world, &seats, &announce);
    assert_int_equal(world->announce.n_leaves, announce.n_leaves);
    assert_int_equal(world->announce.n_known, announce.n_known);
    assert_int_equal(world->seats.n_free, seats.n_free);
    assert_memory_equal(world->seats.told, seats.told, IDS * sizeof(*seats.told));
    announce_deinit(&announce, &seats);
    seats_deinit(&seats);
}

static void test_killed_anywhere(void **unused)
{
    uint64_t random = random_start();
    static struct world world;

    (void)unused;
    world_start(&world, &without_daemon);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned id = 1 + random_below(&random, IDS - 1);

        if (step % 500 == 499) { /* a peer that hears everything from the beginning */
            world_end(&world);
            world_start(&world, step / 500 % 2 ? &without_daemon : &with_daemon);
        }
        if (random_below(&random, 3) == 0)
            send_and_be_killed(&world, &random);
        else if (world.seat[id])
            leave(&world, id);
        else
            join(&world, id);
        carry_on(&world);
    }
    world_end(&world);
}

/* Records that cannot be true are refused, and nothing is believed. */
static void test_impossible_records(void **unused)
{
    struct announce announce = {.own = NULL};
    static struct world world;
    struct state_peer *record;

    (void)unused;
    world_start(&world, &without_daemon);
    record = calloc(1, sizeof(*record));
    assert_non_null(record);
    record->current = -1;
    record->greeted = 4;
    assert_int_equal(-EPROTO, announce_restore(&announce, record, &world.seats, world.seat[OWN],
                                               &without_daemon));
    assert_int_equal(
        0, announce_restore(&announce, record, &world.seats, world.seat[OWN], &with_daemon));
    record->greeted = 5;
    assert_int_equal(
        -EPROTO, announce_restore(&announce, record, &world.seats, world.seat[OWN], &with_daemon));
    record->greeted = 3;
    record->current = 5; /* no such seat */
    assert_int_equal(-EPROTO, announce_restore(&announce, record, &world.seats, world.seat[OWN],
                                               &without_daemon));
    record->current = STATE_IDS;
    assert_int_equal(-EPROTO, announce_restore(&announce, record, &world.seats, world.seat[OWN],
                                               &without_daemon));
    record->current = OWN;
    record->vector = VECTORS;
    assert_int_equal(-EPROTO, announce_restore(&announce, record, &world.seats, world.seat[OWN],
                                               &without_daemon));
    record->vector = VECTORS - 1;
    record->told[STATE_WORDS - 1] = UINT64_C(1) << 63; /* any ID may have been told */
    assert_int_equal(
        0, announce_restore(&announce, record, &world.seats, world.seat[OWN], &without_daemon));
    assert_int_equal(1, world.seats.told[WIRE_ID_MAX]);
    announce_deinit(&announce, &world.seats);
    free(record);
    world_end(&world);
}

/* Effects that were scribbled on stay inside the record. */
static void test_impossible_effects(void **unused)
{
    const struct batch_effect effects[] = {
        {.begins = STATE_IDS, .ends = STATE_IDS, .current = -1},
        {.begins = INT32_MAX, .ends = INT32_MAX, .current = INT32_MAX, .greeted = UINT32_MAX},
        {.begins = INT32_MIN, .ends = INT32_MIN, .current = INT32_MIN, .vector = UINT32_MAX},
    };
    struct state_peer *record = calloc(1, sizeof(*record));

    (void)unused;
    assert_non_null(record);
    announce_recover(record, effects, 3);
    for (unsigned i = 0; i < STATE_WORDS; i++)
        assert_true(!record->told[i] && !record->leaves[i]);
    free(record);
}

/* The kernel's own account of how far a batch came. */
static void test_progress_is_the_kernels(void **unused)
{
    static struct batch batch;
    int ends[2], sent, all = 0;

    (void)unused;
    assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    assert_int_equal(0, setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &(int){40000}, sizeof(int)));
    batch_init(&batch);
    do {
        batch_begin(&batch, 5);
        while (batch.count < BATCH_MAX)
            batch_add(&batch, batch.count, ends[1]);
        assert_int_equal(0, batch_progress(&batch));
        sent = batch_send(&batch, ends[0]);
        assert_int_equal(sent > 0 ? sent : 0, batch_progress(&batch));
        batch_recorded(&batch);
        assert_int_equal(0, batch_progress(&batch));
        all += sent > 0 ? sent : 0;
    } while (sent == BATCH_MAX && all < 100 * BATCH_MAX);
    assert_in_range(all, BATCH_MAX, 100 * BATCH_MAX - 1); /* it was full at last */
    batch.count = UINT32_MAX;                             /* scribbled on */
    batch.in_flight = 1;
    assert_true(batch_progress(&batch) <= BATCH_MAX);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_anywhere),
        cmocka_unit_test(test_impossible_records),
        cmocka_unit_test(test_impossible_effects),
        cmocka_unit_test(test_progress_is_the_kernels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
