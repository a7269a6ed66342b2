/* SPDX-License-Identifier: MIT
 *
 * A stream of bytes that can be told from any other, and from itself moved or torn.
 *
 *     pattern make BYTES SEED     writes it to standard output
 *     pattern check BYTES SEED    reads standard input: exit 0 when it is that, to the byte; else 1
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS = 16 << 10 };

static uint64_t words[WORDS];
static uint8_t came[sizeof(words)];

/* Marsaglia's xorshift64. */
static void fill(uint64_t *state)
{
    for (int i = 0; i < WORDS; i++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        words[i] = *state;
    }
}

static int put_all(size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = write(STDOUT_FILENO, (const uint8_t *)words + done, size - done);

        if (put < 0 && errno != EINTR)
            return -errno;
        done += put > 0 ? (size_t)put : 0;
    }
    return 0;
}

/* Return: bytes, fewer than asked for at the end of the input only. */
static size_t get_all(size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = read(STDIN_FILENO, came + done, size - done);

        if (got == 0 || (got < 0 && errno != EINTR))
            break;
        done += got > 0 ? (size_t)got : 0;
    }
    return done;
}

static int fail(uint64_t at, const char *what)
{
    fprintf(stderr, "pattern: byte %llu and the next: %s\n", (unsigned long long)at, what);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    uint64_t total, state, done = 0;
    int make = argc == 4 && strcmp(argv[1], "make") == 0;

    if (argc != 4 || (!make && strcmp(argv[1], "check") != 0))
        return fail(0, "usage: pattern make|check BYTES SEED");
    total = strtoull(argv[2], NULL, 10);
    state = strtoull(argv[3], NULL, 10) * 2 + 1; /* not 0 */
    while (done < total) {
        size_t size = total - done < sizeof(words) ? (size_t)(total - done) : sizeof(words);

        fill(&state);
        if (make && put_all(size) < 0)
            return fail(done, strerror(errno));
        if (!make && get_all(size) < size)
            return fail(done, "the end came too soon");
        if (!make && memcmp(words, came, size) != 0)
            return fail(done, "not what was sent");
        done += size;
    }
    if (!make && get_all(1) > 0)
        return fail(done, "there is more");
    return EXIT_SUCCESS;
}
