/* SPDX-License-Identifier: MIT
 *
 * See roster.h. A greeting goes through the stages of enum stage; in the last of them, which lasts
 * for the rest of the connection, a message with a descriptor adds a vector and one without takes a
 * peer away. Peers hang in a list, which keeps the order in which we heard of them, and in an array
 * by ID, which finds them.
 */
#include "client/lib/roster.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/wire.h"

enum stage { STAGE_VERSION, STAGE_ID, STAGE_MEMORY, STAGE_PEERS };

struct roster {
    enum stage stage;
    int memory;
    unsigned widest; /* most vectors that any other peer has had */
    unsigned due;    /* vectors that we are said to have, 0 if nobody said */
    bool expecting;  /* the next message may be the daemon's doorbell */
    struct roster_peer own;
    struct roster_peer daemon; /* no vector: there is none */
    struct roster_peer *first;
    struct roster_peer *last;
    struct roster_peer *by_id[WIRE_ID_MAX + 1];
};

struct roster *roster_new(void)
{
    struct roster *roster = calloc(1, sizeof(*roster));

    if (roster)
        roster->memory = -1;
    return roster;
}

static void peer_close(struct roster_peer *peer)
{
    for (unsigned i = 0; i < peer->count; i++)
        close_fd(peer->vectors[i]);
    free(peer->vectors);
}

static void peer_remove(struct roster *roster, struct roster_peer *peer)
{
    *(peer->prev ? &peer->prev->next : &roster->first) = peer->next;
    *(peer->next ? &peer->next->prev : &roster->last) = peer->prev;
    roster->by_id[peer->id] = NULL;
    peer_close(peer);
    free(peer);
}

static struct roster_peer *peer_add(struct roster *roster, unsigned id)
{
    struct roster_peer *peer = calloc(1, sizeof(*peer));

    if (!peer)
        return NULL;
    peer->id = id;
    peer->prev = roster->last;
    *(roster->last ? &roster->last->next : &roster->first) = peer;
    roster->last = peer;
    roster->by_id[id] = peer;
    return peer;
}

struct roster *roster_free(struct roster *roster)
{
    if (!roster)
        return NULL;
    while (roster->first)
        peer_remove(roster, roster->first);
    peer_close(&roster->own);
    peer_close(&roster->daemon);
    close_fd(roster->memory);
    free(roster);
    return NULL;
}

/* Appends a vector; the room for them doubles each time the count reaches a power of two. */
static int peer_add_vector(struct roster_peer *peer, int fd)
{
    if ((peer->count & (peer->count - 1)) == 0) {
        size_t room = peer->count ? 2 * (size_t)peer->count : 1;
        int *vectors = realloc(peer->vectors, room * sizeof(*vectors));

        if (!vectors)
            return -ENOMEM;
        peer->vectors = vectors;
    }
    peer->vectors[peer->count++] = fd;
    return 0;
}

static int take_version(struct roster *roster, int64_t value, int fd, struct failure *failure)
{
    if (value != WIRE_VERSION)
        return failure_set(failure, EPROTONOSUPPORT,
                           "the server turned this client away, or speaks another protocol:"
                           " its version is %" PRId64 ", ours is %d",
                           value, WIRE_VERSION);
    if (fd >= 0)
        return failure_set(failure, EPROTO, "the server sent a descriptor with the version");
    roster->stage = STAGE_ID;
    return 0;
}

static int take_id(struct roster *roster, int64_t value, int fd, struct failure *failure)
{
    if (value < 0 || value > WIRE_ID_MAX)
        return failure_set(failure, EPROTO, "the server gave us the ID %" PRId64 ", not 0..%d",
                           value, WIRE_ID_MAX);
    if (fd >= 0)
        return failure_set(failure, EPROTO, "the server sent a descriptor with our ID %" PRId64,
                           value);
    roster->own.id = (unsigned)value;
    roster->stage = STAGE_MEMORY;
    return 0;
}

static int take_memory(struct roster *roster, int64_t value, int fd, struct roster_event *event,
                       struct failure *failure)
{
    if (value != WIRE_MEMORY)
        return failure_set(failure, EPROTO,
                           "the server sent %" PRId64 " where the memory (%d) was due", value,
                           WIRE_MEMORY);
    if (fd < 0)
        return failure_set(failure, EPROTO, "the server sent the memory without a descriptor");
    roster->memory = fd;
    roster->stage = STAGE_PEERS;
    *event = (struct roster_event){.change = ROSTER_CONNECTED, .peer = roster->own.id, .fd = fd};
    return 0;
}

static int take_vector(struct roster *roster, unsigned id, int fd, struct roster_event *event,
                       struct failure *failure)
{
    bool own = id == roster->own.id;
    struct roster_peer *peer = own ? &roster->own : roster->by_id[id];
    enum roster_change change = own ? ROSTER_OWN_VECTOR : peer ? ROSTER_VECTOR : ROSTER_JOINED;

    if (!peer)
        peer = peer_add(roster, id);
    if (!peer)
        return failure_set(failure, ENOMEM, "no memory for peer %u", id);
    if (peer->count >= WIRE_VECTORS_MAX)
        return failure_set(failure, EPROTO, "the server sent more than %d vectors for %s %u",
                           WIRE_VECTORS_MAX, own ? "our ID" : "peer", id);
    if (peer_add_vector(peer, fd) < 0)
        return failure_set(failure, ENOMEM, "no memory for vector %u of peer %u", peer->count, id);
    if (!own && peer->count > roster->widest)
        roster->widest = peer->count;
    *event =
        (struct roster_event){.change = change, .peer = id, .vector = peer->count - 1, .fd = fd};
    return 0;
}

static int take_daemon(struct roster *roster, int fd, struct roster_event *event,
                       struct failure *failure)
{
    if (peer_add_vector(&roster->daemon, fd) < 0)
        return failure_set(failure, ENOMEM, "no memory for the server's doorbell");
    *event = (struct roster_event){.change = ROSTER_DAEMON, .peer = roster->daemon.id, .fd = fd};
    return 0;
}

static int take_leave(struct roster *roster, unsigned id, struct roster_event *event,
                      struct failure *failure)
{
    if (id == roster->own.id)
        return failure_set(failure, EPROTO, "the server says that we, peer %u, have left", id);
    if (!roster->by_id[id])
        return failure_set(failure, EPROTO,
                           "the server says that peer %u has left, who was never there", id);
    peer_remove(roster, roster->by_id[id]);
    *event = (struct roster_event){.change = ROSTER_LEFT, .peer = id, .fd = -1};
    return 0;
}

static int take_peer(struct roster *roster, int64_t value, int fd, struct roster_event *event,
                     struct failure *failure)
{
    bool daemon = roster->expecting && value == (int64_t)roster->daemon.id && fd >= 0;

    if (roster->expecting && !daemon)
        roster->due = 0; /* what was said of us was said of a server with channels */
    roster->expecting = false;
    if (daemon)
        return take_daemon(roster, fd, event, failure);
    if (roster->daemon.count && value == (int64_t)roster->daemon.id)
        return failure_set(failure, EPROTO, "the server spoke of itself, peer %u, a second time",
                           roster->daemon.id);
    if (value == WIRE_MEMORY)
        return failure_set(failure, EPROTO, "the server sent the memory a second time");
    if (value < 0 || value > WIRE_ID_MAX)
        return failure_set(failure, EPROTO, "the server sent the peer ID %" PRId64 ", not 0..%d",
                           value, WIRE_ID_MAX);
    if (fd < 0)
        return take_leave(roster, (unsigned)value, event, failure);
    return take_vector(roster, (unsigned)value, fd, event, failure);
}

int roster_feed(struct roster *roster, int64_t value, int fd, struct roster_event *event,
                struct failure *failure)
{
    struct roster_event change = {.change = ROSTER_NOTHING, .fd = -1};
    int r = -EPROTO;

    if (value == WIRE_REFUSED && fd < 0)
        return failure_set(failure, ECONNREFUSED, "the server turned this client away");
    switch (roster->stage) {
    case STAGE_VERSION:
        r = take_version(roster, value, fd, failure);
        break;
    case STAGE_ID:
        r = take_id(roster, value, fd, failure);
        break;
    case STAGE_MEMORY:
        r = take_memory(roster, value, fd, &change, failure);
        break;
    case STAGE_PEERS:
        r = take_peer(roster, value, fd, &change, failure);
        break;
    }
    if (r < 0)
        close_fd(fd); /* no stage keeps what it refuses */
    else
        *event = change;
    return r;
}

void roster_expect_daemon(struct roster *roster, unsigned id, unsigned n_vectors)
{
    roster->expecting = id <= WIRE_ID_MAX && id != roster->own.id;
    roster->daemon.id = id;
    roster->due = roster->expecting ? n_vectors : 0;
}

bool roster_connected(const struct roster *roster)
{
    return roster->stage == STAGE_PEERS;
}

bool roster_complete(const struct roster *roster)
{
    unsigned wanted = roster->widest > roster->due ? roster->widest : roster->due;

    return wanted > 0 && roster->own.count >= wanted;
}

int roster_memory_fd(const struct roster *roster)
{
    return roster->memory;
}

const struct roster_peer *roster_own(const struct roster *roster)
{
    return &roster->own;
}

const struct roster_peer *roster_first(const struct roster *roster)
{
    return roster->first;
}

const struct roster_peer *roster_find(const struct roster *roster, unsigned id)
{
    if (id > WIRE_ID_MAX)
        return NULL;
    if (roster_connected(roster) && id == roster->own.id)
        return &roster->own;
    if (roster->daemon.count && id == roster->daemon.id)
        return &roster->daemon;
    return roster->by_id[id];
}
