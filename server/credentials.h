/* SPDX-License-Identifier: MIT
 *
 * Who is at the other end of a socket, and what its process may hold.
 */
#ifndef IVSHMEM_CREDENTIALS_H
#define IVSHMEM_CREDENTIALS_H

#include <stdint.h>
#include <sys/types.h>

enum { CREDENTIALS_GROUPS_MAX = 64, COMMAND_SIZE = 16 /* TASK_COMM_LEN, proc(5) */ };

/**
 * struct credentials - the process that connected
 * @pid:      0 when it lives in a PID namespace that this process cannot see
 * @uid:      effective user ID at connect(2)
 * @gid:      effective group ID at connect(2)
 * @groups:   supplementary groups, the first CREDENTIALS_GROUPS_MAX of them
 * @n_groups: how many
 * @command:  its command name, "?" when /proc does not tell
 */
struct credentials {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    gid_t groups[CREDENTIALS_GROUPS_MAX];
    unsigned n_groups;
    char command[COMMAND_SIZE];
};

/**
 * credentials_read() - ask the kernel who connected
 * @sock: connected UNIX socket
 * @who:  filled in
 *
 * Return: 0 or a negative errno of getsockopt(2).
 */
int credentials_read(int sock, struct credentials *who);

/**
 * descriptor_limit_of() - how many descriptors a process may have open
 * @pid:   the process
 * @limit: set to its soft limit (/proc/PID/limits); left alone on error
 *
 * Return: 0, or a negative errno when /proc does not tell.
 */
int descriptor_limit_of(pid_t pid, uint64_t *limit);

/**
 * descriptors_of() - how many descriptors a process has open
 * @pid:   the process
 * @count: set to the number (/proc/PID/fd); left alone on error
 *
 * Return: 0, or a negative errno when /proc does not tell.
 */
int descriptors_of(pid_t pid, uint64_t *count);

/* How a log line names a process: printf format, and its arguments. */
#define WHO_FORMAT "pid %d, uid %u, command %s"
#define WHO(who)   (int)(who)->pid, (unsigned)(who)->uid, (who)->command

#endif
