/* SPDX-License-Identifier: MIT
 *
 * See credentials.h. SO_PEERCRED and SO_PEERGROUPS: unix(7), socket(7); the files: proc(5).
 */
#include "server/credentials.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/cleanup.h"

static void read_command(pid_t pid, char command[COMMAND_SIZE])
{
    char path[64];
    _cleanup_fclose_ FILE *file = NULL;

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    file = pid > 0 ? fopen(path, "re") : NULL;
    if (!file || !fgets(command, COMMAND_SIZE, file))
        snprintf(command, COMMAND_SIZE, "?");
    command[strcspn(command, "\n")] = '\0';
}

/* The kernel gives all groups or none: a longer list is read whole, and its beginning kept. */
static void read_groups(int sock, struct credentials *who)
{
    socklen_t size = sizeof(who->groups);
    _cleanup_free_ gid_t *all = NULL;

    who->n_groups = 0;
    if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, who->groups, &size) == 0) {
        who->n_groups = size / sizeof(gid_t);
        return;
    }
    all = errno == ERANGE ? malloc(size) : NULL; /* it has said how long the list is */
    if (!all || getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, all, &size) < 0)
        return;
    memcpy(who->groups, all, sizeof(who->groups));
    who->n_groups = CREDENTIALS_GROUPS_MAX;
}

int credentials_read(int sock, struct credentials *who)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    who->pid = peer.pid;
    who->uid = peer.uid;
    who->gid = peer.gid;
    read_groups(sock, who);
    read_command(peer.pid, who->command);
    return 0;
}

int descriptor_limit_of(pid_t pid, uint64_t *limit)
{
    char path[64], line[128];
    unsigned long long soft;
    _cleanup_fclose_ FILE *file = NULL;

    if (pid <= 0)
        return -ESRCH;
    snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return -errno;
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "Max open files %llu", &soft) == 1) {
            *limit = soft;
            return 0;
        }
    return -ENODATA;
}

int descriptors_of(pid_t pid, uint64_t *count)
{
    char path[64];
    uint64_t entries = 0;
    struct stat status;
    DIR *directory;

    if (pid <= 0)
        return -ESRCH;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    if (stat(path, &status) == 0 && status.st_size > 0) {
        *count = (uint64_t)status.st_size; /* Linux 6.2 and later count for us, for anybody */
        return 0;
    }
    directory = opendir(path);
    if (!directory)
        return -errno;
    while (readdir(directory))
        entries++;
    closedir(directory);
    *count = entries > 2 ? entries - 2 : 0; /* "." and ".." */
    return 0;
}
