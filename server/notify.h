/* SPDX-License-Identifier: MIT
 *
 * Messages to the service manager, as sd_notify(3) describes them, without ever waiting for it.
 *
 * What cannot be sent at once is queued and sent, in order, when the manager reads again. The queue
 * is bounded by what the caller has: a store that was not sent yet is taken back by its removal,
 * and of STATUS= lines only the newest waits.
 *
 * Without a manager ($NOTIFY_SOCKET is not set) everything succeeds and nothing is sent. A manager
 * that was there and is gone (ECONNREFUSED) is tried again every second, and nobody waits for it:
 * notify_writable() is true, barriers end with an error, messages stay queued.
 */
#ifndef IVSHMEM_NOTIFY_H
#define IVSHMEM_NOTIFY_H

#include <event2/event.h>
#include <stdbool.h>

#include "common/failure.h"

struct notify;

/**
 * typedef notify_done_fn - a barrier was reached
 * @argument: what notify_barrier() was given
 * @error:    0: the manager has taken all that was queued before the barrier; -ECONNREFUSED: it is
 *            gone, and what it had stored may be lost
 *
 * Called from the event loop only. May call everything here but notify_free().
 */
typedef void notify_done_fn(void *argument, int error);

/**
 * notify_new() - connect to the manager that $NOTIFY_SOCKET names
 * @base:    event loop
 * @out:     the sender; inactive where there is no manager
 * @failure: says what is wrong
 *
 * Also starts the watchdog pings that $WATCHDOG_USEC and $WATCHDOG_PID ask for: a timer of the
 * event loop, so that a loop that hangs is noticed. A manager that cannot be reached, or an address
 * of a kind that we do not know, is logged and no error.
 *
 * Return: 0 or a negative errno.
 */
int notify_new(struct event_base *base, struct notify **out, struct failure *failure);

/**
 * notify_free() - forget what is queued
 *
 * Barriers that were not reached are forgotten, their functions not called. Takes NULL, returns
 * NULL.
 */
struct notify *notify_free(struct notify *notify);

/** notify_active() - whether there is a manager to talk to, be it gone for the moment */
bool notify_active(const struct notify *notify);

/**
 * notify_text() - send assignments
 * @notify: the sender
 * @format: "READY=1", "STATUS=...", lines separated by newlines, none at the end
 *
 * A single line STATUS=... replaces one that is still queued.
 *
 * Return: 0 (sent or queued) or -ENOMEM.
 */
int notify_text(struct notify *notify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * notify_store() - give the manager a copy of a descriptor to keep, whatever happens to it
 * @notify: the sender
 * @name:   unique among what is stored: 1 to 255 printable characters, no ':'
 * @fd:     the descriptor; stays the caller's, and open until it was sent (a barrier says so) or
 *          notify_remove() has returned 0
 *
 * Return: 0 (sent or queued) or -ENOMEM.
 */
int notify_store(struct notify *notify, const char *name, int fd);

/**
 * notify_remove() - have the manager drop what is stored under a name
 * @notify: the sender
 * @name:   as given to notify_store(). One that is still queued is taken back, and nothing is sent.
 *
 * Return: 0 (done, sent or queued) or -ENOMEM.
 */
int notify_remove(struct notify *notify, const char *name);

/**
 * notify_barrier() - hear when the manager has taken everything up to here
 * @notify:   the sender
 * @done:     called from the event loop, once; where there is no manager, too
 * @argument: for @done
 *
 * Return: 0, or a negative errno (-ENOMEM, -EMFILE, -ENFILE); then @done is not called.
 */
int notify_barrier(struct notify *notify, notify_done_fn *done, void *argument);

/** notify_idle() - whether nothing is queued */
bool notify_idle(const struct notify *notify);

/**
 * notify_writable() - whether the next message would not have to wait for a busy manager
 * @notify: the sender
 */
bool notify_writable(const struct notify *notify);

#endif
