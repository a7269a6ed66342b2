/* SPDX-License-Identifier: MIT
 *
 * The control section: how a region with channels is divided, and what its first pages say.
 *
 *     0                header              what is where; written by the daemon
 *     mailbox_offset   n_mailboxes x 384   one for each peer ID: request, reply, who the peer is
 *     channel_offset   n_channels x 384    one for each ring: what it is, sender's and receiver's
 * line data_offset      4 KiB blocks        the rings themselves
 *
 * Everything is little-endian and of fixed width. Nobody shares a pair of cache lines: the daemon's
 * words, a sender's, a receiver's and a peer's request lie in 128 bytes of their own each.
 *
 * The daemon's words are a published copy of tables that only it has: what others write there
 * changes nothing and is put back. A block that it publishes begins with `generation`, which is odd
 * while the rest changes: see layout_publish() and layout_snapshot().
 *
 * Usable from C11 freestanding code: no libc, no allocation. ivshmem-channels(7) is the
 * specification that this header follows; ring.h is what happens inside a ring.
 */
#ifndef IVSHMEM_LAYOUT_H
#define IVSHMEM_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the control section is little-endian, and this machine is not"
#endif

#define LAYOUT_MAGIC UINT64_C(0x6c6e6e6168637669) /* "ivchannl" */

enum {
    LAYOUT_VERSION = 1,
    LAYOUT_BLOCK = 4096, /* what offsets and sizes of rings are multiples of */
    LAYOUT_APART = 128,  /* a pair of cache lines: processors fetch two at a time */
    LAYOUT_MAILBOXES_MAX = 4096,
    LAYOUT_CHANNELS_MAX = 65536,
    LAYOUT_VM_NONE = 0xffff, /* no peer */
};

#define LAYOUT_CHANNEL_NONE UINT32_C(0xffffffff)
#define LAYOUT_RING_MAX     (UINT64_C(1) << 34) /* bytes of a ring */

/**
 * struct layout_header - what is where, and how much is in use
 * @magic:              LAYOUT_MAGIC
 * @version:            LAYOUT_VERSION
 * @header_size:        bytes of this header
 * @region_size:        bytes of the region, all of it
 * @instance:           another number whenever the section is made anew: earlier channels are gone
 * @n_mailboxes:        peers have IDs below this; the daemon has this one
 * @mailbox_size:       bytes from one mailbox to the next
 * @mailbox_offset:     of the first, from the start of the region
 * @channel_offset:     of the first channel
 * @n_channels:         how many there can be
 * @channel_size:       bytes from one channel to the next
 * @data_offset:        where rings begin
 * @block_size:         LAYOUT_BLOCK
 * @generation:         of the words below
 * @num_active_channel: channels that are not LAYOUT_FREE
 * @control_mutex:      always 0: nobody locks; a request goes through the sender's own mailbox
 * @free_start_offset:  from here to the end of the region no ring was ever placed, or all are gone
 * @free_bytes:         in blocks that belong to no ring, wherever they are
 */
struct layout_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_size;
    uint64_t region_size;
    uint64_t instance;
    uint32_t n_mailboxes;
    uint32_t mailbox_size;
    uint64_t mailbox_offset;
    uint64_t channel_offset;
    uint32_t n_channels;
    uint32_t channel_size;
    uint64_t data_offset;
    uint32_t block_size;
    uint32_t reserved0[13];
    uint32_t generation;
    uint32_t num_active_channel;
    uint32_t control_mutex;
    uint32_t reserved1;
    uint64_t free_start_offset;
    uint64_t free_bytes;
    uint8_t reserved2[LAYOUT_BLOCK - LAYOUT_APART - 32];
};
_Static_assert(sizeof(struct layout_header) == LAYOUT_BLOCK, "layout");
_Static_assert(offsetof(struct layout_header, generation) == LAYOUT_APART, "layout");

/** enum layout_operation - what a peer asks for */
enum layout_operation {
    LAYOUT_HELLO = 1, /* ring me on @vector from now on; channels that I had are forgotten */
    LAYOUT_LISTEN,    /* let others connect to @port */
    LAYOUT_UNLISTEN,  /* no longer; offers that wait are refused */
    LAYOUT_CONNECT,   /* a ring of @size bytes to @peer's @port; if @reverse_size, one back too */
    LAYOUT_ACCEPT,    /* the offer @channel */
    LAYOUT_REFUSE,    /* the offer @channel */
    LAYOUT_CLOSE,     /* my ends of connection @channel */
    LAYOUT_MOVED,     /* I have left the ring of @channel before @generation */
};

/** enum layout_status - what became of a request, or why a channel was refused or has ended */
enum layout_status {
    LAYOUT_OK = 0,
    LAYOUT_BAD_REQUEST,   /* no such operation, or a value that cannot be */
    LAYOUT_NO_PEER,       /* nobody with that ID is there */
    LAYOUT_NO_LISTENER,   /* it does not listen on that port */
    LAYOUT_NO_CHANNEL,    /* no such channel, or not yours, or not in the state for this */
    LAYOUT_NO_SPACE,      /* the region has no room for the rings */
    LAYOUT_NO_ENTRY,      /* the region has no more channels */
    LAYOUT_OVER_QUOTA,    /* you, or the peer, have as many channels, ports or bytes as allowed */
    LAYOUT_PORT_IN_USE,   /* you listen on it already */
    LAYOUT_REFUSED,       /* the peer said no */
    LAYOUT_TIMED_OUT,     /* the peer did not answer the offer in time */
    LAYOUT_PEER_CLOSED,   /* the other end closed */
    LAYOUT_PEER_GONE,     /* the other end's peer has left, or said LAYOUT_HELLO anew */
    LAYOUT_IDLE,          /* nothing was sent for as long as the connection allowed */
    LAYOUT_SERVER_CLOSED, /* the daemon closed it, as an administrator wanted */
};

/**
 * struct layout_request - written by the peer that the mailbox belongs to, who then rings the
 * daemon
 * @number:       not 0, another one each time; written last
 * @operation:    enum layout_operation
 * @port:         of LISTEN, UNLISTEN, CONNECT; not 0
 * @peer:         of CONNECT: the receiver's ID
 * @channel:      of ACCEPT, REFUSE, CLOSE, MOVED
 * @pid:          of CONNECT: the sender's process, as it calls it
 * @vector:       of HELLO: which of the peer's vectors rings for replies, events and rings
 * @flags:        of CONNECT: LAYOUT_CRC32C
 * @size:         of CONNECT: bytes of the ring, rounded up to blocks
 * @reverse_size: of CONNECT: bytes of a ring in the other direction, 0 for none
 * @idle_ms:      of CONNECT: close when nothing was sent for so long, 0 for never
 * @generation:   of MOVED
 */
struct layout_request {
    uint32_t number;
    uint32_t operation;
    uint32_t port;
    uint32_t peer;
    uint32_t channel;
    uint32_t pid;
    uint32_t vector;
    uint32_t flags;
    uint64_t size;
    uint64_t reverse_size;
    uint32_t idle_ms;
    uint32_t generation;
    uint32_t reserved[2];
};
_Static_assert(sizeof(struct layout_request) == 64, "layout");

enum {
    LAYOUT_CRC32C = 1, /* each record carries a CRC32C of its payload */
};

/**
 * struct layout_reply - the daemon's answer
 * @request: as the daemon read it: whoever finds something else here was overwritten
 * @number:  that of the request; written last
 * @status:  enum layout_status
 * @channel: of CONNECT: the channel in which the asking peer sends; also names the connection
 */
struct layout_reply {
    struct layout_request request;
    uint32_t number;
    uint32_t status;
    uint32_t channel;
    uint32_t reserved[13];
};
_Static_assert(sizeof(struct layout_reply) == LAYOUT_APART, "layout");

/**
 * struct layout_peer - who has this ID
 * @generation: of this block
 * @present:    1 while a peer is connected
 * @session:    another number each time a peer with this ID comes
 * @events:     another number whenever a channel of this peer has changed: look at all of them
 * @speaks:     1 when it has said LAYOUT_HELLO
 * @vector:     where it wants to be rung
 * @pid:        its process on the host, 0 if not known
 * @uid:        that process's user
 * @n_vectors:  doorbells that it has
 */
struct layout_peer {
    uint32_t generation;
    uint32_t present;
    uint32_t session;
    uint32_t events;
    uint32_t speaks;
    uint32_t vector;
    uint32_t pid;
    uint32_t uid;
    uint32_t n_vectors;
    uint32_t reserved[23];
};
_Static_assert(sizeof(struct layout_peer) == LAYOUT_APART, "layout");

/** struct layout_mailbox - what belongs to one peer ID; each part in lines of its own */
struct layout_mailbox {
    struct layout_request request;
    uint8_t apart[LAYOUT_APART - sizeof(struct layout_request)];
    struct layout_reply reply;
    struct layout_peer peer;
};
_Static_assert(sizeof(struct layout_mailbox) == 3 * LAYOUT_APART, "layout");

/** enum layout_state - what a channel is */
enum layout_state {
    LAYOUT_FREE = 0, /* nothing */
    LAYOUT_OFFERED,  /* waits for the listener: ACCEPT or REFUSE */
    LAYOUT_OPEN,     /* in use */
    LAYOUT_CLOSED,   /* @status says why; the end that is still there drains it and says CLOSE */
};

/**
 * struct layout_entry - what the daemon says of a channel
 * @generation:      of this block
 * @state:           enum layout_state
 * @status:          of LAYOUT_CLOSED: enum layout_status
 * @sender_vm:       peer ID of the sender
 * @receiver_vm:     peer ID of the receiver
 * @sender_pid:      process of whoever connected, as told in the request
 * @port:            that was connected to
 * @flags:           LAYOUT_CRC32C
 * @pair:            the channel in the other direction, LAYOUT_CHANNEL_NONE for none
 * @first:           the channel that names the connection: that of who connected
 * @sender_vector:   where to ring the sender
 * @receiver_vector: where to ring the receiver
 * @serial:          another number for each connection
 * @buff_offset:     where the ring lies, from the start of the region
 * @buff_size:       its bytes
 * @ring_generation: counts the moves of the ring, from 0
 * @moving:          1 while the ring is to be moved to the place below
 * @next_offset:     where to
 * @next_size:       how large
 * @idle_ms:         closed when nothing was sent for so long, 0 for never: then both senders
 * publish what they have sent after each message
 */
struct layout_entry {
    uint32_t generation;
    uint32_t state;
    uint32_t status;
    uint16_t sender_vm;
    uint16_t receiver_vm;
    uint32_t sender_pid;
    uint32_t port;
    uint32_t flags;
    uint32_t pair;
    uint32_t first;
    uint16_t sender_vector;
    uint16_t receiver_vector;
    uint64_t serial;
    uint64_t buff_offset;
    uint64_t buff_size;
    uint32_t ring_generation;
    uint32_t moving;
    uint64_t next_offset;
    uint64_t next_size;
    uint32_t idle_ms;
    uint32_t reserved[9];
};
_Static_assert(sizeof(struct layout_entry) == LAYOUT_APART, "layout");

/**
 * struct layout_sender - words that the sender of a ring alone writes (ring.h)
 * @tail:         8-byte units put into rings of this channel so far; published lazily
 * @data_size:    units in the ring when @tail was published
 * @head_touch:   times that the tail met the head: the ring was full
 * @sender_waits: odd while the sender sleeps until there is room
 * @bytes:        payload sent so far; published lazily, like the next
 * @messages:     messages sent so far
 * @rang:         the value of receiver_waits that the receiver was rung for last, if the sender
 *                keeps what ring.h says of that; else 0
 */
struct layout_sender {
    uint32_t tail;
    uint32_t data_size;
    uint32_t head_touch;
    uint32_t sender_waits;
    uint64_t bytes;
    uint64_t messages;
    uint32_t rang;
    uint32_t reserved[23];
};
_Static_assert(sizeof(struct layout_sender) == LAYOUT_APART, "layout");

/**
 * struct layout_receiver - words that the receiver of a ring alone writes
 * @head:           8-byte units taken out so far; published lazily, a quarter of the ring at a time
 * @receiver_waits: odd while the receiver sleeps until there is a record
 * @rang:           as the sender's, of sender_waits
 */
struct layout_receiver {
    uint32_t head;
    uint32_t receiver_waits;
    uint32_t rang;
    uint32_t reserved[29];
};
_Static_assert(sizeof(struct layout_receiver) == LAYOUT_APART, "layout");

/** struct layout_channel - one ring; each part in lines of its own */
struct layout_channel {
    struct layout_entry entry;
    struct layout_sender sender;
    struct layout_receiver receiver;
};
_Static_assert(sizeof(struct layout_channel) == 3 * LAYOUT_APART, "layout");

/** layout_channel_offset() - where the channels of a section with so many mailboxes begin */
static inline uint64_t layout_channel_offset(uint32_t n_mailboxes)
{
    return sizeof(struct layout_header) + (uint64_t)n_mailboxes * sizeof(struct layout_mailbox);
}

/** layout_data_offset() - where the rings begin; both numbers within their _MAX */
static inline uint64_t layout_data_offset(uint32_t n_mailboxes, uint32_t n_channels)
{
    uint64_t end =
        layout_channel_offset(n_mailboxes) + (uint64_t)n_channels * sizeof(struct layout_channel);

    return (end + LAYOUT_BLOCK - 1) / LAYOUT_BLOCK * LAYOUT_BLOCK;
}

/** layout_word - how blocks are copied: whatever the types of their members, as 32-bit words */
typedef uint32_t __attribute__((__may_alias__)) layout_word;

/**
 * layout_publish() - the daemon changes a block
 * @block: where it lies in the region, aligned to 8 bytes; begins with its generation
 * @words: what it shall say, private; its generation is counted up here
 * @size:  bytes of both, a multiple of 4
 *
 * The fence pairs with that of layout_snapshot(): who sees one of the new words sees the odd
 * generation, or a later one, after it.
 */
static inline void layout_publish(void *block, void *words, size_t size)
{
    layout_word *to = (layout_word *)block, *from = (layout_word *)words;

    __atomic_store_n(&to[0], from[0] + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (size_t i = 1; i < size / 4; i++)
        __atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
    from[0] += 2;
    __atomic_store_n(&to[0], from[0], __ATOMIC_RELEASE);
}

/**
 * layout_snapshot() - read a block of the daemon's
 * @copy:  where to; only this is to be looked at afterwards, and checked: anybody can write there
 * @block: where it lies in the region, aligned to 8 bytes; begins with its generation
 * @size:  bytes of both, a multiple of 4
 *
 * Return: 1, or 0 when it is being changed all the time (or scribbled on): try again later.
 */
static inline int layout_snapshot(void *copy, const void *block, size_t size)
{
    layout_word *to = (layout_word *)copy;
    const layout_word *from = (const layout_word *)block;

    for (int tries = 0; tries < 64; tries++) {
        to[0] = __atomic_load_n(&from[0], __ATOMIC_ACQUIRE);
        for (size_t i = 1; i < size / 4; i++)
            to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with that of layout_publish() */
        if (!(to[0] & 1) && __atomic_load_n(&from[0], __ATOMIC_RELAXED) == to[0])
            return 1;
    }
    return 0;
}

#endif
