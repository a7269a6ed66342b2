/* SPDX-License-Identifier: MIT
 *
 * What the files of the server share among themselves: server.c sets it up, runs it and ends it,
 * server_memory.c finds or makes state and memory, server_handover.c passes everything on to the
 * program that comes after this one. Nobody else needs to know.
 */
#ifndef IVSHMEM_SERVER_PARTS_H
#define IVSHMEM_SERVER_PARTS_H

#include <event2/event.h>

#include "server/clerk.h"
#include "server/control.h"
#include "server/doors.h"
#include "server/guard.h"
#include "server/hub.h"
#include "server/inherited.h"
#include "server/metrics.h"
#include "server/notify.h"
#include "server/reexec.h"
#include "server/server.h"
#include "server/state.h"

enum { N_SIGNALS = 4 };

/**
 * struct server - the parts of a server; the parts are described where they belong
 * @status:   event: time to tell the manager how many channels there are
 * @watcher:  our ear at the hub's witness
 * @restored: the state is that of another process
 * @stored:   descriptors are kept by the service manager
 * @complete: clients can connect
 */
struct server {
    struct config *config;
    int argc;
    char **argv;
    struct event_base *base;
    struct event *signals[N_SIGNALS];
    struct notify *notify;
    struct inherited inherited;
    struct state state;
    struct region *region;
    struct guard *guard;
    struct clerk *clerk;
    struct hub *hub;
    struct doors *doors;
    struct control *control;
    struct metrics *metrics;
    struct reexec *reexec;
    struct event *status;
    struct watcher watcher;
    bool restored, stored, complete;
};

/**
 * server_make_memory() - state and memory: those of the process before us, or new ones
 * @server:  its configuration, @inherited and @notify are there
 * @failure: says what is in the way
 *
 * Return: 0 or a negative errno.
 */
int server_make_memory(struct server *server, struct failure *failure);

/**
 * server_forgive() - whether a part that cannot be made ends the server
 * @server:  the server
 * @r:       what making it returned
 * @failure: why
 *
 * Peers that are there are worth more than what a change of the options has spoilt: where they have
 * been restored, it is logged and left out.
 *
 * Return: 0 or @r.
 */
int server_forgive(const struct server *server, int r, const struct failure *failure);

/**
 * server_prepare_reexec() - be ready to execute the program again
 * @server:  the server
 * @failure: what is missing
 *
 * Return: 0 or a negative errno.
 */
int server_prepare_reexec(struct server *server, struct failure *failure);

/** server_begin_reexec() - reexec_begin() ; @argument is the server */
int server_begin_reexec(void *argument, struct failure *failure);

#endif
