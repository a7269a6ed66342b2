/* SPDX-License-Identifier: MIT
 *
 * What wakes a program up: the descriptors behind ivshmem_fd(), and who takes their events.
 */
#ifndef IVSHMEM_EVENTS_H
#define IVSHMEM_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct ivshmem;

/** EVENTS_NEVER - the deadline of who waits for ever */
#define EVENTS_NEVER INT64_MAX

/**
 * struct events - descriptors, all of them owned
 * @all:     epoll set of @vectors, @others and @work: what the program polls
 * @vectors: epoll set of our vectors' eventfds
 * @others:  epoll set of the server's socket and the timers
 * @timer:   of the connection
 * @work:    eventfd that is raised when the layer has something left to be done; -1 without layer
 * @tick:    timer of the layer; -1 without layer
 */
struct events {
    int all;
    int vectors;
    int others;
    int timer;
    int work;
    int tick;
};

#define EVENTS_INIT                                                                                \
    {                                                                                              \
        .all = -1, .vectors = -1, .others = -1, .work = -1, .timer = -1, .tick = -1                \
    }

/**
 * events_init() - make the descriptors
 * @events: set to EVENTS_INIT
 *
 * Return: 0, or a negative errno; then events_deinit() is due all the same.
 */
int events_init(struct events *events);

/**
 * events_deinit() - close them
 * @events: may be half made
 */
void events_deinit(struct events *events);

/**
 * events_add_layer() - make the descriptors that a layer needs
 * @events: the events
 *
 * Return: 0 or a negative errno.
 */
int events_add_layer(struct events *events);

/**
 * events_add_socket() - listen to the server
 * @events: the events
 * @fd:     goes out of the set by itself when it is closed
 *
 * Return: 0 or a negative errno.
 */
int events_add_socket(const struct events *events, int fd);

/**
 * events_add_vector() - listen to one of our doorbells
 * @events: the events
 * @vector: its number
 * @fd:     its eventfd
 *
 * Return: 0 or a negative errno.
 */
int events_add_vector(const struct events *events, unsigned vector, int fd);

/**
 * events_remove_vector() - listen no more
 * @events: the events
 * @fd:     the eventfd, before it is closed
 */
void events_remove_vector(const struct events *events, int fd);

/**
 * events_set_timer() - when connection_timer() is to be called
 * @events:       the events
 * @milliseconds: from now; 0 for never
 */
void events_set_timer(const struct events *events, int milliseconds);

/**
 * events_set_tick() - when the layer's tick() is to be called
 * @events:       the events
 * @milliseconds: from now; 0 for never
 */
void events_set_tick(const struct events *events, int milliseconds);

/**
 * events_take_vector() - take the event of one of our vectors
 * @iv:     the handle, with a connection
 * @vector: one that we have
 *
 * Return: 1 if it had been rung, 0 if not (or somebody else took it), or a negative errno.
 */
int events_take_vector(struct ivshmem *iv, unsigned vector);

/**
 * events_serve_others() - do what the server's socket and the timers call for, without waiting
 * @iv: the handle
 *
 * Return: 0, or why there is no connection any more and will be none.
 */
int events_serve_others(struct ivshmem *iv);

#endif
