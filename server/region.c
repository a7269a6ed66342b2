/* SPDX-License-Identifier: MIT
 *
 * See region.h. How the file is made is in region_file.c; here is how it gets its name.
 */
#include "server/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "server/region_file.h"
#include "server/trust.h"

#define SHM_DIRECTORY "/dev/shm" /* where shm_open(3) keeps objects, shm_overview(7) */
#define ULL(number)   ((unsigned long long)(number))

enum {
    NAME_MAX_LENGTH = 200,  /* leaves room for the lock file's name */
    ADOPT_WAIT_STEPS = 500, /* of 10 ms: another creator made the object and must size it */
    ADOPT_STEP_NS = 10000000,
    REFILL_SLICE = 4 << 20, /* a millisecond or two */
    ADOPT_ATTEMPTS = 3,     /* another creator may come first, and its object go away again */
};

int region_name_check(const char *name, struct failure *failure)
{
    if (*name == '/')
        name++;
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strlen(name) > NAME_MAX_LENGTH)
        return failure_set(failure, EINVAL,
                           "'%s' cannot be the name of a shared memory object: it "
                           "needs 1 to %d characters and no slash",
                           name, NAME_MAX_LENGTH);
    return 0;
}

/* What to do with the object that has our name. */
enum verdict {
    VERDICT_ABSENT,  /* there is none: make one */
    VERDICT_TAKE,    /* use it */
    VERDICT_REPLACE, /* leave it to those who map it, and take its name */
    VERDICT_WAIT,    /* its creator has not sized it yet */
};

static int refuse_object(const struct region_setup *setup, int error, const char *why,
                         struct failure *failure)
{
    return failure_set(failure, error,
                       "shared memory object " SHM_DIRECTORY "/%s %s: remove it or "
                       "choose another name with --shm-name",
                       setup->name, why);
}

static int judge_for_adoption(const struct region_setup *setup, const struct stat *status,
                              struct failure *failure)
{
    char why[160];

    if ((uint64_t)status->st_size == setup->size)
        return VERDICT_TAKE;
    if (status->st_size == 0)
        return VERDICT_WAIT;
    snprintf(why, sizeof(why), "has %llu bytes, and --adopt was asked for exactly %llu",
             ULL(status->st_size), ULL(setup->size));
    return refuse_object(setup, EINVAL, why, failure);
}

/* Return: enum verdict, or a negative errno when the object is in the way. */
static int judge(const struct region_setup *setup, const struct stat *status,
                 struct failure *failure)
{
    uid_t owner = setup->owner == (uid_t)-1 ? geteuid() : setup->owner;
    gid_t group = setup->group == (gid_t)-1 ? getegid() : setup->group;
    char why[160];

    if (!S_ISREG(status->st_mode))
        return refuse_object(setup, EEXIST, "is not a regular file", failure);
    if (status->st_uid != owner && status->st_uid != geteuid() &&
        !(setup->adopt && !status->st_uid)) {
        snprintf(why, sizeof(why), "belongs to uid %u, who could swap or resize it",
                 (unsigned)status->st_uid);
        return refuse_object(setup, EPERM, why, failure);
    }
    if (setup->adopt)
        return judge_for_adoption(setup, status, failure);
    if (!setup->fresh && (uint64_t)status->st_size == setup->size && status->st_uid == owner &&
        status->st_gid == group && (status->st_mode & 07777) == setup->mode &&
        status->st_nlink == 1)
        return VERDICT_TAKE;
    log_notice("object %s of %llu bytes, mode %04o, gid %u, %u names is not what is asked for: "
               "whoever maps it keeps it, the name goes to a new one",
               setup->name, ULL(status->st_size), (unsigned)status->st_mode & 07777,
               (unsigned)status->st_gid, (unsigned)status->st_nlink);
    return VERDICT_REPLACE;
}

static int take_over(struct region *region, const struct region_setup *setup,
                     struct failure *failure)
{
    int r = 0;

    region->size = setup->size;
    if (setup->zero)
        r = region_file_clear(region->fd, region->size, failure);
    if (r == 0 && setup->reserve)
        r = region_file_reserve(region->fd, region->size, failure);
    if (r == 0)
        log_notice("took over object %s with %s", setup->name,
                   setup->zero ? "its content cleared" : "its content");
    return r;
}

/* Opens the object that has our name, if there is one. Return: enum verdict but WAIT, or -errno. */
static int open_existing(struct region *region, const struct region_setup *setup,
                         struct failure *failure)
{
    const struct timespec pause = {.tv_nsec = ADOPT_STEP_NS};
    _cleanup_close_ int fd = openat(region->directory, setup->name,
                                    O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    int verdict = VERDICT_WAIT;

    if (fd < 0)
        return errno == ENOENT  ? VERDICT_ABSENT
               : errno == ELOOP ? refuse_object(setup, ELOOP, "is a symbolic link", failure)
                                : refuse_object(setup, errno, strerror(errno), failure);
    for (int i = 0; verdict == VERDICT_WAIT && i < ADOPT_WAIT_STEPS; i++) {
        if (i)
            nanosleep(&pause, NULL);
        if (fstat(fd, &status) < 0)
            return refuse_object(setup, errno, strerror(errno), failure);
        verdict = judge(setup, &status, failure);
    }
    if (verdict == VERDICT_WAIT)
        return refuse_object(setup, ETIMEDOUT, "has 0 bytes and nobody gives it a size", failure);
    if (verdict == VERDICT_TAKE)
        region->fd = steal_fd(&fd);
    return verdict;
}

/* Gives the finished file its name. With an object to be replaced, its name is freed first. */
static int link_name(const struct region *region, bool replace)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", region->fd);
    if (replace && unlinkat(region->directory, region->name, 0) < 0 && errno != ENOENT)
        return -errno;
    if (linkat(AT_FDCWD, path, region->directory, region->name, AT_SYMLINK_FOLLOW) < 0)
        return -errno;
    return 0;
}

/* Return: 0, -EAGAIN when somebody else made the object at this moment, or a negative errno. */
static int make_named(struct region *region, const struct region_setup *setup,
                      struct failure *failure)
{
    int verdict = open_existing(region, setup, failure), r;

    if (verdict < 0)
        return verdict;
    if (verdict == VERDICT_TAKE)
        return take_over(region, setup, failure);
    region->fd = region_file_new(setup, REGION_NAMED, region->directory, &region->size, failure);
    if (region->fd < 0)
        return region->fd;
    r = link_name(region, verdict == VERDICT_REPLACE);
    region->made = r == 0;
    region_undo(region); /* until the rest has gone well, whatever is asked */
    if (r == 0)
        return 0;
    region->fd = close_fd(region->fd);
    failure_set(failure, -r, "cannot name the memory " SHM_DIRECTORY "/%s: %s", setup->name,
                strerror(-r));
    return r == -EEXIST ? -EAGAIN : r;
}

static int lock_name(struct region *region, int held, struct failure *failure)
{
    _cleanup_close_ int held_fd = held;
    _cleanup_free_ char *file = NULL;
    char what[300];

    if (asprintf(&file, ".%s.lock", region->name) < 0)
        return failure_set(failure, ENOMEM, "out of memory");
    snprintf(what, sizeof(what), "shared memory object %s", region->name);
    return lockfile_inherit(&region->lock, region->directory, file, what, steal_fd(&held_fd),
                            failure);
}

static int open_directory(struct region *region, const struct region_setup *setup,
                          struct failure *failure)
{
    region->name = strdup(setup->name);
    region->directory = open(SHM_DIRECTORY, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!region->name || region->directory < 0)
        return failure_set(failure, errno, "cannot open " SHM_DIRECTORY ": %s", strerror(errno));
    return trust_directory(SHM_DIRECTORY, failure);
}

static int open_named(struct region *region, const struct region_setup *setup,
                      struct failure *failure)
{
    int attempts = 0, r;

    r = open_directory(region, setup, failure);
    if (r == 0)
        r = lock_name(region, -1, failure);
    if (r < 0)
        return r;
    do
        r = make_named(region, setup, failure);
    while (r == -EAGAIN && setup->adopt && ++attempts < ADOPT_ATTEMPTS);
    if (r < 0)
        return r;
    if (fstat(region->fd, &region->status) < 0)
        return failure_set(failure, errno, "cannot look at the memory: %s", strerror(errno));
    return 0;
}

static int open_nameless(struct region *region, const struct region_setup *setup,
                         struct failure *failure)
{
    _cleanup_close_ int directory = -1;

    if (region->kind == REGION_DIRECTORY) {
        directory = open(setup->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
            return failure_set(failure, errno, "cannot open directory %s: %s", setup->directory,
                               strerror(errno));
    }
    region->fd = region_file_new(setup, region->kind, directory, &region->size, failure);
    return region->fd < 0 ? region->fd : 0;
}

static int open_peer_fd(struct region *region, struct failure *failure)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", region->fd);
    region->peer_fd = open(path, O_RDWR | O_CLOEXEC);
    if (region->peer_fd < 0)
        return failure_set(failure, errno, "cannot open the memory for the peers (%s): %s", path,
                           strerror(errno));
    return 0;
}

static struct region *region_alloc(const struct region_setup *setup)
{
    struct region *region = calloc(1, sizeof(*region));

    if (!region)
        return NULL;
    *region = (struct region){
        .fd = -1,
        .peer_fd = -1,
        .directory = -1,
        .lock = LOCKFILE_INIT,
        .size = setup->size,
        .reserve = setup->reserve,
        .kind = setup->sealed || setup->hugetlb ? REGION_MEMFD
                : setup->directory              ? REGION_DIRECTORY
                                                : REGION_NAMED,
    };
    return region;
}

int region_new(const struct region_setup *setup, struct region **out, struct failure *failure)
{
    struct region *region = region_alloc(setup);
    int r;

    if (!region)
        return failure_set(failure, ENOMEM, "out of memory");
    r = region->kind == REGION_NAMED ? open_named(region, setup, failure)
                                     : open_nameless(region, setup, failure);
    if (r == 0)
        r = open_peer_fd(region, failure);
    if (r < 0) {
        region_free(region);
        return r;
    }
    region->remove = !setup->keep && !setup->adopt;
    *out = region;
    return 0;
}

/* The object under our name may have been removed or replaced: then there is no name to remove. */
static int inherit_name(struct region *region, const struct region_setup *setup, int held,
                        struct failure *failure)
{
    _cleanup_close_ int held_fd = held;
    struct stat status;
    int r = open_directory(region, setup, failure);

    if (r == 0)
        r = lock_name(region, steal_fd(&held_fd), failure);
    if (r < 0)
        return r;
    if (fstatat(region->directory, region->name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        status.st_ino != region->status.st_ino || status.st_dev != region->status.st_dev) {
        log_warning(SHM_DIRECTORY "/%s is no longer the memory that the peers share", region->name);
        return 0;
    }
    region->remove = !setup->keep && !setup->adopt;
    return 0;
}

/* Whether the memory is an object with the name that the options have, whatever else they say. */
static bool has_name(const struct region_setup *setup, const struct stat *memory)
{
    _cleanup_close_ int directory = open(SHM_DIRECTORY, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat status;

    return directory >= 0 && setup->name &&
           fstatat(directory, setup->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_ino == memory->st_ino && status.st_dev == memory->st_dev;
}

bool region_is_sealed(const struct region *region)
{
    int seals = fcntl(region->fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_SHRINK);
}

int region_inherit(const struct region_setup *setup, int fd, int lock, struct region **out,
                   struct failure *failure)
{
    _cleanup_close_ int held = lock;
    struct region *region = region_alloc(setup);
    int r = 0;

    if (!region)
        return failure_set(failure, ENOMEM, "out of memory");
    region->fd = fd;
    if (fstat(fd, &region->status) < 0 || !S_ISREG(region->status.st_mode) ||
        (uint64_t)region->status.st_size != setup->size)
        r = failure_set(failure, EPROTO, "the memory that came back is not %llu bytes of memory",
                        ULL(setup->size));
    if (r == 0 && has_name(setup, &region->status))
        region->kind = REGION_NAMED;
    if (r == 0 && region->kind == REGION_NAMED &&
        inherit_name(region, setup, steal_fd(&held), failure) < 0) {
        log_error("%s. Going on with the memory that the peers share, whatever has its name",
                  failure ? failure->text : "its name is lost");
        region->remove = false;
    }
    if (r == 0)
        r = open_peer_fd(region, failure);
    if (r < 0) {
        region->fd = -1;
        region_free(region);
        return r;
    }
    *out = region;
    return 0;
}

/* Removes the name if it still leads to our object. */
static void remove_name(const struct region *region)
{
    struct stat status;

    if (fstatat(region->directory, region->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_ino == region->status.st_ino && status.st_dev == region->status.st_dev)
        unlinkat(region->directory, region->name, 0);
}

static int remove_left_over(const struct region *region, const struct region_setup *setup,
                            struct failure *failure)
{
    uid_t owner = setup->owner == (uid_t)-1 ? geteuid() : setup->owner;
    struct stat status;
    char why[32];

    if (fstatat(region->directory, region->name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : refuse_object(setup, errno, strerror(errno), failure);
    if (!S_ISREG(status.st_mode))
        return refuse_object(setup, EEXIST, "is not a regular file", failure);
    if (status.st_uid != owner && status.st_uid != geteuid()) {
        snprintf(why, sizeof(why), "belongs to uid %u", (unsigned)status.st_uid);
        return refuse_object(setup, EPERM, why, failure);
    }
    if (unlinkat(region->directory, region->name, 0) < 0)
        return refuse_object(setup, errno, strerror(errno), failure);
    log_notice("removed the object %s", region->name);
    return 0;
}

int region_remove(const struct region_setup *setup, struct failure *failure)
{
    struct region *region = region_alloc(setup);
    int r;

    if (!region)
        return failure_set(failure, ENOMEM, "out of memory");
    r = region->kind == REGION_NAMED ? open_directory(region, setup, failure) : 0;
    if (r == 0 && region->name)
        r = lock_name(region, -1, failure);
    if (r == 0 && region->name && !setup->keep && !setup->adopt)
        r = remove_left_over(region, setup, failure);
    region_free(region);
    return r;
}

void region_undo(struct region *region)
{
    region->remove = region->made;
}

void region_keep(struct region *region)
{
    region->remove = false;
}

struct region *region_free(struct region *region)
{
    if (!region)
        return NULL;
    if (region->name && region->remove)
        remove_name(region);
    close_fd(region->fd);
    close_fd(region->peer_fd);
    lockfile_release(&region->lock);
    close_fd(region->directory);
    free(region->name);
    free(region);
    return NULL;
}

int region_restore(struct region *region, uint64_t *found)
{
    struct stat status;

    if (fstat(region->fd, &status) < 0)
        return -errno;
    *found = (uint64_t)status.st_size;
    if (*found == region->size)
        return 0;
    return ftruncate(region->fd, (off_t)region->size) < 0 ? -errno : 1;
}

int region_refill(const struct region *region, uint64_t *from)
{
    uint64_t rest = region->size - *from, slice = rest < REFILL_SLICE ? rest : REFILL_SLICE;

    if (!region->reserve || !rest)
        return 0;
    if (fallocate(region->fd, 0, (off_t)*from, (off_t)slice) < 0)
        return errno == EINTR ? 1 : -errno;
    *from += slice;
    return *from < region->size;
}
