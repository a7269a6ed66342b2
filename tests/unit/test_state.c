/* SPDX-License-Identifier: MIT
 *
 * The state: made, left behind, found again, refused when it is something else, copied.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/mman.h>

#include "server/state.h"

enum { VECTORS = 3, SIZE = 65536 };

static struct state make(void)
{
    struct failure failure = {.text = ""};
    struct state state;

    assert_int_equal(0, state_new(&state, VECTORS, SIZE, &failure));
    return state;
}

/* Opens a copy of the descriptor, as the next process would. */
static int reopen(const struct state *state, struct state *again, struct failure *failure)
{
    int fd = dup(state->fd), r;

    *again = (struct state){.fd = -1};
    r = state_open(again, fd, failure);
    if (r < 0)
        close(fd); /* still ours */
    return r;
}

static void test_new_state(void **unused)
{
    struct failure failure = {.text = ""};
    struct state state = make(), again;

    (void)unused;
    assert_int_equal(VECTORS, state.file->head.n_vectors);
    assert_int_equal(SIZE, state.file->head.memory_size);
    assert_false(state_has_peers(&state));
    assert_int_equal(0, batch_progress(&state.file->batch));
    state.file->seats[WIRE_ID_MAX].phase = SEAT_OCCUPIED;
    state.file->head.last_order = 7;
    state.file->head.counters.section_repairs = 5;
    state.file->head.started = 1;
    assert_int_equal(0, reopen(&state, &again, &failure));
    state_deinit(&state);
    assert_true(state_has_peers(&again));
    assert_int_equal(7, again.file->head.last_order);
    assert_int_equal(5, again.file->head.counters.section_repairs);
    assert_int_equal(1, again.file->head.started);
    state_deinit(&again);
    assert_int_equal(-1, again.fd);
    assert_null(again.file);
}

/* Programs of before left 0 where the counters are now. */
static void test_counts_from_now_on(void **unused)
{
    struct failure failure = {.text = ""};
    struct state state = make(), again;
    int64_t began = state.file->head.started_at;

    (void)unused;
    assert_int_not_equal(0, began);
    state.file->head.started = state.file->head.started_at = 0;
    assert_int_equal(0, reopen(&state, &again, &failure));
    assert_true(again.file->head.started_at >= began && again.file->head.started > 0);
    state_deinit(&state);
    state_deinit(&again);
}

static void test_vacant_seats_are_no_peers(void **unused)
{
    struct state state = make();

    (void)unused;
    state.file->seats[0].phase = SEAT_VACANT;
    state.file->seats[1].phase = SEAT_LEAVING;
    assert_false(state_has_peers(&state));
    state_deinit(&state);
}

static void test_channels(void **unused)
{
    struct failure failure = {.text = ""};
    struct state state = make(), again;

    (void)unused;
    assert_int_equal(0, state_mailboxes(&state));
    assert_int_equal(0, state_add_channels(&state, 64, 256, &failure));
    assert_int_equal(0, state_mailboxes(&state)); /* they are not there yet */
    state.file->channels.n_mailboxes = 64;
    state.file->channels.version = CHANNEL_STATE_VERSION;
    state.file->channels.rings[255].resizes = 7;
    assert_int_equal(64, state_mailboxes(&state));
    assert_int_equal(0, reopen(&state, &again, &failure));
    assert_int_equal(64, state_mailboxes(&again));
    assert_int_equal(7, again.file->channels.rings[255].resizes);
    assert_int_equal(0, state_add_channels(&again, 64, 256, &failure)); /* anew */
    assert_int_equal(0, state_mailboxes(&state));
    assert_int_equal(0, state.file->channels.rings[255].resizes);
    state_deinit(&state);
    state_deinit(&again);
}

static void test_attempts(void **unused)
{
    struct failure failure = {.text = ""};
    struct state state = make(), again;

    (void)unused;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < STATE_ATTEMPTS_MAX; i++) {
            assert_int_equal(0, reopen(&state, &again, &failure));
            state_deinit(&again);
        }
        assert_int_equal(-ELOOP, reopen(&state, &again, &failure));
        assert_contains(failure.text, "could not be restored");
        state_settled(&state);
    }
    assert_int_equal(0, reopen(&state, &again, &failure));
    state_settled(&again);
    assert_int_equal(0, state.file->head.attempts);
    state_deinit(&again);
    state_deinit(&state);
}

static void test_something_else(void **unused)
{
    struct failure failure = {.text = ""};
    struct state state = make(), again;
    const struct state_head good = state.file->head;
    struct state_head bad[6];

    (void)unused;
    for (size_t i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].magic ^= 1;
    bad[1].version++;
    bad[2].version = 0;
    bad[3].n_vectors = 0;
    bad[4].n_vectors = WIRE_VECTORS_MAX + 1;
    bad[5].memory_size = 0;
    for (size_t i = 0; i < 6; i++) {
        state.file->head = bad[i];
        assert_int_equal(-EPROTO, reopen(&state, &again, &failure));
        assert_null(again.file);
        assert_int_equal(0, state.file->head.attempts); /* it was not touched */
    }
    state.file->head = good;
    assert_int_equal(0, reopen(&state, &again, &failure));
    state_deinit(&again);
    assert_int_equal(0, ftruncate(state.fd, sizeof(struct state_file) - 1));
    assert_int_equal(-EPROTO, reopen(&state, &again, &failure));
    state_deinit(&state);
    again.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(-EPROTO, state_open(&state, again.fd, &failure));
    assert_int_equal(-EPROTO, state_open(&state, -1, &failure));
    close(again.fd);
}

static off_t blocks(const struct state *state)
{
    struct stat status;

    assert_int_equal(0, fstat(state->fd, &status));
    return status.st_blocks;
}

static void test_records_take_and_give_memory(void **unused)
{
    struct state state = make();
    struct state_peer *peer = &state.file->peers[40000];
    off_t before = blocks(&state);

    (void)unused;
    assert_true(before * 512 < 2 * (off_t)sizeof(state.file->seats));
    assert_int_equal(0, state_reserve(&state, 40000, 16383));
    assert_in_range((blocks(&state) - before) * 512, STATE_PAGE, STATE_PEER_SIZE);
    assert_int_equal(0, state_reserve(&state, 40000, WIRE_ID_MAX));
    peer->greeted = 3;
    peer->told[STATE_WORDS - 1] = peer->leaves[STATE_WORDS - 1] = 1;
    state_forget_peer(&state, 40000);
    assert_int_equal(before, blocks(&state));
    assert_int_equal(0, peer->greeted);
    assert_int_equal(0, peer->told[STATE_WORDS - 1]);
    assert_int_equal(0, peer->leaves[STATE_WORDS - 1]);
    state_deinit(&state);
}

static void test_copy(void **unused)
{
    static const unsigned ids[] = {0, 1, 777, WIRE_ID_MAX};
    struct failure failure = {.text = ""};
    struct state state = make(), copy;
    const struct state_file *one = state.file, *other;

    (void)unused;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(0, state_reserve(&state, ids[i], WIRE_ID_MAX));
        state.file->seats[ids[i]].order = i + 1;
        state.file->peers[ids[i]].serial = ids[i] + 5;
        state.file->peers[ids[i]].leaves[STATE_WORDS - 1] = i + 9;
    }
    copy.fd = state_copy(&state);
    assert_true(copy.fd >= 0);
    assert_int_equal(0, state_open(&copy, copy.fd, &failure));
    other = copy.file;
    assert_memory_equal(one->seats, other->seats, sizeof(one->seats));
    for (size_t i = 0; i < 4; i++)
        assert_memory_equal(&one->peers[ids[i]], &other->peers[ids[i]], sizeof(one->peers[0]));
    assert_in_range(blocks(&copy), 1, blocks(&state));
    copy.file->seats[777].order = 0;
    assert_int_equal(3, state.file->seats[777].order);
    assert_int_equal(0, state.file->head.attempts);
    state_deinit(&copy);
    state_deinit(&state);
}

static int check_descriptors(void **state)
{
    return count_descriptors() == *(int *)*state ? 0 : -1;
}

int main(void)
{
    int before = count_descriptors(), *argument = &before;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(test_new_state, NULL, check_descriptors, argument),
        cmocka_unit_test_prestate_setup_teardown(test_counts_from_now_on, NULL, check_descriptors,
                                                 argument),
        cmocka_unit_test_prestate_setup_teardown(test_vacant_seats_are_no_peers, NULL,
                                                 check_descriptors, argument),
        cmocka_unit_test_prestate_setup_teardown(test_channels, NULL, check_descriptors, argument),
        cmocka_unit_test_prestate_setup_teardown(test_attempts, NULL, check_descriptors, argument),
        cmocka_unit_test_prestate_setup_teardown(test_something_else, NULL, check_descriptors,
                                                 argument),
        cmocka_unit_test_prestate_setup_teardown(test_records_take_and_give_memory, NULL,
                                                 check_descriptors, argument),
        cmocka_unit_test_prestate_setup_teardown(test_copy, NULL, check_descriptors, argument),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
