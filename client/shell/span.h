/* SPDX-License-Identifier: MIT
 *
 * The part of the memory that a command works on, and how far it has come.
 */
#ifndef IVSHMEM_SPAN_H
#define IVSHMEM_SPAN_H

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

/**
 * struct progress - a line on a terminal that says how far a long command has come
 * @what:  what is done
 * @total: bytes; 0 when that is not known
 * @next:  when it is due, milliseconds
 * @shown: there is one to be cleared
 */
struct progress {
    const char *what;
    uint64_t total;
    int64_t next;
    bool shown;
};

/** progress_begin() - nothing is shown before half a second is over */
void progress_begin(struct progress *progress, const char *what, uint64_t total);

/** progress_show() - so many bytes are done */
void progress_show(struct progress *progress, uint64_t done);

/** progress_end() - clear the line */
void progress_end(struct progress *progress);

#endif
