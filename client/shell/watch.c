/* SPDX-License-Identifier: MIT
 *
 * The command watch: prints the rows of the memory that change. It looks again and again; what
 * changes and changes back between two looks is not seen.
 */
#include "client/shell/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/shell/hex.h"
#include "client/shell/span.h"
#include "common/cleanup.h"

enum { INTERVAL_MS = 100, DEFAULT_LENGTH = 4096 };

static void say_row(struct tool *tool, bool with_time, uint64_t offset, const uint8_t *bytes,
                    size_t size)
{
    cJSON *object = emit_object("offset", offset);

    emit_add_time(object);
    emit_add_hex(object, "hex", bytes, size);
    if (!tool->emit.json && !tool->emit.quiet) {
        if (with_time)
            emit_text(tool->emit.out, object, "{clock} ");
        hex_print(tool->emit.out, offset, bytes, size);
    }
    emit(&tool->emit, object, NULL);
}

/* Return: how many rows were printed, up to @most. */
static uint64_t say_changes(struct tool *tool, bool with_time, const struct span *span,
                            const uint8_t *before, const uint8_t *now, uint64_t most)
{
    uint64_t rows = 0;

    for (uint64_t at = 0; at < span->length && rows < most; at += HEX_ROW) {
        size_t size = span->length - at < HEX_ROW ? (size_t)(span->length - at) : HEX_ROW;

        if (memcmp(before + at, now + at, size) != 0) {
            say_row(tool, with_time, span->offset + at, now + at, size);
            rows++;
        }
    }
    return rows;
}

static int watch(struct tool *tool, const struct arguments *given, const struct span *span,
                 uint8_t *before, uint8_t *now)
{
    int64_t interval = given->interval < 0 ? INTERVAL_MS : given->interval;
    int64_t end = tool_deadline(given->timeout);
    uint64_t wanted = given->times;
    int r = ivshmem_read(tool->iv, span->offset, before, span->length);

    while (r == 0) {
        int left = tool_left(end);
        uint8_t *old = before;

        if (left == 0)
            return emit_error(&tool->emit, STATUS_TIMED_OUT, "the time for watching is over");
        r = tool_pause(tool, left >= 0 && left < interval ? left : interval, -1);
        if (r < 0)
            break;
        r = ivshmem_read(tool->iv, span->offset, now, span->length);
        if (r == 0)
            wanted -= say_changes(tool, given->with_time, span, before, now, wanted);
        if (wanted == 0)
            return STATUS_DONE;
        before = now;
        now = old;
    }
    return tool_lost(tool, r);
}

int watch_run(struct tool *tool, struct arguments *given)
{
    struct span span;
    int status = span_of(tool, given, &span);
    _cleanup_free_ uint8_t *before = NULL, *now = NULL;

    if (status != STATUS_DONE)
        return status;
    if (given->length == NOT_GIVEN && span.length > DEFAULT_LENGTH)
        span.length = DEFAULT_LENGTH;
    before = malloc(span.length + 1);
    now = malloc(span.length + 1);
    if (!before || !now)
        return emit_error(&tool->emit, STATUS_USAGE, "no memory for %llu bytes; watch fewer",
                          (unsigned long long)span.length);
    return watch(tool, given, &span, before, now);
}
