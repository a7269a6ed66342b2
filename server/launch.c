/* SPDX-License-Identifier: MIT
 *
 * See launch.h.
 */
#include "server/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"

int launch_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR); /* the lowest number that is free; stays open in children */
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return -errno;
    close_fd(fd);
    return 0;
}

/* Waits for the child's word, or its end. Return: 1 with an exit status, or a negative errno. */
static int wait_for_child(pid_t child, int ready, int *exit_status, struct failure *failure)
{
    int status;
    char byte;
    ssize_t got;

    do
        got = read(ready, &byte, 1);
    while (got < 0 && errno == EINTR);
    *exit_status = EXIT_SUCCESS;
    if (got == 1)
        return 1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return failure_set(failure, errno, "cannot wait for the daemon: %s", strerror(errno));
    if (WIFSIGNALED(status))
        return failure_set(failure, EINTR, "the daemon was ended by signal %d (%s) at its start",
                           WTERMSIG(status), strsignal(WTERMSIG(status)));
    *exit_status = WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
    return 1;
}

int launch_fork(struct launch *launch, int *status, struct failure *failure)
{
    int ends[2], r;
    pid_t child;

    *launch = (struct launch){.ready = -1};
    close_range(STDERR_FILENO + 1, UINT_MAX, 0); /* what was inherited: a daemon would hold it */
    if (pipe2(ends, O_CLOEXEC) < 0)
        return failure_set(failure, errno, "cannot become a daemon: %s", strerror(errno));
    child = fork();
    if (child < 0) {
        int error = errno;

        close_fd(ends[0]);
        close_fd(ends[1]);
        return failure_set(failure, error, "cannot become a daemon: %s", strerror(error));
    }
    if (child > 0) {
        close_fd(ends[1]);
        r = wait_for_child(child, ends[0], status, failure);
        close_fd(ends[0]);
        return r;
    }
    close_fd(ends[0]);
    setsid();
    launch->ready = ends[1];
    return 0;
}

static int refuse_pid_file(const char *path, int error, struct failure *failure)
{
    return failure_set(failure, error,
                       "cannot write pid file %s: %s; choose another with --pid-file", path,
                       strerror(error));
}

/* /dev/null, a pipe, a symbolic link: as with QEMU's server it is written to, and it stays. */
static bool is_for_writing(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

/* Return: 0 or a positive errno. */
static int write_pid(const char *path, int flags)
{
    int fd = open(path, flags | O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    int error = 0;

    if (fd < 0)
        return errno;
    if (dprintf(fd, "%d\n", (int)getpid()) < 0)
        error = errno;
    if (close(fd) < 0 && !error)
        error = errno;
    return error;
}

/* The file appears whole: a script that waits for it never reads half a number. */
static int write_pid_file(const char *path, struct failure *failure)
{
    _cleanup_free_ char *draft = NULL;
    int error;

    if (is_for_writing(path)) {
        error = write_pid(path, O_TRUNC);
        return error ? refuse_pid_file(path, error, failure) : 0;
    }
    if (asprintf(&draft, "%s.%d", path, (int)getpid()) < 0)
        return failure_set(failure, ENOMEM, "out of memory");
    error = write_pid(draft, O_EXCL | O_NOFOLLOW);
    if (error == EEXIST)
        return refuse_pid_file(draft, error, failure);
    if (!error && rename(draft, path) < 0)
        error = errno;
    if (!error)
        return 0;
    unlink(draft);
    return refuse_pid_file(path, error, failure);
}

static int let_go_of_terminal(struct failure *failure)
{
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0)
        return failure_set(failure, errno, "cannot open /dev/null: %s", strerror(errno));
    if (null <= STDERR_FILENO)
        steal_fd(&null);
    return 0;
}

int launch_ready(struct launch *launch, const char *pid_file, struct failure *failure)
{
    _cleanup_free_ char *path = absolute_path(pid_file);
    const char byte = 0;
    int r;

    if (!path)
        return failure_set(failure, ENOMEM, "cannot find the way to pid file %s", pid_file);
    r = write_pid_file(path, failure);
    if (r < 0)
        return r;
    launch->pid_file = steal_ptr(path);
    if (chdir("/") < 0)
        return failure_set(failure, errno, "cannot change to /: %s", strerror(errno));
    r = let_go_of_terminal(failure);
    if (r < 0)
        return r;
    if (write(launch->ready, &byte, 1) != 1) {
        /* the parent was killed; the daemon is up all the same */
    }
    launch->ready = close_fd(launch->ready);
    return 0;
}

void launch_resume(struct launch *launch, const char *pid_file)
{
    launch->pid_file = absolute_path(pid_file);
    if (chdir("/") < 0)
        log_warning("cannot change to /: %s", strerror(errno));
}

/* Whether the pid file is a file, and has our PID in it. */
static bool is_our_pid_file(const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    char text[32] = "", ours[32];
    struct stat status;

    snprintf(ours, sizeof(ours), "%d\n", (int)getpid());
    return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
           read(fd, text, sizeof(text) - 1) > 0 && strcmp(text, ours) == 0;
}

void launch_end(struct launch *launch)
{
    if (launch->pid_file && is_our_pid_file(launch->pid_file))
        unlink(launch->pid_file);
    launch->ready = close_fd(launch->ready);
    free(launch->pid_file);
    launch->pid_file = NULL;
}
