/* SPDX-License-Identifier: MIT
 *
 * See lockfile.h.
 */
#include "server/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "common/cleanup.h"

enum {
    ATTEMPTS = 100,     /* each is lost to another server that just removed the file */
    PID_ATTEMPTS = 200, /* of 5 ms: the machine may be busy */
};

/* The holder writes its PID right after it has locked: what is empty is read again. */
static void read_pid(int fd, char *pid, size_t size)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    ssize_t got = 0;

    for (int i = 0; i < PID_ATTEMPTS && got <= 0; i++) {
        if (i)
            nanosleep(&pause, NULL);
        got = pread(fd, pid, size - 1, 0);
    }
    pid[got > 0 ? got : 0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
}

static int refuse_holder(int fd, const char *what, struct failure *failure)
{
    char pid[16];

    read_pid(fd, pid, sizeof(pid));
    if (strtol(pid, NULL, 10) == getpid())
        return failure_set(failure, EBUSY,
                           "%s is served already, by an ivshmem-server with our own pid %s: it is "
                           "asked for twice, or another container has it. Choose another name",
                           what, pid);
    return failure_set(failure, EBUSY,
                       "%s is served by another ivshmem-server, pid %s: stop that one or choose "
                       "another name",
                       what, *pid ? pid : "unknown");
}

/* Whether the name still leads to the file that was opened. */
static bool is_in_place(int directory, const char *name, const struct stat *opened)
{
    struct stat named;

    return fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_dev == opened->st_dev && named.st_ino == opened->st_ino;
}

/* Return: 0 with the lock in *out, 1 when the file was removed meanwhile, or a negative errno. */
static int try_lock(int directory, const char *name, const char *what, int *out,
                    struct failure *failure)
{
    _cleanup_close_ int fd =
        openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat status;

    if (fd < 0)
        return failure_set(failure, errno,
                           "cannot open the lock file %s of %s: %s; choose another place or name",
                           name, what, strerror(errno));
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid())
        return failure_set(failure, EPERM,
                           "the lock file %s of %s is not a regular file of uid %u: "
                           "remove it or choose another name",
                           name, what, (unsigned)geteuid());
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return refuse_holder(fd, what, failure);
        return failure_set(failure, errno, "cannot lock %s of %s: %s", name, what, strerror(errno));
    }
    if (!is_in_place(directory, name, &status))
        return 1;
    *out = steal_fd(&fd);
    return 0;
}

int lockfile_acquire(struct lockfile *lock, int directory, const char *name, const char *what,
                     struct failure *failure)
{
    _cleanup_close_ int place = fcntl(directory, F_DUPFD_CLOEXEC, 0);
    _cleanup_free_ char *copy = strdup(name);
    int fd = -1, r = 1;

    if (place < 0 || !copy) /* before the file is there: without them it could not be removed */
        return failure_set(failure, errno, "cannot make the lock file %s of %s: %s", name, what,
                           strerror(errno));
    for (int i = 0; i < ATTEMPTS && r == 1; i++)
        r = try_lock(directory, name, what, &fd, failure);
    if (r == 1)
        return failure_set(failure, EAGAIN, "the lock file %s of %s does not stay in place", name,
                           what);
    if (r < 0)
        return r;
    lock->fd = fd;
    lock->directory = steal_fd(&place);
    lock->name = steal_ptr(copy);
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
        r = failure_set(failure, errno, "cannot write the lock file %s of %s: %s", name, what,
                        strerror(errno));
        lockfile_release(lock);
        return r;
    }
    return 0;
}

int lockfile_inherit(struct lockfile *lock, int directory, const char *name, const char *what,
                     int held, struct failure *failure)
{
    _cleanup_close_ int fd = held;
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0 || !is_in_place(directory, name, &status) ||
        flock(fd, LOCK_EX | LOCK_NB) < 0) {
        fd = close_fd(fd);
        return lockfile_acquire(lock, directory, name, what, failure);
    }
    lock->directory = fcntl(directory, F_DUPFD_CLOEXEC, 0);
    lock->name = strdup(name);
    lock->fd = steal_fd(&fd);
    if (lock->directory >= 0 && lock->name)
        return 0;
    lockfile_release(lock);
    return failure_set(failure, ENOMEM, "cannot keep the lock file %s of %s", name, what);
}

void lockfile_release(struct lockfile *lock)
{
    if (lock->fd >= 0 && lock->directory >= 0 && lock->name)
        unlinkat(lock->directory, lock->name, 0);
    lock->fd = close_fd(lock->fd);
    lock->directory = close_fd(lock->directory);
    free(lock->name);
    lock->name = NULL;
}
