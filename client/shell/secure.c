/* SPDX-License-Identifier: MIT
 *
 * See secure.h. Like all calls on channels these wait in slices.
 */
#include "client/shell/secure.h"

#include <errno.h>
#include <string.h>

#include "client/shell/interrupt.h"

enum { PATIENCE_MS = 30000 }; /* without --timeout: who does not encrypt may say nothing */

int secure_new(struct tool *tool, const struct arguments *given, struct ivshmem_secure **secure)
{
    struct ivshmem_secure *made = NULL;
    int status = STATUS_DONE, r;

    *secure = NULL;
    if (!given->key_file)
        return status;
    r = ivshmem_secure_new(&made);
    if (r == -ENOTSUP)
        return emit_error(&tool->emit, STATUS_USAGE,
                          "--key-file: not in this build, which was made without GnuTLS");
    if (r < 0)
        return emit_error(&tool->emit, STATUS_USAGE, "--key-file: %s", strerror(-r));
    r = ivshmem_secure_read_key(made, given->key_file);
    if (r < 0) {
        status =
            emit_error(&tool->emit, STATUS_USAGE, "--key-file: %s", ivshmem_secure_error(made));
        made = ivshmem_secure_free(made);
    }
    *secure = made;
    return status;
}

/* Return: as ivshmem_secure_start(), after the whole time-out, or -EINTR. */
static int agree(const struct arguments *given, struct ivshmem_secure *secure,
                 struct ivshmem_channel *channel, enum ivshmem_secure_side side)
{
    int64_t deadline = tool_deadline(given->timeout >= 0 ? given->timeout : PATIENCE_MS);

    for (;;) {
        int r = ivshmem_secure_start(secure, channel, side);

        if (r != -ETIMEDOUT || tool_left(deadline) == 0)
            return r;
        if (interrupt_seen())
            return -EINTR;
    }
}

int secure_start(struct tool *tool, const struct arguments *given, struct ivshmem_secure *secure,
                 struct ivshmem_channel **channel, enum ivshmem_secure_side side)
{
    int r = secure ? agree(given, secure, *channel, side) : 0;

    if (r == 0)
        return STATUS_DONE;
    *channel = link_close(tool, *channel);
    return link_failed_as(tool, "encryption", r,
                          r == -ETIMEDOUT ? "the other side says nothing: has it a key?"
                                          : ivshmem_secure_error(secure));
}

/* What was sent may still fill the ring: then the end has to wait for room, as all of it did. */
static int end_whole(struct ivshmem_secure *secure)
{
    int64_t deadline = tool_deadline(PATIENCE_MS);
    int r;

    do
        r = ivshmem_secure_end(secure);
    while (r == -ETIMEDOUT && !interrupt_seen() && tool_left(deadline) != 0);
    return r;
}

void secure_close(struct tool *tool, bool whole)
{
    if (tool->secure && whole && end_whole(tool->secure) == -ETIMEDOUT)
        emit_error(&tool->emit, STATUS_TIMED_OUT,
                   "the other side does nothing, and was not told that all is sent: it will take"
                   " what it gets for a part");
    tool->secure = ivshmem_secure_free(tool->secure);
    tool->channel = link_close(tool, tool->channel);
}
