/* SPDX-License-Identifier: MIT
 *
 * See launch.h.
 */
#include "server/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* Waits for the child's word, or its end. Return: exit status for the shell. */
static int wait_for_child(pid_t child, int ready)
{
    int status;
    char byte;
    ssize_t got;

    do
        got = read(ready, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got == 1)
        return EXIT_SUCCESS;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_FAILURE;
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int launch_fork(struct launch *launch, int *status, struct failure *failure)
{
    int ends[2];
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
        *status = wait_for_child(child, ends[0]);
        close_fd(ends[0]);
        return 1;
    }
    close_fd(ends[0]);
    setsid();
    launch->ready = ends[1];
    return 0;
}

/* The file appears whole: a script that waits for it never reads half a number. */
static int write_pid_file(const char *path, struct failure *failure)
{
    _cleanup_free_ char *draft = NULL;
    int fd, error = 0;

    if (asprintf(&draft, "%s.%d", path, (int)getpid()) < 0)
        return failure_set(failure, ENOMEM, "out of memory");
    fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return failure_set(failure, errno,
                           "cannot write pid file %s: %s; choose another with "
                           "--pid-file",
                           path, strerror(errno));
    if (dprintf(fd, "%d\n", (int)getpid()) < 0)
        error = errno;
    if (close(fd) < 0 && !error)
        error = errno;
    if (!error && rename(draft, path) < 0)
        error = errno;
    if (!error)
        return 0;
    unlink(draft);
    return failure_set(failure, error,
                       "cannot write pid file %s: %s; choose another with "
                       "--pid-file",
                       path, strerror(error));
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

void launch_end(struct launch *launch)
{
    _cleanup_fclose_ FILE *file = launch->pid_file ? fopen(launch->pid_file, "re") : NULL;
    int pid = 0;

    if (file && fscanf(file, "%d", &pid) == 1 && pid == (int)getpid())
        unlink(launch->pid_file);
    launch->ready = close_fd(launch->ready);
    free(launch->pid_file);
    launch->pid_file = NULL;
}
