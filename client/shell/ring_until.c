/* SPDX-License-Identifier: MIT
 *
 * int --until-reply and --until-word: ring until answered. The cure for the first interrupts of a
 * guest that boots, which are lost while it has not enabled them.
 */
#include <errno.h>
#include <string.h>

#include "client/shell/latch.h"
#include "client/shell/ring.h"

enum { INTERVAL_MS = 100, LOOK_MS = 5 };

/* What ends it: a vector of ours (any_vector: whichever), or a word of the memory. */
struct answer {
    bool in_memory, any_value, any_vector;
    unsigned vector;
    uint64_t offset, value;
};

static int read_word_wish(struct tool *tool, const char *text, struct answer *answer)
{
    struct failure failure;
    char offset[64];
    const char *equals = strchr(text, '=');
    uint32_t now = 0;
    int r;

    snprintf(offset, sizeof(offset), "%.*s", (int)(equals ? equals - text : 63), text);
    answer->in_memory = true;
    answer->any_value = !equals;
    r = argument_size(offset, "--until-word: offset", &answer->offset, &failure);
    if (r == 0 && equals)
        r = argument_number(equals + 1, "--until-word: value", UINT32_MAX, &answer->value,
                            &failure);
    if (r < 0)
        return emit_error(&tool->emit, STATUS_USAGE, "%s", failure.text);
    r = ivshmem_load32(tool->iv, answer->offset, &now);
    if (r < 0)
        return tool_lost(tool, r);
    if (answer->any_value)
        answer->value = now;
    return STATUS_DONE;
}

/* Looks for the answer for up to @ms. Return: 1 when it is there, 0, or a negative errno. */
static int look(struct tool *tool, const struct answer *answer, int64_t ms)
{
    int64_t end = tool_deadline(ms);

    for (;;) {
        int left = tool_left(end), r;
        uint32_t now = 0;

        if (!answer->in_memory) {
            r = latch_wait(tool, answer->any_vector ? NULL : &answer->vector, 1, left);
            return r >= 0 ? 1 : r == -ETIMEDOUT ? 0 : r;
        }
        r = ivshmem_load32(tool->iv, answer->offset, &now);
        if (r < 0 || (now == answer->value) != answer->any_value)
            return r < 0 ? r : 1;
        if (left == 0)
            return 0;
        r = tool_pause(tool, left < LOOK_MS ? left : LOOK_MS, -1);
        if (r < 0)
            return r;
    }
}

/* What was rung before we ring is no answer. */
static void forget_old_events(struct tool *tool, const struct answer *answer)
{
    while (!answer->in_memory &&
           latch_wait(tool, answer->any_vector ? NULL : &answer->vector, 1, 0) >= 0)
        ;
}

static int ring_and_look(struct tool *tool, const struct arguments *given,
                         const struct bells *bells, const struct answer *answer)
{
    int64_t interval = given->interval < 0 ? INTERVAL_MS : given->interval;
    int64_t end = tool_deadline(given->timeout);
    uint64_t rung = 0;

    for (;;) {
        int status = bells_ring(tool, bells, &rung), left = tool_left(end), r;

        if (status != STATUS_DONE)
            return status;
        r = look(tool, answer, left >= 0 && left < interval ? left : interval);
        if (r > 0) {
            emit(&tool->emit, emit_object("rung", rung), "answered after {rung} rings\n");
            return STATUS_DONE;
        }
        if (r < 0)
            return tool_lost(tool, r);
        if (tool_left(end) == 0)
            return emit_error(&tool->emit, STATUS_TIMED_OUT, "no answer after %llu rings",
                              (unsigned long long)rung);
    }
}

int bells_ring_until(struct tool *tool, const struct arguments *given, const struct bells *bells)
{
    struct answer answer = {
        .any_vector = given->reply_vector == NOT_GIVEN,
        .vector = (unsigned)given->reply_vector,
    };
    int status = given->until_word ? read_word_wish(tool, given->until_word, &answer) : STATUS_DONE;

    if (status != STATUS_DONE)
        return status;
    forget_old_events(tool, &answer);
    return ring_and_look(tool, given, bells, &answer);
}
