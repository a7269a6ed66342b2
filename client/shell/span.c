/* SPDX-License-Identifier: MIT
 *
 * See span.h. Progress goes to standard error, and only if that is a terminal.
 */
#include "client/shell/span.h"

#include <unistd.h>

enum { STEP_MS = 500 };

int span_of(struct tool *tool, const struct arguments *given, struct span *span)
{
    uint64_t size = ivshmem_memory_size(tool->iv);
    uint64_t offset = given->offset == NOT_GIVEN ? 0 : given->offset;
    uint64_t room = offset < size ? size - offset : 0;

    if (offset > size)
        return emit_error(&tool->emit, STATUS_USAGE,
                          "offset %llu is outside: the memory has %llu bytes",
                          (unsigned long long)offset, (unsigned long long)size);
    if (given->length != NOT_GIVEN && given->length > room)
        return emit_error(&tool->emit, STATUS_USAGE,
                          "%llu bytes at offset %llu are too many: the memory has %llu bytes",
                          (unsigned long long)given->length, (unsigned long long)offset,
                          (unsigned long long)size);
    span->offset = offset;
    span->length = given->length == NOT_GIVEN ? room : given->length;
    return STATUS_DONE;
}

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
    *progress = (struct progress){.what = what, .total = total, .next = -1};
    if (isatty(STDERR_FILENO))
        progress->next = tool_now() + STEP_MS;
}

void progress_show(struct progress *progress, uint64_t done)
{
    if (progress->next < 0 || tool_now() < progress->next)
        return;
    progress->next = tool_now() + STEP_MS;
    progress->shown = true;
    fprintf(stderr, "\r%s %llu MiB", progress->what, (unsigned long long)(done >> 20));
    if (progress->total)
        fprintf(stderr, " of %llu (%llu %%)", (unsigned long long)(progress->total >> 20),
                (unsigned long long)(done / (progress->total / 100 + 1)));
    fprintf(stderr, "\033[K");
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        fprintf(stderr, "\r\033[K");
}
