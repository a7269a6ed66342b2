/* SPDX-License-Identifier: MIT
 *
 * See listener.h.
 */
#include "server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/fdpass.h"
#include "common/log.h"
#include "common/wire.h"
#include "server/inherited.h"
#include "server/lockfile.h"
#include "server/trust.h"

enum {
    ACCEPT_BURST = 16, /* connections taken before others get their turn */
    RESUME_SECONDS = 1,
};

/**
 * struct listener - see listener.h
 * @rights:     who may connect, for a socket that is yet to be made
 * @path:       for messages
 * @directory:  where the socket is; the path may mean something else by the time it is removed
 * @name:       the socket's name there
 * @lock:       PATH.lock
 * @fd:         the listening socket
 * @bound:      device and inode of the socket file; st_ino 0 while there is none
 * @acceptable: event: somebody connects
 * @resume:     event: end of a pause
 * @paused:     out of descriptors
 * @waiting:    whoever takes care of connections is not ready
 */
struct listener {
    struct event_base *base;
    struct socket_rights rights;
    char *path;
    int directory;
    char *name;
    struct lockfile lock;
    int fd;
    struct stat bound;
    struct event *acceptable, *resume;
    bool paused, waiting;
    listener_accept_fn *on_accept;
    listener_ready_fn *ready;
    void *argument;
};

static void pause_accepting(struct listener *listener, int error)
{
    const struct timeval later = {.tv_sec = RESUME_SECONDS};

    if (!listener->paused)
        log_error("cannot accept on %s: %s. Waiting for descriptors to be given back; raise the "
                  "limit (ulimit -Hn, LimitNOFILE=, fs.file-max)",
                  listener->path, strerror(error));
    listener->paused = true;
    event_del(listener->acceptable);
    event_add(listener->resume, &later);
}

static void on_acceptable(evutil_socket_t fd, short what, void *argument)
{
    struct listener *listener = argument;

    (void)what;
    for (int i = 0; i < ACCEPT_BURST; i++) {
        int sock;

        if (listener->ready && !listener->ready(listener->argument)) {
            listener->waiting = true;
            event_del(listener->acceptable);
            return;
        }
        sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (sock >= 0) {
            if (listener->paused)
                log_notice("accepting on %s again", listener->path);
            listener->paused = false;
            listener->on_accept(listener->argument, sock);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(listener, errno);
        else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            log_error("cannot accept on %s: %s", listener->path, strerror(errno));
        return;
    }
}

static void on_resume(evutil_socket_t fd, short what, void *argument)
{
    struct listener *listener = argument;

    (void)fd;
    (void)what;
    event_add(listener->acceptable, NULL);
}

void listener_resume(struct listener *listener)
{
    if (!listener->paused && !listener->waiting)
        return;
    listener->waiting = false;
    event_del(listener->resume);
    event_add(listener->acceptable, NULL);
}

/*
 * Whether a live socket is bound to a path, without connecting to it: a connection is an event in
 * the life of a server (QEMU's example server dies of one that closes at once). Connecting with
 * the wrong socket type finds the socket, and fails with EPROTOTYPE if there is one.
 */
static int probe_socket(const struct sockaddr_un *address)
{
    _cleanup_close_ int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (probe < 0)
        return -errno;
    if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return -EADDRINUSE;
    return errno == ECONNREFUSED ? 0 : errno == EPROTOTYPE ? -EADDRINUSE : -errno;
}

static struct sockaddr_un address_of(const struct listener *listener)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, listener->path, strlen(listener->path) + 1);
    return address;
}

/* Whether nothing is at our path but, at most, what a crashed server left: then *stale is set. */
static int check_path(const struct listener *listener, bool *stale, struct failure *failure)
{
    const struct sockaddr_un address = address_of(listener);
    struct stat status;
    int r;

    *stale = false;

    if (fstatat(listener->directory, listener->name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0
                               : failure_set(failure, errno, "cannot look at %s: %s",
                                             listener->path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return failure_set(failure, EEXIST,
                           "%s exists and is not a socket: remove it, or choose another path",
                           listener->path);
    r = probe_socket(&address);
    if (r == -EADDRINUSE)
        return failure_set(failure, EADDRINUSE,
                           "socket %s belongs to another program that is "
                           "running: stop it, or choose another path",
                           listener->path);
    if (r < 0)
        return failure_set(failure, -r, "cannot find out whether socket %s is in use: %s",
                           listener->path, strerror(-r));
    *stale = true;
    return 0;
}

int listener_clear(struct listener *listener, struct failure *failure)
{
    bool stale;
    int r = check_path(listener, &stale, failure);

    if (r < 0 || !stale)
        return r;
    if (unlinkat(listener->directory, listener->name, 0) < 0)
        return failure_set(failure, errno, "cannot remove the stale socket %s: %s", listener->path,
                           strerror(errno));
    log_notice("removed the stale socket %s", listener->path);
    return 0;
}

static int refuse_socket(const struct listener *listener, int error, struct failure *failure)
{
    return failure_set(failure, error, "cannot listen on %s: %s", listener->path, strerror(error));
}

static int give_away(const struct listener *listener, struct failure *failure)
{
    const struct socket_rights *rights = &listener->rights;

    if ((rights->owner != (uid_t)-1 || rights->group != (gid_t)-1) &&
        fchownat(listener->directory, listener->name, rights->owner, rights->group,
                 AT_SYMLINK_NOFOLLOW) < 0)
        return failure_set(failure, errno,
                           "cannot give socket %s to the owner and group that are asked for (user "
                           "%d, group %d, -1: ours): %s; only root can, and others to their own "
                           "groups",
                           listener->path, (int)rights->owner, (int)rights->group, strerror(errno));
    return 0;
}

/* The socket comes into being with no rights for anybody else, and gets them last. */
static int bind_with_rights(struct listener *listener, struct failure *failure)
{
    const struct sockaddr_un address = address_of(listener);
    mode_t mask = umask(0177);
    int bound = bind(listener->fd, (const struct sockaddr *)&address, sizeof(address));
    int error = errno, r;

    umask(mask);
    if (bound < 0)
        return refuse_socket(listener, error, failure);
    if (fstatat(listener->directory, listener->name, &listener->bound, AT_SYMLINK_NOFOLLOW) < 0)
        return refuse_socket(listener, errno, failure);
    r = give_away(listener, failure);
    if (r < 0)
        return r;
    if (fchmodat(listener->directory, listener->name, listener->rights.mode, 0) < 0 ||
        listen(listener->fd, SOMAXCONN) < 0)
        return refuse_socket(listener, errno, failure);
    return 0;
}

static int open_socket(struct listener *listener, struct failure *failure)
{
    int r = listener_clear(listener, failure);

    if (r < 0)
        return r;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return listener->fd < 0 ? refuse_socket(listener, errno, failure)
                            : bind_with_rights(listener, failure);
}

/* Opens the directory, checks who could swap things in it, and takes the lock. */
static int open_place(struct listener *listener, const char *path, int held,
                      struct failure *failure)
{
    _cleanup_free_ char *copy = strdup(path), *base = strdup(path), *lock_name = NULL;
    _cleanup_close_ int held_fd = held;
    char what[PATH_MAX];
    const char *directory;
    int r;

    listener->path = strdup(path);
    listener->name = base ? strdup(basename(base)) : NULL;
    if (!copy || !listener->path || !listener->name ||
        asprintf(&lock_name, "%s.lock", listener->name) < 0)
        return failure_set(failure, ENOMEM, "out of memory");
    directory = dirname(copy);
    listener->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (listener->directory < 0)
        return failure_set(failure, errno, "directory %s of socket %s: %s; make it first",
                           directory, path, strerror(errno));
    r = trust_directory(directory, failure);
    if (r < 0)
        return r;
    snprintf(what, sizeof(what), "socket %s", path);
    return lockfile_inherit(&listener->lock, listener->directory, lock_name, what,
                            steal_fd(&held_fd), failure);
}

static struct listener *listener_alloc(struct event_base *base, listener_accept_fn *on_accept,
                                       void *argument)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    if (listener)
        *listener = (struct listener){.directory = -1,
                                      .fd = -1,
                                      .lock = LOCKFILE_INIT,
                                      .base = base,
                                      .on_accept = on_accept,
                                      .argument = argument};
    return listener;
}

static int watch(struct listener *listener, struct failure *failure)
{
    listener->acceptable =
        event_new(listener->base, listener->fd, EV_READ | EV_PERSIST, on_acceptable, listener);
    listener->resume = evtimer_new(listener->base, on_resume, listener);
    if (!listener->path || !listener->acceptable || !listener->resume ||
        event_add(listener->acceptable, NULL) < 0)
        return failure_set(failure, ENOMEM, "cannot watch socket %s", listener->path);
    return 0;
}

int listener_new(struct event_base *base, const char *path, const struct socket_rights *rights,
                 listener_accept_fn *on_accept, void *argument, struct listener **out,
                 struct failure *failure)
{
    const size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);
    struct listener *listener;
    bool stale;
    int r;

    if (!*path || strlen(path) >= room)
        return failure_set(failure, ENAMETOOLONG,
                           "socket path '%s' has %zu characters and may have 1 to %zu: choose "
                           "another",
                           path, strlen(path), room - 1);
    listener = listener_alloc(base, on_accept, argument);
    if (!listener)
        return failure_set(failure, ENOMEM, "out of memory");
    listener->rights = *rights;
    r = open_place(listener, path, -1, failure);
    if (r == 0)
        r = check_path(listener, &stale, failure);
    if (r < 0) {
        listener_free(listener, true);
        return r;
    }
    *out = listener;
    return 0;
}

int listener_open(struct listener *listener, struct failure *failure)
{
    int r = listener->fd < 0 ? open_socket(listener, failure) : 0;

    return r < 0 ? r : watch(listener, failure);
}

/* Whether a descriptor is what listener_inherit() wants. Sets it non-blocking: managers do not. */
static int check_inherited(int fd, struct failure *failure)
{
    int domain = 0, type = 0, listening = 0, flags = fcntl(fd, F_GETFL);
    socklen_t size = sizeof(int);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
        return failure_set(failure, EPROTO,
                           "descriptor %d is not a listening UNIX stream socket "
                           "(ListenStream=)",
                           fd);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return failure_set(failure, errno, "descriptor %d: %s", fd, strerror(errno));
    return 0;
}

int listener_inherit(struct event_base *base, int fd, int lock, const char *path,
                     listener_accept_fn *on_accept, void *argument, struct listener **out,
                     struct failure *failure)
{
    _cleanup_close_ int held = lock;
    struct listener *listener = listener_alloc(base, on_accept, argument);
    int r = listener ? check_inherited(fd, failure) : failure_set(failure, ENOMEM, "out of memory");

    if (r == 0 && path)
        r = open_place(listener, path, steal_fd(&held), failure);
    else if (r == 0 && !(listener->path = strdup("the manager's socket")))
        r = failure_set(failure, ENOMEM, "out of memory");
    if (r < 0) {
        listener_free(listener, false);
        return r;
    }
    if (listener->name)
        fstatat(listener->directory, listener->name, &listener->bound, AT_SYMLINK_NOFOLLOW);
    listener->fd = fd;
    *out = listener;
    return 0;
}

void listener_set_ready(struct listener *listener, listener_ready_fn *ready)
{
    listener->ready = ready;
}

int listener_fd(const struct listener *listener)
{
    return listener->fd;
}

void listener_list(const struct listener *listener, const char *name, FILE *out)
{
    fprintf(out, "%d %s\n", listener->fd, name);
    if (listener->lock.fd >= 0)
        fprintf(out, "%d " INHERITED_LOCK "%s\n", listener->lock.fd, name);
}

/*
 * Who has connected and was not accepted yet is turned away: a QEMU that only sees the connection
 * end spins for ever (ivshmem-protocol(7)). After the shutdown nobody can queue up any more.
 */
static void turn_away(int fd)
{
    int sock, flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || shutdown(fd, SHUT_RD) < 0)
        return;
    while ((sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        fdpass_write(sock, WIRE_REFUSED, -1);
        close_fd(sock);
    }
}

/* Removes the socket file if it is still the one that we made. */
static void remove_socket(const struct listener *listener)
{
    struct stat status;

    if (listener->bound.st_ino &&
        fstatat(listener->directory, listener->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_ino == listener->bound.st_ino && status.st_dev == listener->bound.st_dev)
        unlinkat(listener->directory, listener->name, 0);
}

struct listener *listener_free(struct listener *listener, bool remove)
{
    if (!listener)
        return NULL;
    if (listener->acceptable)
        event_free(listener->acceptable);
    if (listener->resume)
        event_free(listener->resume);
    if (remove && listener->name) {
        remove_socket(listener);
        if (listener->fd >= 0 && listener->ready)
            turn_away(listener->fd);
    }
    close_fd(listener->fd);
    lockfile_release(&listener->lock);
    close_fd(listener->directory);
    free(listener->path);
    free(listener->name);
    free(listener);
    return NULL;
}

void listener_end(struct event_base *base, int fd, int lock, bool peers)
{
    struct sockaddr_un address = {.sun_family = AF_UNSPEC};
    socklen_t length = sizeof(address);
    struct listener *listener;

    if (peers)
        turn_away(fd);
    if (getsockname(fd, (struct sockaddr *)&address, &length) == 0)
        log_notice("the socket %.108s is closed: no option has it any more", address.sun_path);
    if (listener_inherit(base, fd, lock, address.sun_path, NULL, NULL, &listener, NULL) < 0)
        close_fd(fd);
    else
        listener_free(listener, true);
}
