/* SPDX-License-Identifier: MIT
 *
 * Rings, call by call: what each end says and does, with an honest other side and with one that
 * writes what cannot be. test_ring_model.c has random operations, test_ring_stress.c two sides at
 * the same time.
 */
#include "tests/unit/ring_pair.h"

static uint8_t sent[2 * RING_SIZE], got[2 * RING_SIZE];

static void expect(struct ring_receiver *r, const void *data, size_t length, int more)
{
    int goes_on = -1;

    memset(got, 0xee, sizeof(got));
    assert_int_equal((int64_t)length, ring_receiver_get(r, got, sizeof(got), &goes_on));
    assert_int_equal(more, goes_on);
    assert_memory_equal(data, got, length);
    assert_int_equal(0xee, got[length]);
}

static void expect_result(struct ring_receiver *r, int result)
{
    struct ring_part message = {got, sizeof(got)};
    struct ring_piece piece;
    int more;

    if (result != RING_ABORTED && result != RING_MISMATCH) {
        assert_int_equal(result, ring_receiver_peek(r, &piece));
        assert_int_equal(result, ring_receiver_get_burst(r, &message, 1));
        assert_int_equal(result != RING_EMPTY, ring_receiver_look(r));
    }
    assert_int_equal(result, ring_receiver_get(r, got, sizeof(got), &more));
}

static void arguments(void **state)
{
    static const size_t wrong[] = {0, 8, 4095, 4097, 6144, (size_t)LAYOUT_RING_MAX + 4096};
    uint8_t *data = ring_memory(RING_SIZE);
    struct layout_channel c = {.entry = {0}};
    struct ring_sender s;
    struct ring_receiver r;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(RING_INVALID,
                         ring_sender_init(&s, &c.sender, &c.receiver, data, wrong[i], 0));
        assert_int_equal(RING_INVALID,
                         ring_receiver_init(&r, &c.receiver, &c.sender, data, wrong[i], 0));
    }
    assert_int_equal(RING_INVALID,
                     ring_sender_init(&s, &c.sender, &c.receiver, data, RING_SIZE, 2));
    assert_int_equal(RING_INVALID,
                     ring_receiver_init(&r, &c.receiver, &c.sender, data, RING_SIZE, 2));
    assert_int_equal(RING_INVALID,
                     ring_sender_init(&s, &c.sender, &c.receiver, data + 4, RING_SIZE, 0));
    assert_int_equal(RING_INVALID,
                     ring_receiver_init(&r, &c.receiver, &c.sender, data + 4, RING_SIZE, 0));
    assert_int_equal(RING_SIZE / 4, ring_piece_max(RING_SIZE));
    assert_int_equal(RING_LENGTH_MASK - 7, ring_piece_max((size_t)LAYOUT_RING_MAX));
    ring_relax();
    free(data);
}

/* The bytes are those that the man page shows. */
static void format(void **state)
{
    static const uint8_t right[] = {5, 0, 0, 0x80, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'};
    static const uint8_t next[] = {1, 0, 0, 0x88, 0, 0, 0, 0, '!'};
    struct ring_pair p;

    (void)state;
    ring_pair_init(&p, RING_SIZE, 0, 0);
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "hello", 5, 0));
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "!", 1, 1));
    assert_memory_equal(right, p.data, sizeof(right));
    assert_memory_equal(next, p.data + 16, sizeof(next));
    assert_memory_equal("\0\0\0\0", p.data + 32, 4);
    ring_sender_publish(&p.s);
    assert_int_equal(4, p.channel.sender.tail);
    assert_int_equal(4, p.channel.sender.data_size);
    assert_int_equal(6, p.channel.sender.bytes);
    assert_int_equal(1, p.channel.sender.messages);
    ring_sender_abort(&p.s);
    ring_sender_end(&p.s);
    assert_memory_equal("\0\0\0\xa8\0\0\0\0\0\0\0\xa0\0\0\0\0", p.data + 32, 16);
    ring_pair_deinit(&p);
    ring_pair_init(&p, RING_SIZE, LAYOUT_CRC32C, 0);
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "123456789", 9, 0));
    assert_memory_equal("\x09\0\0\x80\x83\x92\x06\xe3", p.data, 8);
    ring_pair_deinit(&p);
}

/* Each length, at each place, through each of the ways in and out. */
static void lengths(void **state)
{
    volatile size_t most = SIZE_MAX; /* compilers shall not follow it into the copy */

    (void)state;
    for (uint32_t flags = 0; flags <= LAYOUT_CRC32C; flags++) {
        struct ring_pair p;

        ring_pair_init(&p, RING_SIZE, flags, UINT32_C(0xffffff00));
        for (unsigned round = 0; round < 3 * (PIECE + 1); round++) {
            size_t length = round % (PIECE + 1);
            struct ring_part parts[] = {{sent, length / 3}, {NULL, 0}, {sent + length / 3, 0}};
            struct ring_piece piece;
            void *room = NULL;

            parts[2].length = length - length / 3;
            fill(sent, length, round);
            expect_result(&p.r, RING_EMPTY);
            assert_int_equal(RING_OK, ring_sender_put(&p.s, sent, length, 0));
            assert_int_equal((int64_t)length, ring_sender_put_parts(&p.s, parts, 3, 0, 0));
            expect(&p.r, sent, length, 0);
            assert_int_equal(RING_OK, ring_receiver_peek(&p.r, &piece));
            assert_int_equal(length, piece.length);
            assert_int_equal(0, piece.more);
            assert_memory_equal(sent, piece.data, length);
            assert_int_equal(RING_INVALID, ring_receiver_release(&p.r, length + 1));
            assert_int_equal(RING_OK, ring_receiver_release(&p.r, length));
            assert_int_equal(RING_INVALID, ring_receiver_release(&p.r, 0));
            assert_int_equal(RING_OK, ring_sender_reserve(&p.s, length, &room));
            memcpy(room, sent, length);
            expect_result(&p.r, RING_EMPTY);
            assert_int_equal(RING_OK, ring_sender_commit(&p.s, length, 0));
            expect(&p.r, sent, length, 0);
        }
        assert_true(p.s.tail < UINT32_C(0x80000000)); /* went beyond 2^32 */
        assert_int_equal(RING_TOO_BIG, ring_sender_put(&p.s, sent, PIECE + 1, 0));
        assert_int_equal(RING_TOO_BIG, ring_sender_put(&p.s, sent, most, 0));
        ring_pair_deinit(&p);
    }
}

/* One copy in and one out, near or far; nothing beside it is touched. */
static void copy_both_ways(size_t n, size_t place, int far)
{
    static uint8_t from[16384], ring[16384], to[16384];
    const size_t side = 64;

    fill(from, n, (unsigned)(n + place));
    memset(ring, 0xaa, n + place + 2 * side);
    memset(to, 0xbb, n + 2 * side);
    ring_copy_in(ring + side + place, from, n, far);
    ring_copy_out(to + side, ring + side + place, n, far);
    assert_memory_equal(from, to + side, n);
    for (size_t i = 0; i < side; i++) {
        assert_int_equal(0xaa, ring[place + i]);
        assert_int_equal(0xaa, ring[side + place + n + i]);
        assert_int_equal(0xbb, to[i]);
        assert_int_equal(0xbb, to[side + n + i]);
    }
}

static void copies(void **state)
{
    static const size_t around[] = {350, RING_STRING, RING_LARGE, RING_LARGE + 350};

    (void)state;
    for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++)
        for (size_t n = around[i] < 400 ? 0 : around[i] - 70; n <= around[i] + 70; n++) {
            copy_both_ways(n, n % 8 * 8, 0);
            copy_both_ways(n, n % 7 * 8, 1);
        }
}

/* Only loads of what the other side has written anew say how far away it is. */
static void distance(void **state)
{
    struct ring_distance d = {0, 0};
    uint32_t word = 0;

    (void)state;
    d.ticks = RING_FAR + 1;
    assert_int_equal(1, ring_distance_far(&d));
    assert_int_equal(0, ring_distance_load(&d, &word));
    assert_int_equal(RING_FAR + 1, d.ticks);
    d.ticks = 2 * RING_FAR;
    for (word = 1; word < 1000; word++) {
        assert_int_equal(word, ring_distance_load(&d, &word));
        assert_true(d.ticks <= 2 * RING_FAR);
    }
}

static void reserving(void **state)
{
    struct ring_pair p;
    void *room = NULL, *again = NULL;

    (void)state;
    ring_pair_init(&p, RING_SIZE, 0, 0);
    assert_int_equal(RING_INVALID, ring_sender_commit(&p.s, 1, 0));
    assert_int_equal(RING_OK, ring_sender_reserve(&p.s, 100, &room));
    assert_int_equal(RING_OK, ring_sender_reserve(&p.s, PIECE, &again));
    assert_ptr_equal(room, again);
    assert_int_equal(RING_TOO_BIG, ring_sender_reserve(&p.s, PIECE + 1, &again));
    assert_int_equal(RING_OK, ring_sender_reserve(&p.s, 100, &room));
    memcpy(room, "abc", 3);
    assert_int_equal(RING_INVALID, ring_sender_commit(&p.s, SIZE_MAX, 0));
    assert_int_equal(RING_OK, ring_sender_commit(&p.s, 0, 1)); /* nothing */
    expect_result(&p.r, RING_EMPTY);
    assert_int_equal(RING_OK, ring_sender_commit(&p.s, 3, 1));
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "d", 1, 0));
    expect(&p.r, "abc", 3, 1);
    expect(&p.r, "d", 1, 0);
    ring_pair_deinit(&p);
}

/* A buffer that is too small loses nothing; looking and taking can be mixed. */
static void in_small_bites(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= LAYOUT_CRC32C; flags++) {
        struct ring_pair p;
        struct ring_piece piece;
        int more = 0;

        ring_pair_init(&p, RING_SIZE, flags, 0);
        assert_int_equal(RING_OK, ring_sender_put(&p.s, "hello, wor", 10, 1));
        assert_int_equal(RING_OK, ring_sender_put(&p.s, "ld", 2, 0));
        assert_int_equal(0, ring_receiver_get(&p.r, NULL, 0, &more));
        assert_int_equal(1, more);
        assert_int_equal(3, ring_receiver_get(&p.r, got, 3, &more));
        assert_memory_equal("hel", got, 3);
        assert_int_equal(1, more);
        assert_int_equal(RING_OK, ring_receiver_peek(&p.r, &piece));
        assert_int_equal(7, piece.length);
        assert_memory_equal("lo, wor", piece.data, 7);
        assert_int_equal(1, piece.more);
        assert_int_equal(RING_OK, ring_receiver_release(&p.r, 4));
        assert_int_equal(1, ring_receiver_look(&p.r));
        assert_int_equal(3, ring_receiver_get(&p.r, got, 8, &more));
        assert_memory_equal("wor", got, 3);
        assert_int_equal(1, more);
        assert_int_equal(1, ring_receiver_get(&p.r, got, 1, &more));
        assert_int_equal(1, more);
        assert_int_equal(1, ring_receiver_get(&p.r, got, 1, &more));
        assert_int_equal(0, more);
        expect_result(&p.r, RING_EMPTY);
        assert_int_equal(RING_OK, ring_sender_put(&p.s, "", 0, 1)); /* nothing */
        expect_result(&p.r, RING_EMPTY);
        assert_int_equal(RING_OK, ring_sender_put(&p.s, "", 0, 0));
        assert_int_equal(RING_OK, ring_receiver_peek(&p.r, &piece));
        assert_int_equal(0, piece.length);
        assert_int_equal(RING_OK, ring_receiver_release(&p.r, 0));
        expect_result(&p.r, RING_EMPTY);
        ring_pair_deinit(&p);
    }
}

/* Larger than the ring, in uneven parts. */
static void streaming(void **state)
{
    struct ring_part parts[] = {{sent, 1}, {NULL, 0}, {sent + 1, 5000}, {sent + 5001, 3191}};
    struct ring_part huge[] = {{sent, SIZE_MAX}, {sent, 2}};
    size_t done = 0, taken = 0;
    struct ring_pair p;
    int more = 1;

    (void)state;
    ring_pair_init(&p, RING_SIZE, LAYOUT_CRC32C, 0);
    fill(sent, sizeof(sent), 7);
    while (more) {
        int64_t n = ring_sender_put_parts(&p.s, parts, 4, done, 0);

        if (n > 0)
            done += (size_t)n;
        else
            assert_int_equal(done == sizeof(sent) ? 0 : RING_FULL, n);
        n = ring_receiver_get(&p.r, got + taken, 700, &more);
        assert_true(n > 0);
        taken += (size_t)n;
    }
    assert_int_equal(sizeof(sent), done);
    assert_int_equal(sizeof(sent), taken);
    assert_memory_equal(sent, got, sizeof(sent));
    assert_int_equal(1, p.s.messages);
    assert_int_equal(0, ring_sender_put_parts(&p.s, NULL, 0, 0, 1));
    expect_result(&p.r, RING_EMPTY);
    parts[0] = (struct ring_part){sent, 3};
    assert_int_equal(3, ring_sender_put_parts(&p.s, parts, 1, 0, 1));
    assert_int_equal(0, ring_sender_put_parts(&p.s, NULL, 0, 0, 0));
    expect(&p.r, sent, 3, 1);
    expect(&p.r, "", 0, 0);
    parts[0].length = 1;
    assert_int_equal(RING_INVALID, ring_sender_put_parts(&p.s, parts, 4, sizeof(sent) + 1, 0));
    assert_int_equal(RING_INVALID, ring_sender_put_parts(&p.s, huge, 2, 0, 0));
    expect_result(&p.r, RING_EMPTY);
    ring_pair_deinit(&p);
}

static void full(void **state)
{
    struct ring_pair p;
    unsigned n = 0;

    (void)state;
    ring_pair_init(&p, RING_SIZE, 0, 0);
    while (ring_sender_put(&p.s, "12345678", 8, 0) == RING_OK)
        n++;
    assert_int_equal((RING_SIZE - 8) / 16, n);
    assert_int_equal(RING_FULL, ring_sender_put(&p.s, "12345678", 8, 0));
    assert_int_equal(0, ring_sender_look(&p.s));
    assert_int_equal(1, p.channel.sender.head_touch);
    assert_int_equal(2 * n, p.channel.sender.data_size);
    assert_int_equal(n, p.channel.sender.messages);
    for (unsigned i = 0; i < RING_SIZE / 4 / 16; i++) { /* given back a quarter at a time */
        assert_int_equal(0, ring_sender_look(&p.s));
        assert_int_equal(0, p.channel.receiver.head);
        expect(&p.r, "12345678", 8, 0);
    }
    assert_int_equal(RING_SIZE / 4 / 8, p.channel.receiver.head);
    assert_int_equal(1, ring_sender_look(&p.s));
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "12345678", 8, 0));
    while (n-- > RING_SIZE / 4 / 16 - 1)
        expect(&p.r, "12345678", 8, 0);
    expect_result(&p.r, RING_EMPTY);
    ring_pair_deinit(&p);
}

/* It only takes time, and counts what was taken since. */
static void pausing(void **state)
{
    struct ring_pair p;

    (void)state;
    ring_pair_init(&p, RING_SIZE, 0, 0);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned n = 0; n < i; n++) {
            assert_int_equal(RING_OK, ring_sender_put(&p.s, "a", 1, 0));
            expect(&p.r, "a", 1, 0);
        }
        assert_int_equal(i, p.r.records - p.r.paused);
        ring_receiver_pause(&p.r);
        assert_int_equal(p.r.records, p.r.paused);
    }
    ring_pair_deinit(&p);
}

static void bursts(void **state)
{
    struct ring_part out[300] = {{NULL, 0}}, in[300];
    struct ring_pair p;
    unsigned put = 0, taken = 0;

    (void)state;
    fill(sent, sizeof(sent), 3);
    ring_pair_init(&p, RING_SIZE, 0, 0);
    assert_int_equal(0, ring_sender_put_burst(&p.s, out, 0));
    while (taken < 5000) {
        int64_t n;

        for (unsigned i = 0; i < 300; i++) {
            out[i] = (struct ring_part){sent + (put + i) % 500, (put + i) % 13};
            in[i] = (struct ring_part){got + i * 16, 16};
        }
        n = ring_sender_put_burst(&p.s, out, 1 + put % 300);
        assert_true(n > 0 || n == RING_FULL);
        put += n > 0 ? (unsigned)n : 0;
        n = ring_receiver_get_burst(&p.r, in, 200);
        assert_true(n > 0 || n == RING_EMPTY);
        for (unsigned i = 0; n > 0 && i < n; i++, taken++) {
            assert_int_equal(taken % 13, in[i].length);
            assert_memory_equal(sent + taken % 500, in[i].data, in[i].length);
        }
    }
    while (ring_receiver_get_burst(&p.r, in, 1) > 0)
        in[0].length = 16;
    assert_int_equal(RING_TOO_BIG,
                     ring_sender_put_burst(&p.s, &(struct ring_part){sent, PIECE + 1}, 1));
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "abc", 3, 0));
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "abcdef", 6, 1));
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "g", 1, 0));
    in[0].length = in[1].length = in[2].length = 16;
    assert_int_equal(0, ring_receiver_get_burst(&p.r, in, 0));
    in[0].length = 2;
    assert_int_equal(RING_TOO_BIG, ring_receiver_get_burst(&p.r, in, 3)); /* no room */
    in[0].length = 16;
    assert_int_equal(1, ring_receiver_get_burst(&p.r, in, 3));
    assert_int_equal(RING_TOO_BIG, ring_receiver_get_burst(&p.r, in, 3)); /* a piece */
    expect(&p.r, "abcdef", 6, 1);
    assert_int_equal(RING_TOO_BIG, ring_receiver_get_burst(&p.r, in, 3)); /* the end of one */
    assert_int_equal(RING_TOO_BIG, ring_receiver_get_burst(&p.r, in, 3));
    expect(&p.r, "g", 1, 0);
    expect_result(&p.r, RING_EMPTY);
    ring_pair_deinit(&p);
}

static void aborting(void **state)
{
    struct ring_pair p;
    unsigned n = 0;

    (void)state;
    ring_pair_init(&p, RING_SIZE, 0, 0);
    ring_sender_abort(&p.s); /* nothing to take back */
    expect_result(&p.r, RING_EMPTY);
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "abc", 3, 1));
    ring_sender_abort(&p.s);
    ring_sender_abort(&p.s);
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "def", 3, 0));
    expect(&p.r, "abc", 3, 1);
    expect_result(&p.r, RING_ABORTED);
    expect(&p.r, "def", 3, 0);
    expect_result(&p.r, RING_EMPTY);
    while (ring_sender_put(&p.s, "12345678", 8, 1) == RING_OK)
        n++;
    while (ring_sender_put(&p.s, "", 0, 0) == RING_OK) {
    }
    for (unsigned i = 0; i < n; i++)
        expect(&p.r, "12345678", 8, 1);
    ring_receiver_publish(&p.r);
    for (n = 0; ring_receiver_look(&p.r); n++)
        expect(&p.r, "", 0, 0);
    ring_receiver_publish(&p.r);
    while (ring_sender_put(&p.s, "12345678", 8, 1) == RING_OK) {
    }
    ring_sender_abort(&p.s); /* no room for that: comes before what is sent next */
    for (n = 0; ring_receiver_look(&p.r); n++)
        expect(&p.r, "12345678", 8, 1);
    ring_receiver_publish(&p.r);
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "next", 4, 0));
    expect_result(&p.r, RING_ABORTED);
    expect(&p.r, "next", 4, 0);
    ring_pair_deinit(&p);
}

/* There is room for the end, however full the ring is and wherever it is. */
static void ending(void **state)
{
    (void)state;
    for (unsigned start = 0; start < RING_SIZE / 8; start++) {
        struct ring_pair p;
        unsigned n = 0;

        ring_pair_init(&p, RING_SIZE, 0, 0);
        for (unsigned i = 0; i < start; i++) {
            assert_int_equal(RING_OK, ring_sender_put(&p.s, "", 0, 0));
            expect(&p.r, "", 0, 0);
        }
        ring_receiver_publish(&p.r);
        while (ring_sender_put(&p.s, "", 0, 0) == RING_OK)
            n++;
        assert_int_equal(RING_SIZE / 8 - 1, n);
        ring_sender_end(&p.s);
        ring_sender_end(&p.s);
        assert_int_equal(RING_ENDED, ring_sender_put(&p.s, "", 0, 0));
        assert_int_equal(RING_ENDED, ring_sender_move(&p.s, p.data, RING_SIZE));
        assert_int_equal(1, ring_sender_look(&p.s));
        for (unsigned i = 0; i < n; i++)
            expect(&p.r, "", 0, 0);
        expect_result(&p.r, RING_ENDED);
        expect_result(&p.r, RING_ENDED);
        ring_pair_deinit(&p);
    }
}

/* Take all that is there: bytes of "x" messages, then of one large message into @got. */
static int64_t take_all(struct ring_receiver *r, size_t *taken)
{
    int more;
    int64_t n;

    while ((n = ring_receiver_get(r, got + *taken, 100, &more)) >= 0) {
        if (!*taken && !more && n == 1 && got[0] == 'x')
            continue;
        *taken += (size_t)n;
    }
    return n;
}

/* To larger rings and smaller ones, with a message under way and data in both. */
static void moving(void **state)
{
    static const size_t sizes[] = {2 * RING_SIZE, RING_SIZE, 4 * RING_SIZE};
    struct ring_pair p;

    (void)state;
    ring_pair_init(&p, RING_SIZE, 0, UINT32_C(0xfffffff0));
    assert_int_equal(RING_INVALID, ring_sender_move(&p.s, p.data, 4000));
    assert_int_equal(RING_INVALID, ring_receiver_move(&p.r, p.data, RING_SIZE));
    for (unsigned round = 0; round < 9; round++) {
        size_t size = sizes[round % 3], done = 0, taken = 0;
        struct ring_part whole = {sent, 5000};
        uint8_t *next = ring_memory(size);
        int64_t n;

        fill(sent, whole.length, round);
        memset(next, 0xff, RING_UNIT);
        for (unsigned i = 0; i < 20 + round; i++)
            assert_int_equal(RING_OK, ring_sender_put(&p.s, "x", 1, 0));
        assert_int_equal(RING_OK, ring_sender_put(&p.s, sent, 1000, 1));
        done = 1000;
        assert_int_equal(RING_OK, ring_sender_move(&p.s, next, size));
        assert_int_equal(0, p.channel.sender.data_size);
        n = ring_sender_put_parts(&p.s, &whole, 1, done, 0);
        assert_true(n > 0);
        done += (size_t)n;
        assert_int_equal(RING_MOVED, take_all(&p.r, &taken));
        assert_int_equal(1000, taken);
        expect_result(&p.r, RING_MOVED);
        assert_int_equal(RING_INVALID, ring_receiver_move(&p.r, next, size + 1));
        assert_int_equal(RING_OK, ring_receiver_move(&p.r, next, size));
        while (take_all(&p.r, &taken) == RING_EMPTY && done < whole.length) {
            ring_receiver_publish(&p.r);
            n = ring_sender_put_parts(&p.s, &whole, 1, done, 0);
            assert_true(n > 0);
            done += (size_t)n;
        }
        assert_int_equal(whole.length, taken);
        assert_memory_equal(sent, got, whole.length);
        free(p.data);
        p.data = next;
    }
    ring_pair_deinit(&p);
}

static void mismatches(void **state)
{
    struct ring_part in[3] = {{got, 16}, {got + 16, 16}, {got + 32, 16}};
    struct ring_pair p;
    struct ring_piece piece;
    int more = -1;

    (void)state;
    ring_pair_init(&p, RING_SIZE, LAYOUT_CRC32C, 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(RING_OK, ring_sender_put(&p.s, "abcdefgh", 8, i == 3));
    for (int i = 1; i < 6; i++)
        p.data[i * 16 + 9] ^= 4;
    assert_int_equal(1, ring_receiver_get_burst(&p.r, in, 3)); /* then a wrong one */
    in[0].length = 16;
    assert_int_equal(RING_MISMATCH, ring_receiver_get_burst(&p.r, in, 3));
    in[0].length = 16;
    assert_int_equal(RING_MISMATCH, ring_receiver_get_burst(&p.r, in, 3));
    assert_int_equal(RING_MISMATCH, ring_receiver_peek(&p.r, &piece));
    assert_int_equal(1, piece.more);
    assert_int_equal(3, ring_receiver_get(&p.r, got, 3, &more));
    assert_int_equal(RING_MISMATCH, ring_receiver_get(&p.r, got, 16, &more));
    assert_int_equal(0, more);
    p.data[5 * 16 + 9] ^= 4; /* right again */
    assert_int_equal(RING_OK, ring_receiver_peek(&p.r, &piece));
    assert_int_equal(3, ring_receiver_get(&p.r, got, 3, &more));
    assert_int_equal(5, ring_receiver_get(&p.r, got, 16, &more));
    expect_result(&p.r, RING_EMPTY);
    ring_pair_deinit(&p);
}

/* Words that no sender writes. */
static void corrupt(void **state)
{
    static const struct {
        unsigned place;
        uint32_t word;
    } bad[] = {
        {0, 1},                         /* not valid, and not 0 */
        {0, 0x7fffffff},                /* neither */
        {0, 0x80000000 | (PIECE + 1)},  /* longer than a piece */
        {0, 0x87ffffff},                /* as long as can be */
        {0, 0x88000000},                /* an empty piece of more */
        {0, 0x88000000 | (PIECE + 1)},  /* longer than a piece */
        {0, 0x90000000},                /* skips all of the ring */
        {1, 0x90000001},                /* a skip with payload */
        {0, 0x98000001},                /* a move with payload */
        {0, 0xa0000001},                /* an end with payload */
        {0, 0xa8000000},                /* an abort of nothing */
        {0, 0xb0000000},                /* unknown kinds */
        {0, 0xffffffff},                /* neither */
        {511, 0x80000001},              /* beyond the end */
        {510, 0x80000009},              /* beyond the end */
        {384, 0x80000000 | (PIECE - 7)} /* beyond the end, just a piece */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ring_pair p;

        ring_pair_init(&p, RING_SIZE, 0, 0);
        for (unsigned n = 0; n < bad[i].place; n++) {
            assert_int_equal(RING_OK, ring_sender_put(&p.s, "", 0, 0));
            expect(&p.r, "", 0, 0);
        }
        memcpy(p.data + (size_t)bad[i].place * 8, &bad[i].word, 4);
        if (i % 2)
            expect_result(&p.r, RING_CORRUPT);
        else
            assert_int_equal(RING_CORRUPT, ring_receiver_get(&p.r, got, sizeof(got), &(int){0}));
        memset(p.data, 0, p.size); /* it stays so */
        expect_result(&p.r, RING_CORRUPT);
        ring_pair_deinit(&p);
    }
}

/* Heads that no receiver can have. */
static void wrong_heads(void **state)
{
    static const uint32_t heads[] = {99, 0, 613, 0x80000000, 0xffffffff};

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct ring_pair p;
        unsigned n = 0;

        ring_pair_init(&p, RING_SIZE, 0, 100);
        for (; n < 50; n++)
            assert_int_equal(RING_OK, ring_sender_put(&p.s, "", 0, 0));
        p.channel.receiver.head = heads[i];
        while (n < 1000 && ring_sender_put(&p.s, "12345678", 8, 0) == RING_OK)
            n++;
        assert_int_equal(RING_CORRUPT, ring_sender_put(&p.s, "", 0, 0));
        p.channel.receiver.head = 100; /* it stays so */
        assert_int_equal(RING_CORRUPT, ring_sender_put(&p.s, "", 0, 0));
        assert_int_equal(RING_CORRUPT, ring_sender_move(&p.s, p.data, RING_SIZE));
        assert_int_equal(1, ring_sender_look(&p.s));
        assert_int_equal(1, ring_sender_sleep(&p.s));
        ring_sender_end(&p.s);
        ring_pair_deinit(&p);
    }
}

static void sleeping(void **state)
{
    struct ring_pair p;

    (void)state;
    ring_pair_init(&p, RING_SIZE, 0, 0);
    /* the receiver */
    assert_int_equal(0, ring_sender_wake(&p.s));
    assert_int_equal(0, ring_receiver_sleep(&p.r));
    assert_int_equal(1, p.channel.receiver.receiver_waits);
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "a", 1, 0));
    assert_int_equal(1, ring_sender_wake(&p.s));
    assert_int_equal(0, ring_sender_wake(&p.s)); /* once is enough */
    assert_int_equal(0, ring_sender_flush(&p.s));
    assert_int_equal(2, p.channel.sender.tail);
    ring_receiver_awake(&p.r);
    ring_receiver_awake(&p.r);
    assert_int_equal(2, p.channel.receiver.receiver_waits);
    assert_int_equal(1, ring_receiver_sleep(&p.r)); /* there is something */
    assert_int_equal(4, p.channel.receiver.receiver_waits);
    expect(&p.r, "a", 1, 0);
    assert_int_equal(0, p.channel.receiver.head);
    assert_int_equal(0, ring_receiver_sleep(&p.r));
    assert_int_equal(2, p.channel.receiver.head);
    assert_int_equal(0, ring_receiver_wake(&p.r));
    assert_int_equal(1, ring_sender_flush(&p.s)); /* another sleep */
    ring_receiver_awake(&p.r);
    /* the sender */
    while (ring_sender_put(&p.s, sent, 100, 0) == RING_OK) {
    }
    assert_int_equal(0, ring_sender_sleep(&p.s));
    assert_int_equal(1, p.channel.sender.sender_waits);
    while (!p.r.fresh) {
        assert_int_equal(0, ring_receiver_wake(&p.r)); /* nothing was given back yet */
        expect(&p.r, sent, 100, 0);
    }
    assert_int_equal(1, ring_receiver_wake(&p.r));
    assert_int_equal(0, ring_receiver_wake(&p.r));
    assert_int_equal(0, ring_receiver_flush(&p.r));
    assert_int_equal(1, ring_sender_look(&p.s));
    ring_sender_awake(&p.s);
    assert_int_equal(RING_OK, ring_sender_put(&p.s, sent, 100, 0));
    while (ring_sender_put(&p.s, sent, 100, 0) == RING_OK) {
    }
    assert_int_equal(0, ring_sender_sleep(&p.s));
    assert_int_equal(1, ring_receiver_flush(&p.r)); /* told for certain */
    ring_sender_awake(&p.s);
    ring_pair_deinit(&p);
}

/* Who was rung once is certain to be rung again: a receiver for some records, a sender for ever. */
static void sleeping_certainly(void **state)
{
    struct ring_pair p;

    (void)state;
    ring_pair_init(&p, RING_SIZE, 0, 0);
    assert_int_equal(0, ring_receiver_sleep(&p.r));
    assert_int_equal(0, ring_receiver_certain(&p.r));
    ring_receiver_awake(&p.r); /* nobody rang */
    assert_int_equal(0, ring_receiver_sleep(&p.r));
    assert_int_equal(0, ring_receiver_certain(&p.r));
    assert_int_equal(RING_OK, ring_sender_put(&p.s, "a", 1, 0));
    assert_int_equal(1, ring_sender_wake(&p.s));
    assert_int_equal(p.channel.receiver.receiver_waits, p.channel.sender.rang);
    ring_receiver_awake(&p.r);
    for (unsigned i = 0; i < RING_FENCED; i++) {
        assert_int_equal(1, ring_receiver_certain(&p.r));
        assert_int_equal(1, p.s.fencing);
        expect(&p.r, "a", 1, 0);
        assert_int_equal(RING_OK, ring_sender_put(&p.s, "a", 1, 0));
        assert_int_equal(0, ring_sender_wake(&p.s));
    }
    assert_int_equal(0, ring_receiver_certain(&p.r));
    assert_int_equal(0, p.s.fencing);
    expect(&p.r, "a", 1, 0);
    assert_int_equal(0, ring_receiver_sleep(&p.r));
    p.channel.sender.rang = p.r.waits + 2; /* of no sleep */
    ring_receiver_awake(&p.r);
    assert_int_equal(0, ring_receiver_certain(&p.r));
    /* the sender */
    while (ring_sender_put(&p.s, sent, 100, 0) == RING_OK) {
    }
    assert_int_equal(0, ring_sender_sleep(&p.s));
    assert_int_equal(0, ring_sender_certain(&p.s));
    while (!ring_receiver_wake(&p.r))
        expect(&p.r, sent, 100, 0);
    assert_int_equal(p.channel.sender.sender_waits, p.channel.receiver.rang);
    ring_sender_awake(&p.s);
    assert_int_equal(1, ring_sender_certain(&p.s));
    ring_pair_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),
        cmocka_unit_test(format),
        cmocka_unit_test(lengths),
        cmocka_unit_test(copies),
        cmocka_unit_test(distance),
        cmocka_unit_test(reserving),
        cmocka_unit_test(in_small_bites),
        cmocka_unit_test(streaming),
        cmocka_unit_test(full),
        cmocka_unit_test(bursts),
        cmocka_unit_test(pausing),
        cmocka_unit_test(aborting),
        cmocka_unit_test(ending),
        cmocka_unit_test(moving),
        cmocka_unit_test(mismatches),
        cmocka_unit_test(corrupt),
        cmocka_unit_test(wrong_heads),
        cmocka_unit_test(sleeping),
        cmocka_unit_test(sleeping_certainly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
