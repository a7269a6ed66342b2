/* SPDX-License-Identifier: MIT
 *
 * See log.h. syslog(3) waits when the daemon behind /dev/log does not read; this file sends the
 * same datagrams (RFC 3164, as glibc does) over a non-blocking socket instead.
 */
#include "common/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

enum { LINE_SIZE = 1024 }; /* under PIPE_BUF: a pipe that polls writable takes it whole */

static struct {
    enum log_target target;
    const char *ident;
    int level;
    int syslog_fd;
    bool journal;
    unsigned lost;
} log_state = {.ident = "ivshmem", .level = LOG_INFO, .syslog_fd = -1};

static const struct {
    const char *name;
    int level;
} level_names[] = {
    {"error", LOG_ERR}, {"warning", LOG_WARNING}, {"notice", LOG_NOTICE},
    {"info", LOG_INFO}, {"debug", LOG_DEBUG},
};

/* systemd.exec(5): $JOURNAL_STREAM holds device and inode of the stream that is the journal. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

static int syslog_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return steal_fd(&fd);
}

void log_open(enum log_target target, const char *ident)
{
    log_state.target = target;
    log_state.ident = ident;
    log_state.journal = stderr_is_journal();
    log_state.syslog_fd = close_fd(log_state.syslog_fd);
}

void log_set_level(int level)
{
    log_state.level = level;
}

int log_level(void)
{
    return log_state.level;
}

int log_level_parse(const char *name, int *level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
        if (strcmp(name, level_names[i].name) == 0) {
            *level = level_names[i].level;
            return 0;
        }
    return -EINVAL;
}

const char *log_level_name(int level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
        if (level_names[i].level == level)
            return level_names[i].name;
    return "log";
}

static bool write_stderr(int level, const char *text)
{
    char line[LINE_SIZE + 64];
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    int length;

    if (log_state.journal)
        length = snprintf(line, sizeof(line), "<%d>%s\n", level, text);
    else
        length = snprintf(line, sizeof(line), "%s: %s: %s\n", log_state.ident,
                          log_level_name(level), text);
    if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
        return false;
    return write(STDERR_FILENO, line, (size_t)length) == length;
}

static bool write_syslog(int level, const char *text)
{
    char line[LINE_SIZE + 128], stamp[32];
    time_t now = time(NULL);
    struct tm local;
    int length;

    strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", localtime_r(&now, &local));
    length = snprintf(line, sizeof(line), "<%d>%s %s[%d]: %s", LOG_DAEMON | level, stamp,
                      log_state.ident, (int)getpid(), text);
    for (int attempt = 0; attempt < 2; attempt++) {
        if (log_state.syslog_fd < 0)
            log_state.syslog_fd = syslog_connect();
        if (log_state.syslog_fd < 0)
            return false;
        if (send(log_state.syslog_fd, line, (size_t)length, MSG_NOSIGNAL) == length)
            return true;
        if (errno == EAGAIN)
            return false;
        log_state.syslog_fd = close_fd(log_state.syslog_fd); /* it was restarted: connect anew */
    }
    return false;
}

static void write_text(int level, const char *text)
{
    bool written =
        log_state.target == LOG_TO_SYSLOG ? write_syslog(level, text) : write_stderr(level, text);

    if (!written)
        log_state.lost++;
}

void log_line(int level, const char *format, ...)
{
    char text[LINE_SIZE];
    va_list arguments;
    int saved_errno = errno;

    if (level > log_state.level)
        return;
    if (log_state.lost) {
        unsigned lost = log_state.lost;

        log_state.lost = 0;
        snprintf(text, sizeof(text), "%u log lines were lost: nobody read them in time", lost);
        write_text(LOG_WARNING, text);
        if (log_state.lost)
            log_state.lost = lost;
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    write_text(level, text);
    errno = saved_errno;
}

bool log_limit_pass(struct log_limit *limit)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (!limit->written || now.tv_sec - limit->window_start >= LOG_LIMIT_SECONDS) {
        unsigned suppressed = limit->suppressed;

        *limit = (struct log_limit){.window_start = now.tv_sec};
        if (suppressed)
            log_warning("%u more lines like the next one were left out", suppressed);
    }
    if (limit->written >= LOG_LIMIT_BURST) {
        limit->suppressed++;
        return false;
    }
    limit->written++;
    return true;
}
