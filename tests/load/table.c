/* SPDX-License-Identifier: MIT
 *
 * See table.h.
 */
#include "tests/load/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/load/harness.h"

void table_violation(struct crowd_client *client, const char *format, ...)
{
    struct crowd *crowd = client->crowd;
    va_list arguments;
    int length;

    if (*crowd->violation)
        return;
    length =
        snprintf(crowd->violation, sizeof(crowd->violation),
                 "client %d (%lluth to connect): ", client->id, (unsigned long long)client->joined);
    va_start(arguments, format);
    vsnprintf(crowd->violation + length, sizeof(crowd->violation) - (size_t)length, format,
              arguments);
    va_end(arguments);
}

static void close_kept(const struct crowd_client *client, struct crowd_peer *peer)
{
    for (unsigned i = 0; client->keep && i < peer->n_told; i++)
        peer->vectors[i].fd = close_fd(peer->vectors[i].fd);
}

void table_free(struct crowd_client *client)
{
    for (unsigned i = 0; i < client->n_buckets; i++)
        for (struct crowd_peer *peer = client->buckets[i], *next; peer; peer = next) {
            next = peer->next;
            close_kept(client, peer);
            free(peer);
        }
    free(client->buckets);
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
        table_violation(client, "ID %u %s", id,
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
        table_violation(client, "vector of ID %u after %u vectors of ID %u", id, peer->n_told,
                        peer->id);
        return;
    }
    if (!peer && !(peer = first_vector(client, id)))
        return;
    vector = peer->n_told++;
    peer->vectors[vector].fd = -1;
    if (crowd->identify && !identify(crowd, fd, &peer->vectors[vector].identity))
        table_violation(client, "vector %u of ID %u is no eventfd", vector, id);
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
        table_violation(client, "leave of ID %u, which %s", id,
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
        crowd_end(client, CROWD_REFUSED);
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
        table_violation(client, "message %u of the greeting is %lld %s a descriptor",
                        client->steps - 1, (long long)value, fd < 0 ? "without" : "with");
}

void table_message(struct crowd_client *client, int64_t value, int fd)
{
    client->crowd->messages++;
    if (client->steps < 3)
        on_greeting(client, value, fd);
    else if (value < 0 || value > WIRE_ID_MAX)
        table_violation(client, "message %lld is no ID", (long long)value);
    else if (fd >= 0)
        on_vector(client, (unsigned)value, fd);
    else
        on_leave(client, (unsigned)value);
    close_fd(fd);
}
