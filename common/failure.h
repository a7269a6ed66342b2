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
 * failure_describe() - put an error into words
 * @failure: where the text goes; may be NULL when nobody wants it
 * @format:  printf format of the text; say what, which value, and what to do
 */
void failure_describe(struct failure *failure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * failure_set() - describe an error and hand it on
 * @failure: where the text goes; may be NULL
 * @error:   positive errno value
 * @...:     as for failure_describe()
 *
 * A macro, so that compilers and analyzers see that the value is that of @error.
 *
 * Return: -@error, so that a function can `return failure_set(...)`.
 */
#define failure_set(failure, error, ...)                                                           \
    ({                                                                                             \
        const int error_ = (error);                                                                \
        failure_describe(failure, __VA_ARGS__);                                                    \
        -error_;                                                                                   \
    })

#endif
