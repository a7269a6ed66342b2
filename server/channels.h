/* SPDX-License-Identifier: MIT
 *
 * Channels: who has which rings in the region. Pure logic: no sockets, no events, no clock.
 *
 * The outside tells what happens: a peer joined, left, rang the daemon's doorbell, time has passed.
 * Here the request in the mailbox of who rang is carried out, offers and idle connections end when
 * their time is over, rings are moved by use (rebalance.h), and what others wrote over the section
 * is put back. The outside is told through callbacks: ring that peer; this has happened. Time is in
 * milliseconds of a clock that never goes back, not even when another process carries on
 * (CLOCK_MONOTONIC).
 *
 * What must survive lies in records (channel_state.h), used in place. The rest is derived from
 * them: the free space, what each peer uses, and lists of each peer's connections.
 *
 * A connection is one ring, or two in opposite directions. It has two sides, who connected and who
 * listens; it ends when both have said LAYOUT_CLOSE or are gone, and only then its space is given
 * back. A peer may connect to itself: then its first LAYOUT_CLOSE is that of the connecting side,
 * its second that of the listening one, and likewise for LAYOUT_MOVED.
 *
 * Quotas count for a peer what it connects itself and what it has accepted, for as long as its own
 * side is there. What others merely offer counts against them alone.
 *
 * How to use:
 *
 *     channels_new() or channels_restore()   nothing outside of the records has happened yet
 *     channels_start()                       the section is there; peers are rung
 *     (after a restore: channels_left() for each peer that channels_is_present() and that is not
 *     connected any more, channels_joined() for each that is connected and not present)
 *     channels_joined(), channels_left()     as peers come and go; before a newcomer gets the
 * memory channels_hear(), read the doorbell's eventfd, channels_rung() channels_tick() at
 * channels_deadline() channels_free()                        the records and the section stay:
 * others can carry on
 *
 * channels_left() comes before anybody else is given the same ID. Callbacks come from within
 * channels_start(), _joined(), _left(), _rung(), _tick(), _close() and channels_resize(); they must
 * not call back in here.
 */
#ifndef IVSHMEM_CHANNELS_H
#define IVSHMEM_CHANNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/failure.h"
#include "common/log.h"
#include "server/channel_state.h"
#include "server/extents.h"
#include "server/idset.h"
#include "server/section.h"

/**
 * struct channels_options - limits; may be changed at any time, and hold for what comes then
 * @offer_ms:      how long an offer waits for the listener
 * @interval_ms:   how often the section is repaired and rings are looked at, while peers are there
 * @doorbells:     rings are looked at after so many doorbells, too; 0 for never
 * @peer_channels: rings of a peer; 0 for a quarter of all, but at least 16
 * @peer_bytes:    bytes of a peer's rings; 0 for half of the data area
 * @peer_ports:    ports that a peer listens on, at most CHANNEL_STATE_PORTS
 * @grow_max:      rings do not grow beyond so many bytes by themselves; 0: no ring is moved by use
 */
struct channels_options {
    uint32_t offer_ms;
    uint32_t interval_ms;
    uint32_t doorbells;
    uint32_t peer_channels;
    uint64_t peer_bytes;
    uint32_t peer_ports;
    uint64_t grow_max;
};

/** channels_defaults - the options of who says nothing */
extern const struct channels_options channels_defaults;

enum { CHANNELS_MAILBOXES_DEFAULT = 64, CHANNELS_DEFAULT = 256 };

/** enum channels_event_kind - what can happen */
enum channels_event_kind {
    CHANNELS_OFFERED, /* a connection waits for its listener */
    CHANNELS_OPENED,  /* it was accepted */
    CHANNELS_REFUSED, /* it came to nothing, or was not even offered; @status says why */
    CHANNELS_CLOSED,  /* it was open, and is not any more; @status says why */
    CHANNELS_RESIZED, /* both ends have left the old place of a ring */
    CHANNELS_DAMAGED, /* somebody had written over the section; it was put back */
};

/**
 * struct channels_event - something that has happened
 * @kind:      what
 * @channel:   the ring of RESIZED, else that which names the connection; LAYOUT_CHANNEL_NONE of one
 *             that was not offered
 * @status:    of REFUSED and CLOSED: enum layout_status
 * @connector: who connected, peer ID; of RESIZED: who sends in the ring
 * @listener:  the other one, any number of one that was not offered
 * @pid:       process of the connector, as it told
 * @port:      that was connected to
 * @size:      bytes of the ring
 * @blocks:    of DAMAGED: how many blocks were hit
 * @what:      of DAMAGED: which of them first, in words
 */
struct channels_event {
    enum channels_event_kind kind;
    unsigned channel;
    unsigned status;
    unsigned connector, listener;
    uint32_t pid, port;
    uint64_t size;
    unsigned blocks;
    const char *what;
};

/**
 * struct channels_setup - what the tables are made of
 * @region:      where the region is mapped, writable; not touched before channels_start(), so a
 *               restore that is only a trial can leave it NULL
 * @region_size: its bytes
 * @state:       the records; not owned. For channels_new() all zero and reserved
 *               (channel_state_reserve()); for channels_restore() as another process left them
 * @n_mailboxes: peer IDs are below this. Like the next two not used by channels_restore(), which
 *               takes them from the records
 * @n_channels:  how many rings there can be
 * @instance:    a number that no earlier section in this memory had, not 0: random, or the time
 * @options:     limits
 * @ring:        rings doorbell @vector of @peer; it is connected and has that vector
 * @tell:        hears what happens; NULL if nobody does
 * @context:     first argument of both
 */
struct channels_setup {
    void *region;
    uint64_t region_size;
    struct channel_state *state;
    unsigned n_mailboxes;
    unsigned n_channels;
    uint64_t instance;
    struct channels_options options;
    void (*ring)(void *context, unsigned peer, unsigned vector);
    void (*tell)(void *context, const struct channels_event *event);
    void *context;
};

/** struct channels_usage - what counts against a peer's quota, and its connections */
struct channels_usage {
    uint32_t channels;
    uint64_t bytes;
    uint32_t first; /* its end of a ring that was linked last, see connection.h */
};

/** struct channels_link - neighbours in the list of a peer's ends of rings */
struct channels_link {
    uint32_t next, previous;
};

/** struct channels_watch - what was seen of a ring's use */
struct channels_watch {
    struct section_use use; /* when it was looked at last */
    uint32_t touches;       /* full events since the size was decided on last */
    int64_t used_at;        /* when the use was last found changed */
    int64_t decided_at;     /* when the size was decided on last */
};

/**
 * struct channels - the tables
 * @setup:         what they are made of; @setup.options may be changed
 * @state:         the records
 * @section:       where they are published
 * @extents:       the free space
 * @used:          channels that are not LAYOUT_FREE
 * @n_used:        how many
 * @n_present:     peers that are connected
 * @usage:         by peer ID
 * @links:         by end of a ring
 * @watch:         by channel
 * @scratch:       room for a list of channels
 * @next_interval: when the next look at everything is due
 * @next_end:      when the first offer or idle connection may end, INT64_MAX for never
 * @doorbells:     since rings were looked at
 * @moves_left:    moves by use that may begin before the next interval
 * @rebalance_next: channel to begin the next look with
 * @repair_next:   channel to begin the next comparison with
 * @rest:          next mailbox or channel to be compared, whether it is in use or not
 * @damaged:       limits the log lines of repairs
 * @refused:       likewise of requests that are answered with a no
 */
struct channels {
    struct channels_setup setup;
    struct channel_state *state;
    struct section section;
    struct extents extents;
    struct idset used;
    unsigned n_used, n_present;
    struct channels_usage *usage;
    struct channels_link *links;
    struct channels_watch *watch;
    uint32_t *scratch;
    int64_t next_interval, next_end;
    uint32_t doorbells, moves_left;
    uint32_t rebalance_next, repair_next, rest;
    struct log_limit damaged, refused;
};

/**
 * channels_fit() - whether a region is large enough
 * @region_size: its bytes
 * @n_mailboxes: peer IDs
 * @n_channels:  rings
 * @failure:     says what is too large or too small
 *
 * Return: 0 or -EINVAL.
 */
int channels_fit(uint64_t region_size, unsigned n_mailboxes, unsigned n_channels,
                 struct failure *failure);

/**
 * channels_new() - empty tables
 * @setup:   copied
 * @out:     the tables
 * @failure: says what is missing
 *
 * Return: 0, -EINVAL (channels_fit()) or -ENOMEM.
 */
int channels_new(const struct channels_setup *setup, struct channels **out,
                 struct failure *failure);

/**
 * channels_restore() - tables as another process left them
 * @setup:   copied
 * @out:     the tables
 * @failure: says what cannot be true in the records
 *
 * Completes the change that process was in the midst of; else the records stay as they are. Nothing
 * of the region is looked at.
 *
 * Return: 0, -EPROTO when the records are not whole or not for a region of this size, or -ENOMEM.
 */
int channels_restore(const struct channels_setup *setup, struct channels **out,
                     struct failure *failure);

/**
 * channels_start() - make the section, or make it anew after a restore
 * @channels: new or restored
 * @now:      the time
 *
 * After a restore rings go on undisturbed: peers' own words are left alone, peers are rung (they
 * may have missed something), and requests whose doorbell was taken are carried out.
 */
void channels_start(struct channels *channels, int64_t now);

/**
 * channels_make() - tables that know of no channel; for channels_new() and channels_restore()
 * @setup:   copied; the numbers in its state are true
 * @out:     the tables
 * @failure: says what is missing
 *
 * Return: 0 or -ENOMEM.
 */
int channels_make(const struct channels_setup *setup, struct channels **out,
                  struct failure *failure);

/** channels_free() - forget the derived tables; @channels may be NULL. Return: NULL. */
struct channels *channels_free(struct channels *channels);

/** channels_is_present() - whether a peer with this ID has joined and not left */
bool channels_is_present(const struct channels *channels, unsigned peer);

/**
 * channels_joined() - a peer is there
 * @channels:  the tables
 * @peer:      its ID, below the number of mailboxes, not present
 * @pid:       its process, 0 if not known
 * @uid:       its user
 * @n_vectors: doorbells that it has
 */
void channels_joined(struct channels *channels, unsigned peer, uint32_t pid, uint32_t uid,
                     unsigned n_vectors);

/** channels_left() - a peer is gone: its connections end; nothing happens when it is not present */
void channels_left(struct channels *channels, unsigned peer);

/**
 * channels_hear() - a peer's own doorbell of the daemon is about to be taken (its eventfd read)
 * @channels: the tables
 * @peer:     present
 *
 * From here on the ring is not lost when the process is killed.
 */
void channels_hear(struct channels *channels, unsigned peer);

/**
 * channels_rung() - a peer's own doorbell of the daemon was taken: carry out its request
 * @channels: the tables
 * @peer:     whose; ignored when it is not present
 * @now:      the time
 */
void channels_rung(struct channels *channels, unsigned peer, int64_t now);

/** channels_tick() - time has passed; may be called at any time. Does what is due at @now. */
void channels_tick(struct channels *channels, int64_t now);

/**
 * channels_deadline() - when channels_tick() is to be called next
 *
 * Changes with every call of the functions above. While nobody is there, nothing is ever due.
 *
 * Return: a time, possibly in the past, or -1 for never.
 */
int64_t channels_deadline(const struct channels *channels);

/**
 * channels_close() - end a connection as an administrator wants, for both of its ends
 * @channels: the tables
 * @channel:  any number
 *
 * The ends see LAYOUT_CLOSED, and have to say LAYOUT_CLOSE as always.
 *
 * Return: 0, or -ENOENT when there is no such channel, or it is closed already.
 */
int channels_close(struct channels *channels, unsigned channel);

/**
 * struct channels_status - a channel, for who asks
 * @channel:    its number
 * @state:      enum layout_state
 * @status:     enum layout_status, when it is LAYOUT_CLOSED
 * @sender:     peer ID
 * @receiver:   peer ID
 * @sender_pid: as who connected told
 * @port:       that was connected to
 * @flags:      LAYOUT_CRC32C
 * @pair:       the channel in the other direction, LAYOUT_CHANNEL_NONE for none
 * @first:      names the connection
 * @sides:      who is still there, enum channel_side
 * @serial:     of the connection
 * @offset:     where the ring lies
 * @size:       its bytes
 * @next_size:  what it is being moved to, 0 while it is not
 * @resizes:    moves that were completed
 * @bytes:      that were sent, as the sender tells; like the rest
 * @messages:   that were sent
 * @full:       times that the ring was full
 */
struct channels_status {
    unsigned channel;
    unsigned state, status;
    unsigned sender, receiver;
    uint32_t sender_pid, port, flags, pair, first;
    unsigned sides;
    uint64_t serial, offset, size, next_size;
    uint32_t resizes;
    uint64_t bytes, messages;
    uint32_t full;
};

/**
 * channels_status() - the next channel that is in use
 * @channels: the tables
 * @from:     number to begin at
 * @status:   filled in
 *
 * Return: false when there is none from there on; else go on at @status->channel + 1.
 */
bool channels_status(const struct channels *channels, unsigned from,
                     struct channels_status *status);

/** channels_state_name() - "offered", "open", "closed" of enum layout_state; "free" else */
const char *channels_state_name(unsigned state);

/** channels_status_name() - a word like "no-space" for an enum layout_status */
const char *channels_status_name(unsigned status);

/**
 * struct channels_totals - all channels together, for who asks
 * @n_mailboxes:  peer IDs
 * @n_channels:   how many there can be
 * @active:       in use
 * @speaking:     peers that have said LAYOUT_HELLO
 * @data_bytes:   for rings, all told
 * @free_bytes:   of those, free
 * @largest_free: of those, in one piece
 * @counters:     what happened so far; its @answers are by enum layout_status
 */
struct channels_totals {
    unsigned n_mailboxes, n_channels, active, speaking;
    uint64_t data_bytes, free_bytes, largest_free;
    struct channel_counters counters;
};

/** channels_totals() - all channels together */
void channels_totals(const struct channels *channels, struct channels_totals *totals);

/** channels_peer_channels() - rings that a peer's quota may have, after defaults */
uint32_t channels_peer_channels(const struct channels *channels);

/** channels_peer_bytes() - bytes that a peer's rings may have, after defaults */
uint64_t channels_peer_bytes(const struct channels *channels);

#endif
