/* SPDX-License-Identifier: MIT
 *
 * Launch: how the daemon leaves the shell that started it, and the pid file.
 *
 * The process forks before it makes anything. The child sets everything up with its errors still
 * on the shell's stderr; the parent waits and returns only when clients can connect, or failed.
 *
 * The pid file is replaced as a whole, and removed at the end. What is there and is no file, like
 * /dev/null, is only written to.
 */
#ifndef IVSHMEM_LAUNCH_H
#define IVSHMEM_LAUNCH_H

#include "common/failure.h"

/**
 * struct launch - a daemon on its way
 * @ready:    pipe to the waiting parent, -1 in the foreground
 * @pid_file: path of the pid file once it was written, owned; NULL before
 */
struct launch {
    int ready;
    char *pid_file;
};

/**
 * launch_streams() - have standard streams: those that are closed become /dev/null
 *
 * To be called before anything else is opened, which would take their numbers.
 *
 * Return: 0 or a negative errno.
 */
int launch_streams(void);

/**
 * launch_fork() - leave the shell
 * @launch:  filled in
 * @status:  in the parent: exit status for the shell
 * @failure: says what went wrong; what the child could say it has printed itself
 *
 * Return: 1 in the parent, which only has to exit with @status; 0 in the child; a negative errno
 * when there is no child, or a signal has ended it.
 */
int launch_fork(struct launch *launch, int *status, struct failure *failure);

/**
 * launch_ready() - clients can connect: write the pid file, let go of the terminal and the parent
 * @launch:   the launch
 * @pid_file: where the PID goes
 * @failure:  says why the pid file cannot be written
 *
 * Return: 0 or a negative errno.
 */
int launch_ready(struct launch *launch, const char *pid_file, struct failure *failure);

/**
 * launch_resume() - this program carries on in a daemon that was ready before
 * @launch:   the launch
 * @pid_file: where its PID is
 */
void launch_resume(struct launch *launch, const char *pid_file);

/** launch_end() - the daemon ends: remove the pid file if it is ours */
void launch_end(struct launch *launch);

#endif
