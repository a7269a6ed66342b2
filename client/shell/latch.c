/* SPDX-License-Identifier: MIT
 *
 * See latch.h. A wait is cut into slices, to see whether the reader of our output is still there;
 * doorbells do not wait for the end of a slice.
 */
#include "client/shell/latch.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "client/shell/interrupt.h"

enum { SLICE_MS = 1000 };

static bool take(struct tool *tool, unsigned vector)
{
    bool was = vector < WIRE_VECTORS_MAX && tool->latched[vector];

    if (was)
        tool->latched[vector] = false;
    return was;
}

static int take_latched(struct tool *tool, const unsigned *vectors, size_t count)
{
    for (unsigned i = 0; i < (vectors ? count : WIRE_VECTORS_MAX); i++)
        if (take(tool, vectors ? vectors[i] : i))
            return (int)(vectors ? vectors[i] : i);
    return -EAGAIN;
}

static bool reader_gone(const struct tool *tool)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return (poll(&out, 1, 0) > 0 && out.revents & (POLLERR | POLLHUP)) || tool->output->error;
}

int latch_wait(struct tool *tool, const unsigned *vectors, size_t count, int64_t timeout)
{
    int64_t end = tool_deadline(timeout);

    fflush(tool->emit.out);
    for (;;) {
        int left = tool_left(end), r = take_latched(tool, vectors, count);
        bool is_last = left >= 0 && left <= SLICE_MS;

        if (r >= 0)
            return r;
        if (interrupt_seen())
            return -EINTR;
        if (reader_gone(tool))
            return -EPIPE;
        r = ivshmem_wait(tool->iv, vectors, count, is_last ? left : SLICE_MS);
        if (r != -ETIMEDOUT || is_last)
            return r;
        fflush(tool->emit.out); /* what listeners printed */
    }
}
