/* SPDX-License-Identifier: MIT
 *
 * The receiver of a ring; see ring.h, which includes this file. What the other side writes is read
 * here only: word and check of a record (ring_receiver_fetch(), ring_receiver_get()), its payload,
 * and sender_waits (ring_receiver_wake()), rang (ring_receiver_awake()); of tail only how long it
 * takes to come.
 */
#ifndef IVSHMEM_RING_RECEIVE_H
#define IVSHMEM_RING_RECEIVE_H

#ifndef IVSHMEM_RING_H
#error "include ring.h"
#endif

enum {
    RING_PAUSE_ONE = 4,     /* times ring_relax(): less than an answer takes */
    RING_PAUSE_STREAM = 64, /* long enough for a sender to get some records ahead */
};

/**
 * struct ring_receiver - all that the receiver knows; private
 * @own:       words that only this side writes
 * @other:     words that the sender writes
 * @data:      the ring
 * @piece:     most payload of a record
 * @total:     units of the ring
 * @quarter:   units that are taken before the head is published
 * @flags:     LAYOUT_CRC32C
 * @place:     unit where the next record starts, or the one that is held
 * @head:      units taken so far
 * @published: of those, what the sender was told
 * @rang:      value of sender_waits that the doorbell was rung for last
 * @waits:     own counter
 * @held:      units of the record that is held, 0 for none: its word was read and checked
 * @length:    its payload
 * @taken:     how much of that was taken
 * @check:     its CRC32C, as the sender says
 * @crc:       that of the bytes taken
 * @more:      1 when its message goes on after it
 * @checked:   1 when its CRC32C was compared
 * @open:      1 when a message has begun and not ended, up to @place
 * @fresh:     1 when the head was published and ring_receiver_wake() not been asked since
 * @state:     RING_OK, or RING_CORRUPT, RING_ENDED, RING_MOVED: what every call says
 * @records:   records taken so far
 * @paused:    of those, at the last ring_receiver_pause()
 * @slept:     of those, when it began to sleep
 * @sure:      of those: as long as fewer were taken, the sender looks for sleepers after a fence
 * @distance:  to the sender
 */
struct ring_receiver {
    struct layout_receiver *own;
    const struct layout_sender *other;
    uint8_t *data;
    size_t piece;
    uint32_t total, quarter, flags, place, head, published;
    uint32_t rang, waits;
    uint32_t held, length, taken, check, crc;
    int more, checked, open, fresh, state;
    uint64_t records, paused, slept, sure;
    struct ring_distance distance;
};

/**
 * struct ring_piece - what lies in the ring
 * @data:   bytes that were not taken yet
 * @length: how many; 0 of an empty message
 * @more:   1 when the message goes on after them
 */
struct ring_piece {
    const uint8_t *data;
    size_t length;
    int more;
};

static inline uint8_t *ring_receiver_at(const struct ring_receiver *r)
{
    return r->data + (size_t)r->place * RING_UNIT;
}

/**
 * ring_receiver_publish() - let the sender have the room of what was taken
 * @r: the receiver
 *
 * Done by itself each quarter of the ring, and before sleeping. Who sends little and seldom and
 * wants `data_size` and head to be exact can call it.
 */
static inline void ring_receiver_publish(struct ring_receiver *r)
{
    r->published = r->head;
    r->fresh = 1;
    /* Release pairs with the acquire in ring_sender_refresh(): all that was read from there has
     * been read. */
    __atomic_store_n(&r->own->head, r->head, __ATOMIC_RELEASE);
}

/* Use another ring from its start. */
static inline void ring_receiver_attach(struct ring_receiver *r, void *data, size_t size)
{
    r->data = (uint8_t *)data;
    r->total = (uint32_t)(size / RING_UNIT);
    r->quarter = r->total / 4;
    r->piece = ring_piece_max(size);
    r->place = 0;
}

/**
 * ring_receiver_init() - begin to receive from a ring that nobody has received from yet
 * @r:     the receiver; no need to undo
 * @own:   the channel's words of the receiver
 * @other: the channel's words of the sender
 * @data:  the ring, aligned to 8 bytes; it is only read
 * @size:  its bytes
 * @flags: LAYOUT_CRC32C or 0, as the sender has it
 *
 * Return: RING_OK, or RING_INVALID: that cannot be a size, or these flags are not known.
 */
static inline int ring_receiver_init(struct ring_receiver *r, struct layout_receiver *own,
                                     const struct layout_sender *other, void *data, size_t size,
                                     uint32_t flags)
{
    if (!ring_size_valid(size) || !ring_flags_valid(flags) || (uintptr_t)data % RING_UNIT)
        return RING_INVALID;
    *r = (struct ring_receiver){.own = own, .other = other, .flags = flags};
    ring_receiver_attach(r, data, size);
    __atomic_store_n(&own->receiver_waits, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&own->rang, 0, __ATOMIC_RELAXED);
    ring_receiver_publish(r);
    return RING_OK;
}

/* So many units at @place are done with. There are so many up to the end of the ring. */
static inline void ring_receiver_advance(struct ring_receiver *r, uint32_t units)
{
    r->place += units;
    if (r->place == r->total)
        r->place = 0;
    r->head += units;
    r->records++;
    if (r->head - r->published >= r->quarter) {
        ring_receiver_publish(r);
        (void)ring_distance_load(&r->distance, &r->other->tail);
    }
}

static inline int ring_receiver_fail(struct ring_receiver *r, int state)
{
    r->state = state;
    return state;
}

/* A record with payload at @place: hold it. */
static inline int ring_receiver_hold(struct ring_receiver *r, uint32_t word)
{
    size_t length = word & RING_LENGTH_MASK, units = ring_units(length);
    int more = (word >> RING_KIND_SHIFT & 15) == RING_MORE;

    /* Checked: it has at most the bytes of a piece, none only at the end of a message, and does not
     * go beyond the end of the ring. */
    if (length > r->piece || units > r->total - r->place || (more && !length))
        return ring_receiver_fail(r, RING_CORRUPT);
    r->held = (uint32_t)units;
    r->length = (uint32_t)length;
    r->taken = 0;
    r->more = more;
    r->checked = !(r->flags & LAYOUT_CRC32C);
    r->crc = 0;
    /* Loaded once; any value is fine, it is compared. */
    r->check = __atomic_load_n((uint32_t *)ring_receiver_at(r) + 1, __ATOMIC_RELAXED);
    return RING_OK;
}

/* Look at the next record; nothing is held. Return: RING_OK when it has payload and is held now;
 * else what the caller is told. */
static inline int ring_receiver_fetch(struct ring_receiver *r)
{
    while (!r->state) {
        /* Acquire pairs with the sender's release of the word: the rest of the record is there.
         * Loaded once; checked: all of it, right below and in ring_receiver_hold(). */
        uint32_t word = __atomic_load_n((uint32_t *)ring_receiver_at(r), __ATOMIC_ACQUIRE);
        uint32_t kind = word >> RING_KIND_SHIFT & 15;

        if (!word)
            return RING_EMPTY;
        if (!(word & RING_VALID))
            return ring_receiver_fail(r, RING_CORRUPT);
        if (kind == RING_DATA || kind == RING_MORE)
            return ring_receiver_hold(r, word);
        if (word & RING_LENGTH_MASK)
            return ring_receiver_fail(r, RING_CORRUPT);
        switch (kind) {
        case RING_SKIP:
            if (!r->place) /* all of the ring: that never ends */
                return ring_receiver_fail(r, RING_CORRUPT);
            ring_receiver_advance(r, r->total - r->place);
            break;
        case RING_ABORT:
            if (!r->open)
                return ring_receiver_fail(r, RING_CORRUPT);
            r->open = 0;
            ring_receiver_advance(r, 1);
            return RING_ABORTED;
        case RING_MOVE:
            return ring_receiver_fail(r, RING_MOVED);
        case RING_END:
            return ring_receiver_fail(r, RING_ENDED);
        default:
            return ring_receiver_fail(r, RING_CORRUPT);
        }
    }
    return r->state;
}

/* The record that is held is done with. */
static inline void ring_receiver_drop(struct ring_receiver *r)
{
    uint32_t units = r->held;

    r->held = 0;
    r->open = r->more;
    ring_receiver_advance(r, units);
}

/**
 * ring_receiver_peek() - look at the next piece where it lies
 * @r:     the receiver
 * @piece: set to what of it was not taken yet; stays until ring_receiver_release()
 *
 * A message that was sent with one call and is at most ring_piece_max() is one piece.
 *
 * Everybody who maps the region can change the bytes as long as they lie there: who must not be
 * fooled copies them and checks the copy. Where the channel has a CRC32C it is compared now, so it
 * finds what happened before, not what happens after; ring_receiver_get() checks the very bytes
 * that it gives.
 *
 * Return: RING_OK; RING_EMPTY; RING_ABORTED: forget the pieces of the message so far, and call
 * again; RING_MISMATCH: the piece was wrong and is dropped, @piece->more is set; RING_MOVED,
 * RING_ENDED, RING_CORRUPT. A caller that has a deadline looks at it between pieces too.
 */
static inline int ring_receiver_peek(struct ring_receiver *r, struct ring_piece *piece)
{
    const uint8_t *payload;

    if (!r->held) {
        int result = ring_receiver_fetch(r);

        if (result)
            return result;
    }
    payload = ring_receiver_at(r) + RING_UNIT + r->taken;
    piece->data = payload;
    piece->length = r->length - r->taken;
    piece->more = r->more;
    if (!r->checked) {
        r->checked = 1;
        if (ring_check(r->flags, r->crc, payload, piece->length) != r->check) {
            ring_receiver_drop(r);
            return RING_MISMATCH;
        }
    }
    return RING_OK;
}

/**
 * ring_receiver_release() - take bytes of the piece that was looked at
 * @r:      the receiver
 * @length: how many, from its first on; when none are left the piece is done with, so an empty
 *          message is taken with 0
 *
 * Then ask ring_receiver_wake().
 *
 * Return: RING_OK, or RING_INVALID: nothing was looked at, or it has fewer.
 */
static inline int ring_receiver_release(struct ring_receiver *r, size_t length)
{
    if (!r->held || length > r->length - r->taken)
        return RING_INVALID;
    r->taken += (uint32_t)length;
    if (r->taken == r->length)
        ring_receiver_drop(r);
    return RING_OK;
}

/* Copy from the record that is held. Return: how many bytes. */
static inline size_t ring_receiver_copy(struct ring_receiver *r, void *buffer, size_t room)
{
    size_t n = r->length - r->taken < room ? r->length - r->taken : room;
    const uint8_t *payload = ring_receiver_at(r) + RING_UNIT + r->taken;

    r->crc = ring_copy_out_checked(r->checked ? 0 : r->flags, r->crc, buffer, payload, n,
                                   ring_distance_far(&r->distance));
    r->taken += (uint32_t)n;
    return n;
}

/* All of the record that is held was copied. Return: whether its CRC32C was right. */
static inline int ring_receiver_matches(const struct ring_receiver *r)
{
    return r->checked || r->crc == r->check;
}

/* ring_receiver_get() for what is rare: parts of records, records without payload. */
static inline int64_t ring_receiver_get_part(struct ring_receiver *r, void *buffer, size_t room,
                                             int *more)
{
    size_t n;

    if (!r->held) {
        int result = ring_receiver_fetch(r);

        if (result)
            return result;
    }
    n = ring_receiver_copy(r, buffer, room);
    *more = 1;
    if (r->taken < r->length)
        return (int64_t)n;
    *more = r->more;
    ring_receiver_drop(r);
    return ring_receiver_matches(r) ? (int64_t)n : RING_MISMATCH;
}

/* A whole record, the usual case, without holding it first; with @pieces 1 it may be RING_MORE.
 * Return: its bytes; RING_EMPTY; RING_MISMATCH: it is dropped; RING_TOO_BIG: it is not that simple,
 * and nothing happened. */
static inline int64_t ring_receiver_get_plain(struct ring_receiver *r, void *buffer, size_t room,
                                              int pieces, int *more)
{
    const uint8_t *record = ring_receiver_at(r);
    uint32_t word, check, crc;
    size_t length, units;

    if (r->held || r->state)
        return RING_TOO_BIG;
    /* Acquire pairs with the sender's release of the word. Loaded once; checked: a record with
     * payload, not empty, not longer than a piece, the room, and what is left of the ring. What is
     * anything else is loaded again, and judged, in ring_receiver_fetch(). */
    word = __atomic_load_n((const uint32_t *)(const void *)record, __ATOMIC_ACQUIRE);
    if (!word)
        return RING_EMPTY;
    length = word & RING_LENGTH_MASK;
    units = ring_units(length);
    if (word >> (RING_KIND_SHIFT + pieces) != RING_VALID >> (RING_KIND_SHIFT + pieces) || !length ||
        length > room || length > r->piece || units > r->total - r->place)
        return RING_TOO_BIG;
    check = __atomic_load_n((const uint32_t *)(const void *)record + 1, __ATOMIC_RELAXED);
    crc = ring_copy_out_checked(r->flags, 0, buffer, record + RING_UNIT, length,
                                ring_distance_far(&r->distance));
    *more = r->open = (int)(word >> RING_KIND_SHIFT & 1);
    ring_receiver_advance(r, (uint32_t)units);
    return r->flags && crc != check ? RING_MISMATCH : (int64_t)length;
}

/**
 * ring_receiver_get() - take bytes of the next piece, copied
 * @r:      the receiver
 * @buffer: where to; nothing beyond @room is touched, and what was not copied says nothing
 * @room:   its bytes; what does not fit stays for the next call
 * @more:   set to 1 when the message goes on (in this piece or the next), to 0 when that was its
 *          end; only if bytes or RING_MISMATCH are returned
 *
 * Gives the bytes of one piece at most. Then ask ring_receiver_wake().
 *
 * Where the channel has a CRC32C, that of what was copied is compared; if a piece was taken with
 * several calls, when its last byte was.
 *
 * Return: how many bytes, 0 of an empty message (or with @room 0); RING_EMPTY; RING_ABORTED: forget
 * the pieces of the message so far, and call again; RING_MISMATCH: the piece that is complete now
 * is wrong, with what earlier calls gave of it; RING_MOVED, RING_ENDED, RING_CORRUPT. A caller that
 * has a deadline looks at it between pieces too.
 */
static inline int64_t ring_receiver_get(struct ring_receiver *r, void *buffer, size_t room,
                                        int *more)
{
    int64_t got = ring_receiver_get_plain(r, buffer, room, 1, more);

    return got == RING_TOO_BIG ? ring_receiver_get_part(r, buffer, room, more) : got;
}

/**
 * ring_receiver_get_burst() - take several messages, copied
 * @r:        the receiver
 * @messages: a buffer for each; the lengths of those that were taken are set
 * @n:        how many buffers
 *
 * Takes whole messages, each of one piece, as long as they are there and fit; the piece that is
 * none stays for ring_receiver_get(). Then ask ring_receiver_wake().
 *
 * Return: how many were taken; when none (and @n is not 0): RING_TOO_BIG when the next is not a
 * whole message of one piece, or does not fit its buffer; else what ring_receiver_get() says. Only
 * the lengths of those that were taken mean something.
 */
static inline int64_t ring_receiver_get_burst(struct ring_receiver *r, struct ring_part *messages,
                                              size_t n)
{
    size_t done = 0;

    for (; done < n; done++) {
        struct ring_part *message = &messages[done];
        int more;

        if (!r->open && !r->flags) {
            int64_t got = ring_receiver_get_plain(r, message->data, message->length, 0, &more);

            if (got == RING_EMPTY)
                return done ? (int64_t)done : got;
            if (got >= 0) {
                message->length = (size_t)got;
                continue;
            }
        }
        if (!r->held) {
            int result = ring_receiver_fetch(r);

            if (result)
                return done ? (int64_t)done : result;
        }
        if (r->more || r->open || r->length > message->length || (r->taken && r->taken < r->length))
            return done ? (int64_t)done : RING_TOO_BIG;
        message->length = ring_receiver_copy(r, message->data, message->length);
        if (!ring_receiver_matches(r) && done)
            return (int64_t)done; /* it is held, all of it taken: the next call says so */
        ring_receiver_drop(r);
        if (!ring_receiver_matches(r))
            return RING_MISMATCH;
    }
    return (int64_t)done;
}

/**
 * ring_receiver_move() - go on in the next ring
 * @r:    the receiver; the last call said RING_MOVED
 * @data: the next ring, aligned to 8 bytes, the same that the sender goes on in
 * @size: its bytes
 *
 * Return: RING_OK, or RING_INVALID: that cannot be a size, or there was no RING_MOVED.
 */
static inline int ring_receiver_move(struct ring_receiver *r, void *data, size_t size)
{
    if (r->state != RING_MOVED || !ring_size_valid(size) || (uintptr_t)data % RING_UNIT)
        return RING_INVALID;
    r->state = RING_OK;
    r->head++; /* for RING_MOVE */
    ring_receiver_attach(r, data, size);
    ring_receiver_publish(r);
    return RING_OK;
}

/**
 * ring_receiver_look() - whether there is something
 * @r: the receiver
 *
 * Return: 0 when ring_receiver_get() would say RING_EMPTY; else 1.
 */
static inline int ring_receiver_look(const struct ring_receiver *r)
{
    const void *word = ring_receiver_at(r);

    if (r->held || r->state)
        return 1;
    /* Only whether it is 0; the call that follows loads it again, and checks it. */
    return __atomic_load_n((const uint32_t *)word, __ATOMIC_ACQUIRE) != 0;
}

/**
 * ring_receiver_pause() - what to do after each RING_EMPTY while spinning
 * @r: the receiver
 *
 * Who looks all the time at the word that comes next takes its cache line away from the sender, who
 * is just writing there: then each small record costs a transfer there and back. So a receiver
 * that has caught up with a stream of records holds off for a moment (less than a microsecond or
 * two), and finds several the next time. After a single record, an answer, it holds off less than
 * one takes, and when there was none since the last pause, hardly at all.
 *
 * A small record mostly lies in two lines. The second is asked for while the first is looked at, so
 * that it does not come after it: that is a quarter of a short round trip.
 */
static inline void ring_receiver_pause(struct ring_receiver *r)
{
    uint64_t taken = r->records - r->paused;
    int n = taken > 1 ? RING_PAUSE_STREAM : taken ? RING_PAUSE_ONE : 1;

    r->paused = r->records;
    while (n--)
        ring_relax();
    /* It may lie beyond the ring: that is no access. */
    __builtin_prefetch((const void *)((uintptr_t)ring_receiver_at(r) + RING_LINE));
}

/**
 * ring_receiver_wake() - whether the sender's doorbell has to be rung now
 * @r: the receiver
 *
 * Cheap; for after each record or burst that was taken. A sender that sleeps is woken when the head
 * was published, so a quarter of the ring at a time; and only then a fence is needed.
 *
 * Return: 1: ring it; else 0.
 */
static inline int ring_receiver_wake(struct ring_receiver *r)
{
    uint32_t waits;

    if (!r->fresh)
        return 0;
    r->fresh = 0;
    ring_fence(); /* pairs with that of ring_sender_sleep() */
    /* Any value is fine: at worst a doorbell is rung for nothing, once for each value. */
    waits = __atomic_load_n(&r->other->sender_waits, __ATOMIC_RELAXED);
    if (!(waits & 1) || waits == r->rang)
        return 0;
    r->rang = waits;
    __atomic_store_n(&r->own->rang, waits, __ATOMIC_RELAXED); /* who is rung looks at it */
    return 1;
}

/**
 * ring_receiver_flush() - publish the head, and see whether the sender sleeps
 * @r: the receiver
 *
 * For when nothing more will be taken for a while, and the receiver does not sleep.
 *
 * Return: 1: ring its doorbell; else 0.
 */
static inline int ring_receiver_flush(struct ring_receiver *r)
{
    ring_receiver_publish(r);
    return ring_receiver_wake(r);
}

/**
 * ring_receiver_sleep() - get ready to sleep until there is a record
 * @r: the receiver; the last call said RING_EMPTY
 *
 * Return: 0: sleep (see ring.h), then ring_receiver_awake(); 1: no need, and nothing to undo.
 */
static inline int ring_receiver_sleep(struct ring_receiver *r)
{
    ring_receiver_publish(r);
    if (!(r->waits & 1))
        r->slept = r->records;
    r->waits |= 1;
    __atomic_store_n(&r->own->receiver_waits, r->waits, __ATOMIC_RELAXED);
    ring_fence(); /* pairs with those of ring_sender_wake(), _flush() and _sleep() */
    if (!ring_receiver_look(r))
        return 0;
    r->waits++;
    __atomic_store_n(&r->own->receiver_waits, r->waits, __ATOMIC_RELAXED);
    return 1;
}

/**
 * ring_receiver_certain() - whether a sleeping receiver will be rung without a second look
 * @r: the receiver; ring_receiver_sleep() said 0
 *
 * Return: 1: wait for the doorbell as long as you like; 0: at most 1 ms, and look again.
 */
static inline int ring_receiver_certain(const struct ring_receiver *r)
{
    return r->records < r->sure;
}

/** ring_receiver_awake() - no longer asleep: the doorbell need not be rung */
static inline void ring_receiver_awake(struct ring_receiver *r)
{
    /* Any value is fine: who lies has the receiver sleep longer, as if it sent nothing. */
    if (r->waits & 1 && __atomic_load_n(&r->other->rang, __ATOMIC_RELAXED) == r->waits)
        r->sure = r->slept + RING_FENCED;
    r->waits += r->waits & 1;
    __atomic_store_n(&r->own->receiver_waits, r->waits, __ATOMIC_RELAXED);
}

#endif
