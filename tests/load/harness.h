/* SPDX-License-Identifier: MIT
 *
 * The harness of the load tests: a private place, a real server in it, deadlines, and /proc.
 *
 * Nothing stays behind, whatever happens. Servers and other children die with the test
 * (PR_SET_PDEATHSIG). A janitor, forked first and waiting at the end of a pipe, sees the test's end
 * in the pipe's, also when the test was killed, and then removes the directory and what is left of
 * the memory objects. Waits poll a condition until a deadline; nobody sleeps and hopes.
 *
 * Variables: IVSHMEM_SERVER is the program, IVSHMEM_TEST_SLOW stretches the deadlines (sanitizers,
 * valgrind), IVSHMEM_TEST_LONG=1 asks for the full numbers.
 */
#ifndef IVSHMEM_TESTS_HARNESS_H
#define IVSHMEM_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { SKIPPED = 77, PATH_SIZE = 100 /* a socket's path must fit in sockaddr_un */ };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* memory and limits are the sanitizer's, not ours */
#else
enum { SANITIZED = 0 };
#endif

/**
 * struct server_setup - how a server is started
 * @vectors: doorbells of each peer
 * @uid:     user and group that it runs as; 0 for our own
 * @nofile:  its hard limit of descriptors; 0 for our own
 * @options: further options, NULL-terminated; NULL for none
 * @size:    bytes of memory; 0 for little
 */
struct server_setup {
    unsigned vectors;
    uid_t uid;
    rlim_t nofile;
    const char *const *options;
    off_t size;
};

/**
 * struct test_server - a running server
 * @pid:    its process; 0 of one that is not ours
 * @socket: path of the peers' socket
 * @log:    path of what it writes to stderr
 * @object: path of its memory object
 * @size:   bytes of memory
 */
struct test_server {
    pid_t pid;
    char socket[PATH_SIZE], log[PATH_SIZE], object[PATH_SIZE];
    off_t size;
};

/**
 * harness_start() - make the private place
 * @name:    of the test
 * @seconds: the whole test fails after so long (times IVSHMEM_TEST_SLOW)
 *
 * To be called first. The test ends with exit() from anywhere.
 */
void harness_start(const char *name, unsigned seconds);

/** harness_doing() - what to name when the test does not end in time; the text stays where it is */
void harness_doing(const char *what);

/** harness_directory() - path of the private directory */
const char *harness_directory(void);

/** harness_long() - whether the full numbers are asked for */
bool harness_long(void);

/** harness_number() - a number from an environment variable, or @otherwise */
unsigned harness_number(const char *variable, unsigned otherwise);

/** harness_raise_limit() - as many descriptors as the hard limit allows, root: as we want */
void harness_raise_limit(rlim_t wanted);

/** fail() - say why and end the test with 1; require() does it when a condition is false */
noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** skip() - say why and end the test with 77 */
noreturn void skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define require(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__VA_ARGS__);                                                                     \
    } while (0)

/** now_ms() - milliseconds of CLOCK_MONOTONIC */
int64_t now_ms(void);

/** deadline_in() - the now_ms() that is @seconds away, times IVSHMEM_TEST_SLOW */
int64_t deadline_in(unsigned seconds);

/** pause_ms() - a step of a loop that polls a condition */
void pause_ms(unsigned milliseconds);

/** child_start() - fork; the child dies with us and has no part in the cleaning up */
pid_t child_start(void);

/** child_kill() - SIGKILL a child and wait until it is gone */
void child_kill(pid_t pid);

/** server_start() - start a server and wait until it serves; the test fails if it does not */
void server_start(struct test_server *server, const struct server_setup *setup);

/** server_attach() - a server that somebody else has started, kills, and starts again */
void server_attach(struct test_server *server, const char *socket);

/** server_stop() - SIGTERM: it must exit with 0 and leave nothing */
void server_stop(struct test_server *server);

/** server_alive() - the test fails if the server is ours and has ended */
void server_alive(const struct test_server *server);

/** server_logged() - how many lines of its log have this text in them */
unsigned server_logged(const struct test_server *server, const char *text);

/** server_await_log() - wait until the log has @count lines with this text */
void server_await_log(const struct test_server *server, const char *text, unsigned count);

/** process_status() - a number from /proc/PID/status ("VmHWM": KiB, "voluntary_ctxt_switches") */
uint64_t process_status(pid_t pid, const char *key);

/** process_cpu_ns() - CPU time that a process has used, nanoseconds (/proc/PID/schedstat) */
uint64_t process_cpu_ns(pid_t pid);

/** process_descriptors() - how many descriptors a process has open */
unsigned process_descriptors(pid_t pid);

/**
 * server_require_idle() - the test fails unless the server stays asleep
 * @server: the server; it may finish what it is at first
 * @ms:     for so long it must not wake up once
 */
void server_require_idle(const struct test_server *server, unsigned ms);

/** server_require_small() - the test fails if the server ever needed more than 16 MiB */
void server_require_small(const struct test_server *server);

#endif
