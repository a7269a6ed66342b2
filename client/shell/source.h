/* SPDX-License-Identifier: MIT
 *
 * The bytes that write puts into the memory: a text, a row of hexadecimal, a file, standard input.
 */
#ifndef IVSHMEM_SOURCE_H
#define IVSHMEM_SOURCE_H

#include <stdint.h>

#include "client/shell/arguments.h"
#include "common/failure.h"

/**
 * struct source - where the bytes come from
 * @bytes: all of them, owned; NULL when they are read from @fd piece by piece
 * @size:  how many there are
 * @fd:    a regular file, or -1
 * @extra: bytes of 0 to write behind them
 * @cut:   there are more, which were not read
 */
struct source {
    uint8_t *bytes;
    uint64_t size;
    int fd;
    unsigned extra;
    bool cut;
};

/**
 * source_open() - find out what to write
 * @source:  set; source_close() it, also after an error
 * @given:   words and options of write
 * @most:    what fits; a stream is read until it has ended or is more than that
 * @failure: why it cannot be read
 *
 * Return: 0 or a negative errno.
 */
int source_open(struct source *source, const struct arguments *given, uint64_t most,
                struct failure *failure);

/**
 * source_read() - copy a piece of it
 * @source:  opened
 * @at:      where the piece begins, from the start
 * @buffer:  where to
 * @size:    bytes, not more than there are
 * @failure: why it cannot be read
 *
 * Return: 0, or a negative errno: a file can have become shorter.
 */
int source_read(const struct source *source, uint64_t at, void *buffer, size_t size,
                struct failure *failure);

/** source_close() - done with it */
void source_close(struct source *source);

#endif
