/* SPDX-License-Identifier: MIT
 *
 * See standin.h. IDs and doorbells are made once and stay: peers are never told of a leave.
 */
#include "tests/unit/standin.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/doorbell.h"
#include "common/fdpass.h"
#include "common/wire.h"
#include "server/rebalance.h"

enum { PEER_VECTORS = STANDIN_VECTORS, DAEMON = STANDIN_PEERS };

/* What is polled: what makes it stop, newcomers, then sockets, then private doorbells. */
enum { WAKE, LISTENER, SOCKETS, BELLS = SOCKETS + STANDIN_PEERS, FDS = BELLS + STANDIN_PEERS };

struct standin {
    char folder[64];
    char target[128];
    pthread_t thread;
    pthread_mutex_t mutex;
    bool away;
    bool stop;
    int wake;
    int listener;
    int memory;
    uint8_t *region;
    uint64_t region_size;
    struct channel_state *state;
    struct channels_setup setup;
    struct channels *channels;
    int sockets[STANDIN_PEERS];
    int bells[STANDIN_PEERS];
    int vectors[STANDIN_PEERS][PEER_VECTORS];
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void ring(void *context, unsigned peer, unsigned vector)
{
    const struct standin *standin = context;

    doorbell_ring(standin->vectors[peer][vector]);
}

static void tell(int socket, int64_t value, int fd)
{
    fdpass_write(socket, value, fd); /* a peer that has left is found out by its end of file */
}

static void greet(struct standin *standin, int fd)
{
    unsigned id = 0;

    while (id < STANDIN_PEERS && standin->sockets[id] >= 0)
        id++;
    assert_true(id < STANDIN_PEERS);
    standin->sockets[id] = fd;
    doorbell_clear(standin->bells[id]);
    if (standin->channels)
        channels_joined(standin->channels, id, (uint32_t)getpid(), getuid(), PEER_VECTORS);
    tell(fd, WIRE_VERSION, -1);
    tell(fd, id, -1);
    tell(fd, WIRE_MEMORY, standin->memory);
    if (standin->channels)
        tell(fd, DAEMON, standin->bells[id]);
    for (unsigned other = 0; other < STANDIN_PEERS; other++)
        for (unsigned i = 0; other != id && i < PEER_VECTORS; i++)
            tell(fd, other, standin->vectors[other][i]);
    for (unsigned i = 0; i < PEER_VECTORS; i++)
        tell(fd, id, standin->vectors[id][i]);
}

static void list_fds(const struct standin *standin, struct pollfd *fds)
{
    for (int i = 0; i < FDS; i++)
        fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    fds[WAKE].fd = standin->wake;
    fds[LISTENER].fd = standin->listener;
    for (int i = 0; i < STANDIN_PEERS; i++) {
        fds[SOCKETS + i].fd = standin->sockets[i];
        fds[BELLS + i].fd = standin->away || standin->sockets[i] < 0 ? -1 : standin->bells[i];
    }
}

static void serve(struct standin *standin, const struct pollfd *fds)
{
    for (unsigned i = 0; i < STANDIN_PEERS; i++) {
        if (fds[BELLS + i].revents && standin->channels && standin->sockets[i] >= 0) {
            channels_hear(standin->channels, i);
            doorbell_clear(standin->bells[i]);
            channels_rung(standin->channels, i, now_ms());
        }
        if (fds[SOCKETS + i].revents && standin->sockets[i] >= 0) {
            standin->sockets[i] = close_fd(standin->sockets[i]);
            if (standin->channels)
                channels_left(standin->channels, i);
        }
    }
    if (fds[WAKE].revents)
        doorbell_clear(standin->wake);
    if (fds[LISTENER].revents)
        greet(standin, accept4(standin->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (standin->channels && !standin->away)
        channels_tick(standin->channels, now_ms());
}

static void *run(void *context)
{
    struct standin *standin = context;
    struct pollfd fds[FDS];
    bool stop = false;

    while (!stop) {
        int64_t deadline = -1, left;

        pthread_mutex_lock(&standin->mutex);
        list_fds(standin, fds);
        if (standin->channels && !standin->away)
            deadline = channels_deadline(standin->channels);
        pthread_mutex_unlock(&standin->mutex);
        left = deadline < 0 ? -1 : deadline - now_ms();
        if (deadline >= 0)
            left = left < 0 ? 0 : left > 1000 ? 1000 : left;
        poll(fds, FDS, (int)left);
        pthread_mutex_lock(&standin->mutex);
        serve(standin, fds);
        stop = standin->stop;
        pthread_mutex_unlock(&standin->mutex);
    }
    return NULL;
}

static void make_memory(struct standin *standin, uint64_t region_size)
{
    standin->region_size = region_size;
    standin->memory = memfd_create("ivshmem-unit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(standin->memory >= 0);
    assert_int_equal(0, ftruncate(standin->memory, (off_t)region_size));
    assert_int_equal(0, fcntl(standin->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    standin->region =
        mmap(NULL, region_size, PROT_READ | PROT_WRITE, MAP_SHARED, standin->memory, 0);
    assert_true(standin->region != MAP_FAILED);
}

static void make_channels(struct standin *standin, const struct channels_options *options)
{
    struct failure failure = {.text = ""};

    standin->state = mmap(NULL, sizeof(*standin->state), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(standin->state != MAP_FAILED);
    standin->setup = (struct channels_setup){
        .region = standin->region,
        .region_size = standin->region_size,
        .state = standin->state,
        .n_mailboxes = STANDIN_PEERS,
        .n_channels = STANDIN_CHANNELS,
        .instance = 1,
        .options = *options,
        .ring = ring,
        .context = standin,
    };
    channels_new(&standin->setup, &standin->channels, &failure);
    assert_string_equal("", failure.text);
    channels_start(standin->channels, now_ms());
}

struct standin *standin_new(uint64_t region_size, const struct channels_options *options)
{
    struct standin *standin = calloc(1, sizeof(*standin));
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    assert_non_null(standin);
    scratch_make(standin->folder);
    snprintf(standin->target, sizeof(standin->target), "%s/socket", standin->folder);
    memcpy(address.sun_path, standin->target, strlen(standin->target) + 1);
    standin->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(standin->listener, (struct sockaddr *)&address, sizeof(address)));
    assert_int_equal(0, listen(standin->listener, STANDIN_PEERS));
    make_memory(standin, region_size);
    standin->wake = doorbell_new();
    for (unsigned i = 0; i < STANDIN_PEERS; i++) {
        standin->sockets[i] = -1;
        standin->bells[i] = doorbell_new();
        for (unsigned j = 0; j < PEER_VECTORS; j++)
            standin->vectors[i][j] = doorbell_new();
    }
    if (options)
        make_channels(standin, options);
    pthread_mutex_init(&standin->mutex, NULL);
    assert_int_equal(0, pthread_create(&standin->thread, NULL, run, standin));
    return standin;
}

struct standin *standin_free(struct standin *standin)
{
    if (!standin)
        return NULL;
    pthread_mutex_lock(&standin->mutex);
    standin->stop = true;
    pthread_mutex_unlock(&standin->mutex);
    doorbell_ring(standin->wake);
    pthread_join(standin->thread, NULL);
    pthread_mutex_destroy(&standin->mutex);
    channels_free(standin->channels);
    if (standin->state)
        munmap(standin->state, sizeof(*standin->state));
    for (unsigned i = 0; i < STANDIN_PEERS; i++) {
        close_fd(standin->sockets[i]);
        close_fd(standin->bells[i]);
        for (unsigned j = 0; j < PEER_VECTORS; j++)
            close_fd(standin->vectors[i][j]);
    }
    close_fd(standin->wake);
    close_fd(standin->listener);
    close_fd(standin->memory);
    munmap(standin->region, standin->region_size);
    scratch_remove(standin->folder);
    free(standin);
    return NULL;
}

const char *standin_target(const struct standin *standin)
{
    return standin->target;
}

uint8_t *standin_memory(const struct standin *standin)
{
    return standin->region;
}

int standin_resize(struct standin *standin, unsigned channel, uint64_t size)
{
    int r;

    pthread_mutex_lock(&standin->mutex);
    r = channels_resize(standin->channels, channel, size);
    pthread_mutex_unlock(&standin->mutex);
    return r;
}

bool standin_status(struct standin *standin, unsigned from, struct channels_status *status)
{
    bool found;

    pthread_mutex_lock(&standin->mutex);
    found = channels_status(standin->channels, from, status);
    pthread_mutex_unlock(&standin->mutex);
    return found;
}

void standin_away(struct standin *standin, bool away)
{
    pthread_mutex_lock(&standin->mutex);
    standin->away = away;
    pthread_mutex_unlock(&standin->mutex);
    doorbell_ring(standin->wake);
}

void standin_restart(struct standin *standin)
{
    struct failure failure = {.text = ""};

    pthread_mutex_lock(&standin->mutex);
    channels_free(standin->channels);
    channels_restore(&standin->setup, &standin->channels, &failure);
    assert_string_equal("", failure.text);
    channels_start(standin->channels, now_ms());
    pthread_mutex_unlock(&standin->mutex);
}

bool standin_idle(struct standin *standin)
{
    struct channels_status status;
    bool idle = true;

    pthread_mutex_lock(&standin->mutex);
    for (int i = 0; i < STANDIN_PEERS; i++)
        idle = idle && standin->sockets[i] < 0;
    idle = idle && !channels_status(standin->channels, 0, &status);
    pthread_mutex_unlock(&standin->mutex);
    return idle;
}
