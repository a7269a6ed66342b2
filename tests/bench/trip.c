/* SPDX-License-Identifier: MIT
 *
 * Contenders: bare round trips, the limits for those through rings. A cache line that is handed
 * back and forth is a message of 64 bytes itself; 72 bytes are what a ring has to hand over for the
 * same; an eventfd carries nothing.
 *
 * The line also tells where the two processors are (rig_distance()).
 */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/pattern.h"
#include "tests/bench/transport.h"

enum {
    LINE_WORDS = 8, /* whatever the size of the lane's messages */
    MORE_WORDS = 9, /* 64 bytes and a header: they need a second line */
};

static void line_prepare(struct lane *lane)
{
    memset(lane->words, 0xff, 128); /* the first word is that of no message */
}

/* The first word is written last, and waited for. The second line goes first, so that the one that
 * is waited for is taken from the other side only once. */
static inline void line_put(struct lane *lane, uint64_t number, uint64_t words)
{
    uint64_t *line = (uint64_t *)(void *)lane->words;

    if (words > LINE_WORDS)
        __atomic_store_n(&line[LINE_WORDS], pattern_word(number, LINE_WORDS), __ATOMIC_RELEASE);
    for (uint64_t i = 1; i < LINE_WORDS; i++)
        line[i] = pattern_word(number, i);
    __atomic_store_n(line, pattern_word(number, 0), __ATOMIC_RELEASE);
}

static inline void line_get(struct lane *lane, uint64_t number, uint64_t words)
{
    const uint64_t *line = (const uint64_t *)(const void *)lane->words;

    while (__atomic_load_n(line, __ATOMIC_ACQUIRE) != pattern_word(number, 0)) {
        lane_pause(lane);
        if (words > LINE_WORDS)
            __builtin_prefetch(&line[LINE_WORDS]);
    }
    if (pattern_differs(line, number, 0, 64) ||
        (words > LINE_WORDS && line[LINE_WORDS] != pattern_word(number, LINE_WORDS)))
        lane_wrong(lane, number);
}

static inline void words_ask(struct lane *lane, uint64_t words)
{
    for (uint64_t i = 0; i < lane->count; i++) {
        line_put(lane, 2 * i, words);
        line_get(lane, 2 * i + 1, words);
    }
}

static inline void words_answer(struct lane *lane, uint64_t words)
{
    for (uint64_t i = 0; i < lane->count; i++) {
        line_get(lane, 2 * i, words);
        line_put(lane, 2 * i + 1, words);
    }
}

static void line_ask(struct lane *lane)
{
    words_ask(lane, LINE_WORDS);
}

static void line_answer(struct lane *lane)
{
    words_answer(lane, LINE_WORDS);
}

static void more_ask(struct lane *lane)
{
    words_ask(lane, MORE_WORDS);
}

static void more_answer(struct lane *lane)
{
    words_answer(lane, MORE_WORDS);
}

static void eventfd_put(struct lane *lane, int fd)
{
    const uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) != sizeof(one))
        lane_wrong(lane, 0);
}

static void eventfd_get(struct lane *lane, int fd)
{
    uint64_t count;

    if (read(fd, &count, sizeof(count)) != sizeof(count) || count != 1)
        lane_wrong(lane, 0);
}

static void eventfd_ask(struct lane *lane)
{
    for (uint64_t i = 0; i < lane->count; i++) {
        eventfd_put(lane, lane->counters[1]);
        eventfd_get(lane, lane->counters[0]);
    }
}

static void eventfd_answer(struct lane *lane)
{
    for (uint64_t i = 0; i < lane->count; i++) {
        eventfd_get(lane, lane->counters[1]);
        eventfd_put(lane, lane->counters[0]);
    }
}

/* The same with doorbells that do not block, as peers have them: they have to be polled. */
static void poll_get(struct lane *lane, int fd)
{
    struct pollfd doorbell = {.fd = fd, .events = POLLIN};

    poll(&doorbell, 1, -1);
    eventfd_get(lane, fd);
}

static void poll_ask(struct lane *lane)
{
    for (uint64_t i = 0; i < lane->count; i++) {
        eventfd_put(lane, lane->doorbells[1]);
        poll_get(lane, lane->doorbells[0]);
    }
}

static void poll_answer(struct lane *lane)
{
    for (uint64_t i = 0; i < lane->count; i++) {
        poll_get(lane, lane->doorbells[1]);
        eventfd_put(lane, lane->doorbells[0]);
    }
}

const struct transport transports_trip[] = {
    {"line trip", 64, 64, line_prepare, line_ask, line_answer},
    {"72 bytes trip", 64, 64, line_prepare, more_ask, more_answer},
    {"eventfd trip", 64, 64, NULL, eventfd_ask, eventfd_answer},
    {"polled trip", 64, 64, NULL, poll_ask, poll_answer},
    {NULL},
};
