/* SPDX-License-Identifier: MIT
 *
 * The program's log: one line a message, to stderr, to the journal or to syslog, never waiting.
 *
 * A reader of our stderr that stalls, or a syslog daemon that does, must not stall the daemon: a
 * line that cannot be written at once is dropped and counted, and the count is logged as soon as
 * lines get through again. The level and the target are the only state of the process that is not
 * in an object: every part of a program logs, and threading a handle through would hide the rest.
 */
#ifndef IVSHMEM_LOG_H
#define IVSHMEM_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

enum log_target {
    LOG_TO_STDERR, /* "ident: level: text", or "<N>text" where stderr is the journal */
    LOG_TO_SYSLOG, /* RFC 3164 datagrams to /dev/log; nothing is said where there is none */
};

/**
 * log_open() - say where the lines go from now on
 * @target: stderr, or syslog for a daemon that has no stderr
 * @ident:  program name in front of the lines; not copied
 */
void log_open(enum log_target target, const char *ident);

/**
 * log_set_level() - say which lines are wanted
 * @level: LOG_ERR..LOG_DEBUG of syslog(3); what is less urgent is dropped
 */
void log_set_level(int level);

/**
 * log_level() - what log_set_level() was last called with (LOG_INFO before)
 */
int log_level(void);

/**
 * log_level_parse() - read a level by name
 * @name:  "error", "warning", "notice", "info" or "debug"
 * @level: set to LOG_ERR..LOG_DEBUG; left alone on error
 *
 * Return: 0 or -EINVAL.
 */
int log_level_parse(const char *name, int *level);

/** log_level_name() - the name of a level, "log" when it has none */
const char *log_level_name(int level);

/**
 * log_line() - write one line
 * @level:  LOG_ERR..LOG_DEBUG
 * @format: printf format, without a newline; control characters of the result are shown as '?'
 */
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * struct log_limit - how often a line that a client can cause may be written
 * @window_start: start of the current window, in seconds of CLOCK_MONOTONIC
 * @written:      lines written in this window
 * @suppressed:   lines held back since the last one that was written
 *
 * Zero-initialized. One for each kind of line: LOG_LIMIT_BURST lines in LOG_LIMIT_SECONDS.
 */
struct log_limit {
    int64_t window_start;
    unsigned written;
    unsigned suppressed;
};

enum { LOG_LIMIT_BURST = 100, LOG_LIMIT_SECONDS = 5 };

/**
 * log_limit_pass() - whether a line may be written now
 * @limit: the counter of this kind of line
 *
 * Says how many lines it held back when a new window begins.
 */
bool log_limit_pass(struct log_limit *limit);

#define log_error(...)   log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)

/** log_limited() - log_line() for what a client can cause as often as it likes */
#define log_limited(limit, level, ...)                                                             \
    do {                                                                                           \
        if ((level) <= log_level() && log_limit_pass(limit))                                       \
            log_line(level, __VA_ARGS__);                                                          \
    } while (0)

#endif
