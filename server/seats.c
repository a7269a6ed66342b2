/* SPDX-License-Identifier: MIT
 *
 * See seats.h.
 */
#include "server/seats.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/doorbell.h"
#include "common/wire.h"
#include "server/state.h"

enum { N_IDS = WIRE_ID_MAX + 1 };

int seats_init(struct seats *seats)
{
    *seats = (struct seats){.limit = N_IDS, .n_free = N_IDS};
    /* Large and sparse: calloc() maps zero pages, and only those that are used take memory. */
    seats->by_id = calloc(N_IDS, sizeof(seats->by_id[0]));
    seats->told = calloc(N_IDS, sizeof(seats->told[0]));
    if (seats->by_id && seats->told && idset_reserve(&seats->taken, WIRE_ID_MAX) == 0)
        return 0;
    seats_deinit(seats);
    return -ENOMEM;
}

void seats_set_limit(struct seats *seats, unsigned limit)
{
    seats->limit = seats->n_free = limit;
}

static void seat_free(struct seat *seat)
{
    for (unsigned i = 0; i < seat->n_vectors; i++)
        close_fd(seat->doorbells[i]);
    free(seat);
}

void seats_deinit(struct seats *seats)
{
    for (unsigned id = 0; seats->by_id && id < N_IDS; id++)
        if (seats->by_id[id])
            seat_free(seats->by_id[id]);
    free(seats->by_id);
    free(seats->told);
    idset_deinit(&seats->taken);
    *seats = (struct seats){.first = NULL};
}

static void unlink_seat(struct seats *seats, struct seat *seat)
{
    if (seat->earlier)
        seat->earlier->later = seat->later;
    else if (seats->first == seat)
        seats->first = seat->later;
    if (seat->later)
        seat->later->earlier = seat->earlier;
    else if (seats->last == seat)
        seats->last = seat->earlier;
    seat->earlier = seat->later = NULL;
}

/* Remembers a seat as it is now. The phase comes last: it makes the rest of the record true. */
static void remember(const struct seats *seats, const struct seat *seat, enum seat_phase phase)
{
    struct state_seat *record = seats->records ? &seats->records[seat->id] : NULL;

    if (!record)
        return;
    record->order = seat->order;
    record->pinned = seat->pinned;
    __atomic_store_n(&record->phase, (uint8_t)phase, __ATOMIC_RELEASE);
}

static void append(struct seats *seats, struct seat *seat)
{
    seat->earlier = seats->last;
    if (seats->last)
        seats->last->later = seat;
    else
        seats->first = seat;
    seats->last = seat;
}

static int seat_new(unsigned id, unsigned n_vectors, struct seat **out)
{
    struct seat *seat = calloc(1, sizeof(*seat) + n_vectors * sizeof(seat->doorbells[0]));

    if (!seat)
        return -ENOMEM;
    seat->id = id;
    for (; seat->n_vectors < n_vectors; seat->n_vectors++) {
        int fd = doorbell_new();

        if (fd < 0) {
            seat_free(seat);
            return fd;
        }
        seat->doorbells[seat->n_vectors] = fd;
    }
    *out = seat;
    return 0;
}

int seats_add(struct seats *seats, int id, unsigned n_vectors, struct seat **out)
{
    struct seat *seat;
    int r;

    if (id < 0)
        id = idset_first_gap(&seats->taken, seats->limit);
    if (id < 0 || (unsigned)id >= seats->limit)
        return -ENOSPC;
    if (idset_has(&seats->taken, (unsigned)id))
        return -EEXIST;
    r = seat_new((unsigned)id, n_vectors, &seat);
    if (r < 0)
        return r;
    idset_add(&seats->taken, (unsigned)id);
    seats->by_id[id] = seat;
    seats->n_free--;
    seats->n_seats++;
    seats->n_vacant++;
    remember(seats, seat, SEAT_VACANT);
    *out = seat;
    return 0;
}

void seats_pin(struct seats *seats, struct seat *seat)
{
    assert(!seat->occupied && !seat->pinned);
    seat->pinned = true;
    seats->n_vacant--;
    remember(seats, seat, SEAT_VACANT);
}

static void release_id(struct seats *seats, unsigned id)
{
    if (seats->by_id[id] || seats->told[id])
        return;
    idset_remove(&seats->taken, id);
    seats->n_free++;
}

void seats_leaving(struct seats *seats, struct seat *seat)
{
    remember(seats, seat, SEAT_LEAVING);
}

void seats_remove(struct seats *seats, struct seat *seat)
{
    unsigned id = seat->id;

    assert(!seat->occupied && !seat->claimed);
    unlink_seat(seats, seat);
    seats->by_id[id] = NULL;
    seats->n_seats--;
    if (!seat->pinned)
        seats->n_vacant--;
    seat->order = 0;
    seat->pinned = false;
    remember(seats, seat, SEAT_ABSENT);
    seat_free(seat);
    release_id(seats, id);
}

void seats_claim(struct seats *seats, struct seat *seat)
{
    assert(!seat->occupied && !seat->claimed);
    seat->claimed = true;
    if (!seat->pinned)
        seats->n_vacant--;
}

void seats_occupy(struct seats *seats, struct seat *seat)
{
    if (!seat->claimed)
        seats_claim(seats, seat);
    unlink_seat(seats, seat);
    append(seats, seat);
    seat->claimed = false;
    seat->occupied = true;
    seat->order = seats->order ? ++*seats->order : 0;
    remember(seats, seat, SEAT_OCCUPIED);
}

void seats_vacate(struct seats *seats, struct seat *seat)
{
    assert(seat->occupied || seat->claimed);
    seat->occupied = seat->claimed = false;
    if (!seat->pinned)
        seats->n_vacant++;
    remember(seats, seat, SEAT_VACANT);
}

int seats_restore(struct seats *seats, unsigned id, const int *doorbells, unsigned n_vectors,
                  struct seat **out)
{
    const struct state_seat *record = &seats->records[id];
    struct seat *seat = calloc(1, sizeof(*seat) + n_vectors * sizeof(seat->doorbells[0]));

    if (!seat)
        return -ENOMEM;
    seat->id = id;
    seat->order = record->order;
    seat->pinned = record->pinned;
    seat->n_vectors = n_vectors;
    memcpy(seat->doorbells, doorbells, n_vectors * sizeof(*doorbells));
    idset_add(&seats->taken, id);
    seats->by_id[id] = seat;
    seats->n_free--;
    seats->n_seats++;
    if (record->phase == SEAT_OCCUPIED)
        seat->occupied = true;
    else if (!seat->pinned)
        seats->n_vacant++;
    *out = seat;
    return 0;
}

static int compare_order(const void *one, const void *other)
{
    const struct seat *first = *(const struct seat *const *)one;
    const struct seat *second = *(const struct seat *const *)other;

    return (first->order > second->order) - (first->order < second->order);
}

int seats_put_in_order(struct seats *seats)
{
    struct seat **sorted = calloc(seats->n_seats + 1, sizeof(struct seat *));
    size_t count = 0;

    if (!sorted)
        return -ENOMEM;
    for (unsigned id = 0; id < N_IDS; id++)
        if (seats->by_id[id] && seats->by_id[id]->order)
            sorted[count++] = seats->by_id[id];
    qsort(sorted, count, sizeof(struct seat *), compare_order);
    for (size_t i = 0; i < count; i++)
        append(seats, sorted[i]);
    free(sorted);
    return 0;
}

struct seat *seats_vacant(const struct seats *seats)
{
    struct seat *seat = seats->n_vacant ? seats->first : NULL;

    while (seat && (seat->occupied || seat->claimed || seat->pinned))
        seat = seat->later;
    return seat;
}

void seats_told(struct seats *seats, unsigned id)
{
    if (!seats->told[id] && !seats->by_id[id] && !idset_has(&seats->taken, id)) {
        idset_add(&seats->taken, id); /* restored: the seat is gone, somebody still knows the ID */
        seats->n_free--;
    }
    seats->told[id]++;
}

void seats_untold(struct seats *seats, unsigned id)
{
    assert(seats->told[id]);
    if (--seats->told[id] == 0)
        release_id(seats, id);
}
