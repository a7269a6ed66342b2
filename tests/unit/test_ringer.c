/* SPDX-License-Identifier: MIT
 *
 * The ringer: doorbells are rung in turns, those that somebody has blocked are given up, and nobody
 * waits for them but who asked; the thread ends whatever it is at.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/eventfd.h>

#include "common/cleanup.h"
#include "common/doorbell.h"
#include "server/ringer.h"

enum { N_BELLS = 100 };

/* A job that rings each of some doorbells once; one that cannot be rung ends it. */
struct task {
    struct ringer_job job;
    struct event_base *base;
    const int *bells;
    unsigned n_bells, next, rung, turns, ended;
    int error;
};

struct fixture {
    struct event_base *base;
    struct ringer *ringer;
    int bells[N_BELLS];
    int descriptors;
};

static unsigned aim(struct ringer_job *job, int *doorbells)
{
    struct task *task = (struct task *)job;
    unsigned count = 0;

    assert_int_equal(0, task->ended);
    while (!task->error && count < RINGER_TURN && task->next < task->n_bells)
        doorbells[count++] = task->bells[task->next++];
    return count;
}

static void report(struct ringer_job *job, unsigned rung, int error)
{
    struct task *task = (struct task *)job;

    task->turns++;
    task->rung += rung;
    task->error = error;
}

static void end(struct ringer_job *job)
{
    struct task *task = (struct task *)job;

    task->ended++;
    event_base_loopbreak(task->base);
}

static const struct ringer_orders orders = {aim, report, end};

static struct task task_for(const struct fixture *fixture, const int *bells, unsigned n_bells)
{
    return (struct task){
        .job = {.orders = &orders}, .base = fixture->base, .bells = bells, .n_bells = n_bells};
}

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture.descriptors = count_descriptors();
    fixture.base = event_base_new();
    for (int i = 0; i < N_BELLS; i++)
        fixture.bells[i] = doorbell_new();
    *state = &fixture;
    return fixture.base ? ringer_new(fixture.base, &fixture.ringer) : -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    fixture->ringer = ringer_free(fixture->ringer);
    for (int i = 0; i < N_BELLS; i++)
        close_fd(fixture->bells[i]);
    event_base_free(fixture->base);
    return count_descriptors() == fixture->descriptors ? 0 : -1;
}

/* What a peer can do to its doorbell. */
static void block(int bell)
{
    const uint64_t most = UINT64_MAX - 1;

    doorbell_take(bell);
    assert_int_equal(sizeof(most), write(bell, &most, sizeof(most)));
    assert_int_equal(0, fcntl(bell, F_SETFL, 0));
}

static void run_until_end(const struct fixture *fixture, const struct task *task)
{
    while (!task->ended)
        assert_int_equal(0, event_base_loop(fixture->base, EVLOOP_ONCE));
    assert_int_equal(1, task->ended);
}

static void all_are_rung(void **state)
{
    struct fixture *fixture = *state;
    struct task task = task_for(fixture, fixture->bells, N_BELLS);

    ringer_add(fixture->ringer, &task.job);
    run_until_end(fixture, &task);
    assert_int_equal(0, task.error);
    assert_int_equal(N_BELLS, task.rung);
    assert_int_equal((N_BELLS + RINGER_TURN - 1) / RINGER_TURN, task.turns);
    for (int i = 0; i < N_BELLS; i++) {
        uint64_t count;

        assert_int_equal(sizeof(count), read(fixture->bells[i], &count, sizeof(count)));
        assert_int_equal(1, count);
    }
}

static void nothing_to_ring(void **state)
{
    struct fixture *fixture = *state;
    struct task task = task_for(fixture, NULL, 0);

    ringer_add(fixture->ringer, &task.job);
    assert_int_equal(0, task.ended);
    run_until_end(fixture, &task);
    assert_int_equal(0, task.turns);
}

/* A short job does not wait for the end of a long one. */
static void jobs_take_turns(void **state)
{
    struct fixture *fixture = *state;
    struct task whole = task_for(fixture, fixture->bells, N_BELLS);
    struct task one = task_for(fixture, fixture->bells + 7, 1);

    ringer_add(fixture->ringer, &whole.job);
    ringer_add(fixture->ringer, &one.job);
    run_until_end(fixture, &one);
    assert_int_equal(0, whole.ended);
    run_until_end(fixture, &whole);
    assert_int_equal(N_BELLS, whole.rung);
}

static void blocked_doorbells(void **state)
{
    struct fixture *fixture = *state;
    struct task task = task_for(fixture, fixture->bells, N_BELLS);
    struct task other = task_for(fixture, fixture->bells + 50, 10);

    block(fixture->bells[20]);
    ringer_add(fixture->ringer, &task.job);
    ringer_add(fixture->ringer, &other.job);
    run_until_end(fixture, &task);
    assert_int_equal(-EAGAIN, task.error);
    assert_int_equal(20, task.rung);
    run_until_end(fixture, &other);
    assert_int_equal(0, other.error);
    assert_int_equal(10, other.rung);

    /* a full one that does not block is the same to who rings */
    assert_int_equal(0, fcntl(fixture->bells[20], F_SETFL, O_NONBLOCK));
    task = task_for(fixture, fixture->bells + 20, 1);
    ringer_add(fixture->ringer, &task.job);
    run_until_end(fixture, &task);
    assert_int_equal(-EAGAIN, task.error);
}

/* The owner closes its doorbell while the ringer is at it. */
static void closed_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    struct task task = task_for(fixture, fixture->bells, 3);

    block(fixture->bells[1]);
    ringer_add(fixture->ringer, &task.job);
    while (!task.next) /* until the thread has them */
        event_base_loop(fixture->base, EVLOOP_ONCE);
    for (int i = 0; i < 3; i++)
        fixture->bells[i] = close_fd(fixture->bells[i]);
    run_until_end(fixture, &task);
    assert_int_equal(1, task.rung);
    assert_int_equal(-EAGAIN, task.error);
}

static void free_while_blocked(void **state)
{
    struct fixture *fixture = *state;
    struct task task = task_for(fixture, fixture->bells, N_BELLS);
    struct task waiting = task_for(fixture, fixture->bells, 1);

    block(fixture->bells[0]);
    ringer_add(fixture->ringer, &task.job);
    ringer_add(fixture->ringer, &waiting.job);
    while (!task.next)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    fixture->ringer = ringer_free(fixture->ringer);
    assert_int_equal(1, task.ended);
    assert_int_equal(1, waiting.ended);
}

static void no_descriptors(void **state)
{
    struct fixture *fixture = *state;
    struct task task = task_for(fixture, fixture->bells, N_BELLS);
    rlim_t before = limit_descriptors(5);

    ringer_add(fixture->ringer, &task.job);
    run_until_end(fixture, &task);
    unlimit_descriptors(before);
    assert_int_equal(-EMFILE, task.error);
    assert_int_equal(0, task.rung);
    assert_int_equal(0, doorbell_take(fixture->bells[0]));
}

/* One ring after the other, as a script does it. */
static void again_and_again(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < 2000; i++) {
        struct task task = task_for(fixture, fixture->bells + i % N_BELLS, 1);

        ringer_add(fixture->ringer, &task.job);
        run_until_end(fixture, &task);
        assert_int_equal(1, task.rung);
        assert_int_equal(1, doorbell_take(fixture->bells[i % N_BELLS]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_are_rung, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_to_ring, set_up, tear_down),
        cmocka_unit_test_setup_teardown(jobs_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(blocked_doorbells, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closed_meanwhile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(free_while_blocked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(again_and_again, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
