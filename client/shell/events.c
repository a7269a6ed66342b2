/* SPDX-License-Identifier: MIT
 *
 * The command wait, and what is in the table about those that go on (watch.h).
 */
#include <errno.h>

#include "client/shell/latch.h"
#include "client/shell/tool.h"
#include "client/shell/watch.h"

static int read_vectors(const struct arguments *given, unsigned *vectors, struct failure *failure)
{
    for (int i = 0; i < given->count; i++) {
        uint64_t vector = 0;
        int r =
            argument_number(given->words[i], "the vector", WIRE_VECTORS_MAX - 1, &vector, failure);

        if (r < 0)
            return r;
        vectors[i] = (unsigned)vector;
    }
    return 0;
}

static int check_wait(struct arguments *given, struct failure *failure)
{
    unsigned vectors[WIRE_VECTORS_MAX];

    return read_vectors(given, vectors, failure);
}

static int timed_out(struct tool *tool, const struct arguments *given, uint64_t seen)
{
    if (given->times == NOT_GIVEN)
        return emit_error(&tool->emit, STATUS_TIMED_OUT, "no vector was rung in time");
    return emit_error(&tool->emit, STATUS_TIMED_OUT, "%llu of %llu events came in time",
                      (unsigned long long)seen, (unsigned long long)given->times);
}

/* What comes meanwhile is the command's, and not told by the shell as well. */
static int run_wait(struct tool *tool, struct arguments *given)
{
    unsigned vectors[WIRE_VECTORS_MAX];
    const unsigned *wanted = given->count ? vectors : NULL;
    uint64_t times = given->times == NOT_GIVEN ? 1 : given->times, seen = 0;
    int64_t end = tool_deadline(given->timeout);

    if (read_vectors(given, vectors, NULL) < 0)
        return STATUS_USAGE;
    for (int i = 0; i < given->count; i++)
        if ((int)vectors[i] >= ivshmem_vectors(tool->iv, (unsigned)ivshmem_id(tool->iv)))
            return emit_error(&tool->emit, STATUS_NOT_FOUND, "we have no vector %u", vectors[i]);
    for (; seen < times; seen++) {
        int vector = latch_wait(tool, wanted, (size_t)given->count, tool_left(end));
        cJSON *event;

        if (vector == -ETIMEDOUT)
            return timed_out(tool, given, seen);
        if (vector < 0)
            return tool_lost(tool, vector);
        event = emit_object("vector", (uint64_t)vector);
        emit_add(event, "peer", (uint64_t)ivshmem_id(tool->iv));
        emit_add_time(event);
        emit(&tool->emit, event, "receive notification from peer_id={peer} vector={vector}\n");
        fflush(tool->emit.out);
    }
    return STATUS_DONE;
}

static const struct option_spec wait_options[] = {
    {"count", 'n', "N", "wait for so many events [1]", argument_set_count, ARGUMENT(times), 0},
    {"timeout", 't', "SECONDS", "give up with exit status 4; 0 only looks", argument_set_seconds,
     ARGUMENT(timeout), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

static bool monitor_needs_place(const struct arguments *given)
{
    return !given->control_only;
}

static const struct option_spec monitor_options[] = {
    {"control-only", 0, NULL, "do not join the peers for it", option_set_switch,
     ARGUMENT(control_only), 0},
    {"count", 'n', "N", "end after so many events", argument_set_count, ARGUMENT(times), 0},
    {"timeout", 't', "SECONDS", "end after this time, with exit status 4", argument_set_seconds,
     ARGUMENT(timeout), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

static const struct option_spec watch_options[] = {
    {"offset", 'o', "SIZE", "where to begin [0]", argument_set_size, ARGUMENT(offset), 0},
    {"length", 'l', "SIZE", "how many bytes [4096]", argument_set_size, ARGUMENT(length), 0},
    {"interval", 'i', "SECONDS", "how often to look [0.1]", argument_set_seconds,
     ARGUMENT(interval), 0},
    {"time", 0, NULL, "put the time before each row", option_set_switch, ARGUMENT(with_time), 0},
    {"count", 'n', "N", "end after so many rows", argument_set_count, ARGUMENT(times), 0},
    {"timeout", 't', "SECONDS", "end after this time, with exit status 4", argument_set_seconds,
     ARGUMENT(timeout), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

const struct command event_commands[] = {
    {
        .name = "wait",
        .forms = {{"[<vector>...]", "wait until one of our vectors, or of these, is rung"}},
        .details = "An event latches: a vector that was rung once or many times before ends the\n"
                   "wait at once, and its event is gone then. Of several who wait one gets it.",
        .options = wait_options,
        .needs = NEEDS_PLACE,
        .most = WIRE_VECTORS_MAX,
        .check = check_wait,
        .run = run_wait,
    },
    {
        .name = "monitor",
        .forms = {{"", "print what happens: joins, leaves, refusals, our doorbells"}},
        .details = "With a control socket it tells of processes and reasons too.",
        .options = monitor_options,
        .needs = NEEDS_EITHER,
        .needs_place = monitor_needs_place,
        .run = monitor_run,
    },
    {
        .name = "watch",
        .forms = {{"", "print the rows of the memory that change"}},
        .options = watch_options,
        .needs = NEEDS_MEMORY,
        .run = watch_run,
    },
    {.name = NULL},
};
