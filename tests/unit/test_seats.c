/* SPDX-License-Identifier: MIT
 *
 * Seats: which ID a newcomer gets, when an ID is free again, and the order of joining. What QEMU
 * cannot stand is an ID that it was told of, that left, and that comes back.
 */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/doorbell.h"
#include "common/wire.h"
#include "server/seats.h"

enum { N_IDS = WIRE_ID_MAX + 1 };

static struct seats seats;
static int descriptors_before;

static int set_up(void **state)
{
    (void)state;
    descriptors_before = count_descriptors();
    return seats_init(&seats);
}

static int tear_down(void **state)
{
    (void)state;
    seats_deinit(&seats);
    return count_descriptors() == descriptors_before ? 0 : -1;
}

static struct seat *add(int id, unsigned expected)
{
    struct seat *seat = NULL;

    assert_int_equal(0, seats_add(&seats, id, 1, &seat));
    assert_int_equal(expected, seat->id);
    assert_ptr_equal(seat, seats.by_id[expected]);
    assert_false(seat->occupied);
    return seat;
}

/* A peer joins in a new seat. */
static struct seat *join(unsigned expected)
{
    struct seat *seat = add(-1, expected);

    seats_occupy(&seats, seat);
    return seat;
}

/* A peer leaves, and its leave is not withheld. */
static void leave(struct seat *seat)
{
    seats_vacate(&seats, seat);
    seats_remove(&seats, seat);
}

/* The seats in joining order are these, ended by -1; read from both ends. */
static void order(const int *ids)
{
    const struct seat *seat = seats.first, *earlier = NULL;

    for (; *ids >= 0; ids++, seat = seat->later) {
        assert_non_null(seat);
        assert_int_equal(*ids, seat->id);
        assert_ptr_equal(earlier, seat->earlier);
        earlier = seat;
    }
    assert_null(seat);
    assert_ptr_equal(earlier, seats.last);
}
#define ORDER(...) order((const int[]){__VA_ARGS__, -1})

static void lowest_first(void **state)
{
    struct seat *second;

    (void)state;
    assert_int_equal(N_IDS, seats.n_free);
    join(0);
    second = join(1);
    join(2);
    assert_int_equal(N_IDS - 3, seats.n_free);
    leave(second); /* nobody was told of it */
    join(1);
    join(3);
    ORDER(0, 2, 1, 3);
    assert_int_equal(4, seats.n_seats);
    assert_int_equal(0, seats.n_vacant);
}

static void told_ids_do_not_come_back(void **state)
{
    struct seat *peer = join(0);

    (void)state;
    seats_told(&seats, 0); /* two that stay connected hear of it */
    seats_told(&seats, 0);
    leave(peer);
    assert_int_equal(N_IDS - 1, seats.n_free);
    join(1);
    seats_untold(&seats, 0);
    join(2); /* the other one still knows */
    seats_untold(&seats, 0);
    assert_int_equal(N_IDS - 2, seats.n_free);
    join(0);
    join(3);
}

static void untold_while_it_is_there(void **state)
{
    struct seat *peer = join(0);

    (void)state;
    seats_told(&seats, 0);
    seats_untold(&seats, 0); /* the only one who knew has gone; the seat is still taken */
    join(1);
    leave(peer);
    join(0);
}

static void asked_for(void **state)
{
    struct seat *seat;

    (void)state;
    add(1, 1);
    add(WIRE_ID_MAX, WIRE_ID_MAX);
    assert_int_equal(-EEXIST, seats_add(&seats, 1, 1, &seat));
    assert_int_equal(-EEXIST, seats_add(&seats, WIRE_ID_MAX, 1, &seat));
    join(0);
    join(2); /* IDs of slots are passed over */
    seats_told(&seats, 0);
    leave(seats.by_id[0]);
    assert_int_equal(-EEXIST, seats_add(&seats, 0, 1, &seat)); /* somebody knows it */
    assert_int_equal(3, seats.n_seats);
}

/* 65536 short-lived peers, all of which somebody who stays was told of. */
static void worn_out(void **state)
{
    struct seat *seat = NULL;

    (void)state;
    for (unsigned id = 0; id < N_IDS; id++) {
        assert_int_equal(0, seats_add(&seats, -1, 1, &seat));
        assert_int_equal(id, seat->id);
        seats_occupy(&seats, seat);
        seats_told(&seats, id);
        leave(seat);
    }
    assert_int_equal(0, seats.n_free);
    assert_int_equal(-ENOSPC, seats_add(&seats, -1, 1, &seat));
    seats_untold(&seats, 50000);
    seats_untold(&seats, 300);
    assert_int_equal(2, seats.n_free);
    join(300);
    join(50000);
    assert_int_equal(-ENOSPC, seats_add(&seats, -1, 1, &seat));
}

static void fresh_doorbells(void **state)
{
    struct seat *seat;

    (void)state;
    assert_int_equal(0, seats_add(&seats, -1, 20, &seat));
    assert_int_equal(20, seat->n_vectors);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(0, doorbell_ring(seat->doorbells[i])); /* each is one of its own */
        for (unsigned j = 0; j < 20; j++)
            assert_int_equal(i == j, doorbell_take(seat->doorbells[j]));
        assert_true(fcntl(seat->doorbells[i], F_GETFD) & FD_CLOEXEC);
    }
    seats_remove(&seats, seat);
    assert_int_equal(descriptors_before, count_descriptors());
}

static void no_descriptors_left(void **state)
{
    struct seat *seat;
    int before = count_descriptors(), r;
    rlim_t limit;

    (void)state;
    limit = limit_descriptors(5);
    r = seats_add(&seats, -1, 6, &seat);
    unlimit_descriptors(limit);
    assert_int_equal(-EMFILE, r);
    assert_int_equal(before, count_descriptors());
    assert_int_equal(N_IDS, seats.n_free); /* and no ID is lost */
    assert_int_equal(0, seats.n_seats);
    join(0);
}

static void slots(void **state)
{
    struct seat *slot = add(5, 5);
    int doorbell = slot->doorbells[0];

    (void)state;
    assert_int_equal(1, seats.n_vacant);
    seats_pin(&seats, slot);
    assert_int_equal(0, seats.n_vacant);
    assert_null(seats_vacant(&seats)); /* a slot is not for others */
    assert_null(seats.first);          /* who was never there joined at no time */
    join(0);
    seats_occupy(&seats, slot);
    join(1);
    ORDER(0, 5, 1);
    seats_vacate(&seats, slot);
    ORDER(0, 5, 1);
    assert_null(seats_vacant(&seats));
    seats_occupy(&seats, slot);
    ORDER(0, 1, 5);
    assert_int_equal(doorbell, slot->doorbells[0]);
    assert_int_equal(0, seats.n_vacant);
    seats_vacate(&seats, slot);
    seats_remove(&seats, slot);
    ORDER(0, 1);
    assert_int_equal(0, seats.n_vacant);
    add(5, 5);
}

static void withheld_leaves(void **state)
{
    struct seat *first = join(0), *second = join(1);

    (void)state;
    join(2);
    seats_vacate(&seats, second);
    assert_int_equal(1, seats.n_vacant);
    assert_ptr_equal(second, seats_vacant(&seats));
    seats_vacate(&seats, first);
    assert_ptr_equal(first, seats_vacant(&seats)); /* the one that has stood there longest */
    seats_occupy(&seats, first);
    assert_ptr_equal(second, seats_vacant(&seats));
    ORDER(1, 2, 0);
    seats_remove(&seats, second);
    assert_null(seats_vacant(&seats));
    ORDER(2, 0);
    join(1);
}

/* A model of the rules: for each ID what is there and how many were told. */
struct model {
    struct seat *seat;
    bool occupied, pinned;
    unsigned told, joined;
};

enum { MODEL_IDS = 40 };

static void against_model(const struct model *model)
{
    unsigned n_seats = 0, n_vacant = 0, n_taken = 0, last = 0;

    for (unsigned id = 0; id < MODEL_IDS; id++) {
        assert_ptr_equal(model[id].seat, seats.by_id[id]);
        assert_int_equal(model[id].told, seats.told[id]);
        n_seats += model[id].seat != NULL;
        n_vacant += model[id].seat && !model[id].occupied && !model[id].pinned;
        n_taken += model[id].seat || model[id].told;
    }
    assert_int_equal(n_seats, seats.n_seats);
    assert_int_equal(n_vacant, seats.n_vacant);
    assert_int_equal(N_IDS - n_taken, seats.n_free);
    for (const struct seat *seat = seats.first; seat; seat = seat->later) {
        assert_true(model[seat->id].joined > last);
        last = model[seat->id].joined;
        assert_ptr_equal(seat, seat->later ? seat->later->earlier : seats.last);
    }
}

static void step(struct model *model, uint64_t *seed, unsigned now)
{
    struct model *some = &model[random_below(seed, MODEL_IDS / 2)];
    unsigned id = (unsigned)(some - model), lowest = 0;
    struct seat *seat;

    switch (random_below(seed, 8)) {
    case 0: /* a seat of a given ID, perhaps for a slot */
        if (some->seat || some->told) {
            assert_int_equal(-EEXIST, seats_add(&seats, (int)id, 1, &seat));
            break;
        }
        some->seat = add((int)id, id);
        some->pinned = random_below(seed, 2);
        if (some->pinned)
            seats_pin(&seats, some->seat);
        break;
    case 1: /* a newcomer */
        while (model[lowest].seat || model[lowest].told)
            lowest++;
        if (lowest == MODEL_IDS - 1)
            break;
        model[lowest] = (struct model){.seat = join(lowest), .occupied = true, .joined = now};
        break;
    case 2:
        if (some->seat && !some->occupied) {
            seats_occupy(&seats, some->seat);
            some->occupied = true;
            some->joined = now;
        }
        break;
    case 3:
        if (some->occupied) {
            seats_vacate(&seats, some->seat);
            some->occupied = false;
        }
        break;
    case 4:
        if (some->seat && !some->occupied) {
            seats_remove(&seats, some->seat);
            *some = (struct model){.told = some->told};
        }
        break;
    case 5:
        if (some->seat) {
            seats_told(&seats, id);
            some->told++;
        }
        break;
    default: /* more often: IDs are to become free, too */
        if (some->told) {
            seats_untold(&seats, id);
            some->told--;
        }
        break;
    }
}

static void random_walk(void **state)
{
    struct model model[MODEL_IDS] = {{.seat = NULL}};
    uint64_t seed = random_start();

    (void)state;
    for (unsigned now = 1; now < 30000; now++) {
        step(model, &seed, now);
        against_model(model);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(lowest_first),
        TEST(told_ids_do_not_come_back),
        TEST(untold_while_it_is_there),
        TEST(asked_for),
        TEST(worn_out),
        TEST(fresh_doorbells),
        TEST(no_descriptors_left),
        TEST(slots),
        TEST(withheld_leaves),
        TEST(random_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
