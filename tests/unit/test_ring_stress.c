/* SPDX-License-Identifier: MIT
 *
 * Two sides of a ring at the same time: two threads (under the thread sanitizer, too), and two
 * processes. Each side sleeps on an eventfd whenever it has nothing to do, with the sequence that
 * ring.h gives: a wake-up that is lost ends the test at its deadline. Every byte is checked. And
 * two sides that take turns, where almost every sleep is certain to end by the doorbell.
 */
#include "tests/unit/ring_pair.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { DEADLINE_MS = 60000, LARGEST = 3000 };

/* What both sides know. */
struct stress {
    struct layout_channel channel;
    uint8_t *data;
    size_t size;
    uint32_t flags;
    unsigned messages;
    uint64_t seed;
    int wake_sender, wake_receiver; /* eventfds */
    unsigned certain[2];            /* sleeps of sender and receiver without a second look */
    char failure[128];
};

/* Message number i of both sides. */
static size_t message_make(const struct stress *t, uint8_t *to, unsigned i)
{
    uint64_t dice = t->seed + i;
    size_t length = random_below(&dice, random_below(&dice, 4) ? 100 : LARGEST);

    fill(to, length, i);
    return length;
}

static void fail_with(struct stress *t, const char *side, const char *what, unsigned i)
{
    if (!t->failure[0])
        snprintf(t->failure, sizeof(t->failure), "%s: %s at message %u", side, what, i);
}

static void ring_bell(int fd)
{
    uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) != sizeof(one))
        abort();
}

/* Return: 1 when somebody rang, 0 when the time is over. */
static int wait_for_bell(int fd, int ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    uint64_t count;

    return poll(&one, 1, ms) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

/* Return: 0 when nothing came before the deadline. */
static int sender_sleep(struct stress *t, struct ring_sender *s)
{
    int rung = 1, certain;

    if (ring_sender_sleep(s))
        return 1;
    certain = ring_sender_certain(s);
    if (ring_sender_wake(s))
        ring_bell(t->wake_receiver);
    t->certain[0] += certain;
    if (certain || (!wait_for_bell(t->wake_sender, 1) && !ring_sender_look(s)))
        rung = wait_for_bell(t->wake_sender, DEADLINE_MS);
    ring_sender_awake(s);
    return rung;
}

static int receiver_sleep(struct stress *t, struct ring_receiver *r)
{
    int rung = 1, certain;

    if (ring_receiver_sleep(r))
        return 1;
    certain = ring_receiver_certain(r);
    if (ring_receiver_wake(r))
        ring_bell(t->wake_sender);
    t->certain[1] += certain;
    if (certain || (!wait_for_bell(t->wake_receiver, 1) && !ring_receiver_look(r)))
        rung = wait_for_bell(t->wake_receiver, DEADLINE_MS);
    ring_receiver_awake(r);
    return rung;
}

/* Put what there is room for. Return: bytes, or a ring_result. */
static int64_t send_some(struct ring_sender *s, uint8_t *message, size_t length, size_t done,
                         unsigned how)
{
    struct ring_part parts[] = {{message, length / 2}, {message + length / 2, length - length / 2}};
    void *room = NULL;
    int r;

    if (length > PIECE || how == 0)
        return ring_sender_put_parts(s, parts, 2, done, 0);
    if (how == 1)
        r = ring_sender_put(s, message, length, 0);
    else if (how == 2)
        r = (int)ring_sender_put_burst(s, &(struct ring_part){message, length}, 1);
    else if ((r = ring_sender_reserve(s, length, &room)) == RING_OK) {
        memcpy(room, message, length);
        r = ring_sender_commit(s, length, 0);
    }
    return r < 0 ? r : (int64_t)length;
}

static void *sender(void *context)
{
    struct stress *t = context;
    struct ring_sender s;
    uint8_t message[LARGEST];

    ring_sender_init(&s, &t->channel.sender, &t->channel.receiver, t->data, t->size, t->flags);
    for (unsigned i = 0; i < t->messages && !t->failure[0]; i++) {
        size_t length = message_make(t, message, i), done = 0;
        int64_t n;

        do {
            n = send_some(&s, message, length, done, i % 4);

            if (n >= 0)
                done += (size_t)n;
            else if (n != RING_FULL)
                fail_with(t, "sender", "odd result", i);
            if (ring_sender_wake(&s))
                ring_bell(t->wake_receiver);
            if (n == RING_FULL && !sender_sleep(t, &s))
                fail_with(t, "sender", "nobody woke it", i);
        } while ((n == RING_FULL || done < length) && !t->failure[0]); /* it may be empty */
        if (i % 1000 == 999 && ring_sender_flush(&s))
            ring_bell(t->wake_receiver);
    }
    ring_sender_end(&s);
    if (ring_sender_flush(&s))
        ring_bell(t->wake_receiver);
    return NULL;
}

/* One step of a message. Return: as ring_receiver_get(). */
static int64_t take_some(struct ring_receiver *r, uint8_t *to, size_t room, unsigned how, int *more)
{
    struct ring_piece piece = {NULL, 0, 0};
    int result;

    if (how % 2)
        return ring_receiver_get(r, to, how % 4 == 1 || room < 50 ? room : 50, more);
    result = ring_receiver_peek(r, &piece);
    if (result)
        return result;
    if (piece.length > room)
        return RING_TOO_BIG;
    memcpy(to, piece.data, piece.length);
    *more = piece.more;
    ring_receiver_release(r, piece.length);
    return (int64_t)piece.length;
}

/* Return: 1 when a whole message is there, 0 at the end of all, or on failure. */
static int receive(struct stress *t, struct ring_receiver *r, uint8_t *to, size_t *length,
                   unsigned i)
{
    int more = 1;

    *length = 0;
    while (more) {
        int64_t n = take_some(r, to + *length, LARGEST + 1 - *length, i, &more);

        if (ring_receiver_wake(r))
            ring_bell(t->wake_sender);
        if (n >= 0) {
            *length += (size_t)n;
        } else if (n == RING_ENDED) {
            return 0;
        } else if (n != RING_EMPTY) {
            fail_with(t, "receiver", "odd result", i);
            return 0;
        } else if (!receiver_sleep(t, r)) {
            fail_with(t, "receiver", "nobody woke it", i);
            return 0;
        }
    }
    return 1;
}

static void *receiver(void *context)
{
    struct stress *t = context;
    uint8_t right[LARGEST], message[LARGEST + 1];
    struct ring_receiver r;
    size_t length;
    unsigned i = 0;

    ring_receiver_init(&r, &t->channel.receiver, &t->channel.sender, t->data, t->size, t->flags);
    for (; receive(t, &r, message, &length, i); i++)
        if (length != message_make(t, right, i) || memcmp(right, message, length) != 0)
            fail_with(t, "receiver", "another message", i);
    if (i != t->messages)
        fail_with(t, "receiver", "the end", i);
    return NULL;
}

/* One side of two that take turns: what it sends in, and what it receives from. */
struct turns {
    struct stress *out, *in;
    struct ring_sender s;
    struct ring_receiver r;
};

static void turns_begin(struct turns *turns, struct stress *out, struct stress *in)
{
    *turns = (struct turns){.out = out, .in = in};
    ring_sender_init(&turns->s, &out->channel.sender, &out->channel.receiver, out->data, out->size,
                     0);
    ring_receiver_init(&turns->r, &in->channel.receiver, &in->channel.sender, in->data, in->size,
                       0);
}

/* One message, or more than those for which the sender that rang looks after a fence, or nearly as
 * many: then the receiver wakes up meanwhile, and goes to sleep again between any two. */
static unsigned turns_count(unsigned i)
{
    return i % 4 ? 1 : i % 8 ? RING_FENCED - 4 : 2 * RING_FENCED;
}

static void turns_say(struct turns *turns, unsigned i)
{
    uint64_t dice = turns->out->seed + i;

    for (unsigned n = turns_count(i); n; n--) {
        for (unsigned pause = random_below(&dice, 64); pause; pause--)
            ring_relax();
        while (ring_sender_put(&turns->s, &i, sizeof(i), 0) == RING_FULL)
            if (!sender_sleep(turns->out, &turns->s))
                fail_with(turns->out, "turns", "no room", i);
        if (ring_sender_wake(&turns->s))
            ring_bell(turns->out->wake_receiver);
    }
}

static void turns_hear(struct turns *turns, unsigned i)
{
    for (unsigned n = turns_count(i); n; n--) {
        unsigned heard = ~i;
        int more;
        int64_t got;

        while ((got = ring_receiver_get(&turns->r, &heard, sizeof(heard), &more)) == RING_EMPTY)
            if (!receiver_sleep(turns->in, &turns->r)) {
                fail_with(turns->in, "turns", "nobody woke it", i);
                return;
            }
        if (got != sizeof(heard) || heard != i)
            fail_with(turns->in, "turns", "another message", i);
        if (ring_receiver_wake(&turns->r))
            ring_bell(turns->in->wake_sender);
    }
}

static struct stress *stress_new(uint32_t flags, size_t size, unsigned messages)
{
    struct stress *t = mmap(NULL, sizeof(*t) + 4096 + size, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(t != MAP_FAILED);
    t->data = (uint8_t *)t + (sizeof(*t) + 4095) / 4096 * 4096;
    t->size = size;
    t->flags = flags;
    t->messages = messages;
    t->seed = random_start();
    t->wake_sender = eventfd(0, EFD_CLOEXEC);
    t->wake_receiver = eventfd(0, EFD_CLOEXEC);
    assert_true(t->wake_sender >= 0 && t->wake_receiver >= 0);
    return t;
}

static void stress_free(struct stress *t)
{
    close(t->wake_sender);
    close(t->wake_receiver);
    munmap(t, sizeof(*t) + 4096 + t->size);
}

static void check(struct stress *t)
{
    if (t->failure[0])
        fail_msg("%s", t->failure);
    stress_free(t);
}

static void two_threads(uint32_t flags, size_t size, unsigned messages)
{
    struct stress *t = stress_new(flags, size, messages);
    pthread_t other;

    assert_int_equal(0, pthread_create(&other, NULL, receiver, t));
    sender(t);
    pthread_join(other, NULL);
    check(t);
}

static void two_processes(uint32_t flags, size_t size, unsigned messages)
{
    struct stress *t = stress_new(flags, size, messages);
    pid_t other = fork();
    int status;

    assert_true(other >= 0);
    if (!other) {
        sender(t);
        _exit(0);
    }
    receiver(t);
    assert_int_equal(other, waitpid(other, &status, 0));
    assert_int_equal(0, status);
    check(t);
}

static void threads(void **state)
{
    (void)state;
    two_threads(0, RING_SIZE, 10000);
    two_threads(LAYOUT_CRC32C, 16 * RING_SIZE, 10000);
}

static void processes(void **state)
{
    (void)state;
    two_processes(0, 16 * RING_SIZE, 50000);
    two_processes(LAYOUT_CRC32C, RING_SIZE, 20000);
}

static void taking_turns(void **state)
{
    struct stress *there = stress_new(0, RING_SIZE, 5000), *back = stress_new(0, RING_SIZE, 0);
    pid_t other = fork();
    struct turns turns;
    int status;

    (void)state;
    assert_true(other >= 0);
    turns_begin(&turns, other ? there : back, other ? back : there);
    for (unsigned i = 0; i < there->messages && !there->failure[0] && !back->failure[0]; i++) {
        if (other)
            turns_say(&turns, i);
        turns_hear(&turns, i);
        if (!other)
            turns_say(&turns, i);
    }
    if (ring_sender_flush(&turns.s))
        ring_bell(turns.out->wake_receiver);
    if (!other)
        _exit(0);
    assert_int_equal(other, waitpid(other, &status, 0));
    assert_int_equal(0, status);
    print_message("certain sleeps: %u there, %u back\n", there->certain[1], back->certain[1]);
    assert_true(there->certain[1] && back->certain[1]);
    check(there);
    check(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads),
        cmocka_unit_test(processes),
        cmocka_unit_test(taking_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
