/* SPDX-License-Identifier: MIT
 *
 * Input cut into commands: what stands between newlines, carriage returns and semicolons, however
 * the bytes arrive. The caller looks at a command, and drops it once it is done; until then it
 * stays.
 */
#ifndef IVSHMEM_LINES_H
#define IVSHMEM_LINES_H

#include <stdbool.h>
#include <stddef.h>

/* No command is near this; a stream without any separator must not eat all memory. */
enum { LINES_MAX = 16 * 1024 * 1024 };

/**
 * struct lines - input that has not been dropped yet
 * @data:     the bytes, owned; there is always room for a NUL behind them
 * @room:     bytes allocated
 * @start:    where the current command begins
 * @end:      where the input ends so far
 * @scanned:  there is no separator between @start and here
 * @stop:     where the current command ends, when @found
 * @found:    the current command is complete
 * @ended:    no more input will come
 * @too_long: the beginning of the current command was thrown away
 *
 * Starts zeroed.
 */
struct lines {
    char *data;
    size_t room;
    size_t start;
    size_t end;
    size_t scanned;
    size_t stop;
    bool found;
    bool ended;
    bool too_long;
};

/**
 * lines_feed() - append input
 * @lines: the input
 * @bytes: any bytes, NUL included
 * @count: how many
 *
 * Invalidates the text of lines_peek().
 *
 * Return: 0 or -ENOMEM.
 */
int lines_feed(struct lines *lines, const char *bytes, size_t count);

/**
 * lines_end() - no more input will come: what is left is a command without a separator
 * @lines: the input
 */
void lines_end(struct lines *lines);

/**
 * lines_peek() - look at the command whose turn it is
 * @lines:  the input
 * @text:   set to the command, perhaps an empty one, with a NUL behind it; to NULL for one of more
 *          than LINES_MAX bytes, whose text is gone
 * @length: set to its length, which is not strlen(@text) when it has a NUL inside
 *
 * Return: false when there is no complete command yet. The same again until lines_drop().
 */
bool lines_peek(struct lines *lines, const char **text, size_t *length);

/**
 * lines_drop() - go on to the next command
 * @lines: the input; the last lines_peek() found something
 */
void lines_drop(struct lines *lines);

/**
 * lines_deinit() - forget all input
 * @lines: may be used again afterwards
 */
void lines_deinit(struct lines *lines);

#endif
