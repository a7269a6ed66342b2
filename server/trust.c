/* SPDX-License-Identifier: MIT
 *
 * See trust.h.
 */
#include "server/trust.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

static int check_one(const char *path, struct failure *failure)
{
    struct stat status;
    mode_t writers = S_IWOTH;

    if (stat(path, &status) < 0)
        return failure_set(failure, errno, "cannot look at directory %s: %s", path,
                           strerror(errno));
    if (status.st_uid != 0 && status.st_uid != geteuid())
        return failure_set(failure, EPERM,
                           "directory %s belongs to uid %u, who could swap what is "
                           "in it: use one of uid %u or root",
                           path, (unsigned)status.st_uid, (unsigned)geteuid());
    if (status.st_gid != 0 && status.st_gid != getegid())
        writers |= S_IWGRP;
    if ((status.st_mode & writers) && !(status.st_mode & S_ISVTX))
        return failure_set(failure, EPERM,
                           "directory %s has mode %04o, so others could swap what "
                           "is in it: chmod go-w it, or use another",
                           path, (unsigned)status.st_mode & 07777);
    return 0;
}

int trust_directory(const char *path, struct failure *failure)
{
    _cleanup_free_ char *real = realpath(path, NULL);
    int r;

    if (!real)
        return failure_set(failure, errno, "directory %s: %s", path, strerror(errno));
    for (;;) {
        char *slash;

        r = check_one(*real ? real : "/", failure);
        if (r < 0 || !*real || strcmp(real, "/") == 0)
            return r;
        slash = strrchr(real, '/');
        *slash = '\0';
    }
}
