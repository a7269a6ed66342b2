/* SPDX-License-Identifier: MIT
 *
 * A failure that a person will read: what went wrong, with which value, and the way out. Set-up
 * code fills one in and returns the negative errno; only the edge (main, a log line) prints it.
 */
#ifndef IVSHMEM_FAILURE_H
#define IVSHMEM_FAILURE_H

/**
 * struct failure - text of the last error
 * @text: one line without a newline; empty when nothing failed
 */
struct failure {
    char text[512];
};

/**
 * failure_set() - describe an error and hand it on
 * @failure: where the text goes; may be NULL when nobody wants it
 * @error:   positive errno value
 * @format:  printf format of the text; say what, which value, and what to do
 *
 * Return: -@error, so that a function can `return failure_set(...)`.
 */
int failure_set(struct failure *failure, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
