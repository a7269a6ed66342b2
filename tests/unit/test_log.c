/* SPDX-License-Identifier: MIT
 *
 * Log lines: their form, what is held back, and that a reader who stalls costs lines and no time.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/log.h"

static struct capture capture = CAPTURE_INIT;

static int set_up(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    capture_start(&capture);
    log_open(LOG_TO_STDERR, "test");
    log_set_level(LOG_INFO);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    capture_stop(&capture);
    unsetenv("JOURNAL_STREAM");
    return 0;
}

static void written(const char *expected)
{
    assert_string_equal(expected, capture_read(&capture));
}

static void form(void **state)
{
    (void)state;
    log_error("one %d", 1);
    written("test: error: one 1\n");
    log_warning("two");
    log_notice("three");
    log_info("%s", "");
    written("test: warning: two\ntest: notice: three\ntest: info: \n");
}

static void levels(void **state)
{
    static const struct {
        const char *name;
        int level;
    } known[] = {{"error", LOG_ERR},
                 {"warning", LOG_WARNING},
                 {"notice", LOG_NOTICE},
                 {"info", LOG_INFO},
                 {"debug", LOG_DEBUG}};
    int level = 4711;

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        char line[64];

        assert_int_equal(0, log_level_parse(known[i].name, &level));
        assert_int_equal(known[i].level, level);
        assert_string_equal(known[i].name, log_level_name(level));
        log_set_level(level);
        assert_int_equal(level, log_level());
        log_line(level, "wanted");
        log_line(level + 1, "not wanted");
        snprintf(line, sizeof(line), "test: %s: wanted\n", known[i].name);
        written(line);
    }
    level = 4711;
    assert_int_equal(-EINVAL, log_level_parse("", &level));
    assert_int_equal(-EINVAL, log_level_parse("Info", &level));
    assert_int_equal(-EINVAL, log_level_parse("information", &level));
    assert_int_equal(4711, level);
}

static void journal(void **state)
{
    struct stat status;
    char stream[64];

    (void)state;
    assert_int_equal(0, fstat(STDERR_FILENO, &status));
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_open(LOG_TO_STDERR, "test");
    log_warning("with a priority");
    written("<4>with a priority\n");
    setenv("JOURNAL_STREAM", "1:1", 1); /* stderr was redirected since */
    log_open(LOG_TO_STDERR, "test");
    log_warning("plain");
    written("test: warning: plain\n");
    setenv("JOURNAL_STREAM", "nonsense", 1);
    log_open(LOG_TO_STDERR, "test");
    log_warning("plain");
    written("test: warning: plain\n");
}

/* What a client is called must not move the cursor of the one who reads, nor fake a line. */
static void control_characters(void **state)
{
    char text[257], expected[300] = "test: info: ";
    char *at = expected + strlen(expected);

    (void)state;
    for (int c = 1; c < 257; c++) {
        text[c - 1] = (char)(c < 256 ? c : 0);
        if (c < 256)
            *at++ = (char)(c < ' ' || c == 0x7f ? '?' : c);
    }
    strcpy(at, "\n");
    log_info("%s", text);
    written(expected);
}

static void long_lines(void **state)
{
    char text[5000];
    const char *line;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_info("%s", text);
    line = capture_read(&capture);
    assert_true(strlen(line) > 1000 && strlen(line) < 1100);
    assert_ptr_equal(line + strlen(line) - 1, strchr(line, '\n')); /* cut, and still one line */
}

static void errno_is_kept(void **state)
{
    (void)state;
    errno = ENOTTY;
    log_info("%m");
    assert_int_equal(ENOTTY, errno);
    written("test: info: Inappropriate ioctl for device\n");
}

static void rate_limit(void **state)
{
    struct log_limit limit = {.written = 0}, other = {.written = 0};
    char expected[100];

    (void)state;
    for (int i = 0; i < LOG_LIMIT_BURST; i++)
        assert_true(log_limit_pass(&limit));
    for (int i = 0; i < 50; i++)
        assert_false(log_limit_pass(&limit));
    assert_true(log_limit_pass(&other)); /* each kind of line has its own */
    written("");
    limit.window_start -= LOG_LIMIT_SECONDS - 2; /* time goes by, but not enough */
    assert_false(log_limit_pass(&limit));
    limit.window_start -= 2;
    log_limited(&limit, LOG_WARNING, "again");
    snprintf(expected, sizeof(expected),
             "test: warning: %d more lines like the next one were left out\n"
             "test: warning: again\n",
             51);
    written(expected);
    limit.window_start -= LOG_LIMIT_SECONDS;
    log_limited(&limit, LOG_WARNING, "and again"); /* nothing was held back: nothing to say */
    written("test: warning: and again\n");
}

static void rate_limit_counts_what_is_wanted(void **state)
{
    struct log_limit limit = {.written = 0};

    (void)state;
    for (int i = 0; i < 2 * LOG_LIMIT_BURST; i++)
        log_limited(&limit, LOG_DEBUG, "nobody wants it");
    assert_int_equal(0, limit.written);
    for (int i = 0; i < 2 * LOG_LIMIT_BURST; i++)
        log_limited(&limit, LOG_INFO, "line");
    assert_int_equal(LOG_LIMIT_BURST, limit.written);
    assert_int_equal(LOG_LIMIT_BURST, limit.suppressed);
    assert_int_equal(LOG_LIMIT_BURST * strlen("test: info: line\n"),
                     strlen(capture_read(&capture)));
}

/* Fills the pipe of stderr. */
static void stall(void)
{
    char page[4096];

    memset(page, '-', sizeof(page));
    while (write(STDERR_FILENO, page, sizeof(page)) > 0)
        continue;
}

static void nobody_reads(void **state)
{
    const char *text;

    (void)state;
    stall();
    assert_int_equal(0, fcntl(STDERR_FILENO, F_SETFL, 0)); /* now a write would wait for ever */
    log_info("lost");
    log_info("lost");
    log_debug("not lost: nobody wanted it");
    log_info("lost");
    text = capture_read(&capture);
    assert_null(strstr(text, "lost"));
    log_info("here again");
    log_info("and on");
    written("test: warning: 3 log lines were lost: nobody read them in time\n"
            "test: info: here again\ntest: info: and on\n");
}

static void reader_is_gone(void **state)
{
    (void)state;
    close(capture.pipe);
    capture.pipe = -1;
    log_info("nobody there"); /* SIGPIPE is ignored, as in the server */
    close(STDERR_FILENO);
    log_info("no stderr at all");
    dup2(capture.real, STDERR_FILENO);
    capture_stop(&capture);
    capture_start(&capture);
    log_info("back");
    written("test: warning: 2 log lines were lost: nobody read them in time\n"
            "test: info: back\n");
}

/* Everything below / is ours alone afterwards, with a /dev that is empty. */
static int enter_private_dev(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/dev", "tmpfs", 0, NULL) < 0)
        return -1;
    return 0;
}

static int open_dev_log(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    unlink("/dev/log");
    return bind(sock, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -1 : sock;
}

/* Whether the next datagram is "<PRIORITY>STAMP test[PID]: TEXT". */
static int got(int sock, const char *priority, const char *text)
{
    char line[2048], end[256];
    ssize_t length = recv(sock, line, sizeof(line) - 1, 0);

    snprintf(end, sizeof(end), " test[%d]: %s", (int)getpid(), text);
    if (length <= (ssize_t)strlen(end))
        return 0;
    line[length] = '\0';
    return strncmp(line, priority, strlen(priority)) == 0 &&
           strcmp(line + (size_t)length - strlen(end), end) == 0;
}

/* In a process of its own. Return: exit status. */
static int use_syslog(void)
{
    int sock, queued = 0;

    if (enter_private_dev() < 0)
        return 77;
    log_open(LOG_TO_SYSLOG, "test");
    log_info("nobody there yet");
    if ((sock = open_dev_log()) < 0)
        return 77;
    log_warning("hello");
    if (!got(sock, "<28>", "1 log lines were lost: nobody read them in time") ||
        !got(sock, "<28>", "hello"))
        return 1;
    close(sock); /* syslogd is started again */
    sock = open_dev_log();
    log_error("after its restart");
    if (!got(sock, "<27>", "after its restart"))
        return 2;
    for (int i = 0; i < 5000; i++) /* it does not read: we do not wait */
        log_info("line");
    while (got(sock, "<30>", "line"))
        queued++;
    return queued > 0 && queued < 5000 ? 0 : 3;
}

static void syslog_datagrams(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0)
        _exit(use_syslog());
    assert_int_equal(child, waitpid(child, &status, 0));
    capture_stop(&capture);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("needs a mount namespace with a /dev/log of its own\n");
        skip();
    }
    assert_int_equal(0, status);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(form),
        TEST(levels),
        TEST(journal),
        TEST(control_characters),
        TEST(long_lines),
        TEST(errno_is_kept),
        TEST(rate_limit),
        TEST(rate_limit_counts_what_is_wanted),
        TEST(nobody_reads),
        TEST(reader_is_gone),
        TEST(syslog_datagrams),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
