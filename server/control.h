/* SPDX-License-Identifier: MIT
 *
 * The control socket: administrators and programs look at the daemon and tell it what to do, in
 * Varlink. It is apart from the peers' socket, and has rights and an allow list of its own.
 *
 * Nothing that a client does here holds up the peers: see session.h for its limits, and ringer.h
 * for doorbells. When there are as many clients as there may be, the one that has idled for
 * longest makes room for a newcomer. What can be asked is in control_methods.h.
 */
#ifndef IVSHMEM_CONTROL_H
#define IVSHMEM_CONTROL_H

#include <event2/event.h>

#include "common/failure.h"
#include "common/log.h"
#include "server/config.h"
#include "server/hub.h"
#include "server/inherited.h"
#include "server/region.h"
#include "server/ringer.h"
#include "server/session.h"
#include "server/witness.h"

enum {
    CONTROL_CLIENTS_MAX = 16,
    /* what it may have open: the listener's four, clients, doorbells at the ringer, a newcomer */
    CONTROL_DESCRIPTORS = 4 + CONTROL_CLIENTS_MAX + 1 + RINGER_TURN + 1,
};

TAILQ_HEAD(session_list, session);

#define CONTROL_NAME "control" /* of a socket that is passed on, FileDescriptorName= */

/**
 * struct control_setup - what the control socket shows and steers; nothing of it is owned
 * @base:   event loop
 * @config: the configuration; its control_access may change between two events
 * @hub:    the peers
 * @region: the memory
 * @clerk:  the channels, NULL where there are none
 * @inherited: a listening socket CONTROL_NAME in it is taken
 * @reexec: begins to execute the program again; control_reexec_decided() is called at its end
 * @argument: its first argument
 */
struct control_setup {
    struct event_base *base;
    const struct config *config;
    struct hub *hub;
    const struct region *region;
    struct clerk *clerk;
    struct inherited *inherited;
    int (*reexec)(void *argument, struct failure *failure);
    void *argument;
};

/**
 * struct control - the control socket
 * @setup:      what it shows and steers
 * @path:       where it is
 * @folder:     what relative paths of the configuration are relative to
 * @handler:    what sessions call
 * @listener:   where clients connect
 * @ringer:     rings doorbells
 * @sessions:   clients, the one that was quiet for longest first
 * @n_sessions: how many
 * @n_streams:  how many of them listen to what happens
 * @watcher:    our ear at the hub's witness
 * @reexecuting: who waits to hear how Reexec ends, NULL for nobody
 * @trouble:    limits the log lines about clients
 */
struct control {
    struct control_setup setup;
    char *path, *folder;
    struct session_handler handler;
    struct listener *listener;
    struct ringer *ringer;
    struct session_list sessions;
    unsigned n_sessions, n_streams;
    struct watcher watcher;
    struct session *reexecuting;
    struct log_limit trouble;
};

/**
 * control_new() - make the control socket that the configuration asks for
 * @setup:   what it is for
 * @out:     the control socket; NULL when none is wanted, and when nobody asked for the default one
 *           and it cannot be made, which is logged: the peers do not need it
 * @failure: says what is in the way
 *
 * Return: 0 or a negative errno.
 */
int control_new(const struct control_setup *setup, struct control **out, struct failure *failure);

/** control_free() - hang up on the clients and remove the socket. Takes NULL, returns NULL. */
struct control *control_free(struct control *control);

/** control_list() - write a "NUMBER NAME" line of the socket, for a next program; may be NULL */
void control_list(const struct control *control, FILE *out);

/**
 * control_reexec_decided() - answer a call of Reexec
 * @control: may be NULL
 * @reason:  why the program is not executed; NULL when it is about to be
 */
void control_reexec_decided(struct control *control, const char *reason);

/** control_resume() - accept again after a pause: descriptors were given back. Takes NULL. */
void control_resume(struct control *control);

#endif
