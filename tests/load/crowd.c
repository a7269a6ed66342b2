/* SPDX-License-Identifier: MIT
 *
 * See crowd.h. From a message to the table: on_message(); the comparison at rest: compare_tables().
 */
#include "tests/load/crowd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/load/harness.h"

enum {
    EVENTS = 64,          /* clients served in one round */
    READ_BURST = 32,      /* messages of one of them */
    CONNECT_SECONDS = 10, /* the server's queue of connections is full for longer: it hangs */
};

static void violation(struct crowd_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void violation(struct crowd_client *client, const char *format, ...)
{
    struct crowd *crowd = client->crowd;
    va_list arguments;
    int length;

    if (*crowd->violation)
        return;
    length = snprintf(crowd->violation, sizeof(crowd->violation), "client %d (%lluth to connect): ",
                      client->id, (unsigned long long)client->joined);
    va_start(arguments, format);
    vsnprintf(crowd->violation + length, sizeof(crowd->violation) - (size_t)length, format,
              arguments);
    va_end(arguments);
}

struct crowd *crowd_new(const char *path, unsigned n_vectors)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));

    require(crowd, "out of memory");
    *crowd = (struct crowd){.n_vectors = n_vectors, .identify = true};
    snprintf(crowd->path, sizeof(crowd->path), "%s", path);
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    crowd->fdinfo = open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(crowd->epoll >= 0 && crowd->fdinfo >= 0, "cannot make a crowd: %s", strerror(errno));
    return crowd;
}

struct crowd *crowd_free(struct crowd *crowd)
{
    if (!crowd)
        return NULL;
    while (crowd->n_clients)
        crowd_leave(crowd->clients[crowd->n_clients - 1]);
    close_fd(crowd->epoll);
    close_fd(crowd->fdinfo);
    free(crowd->clients);
    free(crowd);
    return NULL;
}

int crowd_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int64_t deadline = deadline_in(CONNECT_SECONDS);
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    require(sock >= 0, "socket: %s", strerror(errno));
    while (connect(sock, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        require(errno == EAGAIN && now_ms() < deadline, "cannot connect to %s: %s", path,
                strerror(errno));
        pause_ms(1);
    }
    return sock;
}

static void watch(struct crowd_client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = client}};

    require(epoll_ctl(client->crowd->epoll, EPOLL_CTL_ADD, client->sock, &event) == 0,
            "epoll_ctl: %s", strerror(errno));
}

struct crowd_client *crowd_join(struct crowd *crowd, enum crowd_keep keep)
{
    struct crowd_client *client = calloc(1, sizeof(*client));

    if (crowd->n_clients == crowd->room) {
        crowd->room = crowd->room ? crowd->room * 2 : 64;
        crowd->clients = reallocarray(crowd->clients, crowd->room, sizeof(struct crowd_client *));
    }
    require(client && crowd->clients, "out of memory");
    *client = (struct crowd_client){.crowd = crowd,
                                    .sock = crowd_connect(crowd->path),
                                    .keep = keep,
                                    .id = -1,
                                    .joined = crowd->n_joined++,
                                    .reader = FDPASS_READER_INIT};
    crowd->clients[crowd->n_clients++] = client;
    crowd->n_in++;
    watch(client);
    return client;
}

static void close_kept(const struct crowd_client *client, struct crowd_peer *peer)
{
    for (unsigned i = 0; client->keep && i < peer->n_told; i++)
        peer->vectors[i].fd = close_fd(peer->vectors[i].fd);
}

static void forget_all(struct crowd_client *client)
{
    for (unsigned i = 0; i < client->n_buckets; i++)
        for (struct crowd_peer *peer = client->buckets[i], *next; peer; peer = next) {
            next = peer->next;
            close_kept(client, peer);
            free(peer);
        }
    free(client->buckets);
}

/* The connection is over, whoever ended it; the client stays in the list. */
static void end(struct crowd_client *client, enum crowd_state state)
{
    if (client->state == CROWD_GREETED)
        client->crowd->n_in--;
    client->state = state;
    client->sock = close_fd(client->sock); /* epoll(7): it drops out of the set */
    fdpass_reader_deinit(&client->reader);
}

void crowd_leave(struct crowd_client *client)
{
    struct crowd *crowd = client->crowd;
    size_t i = 0;

    end(client, CROWD_ENDED);
    forget_all(client);
    while (crowd->clients[i] != client)
        i++;
    crowd->clients[i] = crowd->clients[--crowd->n_clients];
    free(client);
}

void crowd_stall(struct crowd_client *client)
{
    if (!client->stalled && client->sock >= 0)
        epoll_ctl(client->crowd->epoll, EPOLL_CTL_DEL, client->sock, NULL);
    client->stalled = true;
}

void crowd_resume(struct crowd_client *client)
{
    if (client->stalled && client->sock >= 0)
        watch(client);
    client->stalled = false;
}

static struct crowd_peer *find(const struct crowd_client *client, unsigned id)
{
    struct crowd_peer *peer = client->n_buckets ? client->buckets[id % client->n_buckets] : NULL;

    while (peer && peer->id != id)
        peer = peer->next;
    return peer;
}

bool crowd_greeted(const struct crowd_client *client)
{
    return client->own && client->own->n_told == client->crowd->n_vectors;
}

bool crowd_knows(const struct crowd_client *client, unsigned id)
{
    const struct crowd_peer *peer = find(client, id);

    return peer && !peer->left && peer->n_told == client->crowd->n_vectors;
}

bool crowd_was_told(const struct crowd_client *client, unsigned id)
{
    return find(client, id) != NULL;
}

int crowd_doorbell(const struct crowd_client *client, unsigned id, unsigned vector)
{
    const struct crowd_peer *peer = find(client, id);

    return peer && !peer->left && vector < peer->n_told ? peer->vectors[vector].fd : -1;
}

int crowd_own(const struct crowd_client *client, unsigned vector)
{
    return client->id < 0 ? -1 : crowd_doorbell(client, (unsigned)client->id, vector);
}

/* The eventfd-id of a descriptor; false if it is no eventfd. */
static bool identify(const struct crowd *crowd, int fd, uint32_t *identity)
{
    char name[16], text[512];
    const char *found;
    ssize_t got;
    int info;

    snprintf(name, sizeof(name), "%d", fd);
    info = openat(crowd->fdinfo, name, O_RDONLY | O_CLOEXEC);
    require(info >= 0, "cannot open /proc/self/fdinfo/%s: %s", name, strerror(errno));
    got = read(info, text, sizeof(text) - 1);
    close(info);
    text[got > 0 ? got : 0] = '\0';
    found = strstr(text, "eventfd-id:");
    if (!found)
        return false;
    *identity = (uint32_t)strtoul(found + strlen("eventfd-id:"), NULL, 10);
    return true;
}

static void insert(struct crowd_client *client, struct crowd_peer *peer)
{
    struct crowd_peer **bucket = &client->buckets[peer->id % client->n_buckets];

    peer->next = *bucket;
    *bucket = peer;
}

static void grow(struct crowd_client *client)
{
    struct crowd_peer **old = client->buckets, *peer, *next;
    unsigned n_old = client->n_buckets;

    client->n_buckets = n_old ? n_old * 2 : 16;
    client->buckets = calloc(client->n_buckets, sizeof(struct crowd_peer *));
    require(client->buckets, "out of memory");
    for (unsigned i = 0; i < n_old; i++)
        for (peer = old[i]; peer; peer = next) {
            next = peer->next;
            insert(client, peer);
        }
    free(old);
}

/* The first vector of a peer that this client has not heard of. */
static struct crowd_peer *first_vector(struct crowd_client *client, unsigned id)
{
    struct crowd_peer *peer = find(client, id);

    if (peer) {
        violation(client, "ID %u %s", id,
                  peer->left ? "came back after its leave" : "was told twice");
        return NULL;
    }
    if (client->n_told >= client->n_buckets)
        grow(client);
    peer = calloc(1, sizeof(*peer) + client->crowd->n_vectors * sizeof(peer->vectors[0]));
    require(peer, "out of memory");
    peer->id = id;
    peer->rank = client->n_told++;
    insert(client, peer);
    return peer;
}

/* A message with a descriptor, after the memory: one vector of somebody. */
static void on_vector(struct crowd_client *client, unsigned id, int fd)
{
    struct crowd *crowd = client->crowd;
    struct crowd_peer *peer = client->current;
    bool own = id == (unsigned)client->id;
    unsigned vector;

    if (peer && peer->id != id) {
        violation(client, "vector of ID %u after %u vectors of ID %u", id, peer->n_told, peer->id);
        return;
    }
    if (!peer && !(peer = first_vector(client, id)))
        return;
    vector = peer->n_told++;
    peer->vectors[vector].fd = -1;
    if (crowd->identify && !identify(crowd, fd, &peer->vectors[vector].identity))
        violation(client, "vector %u of ID %u is no eventfd", vector, id);
    if (client->keep == CROWD_KEEP_ALL || (client->keep == CROWD_KEEP_OWN && own))
        peer->vectors[vector].fd = dup(fd);
    if (own)
        client->own = peer;
    client->current = peer->n_told < crowd->n_vectors ? peer : NULL;
    client->n_known += !client->current;
}

static void on_leave(struct crowd_client *client, unsigned id)
{
    struct crowd_peer *peer = find(client, id);

    if (!peer || peer->left || peer == client->own) {
        violation(client, "leave of ID %u, which %s", id,
                  !peer        ? "it was never told of"
                  : peer->left ? "has left"
                               : "is its own");
        return;
    }
    client->n_known -= peer->n_told == client->crowd->n_vectors;
    client->n_left++;
    client->current = NULL; /* who was just being told of must have left, too */
    close_kept(client, peer);
    peer->left = true;
}

/* The first three messages. A refusal may stand in place of the version or of the ID. */
static void on_greeting(struct crowd_client *client, int64_t value, int fd)
{
    struct stat status;
    bool good = false;

    if (client->steps < 2 && fd < 0 && value == WIRE_REFUSED) {
        end(client, CROWD_REFUSED);
        return;
    }
    switch (client->steps++) {
    case 0:
        good = fd < 0 && value == WIRE_VERSION;
        break;
    case 1:
        good = fd < 0 && value >= 0 && value <= WIRE_ID_MAX;
        client->id = (int)value;
        break;
    case 2:
        good = value == WIRE_MEMORY && fd >= 0 && fstat(fd, &status) == 0 &&
               S_ISREG(status.st_mode) && status.st_size > 0;
        if (good) {
            client->memory.device = status.st_dev;
            client->memory.inode = status.st_ino;
        }
        break;
    }
    if (!good)
        violation(client, "message %u of the greeting is %lld %s a descriptor", client->steps - 1,
                  (long long)value, fd < 0 ? "without" : "with");
}

static void on_message(struct crowd_client *client, int64_t value, int fd)
{
    client->crowd->messages++;
    if (client->steps < 3)
        on_greeting(client, value, fd);
    else if (value < 0 || value > WIRE_ID_MAX)
        violation(client, "message %lld is no ID", (long long)value);
    else if (fd >= 0)
        on_vector(client, (unsigned)value, fd);
    else
        on_leave(client, (unsigned)value);
    close_fd(fd);
}

static unsigned read_burst(struct crowd_client *client)
{
    for (unsigned i = 0; i < READ_BURST; i++) {
        int64_t value;
        int fd, r;

        if (client->sock < 0)
            return i;
        r = fdpass_read(&client->reader, client->sock, &value, &fd);
        if (r == -EAGAIN || r == -EINTR)
            return i;
        if (r <= 0) {
            if (r < 0 && r != -ECONNRESET)
                violation(client, "cannot receive: %s", strerror(-r));
            end(client, CROWD_ENDED);
            return i;
        }
        on_message(client, value, fd);
    }
    return READ_BURST;
}

unsigned crowd_pump(struct crowd *crowd, int ms)
{
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(crowd->epoll, events, EVENTS, ms);
    unsigned count = 0;

    for (int i = 0; i < ready; i++)
        count += read_burst(events[i].data.ptr);
    return count;
}

static bool reads(const struct crowd_client *client)
{
    return client->state == CROWD_GREETED && !client->stalled;
}

static const struct crowd_client *who_lags(const struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->n_clients; i++) {
        const struct crowd_client *client = crowd->clients[i];

        if (reads(client) && (!crowd_greeted(client) || client->current ||
                              client->n_known != crowd->n_in + crowd->n_others))
            return client;
    }
    return NULL;
}

/**
 * struct truth - what all tables must say
 * @by_id: for each ID, where its vectors are taken from: its own table if it is one of us
 * @owner: the client of that ID, NULL if it is not one of us
 */
struct truth {
    const struct crowd_peer *by_id[WIRE_ID_MAX + 1];
    const struct crowd_client *owner[WIRE_ID_MAX + 1];
};

static void compare_vectors(struct crowd_client *client, const struct crowd_peer *peer,
                            const struct crowd_peer *truth)
{
    for (unsigned i = 0; i < client->crowd->n_vectors; i++)
        if (peer->vectors[i].identity != truth->vectors[i].identity)
            violation(client, "vector %u of ID %u is eventfd %u, and in truth it is %u", i,
                      peer->id, peer->vectors[i].identity, truth->vectors[i].identity);
}

static int by_rank(const void *one, const void *other)
{
    const struct crowd_peer *const *a = one, *const *b = other;

    return ((*a)->rank > (*b)->rank) - ((*a)->rank < (*b)->rank);
}

/* Who is there was told in the order of joining. (A slot may be older than who sits in it.) */
static void compare_order(struct crowd_client *client, struct truth *truth,
                          const struct crowd_peer **known, unsigned n)
{
    const struct crowd_client *last = NULL;

    qsort(known, n, sizeof(*known), by_rank);
    for (unsigned i = 0; i < n; i++) {
        const struct crowd_client *owner = truth->owner[known[i]->id];

        if (owner && last && owner->joined < last->joined)
            violation(client, "ID %d was told before ID %d, which joined earlier", last->id,
                      owner->id);
        last = owner ? owner : last;
    }
}

static void compare_table(struct crowd_client *client, struct truth *truth)
{
    const struct crowd_peer **known = calloc(client->n_known + 1, sizeof(struct crowd_peer *));
    unsigned n = 0;

    require(known, "out of memory");
    for (unsigned i = 0; i < client->n_buckets; i++)
        for (const struct crowd_peer *peer = client->buckets[i]; peer; peer = peer->next) {
            if (peer->left)
                continue;
            if (peer->n_told < client->crowd->n_vectors || n == client->n_known) {
                violation(client, "only %u vectors of ID %u were told", peer->n_told, peer->id);
                continue;
            }
            known[n++] = peer;
            if (!truth->by_id[peer->id])
                truth->by_id[peer->id] = peer; /* a stranger: all must agree with the first */
            compare_vectors(client, peer, truth->by_id[peer->id]);
        }
    compare_order(client, truth, known, n);
    free(known);
}

static int by_value(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;

    return (a > b) - (a < b);
}

/* Nobody is there who should not be, and no two vectors are the same eventfd. */
static void check_truth(struct crowd *crowd, const struct truth *truth)
{
    unsigned expected = crowd->n_in + crowd->n_others, n = 0;
    size_t total = 0, room = (size_t)expected * crowd->n_vectors;
    uint32_t *all = calloc(room + 1, sizeof(*all));

    require(all, "out of memory");
    for (unsigned id = 0; id <= WIRE_ID_MAX; id++) {
        n += truth->by_id[id] != NULL;
        for (unsigned i = 0; truth->by_id[id] && i < crowd->n_vectors && total < room; i++)
            all[total++] = truth->by_id[id]->vectors[i].identity;
    }
    qsort(all, total, sizeof(*all), by_value);
    for (size_t i = 1; i < total; i++)
        require(all[i] != all[i - 1], "eventfd %u is used for two vectors", all[i]);
    free(all);
    require(n <= expected, "the tables name %u peers, and there are %u", n, expected);
}

static void compare_tables(struct crowd *crowd)
{
    struct truth *truth = calloc(1, sizeof(*truth));
    const struct crowd_client *first = NULL;

    require(truth, "out of memory");
    for (size_t i = 0; i < crowd->n_clients; i++) {
        const struct crowd_client *client = crowd->clients[i];

        if (client->state != CROWD_GREETED || !crowd_greeted(client))
            continue;
        require(!truth->owner[client->id], "ID %d was given to two clients", client->id);
        truth->owner[client->id] = client;
        truth->by_id[client->id] = client->own;
    }
    for (size_t i = 0; i < crowd->n_clients; i++) {
        struct crowd_client *client = crowd->clients[i];

        if (!reads(client))
            continue;
        first = first ? first : client;
        if (client->memory.inode != first->memory.inode ||
            client->memory.device != first->memory.device)
            violation(client, "it was given other memory than client %d", first->id);
        compare_table(client, truth);
    }
    check_truth(crowd, truth);
    free(truth);
}

void crowd_settle(struct crowd *crowd, unsigned seconds)
{
    int64_t deadline = deadline_in(seconds);
    const struct crowd_client *lag;

    while ((lag = who_lags(crowd)) && !*crowd->violation) {
        crowd_pump(crowd, 20);
        require(now_ms() < deadline || *crowd->violation,
                "client %d knows %u peers of %u after %u seconds", lag->id, lag->n_known,
                crowd->n_in + crowd->n_others, seconds);
    }
    if (!*crowd->violation && crowd->identify)
        compare_tables(crowd);
    require(!*crowd->violation, "%s", crowd->violation);
}
