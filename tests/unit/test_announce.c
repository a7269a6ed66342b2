/* SPDX-License-Identifier: MIT
 *
 * What peers are told, against a model that knows nothing of cursors.
 *
 * The model keeps the truth (who sits where, in which order they joined) and, for each receiver,
 * what it has heard. Each message is held against both at the moment it goes out: nobody is
 * announced who is not there, nobody twice, no ID again after its leave, all in joining order, the
 * vectors of a peer together and in order, our own after those who were there before us. When
 * nothing is left to be told, what was heard must be the truth. The world changes as the hub
 * changes it (hub.c), at random and, for short stories, in every possible way.
 */
#include "tests/unit/unit.h"

#include "common/wire.h"
#include "server/announce.h"

enum {
    IDS = 24,
    VECTORS = 3,
    EARS_MAX = 8,
    BATCH = 64,
    SLOT_ID = 2,
    OTHER_SLOT_ID = 7,
    MEMORY_FD = 1000000, /* never sent: only its number is looked at */
    BELL_FD,
    DAEMON = 5000,
    GREETING_MAX = 4,
};

/* Everything is tried twice: the daemon is no peer, and it is one. */
static const struct announce_handout handouts[] = {{MEMORY_FD, -1, -1},
                                                   {MEMORY_FD, DAEMON, BELL_FD}};
static const struct announce_handout *handout;
static unsigned greeting_messages;

static int without_daemon(void **state)
{
    (void)state;
    handout = &handouts[0];
    greeting_messages = GREETING_MAX - 1;
    return 0;
}

static int with_daemon(void **state)
{
    (void)state;
    handout = &handouts[1];
    greeting_messages = GREETING_MAX;
    return 0;
}

/* The truth about one ID. */
struct place {
    struct seat *seat;
    unsigned joined; /* when: counts joins */
    unsigned maker;  /* tells apart two seats of the same ID */
};

/* A receiver: what it has heard. */
struct ear {
    struct announce announce;
    const struct seat *own;
    unsigned joined;       /* when it joined itself */
    unsigned n_heard;      /* messages */
    unsigned vectors[IDS]; /* heard of each ID; 0: does not know it */
    unsigned maker[IDS];   /* of the seat that it knows by that ID */
    bool ever[IDS];        /* was told of that ID at some time */
    int telling;           /* ID that it has heard some vectors of, -1 between two */
    unsigned last_joined;  /* of the latest join that it has heard */
};

struct world {
    struct seats seats;
    struct place places[IDS];
    struct ear *ears[EARS_MAX]; /* in the order of their coming */
    unsigned n_ears, now, makers;
};

static void world_start(struct world *world)
{
    static const unsigned slots[] = {SLOT_ID, OTHER_SLOT_ID};

    *world = (struct world){.n_ears = 0};
    assert_int_equal(0, seats_init(&world->seats));
    for (size_t i = 0; i < 2; i++) {
        struct place *place = &world->places[slots[i]];

        assert_int_equal(0, seats_add(&world->seats, (int)slots[i], VECTORS, &place->seat));
        place->maker = ++world->makers;
        seats_pin(&world->seats, place->seat);
    }
}

static void hear_greeting(const struct ear *ear, const struct announcement *message)
{
    const int64_t values[GREETING_MAX] = {WIRE_VERSION, ear->own->id, WIRE_MEMORY, DAEMON};
    const int fds[GREETING_MAX] = {-1, -1, MEMORY_FD, BELL_FD};

    assert_true(message->value == values[ear->n_heard]);
    assert_int_equal(fds[ear->n_heard], message->fd);
    assert_int_equal(-1, message->begins);
    assert_int_equal(-1, message->ends);
}

static void hear_leave(const struct world *world, struct ear *ear, unsigned id)
{
    const struct place *place = &world->places[id];

    assert_true(ear->vectors[id] > 0); /* knows it, and has not heard of its leave */
    assert_true(!place->seat || place->maker != ear->maker[id]);
    ear->vectors[id] = 0;
    if (ear->telling == (int)id)
        ear->telling = -1; /* the rest of its vectors will not come */
}

static void hear_join(const struct world *world, struct ear *ear, unsigned id)
{
    const struct place *place = &world->places[id];
    bool own_is_due = ear->vectors[ear->own->id] == 0;

    assert_true(place->seat->occupied); /* who came and went is not mentioned */
    assert_false(ear->ever[id]);        /* not twice; and an ID never comes back */
    assert_int_equal(-1, ear->telling);
    assert_true(place->joined > ear->last_joined);
    assert_true(!own_is_due || place->joined <= ear->joined);
    for (unsigned other = 0; id == ear->own->id && other < IDS; other++) {
        const struct place *before = &world->places[other];

        if (before->seat && before->seat->occupied && before->joined < place->joined)
            assert_int_equal(VECTORS, ear->vectors[other]);
    }
    ear->ever[id] = true;
    ear->maker[id] = place->maker;
    ear->last_joined = place->joined;
    ear->telling = (int)id;
}

static void hear(const struct world *world, struct ear *ear, const struct announcement *message)
{
    unsigned id = (unsigned)message->value;
    const struct place *place;

    if (ear->n_heard < greeting_messages) {
        hear_greeting(ear, message);
        ear->n_heard++;
        return;
    }
    ear->n_heard++;
    assert_in_range(message->value, 0, IDS - 1);
    place = &world->places[id];
    assert_int_equal(message->fd < 0 ? (int)id : -1, message->ends);
    if (message->fd < 0) {
        hear_leave(world, ear, id);
        return;
    }
    assert_non_null(place->seat);
    assert_int_equal(ear->vectors[id] ? -1 : (int)id, message->begins);
    if (ear->vectors[id] == 0)
        hear_join(world, ear, id);
    assert_int_equal(id, ear->telling);
    assert_int_equal(place->maker, ear->maker[id]);
    assert_true(ear->vectors[id] < VECTORS);
    assert_int_equal(place->seat->doorbells[ear->vectors[id]], message->fd);
    if (++ear->vectors[id] == VECTORS)
        ear->telling = -1;
}

static bool knows(const struct ear *ear, unsigned id)
{
    return ear->vectors[id] > 0;
}

static bool is_true_to(const struct world *world, const struct ear *ear, unsigned id)
{
    const struct place *place = &world->places[id];

    return knows(ear, id) && place->seat && place->maker == ear->maker[id];
}

/* What must hold after each step. */
static void check(const struct world *world)
{
    unsigned told[IDS] = {0};

    for (unsigned i = 0; i < world->n_ears; i++) {
        const struct ear *ear = world->ears[i];
        struct announce_cursor cursor = ear->announce.cursor;
        struct announcement message;
        unsigned holds = 0;
        uint64_t backlog = ear->n_heard < greeting_messages ? greeting_messages - ear->n_heard : 0;

        assert_int_equal(announce_next(&ear->announce, &cursor, &message),
                         announce_pending(&ear->announce));
        for (unsigned id = 0; id < IDS; id++) {
            const struct place *place = &world->places[id];
            bool there = is_true_to(world, ear, id);
            bool news = place->seat && place->seat->occupied && !knows(ear, id);

            told[id] += ear->ever[id];
            holds += there || news;
            backlog += there || news ? VECTORS - ear->vectors[id] : knows(ear, id);
        }
        assert_int_equal(backlog, announce_backlog(&ear->announce));
        assert_int_equal(holds, announce_holds(&ear->announce));
        assert_int_equal(ear->n_heard < 3, announce_in_greeting(&ear->announce));
    }
    for (unsigned id = 0; id < IDS; id++)
        assert_int_equal(told[id], world->seats.told[id]);
}

/* A batch of up to @fill messages is made, and the kernel takes @take of them. */
static unsigned tell(struct world *world, struct ear *ear, unsigned fill, unsigned take)
{
    struct announcement batch[BATCH], again;
    struct announce_cursor cursor = ear->announce.cursor;
    unsigned count = 0;

    while (count < fill && announce_next(&ear->announce, &cursor, &batch[count]))
        count++;
    take = take < count ? take : count;
    for (unsigned i = 0; i < take; i++)
        hear(world, ear, &batch[i]);
    announce_sent(&ear->announce, &world->seats, take);
    cursor = ear->announce.cursor;
    for (unsigned i = take; i < count; i++) { /* the others are still to be told, the same way */
        assert_true(announce_next(&ear->announce, &cursor, &again));
        assert_true(batch[i].value == again.value);
        assert_int_equal(batch[i].fd, again.fd);
    }
    return take;
}

static struct ear *join(struct world *world, struct seat *seat)
{
    struct ear *ear = calloc(1, sizeof(*ear));

    assert_non_null(ear);
    assert_true(world->n_ears < EARS_MAX);
    for (unsigned i = 0; i < world->n_ears; i++)
        assert_int_equal(0, announce_reserve(&world->ears[i]->announce, seat->id));
    assert_int_equal(0, announce_reserve(&ear->announce, IDS - 1));
    for (unsigned i = 0; i < world->n_ears; i++)
        announce_moving(&world->ears[i]->announce, seat);
    seats_occupy(&world->seats, seat);
    for (unsigned i = 0; i < world->n_ears; i++)
        announce_joined(&world->ears[i]->announce, seat);
    announce_start(&ear->announce, &world->seats, seat, handout);
    ear->own = seat;
    ear->telling = -1;
    ear->joined = world->places[seat->id].joined = ++world->now;
    world->ears[world->n_ears++] = ear;
    return ear;
}

/* The lowest ID that is no seat and that nobody who is here was ever told of. */
static unsigned fresh_id(const struct world *world)
{
    for (unsigned id = 0; id < IDS; id++) {
        bool fresh = !world->places[id].seat;

        for (unsigned i = 0; i < world->n_ears; i++)
            fresh = fresh && !world->ears[i]->ever[id];
        if (fresh)
            return id;
    }
    return IDS;
}

/* In a new seat. Nothing happens when the world is full. */
static struct ear *join_new(struct world *world)
{
    unsigned id = fresh_id(world);
    struct seat *seat;

    if (id == IDS || world->n_ears == EARS_MAX)
        return NULL;
    assert_int_equal(0, seats_add(&world->seats, -1, VECTORS, &seat));
    assert_int_equal(id, seat->id);
    world->places[id] = (struct place){.seat = seat, .maker = ++world->makers};
    return join(world, seat);
}

static struct ear *join_slot(struct world *world, unsigned id)
{
    struct seat *seat = world->places[id].seat;

    return seat->occupied || world->n_ears == EARS_MAX ? NULL : join(world, seat);
}

/* In a seat whose leave was withheld, as when IDs run short. */
static struct ear *join_vacant(struct world *world)
{
    struct seat *seat = seats_vacant(&world->seats);

    return !seat || world->n_ears == EARS_MAX ? NULL : join(world, seat);
}

static void remove_seat(struct world *world, struct seat *seat)
{
    unsigned id = seat->id;

    for (unsigned i = 0; i < world->n_ears; i++)
        announce_left(&world->ears[i]->announce, seat);
    seats_remove(&world->seats, seat);
    world->places[id].seat = NULL;
}

/* Vacant seats that nobody knows are given up. */
static void sweep(struct world *world)
{
    for (unsigned id = 0; id < IDS; id++) {
        struct seat *seat = world->places[id].seat;

        if (seat && !seat->occupied && !seat->pinned && !world->seats.told[id])
            remove_seat(world, seat);
    }
}

static void leave(struct world *world, unsigned index, bool withheld)
{
    struct ear *ear = world->ears[index];
    struct seat *seat = world->places[ear->own->id].seat;

    world->n_ears--;
    for (unsigned i = index; i < world->n_ears; i++)
        world->ears[i] = world->ears[i + 1];
    announce_deinit(&ear->announce, &world->seats);
    free(ear);
    seats_vacate(&world->seats, seat);
    if (!withheld && !seat->pinned)
        remove_seat(world, seat);
    sweep(world);
}

/* Tells a peer everything. Afterwards it knows exactly what is true. */
static void tell_all(struct world *world, struct ear *ear)
{
    while (tell(world, ear, BATCH, BATCH))
        continue;
    assert_false(announce_pending(&ear->announce));
    assert_int_equal(-1, ear->telling);
    for (unsigned id = 0; id < IDS; id++) {
        const struct place *place = &world->places[id];

        if (place->seat && place->seat->occupied)
            assert_true(knows(ear, id));
        if (knows(ear, id)) {
            assert_true(is_true_to(world, ear, id));
            assert_int_equal(VECTORS, ear->vectors[id]);
        }
    }
}

/* Everybody hears everything and then leaves. */
static void world_empty(struct world *world)
{
    for (unsigned i = 0; i < world->n_ears; i++)
        tell_all(world, world->ears[i]);
    check(world);
    while (world->n_ears)
        leave(world, world->n_ears / 2, false);
    check(world);
    for (unsigned id = 0; id < IDS; id++) /* everything is forgotten but the slots */
        assert_int_equal(id == SLOT_ID || id == OTHER_SLOT_ID, world->places[id].seat != NULL);
    assert_int_equal(WIRE_ID_MAX + 1 - 2, world->seats.n_free);
}

static void world_end(struct world *world)
{
    world_empty(world);
    seats_deinit(&world->seats);
}

/* The greeting of DESIGN's wire protocol, word for word. */
static void greeting(void **state)
{
    static const int64_t expected[] = {
        WIRE_VERSION, 3, WIRE_MEMORY, DAEMON, 0, 0, 0, 1, 1, 1, 3, 3, 3};
    struct world world;
    struct announce_cursor cursor;
    struct announcement message;
    struct ear *last;

    (void)state;
    world_start(&world);
    join_new(&world);
    join_new(&world); /* 2 is a slot */
    last = join_new(&world);
    cursor = last->announce.cursor;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        if (expected[i] == DAEMON && greeting_messages < GREETING_MAX)
            continue;
        assert_true(announce_next(&last->announce, &cursor, &message));
        assert_true(message.value == expected[i]);
        assert_int_equal(i < 2 ? 1 : 0, message.fd < 0);
    }
    assert_false(announce_next(&last->announce, &cursor, &message));
    world_end(&world);
}

static void came_and_went(void **state)
{
    struct world world;
    struct ear *sleeper;

    (void)state;
    world_start(&world);
    sleeper = join_new(&world);
    tell_all(&world, sleeper);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(1, join_new(&world)->own->id); /* nobody heard of the last one */
        assert_true(announce_pending(&sleeper->announce));
        leave(&world, 1, false);
        assert_false(announce_pending(&sleeper->announce));
    }
    join_new(&world);
    assert_int_equal(VECTORS, tell(&world, sleeper, BATCH, BATCH));
    assert_int_equal(2, announce_holds(&sleeper->announce));
    leave(&world, 1, false);
    assert_int_equal(3, join_new(&world)->own->id);
    assert_int_equal(1 + VECTORS, tell(&world, sleeper, BATCH, BATCH));
    world_end(&world);
}

/* The peer being told of leaves, when one of its vectors was told. */
static void left_in_the_middle(void **state)
{
    struct world world;
    struct ear *listener;

    (void)state;
    world_start(&world);
    listener = join_new(&world);
    tell_all(&world, listener);
    join_new(&world);
    join_new(&world);
    assert_int_equal(1, tell(&world, listener, BATCH, 1));
    leave(&world, 1, false);
    assert_int_equal(1 + VECTORS, tell(&world, listener, BATCH, BATCH)); /* leave, and the other */
    world_end(&world);
}

static void slot_comes_back(void **state)
{
    struct world world;
    struct ear *listener;

    (void)state;
    world_start(&world);
    listener = join_new(&world);
    join_slot(&world, SLOT_ID);
    tell_all(&world, listener);
    for (int i = 0; i < 10; i++) {
        leave(&world, 1, false);
        assert_false(announce_pending(&listener->announce)); /* hears nothing */
        tell_all(&world, join_slot(&world, SLOT_ID));
        assert_false(announce_pending(&listener->announce));
    }
    world_end(&world);
}

/* The story moves on while a slot's vectors are just being told. */
static void slot_moves_in_the_middle(void **state)
{
    struct world world;
    struct ear *listener;

    (void)state;
    world_start(&world);
    listener = join_new(&world);
    tell_all(&world, listener);
    join_slot(&world, SLOT_ID);
    join_new(&world);
    assert_int_equal(1, tell(&world, listener, BATCH, 1));
    leave(&world, 1, false);
    join_slot(&world, SLOT_ID); /* now behind the other */
    assert_int_equal(2 * VECTORS - 1, tell(&world, listener, BATCH, BATCH));
    world_end(&world);
}

static void random_step(struct world *world, uint64_t *seed, unsigned crowd)
{
    unsigned some = world->n_ears ? random_below(seed, world->n_ears) : 0;

    switch (random_below(seed, 12)) {
    case 0:
    case 1:
        if (world->n_ears < crowd)
            join_new(world);
        break;
    case 2:
        join_slot(world, random_below(seed, 2) ? SLOT_ID : OTHER_SLOT_ID);
        break;
    case 3:
        join_vacant(world);
        break;
    case 4:
    case 5:
        if (world->n_ears)
            leave(world, some, random_below(seed, 4) == 0);
        break;
    case 6:
        if (world->n_ears)
            tell_all(world, world->ears[some]);
        break;
    default:
        if (world->n_ears)
            tell(world, world->ears[some], 1 + random_below(seed, BATCH), random_below(seed, 9));
    }
    check(world);
}

static void random_worlds(void **state)
{
    uint64_t seed = random_start();

    (void)state;
    for (int round = 0; round < 100; round++) {
        unsigned crowd = 1 + random_below(&seed, EARS_MAX);
        struct world world;

        world_start(&world);
        for (int step = 0; step < 250; step++)
            random_step(&world, &seed, crowd);
        world_end(&world);
    }
}

enum { ACTS = 9, STORY_LENGTH = 5 };

static void act(struct world *world, unsigned which)
{
    struct ear *oldest = world->n_ears ? world->ears[0] : NULL;
    struct ear *newest = world->n_ears ? world->ears[world->n_ears - 1] : NULL;

    if (which == 0)
        join_new(world);
    else if (which == 1)
        join_slot(world, SLOT_ID);
    else if (which == 2)
        join_vacant(world);
    else if (!oldest)
        return;
    else if (which == 3)
        leave(world, 0, false);
    else if (which == 4)
        leave(world, world->n_ears - 1, false);
    else if (which == 5)
        leave(world, world->n_ears - 1, true);
    else if (which == 6)
        tell(world, oldest, BATCH, 1);
    else if (which == 7)
        tell(world, oldest, BATCH, VECTORS + 1);
    else
        tell(world, newest, BATCH, greeting_messages + 1);
    check(world);
}

/* Everything that can happen in a few steps to three peers, one of them in the middle of hearing.
 */
static void every_story(void **state)
{
    unsigned stories = 1;
    struct world world;

    (void)state;
    world_start(&world);
    for (int i = 0; i < STORY_LENGTH; i++)
        stories *= ACTS;
    for (unsigned story = 0; story < stories; story++) {
        tell_all(&world, join_new(&world));
        join_slot(&world, SLOT_ID);
        join_new(&world);
        tell(&world, world.ears[0], BATCH, 1);
        for (unsigned rest = story, i = 0; i < STORY_LENGTH; i++, rest /= ACTS)
            act(&world, rest % ACTS);
        world_empty(&world);
    }
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greeting),
        cmocka_unit_test(came_and_went),
        cmocka_unit_test(left_in_the_middle),
        cmocka_unit_test(slot_comes_back),
        cmocka_unit_test(slot_moves_in_the_middle),
        cmocka_unit_test(random_worlds),
        cmocka_unit_test(every_story),
    };

    return cmocka_run_group_tests_name("the daemon is no peer", tests, without_daemon, NULL) +
           cmocka_run_group_tests_name("the daemon is a peer", tests, with_daemon, NULL);
}
