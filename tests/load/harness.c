/* SPDX-License-Identifier: MIT
 *
 * See harness.h.
 */
#include "tests/load/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

enum {
    OPTIONS_MAX_HERE = 40,
    START_SECONDS = 60,
    IDLE_SECONDS = 30, /* until the last of its work is done */
    MEMORY_SIZE = 65536,
    SMALL_KIB = 16 * 1024,
    LOG_SHOWN = 2000, /* characters */
};

/* The one place of this process; a test is a program of its own. */
static struct {
    pid_t owner, janitor;
    int alive; /* the janitor reads the other end */
    unsigned n_servers;
    char name[40], directory[PATH_SIZE];
    char log[PATH_SIZE]; /* of the last server that was started */
    const char *volatile doing;
} here = {.alive = -1};

/* Removes what is in a directory and starts with a prefix. */
static void remove_prefixed(const char *directory, const char *prefix)
{
    DIR *listing = opendir(directory);
    const struct dirent *entry;

    while (listing && (entry = readdir(listing)))
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(listing), entry->d_name, 0);
    if (listing)
        closedir(listing);
}

static noreturn void run_janitor(int end)
{
    char lock[sizeof(here.name) + 2], byte;

    setsid(); /* what ends the test from a terminal must not end us */
    while (read(end, &byte, 1) < 0 && errno == EINTR)
        continue;
    remove_prefixed(here.directory, "");
    rmdir(here.directory);
    snprintf(lock, sizeof(lock), ".%s", here.name);
    remove_prefixed("/dev/shm", here.name);
    remove_prefixed("/dev/shm", lock);
    _exit(0);
}

static void clean_up(void)
{
    if (getpid() != here.owner || here.janitor <= 0)
        return;
    here.alive = close_fd(here.alive);
    waitpid(here.janitor, NULL, 0);
}

static void write_text(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));

    (void)written;
}

static void on_alarm(int number)
{
    const char *doing = here.doing;

    (void)number;
    write_text("FAIL: the test did not end in time");
    if (doing) {
        write_text(": ");
        write_text(doing);
    }
    write_text("\n");
    _exit(1); /* children die with us, the janitor cleans */
}

void harness_start(const char *name, unsigned seconds)
{
    int ends[2];

    here.owner = getpid();
    snprintf(here.name, sizeof(here.name), "ivshmem-%s-%d", name, (int)here.owner);
    snprintf(here.directory, sizeof(here.directory), "/tmp/%s", here.name);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    require(mkdir(here.directory, 0700) == 0 && pipe2(ends, O_CLOEXEC) == 0,
            "cannot make a place in /tmp: %s", strerror(errno));
    here.janitor = fork();
    if (here.janitor == 0) {
        close(ends[1]);
        run_janitor(ends[0]);
    }
    close(ends[0]);
    here.alive = ends[1];
    atexit(clean_up);
    signal(SIGALRM, on_alarm);
    alarm((unsigned)((deadline_in(seconds) - now_ms()) / 1000));
}

void harness_doing(const char *what)
{
    here.doing = what;
}

const char *harness_directory(void)
{
    return here.directory;
}

bool harness_long(void)
{
    return harness_number("IVSHMEM_TEST_LONG", 0) == 1;
}

unsigned harness_number(const char *variable, unsigned otherwise)
{
    const char *text = getenv(variable);

    return text && *text ? (unsigned)strtoul(text, NULL, 0) : otherwise;
}

void harness_raise_limit(rlim_t wanted)
{
    struct rlimit limit;

    require(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < wanted) {
        const struct rlimit more = {wanted, wanted};

        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return;
        setrlimit(RLIMIT_NOFILE, &limit);
        skip("needs %lu descriptors, and the hard limit is %lu (ulimit -Hn)", (unsigned long)wanted,
             (unsigned long)limit.rlim_max);
    }
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void say(const char *what, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void say(const char *what, const char *format, va_list arguments)
{
    fflush(stdout);
    fprintf(stderr, "%s: ", what);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

/* The end of the server's log, to go with a failure. */
static void show_log(void)
{
    _cleanup_fclose_ FILE *file = *here.log ? fopen(here.log, "re") : NULL;
    char text[LOG_SHOWN + 1];
    size_t got;

    if (!file)
        return;
    if (fseek(file, -LOG_SHOWN, SEEK_END) < 0)
        rewind(file);
    got = fread(text, 1, LOG_SHOWN, file);
    text[got] = '\0';
    fprintf(stderr, "the server's log ends:\n%s", text);
}

void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say("FAIL", format, arguments);
    va_end(arguments);
    show_log();
    exit(EXIT_FAILURE);
}

void skip(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say("SKIP", format, arguments);
    va_end(arguments);
    exit(SKIPPED);
}

int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t deadline_in(unsigned seconds)
{
    const char *slow = getenv("IVSHMEM_TEST_SLOW");
    double factor = slow ? strtod(slow, NULL) : 1.0;

    return now_ms() + (int64_t)(seconds * 1000.0 * (factor > 1.0 ? factor : 1.0));
}

void pause_ms(unsigned milliseconds)
{
    const struct timespec step = {.tv_sec = milliseconds / 1000,
                                  .tv_nsec = (long)(milliseconds % 1000) * 1000000};

    nanosleep(&step, NULL);
}

pid_t child_start(void)
{
    pid_t parent = getpid(), pid = fork();

    require(pid >= 0, "fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    here.alive = close_fd(here.alive);
    alarm(0);
    return 0;
}

void child_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* In the child: become the server. */
static noreturn void exec_server(const struct test_server *server, const struct server_setup *setup,
                                 const char *name)
{
    const char *program = getenv("IVSHMEM_SERVER");
    char vectors[16], size[32];
    const char *argv[OPTIONS_MAX_HERE] = {program, "-F", "-S",    server->socket, "-M",
                                          name,    "-n", vectors, "-l",           size};
    size_t n = 10;
    int log = open(server->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    snprintf(vectors, sizeof(vectors), "%u", setup->vectors);
    snprintf(size, sizeof(size), "%lld", (long long)server->size);
    for (size_t i = 0; setup->options && setup->options[i] && n + 1 < OPTIONS_MAX_HERE; i++)
        argv[n++] = setup->options[i];
    dup2(log, STDERR_FILENO);
    if (setup->nofile) {
        const struct rlimit limit = {setup->nofile, setup->nofile};

        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (setup->uid && (setgid((gid_t)setup->uid) < 0 || setuid(setup->uid) < 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* setuid() has undone the first one */
    execv(program, (char *const *)(uintptr_t)argv);
    _exit(127);
}

void server_start(struct test_server *server, const struct server_setup *setup)
{
    unsigned number = here.n_servers++;
    char name[64];

    require(getenv("IVSHMEM_SERVER"), "set IVSHMEM_SERVER to the server's path");
    *server = (struct test_server){.size = setup->size ? setup->size : MEMORY_SIZE};
    snprintf(name, sizeof(name), "%s-%u", here.name, number);
    snprintf(server->socket, PATH_SIZE, "%.60s/%u.sock", here.directory, number);
    snprintf(server->log, PATH_SIZE, "%.60s/%u.log", here.directory, number);
    snprintf(server->object, PATH_SIZE, "/dev/shm/%s", name);
    if (geteuid() == 0) /* it trusts only a directory of its own user */
        require(chown(here.directory, setup->uid, (gid_t)setup->uid) == 0, "chown: %s",
                strerror(errno));
    snprintf(here.log, sizeof(here.log), "%s", server->log);
    server->pid = child_start();
    if (server->pid == 0)
        exec_server(server, setup, name);
    server_await_log(server, "serving ", 1);
}

void server_attach(struct test_server *server, const char *socket)
{
    *server = (struct test_server){.pid = 0};
    require(strlen(socket) < PATH_SIZE, "%s: too long", socket);
    snprintf(server->socket, PATH_SIZE, "%s", socket);
}

void server_alive(const struct test_server *server)
{
    int status;

    if (!server->pid || waitpid(server->pid, &status, WNOHANG) == 0)
        return;
    fail("the server has ended: %s %d", WIFSIGNALED(status) ? "signal" : "exit status",
         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

void server_stop(struct test_server *server)
{
    int64_t deadline = deadline_in(START_SECONDS);
    int status = 0;

    server_alive(server);
    kill(server->pid, SIGTERM);
    while (waitpid(server->pid, &status, WNOHANG) == 0) {
        require(now_ms() < deadline, "the server does not end on SIGTERM");
        pause_ms(2);
    }
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0,
            "the server ended with status 0x%x; its log is %s", (unsigned)status, server->log);
    require(access(server->socket, F_OK) < 0 && access(server->object, F_OK) < 0,
            "the server left its socket or its memory object");
}

unsigned server_logged(const struct test_server *server, const char *text)
{
    _cleanup_fclose_ FILE *file = fopen(server->log, "re");
    char line[1024];
    unsigned count = 0;

    while (file && fgets(line, sizeof(line), file))
        count += strstr(line, text) != NULL;
    return count;
}

void server_await_log(const struct test_server *server, const char *text, unsigned count)
{
    int64_t deadline = deadline_in(START_SECONDS);

    while (server_logged(server, text) < count) {
        server_alive(server);
        require(now_ms() < deadline, "no %u lines with '%s' in the server's log", count, text);
        pause_ms(2);
    }
}

uint64_t process_status(pid_t pid, const char *key)
{
    char path[64], line[256];
    size_t length = strlen(key);
    _cleanup_fclose_ FILE *file = NULL;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, key, length) == 0 && line[length] == ':')
            return strtoull(line + length + 1, NULL, 10);
    fail("%s has no %s", path, key);
}

uint64_t process_cpu_ns(pid_t pid)
{
    char path[64];
    unsigned long long ns = 0;
    _cleanup_fclose_ FILE *file = NULL;

    snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
    file = fopen(path, "re");
    require(file && fscanf(file, "%llu", &ns) == 1, "cannot read %s", path);
    return ns;
}

unsigned process_descriptors(pid_t pid)
{
    char path[64];
    unsigned count = 0;
    DIR *listing;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    listing = opendir(path);
    require(listing, "cannot read %s: %s", path, strerror(errno));
    while (readdir(listing))
        count++;
    closedir(listing);
    return count - 2; /* "." and ".." */
}

/* Sleeps, and does not just wait for its turn on a busy machine. */
static bool sleeps(pid_t pid)
{
    char path[64], state = '?';
    _cleanup_fclose_ FILE *file = NULL;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    require(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1, "cannot read %s", path);
    return state == 'S';
}

/* A wait that was interrupted counts, too: whatever made the server run. */
static uint64_t switches(const struct test_server *server)
{
    return process_status(server->pid, "voluntary_ctxt_switches") +
           process_status(server->pid, "nonvoluntary_ctxt_switches");
}

void server_require_idle(const struct test_server *server, unsigned ms)
{
    int64_t deadline = deadline_in(IDLE_SECONDS);
    uint64_t before, cpu;

    for (;;) { /* let it come to rest; its last work may be late */
        before = switches(server);
        cpu = process_cpu_ns(server->pid);
        pause_ms(ms + 50);
        if (switches(server) == before && process_cpu_ns(server->pid) == cpu && sleeps(server->pid))
            return;
        require(now_ms() < deadline, "the server does not rest: it woke up %llu times in %u ms",
                (unsigned long long)(switches(server) - before), ms + 50);
    }
}

void server_require_small(const struct test_server *server)
{
    uint64_t peak = process_status(server->pid, "VmHWM");

    printf("server memory: at most %llu KiB\n", (unsigned long long)peak);
    require(SANITIZED || peak < SMALL_KIB, "the server needed %llu KiB, more than %d",
            (unsigned long long)peak, SMALL_KIB);
}
