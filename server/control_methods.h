/* SPDX-License-Identifier: MIT
 *
 * What can be asked through the control socket.
 *
 * One table names all methods with their parameters, and drives the dispatch; a test holds it
 * against the interfaces' descriptions, io.ivshmem.Server.varlink and org.varlink.service.varlink,
 * which are compiled in and given to whoever asks.
 */
#ifndef IVSHMEM_CONTROL_METHODS_H
#define IVSHMEM_CONTROL_METHODS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "server/varlink.h"

struct clerk;
struct credentials;
struct control;
struct incident;
struct session;

enum { CONTROL_PARAMETERS_MAX = 4 };

/**
 * typedef control_method_fn - do what was asked, and answer
 * @control:    the control socket
 * @session:    who asks; is answered, now or later
 * @parameters: the parameters, no others than the table names; NULL for none; gone afterwards
 */
typedef void control_method_fn(struct control *control, struct session *session,
                               const cJSON *parameters);

/**
 * struct control_method - one method
 * @name:       full name
 * @call:       does it
 * @parameters: names of its parameters, up to the first NULL
 * @streams:    answers several times, and only to calls with `more`
 */
struct control_method {
    const char *name;
    control_method_fn *call;
    const char *parameters[CONTROL_PARAMETERS_MAX];
    bool streams;
};

/** control_methods - all methods; ends with one whose name is NULL */
extern const struct control_method control_methods[];

/**
 * struct control_interface - a description that is given to clients
 * @name: name of the interface
 * @text: its description, in Varlink's language
 */
struct control_interface {
    const char *name, *text;
};

/** control_interfaces - all interfaces; ends with one whose name is NULL. Made from *.varlink. */
extern const struct control_interface control_interfaces[];

/** control_dispatch() - answer a call, or have it answered later */
void control_dispatch(struct control *control, struct session *session,
                      const struct varlink_call *call);

/** control_forget() - a session is about to end: nothing may answer it any more */
void control_forget(struct session *session);

/**
 * control_describe() - an event of the stream, for what has happened
 *
 * Return: the text, to be free()d, or NULL when there is no memory.
 */
char *control_describe(const struct incident *incident);

/** control_refuse() - answer that one of the parameters is invalid */
void control_refuse(struct session *session, const char *parameter);

/** control_no_such_peer() - answer that there is no such peer */
void control_no_such_peer(struct session *session, unsigned peer);

/** control_cannot_reexec() - answer that the program is not executed again, and why */
void control_cannot_reexec(struct session *session, const char *reason);

/** control_add_name() - add a string that we know to be valid to an object; not copied */
void control_add_name(cJSON *object, const char *name, const char *value);

/** control_add_process() - add the members that describe a process to an object */
void control_add_process(cJSON *object, const struct credentials *who);

/* In control_events.c. */
control_method_fn control_monitor;

/* In control_ring.c. */
control_method_fn control_ring;

/* In control_channels.c. */
control_method_fn control_list_channels, control_resize, control_close_channel;

/** control_add_channels() - add all channels together to a reply; nothing where @clerk is NULL */
void control_add_channels(cJSON *reply, const struct clerk *clerk);

#endif
