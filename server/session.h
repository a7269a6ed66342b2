/* SPDX-License-Identifier: MIT
 *
 * A session: one client of the control socket, its calls in and its replies out.
 *
 * One call is dealt with at a time. While its reply is not out nothing more is read, so a client
 * that sends calls and reads no replies holds up itself, and after SESSION_SECONDS it is hung up
 * on; the same goes for one that sends a call in small pieces. A client that idles costs nothing
 * but its place. A stream (a call with several replies) is the end of the calls: its replies come
 * when something happens, what the client does not read is kept up to SESSION_BACKLOG_MAX, and
 * all that the client may still do is hang up.
 */
#ifndef IVSHMEM_SESSION_H
#define IVSHMEM_SESSION_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "server/credentials.h"
#include "server/varlink.h"

enum {
    SESSION_SECONDS = 10,         /* for the rest of a call, and for reading a reply */
    SESSION_BACKLOG_MAX = 262144, /* bytes of a stream that the client has not read */
};

struct evbuffer;
struct session;

/**
 * struct session_handler - whose session it is
 * @call:     a call: has to be answered once, then or later, by session_reply() or session_error(),
 *            or be made a stream; @call is gone when this returns
 * @end:      the session is over: has to session_free() it. @why says what the client did wrong,
 *            NULL when it hung up
 * @argument: first argument of both
 */
struct session_handler {
    void (*call)(void *argument, struct session *session, const struct varlink_call *call);
    void (*end)(void *argument, struct session *session, const char *why);
    void *argument;
};

/** enum session_state - what a session is at */
enum session_state {
    SESSION_IDLE,   /* waits for a call, or for its reply to be read */
    SESSION_BUSY,   /* a call waits for its answer */
    SESSION_STREAM, /* replies are sent when there are any */
};

/**
 * struct session - a client
 * @link:     place among the owner's sessions
 * @handler:  whose it is
 * @who:      the process behind it
 * @sock:     its socket, owned
 * @state:    see enum session_state
 * @oneway:   the call wants no answer
 * @denied:   the client may do nothing; the owner's
 * @job:      what the owner does for the call; the owner's
 * @output:   what was not sent yet
 * @readable: event: something came, or the client hung up
 * @writable: event: there is room for output, or none for too long
 * @deadline: event: the rest of a call did not come
 * @input:    what has come
 */
struct session {
    TAILQ_ENTRY(session) link;
    const struct session_handler *handler;
    struct credentials who;
    int sock;
    enum session_state state;
    bool oneway, denied;
    void *job;
    struct evbuffer *output;
    struct event *readable, *writable, *deadline;
    struct varlink_reader input;
};

/**
 * session_new() - take over a connection
 * @base:    event loop
 * @sock:    non-blocking socket; owned by the session on success
 * @who:     the process behind it
 * @handler: whose it is; must live longer
 * @out:     the session
 *
 * Return: 0 or -ENOMEM.
 */
int session_new(struct event_base *base, int sock, const struct credentials *who,
                const struct session_handler *handler, struct session **out);

/** session_free() - hang up. Takes NULL, returns NULL. */
struct session *session_free(struct session *session);

/** session_reply() - answer the call; @parameters is consumed, NULL for none */
void session_reply(struct session *session, cJSON *parameters);

/** session_flush() - send now what the socket takes: the event loop does not run again */
void session_flush(struct session *session);

/** session_error() - answer the call with an error; @parameters is consumed, NULL for none */
void session_error(struct session *session, const char *name, cJSON *parameters);

/** session_stream() - the call gets its replies by session_send() from now on */
void session_stream(struct session *session);

/**
 * session_send() - one more reply of a stream
 * @session: in SESSION_STREAM
 * @text:    the message
 *
 * Return: 0, -ENOBUFS when the client has left too much unread, or -ENOMEM: the session has to end.
 */
int session_send(struct session *session, const char *text);

/** session_waits() - whether it has nothing to do: no call, no reply that was not read */
bool session_waits(const struct session *session);

#endif
