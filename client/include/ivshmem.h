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
 *     int r = ivshmem_new(&iv, &callbacks, NULL);
 *
 *     if (r == 0)
 *         r = ivshmem_open(iv, "unix:/tmp/ivshmem_socket");
 *     while (r == 0) {
 *         struct pollfd wait = {.fd = ivshmem_fd(iv), .events = POLLIN};
 *
 *         poll(&wait, 1, -1);
 *         r = ivshmem_dispatch(iv);
 *     }
 *     fprintf(stderr, "%s\n", ivshmem_error(iv));
 *     ivshmem_free(iv);
 *
 * Rules. Functions return 0 or a negative errno, and ivshmem_error() tells it in words. The library
 * does not print, exit, start threads, or change signals and limits. One handle belongs to one
 * thread at a time; different handles do not know of each other. The table of peers changes within
 * ivshmem_open() and ivshmem_dispatch() only. Each vector of each peer costs a descriptor: raise
 * RLIMIT_NOFILE before opening. A server that goes away ends nothing but the handle's connection.
 */
#ifndef IVSHMEM_H
#define IVSHMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IVSHMEM_API __attribute__((visibility("default")))

struct ivshmem;

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
 *                ivshmem_dispatch() is about to return
 *
 * Members may be NULL. They are called from ivshmem_dispatch(), and may call every function of this
 * header except ivshmem_open(), ivshmem_dispatch() and ivshmem_free().
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
 * @target: `unix:PATH` or a plain path (one without a colon before its first slash)
 *
 * Never waits: what the server has to say comes through ivshmem_dispatch(), even when it takes
 * long.
 *
 * Return: 0, -EINVAL for a target of an unknown kind, -ENAMETOOLONG, -EAGAIN when the server's
 * queue of newcomers is full, or another negative errno of socket(2) and connect(2).
 */
IVSHMEM_API int ivshmem_open(struct ivshmem *iv, const char *target);

/**
 * ivshmem_error() - the last failure of a function of this handle, in one line
 * @iv: the handle
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
 * same time the doorbells come first.
 *
 * Return: 0, or the reason why there is no connection any more: -ECONNRESET when the server closed
 * it, -ECONNREFUSED when it turned us away, -EPROTO when it said what makes no sense, -EMFILE when
 * a descriptor did not fit under RLIMIT_NOFILE, -ENOMEM, -ENOTCONN when there was none in the first
 * place.
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
