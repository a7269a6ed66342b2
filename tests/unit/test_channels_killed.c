/* SPDX-License-Identifier: MIT
 *
 * A process that has the tables of channels is killed, and another carries on: each request is
 * carried out once and as a whole, wherever it stopped.
 *
 * A child carries out one request, an instruction at a time, and is killed after some of them.
 */
#include "tests/unit/tables.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum { KILLS = 10, KILLS_LONG = 200, STEPS_MAX = 1000000 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MANY_INSTRUCTIONS = 1 }; /* ten times as many, and the others say nothing new */
#else
enum { MANY_INSTRUCTIONS = 0 };
#endif

static struct tables tables;
static uint64_t seed;

/* Two connections of two rings from peer 1 to 2: one that is open, one that is offered. */
static const unsigned first = 0, offer = 2;

static void start(void)
{
    tables_start(&tables);
    for (unsigned peer = 1; peer <= 3; peer++)
        tables_join_and_speak(&tables, peer);
    assert_int_equal(LAYOUT_OK, ASK(&tables, 2, LAYOUT_LISTEN, .port = 9));
    assert_int_equal(first, tables_open(&tables, 1, 2, 9, 8192, 4096));
    assert_int_equal(offer, tables_connect(&tables, 1, 2, 9, 4096, 8192));
    assert_int_equal(0, channels_resize(tables.channels, first, 16384));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_MOVED, .channel = first, .generation = 1));
}

/* Gives control to a child that waits to be led; skips the test where that is not allowed. */
static pid_t start_child(unsigned peer)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(77);
        raise(SIGSTOP);
        tables_ring_daemon(&tables, peer);
        _exit(0);
    }
    assert_int_equal(child, waitpid(child, &status, 0));
    if (!WIFSTOPPED(status)) {
        print_message("skipped: ptrace(2) is not allowed here\n");
        tables_end(&tables);
        skip();
    }
    return child;
}

static bool step(pid_t child)
{
    int status;

    return ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0 &&
           waitpid(child, &status, 0) == child && WIFSTOPPED(status);
}

static void end_child(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* Return: how many instructions it takes, up to where the request is done with. */
static unsigned count_steps(unsigned peer, struct layout_request request)
{
    const uint32_t *hearing;
    bool heard = false;
    unsigned count = 0;
    pid_t child;

    start();
    hearing = &tables.state->peers[peer].hearing;
    tables_write(&tables, peer, request);
    child = start_child(peer);
    while (count < STEPS_MAX && !(heard && !*hearing) && step(child)) {
        heard |= *hearing != 0;
        count++;
    }
    end_child(child);
    assert_true(heard && !*hearing);
    tables_end(&tables);
    return count;
}

/* As another process finds it; the doorbell may not have been taken, and then it rings again. */
static void killed_after(unsigned peer, struct layout_request request, unsigned steps)
{
    pid_t child;

    start();
    tables_write(&tables, peer, request);
    child = start_child(peer);
    while (steps > 0 && step(child))
        steps--;
    end_child(child);
    tables_restart(&tables);
    tables_ring_daemon(&tables, peer);
    assert_int_equal(tables.number[peer], tables_mailbox(&tables, peer)->reply.number);
    assert_int_equal(LAYOUT_OK, tables_mailbox(&tables, peer)->reply.status);
    for (unsigned i = 0; i < TABLES_CHANNELS; i++)
        assert_memory_equal((struct layout_entry[]){tables_entry(&tables, i)},
                            &tables.state->rings[i].entry, sizeof(struct layout_entry));
}

static void all_points(unsigned peer, struct layout_request request, void (*check)(void))
{
    unsigned steps = count_steps(peer, request);
    unsigned kills = getenv("IVSHMEM_TEST_LONG") ? KILLS_LONG : KILLS;

    for (unsigned i = 0; i < kills; i++) {
        unsigned place = steps / kills * i + random_below(&seed, steps / kills + 1);

        killed_after(peer, request, place);
        check();
        tables_end(&tables);
    }
}

static unsigned state_of(unsigned channel)
{
    return tables_entry(&tables, channel).state;
}

static void is_connected(void)
{
    unsigned channel = tables_mailbox(&tables, 3)->reply.channel;

    assert_int_equal(6, tables.channels->n_used);
    assert_int_equal(LAYOUT_OFFERED, state_of(channel));
    assert_int_equal(2, tables.channels->usage[3].channels);
    assert_int_equal(8192, tables.channels->usage[3].bytes);
}

static void connect_once(void **state)
{
    (void)state;
    all_points(3,
               (struct layout_request){
                   .operation = LAYOUT_CONNECT, .peer = 2, .port = 9, .size = 1, .reverse_size = 1},
               is_connected);
}

static void is_accepted(void)
{
    assert_int_equal(LAYOUT_OPEN, state_of(offer));
    assert_int_equal(LAYOUT_OPEN, state_of(tables_entry(&tables, offer).pair));
    assert_int_equal(4, tables.channels->usage[2].channels);
}

static void accept_once(void **state)
{
    (void)state;
    all_points(2, (struct layout_request){.operation = LAYOUT_ACCEPT, .channel = offer},
               is_accepted);
}

static void is_closed(void)
{
    assert_int_equal(LAYOUT_CLOSED, state_of(first));
    assert_int_equal(LAYOUT_CLOSED, state_of(tables_entry(&tables, first).pair));
    assert_int_equal(0, tables.channels->usage[2].channels);
    assert_int_equal(4, tables.channels->usage[1].channels);
}

static void close_once(void **state)
{
    (void)state;
    all_points(2, (struct layout_request){.operation = LAYOUT_CLOSE, .channel = first}, is_closed);
}

static void is_moved(void)
{
    assert_int_equal(1, tables_entry(&tables, first).ring_generation);
    assert_int_equal(16384, tables_entry(&tables, first).buff_size);
    assert_int_equal(1, tables.state->rings[first].resizes);
}

static void move_once(void **state)
{
    (void)state;
    all_points(
        2, (struct layout_request){.operation = LAYOUT_MOVED, .channel = first, .generation = 1},
        is_moved);
}

static void has_begun_anew(void)
{
    assert_int_equal(4, tables.channels->n_used); /* the other end has not closed */
    assert_int_equal(LAYOUT_PEER_GONE, tables_entry(&tables, first).status);
    assert_int_equal(LAYOUT_PEER_GONE, tables_entry(&tables, offer).status);
    assert_int_equal(0, tables.state->peers[2].n_ports);
    assert_int_equal(3, tables_peer(&tables, 2).vector);
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_CLOSE, .channel = first));
    assert_int_equal(LAYOUT_OK, ASK(&tables, 1, LAYOUT_CLOSE, .channel = offer));
    assert_int_equal(1, tables.channels->extents.count);
}

static void hello_once(void **state)
{
    (void)state;
    all_points(2, (struct layout_request){.operation = LAYOUT_HELLO, .vector = 3}, has_begun_anew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_once), cmocka_unit_test(accept_once), cmocka_unit_test(close_once),
        cmocka_unit_test(move_once),    cmocka_unit_test(hello_once),
    };

    if (MANY_INSTRUCTIONS) {
        print_message("skipped: takes too long with a sanitizer\n");
        return 77;
    }
    log_set_level(LOG_ERR);
    seed = random_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
