/* SPDX-License-Identifier: MIT
 *
 * libivshmem: be a peer of an ivshmem server.
 *
 * A handle holds one place among the peers: an ID, the shared memory, a doorbell for each vector of
 * each peer, and doorbells of its own. It has one descriptor to poll, which never changes, and a
 * dispatch function that reads what is there and calls back:
 *
 *     static void rung(struct ivshmem *iv, void *context, unsigned vector) { ... }
 *
 *     const struct ivshmem_callbacks callbacks = {.size = sizeof(callbacks), .notification = rung};
 *     struct ivshmem *iv;
 *     int r;
 *
 *     if (ivshmem_new(&iv, &callbacks, NULL) < 0)
 *         return 1;
 *     r = ivshmem_open(iv, "unix:/tmp/ivshmem_socket");
 *     while (r == 0) {
 *         struct pollfd wait = {.fd = ivshmem_fd(iv), .events = POLLIN};
 *
 *         poll(&wait, 1, -1);
 *         r = ivshmem_dispatch(iv);
 *     }
 *     fprintf(stderr, "%s\n", ivshmem_error(iv));
 *     ivshmem_free(iv);
 *
 * Programs without an event loop call ivshmem_open(), ivshmem_wait_ready() and then ivshmem_wait().
 *
 * Rules. Functions return 0 or a negative errno, and ivshmem_error() tells it in words. The library
 * does not print, exit, start threads, or change signals and limits. One handle, with its channels,
 * belongs to one thread at a time; different handles do not know of each other. The table of peers
 * changes within ivshmem_open(), ivshmem_dispatch() and functions that wait only. Each vector of
 * each peer costs a descriptor: raise RLIMIT_NOFILE before opening. A server that goes away ends
 * nothing but the handle's connection. Time-outs are in milliseconds; 0 polls, and -1, as any
 * number below 0, waits for ever.
 */
#ifndef IVSHMEM_H
#define IVSHMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IVSHMEM_API __attribute__((visibility("default")))

struct ivshmem;
struct ivshmem_channel;
struct ivshmem_offer;

/**
 * struct ivshmem_callbacks - what a program wants to hear of
 * @size:         sizeof(struct ivshmem_callbacks), so that later versions can add members
 * @connected:    the server gave us our ID and the memory; peers follow
 * @ready:        the table is as the server has it: everybody can be rung (see ivshmem_ready())
 * @peer_joined:  a peer is there; its first vector_added follows
 * @vector_added: a peer, or we ourselves, can be rung on this vector
 * @peer_left:    a peer is gone and out of the table
 * @notification: our vector was rung, once or many times since the last call
 * @disconnected: no server any more; the table is empty. @error is the negative errno that
 *                ivshmem_dispatch() is about to return, unless it connects again
 * @offered:      somebody wants to connect to a port that we listen on: ivshmem_accept() or
 *                ivshmem_refuse(), now or later
 * @channel_ready: a channel that is watched (ivshmem_channel_watch()) can be read from, written to,
 *                or has come to its end. Told again as long as it is so
 *
 * Members may be NULL. They are called from ivshmem_dispatch() and from functions that wait, and
 * may call every function of this header except ivshmem_free(). Within them ivshmem_open(),
 * ivshmem_dispatch(), and time-outs other than 0 are -EBUSY.
 */
struct ivshmem_callbacks {
    size_t size;
    void (*connected)(struct ivshmem *iv, void *context);
    void (*ready)(struct ivshmem *iv, void *context);
    void (*peer_joined)(struct ivshmem *iv, void *context, unsigned peer);
    void (*vector_added)(struct ivshmem *iv, void *context, unsigned peer, unsigned vector);
    void (*peer_left)(struct ivshmem *iv, void *context, unsigned peer);
    void (*notification)(struct ivshmem *iv, void *context, unsigned vector);
    void (*disconnected)(struct ivshmem *iv, void *context, int error);
    void (*offered)(struct ivshmem *iv, void *context, const struct ivshmem_offer *offer);
    void (*channel_ready)(struct ivshmem *iv, void *context, struct ivshmem_channel *channel);
};

/**
 * ivshmem_new() - make a handle that is not connected yet
 * @iv:        set to the handle; left alone on error
 * @callbacks: copied; NULL for none
 * @context:   handed to each callback
 *
 * Return: 0, -EINVAL when the size in @callbacks is none that this library knows, or the negative
 * errno of a system call.
 */
IVSHMEM_API int ivshmem_new(struct ivshmem **iv, const struct ivshmem_callbacks *callbacks,
                            void *context);

/**
 * ivshmem_free() - leave the server if connected, and forget the handle
 * @iv: may be NULL
 *
 * Return: always NULL.
 */
IVSHMEM_API struct ivshmem *ivshmem_free(struct ivshmem *iv);

/**
 * ivshmem_open() - connect to a server
 * @iv:     the handle; a connection that it has is given up first
 * @target: `unix:PATH` or a plain path (one without a colon before its first slash); or `file:PATH`
 *
 * `file:PATH` is memory without a server: a shared memory object, by its path, or another regular
 * file, which is neither made nor made larger. Our ID is 0 then, and there are no peers and no
 * vectors.
 *
 * Never waits: what the server has to say comes through ivshmem_dispatch(), even when it takes
 * long.
 *
 * Return: 0, -EINVAL for a target of an unknown kind or a file that is not regular, -ENODATA for an
 * empty file, -ENAMETOOLONG, -EAGAIN when the server's queue of newcomers is full, -ENOMEM, or
 * another negative errno of socket(2), connect(2) and open(2).
 */
IVSHMEM_API int ivshmem_open(struct ivshmem *iv, const char *target);

/**
 * ivshmem_set_reconnect() - connect again by itself when the server goes away
 * @iv:       the handle
 * @interval: milliseconds from a failure to the next try; 0 for never, as at first
 *
 * ivshmem_open() then returns 0 also when there is no server yet, ivshmem_dispatch() when it has
 * gone, and calls that wait go on: the callbacks tell, and ivshmem_error() says why the last try
 * failed. The new connection can have another ID, and peers join anew. Channels do not come back:
 * their calls return -ENOTCONN. A target that cannot be right is still an error. An interval of 0
 * also gives up a try that is due. In the disconnected callback it decides on this very loss: after
 * 0 there, what was called returns the error that the callback was told.
 *
 * Return: 0, or -EINVAL for a negative interval.
 */
IVSHMEM_API int ivshmem_set_reconnect(struct ivshmem *iv, int interval);

/**
 * ivshmem_error() - the last failure of a function of this handle, in one line
 * @iv: the handle
 *
 * Functions that take the handle as const only look: their errors are not told here.
 *
 * Return: text that lives until the next call; empty if nothing has failed yet.
 */
IVSHMEM_API const char *ivshmem_error(const struct ivshmem *iv);

/**
 * ivshmem_fd() - what to poll for reading
 * @iv: the handle
 *
 * Return: a descriptor that stays the same for the life of the handle. Only poll it.
 */
IVSHMEM_API int ivshmem_fd(const struct ivshmem *iv);

/**
 * ivshmem_dispatch() - read what has arrived and call back
 * @iv: the handle
 *
 * Does a bounded amount of work, and never waits. Of doorbells and messages that are there at the
 * same time the doorbells come first. It takes the events of all our vectors, also without a
 * notification callback: they are not there for ivshmem_wait() any more.
 *
 * Return: 0, or the reason why there is no connection any more: -ECONNRESET when the server closed
 * it, -ECONNREFUSED when it turned us away, -EPROTO when it said what makes no sense (memory that
 * is empty or no file, say), -EPROTONOSUPPORT when it speaks another version, -EMFILE when a
 * descriptor did not fit under RLIMIT_NOFILE, -ENOMEM, the errno of mmap(2) when the memory cannot
 * be mapped, -ENOTCONN when there was none in the first place.
 */
IVSHMEM_API int ivshmem_dispatch(struct ivshmem *iv);

/**
 * ivshmem_ready() - whether the table of peers is complete
 * @iv: the handle
 *
 * The protocol has no message that ends a greeting. It lists the others first, and our own vectors
 * last, and all peers of a server have the same number of them: so the table is complete when we
 * have as many as the others. Without any other peer to compare with (or with a server that
 * is different), it counts as complete when no vector has arrived for a quarter of a second.
 *
 * Return: 1 or 0.
 */
IVSHMEM_API int ivshmem_ready(const struct ivshmem *iv);

/**
 * ivshmem_wait_ready() - read what the server says until the table of peers is complete
 * @iv:      the handle, opened
 * @timeout: milliseconds
 *
 * With callbacks, but events of our vectors stay where they are, for ivshmem_wait() and
 * ivshmem_dispatch().
 *
 * Return: 0, -ETIMEDOUT, -EINTR when a signal handler ran, or as ivshmem_dispatch().
 */
IVSHMEM_API int ivshmem_wait_ready(struct ivshmem *iv, int timeout);

/**
 * ivshmem_wait() - wait until one of our vectors is rung
 * @iv:      the handle
 * @vectors: which ones to wait for; NULL for any
 * @count:   how many are in @vectors; not looked at when it is NULL
 * @timeout: milliseconds
 *
 * An event latches: rung once or many times before the call, it makes the call return at once and
 * is taken; of several that wait for one vector, one gets it. Vectors that are not waited for keep
 * their events. If several were rung, it is the first one in @vectors; with NULL they take turns.
 * The notification callback is not called for what is returned here. Peers come and go meanwhile,
 * with callbacks.
 *
 * Return: the vector, -ETIMEDOUT, -EINTR when a signal handler ran, -EINVAL for an empty list or,
 * once the table of peers is complete, for a vector that we do not have, or as ivshmem_dispatch().
 */
IVSHMEM_API int ivshmem_wait(struct ivshmem *iv, const unsigned *vectors, size_t count,
                             int timeout);

/**
 * ivshmem_id() - our own ID
 * @iv: the handle
 *
 * Return: 0..65535, or -ENOTCONN before the connected callback.
 */
IVSHMEM_API int ivshmem_id(const struct ivshmem *iv);

/**
 * ivshmem_memory_fd() - the shared memory, to be mapped
 * @iv: the handle, which keeps the descriptor and closes it at the end of the connection
 *
 * A mapping stays valid after that.
 *
 * Return: a descriptor, or -ENOTCONN before the connected callback.
 */
IVSHMEM_API int ivshmem_memory_fd(const struct ivshmem *iv);

/**
 * ivshmem_memory_size() - size of the shared memory
 * @iv: the handle
 *
 * Return: bytes, as they were when the memory arrived; 0 before the connected callback.
 */
IVSHMEM_API uint64_t ivshmem_memory_size(const struct ivshmem *iv);

/**
 * ivshmem_memory() - the shared memory, mapped
 * @iv: the handle, which unmaps it at the end of the connection
 *
 * Peers change it at any time: load a word once, check it, use what was loaded. If
 * ivshmem_memory_sealed() says no, a peer can also cut the object: a touch behind its end is then a
 * SIGBUS. ivshmem_read() and the like turn that into -EFAULT (see process_vm_readv(2); in a sandbox
 * that forbids it they look at the size before, and so does what works on words: the moment between
 * the look and the touch remains).
 *
 * Return: address of ivshmem_memory_size() bytes; NULL before the connected callback.
 */
IVSHMEM_API void *ivshmem_memory(const struct ivshmem *iv);

/**
 * ivshmem_memory_sealed() - whether nobody can make the object smaller (F_SEAL_SHRINK)
 * @iv: the handle
 *
 * Return: 1, 0, or -ENOTCONN before the connected callback.
 */
IVSHMEM_API int ivshmem_memory_sealed(const struct ivshmem *iv);

/**
 * ivshmem_read() - copy out of the memory
 * @iv:     the handle
 * @offset: where from
 * @buffer: where to
 * @size:   bytes
 *
 * Return: 0, -ENOTCONN, -ERANGE when it is not all within the memory (nothing is copied then), or
 * -EFAULT when somebody has cut the object (a part may have been copied).
 */
IVSHMEM_API int ivshmem_read(struct ivshmem *iv, uint64_t offset, void *buffer, size_t size);

/**
 * ivshmem_write() - copy into the memory, whose size this never changes
 * @iv:     the handle
 * @offset: where to
 * @buffer: where from
 * @size:   bytes
 *
 * Return: as ivshmem_read().
 */
IVSHMEM_API int ivshmem_write(struct ivshmem *iv, uint64_t offset, const void *buffer, size_t size);

/**
 * ivshmem_fill() - set bytes of the memory to one value
 * @iv:     the handle
 * @offset: where
 * @size:   bytes
 * @byte:   the value
 *
 * Return: as ivshmem_read().
 */
IVSHMEM_API int ivshmem_fill(struct ivshmem *iv, uint64_t offset, uint64_t size, uint8_t byte);

/**
 * ivshmem_find() - look for bytes in the memory
 * @iv:          the handle
 * @offset:      where to begin
 * @size:        bytes to look through
 * @needle:      what to look for
 * @needle_size: its bytes, not 0
 * @found:       set to the offset of the first place, from the start of the memory
 *
 * Return: 0, -ENOENT when it is not there, -EINVAL for an empty needle, -ENOMEM, or as
 * ivshmem_read().
 */
IVSHMEM_API int ivshmem_find(struct ivshmem *iv, uint64_t offset, uint64_t size, const void *needle,
                             size_t needle_size, uint64_t *found);

/**
 * ivshmem_load32() - read a word atomically (acquire)
 * @iv:     the handle
 * @offset: of the word, a multiple of its size
 * @value:  set to it; left alone on error
 *
 * Words are in the byte order of this machine. The other functions on words are sequentially
 * consistent.
 *
 * Return: 0, -ENOTCONN, -EINVAL for an offset that is no multiple, -ERANGE when it is outside the
 * memory, -EFAULT when somebody has cut the object.
 */
IVSHMEM_API int ivshmem_load32(struct ivshmem *iv, uint64_t offset, uint32_t *value);
/** ivshmem_load64() - as ivshmem_load32() */
IVSHMEM_API int ivshmem_load64(struct ivshmem *iv, uint64_t offset, uint64_t *value);

/** ivshmem_store32() - write a word atomically. Return: as ivshmem_load32(). */
IVSHMEM_API int ivshmem_store32(struct ivshmem *iv, uint64_t offset, uint32_t value);
/** ivshmem_store64() - as ivshmem_store32() */
IVSHMEM_API int ivshmem_store64(struct ivshmem *iv, uint64_t offset, uint64_t value);

/** ivshmem_add32() - add to a word; @before (may be NULL) is set to what it was */
IVSHMEM_API int ivshmem_add32(struct ivshmem *iv, uint64_t offset, uint32_t addend,
                              uint32_t *before);
/** ivshmem_add64() - as ivshmem_add32() */
IVSHMEM_API int ivshmem_add64(struct ivshmem *iv, uint64_t offset, uint64_t addend,
                              uint64_t *before);

/**
 * ivshmem_compare_exchange32() - write a word if it is what we expect
 * @iv:       the handle
 * @offset:   of the word
 * @expected: what it should be; set to what it was
 * @desired:  what it becomes if it was that
 *
 * Return: 1 if it was exchanged, 0 if not, or an error as of ivshmem_load32().
 */
IVSHMEM_API int ivshmem_compare_exchange32(struct ivshmem *iv, uint64_t offset, uint32_t *expected,
                                           uint32_t desired);
/** ivshmem_compare_exchange64() - as ivshmem_compare_exchange32() */
IVSHMEM_API int ivshmem_compare_exchange64(struct ivshmem *iv, uint64_t offset, uint64_t *expected,
                                           uint64_t desired);

/**
 * ivshmem_next_peer() - go through the other peers in the order in which we heard of them
 * @iv:    the handle
 * @after: the peer before, -1 for the first
 *
 * Return: ID of the next one, or -ENOENT when there is none.
 */
IVSHMEM_API int ivshmem_next_peer(const struct ivshmem *iv, int after);

/**
 * ivshmem_vectors() - how many vectors a peer has
 * @iv:   the handle
 * @peer: its ID; our own is welcome too
 *
 * Return: 0..2048, or -ENOENT when there is no such peer.
 */
IVSHMEM_API int ivshmem_vectors(const struct ivshmem *iv, unsigned peer);

/**
 * ivshmem_peer_credentials() - the process behind a peer
 * @iv:   the handle
 * @peer: its ID
 * @pid:  set to its process
 * @uid:  set to its user
 *
 * A server with channels publishes them. Anybody who maps the memory can write there: good for a
 * display, not for a decision.
 *
 * Return: 0, -ENOENT when there is no such peer, -ENODATA when the server does not say.
 */
IVSHMEM_API int ivshmem_peer_credentials(struct ivshmem *iv, unsigned peer, pid_t *pid, uid_t *uid);

/**
 * ivshmem_server_credentials() - the process that listens at the server's socket
 * @iv:  the handle, connected
 * @pid: set to its process
 * @uid: set to its user
 *
 * Return: 0, -ENOTCONN, -EOPNOTSUPP when the target is a file, or the negative errno of
 * getsockopt(2).
 */
IVSHMEM_API int ivshmem_server_credentials(struct ivshmem *iv, pid_t *pid, uid_t *uid);

/**
 * ivshmem_vector_fd() - the eventfd behind a vector
 * @iv:     the handle, which keeps the descriptor
 * @peer:   ID of a peer, or our own
 * @vector: from 0
 *
 * Return: a descriptor that lives as long as the peer is in the table, or -ENOENT.
 */
IVSHMEM_API int ivshmem_vector_fd(const struct ivshmem *iv, unsigned peer, unsigned vector);

/**
 * ivshmem_ring() - notify one vector of a peer
 * @iv:     the handle
 * @peer:   ID of a peer, or our own
 * @vector: from 0
 *
 * Never waits.
 *
 * Return: 0 (also when it was rung before and has not looked yet: that is one event), -ENOENT when
 * there is no such peer or vector, or the negative errno of write(2).
 */
IVSHMEM_API int ivshmem_ring(struct ivshmem *iv, unsigned peer, unsigned vector);

/**
 * ivshmem_ring_peer() - notify all vectors of a peer
 * @iv:   the handle
 * @peer: ID of a peer, or our own
 *
 * Return: 0, or the first failure as of ivshmem_ring(); the remaining vectors are rung all the
 * same.
 */
IVSHMEM_API int ivshmem_ring_peer(struct ivshmem *iv, unsigned peer);

/**
 * ivshmem_ring_all() - notify all vectors of all peers but ourselves
 * @iv: the handle
 *
 * Return: 0, or the first failure as of ivshmem_ring(); the others are rung all the same.
 */
IVSHMEM_API int ivshmem_ring_all(struct ivshmem *iv);

/*
 * Channels
 *
 * A server with --channels divides the memory into rings. A connection has a ring from who
 * connected to who listened and, if asked for, one back. Messages keep their boundaries and can be
 * larger than the ring. A call that waits for the other side does so for the time-out of the
 * channel, for ever at first: ivshmem_channel_set_timeout(). What ends a channel: -EPIPE the other
 * side closed (a receiver first gets what is left), -ECONNRESET its peer has gone (the same),
 * -EBADMSG the ring or a checksum is broken, -ENOTCONN our own connection to the server has gone,
 * -ETIME it was closed for being idle, -ECONNABORTED an administrator of the server closed it. The
 * server may be away: channels go on. Calls that wait serve the handle meanwhile, with callbacks; a
 * signal does not end them; within a callback, which cannot wait, they are -EBUSY.
 *
 * Rings are used where they lie. Whatever others write there, nothing outside of them is touched.
 * But if ivshmem_memory_sealed() says no, and a peer cuts the object, that is a SIGBUS.
 *
 * A channel goes with its handle: after ivshmem_free() it is no more, and the other side sees that
 * our peer has gone. When the handle's connection ends, it stays until ivshmem_close().
 *
 * Without channels at the server all of these return -EOPNOTSUPP.
 */

/** enum ivshmem_channel_flags - properties of a connection */
enum ivshmem_channel_flags {
    IVSHMEM_CRC32C = 1 /* each piece of a message is checked */
};

/** enum ivshmem_waiting - how a channel waits */
enum ivshmem_waiting {
    IVSHMEM_HYBRID = 0, /* look for some 20 us, then sleep */
    IVSHMEM_BLOCK,      /* sleep at once */
    IVSHMEM_SPIN        /* never sleep */
};

/** enum ivshmem_watch - what ivshmem_channel_watch() looks for */
enum ivshmem_watch { IVSHMEM_READABLE = 1, IVSHMEM_WRITABLE = 2 };

/**
 * struct ivshmem_connect_options - what a connection shall be like
 * @size:         sizeof(struct ivshmem_connect_options), so that later versions can add members
 * @ring_size:    bytes of the ring in which we send, 0 for 65536; rounded up to 4096
 * @reverse_size: bytes of the ring in which we receive, 0 for none
 * @flags:        enum ivshmem_channel_flags
 * @idle_ms:      close when nothing was sent in either direction for so long, 0 for never
 */
struct ivshmem_connect_options {
    size_t size;
    uint64_t ring_size;
    uint64_t reverse_size;
    unsigned flags;
    unsigned idle_ms;
};

/**
 * struct ivshmem_offer - somebody wants to connect to us
 * @size:         sizeof(struct ivshmem_offer), set by the library
 * @channel:      number of the channel in the region
 * @serial:       another one for each connection
 * @peer:         who
 * @pid:          its process, as it calls it
 * @port:         the port of ours
 * @ring_size:    bytes of the ring in which we would receive
 * @reverse_size: bytes of the ring in which we would send, 0 for none
 * @flags:        enum ivshmem_channel_flags
 */
struct ivshmem_offer {
    size_t size;
    uint32_t channel;
    uint64_t serial;
    unsigned peer;
    uint32_t pid;
    uint32_t port;
    uint64_t ring_size;
    uint64_t reverse_size;
    unsigned flags;
};

/**
 * struct ivshmem_channel_info - how a connection stands
 * @size:             sizeof(struct ivshmem_channel_info), set by the caller
 * @channel:          number in the region of the channel that names the connection
 * @peer:             the other side
 * @port:             the port that was connected to
 * @send_size:        bytes of the ring in which we send, 0 if there is none
 * @receive_size:     bytes of the ring in which we receive, 0 if there is none
 * @flags:            enum ivshmem_channel_flags
 * @bytes_sent:       payload
 * @messages_sent:    messages
 * @bytes_received:   payload
 * @messages_received: messages
 * @full:             times that the ring in which we send was full
 * @moves:            times that one of the rings was moved
 * @doorbells:        times that we rang the other side
 * @sleeps:           times that we slept
 */
struct ivshmem_channel_info {
    size_t size;
    uint32_t channel;
    unsigned peer;
    uint32_t port;
    uint64_t send_size;
    uint64_t receive_size;
    unsigned flags;
    uint64_t bytes_sent;
    uint64_t messages_sent;
    uint64_t bytes_received;
    uint64_t messages_received;
    uint64_t full;
    uint64_t moves;
    uint64_t doorbells;
    uint64_t sleeps;
};

/**
 * ivshmem_set_channel_vector() - which of our vectors channels shall ring
 * @iv:     the handle, before the first of the functions below
 * @vector: from 0; -1, as at first, for our last one
 *
 * The notification callback and ivshmem_wait() see that vector too.
 *
 * Return: 0, or -EBUSY when it is in use already.
 */
IVSHMEM_API int ivshmem_set_channel_vector(struct ivshmem *iv, int vector);

/**
 * ivshmem_listen() - let others connect to a port of ours
 * @iv:   the handle, ready
 * @port: not 0
 *
 * Return: 0, -EADDRINUSE when we listen on it already, -EDQUOT, -EOPNOTSUPP, -EINVAL, -ETIMEDOUT
 * when the server is away for more than 10 seconds, or as ivshmem_dispatch().
 */
IVSHMEM_API int ivshmem_listen(struct ivshmem *iv, uint32_t port);

/**
 * ivshmem_unlisten() - no longer; offers that wait are refused
 * @iv:   the handle
 * @port: that we listen on
 *
 * Return: 0, -EINVAL when we do not, or as ivshmem_listen().
 */
IVSHMEM_API int ivshmem_unlisten(struct ivshmem *iv, uint32_t port);

/**
 * ivshmem_next_offer() - who wants to connect
 * @iv:      the handle
 * @port:    a port that we listen on; 0 for any
 * @timeout: milliseconds
 * @offer:   set
 *
 * An offer stays the next one until it is accepted or refused, or is no longer there.
 *
 * Return: 0, -ETIMEDOUT, or as ivshmem_listen().
 */
IVSHMEM_API int ivshmem_next_offer(struct ivshmem *iv, uint32_t port, int timeout,
                                   struct ivshmem_offer *offer);

/**
 * ivshmem_accept() - take an offer
 * @iv:      the handle
 * @offer:   from ivshmem_next_offer() or the offered callback
 * @channel: set to the connection; ivshmem_close() it
 *
 * Return: 0, -ECONNABORTED when it is no longer there, or as ivshmem_listen().
 */
IVSHMEM_API int ivshmem_accept(struct ivshmem *iv, const struct ivshmem_offer *offer,
                               struct ivshmem_channel **channel);

/** ivshmem_refuse() - turn an offer down. Return: as ivshmem_accept(). */
IVSHMEM_API int ivshmem_refuse(struct ivshmem *iv, const struct ivshmem_offer *offer);

/**
 * ivshmem_connect() - connect to a port of a peer
 * @iv:      the handle, ready
 * @peer:    its ID
 * @port:    not 0
 * @options: NULL for a ring of 64 KiB in each direction, no checksums, never closed
 * @timeout: milliseconds until the peer must have accepted
 * @channel: set to the connection; ivshmem_close() it
 *
 * Return: 0, -ECONNREFUSED when the peer refused or does not listen, -ENOENT when there is no such
 * peer, -ECONNRESET when it left meanwhile, -ETIMEDOUT when it did not answer (the server has a
 * limit of its own), -EDQUOT when one side has as much as it may, -ENOSPC when the region is full,
 * or as ivshmem_listen().
 */
IVSHMEM_API int ivshmem_connect(struct ivshmem *iv, unsigned peer, uint32_t port,
                                const struct ivshmem_connect_options *options, int timeout,
                                struct ivshmem_channel **channel);

/**
 * ivshmem_close() - close a connection
 * @channel: may be NULL; forgotten, also when the server is away
 *
 * What was sent can still be received by the other side.
 *
 * Return: always NULL.
 */
IVSHMEM_API struct ivshmem_channel *ivshmem_close(struct ivshmem_channel *channel);

/** ivshmem_channel_set_timeout() - how long calls on this channel wait, ms; -1 at first */
IVSHMEM_API void ivshmem_channel_set_timeout(struct ivshmem_channel *channel, int timeout);

/** ivshmem_channel_set_waiting() - how they wait: enum ivshmem_waiting. Return: 0 or -EINVAL. */
IVSHMEM_API int ivshmem_channel_set_waiting(struct ivshmem_channel *channel,
                                            enum ivshmem_waiting waiting);

/** ivshmem_channel_set_context() - a pointer of the program's to go with the channel */
IVSHMEM_API void ivshmem_channel_set_context(struct ivshmem_channel *channel, void *context);
/** ivshmem_channel_context() - the pointer; NULL at first */
IVSHMEM_API void *ivshmem_channel_context(const struct ivshmem_channel *channel);

/**
 * ivshmem_channel_watch() - tell channel_ready about this channel, and wake ivshmem_fd()
 * @channel: the connection
 * @what:    enum ivshmem_watch, or-ed; 0 for nothing, as at first
 *
 * It is writable when what was last refused with -EAGAIN would fit, or any byte if nothing was. Its
 * end is told also to who watches nothing, then only once.
 *
 * Return: 0, or -EINVAL for other bits, or a ring that it does not have.
 */
IVSHMEM_API int ivshmem_channel_watch(struct ivshmem_channel *channel, unsigned what);

/** ivshmem_channel_get_info() - how it stands. Return: 0, or -EINVAL for an unknown size. */
IVSHMEM_API int ivshmem_channel_get_info(const struct ivshmem_channel *channel,
                                         struct ivshmem_channel_info *info);

/**
 * ivshmem_send() - send a message
 * @channel: the connection
 * @buffer:  the message
 * @size:    its bytes; 0 is a message too
 *
 * With a time-out of 0 a message of more than what fits now is not begun. If a message was begun
 * with ivshmem_send_part(), this is the rest of it.
 *
 * A message that fits what is known to be free is put there, and nothing else is looked at: that
 * the channel has ended is told at the latest when a quarter of the ring was sent since, and what
 * was sent meanwhile is lost. ivshmem_dispatch() looks: afterwards the next call tells.
 *
 * Return: 0, -EAGAIN when the time-out is 0 and there is no room, -EMSGSIZE when the time-out is 0
 * and it could never fit at once, -ETIMEDOUT (the receiver never sees the part that was sent), or
 * what ended the channel.
 */
IVSHMEM_API int ivshmem_send(struct ivshmem_channel *channel, const void *buffer, size_t size);

/** ivshmem_sendv() - send a message that lies in pieces. Return: as ivshmem_send(). */
IVSHMEM_API int ivshmem_sendv(struct ivshmem_channel *channel, const struct iovec *pieces,
                              unsigned count);

/**
 * ivshmem_send_part() - send the next part of a message, or as much of it as there is room for
 * @channel: the connection
 * @buffer:  the part
 * @size:    its bytes
 * @more:    the message goes on after these bytes
 *
 * Return: bytes that were taken (less than @size: the message goes on; when the time-out is 0, what
 * fits now), -EAGAIN, -ETIMEDOUT when not even one was, or what ended the channel.
 */
IVSHMEM_API ssize_t ivshmem_send_part(struct ivshmem_channel *channel, const void *buffer,
                                      size_t size, bool more);

/** ivshmem_send_abort() - the receiver shall forget the parts of the message so far */
IVSHMEM_API int ivshmem_send_abort(struct ivshmem_channel *channel);

/**
 * ivshmem_send_burst() - send many messages
 * @channel:  the connection
 * @messages: each a whole message that fits into a quarter of the ring
 * @count:    how many
 *
 * Return: how many were taken, at least one; or as ivshmem_send().
 */
IVSHMEM_API int ivshmem_send_burst(struct ivshmem_channel *channel, const struct iovec *messages,
                                   unsigned count);

/**
 * ivshmem_reserve() - room for a message right in the ring
 * @channel: the connection
 * @size:    bytes wanted, at most a quarter of the ring
 * @room:    set to where to write them; until ivshmem_commit() or the next call on this channel,
 *           and as long as the handle is connected
 *
 * Return: 0, -EMSGSIZE, or as ivshmem_send().
 */
IVSHMEM_API int ivshmem_reserve(struct ivshmem_channel *channel, size_t size, void **room);

/**
 * ivshmem_is_far() - whether the other side's processor shares no cache with ours, as far as is
 * known
 * @channel: the connection, with a ring in which we send
 *
 * Then what ivshmem_reserve() gives, from 8 KiB on, is filled up to three times as fast by stores
 * past the caches (x86: movnti), with a fence (sfence) after the last. It can change any time;
 * ivshmem_send() looks at it by itself.
 */
IVSHMEM_API bool ivshmem_is_far(const struct ivshmem_channel *channel);

/**
 * ivshmem_commit() - send what was written there
 * @channel: the connection
 * @size:    bytes, at most as many as were reserved
 * @more:    the message goes on in the next one
 *
 * Return: 0, or -EINVAL when nothing, or less, was reserved.
 */
IVSHMEM_API int ivshmem_commit(struct ivshmem_channel *channel, size_t size, bool more);

/**
 * ivshmem_flush() - make sure that a receiver that sleeps was woken
 * @channel: the connection
 *
 * Not needed: sending wakes by itself; one in many millions of wake-ups comes a millisecond late.
 * Whoever sends a last message and then does nothing for long can spare the receiver that.
 */
IVSHMEM_API void ivshmem_flush(struct ivshmem_channel *channel);

/**
 * ivshmem_recv() - receive a message
 * @channel: the connection
 * @buffer:  where to
 * @size:    its bytes
 *
 * Return: bytes of the message, -EMSGSIZE when it has more than @size (the first @size are in the
 * buffer, the next call goes on behind them), -EAGAIN or -ETIMEDOUT (what came of a message stays
 * in the buffer: call again with the same one), -ECANCELED when the sender has aborted a message
 * that a part of was returned already, or what ended the channel.
 */
IVSHMEM_API ssize_t ivshmem_recv(struct ivshmem_channel *channel, void *buffer, size_t size);

/** ivshmem_recvv() - receive a message into pieces. Return: as ivshmem_recv(). */
IVSHMEM_API ssize_t ivshmem_recvv(struct ivshmem_channel *channel, const struct iovec *pieces,
                                  unsigned count);

/**
 * ivshmem_recv_part() - receive what is there of a message
 * @channel: the connection
 * @buffer:  where to
 * @size:    its bytes, not 0
 * @more:    set to whether the message goes on
 *
 * Return: bytes (0 with @more false for an empty message or an end), -ECANCELED when the sender has
 * aborted the message (what came of it is to be forgotten), or as ivshmem_recv().
 */
IVSHMEM_API ssize_t ivshmem_recv_part(struct ivshmem_channel *channel, void *buffer, size_t size,
                                      bool *more);

/**
 * ivshmem_recv_burst() - receive many messages
 * @channel:  the connection
 * @messages: a buffer for each; iov_len is set to the message's bytes
 * @count:    how many
 *
 * Return: how many came, at least one; -EMSGSIZE when the first does not fit, or as ivshmem_recv().
 */
IVSHMEM_API int ivshmem_recv_burst(struct ivshmem_channel *channel, struct iovec *messages,
                                   unsigned count);

/**
 * ivshmem_peek() - look at the next piece of a message right in the ring
 * @channel: the connection
 * @data:    set to the piece, which the sender can change under us: copy what must not. It lies
 *           there until ivshmem_release(), as long as the handle is connected
 * @size:    set to its bytes
 * @more:    set to whether the message goes on in the next piece
 *
 * Return: 0, -ECANCELED as of ivshmem_recv_part(), or as ivshmem_recv().
 */
IVSHMEM_API int ivshmem_peek(struct ivshmem_channel *channel, const void **data, size_t *size,
                             bool *more);

/** ivshmem_release() - done with what ivshmem_peek() showed. Return: 0, -EINVAL without a peek. */
IVSHMEM_API int ivshmem_release(struct ivshmem_channel *channel);

/**
 * ivshmem_socket() - the connection itself, for diagnostics
 * @iv: the handle
 *
 * Return: a descriptor to be shown, not used; -ENOTCONN when there is none.
 */
IVSHMEM_API int ivshmem_socket(const struct ivshmem *iv);

#ifdef __cplusplus
}
#endif

#endif
