/* SPDX-License-Identifier: MIT
 *
 * See announce.h.
 */
#include "server/announce.h"

#include <assert.h>
#include <errno.h>

#include "common/wire.h"
#include "server/batch.h"
#include "server/state.h"

enum { GREETING_MAX = 4, QEMU_WAITS_FOR = 3 };

/* Version, ID, memory, and the daemon where it is a peer; the seats follow. */
static unsigned greeting_length(const struct announce *announce)
{
    return announce->handout.daemon < 0 ? GREETING_MAX - 1 : GREETING_MAX;
}

static void remember(const struct announce *announce)
{
    const struct announce_cursor *cursor = &announce->cursor;

    if (!announce->record)
        return;
    announce->record->greeted = cursor->greeted;
    announce->record->vector = cursor->vector;
    announce->record->current = cursor->current ? (int32_t)cursor->current->id : -1;
}

void announce_start(struct announce *announce, const struct seats *seats, const struct seat *own,
                    const struct announce_handout *handout)
{
    announce->own = own;
    announce->handout = *handout;
    announce->cursor = (struct announce_cursor){.next = seats->first};
    remember(announce);
}

void announce_remember(struct announce *announce, struct state_peer *record)
{
    announce->record = record;
    idset_lend(&announce->told, record->told, STATE_WORDS);
    idset_lend(&announce->leaves, record->leaves, STATE_WORDS);
}

int announce_restore(struct announce *announce, struct state_peer *record, struct seats *seats,
                     const struct seat *own, const struct announce_handout *handout)
{
    const struct seat *current = NULL;

    announce->handout = *handout;
    if (record->greeted > greeting_length(announce) || record->current >= STATE_IDS)
        return -EPROTO;
    if (record->current >= 0) {
        current = seats->by_id[record->current];
        if (!current || record->vector >= current->n_vectors)
            return -EPROTO;
    }
    announce_remember(announce, record);
    announce->own = own;
    /* The first seat is as good as the one it was at: who was told is passed over. */
    announce->cursor = (struct announce_cursor){.greeted = record->greeted,
                                                .next = seats->first,
                                                .current = current,
                                                .vector = record->vector};
    for (int id = 0; (id = idset_next(&announce->told, (unsigned)id)) >= 0; id++) {
        seats_told(seats, (unsigned)id);
        if (idset_has(&announce->leaves, (unsigned)id))
            announce->n_leaves++;
        if (idset_has(&announce->leaves, (unsigned)id) || seats->by_id[id])
            announce->n_known++;
    }
    return 0;
}

struct batch_effect announce_effect(const struct announce_cursor *cursor,
                                    const struct announcement *message)
{
    return (struct batch_effect){
        .begins = message->begins,
        .ends = message->ends,
        .greeted = cursor->greeted,
        .current = cursor->current ? (int32_t)cursor->current->id : -1,
        .vector = cursor->vector,
    };
}

void announce_recover(struct state_peer *record, const struct batch_effect *effects, unsigned count)
{
    struct idset told, leaves;

    idset_lend(&told, record->told, STATE_WORDS);
    idset_lend(&leaves, record->leaves, STATE_WORDS);
    for (unsigned i = 0; i < count; i++) {
        if (effects[i].begins >= 0 && effects[i].begins < STATE_IDS)
            idset_add(&told, (unsigned)effects[i].begins);
        if (effects[i].ends >= 0 && effects[i].ends < STATE_IDS)
            idset_remove(&leaves, (unsigned)effects[i].ends);
        record->greeted = effects[i].greeted;
        record->current = effects[i].current;
        record->vector = effects[i].vector;
    }
}

void announce_deinit(struct announce *announce, struct seats *seats)
{
    for (int id = 0; (id = idset_next(&announce->told, (unsigned)id)) >= 0; id++)
        seats_untold(seats, (unsigned)id);
    idset_deinit(&announce->told);
    idset_deinit(&announce->leaves);
    announce->own = NULL;
    announce->cursor = (struct announce_cursor){.next = NULL};
}

int announce_reserve(struct announce *announce, unsigned id)
{
    int r = idset_reserve(&announce->told, id);

    return r < 0 ? r : idset_reserve(&announce->leaves, id);
}

void announce_moving(struct announce *announce, const struct seat *seat)
{
    if (announce->cursor.next == seat)
        announce->cursor.next = seat->later;
}

void announce_joined(struct announce *announce, const struct seat *seat)
{
    if (!announce->cursor.next)
        announce->cursor.next = seat;
}

void announce_left(struct announce *announce, const struct seat *seat)
{
    announce_moving(announce, seat);
    if (announce->cursor.current == seat)
        announce->cursor.current = NULL;
    remember(announce);
    if (!idset_has(&announce->told, seat->id))
        return;
    if (!idset_has(&announce->leaves, seat->id))
        announce->n_leaves++; /* not if it was marked, and the marking cut short by a kill */
    idset_add(&announce->leaves, seat->id);
}

/* A vacant seat is nobody; one that the peer knows (a slot that was left and taken) is not new. */
static bool is_news(const struct announce *announce, const struct seat *seat)
{
    return seat->occupied && !idset_has(&announce->told, seat->id);
}

static const struct seat *next_news(const struct announce *announce, const struct seat *seat)
{
    while (seat && !is_news(announce, seat))
        seat = seat->later;
    return seat;
}

static void next_greeting(const struct announce *announce, unsigned step,
                          struct announcement *message)
{
    const struct announce_handout *handout = &announce->handout;
    const int64_t values[GREETING_MAX] = {WIRE_VERSION, announce->own->id, WIRE_MEMORY,
                                          handout->daemon};
    const int fds[GREETING_MAX] = {-1, -1, handout->memory, handout->bell};

    message->value = values[step];
    message->fd = fds[step];
}

bool announce_next(const struct announce *announce, struct announce_cursor *cursor,
                   struct announcement *message)
{
    int leave = -1;

    message->begins = message->ends = -1;
    if (cursor->greeted < greeting_length(announce)) {
        next_greeting(announce, cursor->greeted++, message);
        return true;
    }
    if (!cursor->current) {
        if (announce->n_leaves)
            leave = idset_next(&announce->leaves, cursor->leave);
        if (leave >= 0) {
            *message = (struct announcement){.value = leave, .fd = -1, .begins = -1, .ends = leave};
            cursor->leave = (unsigned)leave + 1;
            return true;
        }
        cursor->current = next_news(announce, cursor->next);
        cursor->next = cursor->current ? cursor->current->later : NULL;
        cursor->vector = 0;
        if (!cursor->current)
            return false;
        message->begins = (int)cursor->current->id;
    }
    message->value = cursor->current->id;
    message->fd = cursor->current->doorbells[cursor->vector++];
    if (cursor->vector == cursor->current->n_vectors)
        cursor->current = NULL;
    return true;
}

bool announce_in_greeting(const struct announce *announce)
{
    return announce->cursor.greeted < QEMU_WAITS_FOR;
}

bool announce_pending(const struct announce *announce)
{
    const struct announce_cursor *cursor = &announce->cursor;

    return cursor->greeted < greeting_length(announce) || cursor->current || announce->n_leaves ||
           next_news(announce, cursor->next);
}

unsigned announce_holds(const struct announce *announce)
{
    const struct seat *seat = next_news(announce, announce->cursor.next);
    unsigned holds = announce->n_known - announce->n_leaves;

    for (; seat; seat = next_news(announce, seat->later))
        holds++;
    return holds;
}

uint64_t announce_backlog(const struct announce *announce)
{
    const struct announce_cursor *cursor = &announce->cursor;
    const struct seat *seat = next_news(announce, cursor->next);
    uint64_t messages = greeting_length(announce) - cursor->greeted + announce->n_leaves;

    if (cursor->current)
        messages += cursor->current->n_vectors - cursor->vector;
    for (; seat; seat = next_news(announce, seat->later))
        messages += seat->n_vectors;
    return messages;
}

void announce_sent(struct announce *announce, struct seats *seats, unsigned count)
{
    struct announcement message;

    while (count--) {
        bool any = announce_next(announce, &announce->cursor, &message);

        assert(any);
        (void)any;
        if (message.begins >= 0) {
            idset_add(&announce->told, (unsigned)message.begins);
            seats_told(seats, (unsigned)message.begins);
            announce->n_known++;
        }
        if (message.ends >= 0) {
            idset_remove(&announce->leaves, (unsigned)message.ends);
            announce->n_leaves--;
            announce->n_known--;
        }
    }
    announce->cursor.leave = 0;
    remember(announce);
}
