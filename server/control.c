/* SPDX-License-Identifier: MIT
 *
 * See control.h.
 */
#include "server/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "server/control_methods.h"
#include "server/listener.h"

/* A session is over, for this reason or, with NULL, because the client wanted it so. */
static void end_session(struct control *control, struct session *session, const char *why)
{
    if (why)
        log_limited(&control->trouble, LOG_WARNING,
                    "control client (" WHO_FORMAT ") hung up on: "
                    "it %s",
                    WHO(&session->who), why);
    control_forget(session);
    if (control->reexecuting == session)
        control->reexecuting = NULL;
    if (session->state == SESSION_STREAM)
        control->n_streams--;
    TAILQ_REMOVE(&control->sessions, session, link);
    control->n_sessions--;
    session_free(session);
}

static void on_end(void *argument, struct session *session, const char *why)
{
    end_session(argument, session, why);
}

static void on_call(void *argument, struct session *session, const struct varlink_call *call)
{
    struct control *control = argument;

    TAILQ_REMOVE(&control->sessions, session, link);
    TAILQ_INSERT_TAIL(&control->sessions, session, link);
    control_dispatch(control, session, call);
    if (session->state == SESSION_STREAM)
        control->n_streams++;
}

/* Somebody listens to what happens: it is put into words once. */
static void on_incident(void *argument, const struct incident *incident)
{
    struct control *control = argument;
    _cleanup_free_ char *text = control->n_streams ? control_describe(incident) : NULL;
    struct session *session, *next;

    for (session = TAILQ_FIRST(&control->sessions); text && session; session = next) {
        next = TAILQ_NEXT(session, link);
        if (session->state == SESSION_STREAM && session_send(session, text) < 0)
            end_session(control, session, "does not read the events that it asked for");
    }
}

/* Whose place a newcomer gets when all are taken: NULL when everybody is busy. */
static struct session *find_dispensable(struct control *control)
{
    struct session *session, *idle = NULL;

    TAILQ_FOREACH (session, &control->sessions, link) {
        if (session->denied)
            return session;
        if (!idle && session_waits(session))
            idle = session;
    }
    return idle;
}

static int admit(struct control *control, int sock, struct credentials *who,
                 struct failure *failure)
{
    struct session *session;
    int r = credentials_read(sock, who);

    if (r < 0)
        return failure_set(failure, -r, "its credentials cannot be read: %s", strerror(-r));
    if (control->n_sessions >= CONTROL_CLIENTS_MAX) {
        session = find_dispensable(control);
        if (!session)
            return failure_set(failure, EUSERS, "there are %d clients, and all are busy",
                               CONTROL_CLIENTS_MAX);
        end_session(control, session, "was idle, and others wanted in");
    }
    r = session_new(control->setup.base, sock, who, &control->handler, &session);
    if (r < 0)
        return failure_set(failure, -r, "out of memory");
    session->denied = !access_allows(&control->setup.config->control_access, who);
    TAILQ_INSERT_TAIL(&control->sessions, session, link);
    control->n_sessions++;
    if (session->denied)
        log_limited(&control->trouble, LOG_WARNING,
                    "control client (" WHO_FORMAT ") is denied everything: neither its user nor "
                    "its groups are on the allow list (--control-allow-uid, --control-allow-gid)",
                    WHO(who));
    return 0;
}

/* Who is not allowed is let in all the same, to be told so when it asks for something. */
static void on_accept(void *argument, int sock)
{
    struct control *control = argument;
    struct credentials who = {.command = "?"};
    struct failure failure = {.text = ""};

    if (admit(control, sock, &who, &failure) == 0)
        return;
    log_limited(&control->trouble, LOG_WARNING, "control client turned away (" WHO_FORMAT "): %s",
                WHO(&who), failure.text);
    close_fd(sock);
}

/* A socket that the process before us made, where none is to be any more. */
static void end_inherited(const struct control_setup *setup, int lock)
{
    int fd = inherited_take_any(setup->inherited, CONTROL_NAME);

    if (fd >= 0)
        listener_end(setup->base, fd, lock, false);
    else
        close_fd(lock);
}

/* The socket is the manager's, or that of the program before us, or a new one. */
static int open_socket(struct control *control, struct failure *failure)
{
    const struct config *config = control->setup.config;
    struct inherited *inherited = control->setup.inherited;
    struct event_base *base = control->setup.base;
    int r = config_control_path(config, &control->path, failure);
    _cleanup_close_ int lock = inherited_take_lock(inherited, CONTROL_NAME);
    const bool ours = lock >= 0;
    char name[sizeof(CONTROL_NAME)];
    int fd = -1;

    if (r == 0 && !ours)
        fd = inherited_take_any(inherited, CONTROL_NAME);
    if (r == 0 && fd < 0)
        fd = inherited_take_path(inherited, control->path, name, sizeof(name));
    if (fd >= 0) {
        r = listener_inherit(base, fd, steal_fd(&lock), ours ? control->path : NULL, on_accept,
                             control, &control->listener, failure);
    } else if (r == 0) {
        end_inherited(&control->setup, steal_fd(&lock)); /* it was elsewhere */
        r = listener_new(base, control->path, &config->control_rights, on_accept, control,
                         &control->listener, failure);
    }
    if (r == 0)
        return listener_open(control->listener, failure);
    close_fd(fd);
    return r;
}

static int fill(struct control *control, struct failure *failure)
{
    int r = ringer_new(control->setup.base, &control->ringer);

    if (r < 0)
        return failure_set(failure, -r, "cannot make the control socket: %s", strerror(-r));
    return open_socket(control, failure);
}

/* Whoever says what it has to be like wants one. */
static bool is_asked_for(const struct config *config)
{
    const struct socket_rights *rights = &config->control_rights;

    return config->control_socket || rights->mode != 0600 || rights->group != (gid_t)-1 ||
           config->control_access.n_uids || config->control_access.n_gids;
}

int control_new(const struct control_setup *setup, struct control **out, struct failure *failure)
{
    struct failure cause = {.text = ""};
    struct control *control;
    int r;

    *out = NULL;
    if (setup->config->no_control) {
        if (inherited_has(setup->inherited, INHERITED_LOCK CONTROL_NAME))
            end_inherited(setup, inherited_take_lock(setup->inherited, CONTROL_NAME));
        return 0;
    }
    control = calloc(1, sizeof(*control));
    if (!control)
        return failure_set(failure, ENOMEM, "out of memory");
    control->setup = *setup;
    control->folder = getcwd(NULL, 0); /* a daemon leaves it later */
    control->handler = (struct session_handler){on_call, on_end, control};
    control->watcher = (struct watcher){.incident = on_incident, .argument = control};
    TAILQ_INIT(&control->sessions);
    witness_watch(&setup->hub->witness, &control->watcher);
    r = fill(control, &cause);
    if (r == 0) {
        *out = control;
        return 0;
    }
    control_free(control);
    if (is_asked_for(setup->config))
        return failure_set(failure, -r, "option --control-socket: %.450s", cause.text);
    log_notice("no control socket (--control-socket): %s", cause.text);
    return 0;
}

struct control *control_free(struct control *control)
{
    struct session *session;

    if (!control)
        return NULL;
    listener_free(control->listener, true);
    while ((session = TAILQ_FIRST(&control->sessions)))
        end_session(control, session, NULL);
    ringer_free(control->ringer);
    witness_unwatch(&control->setup.hub->witness, &control->watcher);
    free(control->path);
    free(control->folder);
    free(control);
    return NULL;
}

void control_list(const struct control *control, FILE *out)
{
    if (control)
        listener_list(control->listener, CONTROL_NAME, out);
}

void control_reexec_decided(struct control *control, const char *reason)
{
    struct session *session = control ? control->reexecuting : NULL;

    if (!session)
        return;
    control->reexecuting = NULL;
    if (reason) {
        control_cannot_reexec(session, reason);
        return;
    }
    session_reply(session, NULL);
    session_flush(session);
}

void control_resume(struct control *control)
{
    if (control)
        listener_resume(control->listener);
}
