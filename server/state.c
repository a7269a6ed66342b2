/* SPDX-License-Identifier: MIT
 *
 * See state.h.
 */
#include "server/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

static int map(struct state *state, int fd)
{
    void *memory = mmap(NULL, sizeof(struct state_file), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_NORESERVE, fd, 0);

    if (memory == MAP_FAILED)
        return -errno;
    madvise(memory, sizeof(struct state_file), MADV_DONTDUMP);
    state->file = memory;
    return 0;
}

/* Everything but the peers' records is written without asking: it must be there. */
static int make_file(void)
{
    _cleanup_close_ int fd = memfd_create("ivshmem-state", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, sizeof(struct state_file)) < 0 ||
        fallocate(fd, 0, 0, offsetof(struct state_file, peers)) < 0)
        return -errno;
    return steal_fd(&fd);
}

/* From now on it is counted what happens. */
static void start_counting(struct state_head *head)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    head->started = now.tv_sec;
    head->started_at = time(NULL);
}

int state_new(struct state *state, unsigned n_vectors, uint64_t memory_size,
              struct failure *failure)
{
    _cleanup_close_ int fd = make_file();
    int r = fd < 0 ? fd : map(state, fd);

    if (r < 0)
        return failure_set(failure, -r, "cannot make the state: %s", strerror(-r));
    state->file->head = (struct state_head){
        .magic = STATE_MAGIC,
        .version = STATE_VERSION,
        .n_vectors = n_vectors,
        .memory_size = memory_size,
    };
    start_counting(&state->file->head);
    state->fd = steal_fd(&fd);
    batch_init(&state->file->batch);
    return 0;
}

int state_add_channels(struct state *state, unsigned n_mailboxes, unsigned n_channels,
                       struct failure *failure)
{
    const off_t at = offsetof(struct state_file, channels);
    int r = 0;

    if (fallocate(state->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
                  sizeof(state->file->channels)) < 0)
        r = -errno;
    if (r == 0)
        r = channel_state_reserve(state->fd, at, n_mailboxes, n_channels);
    if (r < 0)
        return failure_set(failure, -r, "cannot make room for the state of channels: %s",
                           strerror(-r));
    return 0;
}

static int check_head(const struct state_head *head, struct failure *failure)
{
    if (head->magic != STATE_MAGIC)
        return failure_set(failure, EPROTO, "what was left as the state is something else");
    if (head->version != STATE_VERSION)
        return failure_set(failure, EPROTO, "the state has version %u, and this program reads %d",
                           head->version, STATE_VERSION);
    if (head->n_vectors < 1 || head->n_vectors > WIRE_VECTORS_MAX || !head->memory_size)
        return failure_set(failure, EPROTO, "the state says %u vectors and %llu bytes",
                           head->n_vectors, (unsigned long long)head->memory_size);
    if (head->attempts >= STATE_ATTEMPTS_MAX)
        return failure_set(failure, ELOOP, "the state could not be restored %u times",
                           head->attempts);
    return 0;
}

int state_open(struct state *state, int fd, struct failure *failure)
{
    struct state_head head;
    struct stat status;
    int r;

    if (fstat(fd, &status) < 0 || status.st_size != sizeof(struct state_file))
        return failure_set(failure, EPROTO, "what was left as the state has not its size");
    r = map(state, fd);
    if (r < 0)
        return failure_set(failure, -r, "cannot map the state: %s", strerror(-r));
    head = state->file->head;
    r = check_head(&head, failure);
    if (r < 0) {
        munmap(state->file, sizeof(struct state_file));
        state->file = NULL;
        return r;
    }
    state->file->head.attempts = head.attempts + 1;
    if (!head.started_at)
        start_counting(&state->file->head);
    state->fd = fd;
    return 0;
}

void state_settled(struct state *state)
{
    state->file->head.attempts = 0;
}

bool state_has_peers(const struct state *state)
{
    for (unsigned id = 0; id < STATE_IDS; id++)
        if (state->file->seats[id].phase == SEAT_OCCUPIED)
            return true;
    return false;
}

/* Copies one stretch of data between holes. */
static int copy_stretch(int to, int from, off_t at, off_t end)
{
    while (at < end) {
        char bytes[65536];
        size_t want = (size_t)(end - at) < sizeof(bytes) ? (size_t)(end - at) : sizeof(bytes);
        ssize_t got = pread(from, bytes, want, at);

        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        if (pwrite(to, bytes, (size_t)got, at) != got)
            return -errno;
        at += got;
    }
    return 0;
}

int state_copy(const struct state *state)
{
    _cleanup_close_ int copy = make_file();
    off_t at = 0, end;
    int r = copy < 0 ? copy : 0;

    while (r == 0 && (at = lseek(state->fd, at, SEEK_DATA)) >= 0) {
        end = lseek(state->fd, at, SEEK_HOLE);
        r = end < 0 ? -errno : copy_stretch(copy, state->fd, at, end);
        at = end;
    }
    return r < 0 ? r : steal_fd(&copy);
}

static off_t peer_offset(unsigned id)
{
    return (off_t)(offsetof(struct state_file, peers) + id * sizeof(struct state_peer));
}

static int reserve(const struct state *state, off_t at, size_t length)
{
    return fallocate(state->fd, 0, at, (off_t)length) < 0 ? -ENOMEM : 0;
}

int state_reserve(struct state *state, unsigned id, unsigned upto)
{
    const off_t peer = peer_offset(id);
    const size_t words = (upto / 64 + 1) * sizeof(uint64_t);
    int r = reserve(state, peer, offsetof(struct state_peer, told) + words);

    if (r == 0)
        r = reserve(state, peer + (off_t)offsetof(struct state_peer, leaves), words);
    return r;
}

void state_forget_peer(struct state *state, unsigned id)
{
    fallocate(state->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, peer_offset(id),
              sizeof(struct state_peer));
}

void state_keep_config(struct state *state, const char *path)
{
    struct state_config *config = &state->file->config;
    _cleanup_close_ int file = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ char *text = malloc(STATE_CONFIG_MAX + 1);
    ssize_t length = file < 0 || !text ? -1 : read(file, text, STATE_CONFIG_MAX + 1);

    config->length = 0; /* while it changes there is none */
    if (length < 0 || length > STATE_CONFIG_MAX) {
        log_warning("%s is not remembered for a restart: it cannot be read or is over %d bytes",
                    path, STATE_CONFIG_MAX);
        return;
    }
    memcpy(config->text, text, (size_t)length);
    __atomic_store_n(&config->length, (uint32_t)length, __ATOMIC_RELEASE);
}

int state_kept_config(int fd)
{
    _cleanup_close_ int copy = memfd_create("ivshmem-config", MFD_CLOEXEC);
    _cleanup_free_ struct state_config *config = malloc(sizeof(*config));
    struct state_head head;
    struct failure failure;

    if (copy < 0 || !config)
        return -ENOMEM;
    if (pread(fd, &head, sizeof(head), offsetof(struct state_file, head)) != sizeof(head) ||
        check_head(&head, &failure) < 0 ||
        pread(fd, config, sizeof(*config), offsetof(struct state_file, config)) !=
            sizeof(*config) ||
        !config->length || config->length > STATE_CONFIG_MAX)
        return -ENOENT;
    if (write(copy, config->text, config->length) != (ssize_t)config->length)
        return -EIO;
    return steal_fd(&copy);
}

void state_deinit(struct state *state)
{
    if (state->file)
        munmap(state->file, sizeof(struct state_file));
    state->file = NULL;
    state->fd = close_fd(state->fd);
}
