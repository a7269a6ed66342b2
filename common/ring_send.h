/* SPDX-License-Identifier: MIT
 *
 * The sender of a ring; see ring.h, which includes this file. The only words of the other side that
 * are read here are head (ring_sender_refresh(); ring_sender_measure() only takes the time),
 * receiver_waits (ring_sender_wake()), and rang (ring_sender_awake()).
 */
#ifndef IVSHMEM_RING_SEND_H
#define IVSHMEM_RING_SEND_H

#ifndef IVSHMEM_RING_H
#error "include ring.h"
#endif

enum {
    RING_STREAM = 64 * 1024, /* pieces of a message that is larger than a piece can be */
    RING_GROUP = 16,         /* messages of a burst that become visible together */
};

/**
 * struct ring_sender - all that the sender knows; private
 * @own:        words that only this side writes
 * @other:      words that the receiver writes
 * @data:       the ring
 * @total:      its units
 * @piece:      most payload of a record
 * @flags:      LAYOUT_CRC32C
 * @place:      unit where the next record starts; @total means 0
 * @window:     units from @place on that a record may have, without looking at the head
 * @tail:       units put so far
 * @head:       as far as the receiver is known to be
 * @base:       what of this ring is free up to: @head, or where this ring began if that is later
 * @wanted:     payload of the record that found no room, 0 for none
 * @rang:       value of receiver_waits that the doorbell was rung for last
 * @fencing:    1 while ring_sender_wake() needs a fence
 * @fenced:     of messages: when so many are complete, it is the last that does
 * @certain:    1 when the receiver is one that looks for sleepers after a fence
 * @waits:      own counter
 * @touched:    times that the ring was full
 * @published:  tail that was published last
 * @open:       1 while a message has pieces in the ring and no end
 * @aborting:   1 while a RING_ABORT has to be put first
 * @state:      RING_OK, RING_CORRUPT or RING_ENDED
 * @bytes:      payload put so far
 * @messages:   messages put so far
 * @distance:   to the receiver
 */
struct ring_sender {
    struct layout_sender *own;
    const struct layout_receiver *other;
    uint8_t *data;
    size_t piece;
    uint32_t total, flags, place, window, tail, head, base;
    uint32_t rang, waits, touched, published;
    size_t wanted;
    int open, aborting, fencing, certain, state;
    uint64_t bytes, messages, fenced;
    struct ring_distance distance;
};

static inline void *ring_sender_at(const struct ring_sender *s, uint32_t place)
{
    return s->data + (size_t)place * RING_UNIT;
}

static inline void ring_sender_store(const struct ring_sender *s, uint32_t place, uint32_t word)
{
    /* Release pairs with the receiver's acquire of the word: then all that was stored before (the
     * payload, and the 0 where the next record starts) is there. */
    __atomic_store_n((uint32_t *)ring_sender_at(s, place), word, __ATOMIC_RELEASE);
}

/* The same with the check, in one go where the machine can: each store counts. */
static inline void ring_sender_store_header(const struct ring_sender *s, uint32_t place,
                                            uint32_t word, uint32_t check)
{
#if __SIZEOF_POINTER__ >= 8
    __atomic_store_n((uint64_t *)ring_sender_at(s, place), (uint64_t)check << 32 | word,
                     __ATOMIC_RELEASE);
#else
    __atomic_store_n((uint32_t *)ring_sender_at(s, place) + 1, check, __ATOMIC_RELAXED);
    ring_sender_store(s, place, word);
#endif
}

/* Write 0 where the next record will start, before this one is published. The place is free. */
static inline void ring_sender_clear(const struct ring_sender *s, uint32_t place)
{
    void *next = ring_sender_at(s, place == s->total ? 0 : place);

    __atomic_store_n((uint32_t *)next, 0, __ATOMIC_RELAXED);
}

/**
 * ring_sender_publish() - tell whoever wants to know how far this sender is
 * @s: the sender
 *
 * Done by itself every quarter of the ring, when the ring is full, and before sleeping. It has
 * nothing to do with the receiver, who sees each record at once.
 */
static inline void ring_sender_publish(struct ring_sender *s)
{
    s->published = s->tail;
    __atomic_store_n(&s->own->tail, s->tail, __ATOMIC_RELAXED);
    __atomic_store_n(&s->own->data_size, s->tail - s->base, __ATOMIC_RELAXED);
    __atomic_store_n(&s->own->head_touch, s->touched, __ATOMIC_RELAXED);
    ring_store_64(&s->own->bytes, s->bytes);
    ring_store_64(&s->own->messages, s->messages);
}

/* Use another ring from its start. */
static inline void ring_sender_attach(struct ring_sender *s, void *data, size_t size)
{
    s->data = (uint8_t *)data;
    s->total = (uint32_t)(size / RING_UNIT);
    s->piece = ring_piece_max(size);
    s->place = s->window = 0;
    s->base = s->tail;
    ring_sender_clear(s, 0);
}

/**
 * ring_sender_init() - begin to send into a ring that nobody has sent into yet
 * @s:     the sender; no need to undo
 * @own:   the channel's words of the sender
 * @other: the channel's words of the receiver
 * @data:  the ring, aligned to 8 bytes
 * @size:  its bytes
 * @flags: LAYOUT_CRC32C or 0
 *
 * Return: RING_OK, or RING_INVALID: that cannot be a size, or these flags are not known.
 */
static inline int ring_sender_init(struct ring_sender *s, struct layout_sender *own,
                                   const struct layout_receiver *other, void *data, size_t size,
                                   uint32_t flags)
{
    if (!ring_size_valid(size) || !ring_flags_valid(flags) || (uintptr_t)data % RING_UNIT)
        return RING_INVALID;
    *s = (struct ring_sender){.own = own, .other = other, .flags = flags};
    ring_sender_attach(s, data, size);
    __atomic_store_n(&own->sender_waits, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&own->rang, 0, __ATOMIC_RELAXED);
    ring_sender_publish(s);
    return RING_OK;
}

/* Look how far the receiver is. Return: how many units are free in all, or RING_CORRUPT. */
static inline int64_t ring_sender_refresh(struct ring_sender *s)
{
    /* Acquire pairs with the release in ring_receiver_publish(): the receiver has read what will be
     * written over. Checked: the head lies between where it was and the tail. */
    uint32_t head = ring_distance_load(&s->distance, &s->other->head);

    if (head - s->head > s->tail - s->head) {
        s->state = RING_CORRUPT;
        s->window = 0;
        return RING_CORRUPT;
    }
    s->head = head;
    if (s->tail - head <= s->tail - s->base)
        s->base = head;
    return (int64_t)s->total - 1 - (int64_t)(s->tail - s->base); /* 1: for the word after */
}

/* Whether a record of so many units fits now; up to the end first if it has to be skipped. */
static inline int ring_sender_fits(const struct ring_sender *s, int64_t free, size_t units)
{
    uint32_t rest = s->total - s->place;

    return (int64_t)units + (units > rest ? (int64_t)rest : 0) <= free;
}

/* Put a record without payload at @place; the room was made sure of. */
static inline void ring_sender_mark(struct ring_sender *s, enum ring_kind kind, uint32_t units)
{
    ring_sender_store_header(s, s->place, ring_word(kind, 0), 0);
    s->tail += units;
    s->place += units;
}

/* What put, reserve and commit do when the window is too small. */
static inline int ring_sender_widen(struct ring_sender *s, size_t length)
{
    uint32_t quarter = (uint32_t)(s->piece / RING_UNIT);
    size_t units = ring_units(length);
    int64_t free;

    if (s->state)
        return s->state;
    if (length > s->piece)
        return RING_TOO_BIG;
    if (s->place == s->total)
        s->place = 0;
    free = ring_sender_refresh(s);
    if (free < 0)
        return (int)free;
    if (s->aborting && free >= 1) {
        ring_sender_clear(s, s->place + 1);
        ring_sender_mark(s, RING_ABORT, 1);
        s->aborting = 0;
        free--;
        if (s->place == s->total)
            s->place = 0;
    }
    if (s->aborting || !ring_sender_fits(s, free, units)) {
        s->touched += !s->wanted;
        s->wanted = length ? length : 1;
        s->window = 0;
        if (s->published != s->tail)
            ring_sender_publish(s);
        return RING_FULL;
    }
    if (units > s->total - s->place) {
        ring_sender_clear(s, 0);
        free -= s->total - s->place;
        ring_sender_mark(s, RING_SKIP, s->total - s->place);
        s->place = 0;
    }
    ring_sender_publish(s);
    s->wanted = 0;
    s->window = s->total - s->place;
    if (s->window > free)
        s->window = (uint32_t)free;
    if (s->window > quarter) /* so that the tail is published, and the head looked at */
        s->window = units > quarter ? (uint32_t)units : quarter;
    return RING_OK;
}

/* A large record was put: see how far away the receiver is, before ring_sender_wake() brings the
 * line where its head is. */
static inline void ring_sender_measure(struct ring_sender *s)
{
    (void)ring_distance_load(&s->distance, &s->other->head);
}

/* A record is complete but for its word: publish that. */
static inline void ring_sender_finish(struct ring_sender *s, size_t units, size_t length, int more,
                                      uint32_t check)
{
    uint32_t place = s->place;

    s->place = place + (uint32_t)units;
    s->window -= (uint32_t)units;
    s->tail += (uint32_t)units;
    s->bytes += length;
    s->messages += !more;
    s->open = more;
    ring_sender_store_header(s, place, ring_word(more ? RING_MORE : RING_DATA, length), check);
    if (length >= RING_LARGE)
        ring_sender_measure(s);
}

/**
 * ring_sender_reserve() - get room in the ring, to write a piece right there
 * @s:      the sender
 * @length: bytes that one may want; at most ring_piece_max()
 * @room:   set to where they can be written, contiguous, aligned to 8 bytes
 *
 * Nothing happens before ring_sender_commit(). Whoever does not commit just does something else.
 * What lies there until then can be read and changed by everybody who maps the region.
 *
 * Return: RING_OK, RING_FULL, RING_TOO_BIG, RING_CORRUPT or RING_ENDED.
 */
static inline int ring_sender_reserve(struct ring_sender *s, size_t length, void **room)
{
    if (ring_units(length) > s->window) {
        int r = ring_sender_widen(s, length);

        if (r)
            return r;
    }
    *room = (uint8_t *)ring_sender_at(s, s->place) + RING_UNIT;
    return RING_OK;
}

/**
 * ring_sender_far() - whether large pieces are better written past the caches now
 * @s: the sender
 *
 * For who writes into the room of ring_sender_reserve(), from RING_LARGE bytes on: see ring_copy.h.
 * Such stores (movnti) need a fence of their own (sfence) before ring_sender_commit().
 *
 * Return: 1 when the receiver's processor is far away, else 0.
 */
static inline int ring_sender_far(const struct ring_sender *s)
{
    return ring_distance_far(&s->distance);
}

/**
 * ring_sender_commit() - send what was written into the room of ring_sender_reserve()
 * @s:      the sender; nothing was called since
 * @length: how many of the bytes; may be fewer than were reserved
 * @more:   1 when the message goes on with the next piece; without a byte that is nothing
 *
 * Where the channel has a CRC32C it is taken of the bytes as they lie in the ring now.
 *
 * Return: RING_OK, or RING_INVALID: there is no reservation for so many, and nothing was sent.
 */
static inline int ring_sender_commit(struct ring_sender *s, size_t length, int more)
{
    size_t units = ring_units(length);
    uint8_t *room = (uint8_t *)ring_sender_at(s, s->place) + RING_UNIT;

    if (units > s->window)
        return RING_INVALID;
    if (!length && more)
        return RING_OK;
    ring_sender_clear(s, s->place + (uint32_t)units);
    ring_sender_finish(s, units, length, more != 0, ring_check(s->flags, 0, room, length));
    return RING_OK;
}

/**
 * ring_sender_put() - send a piece, copied
 * @s:      the sender
 * @data:   its bytes
 * @length: how many; at most ring_piece_max(): for larger messages there is
 *          ring_sender_put_parts()
 * @more:   1 when the message goes on with the next piece; without a byte that is nothing
 *
 * All of it is sent as one record, or nothing.
 *
 * Return: RING_OK, RING_FULL, RING_TOO_BIG, RING_CORRUPT or RING_ENDED.
 */
static inline int ring_sender_put(struct ring_sender *s, const void *data, size_t length, int more)
{
    size_t units = ring_units(length);
    uint8_t *room;
    uint32_t check;

    if (units > s->window) {
        int r = ring_sender_widen(s, length);

        if (r)
            return r;
    }
    if (!length && more)
        return RING_OK;
    room = (uint8_t *)ring_sender_at(s, s->place) + RING_UNIT;
    check = ring_copy_in_checked(s->flags, 0, room, data, length, ring_distance_far(&s->distance));
    ring_sender_clear(s,
                      s->place + (uint32_t)units); /* after what lies before it: that is faster */
    ring_sender_finish(s, units, length, more != 0, check);
    return RING_OK;
}

/* Copy @length bytes of the parts, from byte @offset of them on; there are so many. Return: their
 * CRC32C, if there is one. */
static inline uint32_t ring_sender_gather(const struct ring_sender *s, uint8_t *room,
                                          const struct ring_part *parts, size_t offset,
                                          size_t length)
{
    uint32_t check = 0;

    for (; length; parts++) {
        size_t n = parts->length;

        if (offset >= n) {
            offset -= n;
            continue;
        }
        n = n - offset < length ? n - offset : length;
        check = ring_copy_in_checked(s->flags, check, room, (const uint8_t *)parts->data + offset,
                                     n, ring_distance_far(&s->distance));
        room += n;
        length -= n;
        offset = 0;
    }
    return check;
}

/**
 * ring_sender_put_parts() - send a message of any size that lies in several parts, copied once
 * @s:      the sender
 * @parts:  the message
 * @n:      how many parts; with 0 it is an empty message
 * @offset: bytes of the message that were sent by earlier calls
 * @more:   1 when the message goes on after the last part
 *
 * A message that fits a record (ring_piece_max()) is sent as one, or not at all. A larger one is
 * sent in pieces, as many as there is room for now: add what was sent to @offset, and call again
 * with the rest when there is room. The message is complete when @offset is its length. To give up
 * in between: ring_sender_abort().
 *
 * Return: how many bytes were sent, 0 only of an empty rest; RING_FULL when none; RING_CORRUPT,
 * RING_ENDED, or RING_INVALID: more bytes than an address can tell, or @offset beyond them.
 */
static inline int64_t ring_sender_put_parts(struct ring_sender *s, const struct ring_part *parts,
                                            size_t n, size_t offset, int more)
{
    size_t whole = 0, done = offset, piece;

    for (size_t i = 0; i < n; i++) {
        if (parts[i].length > SIZE_MAX / 2 - whole)
            return RING_INVALID;
        whole += parts[i].length;
    }
    if (offset > whole)
        return RING_INVALID;
    piece = whole <= s->piece || s->piece < RING_STREAM ? s->piece : RING_STREAM;
    do {
        size_t length = whole - done < piece ? whole - done : piece, units = ring_units(length);
        int last = done + length == whole && !more, r;
        uint32_t check;

        if ((!length && !last) || (offset && offset == whole))
            break;
        r = units > s->window ? ring_sender_widen(s, length) : RING_OK;
        if (r)
            return done > offset ? (int64_t)(done - offset) : r;
        check = ring_sender_gather(s, (uint8_t *)ring_sender_at(s, s->place) + RING_UNIT, parts,
                                   done, length);
        ring_sender_clear(s, s->place + (uint32_t)units);
        ring_sender_finish(s, units, length, !last, check);
        done += length;
    } while (done < whole);
    return (int64_t)(done - offset);
}

/* Messages of a burst that fit the window become visible together, with the word of the first.
 * Return: how many; the first fits. */
static inline size_t ring_sender_group(struct ring_sender *s, const struct ring_part *parts,
                                       size_t n)
{
    uint32_t first = s->place;
    size_t i = 0;

    for (; i < n && i < RING_GROUP; i++) {
        size_t length = parts[i].length, units = ring_units(length);
        uint32_t *header = (uint32_t *)ring_sender_at(s, s->place);

        if (units > s->window)
            break;
        __atomic_store_n(&header[1],
                         ring_copy_in_checked(s->flags, 0, header + 2, parts[i].data, length,
                                              ring_distance_far(&s->distance)),
                         __ATOMIC_RELAXED);
        if (i) /* nobody looks here before the first word is there */
            __atomic_store_n(header, ring_word(RING_DATA, length), __ATOMIC_RELAXED);
        s->place += (uint32_t)units;
        s->window -= (uint32_t)units;
        s->tail += (uint32_t)units;
        s->bytes += length;
    }
    s->messages += i;
    s->open = 0;
    ring_sender_clear(s, s->place);
    ring_sender_store(s, first, ring_word(RING_DATA, parts[0].length));
    if (parts[0].length >= RING_LARGE)
        ring_sender_measure(s);
    return i;
}

/**
 * ring_sender_put_burst() - send several messages, copied
 * @s:        the sender; no message is open
 * @messages: each is sent as one record, or not at all
 * @n:        how many
 *
 * Return: how many were sent, the first ones; when that is none, or @n is 0, what ring_sender_put()
 * says of the first (RING_OK for none).
 */
static inline int64_t ring_sender_put_burst(struct ring_sender *s, const struct ring_part *messages,
                                            size_t n)
{
    size_t done = 0;

    while (done < n) {
        if (ring_units(messages[done].length) > s->window) {
            int r = ring_sender_widen(s, messages[done].length);

            if (r)
                return done ? (int64_t)done : r;
        }
        done += ring_sender_group(s, messages + done, n - done);
    }
    return (int64_t)done;
}

/**
 * ring_sender_abort() - take back the pieces of the message that is open
 * @s: the sender
 *
 * The receiver gets RING_ABORTED in their place, when there is room for that at the latest before
 * the next message. Nothing happens when no message is open.
 */
static inline void ring_sender_abort(struct ring_sender *s)
{
    if (!s->open)
        return;
    s->open = 0;
    s->aborting = 1;
    s->window = 0; /* the next that is put goes through ring_sender_widen() */
    (void)ring_sender_widen(s, 0);
    s->wanted = 0;
}

/* Where the last record of a ring goes: the 8 bytes that are to spare. */
static inline uint32_t *ring_sender_spare(const struct ring_sender *s)
{
    return (uint32_t *)ring_sender_at(s, s->place == s->total ? 0 : s->place);
}

static inline void ring_sender_last(uint32_t *header, enum ring_kind kind)
{
    __atomic_store_n(&header[1], 0, __ATOMIC_RELAXED);
    /* Release pairs with the receiver's acquire of the word. */
    __atomic_store_n(&header[0], ring_word(kind, 0), __ATOMIC_RELEASE);
}

/**
 * ring_sender_end() - say that nothing more will be sent; there is always room for that
 * @s: the sender; afterwards it says RING_ENDED
 *
 * A message that is open never becomes complete.
 */
static inline void ring_sender_end(struct ring_sender *s)
{
    if (s->state)
        return;
    ring_sender_last(ring_sender_spare(s), RING_END);
    s->tail++;
    s->window = 0;
    s->state = RING_ENDED;
    ring_sender_publish(s);
}

/**
 * ring_sender_move() - go on in another ring
 * @s:    the sender; what was reserved is no longer
 * @data: the next ring, aligned to 8 bytes; it is not the present one, and nobody reads it yet
 * @size: its bytes
 *
 * The receiver reads the old ring to its end, so that must stay until it has moved too; and so long
 * the next one must not be left again. A message that is open goes on.
 *
 * Return: RING_OK; RING_INVALID: that cannot be a size; RING_CORRUPT or RING_ENDED.
 */
static inline int ring_sender_move(struct ring_sender *s, void *data, size_t size)
{
    uint32_t *last = ring_sender_spare(s);

    if (s->state)
        return s->state;
    if (!ring_size_valid(size) || (uintptr_t)data % RING_UNIT)
        return RING_INVALID;
    s->tail++; /* for RING_MOVE */
    ring_sender_attach(s, data, size);
    ring_sender_last(last, RING_MOVE); /* after the new ring's first word is 0 */
    ring_sender_publish(s);
    return RING_OK;
}

/**
 * ring_sender_look() - whether there is room
 * @s: the sender
 *
 * Return: 1 when what was last refused with RING_FULL would be taken now (or anything, when nothing
 * was), or when sending would say something else than RING_FULL; else 0.
 */
static inline int ring_sender_look(struct ring_sender *s)
{
    int64_t free;

    if (s->state)
        return 1;
    if (s->place == s->total)
        s->place = 0;
    free = ring_sender_refresh(s);
    if (free < 0)
        return 1;
    return ring_sender_fits(s, free - s->aborting, ring_units(s->wanted ? s->wanted : 1));
}

/**
 * ring_sender_wake() - whether the receiver's doorbell has to be rung now
 * @s: the sender
 *
 * Cheap; for after each record or burst. May miss a receiver that is just going to sleep, who
 * then finds the record within a millisecond (see ring.h).
 *
 * Return: 1: ring it; else 0.
 */
static inline int ring_sender_wake(struct ring_sender *s)
{
    uint32_t waits;

    if (s->fencing) {
        ring_fence(); /* pairs with that of ring_receiver_sleep() */
        s->fencing = s->messages < s->fenced;
    }
    /* For the compiler alone: if it looked before it stored the word, and this process was
     * interrupted in between, a millisecond would not be enough. The processor cannot do that. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    /* Any value is fine: at worst a doorbell is rung for nothing, once for each value. */
    waits = __atomic_load_n(&s->other->receiver_waits, __ATOMIC_RELAXED);
    if (!(waits & 1) || waits == s->rang)
        return 0;
    s->rang = waits;
    s->fencing = 1;
    s->fenced = s->messages + RING_FENCED;
    __atomic_store_n(&s->own->rang, waits, __ATOMIC_RELAXED); /* who is rung looks at it */
    return 1;
}

/**
 * ring_sender_flush() - publish everything, and see for certain whether the receiver sleeps
 * @s: the sender
 *
 * For when nothing more will be sent for a while.
 *
 * Return: 1: ring its doorbell; else 0.
 */
static inline int ring_sender_flush(struct ring_sender *s)
{
    ring_sender_publish(s);
    ring_fence(); /* pairs with that of ring_receiver_sleep() */
    return ring_sender_wake(s);
}

/**
 * ring_sender_sleep() - get ready to sleep until there is room
 * @s: the sender; the last call said RING_FULL
 *
 * Return: 0: sleep (see ring.h), then ring_sender_awake(); 1: no need, and nothing to undo.
 */
static inline int ring_sender_sleep(struct ring_sender *s)
{
    ring_sender_publish(s);
    s->waits |= 1;
    __atomic_store_n(&s->own->sender_waits, s->waits, __ATOMIC_RELAXED);
    ring_fence(); /* pairs with those of ring_receiver_wake() and _sleep() */
    if (!ring_sender_look(s))
        return 0;
    s->waits++;
    __atomic_store_n(&s->own->sender_waits, s->waits, __ATOMIC_RELAXED);
    return 1;
}

/**
 * ring_sender_certain() - whether a sleeping sender will be rung for room without a second look
 * @s: the sender; ring_sender_sleep() said 0
 *
 * Return: 1: wait for the doorbell as long as you like; 0: at most 1 ms, and look again.
 */
static inline int ring_sender_certain(const struct ring_sender *s)
{
    return s->certain;
}

/** ring_sender_awake() - no longer asleep: the doorbell need not be rung */
static inline void ring_sender_awake(struct ring_sender *s)
{
    /* Any value is fine: who lies has the sender sleep longer, as if it took nothing. */
    if (s->waits & 1 && __atomic_load_n(&s->other->rang, __ATOMIC_RELAXED) == s->waits)
        s->certain = 1;
    s->waits += s->waits & 1;
    __atomic_store_n(&s->own->sender_waits, s->waits, __ATOMIC_RELAXED);
}

#endif
