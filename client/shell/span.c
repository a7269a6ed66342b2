/* SPDX-License-Identifier: MIT
 *
 * See span.h.
 */
#include "client/shell/span.h"

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
