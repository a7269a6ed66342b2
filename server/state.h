/* SPDX-License-Identifier: MIT
 *
 * The state: what a server has to remember to carry on where another process stopped.
 *
 * It lies in a memfd that outlives the process (the service manager or the next program holds a
 * descriptor of it), mapped and changed in place. A process can be killed between any two stores,
 * so every change is ordered such that what is found there afterwards is a state that can be
 * completed; the order is told where the change is made (seats.c, announce.c, hub.c, batch.h).
 *
 * All records are indexed by peer ID. The file is sparse: what was never touched takes no memory,
 * and the rooms that are used are reserved beforehand, so that no store can fail.
 *
 * The layout is fixed-width and versioned. Another version of it is refused, never misread.
 */
#ifndef IVSHMEM_STATE_H
#define IVSHMEM_STATE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/failure.h"
#include "common/wire.h"
#include "server/batch.h"
#include "server/channel_state.h"
#include "server/witness.h"

#define STATE_MAGIC UINT64_C(0x6574617473766976) /* "vivstate" */

enum {
    STATE_VERSION = 2,
    STATE_IDS = WIRE_ID_MAX + 1,
    STATE_WORDS = STATE_IDS / 64,
    STATE_PAGE = 4096,
    STATE_PEER_SIZE = 5 * STATE_PAGE, /* of which a peer uses two while IDs are below 32,000 */
    STATE_CONFIG_MAX = 65536 - 4,
    STATE_ATTEMPTS_MAX = 10, /* restores that may fail before the state is set aside */
};

/** enum seat_phase - what a seat record says */
enum seat_phase {
    SEAT_ABSENT = 0, /* there is no such seat */
    SEAT_VACANT,     /* it has doorbells, nobody sits there */
    SEAT_OCCUPIED,   /* the peer of this ID sits there */
    SEAT_LEAVING,    /* about to be ABSENT: those who were told of it are being marked */
};

/**
 * struct state_seat - a seat, as it is remembered
 * @order:  place in joining order; 0 if nobody ever sat there
 * @phase:  enum seat_phase
 * @pinned: it belongs to a slot
 */
struct state_seat {
    uint64_t order;
    uint8_t phase;
    uint8_t pinned;
    uint8_t reserved[6];
};
static_assert(sizeof(struct state_seat) == 16, "layout of the state");

/**
 * struct state_peer - what a connected peer was told
 * @greeted: messages of its greeting that are out
 * @vector:  next vector of @current
 * @current: ID of the seat that it is being told of, -1 for none
 * @pid:     its process
 * @uid:     its user
 * @joined:  when, in seconds since the epoch
 * @serial:  number that its socket has in the descriptor store
 * @fd_base: descriptors that its process had open when it connected
 * @told:    bit by ID: it was told of it while it was connected
 * @leaves:  bit by ID: it has to be told that it left
 */
struct state_peer {
    uint32_t greeted;
    uint32_t vector;
    int32_t current;
    int32_t pid;
    uint32_t uid;
    uint32_t serial;
    int64_t joined;
    uint64_t fd_base;
    uint64_t told[STATE_WORDS];
    uint64_t leaves[STATE_WORDS];
    uint8_t padding[STATE_PEER_SIZE - 40 - 2 * 8 * STATE_WORDS];
};
static_assert(sizeof(struct state_peer) == STATE_PEER_SIZE, "layout of the state");

/**
 * struct state_head - what is true of the whole state
 * @magic:       STATE_MAGIC
 * @version:     STATE_VERSION
 * @n_vectors:   doorbells of each peer
 * @memory_size: bytes of the shared memory
 * @attempts:    restores that were begun and not finished
 * @last_order:  the highest place in joining order that was given out
 * @last_serial: the last number that a peer's socket was given in the descriptor store
 * @started:     when the state was made, in seconds of CLOCK_MONOTONIC
 * @started_at:  the same in seconds since the epoch; 0 by a program that did not count here yet
 * @counters:    what has happened since
 */
struct state_head {
    uint64_t magic;
    uint32_t version;
    uint32_t n_vectors;
    uint64_t memory_size;
    uint32_t attempts;
    uint32_t reserved;
    uint64_t last_order;
    uint32_t last_serial;
    uint32_t reserved2;
    int64_t started;
    int64_t started_at;
    struct counters counters;
};
static_assert(sizeof(struct state_head) <= STATE_PAGE, "layout of the state");

/**
 * struct state_config - the configuration file as it was when it was last good
 * @length: bytes of @text; 0 if there is none
 * @text:   its content
 */
struct state_config {
    uint32_t length;
    char text[STATE_CONFIG_MAX];
};

/**
 * struct state_file - the layout of the memfd
 *
 * The tables of channels are last: they are reserved only where there are channels.
 */
struct state_file {
    _Alignas(STATE_PAGE) struct state_head head;
    _Alignas(STATE_PAGE) struct state_config config;
    _Alignas(STATE_PAGE) struct batch batch;
    _Alignas(STATE_PAGE) struct state_seat seats[STATE_IDS];
    _Alignas(STATE_PAGE) struct state_peer peers[STATE_IDS];
    _Alignas(STATE_PAGE) struct channel_state channels;
};

/**
 * struct state - the state, mapped
 * @fd:   the memfd, owned
 * @file: where it is mapped
 */
struct state {
    int fd;
    struct state_file *file;
};

/**
 * state_new() - make an empty state
 * @state:       filled in
 * @n_vectors:   doorbells of each peer
 * @memory_size: bytes of the shared memory
 * @failure:     says what is missing
 *
 * Return: 0 or a negative errno.
 */
int state_new(struct state *state, unsigned n_vectors, uint64_t memory_size,
              struct failure *failure);

/**
 * state_add_channels() - make room for tables of channels, all of them empty
 * @state:       the state; tables that it has are gone afterwards
 * @n_mailboxes: how many peer IDs
 * @n_channels:  how many channels
 * @failure:     says what is missing
 *
 * Return: 0 or a negative errno.
 */
int state_add_channels(struct state *state, unsigned n_mailboxes, unsigned n_channels,
                       struct failure *failure);

/** state_mailboxes() - how many peer IDs there are with channels, 0 where there are none */
static inline unsigned state_mailboxes(const struct state *state)
{
    return state->file->channels.version ? state->file->channels.n_mailboxes : 0;
}

/**
 * state_open() - map the state that another process left
 * @state:   filled in
 * @fd:      the memfd; owned by @state on success
 * @failure: says what is wrong with it
 *
 * Counts the attempt; state_settled() says that it went well.
 *
 * Return: 0, -EPROTO when it is not a state of this version, -ELOOP when it could not be restored
 * STATE_ATTEMPTS_MAX times, or another negative errno.
 */
int state_open(struct state *state, int fd, struct failure *failure);

/** state_settled() - the restore is over: the next one may fail anew */
void state_settled(struct state *state);

/** state_has_peers() - whether somebody sits in a seat */
bool state_has_peers(const struct state *state);

/**
 * state_copy() - make a copy that can be changed without harm, for a trial
 * @state: the state
 *
 * Return: a memfd owned by the caller, or a negative errno.
 */
int state_copy(const struct state *state);

/**
 * state_reserve() - make sure that a peer's record can be written for IDs up to one
 * @state: the state
 * @id:    the peer
 * @upto:  ID that it may have to be told of
 *
 * Return: 0 or -ENOMEM.
 */
int state_reserve(struct state *state, unsigned id, unsigned upto);

/** state_forget_peer() - give the memory of a peer's record back; it reads as zero afterwards */
void state_forget_peer(struct state *state, unsigned id);

/**
 * state_keep_config() - remember the content of a configuration file that is good
 * @state: the state
 * @path:  the file; one that is too large or cannot be read is not remembered, which is logged
 */
void state_keep_config(struct state *state, const char *path);

/**
 * state_kept_config() - the configuration file that a state remembers
 * @fd: descriptor of a state, whoever left it; stays the caller's
 *
 * Return: descriptor of a file with its content, owned by the caller, -ENOENT if there is none, or
 * another negative errno.
 */
int state_kept_config(int fd);

/** state_deinit() - unmap and close; whoever else holds the memfd keeps the state */
void state_deinit(struct state *state);

#endif
