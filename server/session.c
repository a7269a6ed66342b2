/* SPDX-License-Identifier: MIT
 *
 * See session.h.
 */
#include "server/session.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"

static const struct timeval patience = {.tv_sec = SESSION_SECONDS};

static void finish(struct session *session, const char *why)
{
    session->handler->end(session->handler->argument, session, why);
}

static bool has_output(const struct session *session)
{
    return evbuffer_get_length(session->output) > 0;
}

bool session_waits(const struct session *session)
{
    return session->state == SESSION_IDLE && !has_output(session);
}

/* Has exactly those events pending that the session's state asks for. */
static void watch(struct session *session)
{
    bool is_listening = session_waits(session);
    bool is_late = is_listening && varlink_reader_pending(&session->input);

    if (!has_output(session))
        event_del(session->writable);
    else if (!event_pending(session->writable, EV_WRITE, NULL))
        event_add(session->writable, &patience);
    if (is_listening || session->state == SESSION_STREAM)
        event_add(session->readable, NULL);
    else
        event_del(session->readable);
    if (!is_late)
        event_del(session->deadline);
    else if (!event_pending(session->deadline, EV_TIMEOUT, NULL))
        event_add(session->deadline, &patience);
}

/* Deals with the calls that have come, until one has to be waited for or has to be answered. */
static void work(struct session *session)
{
    struct varlink_call call;
    const char *text;
    int r = 0;

    while (session_waits(session) && (r = varlink_reader_next(&session->input, &text)) > 0) {
        if (!*text || varlink_call_parse(text, &call) < 0) {
            finish(session, "sent something that is no Varlink call");
            return;
        }
        event_del(session->deadline);
        session->state = SESSION_BUSY;
        session->oneway = call.oneway;
        session->handler->call(session->handler->argument, session, &call);
        varlink_call_deinit(&call);
    }
    if (r < 0)
        finish(session, "sent a call that is too long");
    else
        watch(session);
}

static void on_readable(evutil_socket_t sock, short what, void *argument)
{
    struct session *session = argument;
    size_t room;
    char *bytes = varlink_reader_room(&session->input, &room);
    ssize_t got = recv(sock, bytes, room, MSG_DONTWAIT);

    (void)what;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        finish(session, got == 0 || errno == ECONNRESET ? NULL : strerror(errno));
    } else if (session->state == SESSION_STREAM) {
        finish(session, "sent something while it was listening to a stream");
    } else {
        session->input.have += (size_t)got;
        work(session);
    }
}

static void on_writable(evutil_socket_t sock, short what, void *argument)
{
    struct session *session = argument;

    if (what & EV_TIMEOUT) {
        finish(session, "did not read in time");
        return;
    }
    if (has_output(session) && evbuffer_write(session->output, sock) < 0 && errno != EAGAIN &&
        errno != EINTR)
        finish(session, errno == EPIPE || errno == ECONNRESET ? NULL : strerror(errno));
    else
        work(session);
}

static void on_deadline(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    finish(argument, "did not send the rest of a call in time");
}

int session_new(struct event_base *base, int sock, const struct credentials *who,
                const struct session_handler *handler, struct session **out)
{
    struct session *session = malloc(sizeof(*session));

    if (!session)
        return -ENOMEM;
    memset(session, 0, offsetof(struct session, input.bytes)); /* the rest is written before read */
    session->sock = -1;
    session->handler = handler;
    session->who = *who;
    session->output = evbuffer_new();
    session->readable = event_new(base, sock, EV_READ | EV_PERSIST, on_readable, session);
    session->writable = event_new(base, sock, EV_WRITE, on_writable, session);
    session->deadline = evtimer_new(base, on_deadline, session);
    if (!session->output || !session->readable || !session->writable || !session->deadline ||
        event_add(session->readable, NULL) < 0) {
        session_free(session);
        return -ENOMEM;
    }
    session->sock = sock;
    *out = session;
    return 0;
}

struct session *session_free(struct session *session)
{
    if (!session)
        return NULL;
    if (session->readable)
        event_free(session->readable);
    if (session->writable)
        event_free(session->writable);
    if (session->deadline)
        event_free(session->deadline);
    if (session->output)
        evbuffer_free(session->output);
    close_fd(session->sock);
    free(session);
    return NULL;
}

/* The call is answered. The next one has its turn when the answer is out, or at once. */
static void answer(struct session *session, char *text)
{
    _cleanup_free_ char *message = text;

    session->state = SESSION_IDLE;
    if (!session->oneway &&
        (!message || evbuffer_add(session->output, message, strlen(message) + 1) < 0))
        shutdown(session->sock, SHUT_RDWR); /* out of memory: this is noticed as its end */
    watch(session);
    if (!has_output(session) && varlink_reader_pending(&session->input))
        event_active(session->writable, EV_WRITE, 0);
}

void session_reply(struct session *session, cJSON *parameters)
{
    answer(session, varlink_reply(parameters, false));
}

void session_flush(struct session *session)
{
    if (has_output(session))
        evbuffer_write(session->output, session->sock);
}

void session_error(struct session *session, const char *name, cJSON *parameters)
{
    answer(session, varlink_error(name, parameters));
}

void session_stream(struct session *session)
{
    session->state = SESSION_STREAM;
    watch(session);
}

int session_send(struct session *session, const char *text)
{
    size_t size = strlen(text) + 1;

    if (evbuffer_get_length(session->output) + size > SESSION_BACKLOG_MAX)
        return -ENOBUFS;
    if (evbuffer_add(session->output, text, size) < 0)
        return -ENOMEM;
    watch(session);
    return 0;
}
