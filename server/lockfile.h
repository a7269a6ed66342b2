/* SPDX-License-Identifier: MIT
 *
 * A lock file: says that a server lives, and which.
 *
 * The lock is flock(2) on a file that only the server opens. The memory itself must not carry it:
 * the lock belongs to the open file description, and a peer that was sent the description could
 * drop the lock, or keep it held after the server has died. The kernel releases the lock with the
 * process, so a file that a crash left behind stops nobody.
 */
#ifndef IVSHMEM_LOCKFILE_H
#define IVSHMEM_LOCKFILE_H

#include "common/failure.h"

/**
 * struct lockfile - a lock that is held
 * @fd:        the locked file, -1 when nothing is held
 * @directory: where it is, owned
 * @name:      its name there, owned
 */
struct lockfile {
    int fd, directory;
    char *name;
};

#define LOCKFILE_INIT                                                                              \
    {                                                                                              \
        .fd = -1, .directory = -1                                                                  \
    }

/**
 * lockfile_acquire() - lock, without waiting, and write our PID into the file
 * @lock:      LOCKFILE_INIT
 * @directory: descriptor of the directory; duplicated
 * @name:      name of the file there; created with mode 0600 if missing
 * @what:      what is guarded, for the error: "socket /tmp/x"
 * @failure:   names the server that holds the lock
 *
 * Return: 0, -EBUSY when another server lives, or another negative errno.
 */
int lockfile_acquire(struct lockfile *lock, int directory, const char *name, const char *what,
                     struct failure *failure);

/**
 * lockfile_inherit() - go on with the lock of the program that this process executed before
 * @held: the locked file, as it was kept open; owned by the callee. -1: there is none
 *
 * Nobody can get in between, as when it were given up and taken again. Where @held is not the file
 * that has the name, this is lockfile_acquire(); so are the other parameters and the return value.
 */
int lockfile_inherit(struct lockfile *lock, int directory, const char *name, const char *what,
                     int held, struct failure *failure);

/** lockfile_release() - remove the file and give the lock up; does nothing if it is not held */
void lockfile_release(struct lockfile *lock);

#endif
