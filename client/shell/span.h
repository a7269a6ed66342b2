/* SPDX-License-Identifier: MIT
 *
 * The part of the memory that a command works on.
 */
#ifndef IVSHMEM_SPAN_H
#define IVSHMEM_SPAN_H

#include "client/shell/progress.h"
#include "client/shell/tool.h"

enum { SPAN_PIECE = 1 << 20 }; /* bytes that are copied at a time */

/**
 * struct span - a part of the memory
 * @offset: where it begins
 * @length: its bytes
 */
struct span {
    uint64_t offset, length;
};

/**
 * span_of() - the part that --offset and --length name, within the memory
 * @tool:   the tool, a peer
 * @given:  the options; from 0 and up to the end where they are not given
 * @span:   set
 *
 * Return: STATUS_DONE, or STATUS_USAGE after saying how large the memory is.
 */
int span_of(struct tool *tool, const struct arguments *given, struct span *span);

#endif
