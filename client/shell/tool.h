/* SPDX-License-Identifier: MIT
 *
 * What commands work with: a place among the peers, a connection to the control socket, and where
 * their results go. Both connections are made when the first command needs them, and kept.
 *
 * A doorbell of ours that was rung is latched until a command waits for it, whoever else is told.
 */
#ifndef IVSHMEM_TOOL_H
#define IVSHMEM_TOOL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/shell/arguments.h"
#include "client/shell/command.h"
#include "client/shell/control.h"
#include "client/shell/emit.h"
#include "client/shell/output.h"
#include "client/shell/settings.h"
#include "common/wire.h"
#include "ivshmem.h"

/** enum happening - what can happen among the peers */
enum happening {
    HAPPENED_CONNECTED,
    HAPPENED_JOINED,
    HAPPENED_VECTOR, /* a peer, or we, can be rung on one more */
    HAPPENED_LEFT,
    HAPPENED_RUNG, /* one of our vectors */
    HAPPENED_DISCONNECTED,
};

struct ivshmem_secure;

/**
 * struct event - something that happened
 * @what:   enum happening
 * @peer:   who it is about
 * @vector: which one
 * @error:  negative errno, for HAPPENED_DISCONNECTED
 */
struct event {
    enum happening what;
    unsigned peer, vector;
    int error;
};

typedef void tool_listener_fn(struct tool *tool, const struct event *event);

/**
 * struct tool - everything that commands share
 * @settings: what the program was asked for
 * @output:   what is below the stream in @emit
 * @emit:     where results go; the options of a command change it while it runs
 * @iv:       our place, or the way to one
 * @control:  connection to the control socket; NULL when there is none
 * @listener: is told what happens; NULL for nobody. A command may put itself there while it runs
 * @context:  the listener's
 * @channel:  what send and recv use in a shell; NULL for none
 * @secure:   encrypts it; NULL: it is not
 * @channel_vector: the vector of ours that rings for channels, and for nothing else; -1: none yet
 * @latched:  our vectors that were rung and not waited for
 * @woken:    set by a listener that has seen enough: ends tool_pause()
 * @verbose:  say more about what is done
 * @done:     set by the command that ends the program
 */
struct tool {
    const struct settings *settings;
    const struct output *output;
    struct emit emit;
    struct ivshmem *iv;
    struct control *control;
    tool_listener_fn *listener;
    void *context;
    struct ivshmem_channel *channel;
    struct ivshmem_secure *secure;
    int channel_vector;
    bool latched[WIRE_VECTORS_MAX];
    bool woken, verbose, done;
};

/**
 * tool_init() - get ready to run commands; connects to nothing
 * @tool:     set
 * @settings: must outlive it
 * @output:   where results go
 *
 * Return: 0 or a negative errno; tool_deinit() it in either case.
 */
int tool_init(struct tool *tool, const struct settings *settings, const struct output *output);

/** tool_deinit() - leave the peers and hang up */
void tool_deinit(struct tool *tool);

/** tool_target() - what ivshmem_open() wants for the server's socket; in @room, of @size bytes */
const char *tool_target(const struct tool *tool, char *room, size_t size);

/** tool_connected() - whether there is a connection to the server, complete or not */
bool tool_connected(const struct tool *tool);

/**
 * tool_needs_place() - whether a command would wait for a place among the peers
 * @tool:  the tool
 * @given: the command
 */
bool tool_needs_place(const struct tool *tool, const struct arguments *given);

/**
 * tool_run() - run a command
 * @tool:  the tool
 * @given: the command with its arguments
 *
 * Outside of a shell this joins the peers if the command needs that. What goes wrong is said.
 *
 * Return: enum status.
 */
int tool_run(struct tool *tool, struct arguments *given);

/**
 * tool_open_control() - make one more connection to the control socket
 * @tool:    the tool
 * @control: set to the connection; left alone on error
 * @failure: why not
 *
 * Return: 0 or a negative errno.
 */
int tool_open_control(const struct tool *tool, struct control **control, struct failure *failure);

/** tool_has_control() - whether the control socket can be reached; connects to it */
bool tool_has_control(struct tool *tool);

/**
 * tool_call() - call a method of the control socket
 * @tool:       the tool
 * @method:     its name
 * @parameters: an object, taken; NULL for none
 * @reply:      set to the whole answer, to be deleted; may be one with an error
 *
 * A connection that the server has given up (it restarts, or had too many) is made again once.
 *
 * Return: STATUS_DONE, or another status after saying why.
 */
int tool_call(struct tool *tool, const char *method, cJSON *parameters, cJSON **reply);

/**
 * tool_refused() - say that the server answered with an error
 * @tool:  the tool
 * @reply: the answer
 *
 * Return: the status that goes with it.
 */
int tool_refused(struct tool *tool, const cJSON *reply);

/**
 * tool_query() - call a method, and say what is wrong if it is refused
 * @tool:       the tool
 * @method:     its name
 * @parameters: an object, taken; NULL for none
 * @result:     set to the parameters of the answer, to be deleted
 *
 * Return: enum status.
 */
int tool_query(struct tool *tool, const char *method, cJSON *parameters, cJSON **result);

/**
 * tool_lost() - say that a function of the library failed
 * @tool: the tool
 * @r:    what it returned
 *
 * Says nothing where somebody has said it: the loss of a server in a shell, an interruption.
 *
 * Return: the status that goes with it.
 */
int tool_lost(struct tool *tool, int r);

/**
 * tool_pause() - let time go by, and listen to the server meanwhile
 * @tool:    the tool
 * @timeout: milliseconds, -1 for ever
 * @fd:      a descriptor to wait for too, or -1
 *
 * Return: 0 when the time is over or a listener has had enough, 1 when @fd is readable, -EINTR when
 * the user does not want to wait any longer, -EPIPE when nobody reads our output any more, or as
 * ivshmem_dispatch().
 */
int tool_pause(struct tool *tool, int64_t timeout, int fd);

/** tool_now() - milliseconds of CLOCK_MONOTONIC */
int64_t tool_now(void);

/** tool_left() - milliseconds until a time, not less than 0; -1 when it is -1: never */
int tool_left(int64_t deadline);

/** tool_deadline() - when a time-out that begins now is over; -1 for one of -1 */
int64_t tool_deadline(int64_t timeout);

#endif
