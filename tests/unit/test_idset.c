/* SPDX-License-Identifier: MIT
 *
 * Sets of IDs, against an array of as many truth values.
 */
#include "tests/unit/unit.h"

#include "common/wire.h"
#include "server/idset.h"

enum { N_IDS = WIRE_ID_MAX + 1 };

static void empty(void **state)
{
    struct idset set = {.words = NULL};

    (void)state;
    assert_false(idset_has(&set, 0));
    assert_false(idset_has(&set, WIRE_ID_MAX));
    assert_int_equal(-1, idset_next(&set, 0));
    assert_int_equal(-1, idset_next(&set, WIRE_ID_MAX + 1));
    assert_int_equal(0, idset_first_gap(&set, N_IDS));
    assert_int_equal(-1, idset_first_gap(&set, 0));
    idset_remove(&set, 5); /* was never there, and there is no room for it */
    idset_deinit(&set);
    idset_deinit(&set);
}

static void edges(void **state)
{
    static const unsigned ids[] = {0, 1, 63, 64, 65, 127, 128, WIRE_ID_MAX - 1, WIRE_ID_MAX};
    struct idset set = {.words = NULL};
    int from = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        assert_int_equal(0, idset_reserve(&set, ids[i]));
        assert_false(idset_has(&set, ids[i]));
        idset_add(&set, ids[i]);
        assert_true(idset_has(&set, ids[i]));
        assert_false(idset_has(&set, ids[i] + 1));
    }
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++, from++) {
        from = idset_next(&set, (unsigned)from);
        assert_int_equal(ids[i], from);
        assert_int_equal(ids[i], idset_next(&set, ids[i]));
    }
    assert_int_equal(-1, idset_next(&set, (unsigned)from));
    assert_int_equal(2, idset_first_gap(&set, N_IDS));
    assert_int_equal(-1, idset_first_gap(&set, 2));
    assert_int_equal(2, idset_first_gap(&set, 3));
    idset_deinit(&set);
    assert_false(idset_has(&set, 0));
}

static void full(void **state)
{
    struct idset set = {.words = NULL};

    (void)state;
    for (unsigned id = 0; id < N_IDS; id++) {
        assert_int_equal(id, idset_first_gap(&set, N_IDS));
        assert_int_equal(0, idset_reserve(&set, id));
        idset_add(&set, id);
    }
    assert_int_equal(-1, idset_first_gap(&set, N_IDS));
    assert_true(set.n_words <= N_IDS / 64); /* no room for IDs that cannot be */
    idset_remove(&set, 40000);
    assert_int_equal(40000, idset_first_gap(&set, N_IDS));
    assert_int_equal(40001, idset_next(&set, 40000));
    idset_deinit(&set);
}

static void against_an_array(void **state)
{
    enum { IDS = 700 };
    bool model[IDS] = {false};
    struct idset set = {.words = NULL};
    uint64_t seed = random_start();

    (void)state;
    for (int step = 0; step < 20000; step++) {
        unsigned id = random_below(&seed, IDS), from = random_below(&seed, IDS), next, gap = 0;
        bool add = random_below(&seed, 100) < (step < 10000 ? 60u : 40u);

        assert_int_equal(model[id], idset_has(&set, id));
        if (add) {
            assert_int_equal(0, idset_reserve(&set, id));
            idset_add(&set, id);
        } else {
            idset_remove(&set, id);
        }
        model[id] = add;
        for (next = from; next < IDS && !model[next];)
            next++;
        while (gap < IDS && model[gap])
            gap++;
        assert_int_equal(next < IDS ? (int)next : -1, idset_next(&set, from));
        assert_int_equal(gap < IDS ? (int)gap : -1, idset_first_gap(&set, IDS));
    }
    idset_deinit(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty),
        cmocka_unit_test(edges),
        cmocka_unit_test(full),
        cmocka_unit_test(against_an_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
