/* SPDX-License-Identifier: MIT
 *
 * A layer: what is built on a handle, shares one of its vectors with the program, and wants to hear
 * of its events. Channels are one. A handle has at most one layer, which attaches itself when the
 * program first asks for it.
 *
 * All that is below is called from dispatch and from the calls that wait, like the callbacks, and
 * may call the program's callbacks with CALL(). It must not wait.
 *
 * The vector's events are the program's too: what the layer takes before the program has seen it is
 * kept for ivshmem_wait() and for the notification callback.
 */
#ifndef IVSHMEM_LAYER_H
#define IVSHMEM_LAYER_H

#include <stdbool.h>
#include <stdint.h>

struct ivshmem;
struct layer;

/**
 * struct layer_ops - what a layer wants to hear of
 * @up:   the table of peers is complete, for a connection that is new; not called when the layer
 *        attaches to a handle that is ready already
 * @down: the connection ends: after the call the memory is unmapped and the table is empty. Called
 *        for all connections that had come to the memory, also if up() was not
 * @rung: the vector was rung; not called for what layer_wait() returns
 * @tick: the timer of layer_set_timer() has run out
 * @look: layer_raise() was called
 * @free: the handle goes, after down()
 */
struct layer_ops {
    void (*up)(struct layer *layer);
    void (*down)(struct layer *layer);
    void (*rung)(struct layer *layer);
    void (*tick)(struct layer *layer);
    void (*look)(struct layer *layer);
    void (*free)(struct layer *layer);
};

/**
 * struct layer - the part of a layer that the handle knows; the layer's own object has it inside
 * @ops:    what it wants to hear of
 * @vector: ours that it listens to
 * @unseen: its vector was rung, and the program has not seen that yet
 * @raised: layer_raise() was called, and look() was not yet
 */
struct layer {
    const struct layer_ops *ops;
    unsigned vector;
    bool unseen;
    bool raised;
};

/**
 * layer_attach() - from now on the layer hears of events
 * @iv:    the handle, without a layer
 * @layer: its ops and vector are set
 *
 * Return: 0, or a negative errno: the layer is not attached.
 */
int layer_attach(struct ivshmem *iv, struct layer *layer);

/**
 * layer_raise() - something is left to be done: ivshmem_fd() becomes readable, and look() is called
 * @iv: the handle
 *
 * Once for each call, from the next dispatch. May be called from look() itself. A call that waits
 * lets look() do what was left before it, and then no more, so that it can sleep.
 */
void layer_raise(struct ivshmem *iv);

/**
 * layer_set_timer() - have tick() called, once
 * @iv:           the handle
 * @milliseconds: from now; 0 for never
 */
void layer_set_timer(struct ivshmem *iv, int milliseconds);

/**
 * layer_wait() - wait until the layer's vector is rung
 * @iv:       the handle
 * @deadline: CLOCK_MONOTONIC in nanoseconds; EVENTS_NEVER for none, 0 to look and not to wait
 *
 * Serves the connection meanwhile, with callbacks. The events of other vectors stay where they are.
 * Within a callback it looks at the vector only.
 *
 * Return: 0, -ETIMEDOUT, -EINTR when a signal handler ran, -EINVAL when we have no such vector, or
 * as ivshmem_dispatch().
 */
int layer_wait(struct ivshmem *iv, int64_t deadline);

/**
 * layer_rung() - for events.c and wait.c: a vector was rung, and its event taken
 * @iv:     the handle
 * @vector: the layer hears of its own only
 */
void layer_rung(struct ivshmem *iv, unsigned vector);

/**
 * layer_look() - for events.c: lets the layer do what is left, if there is any
 * @iv: the handle
 */
void layer_look(struct ivshmem *iv);

/**
 * layer_show() - for events.c: tells the program of an event that the layer took
 * @iv: the handle
 */
void layer_show(struct ivshmem *iv);

/**
 * layer_take() - for wait.c: takes an event that the layer took and the program has not seen
 * @iv: the handle
 *
 * Return: whether there was one.
 */
bool layer_take(struct ivshmem *iv);

/**
 * layer_keep() - for wait.c: the program has not seen an event of the layer's vector that was taken
 * @iv: the handle, with a layer
 */
void layer_keep(struct ivshmem *iv);

#endif
