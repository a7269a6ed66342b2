/* SPDX-License-Identifier: MIT
 *
 * What the daemon remembers of channels: its tables, which are the truth.
 *
 * They lie in the state (state.h), which outlives the process, and are used in place. Most of a
 * record is the very block that the control section (common/layout.h) publishes: the section in the
 * shared memory is a copy of the records, made and repaired from here, never the other way round.
 * What is not here (the allocator, what each peer uses) follows from the records and is computed
 * anew when another process carries on.
 *
 * Theory of operation: a process can be killed between any two stores. One operation changes up to
 * two rings and two peers, and all of it must be true or none. So nothing is changed in place: the
 * new records are drafted in the journal, `committed` is set, they are copied to their places, and
 * `committed` is cleared (channel_state_commit()). Who finds it set copies them again. The answer
 * to a request is part of the asking peer's record and so of the same change: a request is carried
 * out exactly once. The shared memory comes after that, and can be written again at any time:
 *
 *     what nobody looks at yet (a new ring's first word, the lines of its ends) is cleared
 *     the records change
 *     the blocks are published: channels, then who has events, then the answer
 *     who has to know is rung
 *
 * Who carries on publishes everything and rings everybody. What lies outside of a change can be
 * lost or done twice without harm: counters, `last_serial` (counted up before it is used),
 * generations of blocks (they only ever go up: layout_publish()), and `hearing`.
 *
 * All-zero is empty: the arrays are sparse beyond what is in use. Fixed width, versioned.
 */
#ifndef IVSHMEM_CHANNEL_STATE_H
#define IVSHMEM_CHANNEL_STATE_H

#include <assert.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/layout.h"

enum {
    CHANNEL_STATE_VERSION = 1,
    CHANNEL_STATE_PORTS = 256, /* that a peer can listen on, whatever its quota */
    CHANNEL_STATE_STATUSES = 32,
};

/** Bits of @sides of struct channel_ring: who of a connection has not said LAYOUT_CLOSE */
enum channel_side {
    CHANNEL_CONNECTOR = 1, /* sends in the first ring */
    CHANNEL_LISTENER = 2,  /* receives from it */
};

/** Bits of @moved of struct channel_ring: who has left the ring for the next */
enum channel_end {
    CHANNEL_SENDER = 1,
    CHANNEL_RECEIVER = 2,
};

/**
 * struct channel_peer - what is remembered by peer ID
 * @reply:   the last answer, as published; its number is that of the last request carried out
 * @peer:    who it is, as published; kept when it leaves, so that @session and @events go on
 * @hearing: its doorbell was, or is about to be, taken, and its mailbox not looked at yet
 * @n_ports: how many it listens on
 * @ports:   them, in no order
 */
struct channel_peer {
    struct layout_reply reply;
    struct layout_peer peer;
    uint32_t hearing;
    uint32_t n_ports;
    uint32_t reserved[62];
    uint32_t ports[CHANNEL_STATE_PORTS];
};
static_assert(sizeof(struct channel_peer) == 1536, "layout of the state");

/**
 * struct channel_ring - what is remembered by channel
 * @entry:    as published; all zero but its generation while it is LAYOUT_FREE
 * @minimum:  bytes that it was opened with: it is not made smaller than that by itself
 * @deadline: of LAYOUT_OFFERED: when it ends, in milliseconds of the daemon's clock
 * @idle_ms:  close when nothing was sent for so long, 0 for never
 * @resizes:  moves that were completed
 * @sides:    who is there of the connection, enum channel_side; the same in both of its rings
 * @moved:    while the ring moves: who has left the old place, enum channel_end
 */
struct channel_ring {
    struct layout_entry entry;
    uint64_t minimum;
    uint64_t deadline;
    uint32_t idle_ms;
    uint32_t resizes;
    uint8_t sides;
    uint8_t moved;
    uint8_t reserved[6];
};
static_assert(sizeof(struct channel_ring) == 160, "layout of the state");

/**
 * struct channel_journal - a change that is being made
 * @committed: what follows is true, and may not be in its place yet
 * @n_rings:   how many of @rings there are
 * @n_peers:   how many of @peers there are
 * @ring:      which channels
 * @peer:      which peers
 * @rings:     their new records
 * @peers:     likewise
 */
struct channel_journal {
    uint32_t committed;
    uint32_t n_rings;
    uint32_t n_peers;
    uint32_t ring[2];
    uint32_t peer[2];
    uint32_t reserved;
    struct channel_ring rings[2];
    struct channel_peer peers[2];
};

/**
 * struct channel_counters - what happened so far, for who asks
 * @requests: carried out
 * @answers:  of those, by enum layout_status
 * @opened:   connections that were offered
 * @moves:    rings that were given another place
 * @repairs:  blocks of the section that somebody had written to
 */
struct channel_counters {
    uint64_t requests;
    uint64_t answers[CHANNEL_STATE_STATUSES];
    uint64_t opened;
    uint64_t moves;
    uint64_t repairs;
};

/**
 * struct channel_state - the tables; a part of struct state_file
 * @version:     CHANNEL_STATE_VERSION; 0 while there are no channels at all
 * @n_mailboxes: how many peer IDs there are
 * @n_channels:  how many channels there can be
 * @started:     1 once the section was made: from then on peers may have words of their own there
 * @region_size: bytes of the region
 * @instance:    as in struct layout_header
 * @last_serial: number of the connection that was offered last
 * @counters:    since @instance
 * @journal:     the change that is being made
 * @header:      as published
 * @peers:       by peer ID
 * @rings:       by channel
 *
 * Aligned to pages; channel_state_reserve() must have been called before anything is written.
 */
struct channel_state {
    uint32_t version;
    uint32_t n_mailboxes;
    uint32_t n_channels;
    uint32_t started;
    uint64_t region_size;
    uint64_t instance;
    uint64_t last_serial;
    struct channel_counters counters;
    _Alignas(8) struct channel_journal journal;
    _Alignas(LAYOUT_BLOCK) struct layout_header header;
    _Alignas(LAYOUT_BLOCK) struct channel_peer peers[LAYOUT_MAILBOXES_MAX];
    _Alignas(LAYOUT_BLOCK) struct channel_ring rings[LAYOUT_CHANNELS_MAX];
};

/**
 * channel_state_reserve() - make sure that the records that will be used can be written
 * @fd:          the memfd
 * @at:          where struct channel_state begins in it
 * @n_mailboxes: 1..LAYOUT_MAILBOXES_MAX
 * @n_channels:  1..LAYOUT_CHANNELS_MAX
 *
 * The rest of the file stays sparse. Once, when the state is made; not after a restore.
 *
 * Return: 0 or a negative errno.
 */
int channel_state_reserve(int fd, off_t at, unsigned n_mailboxes, unsigned n_channels);

/**
 * channel_state_draft_ring() - begin to change a channel, or go on
 * @state:   the tables
 * @channel: at most two different ones in a change
 *
 * Return: its record to be, at first as it is.
 */
struct channel_ring *channel_state_draft_ring(struct channel_state *state, unsigned channel);

/** channel_state_draft_peer() - likewise with a peer; at most two different ones */
struct channel_peer *channel_state_draft_peer(struct channel_state *state, unsigned peer);

/**
 * channel_state_commit() - what was drafted becomes true, all of it at once
 *
 * The journal still says afterwards what it was, until channel_state_begin().
 */
void channel_state_commit(struct channel_state *state);

/** channel_state_begin() - nothing is drafted */
void channel_state_begin(struct channel_state *state);

/**
 * channel_state_complete() - finish the change that another process was in the midst of
 * @state: the tables; the numbers of peers and channels were checked
 *
 * Return: 0, or -EPROTO when the journal cannot be true.
 */
int channel_state_complete(struct channel_state *state);

#endif
