/* SPDX-License-Identifier: MIT
 *
 * Both ends of a ring in memory that somebody else writes to all the time. The first byte has the
 * flags; then come steps: a byte that says what to do, and two for how much. A step may write
 * bytes of the input into the ring or the words of either side. Whatever lies there, each call
 * says something that it may say, and touches neither what is not the ring's nor what is not the
 * caller's: all that memory is allocated as large as it is.
 */
#include "common/ring.h"
#include "tests/fuzz/fuzz.h"

enum { SIZE = LAYOUT_BLOCK, LARGE = 2 * LAYOUT_BLOCK, STEPS_MAX = 300 };

struct input {
    const uint8_t *data;
    size_t size;
};

struct shared {
    struct layout_channel *channel;
    uint8_t *ring, *next; /* the next one is only there after a move */
    size_t size;
    struct ring_sender s;
    struct ring_receiver r;
    uint8_t *message; /* LARGE bytes of the caller */
};

static unsigned take(struct input *input)
{
    if (!input->size)
        return 0;
    input->size--;
    return *input->data++;
}

/* Somebody else writes. */
static void scribble(struct shared *m, struct input *input, unsigned where, unsigned amount)
{
    uint8_t *to = m->ring;
    size_t room = m->size, at = (size_t)amount * 8, n = take(input) % 64;

    if (where % 4 == 1)
        at = (size_t)m->r.place * RING_UNIT; /* what is read next */
    if (where % 4 == 2) {
        to = (uint8_t *)&m->channel->sender;
        room = 16;
    } else if (where % 4 == 3) {
        to = (uint8_t *)&m->channel->receiver;
        room = 8;
    }
    for (size_t i = 0; i < n; i++)
        to[(at + i) % room] = (uint8_t)take(input);
}

static void check_sender(int64_t result, size_t most)
{
    REQUIRE(result >= RING_INVALID && result <= (int64_t)most && result != RING_EMPTY &&
            result != RING_MOVED && result != RING_ABORTED && result != RING_MISMATCH);
}

static void check_receiver(int64_t result, size_t most)
{
    REQUIRE(result >= RING_INVALID && result <= (int64_t)most && result != RING_FULL);
}

static void reserve(struct shared *m, size_t amount)
{
    void *room;
    int r = ring_sender_reserve(&m->s, amount, &room);

    check_sender(r, 0);
    if (r)
        return;
    REQUIRE((uint8_t *)room >= m->s.data + RING_UNIT);
    REQUIRE((uint8_t *)room + amount <= m->s.data + m->s.total * (size_t)RING_UNIT);
    memset(room, 0xee, amount);
    REQUIRE(ring_sender_commit(&m->s, amount / 2, amount % 2) == RING_OK);
}

static void send_step(struct shared *m, unsigned what, size_t amount)
{
    struct ring_part parts[3] = {{m->message, amount / 2}, {m->message, amount % 7}, {NULL, 0}};
    uint8_t *next;

    switch (what) {
    case 0:
        check_sender(ring_sender_put(&m->s, m->message, amount, amount % 5 == 0), 0);
        break;
    case 1:
        reserve(m, amount);
        break;
    case 2:
        check_sender(ring_sender_put_parts(&m->s, parts, 3, amount / 3, 0), amount + 7);
        break;
    case 3:
        if (!m->s.open)
            check_sender(ring_sender_put_burst(&m->s, parts, 3), 3);
        break;
    case 4:
        ring_sender_abort(&m->s);
        break;
    case 5:
        if (m->next)
            break;
        next = aligned_alloc(64, LARGE);
        REQUIRE(next);
        memset(next, (int)amount, LARGE);
        if (ring_sender_move(&m->s, next, LARGE))
            free(next);
        else
            m->next = next;
        break;
    case 6:
        if (amount == 7)
            ring_sender_end(&m->s);
        break;
    default:
        REQUIRE((ring_sender_wake(&m->s) | ring_sender_flush(&m->s) | ring_sender_look(&m->s)) <=
                1);
        if (!ring_sender_sleep(&m->s))
            ring_sender_awake(&m->s);
        break;
    }
}

static void moved(struct shared *m)
{
    if (!m->next) /* no such thing: somebody wrote that */
        return;
    REQUIRE(ring_receiver_move(&m->r, m->next, LARGE) == RING_OK);
    free(m->ring);
    m->ring = m->next;
    m->size = LARGE;
    m->next = NULL;
}

static void peek(struct shared *m, size_t amount)
{
    struct ring_piece piece;
    uint64_t sum = 0;
    int r = ring_receiver_peek(&m->r, &piece);

    check_receiver(r, 0);
    if (r == RING_MOVED)
        moved(m);
    if (r)
        return;
    REQUIRE(piece.data >= m->r.data + RING_UNIT);
    REQUIRE(piece.data + piece.length <= m->r.data + m->r.total * (size_t)RING_UNIT);
    for (size_t i = 0; i < piece.length; i++)
        sum += piece.data[i];
    REQUIRE(sum <= 255 * piece.length);
    check_receiver(ring_receiver_release(&m->r, amount), 0);
}

static void receive_step(struct shared *m, unsigned what, size_t amount)
{
    uint8_t *room = malloc(amount + 1);
    struct ring_part messages[2] = {{room, amount / 2}, {room, amount}};
    int more;
    int64_t r;

    REQUIRE(room);
    switch (what) {
    case 0:
    case 1:
        r = ring_receiver_get(&m->r, room, amount, &more);
        check_receiver(r, amount);
        REQUIRE((r < 0 && r != RING_MISMATCH) || more == 0 || more == 1);
        if (r == RING_MOVED)
            moved(m);
        break;
    case 2:
        peek(m, amount);
        break;
    case 3:
        r = ring_receiver_get_burst(&m->r, messages, 2);
        check_receiver(r, 2);
        break;
    default:
        REQUIRE((ring_receiver_wake(&m->r) | ring_receiver_flush(&m->r) |
                 ring_receiver_look(&m->r)) <= 1);
        if (!ring_receiver_sleep(&m->r))
            ring_receiver_awake(&m->r);
        break;
    }
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct shared m = {.size = SIZE};
    uint32_t flags = take(&input) % 2 ? LAYOUT_CRC32C : 0;

    m.channel = aligned_alloc(128, sizeof(*m.channel));
    m.ring = aligned_alloc(64, SIZE);
    m.message = malloc(LARGE);
    REQUIRE(m.channel && m.ring && m.message);
    memset(m.channel, 0, sizeof(*m.channel));
    memset(m.ring, 0, SIZE);
    memset(m.message, 0x5a, LARGE);
    REQUIRE(!ring_sender_init(&m.s, &m.channel->sender, &m.channel->receiver, m.ring, SIZE, flags));
    REQUIRE(
        !ring_receiver_init(&m.r, &m.channel->receiver, &m.channel->sender, m.ring, SIZE, flags));
    for (int step = 0; step < STEPS_MAX && input.size; step++) {
        unsigned what = take(&input), amount = take(&input);

        amount = (amount << 8 | take(&input)) % 2048;
        if (what % 4 == 0)
            scribble(&m, &input, what / 4, amount);
        else if (what % 4 == 1)
            send_step(&m, what / 4 % 8, amount);
        else
            receive_step(&m, what / 4 % 5, amount);
    }
    free(m.message);
    free(m.next);
    free(m.ring);
    free(m.channel);
    return 0;
}
