/* SPDX-License-Identifier: MIT
 *
 * Random operations on both ends of a ring, against a simple queue: what comes out is what went in,
 * in order, and a ring is full or empty only when it is.
 */
#include "tests/unit/ring_pair.h"

enum {
    TOKENS = 1 << 17, /* more than two rings hold */
    END = 256,        /* after the bytes of a message */
    ABORT,
    MOVE,
};

/* What is under way: bytes, and the marks above. */
struct model {
    uint16_t tokens[TOKENS];
    size_t put, taken;
    uint64_t dice;
    struct ring_pair ring;
    uint8_t *next; /* while the ring is moved */
    size_t next_size;
};

static uint8_t bytes[8 * RING_SIZE];

static void push(struct model *m, unsigned token)
{
    assert_true(m->put - m->taken < TOKENS);
    m->tokens[m->put++ % TOKENS] = (uint16_t)token;
}

static void pop(struct model *m, unsigned token)
{
    assert_true(m->taken < m->put);
    assert_int_equal(token, m->tokens[m->taken++ % TOKENS]);
}

static void push_bytes(struct model *m, const uint8_t *from, size_t n, int more)
{
    for (size_t i = 0; i < n; i++)
        push(m, from[i]);
    if (!more)
        push(m, END);
}

static void pop_bytes(struct model *m, const uint8_t *from, size_t n, int more)
{
    for (size_t i = 0; i < n; i++)
        pop(m, from[i]);
    if (!more)
        pop(m, END);
}

/* A ring that says that it is full has at most half of it free. */
static void check_full(struct model *m, int64_t result)
{
    assert_int_equal(RING_FULL, result);
    ring_receiver_publish(&m->ring.r);
    if (m->taken == m->put)
        assert_int_equal(1, ring_sender_look(&m->ring.s));
}

static size_t random_length(struct model *m)
{
    size_t most = ring_piece_max(m->ring.size) < PIECE ? ring_piece_max(m->ring.size) : PIECE;

    return random_below(&m->dice, random_below(&m->dice, 3) ? 40 : (unsigned)most + 1);
}

static void send_parts(struct model *m, uint8_t *from)
{
    size_t whole = random_below(&m->dice, 3000), cut = random_below(&m->dice, (unsigned)whole + 1);
    struct ring_part parts[] = {{from, cut}, {from + cut, whole - cut}};
    size_t done = whole ? random_below(&m->dice, (unsigned)whole) : 0;
    int64_t n = ring_sender_put_parts(&m->ring.s, parts, 2, done, 0);

    if (n < 0) {
        check_full(m, n);
        return;
    }
    assert_true(done + (size_t)n <= whole);
    push_bytes(m, from + done, (size_t)n, done + (size_t)n < whole);
}

static void send_burst(struct model *m, uint8_t *from)
{
    struct ring_part messages[40];
    unsigned n = 1 + random_below(&m->dice, 40);
    int64_t sent;

    for (unsigned i = 0; i < n; i++)
        messages[i] = (struct ring_part){from + i, random_length(m)};
    sent = ring_sender_put_burst(&m->ring.s, messages, n);
    if (sent < 0)
        check_full(m, sent);
    for (int64_t i = 0; i < sent; i++)
        push_bytes(m, messages[i].data, messages[i].length, 0);
}

static void send_move(struct model *m)
{
    if (m->next)
        return;
    m->next_size = RING_SIZE * (1 + random_below(&m->dice, 3));
    m->next = ring_memory(m->next_size);
    assert_int_equal(RING_OK, ring_sender_move(&m->ring.s, m->next, m->next_size));
    if (m->ring.s.aborting) { /* that comes in the next ring */
        m->put--;
        push(m, MOVE);
        push(m, ABORT);
    } else {
        push(m, MOVE);
    }
}

static void send_something(struct model *m)
{
    struct ring_sender *s = &m->ring.s;
    uint8_t *from = bytes + random_below(&m->dice, RING_SIZE);
    size_t length = random_length(m);
    int more = !random_below(&m->dice, 4), r;
    unsigned what = random_below(&m->dice, 100);
    void *room = NULL;

    if (what < 40) {
        r = ring_sender_put(s, from, length, more);
    } else if (what < 60) {
        r = ring_sender_reserve(s, length + random_below(&m->dice, PIECE - (unsigned)length + 1),
                                &room);
        if (!r) {
            memcpy(room, from, length);
            assert_int_equal(RING_OK, ring_sender_commit(s, length, more));
        }
    } else {
        if (what < 75)
            send_parts(m, from);
        else if (what < 90 && !s->open)
            send_burst(m, from);
        else if (what < 91)
            send_move(m);
        else if (what < 95 && s->open) {
            ring_sender_abort(s);
            push(m, ABORT);
        }
        return;
    }
    if (r)
        check_full(m, r);
    else if (length || !more)
        push_bytes(m, from, length, more);
}

/* What the receiver says instead of bytes. */
static void take_result(struct model *m, int64_t result)
{
    if (result == RING_ABORTED) {
        pop(m, ABORT);
    } else if (result == RING_MOVED) {
        pop(m, MOVE);
        assert_int_equal(RING_OK, ring_receiver_move(&m->ring.r, m->next, m->next_size));
        free(m->ring.data);
        m->ring.data = m->next;
        m->ring.size = m->next_size;
        m->next = NULL;
    } else {
        assert_int_equal(RING_EMPTY, result);
        assert_true(m->taken == m->put ||
                    (m->ring.s.aborting && m->tokens[m->taken % TOKENS] == ABORT));
    }
}

static void take_burst(struct model *m)
{
    static uint8_t room[20][PIECE];
    struct ring_part messages[20];
    unsigned n = 1 + random_below(&m->dice, 20);
    int64_t taken;

    for (unsigned i = 0; i < n; i++)
        messages[i] = (struct ring_part){room[i], random_below(&m->dice, 4) ? PIECE : 20};
    taken = ring_receiver_get_burst(&m->ring.r, messages, n);
    if (taken < 0 && taken != RING_TOO_BIG)
        take_result(m, taken);
    for (int64_t i = 0; i < taken; i++)
        pop_bytes(m, messages[i].data, messages[i].length, 0);
}

static void take_something(struct model *m)
{
    static uint8_t room[8 * RING_SIZE];
    struct ring_receiver *r = &m->ring.r;
    unsigned what = random_below(&m->dice, 100);
    struct ring_piece piece = {NULL, 0, 0};
    int more;
    int64_t n;

    if (what < 50) {
        n = ring_receiver_get(r, room, what < 25 ? sizeof(room) : random_below(&m->dice, 200),
                              &more);
        if (n < 0)
            take_result(m, n);
        else
            pop_bytes(m, room, (size_t)n, more);
    } else if (what < 75) {
        n = ring_receiver_peek(r, &piece);
        if (n < 0) {
            take_result(m, n);
            return;
        }
        n = random_below(&m->dice, 2) ? piece.length
                                      : random_below(&m->dice, (unsigned)piece.length + 1);
        more = (size_t)n < piece.length || piece.more;
        pop_bytes(m, piece.data, (size_t)n, more);
        assert_int_equal(RING_OK, ring_receiver_release(r, (size_t)n));
    } else if (what < 97) {
        take_burst(m);
    } else {
        ring_receiver_publish(r);
    }
}

static void compare(uint32_t flags, size_t size)
{
    static struct model m;

    memset(&m, 0, sizeof(m));
    m.dice = random_start();
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)random_next(&m.dice);
    ring_pair_init(&m.ring, size, flags, UINT32_C(0xffff0000));
    for (unsigned round = 0; round < 300000; round++) {
        if (round % 100 == 0) /* they copy in all ways */
            m.ring.s.distance.ticks = m.ring.r.distance.ticks = round % 200 ? 2 * RING_FAR : 0;
        /* now the one is quicker, now the other */
        if (random_below(&m.dice, 100) < (round / 500 % 2 ? 70 : 30))
            send_something(&m);
        else
            take_something(&m);
    }
    while (m.ring.s.aborting || m.taken < m.put) {
        ring_receiver_publish(&m.ring.r);
        (void)ring_sender_put(&m.ring.s, bytes, 0, 1); /* for RING_ABORT */
        if (m.ring.s.aborting && ring_sender_put(&m.ring.s, bytes, 1, 0) == RING_OK)
            push_bytes(&m, bytes, 1, 0);
        take_something(&m);
    }
    assert_true(m.put > 10000000);
    free(m.next);
    ring_pair_deinit(&m.ring);
}

static void plain(void **state)
{
    (void)state;
    compare(0, RING_SIZE);
}

static void checked(void **state)
{
    (void)state;
    compare(LAYOUT_CRC32C, 2 * RING_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
