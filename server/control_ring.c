/* SPDX-License-Identifier: MIT
 *
 * Ring: the doorbells of one peer or of all, without being one.
 *
 * The doorbells are looked up each time that the ringer has room for some more, so peers may come
 * and go while this goes on. Where one cannot be rung, because its counter is full, the others of
 * that peer are left alone, and the next peer has its turn.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"
#include "server/control.h"
#include "server/control_methods.h"

/**
 * struct ringing - one call of Ring
 * @job:      for the ringer
 * @control:  the control socket
 * @session:  who asked; NULL when it has gone
 * @everyone: all peers, not only one
 * @all:      all vectors, not only one
 * @vector:   that one
 * @id:       the peer at hand; past the last one when it is done
 * @next:     its next vector
 * @rung:     how many were rung
 * @turn:     what the ringer has been given
 * @stuck:    whose doorbell could not be rung first, -1 for nobody's
 * @stuck_at: its vector
 * @error:    the thread cannot work
 */
struct ringing {
    struct ringer_job job;
    struct control *control;
    struct session *session;
    bool everyone, all;
    unsigned vector, id, next;
    uint64_t rung;
    struct {
        unsigned id, vector;
    } turn[RINGER_TURN];
    int stuck;
    unsigned stuck_at;
    int error;
};

/* A slot can be rung while nobody is there: it waits for the next one. */
static const struct seat *find_seat(const struct ringing *ringing, unsigned id)
{
    const struct seat *seat =
        id <= WIRE_ID_MAX ? ringing->control->setup.hub->seats.by_id[id] : NULL;

    return seat && (seat->occupied || (seat->pinned && !ringing->everyone)) ? seat : NULL;
}

static void next_peer(struct ringing *ringing)
{
    ringing->id = ringing->everyone ? ringing->id + 1 : WIRE_ID_MAX + 1;
    ringing->next = ringing->all ? 0 : ringing->vector;
}

static unsigned aim(struct ringer_job *job, int *doorbells)
{
    struct ringing *ringing = (struct ringing *)job;
    unsigned count = 0;

    while (ringing->session && !ringing->error && ringing->id <= WIRE_ID_MAX &&
           count < RINGER_TURN) {
        const struct seat *seat = find_seat(ringing, ringing->id);

        if (!seat || ringing->next >= seat->n_vectors) {
            next_peer(ringing);
            continue;
        }
        ringing->turn[count].id = seat->id;
        ringing->turn[count].vector = ringing->next;
        doorbells[count++] = seat->doorbells[ringing->next++];
        if (!ringing->all)
            next_peer(ringing);
    }
    return count;
}

static void report(struct ringer_job *job, unsigned rung, int error)
{
    struct ringing *ringing = (struct ringing *)job;
    struct witness *witness = &ringing->control->setup.hub->witness;

    ringing->rung += rung;
    if (rung)
        witness_count(witness, &witness->counters->rings, rung);
    if (error == 0)
        return;
    if (error != -EAGAIN) {
        ringing->error = error;
        return;
    }
    ringing->id = ringing->turn[rung].id;
    if (ringing->stuck < 0) {
        ringing->stuck = (int)ringing->id;
        ringing->stuck_at = ringing->turn[rung].vector;
    }
    next_peer(ringing);
}

static void cannot_ring(struct session *session, int error)
{
    cJSON *parameters = cJSON_CreateObject();

    varlink_add_text(parameters, "reason", strerror(error));
    session_error(session, "io.ivshmem.Server.CannotRing", parameters);
}

static void answer(const struct ringing *ringing)
{
    cJSON *parameters;

    if (ringing->error) {
        cannot_ring(ringing->session, -ringing->error);
        return;
    }
    parameters = cJSON_CreateObject();
    if (ringing->stuck >= 0) {
        varlink_add_integer(parameters, "peer", (uint64_t)ringing->stuck);
        varlink_add_integer(parameters, "vector", ringing->stuck_at);
        varlink_add_integer(parameters, "rung", ringing->rung);
        session_error(ringing->session, "io.ivshmem.Server.DoorbellStuck", parameters);
    } else {
        varlink_add_integer(parameters, "rung", ringing->rung);
        session_reply(ringing->session, parameters);
    }
}

static void end(struct ringer_job *job)
{
    struct ringing *ringing = (struct ringing *)job;

    if (ringing->session) {
        ringing->session->job = NULL;
        answer(ringing);
    }
    free(ringing);
}

static void no_such_vector(struct session *session, unsigned vector, unsigned vectors)
{
    cJSON *parameters = cJSON_CreateObject();

    varlink_add_integer(parameters, "vector", vector);
    varlink_add_integer(parameters, "vectors", vectors);
    session_error(session, "io.ivshmem.Server.NoSuchVector", parameters);
}

void control_ring(struct control *control, struct session *session, const cJSON *parameters)
{
    static const struct ringer_orders orders = {aim, report, end};
    unsigned id = 0, vector = 0;
    int has_peer = varlink_get_integer(parameters, "peer", INT_MAX, &id);
    int has_vector = varlink_get_integer(parameters, "vector", INT_MAX, &vector);
    struct ringing *ringing;

    if (has_peer < 0 || has_vector < 0) {
        control_refuse(session, has_peer < 0 ? "peer" : "vector");
        return;
    }
    ringing = calloc(1, sizeof(*ringing));
    if (!ringing) {
        cannot_ring(session, ENOMEM);
        return;
    }
    *ringing = (struct ringing){.job = {.orders = &orders},
                                .control = control,
                                .session = session,
                                .everyone = !has_peer,
                                .all = !has_vector,
                                .vector = vector,
                                .id = id,
                                .next = vector,
                                .stuck = -1};
    if (has_peer && !find_seat(ringing, id)) {
        free(ringing);
        control_no_such_peer(session, id);
    } else if (vector >= control->setup.hub->n_vectors) {
        free(ringing);
        no_such_vector(session, vector, control->setup.hub->n_vectors);
    } else {
        session->job = ringing;
        ringer_add(control->ringer, &ringing->job);
    }
}

void control_forget(struct session *session)
{
    struct ringing *ringing = session->job;

    if (ringing)
        ringing->session = NULL;
    session->job = NULL;
}
