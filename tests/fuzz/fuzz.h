/* SPDX-License-Identifier: MIT
 *
 * What the fuzzers share. Each is one function that takes any bytes. Linked with libFuzzer it hunts
 * for bytes that break something; linked with replay.c it is a test that runs a corpus.
 */
#ifndef IVSHMEM_TESTS_FUZZ_H
#define IVSHMEM_TESTS_FUZZ_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/**
 * LLVMFuzzerTestOneInput() - try some bytes; what must not happen aborts
 * @data: the bytes
 * @size: how many
 *
 * The name is libFuzzer's.
 *
 * Return: always 0.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** REQUIRE() - abort unless something holds, whatever NDEBUG says */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** count_descriptors() - how many descriptors are open, the one that looks included */
static inline int count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;

    REQUIRE(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/** copy_text() - the bytes as a string, to be free()d; a NUL among them ends it */
static inline char *copy_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* exactly: a sanitizer sees each byte beyond */

    REQUIRE(text);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

#endif
