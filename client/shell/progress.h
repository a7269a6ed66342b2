/* SPDX-License-Identifier: MIT
 *
 * A line on a terminal that says how far a long command has come: a bar where the end is known,
 * bytes, rate and the time that is left.
 */
#ifndef IVSHMEM_PROGRESS_H
#define IVSHMEM_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct progress - the line
 * @what:    what is done
 * @total:   bytes; 0 when that is not known
 * @started: when it began, milliseconds
 * @next:    when it is due, milliseconds; -1: never
 * @looked:  when it was shown last, or began
 * @had:     bytes that were done then
 * @rate:    bytes a second, of late
 * @shown:   there is one to be cleared
 */
struct progress {
    const char *what;
    uint64_t total;
    int64_t started, next, looked;
    uint64_t had;
    double rate;
    bool shown;
};

/** progress_begin() - nothing is shown before half a second is over, or if there is no terminal */
void progress_begin(struct progress *progress, const char *what, uint64_t total);

/** progress_show() - so many bytes are done */
void progress_show(struct progress *progress, uint64_t done);

/** progress_end() - clear the line */
void progress_end(struct progress *progress);

/** progress_bytes() - bytes for people, "1.5 GiB"; in @room, of @size bytes. Return: @room. */
const char *progress_bytes(double bytes, char *room, size_t size);

#endif
