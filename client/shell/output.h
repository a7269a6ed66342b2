/* SPDX-License-Identifier: MIT
 *
 * Standard output for a program that must not be surprised by it: a stream that copes with a
 * non-blocking descriptor (one shared with a careless program) by waiting, and with a reader that
 * has gone by dropping what is written.
 */
#ifndef IVSHMEM_OUTPUT_H
#define IVSHMEM_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

/**
 * struct output - the stream and what became of it
 * @file:    to print to; fflush() it before waiting for anything
 * @fd:      where it goes; not owned
 * @error:   errno of the first write that failed, 0 if none did
 * @gone:    the reader closed its end; the rest is dropped, which is no error
 * @at_line_start: the last byte that was flushed is a newline
 * @hide, @show: are called before and after something is written, with @context; NULL for nothing
 */
struct output {
    FILE *file;
    int fd;
    int error;
    bool gone;
    bool at_line_start;
    void (*hide)(void *context);
    void (*show)(void *context);
    void *context;
};

/**
 * output_init() - open the stream
 * @output: must stay where it is until output_deinit()
 * @fd:     descriptor to write to
 *
 * Return: 0 or a negative errno.
 */
int output_init(struct output *output, int fd);

/**
 * output_deinit() - flush and close the stream
 * @output: one that was initialized, or is zeroed; @error and @gone stay readable
 */
void output_deinit(struct output *output);

#endif
