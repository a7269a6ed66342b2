/* SPDX-License-Identifier: MIT
 *
 * The library's channels, call by call: two handles in this process and one thread, the daemon's
 * tables in another.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "common/layout.h"
#include "ivshmem.h"
#include "tests/unit/standin.h"

enum { DEADLINE_MS = 20000, PORT = 7, REGION = 4 << 20 };

static struct standin *standin;
static struct ivshmem *left, *right;
static struct ivshmem_channel *a, *b; /* a of left, b of right: one connection */
static int before;
static char name_a[] = "a", name_b[] = "b";
static char heard[1024];
static struct ivshmem_offer last_offer;

static void hear(const char *word)
{
    assert_true(strlen(heard) + strlen(word) + 2 < sizeof(heard));
    strcat(heard, word);
    strcat(heard, " ");
}

static void on_offered(struct ivshmem *iv, void *context, const struct ivshmem_offer *offer)
{
    (void)iv;
    (void)context;
    last_offer = *offer;
    hear("offered");
}

static void on_channel_ready(struct ivshmem *iv, void *context, struct ivshmem_channel *channel)
{
    (void)iv;
    (void)context;
    hear(ivshmem_channel_context(channel));
}

static const struct ivshmem_callbacks callbacks = {
    .size = sizeof(callbacks),
    .offered = on_offered,
    .channel_ready = on_channel_ready,
};

static struct ivshmem *join(const struct ivshmem_callbacks *wanted)
{
    struct ivshmem *iv;

    assert_int_equal(0, ivshmem_new(&iv, wanted, NULL));
    assert_int_equal(0, ivshmem_open(iv, standin_target(standin)));
    assert_int_equal(0, ivshmem_wait_ready(iv, DEADLINE_MS));
    return iv;
}

/* Dispatches until the text was heard. */
static void hear_until(struct ivshmem *iv, const char *text)
{
    struct pollfd wait = {.fd = ivshmem_fd(iv), .events = POLLIN};

    for (int i = 0; !strstr(heard, text); i++) {
        if (i > 1000 || poll(&wait, 1, DEADLINE_MS) != 1)
            fail_msg("heard \"%s\", not \"%s\"", heard, text);
        assert_int_equal(0, ivshmem_dispatch(iv));
    }
}

static int connected;

static void *connect_left(void *options)
{
    connected = ivshmem_connect(left, (unsigned)ivshmem_id(right), PORT, options, DEADLINE_MS, &a);
    return NULL;
}

/* A connection from left to right; its calls do not wait. */
static void link_up(uint64_t ring_size, uint64_t reverse_size, unsigned flags)
{
    struct ivshmem_connect_options options = {.size = sizeof(options),
                                              .ring_size = ring_size,
                                              .reverse_size = reverse_size,
                                              .flags = flags};
    struct ivshmem_offer offer;
    pthread_t thread;

    assert_int_equal(0, pthread_create(&thread, NULL, connect_left, &options));
    assert_int_equal(0, ivshmem_next_offer(right, PORT, DEADLINE_MS, &offer));
    assert_int_equal(ivshmem_id(left), offer.peer);
    assert_int_equal(getpid(), offer.pid);
    assert_int_equal(PORT, offer.port);
    assert_int_equal(flags, offer.flags);
    assert_int_equal(0, ivshmem_accept(right, &offer, &b));
    pthread_join(thread, NULL);
    assert_int_equal(0, connected);
    ivshmem_channel_set_timeout(a, 0);
    ivshmem_channel_set_timeout(b, 0);
    ivshmem_channel_set_context(a, name_a);
    ivshmem_channel_set_context(b, name_b);
}

static int set_up(void **state)
{
    struct channels_options options = channels_defaults;

    (void)state;
    before = count_descriptors();
    heard[0] = '\0';
    a = b = NULL;
    options.grow_max = 0;
    options.offer_ms = 2000;
    standin = standin_new(REGION, &options);
    left = join(&callbacks);
    right = join(&callbacks);
    assert_int_equal(0, ivshmem_listen(right, PORT));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    a = ivshmem_close(a);
    b = ivshmem_close(b);
    left = ivshmem_free(left);
    right = ivshmem_free(right);
    for (int i = 0; !standin_idle(standin) && i < DEADLINE_MS; i++)
        poll(NULL, 0, 1);
    assert_true(standin_idle(standin));
    standin = standin_free(standin);
    return count_descriptors() == before ? 0 : -1;
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

static uint8_t *make_message(size_t size)
{
    uint8_t *message = malloc(size ? size : 1);

    assert_non_null(message);
    for (size_t i = 0; i < size; i++)
        message[i] = pattern(i);
    return message;
}

static void messages_keep_their_boundaries(void **state)
{
    static const size_t sizes[] = {0,  1,   7,    8,     9,     63,    64,
                                   65, 200, 4000, 16383, 16384, 16385, 40000};
    uint8_t *buffer = malloc(65536);

    (void)state;
    link_up(65536, 65536, 0);
    assert_int_equal(-EAGAIN, ivshmem_recv(b, buffer, 65536));
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            uint8_t *message = make_message(sizes[i]);

            assert_int_equal(0, ivshmem_send(a, message, sizes[i]));
            assert_int_equal(0, ivshmem_send(b, "back", 4));
            assert_int_equal(sizes[i], ivshmem_recv(b, buffer, 65536));
            assert_memory_equal(message, buffer, sizes[i]);
            assert_int_equal(4, ivshmem_recv(a, buffer, 65536));
            assert_memory_equal("back", buffer, 4);
            free(message);
        }
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(0, ivshmem_send(a, "12345", (size_t)i));
    for (int i = 0; i < 5; i++)
        assert_int_equal(i, ivshmem_recv(b, buffer, 65536));
    assert_int_equal(-EAGAIN, ivshmem_recv(b, buffer, 65536));
    free(buffer);
}

static void too_large_for_the_buffer(void **state)
{
    char buffer[8];
    bool more;

    (void)state;
    link_up(4096, 0, 0);
    assert_int_equal(0, ivshmem_send(a, "0123456789abcdefgh", 18));
    assert_int_equal(0, ivshmem_send(a, "next", 4));
    assert_int_equal(-EMSGSIZE, ivshmem_recv(b, buffer, 8));
    assert_memory_equal("01234567", buffer, 8);
    assert_int_equal(-EMSGSIZE, ivshmem_recv(b, buffer, 8));
    assert_int_equal(2, ivshmem_recv(b, buffer, 8));
    assert_memory_equal("gh", buffer, 2);
    assert_int_equal(4, ivshmem_recv(b, buffer, 8));
    assert_int_equal(0, ivshmem_send(a, "12345678", 8));
    assert_int_equal(8, ivshmem_recv(b, buffer, 8));
    assert_int_equal(0, ivshmem_send(a, "0123456789", 10));
    assert_int_equal(3, ivshmem_recv_part(b, buffer, 3, &more));
    assert_true(more);
    assert_int_equal(7, ivshmem_recv(b, buffer, 8));
    assert_int_equal(-EINVAL, ivshmem_recv_part(b, buffer, 0, &more));
    assert_int_equal(-EMSGSIZE, ivshmem_send(a, heard, 4096));
}

static void nobody_waits_with_time_out_0(void **state)
{
    static char buffer[8192];
    int sent = 0;

    (void)state;
    link_up(4096, 0, 0);
    while (ivshmem_send(a, buffer, 500) == 0)
        sent++;
    assert_in_range(sent, 7, 8);
    assert_int_equal(-EAGAIN, ivshmem_send(a, buffer, 500));
    assert_int_equal(-EAGAIN, ivshmem_send(a, buffer, 2000));
    for (int i = 0; i < sent; i++)
        assert_int_equal(500, ivshmem_recv(b, buffer, 500));
    assert_int_equal(-EAGAIN, ivshmem_recv(b, buffer, 500));
    assert_int_equal(0, ivshmem_send(a, buffer, 2000));
    assert_int_equal(2000, ivshmem_recv(b, buffer, 2500));
    assert_int_equal(-EMSGSIZE, ivshmem_send(a, buffer, 4000));
    /* in parts: what fits */
    sent = (int)ivshmem_send_part(a, buffer, 6000, false);
    assert_in_range(sent, 2000, 4000);
    assert_int_equal(-EAGAIN, ivshmem_recv(b, buffer, 8000)); /* they are in the buffer */
    assert_int_equal(6000 - sent, ivshmem_send_part(a, buffer, 6000 - (size_t)sent, false));
    assert_int_equal(6000, ivshmem_recv(b, buffer, 8000));
}

static void time_out(int timeout)
{
    static char buffer[8192];

    ivshmem_channel_set_timeout(a, timeout);
    ivshmem_channel_set_timeout(b, timeout);
    assert_int_equal(-ETIMEDOUT, ivshmem_recv(b, buffer, 1));
    assert_int_equal(-ETIMEDOUT, ivshmem_send(a, buffer, 8000)); /* a part of it was sent */
    assert_int_equal(-ETIMEDOUT, ivshmem_recv(b, buffer, 8000)); /* and aborted */
    assert_int_equal(0, ivshmem_send(a, "after", 5));
    assert_int_equal(5, ivshmem_recv(b, buffer, 8000));
    assert_memory_equal("after", buffer, 5);
}

static void times_out(void **state)
{
    (void)state;
    link_up(4096, 0, 0);
    for (int waiting = IVSHMEM_HYBRID; waiting <= IVSHMEM_SPIN; waiting++) {
        assert_int_equal(0, ivshmem_channel_set_waiting(a, waiting));
        assert_int_equal(0, ivshmem_channel_set_waiting(b, waiting));
        time_out(30);
    }
    assert_int_equal(-EINVAL, ivshmem_channel_set_waiting(a, 3));
}

static void aborted(void **state)
{
    char buffer[64];
    const void *data;
    size_t size;
    bool more;

    (void)state;
    link_up(4096, 0, 0);
    assert_int_equal(0, ivshmem_send_abort(a)); /* nothing to abort */
    assert_int_equal(3, ivshmem_send_part(a, "one", 3, true));
    assert_int_equal(-EAGAIN, ivshmem_recv(b, buffer, 64));
    assert_int_equal(0, ivshmem_send_abort(a));
    assert_int_equal(0, ivshmem_send(a, "two", 3));
    assert_int_equal(3, ivshmem_recv(b, buffer, 64));
    assert_memory_equal("two", buffer, 3);

    assert_int_equal(5, ivshmem_send_part(a, "three", 5, true));
    assert_int_equal(0, ivshmem_send_abort(a));
    assert_int_equal(3, ivshmem_recv_part(b, buffer, 3, &more)); /* seen before the abort is */
    assert_true(more);
    assert_int_equal(-ECANCELED, ivshmem_recv_part(b, buffer, 64, &more));
    assert_int_equal(-EAGAIN, ivshmem_recv_part(b, buffer, 64, &more));

    assert_int_equal(4, ivshmem_send_part(a, "four", 4, true));
    assert_int_equal(0, ivshmem_send_abort(a));
    assert_int_equal(-EMSGSIZE, ivshmem_recv(b, buffer, 2));
    assert_int_equal(-ECANCELED, ivshmem_recv(b, buffer, 64));
    assert_int_equal(4, ivshmem_send_part(a, "five", 4, true));
    assert_int_equal(0, ivshmem_peek(b, &data, &size, &more));
    assert_int_equal(0, ivshmem_release(b));
    assert_int_equal(0, ivshmem_send_abort(a));
    assert_int_equal(-ECANCELED, ivshmem_peek(b, &data, &size, &more));
    assert_int_equal(-EAGAIN, ivshmem_peek(b, &data, &size, &more));
}

static void scattered(void **state)
{
    struct iovec out[100], in[3];
    static char from[60000], to[60000];

    (void)state;
    link_up(65536, 0, 0);
    for (size_t i = 0; i < sizeof(from); i++)
        from[i] = (char)pattern(i);
    for (size_t i = 0; i < 100; i++)
        out[i] = (struct iovec){from + i * 600, i == 50 ? 0 : 600};
    in[0] = (struct iovec){to, 1};
    in[1] = (struct iovec){to + 1, 0};
    in[2] = (struct iovec){to + 1, sizeof(to) - 1};
    for (int round = 0; round < 50; round++) {
        for (unsigned count = 0; count < 12; count++) {
            assert_int_equal(0, ivshmem_sendv(a, out, count));
            assert_int_equal(count * 600, ivshmem_recvv(b, in, 3));
            assert_memory_equal(from, to, count * 600);
        }
        assert_int_equal(-EAGAIN, ivshmem_recvv(b, in, 3)); /* so that all room is known */
        assert_int_equal(0, ivshmem_sendv(a, out, 70));     /* many, and more than a quarter */
        assert_int_equal(69 * 600, ivshmem_recvv(b, in, 3));
        assert_memory_equal(from + 51 * 600, to + 50 * 600, 19 * 600);
        assert_int_equal(0, ivshmem_sendv(a, out + 50, 1));
        assert_int_equal(0, ivshmem_recvv(b, in, 3));
        assert_int_equal(0, ivshmem_sendv(a, out, 5));
        assert_int_equal(-EMSGSIZE, ivshmem_recvv(b, in, 2));
        assert_int_equal(2999, ivshmem_recvv(b, in, 3));
    }
}

static void without_copies(void **state)
{
    const void *data;
    void *room;
    size_t size;
    bool more;

    (void)state;
    link_up(8192, 0, IVSHMEM_CRC32C);
    assert_int_equal(-EINVAL, ivshmem_commit(a, 1, false));
    assert_int_equal(-EINVAL, ivshmem_release(b));
    assert_int_equal(-EMSGSIZE, ivshmem_reserve(a, 2049, &room));
    assert_false(ivshmem_is_far(a)); /* nothing was sent yet */
    for (int round = 0; round < 500; round++) {
        assert_int_equal(0, ivshmem_reserve(a, 2048, &room));
        memset(room, round, 2048);
        assert_int_equal(-EINVAL, ivshmem_commit(a, 200000, false));
        assert_int_equal(0, ivshmem_commit(a, 100, true));
        assert_int_equal(-EINVAL, ivshmem_commit(a, 1, false));
        assert_int_equal(0, ivshmem_reserve(a, 0, &room));
        assert_int_equal(0, ivshmem_commit(a, 0, false));
        assert_int_equal(0, ivshmem_peek(b, &data, &size, &more));
        assert_int_equal(100, size);
        assert_true(more);
        assert_int_equal((uint8_t)round, *(const uint8_t *)data);
        assert_int_equal(0, ivshmem_peek(b, &data, &size, &more));
        assert_int_equal(0, ivshmem_release(b));
        assert_int_equal(-EINVAL, ivshmem_release(b));
        assert_int_equal(0, ivshmem_peek(b, &data, &size, &more));
        assert_int_equal(0, size);
        assert_false(more);
        assert_int_equal(0, ivshmem_release(b));
        assert_int_equal(-EAGAIN, ivshmem_peek(b, &data, &size, &more));
    }
}

static void in_bursts(void **state)
{
    static char bytes[64][100], large[5000];
    struct iovec out[64], in[64];
    struct ivshmem_channel_info info = {.size = sizeof(info)};
    unsigned taken = 0;

    (void)state;
    link_up(4096, 0, 0);
    assert_int_equal(0, ivshmem_send_burst(a, out, 0));
    for (unsigned i = 0; i < 64; i++) {
        memset(bytes[i], (int)i, 100);
        out[i] = (struct iovec){bytes[i], i};
    }
    for (unsigned sent = 0; sent < 64;) {
        int n = ivshmem_send_burst(a, out + sent, 64 - sent);

        assert_in_range(n, 1, 64);
        sent += (unsigned)n;
        for (unsigned i = 0; i < 64; i++)
            in[i] = (struct iovec){large + 64 * i, 64};
        n = ivshmem_recv_burst(b, in, 64);
        assert_in_range(n, 1, 64);
        for (int i = 0; i < n; i++) {
            assert_int_equal(taken, in[i].iov_len);
            assert_memory_equal(bytes[taken], in[i].iov_base, taken);
            taken++;
        }
    }
    assert_int_equal(64, taken);
    assert_int_equal(-EAGAIN, ivshmem_recv_burst(b, in, 1));
    out[0] = (struct iovec){large, 1025};
    assert_int_equal(-EMSGSIZE, ivshmem_send_burst(a, out, 1));
    out[0].iov_len = 1024;
    assert_int_equal(1, ivshmem_send_burst(a, out, 1));
    in[0] = (struct iovec){large, 1000};
    assert_int_equal(-EMSGSIZE, ivshmem_recv_burst(b, in, 1));
    assert_int_equal(24, ivshmem_recv(b, large, 1000));
    assert_int_equal(0, ivshmem_send(a, large, 2500)); /* several records */
    in[0] = (struct iovec){large, 3000};
    assert_int_equal(1, ivshmem_recv_burst(b, in, 1));
    assert_int_equal(2500, in[0].iov_len);
    assert_int_equal(0, ivshmem_channel_get_info(a, &info));
    assert_int_equal(66, info.messages_sent);
    assert_int_equal(63 * 32 + 1024 + 2500, info.bytes_sent);
    assert_int_equal(0, ivshmem_channel_get_info(b, &info));
    assert_int_equal(66, info.messages_received);
    assert_int_equal(63 * 32 + 1024 + 2500, info.bytes_received);
    info.size = 4;
    assert_int_equal(-EINVAL, ivshmem_channel_get_info(b, &info));
}

/* Where the bytes of a message lie in the rings, as the sender maps them. */
static uint8_t *find_bytes(const char *text)
{
    uint64_t rings = layout_data_offset(STANDIN_PEERS, STANDIN_CHANNELS);
    uint8_t *memory = ivshmem_memory(left);
    uint8_t *found = memmem(memory + rings, REGION - rings, text, strlen(text));

    assert_non_null(found);
    return found;
}

static void checked(void **state)
{
    char buffer[64];

    (void)state;
    link_up(4096, 4096, IVSHMEM_CRC32C);
    assert_int_equal(0, ivshmem_send(a, "as it was sent", 14));
    assert_int_equal(14, ivshmem_recv(b, buffer, 64));
    assert_int_equal(0, ivshmem_send(a, "as it was not sent", 18));
    find_bytes("as it was not sent")[3]++;
    assert_int_equal(-EBADMSG, ivshmem_recv(b, buffer, 64));
    assert_int_equal(-EBADMSG, ivshmem_recv(b, buffer, 64));
    assert_int_equal(-EBADMSG, ivshmem_send(b, "x", 1));
}

static void broken(void **state)
{
    char buffer[64];
    uint32_t *word;

    (void)state;
    link_up(4096, 0, 0);
    assert_int_equal(0, ivshmem_send(a, "behind a word", 13));
    word = (uint32_t *)(void *)(find_bytes("behind a word") - 8);
    __atomic_store_n(word, 0xffffffff, __ATOMIC_RELAXED);
    assert_int_equal(-EBADMSG, ivshmem_recv(b, buffer, 64));
    assert_contains(ivshmem_error(right), "cannot be true");
}

static void one_direction(void **state)
{
    char buffer[64];

    (void)state;
    link_up(4096, 0, 0);
    assert_int_equal(-EINVAL, ivshmem_recv(a, buffer, 64));
    assert_int_equal(-EINVAL, ivshmem_send(b, buffer, 64));
    assert_int_equal(-EINVAL, ivshmem_channel_watch(b, IVSHMEM_WRITABLE));
    assert_int_equal(-EINVAL, ivshmem_channel_watch(b, 8));
    ivshmem_flush(a);
    ivshmem_flush(b);
}

static void closed_by_the_sender(void **state)
{
    char buffer[64];
    int r = 0;

    (void)state;
    link_up(4096, 4096, 0);
    assert_int_equal(0, ivshmem_send(a, "last", 4));
    a = ivshmem_close(a);
    assert_int_equal(4, ivshmem_recv(b, buffer, 64));
    assert_int_equal(-EPIPE, ivshmem_recv(b, buffer, 64));
    assert_contains(ivshmem_error(right), "the other side closed");
    assert_int_equal(-EPIPE, ivshmem_recv(b, buffer, 64));
    ivshmem_channel_set_timeout(b, DEADLINE_MS);
    assert_int_equal(-EPIPE, ivshmem_recv(b, buffer, 64));
    while (r == 0) /* the server's word that it was closed may come later */
        r = ivshmem_send(b, "nobody hears", 12);
    assert_int_equal(-EPIPE, r);
}

static void closed_by_the_receiver(void **state)
{
    int r = 0;

    (void)state;
    link_up(4096, 0, 0);
    ivshmem_channel_set_timeout(a, DEADLINE_MS);
    b = ivshmem_close(b);
    while (r == 0)
        r = ivshmem_send(a, "somebody?", 9);
    assert_int_equal(-EPIPE, r);
}

/* The short way of sending looks at the ring alone; a dispatch looks at the channel. */
static void end_is_seen_by_a_dispatch(void **state)
{
    (void)state;
    link_up(65536, 0, 0);
    assert_int_equal(0, ivshmem_send(a, "in time", 7));
    b = ivshmem_close(b);
    assert_int_equal(0, ivshmem_send(a, "late", 4));
    heard[0] = '\0';
    hear_until(left, name_a);
    assert_int_equal(-EPIPE, ivshmem_send(a, "too late", 8));
}

static void peer_died(void **state)
{
    char buffer[64];

    (void)state;
    link_up(4096, 4096, 0);
    assert_int_equal(0, ivshmem_send(a, "last words", 10));
    left = ivshmem_free(left); /* with its channel */
    a = NULL;
    ivshmem_channel_set_timeout(b, DEADLINE_MS);
    assert_int_equal(10, ivshmem_recv(b, buffer, 64));
    assert_int_equal(-ECONNRESET, ivshmem_recv(b, buffer, 64));
    assert_int_equal(-ECONNRESET, ivshmem_send(b, buffer, 64));
}

static void hear_of_death(enum ivshmem_waiting waiting)
{
    char buffer[64];

    link_up(4096, 4096, 0);
    ivshmem_channel_set_waiting(b, waiting);
    standin_free(standin);
    ivshmem_channel_set_timeout(b, DEADLINE_MS);
    assert_int_equal(-ENOTCONN, ivshmem_recv(b, buffer, 64));
    assert_int_equal(-ENOTCONN, ivshmem_recv(b, buffer, 64));
    assert_int_equal(-ENOTCONN, ivshmem_send(b, buffer, 64));
    assert_int_equal(0, ivshmem_send(a, buffer, 64)); /* has not heard of it yet */
    b = ivshmem_close(b);
    a = ivshmem_close(a);
    left = ivshmem_free(left);
    right = ivshmem_free(right);
    set_up(NULL);
}

static void server_died(void **state)
{
    (void)state;
    for (int waiting = IVSHMEM_HYBRID; waiting <= IVSHMEM_SPIN; waiting++)
        hear_of_death(waiting);
}

static void refused(void **state)
{
    struct ivshmem_offer offer;
    pthread_t thread;

    (void)state;
    assert_int_equal(0, pthread_create(&thread, NULL, connect_left, NULL));
    assert_int_equal(0, ivshmem_next_offer(right, 0, DEADLINE_MS, &offer));
    assert_int_equal(65536, offer.ring_size);
    assert_int_equal(65536, offer.reverse_size);
    assert_int_equal(0, ivshmem_refuse(right, &offer));
    pthread_join(thread, NULL);
    assert_int_equal(-ECONNREFUSED, connected);
    assert_int_equal(-ECONNABORTED, ivshmem_refuse(right, &offer));
    assert_int_equal(-ECONNABORTED, ivshmem_accept(right, &offer, &b));
    assert_int_equal(-ETIMEDOUT, ivshmem_next_offer(right, 0, 0, &offer));
    assert_int_equal(-ETIMEDOUT, ivshmem_next_offer(right, 0, 20, &offer));
}

static void not_possible(void **state)
{
    struct ivshmem_connect_options options = {.size = sizeof(options)};
    unsigned peer = (unsigned)ivshmem_id(right);

    (void)state;
    assert_int_equal(-ECONNREFUSED, ivshmem_connect(left, peer, PORT + 1, NULL, -1, &a));
    assert_int_equal(-ENOENT, ivshmem_connect(left, 5, PORT, NULL, -1, &a));
    assert_int_equal(-ENOENT, ivshmem_connect(left, 70000, PORT, NULL, -1, &a));
    assert_int_equal(-EINVAL, ivshmem_connect(left, peer, 0, NULL, -1, &a));
    assert_int_equal(-ETIMEDOUT, ivshmem_connect(left, peer, PORT, NULL, 30, &a));
    assert_int_equal(-ETIMEDOUT,
                     ivshmem_connect(left, peer, PORT, NULL, -1, &a)); /* the server's */
    options.ring_size = 3 << 20;
    assert_int_equal(-EDQUOT, ivshmem_connect(left, peer, PORT, &options, -1, &a));
    options.ring_size = UINT64_MAX;
    assert_int_equal(-EINVAL, ivshmem_connect(left, peer, PORT, &options, -1, &a));
    options.size = 1;
    assert_int_equal(-EINVAL, ivshmem_connect(left, peer, PORT, &options, -1, &a));
    assert_int_equal(-EADDRINUSE, ivshmem_listen(right, PORT));
    assert_int_equal(0, ivshmem_unlisten(right, PORT));
    assert_int_equal(-EINVAL, ivshmem_unlisten(right, PORT));
    assert_int_equal(-ECONNREFUSED, ivshmem_connect(left, peer, PORT, NULL, -1, &a));
    assert_int_equal(-EINVAL, ivshmem_listen(right, 0));
    assert_int_equal(-EBUSY, ivshmem_set_channel_vector(right, 0));
    assert_int_equal(-EINVAL, ivshmem_set_channel_vector(right, -2));
}

static void peers_are_known(void **state)
{
    pid_t pid = 0;
    uid_t uid = 0;

    (void)state;
    assert_int_equal(0, ivshmem_peer_credentials(left, (unsigned)ivshmem_id(right), &pid, &uid));
    assert_int_equal(getpid(), pid);
    assert_int_equal(getuid(), uid);
    assert_int_equal(-ENODATA, ivshmem_peer_credentials(left, 5, &pid, &uid)); /* nobody there */
    assert_int_equal(-ENOENT, ivshmem_peer_credentials(left, 99, &pid, &uid));
}

static void no_channels(void **state)
{
    struct standin *plain = standin_new(1 << 16, NULL);
    struct ivshmem *iv;
    struct ivshmem_offer offer = {.size = sizeof(offer)};

    (void)state;
    assert_int_equal(0, ivshmem_new(&iv, NULL, NULL));
    assert_int_equal(-ENOTCONN, ivshmem_listen(iv, PORT));
    assert_int_equal(0, ivshmem_open(iv, standin_target(plain)));
    assert_int_equal(0, ivshmem_wait_ready(iv, DEADLINE_MS));
    assert_int_equal(-EOPNOTSUPP, ivshmem_listen(iv, PORT));
    assert_contains(ivshmem_error(iv), "--channels");
    assert_int_equal(-EOPNOTSUPP, ivshmem_connect(iv, 1, PORT, NULL, -1, &a));
    assert_int_equal(-EOPNOTSUPP, ivshmem_next_offer(iv, 0, -1, &offer));
    assert_int_equal(-EOPNOTSUPP, ivshmem_accept(iv, &offer, &a));
    ivshmem_free(iv);
    standin_free(plain);
}

static void server_is_away(void **state)
{
    char buffer[64];

    (void)state;
    link_up(4096, 4096, 0);
    standin_away(standin, true);
    assert_int_equal(0, ivshmem_send(a, "without it", 10));
    assert_int_equal(10, ivshmem_recv(b, buffer, 64));
    assert_int_equal(-ETIMEDOUT,
                     ivshmem_connect(left, (unsigned)ivshmem_id(right), PORT, NULL, 50, &a));
    b = ivshmem_close(b);
    assert_int_equal(0, ivshmem_send(a, "into the void", 13));
    standin_restart(standin);
    standin_away(standin, false);
    ivshmem_channel_set_timeout(a, DEADLINE_MS);
    assert_int_equal(-EPIPE, ivshmem_recv(a, buffer, 64));
}

/* Somebody writes over a request before the server reads it: it is made again. */
static void overwritten_request(void **state)
{
    struct layout_mailbox *mailbox =
        (struct layout_mailbox *)(void *)(standin_memory(standin) + sizeof(struct layout_header));
    struct ivshmem_connect_options options = {.size = sizeof(options)};
    struct layout_request *request = &mailbox[0].request;
    struct ivshmem_offer offer;
    pthread_t thread;

    (void)state;
    assert_int_equal(0, ivshmem_id(left));
    assert_int_equal(-EINVAL, ivshmem_unlisten(left, PORT)); /* speaks with the server already */
    for (int i = 0; i < 3; i++) {
        uint32_t number = __atomic_load_n(&request->number, __ATOMIC_ACQUIRE);

        for (int ms = 0; ms < DEADLINE_MS; ms++) { /* that the last channel was closed */
            if (__atomic_load_n(&mailbox[0].reply.number, __ATOMIC_ACQUIRE) == number)
                break;
            poll(NULL, 0, 1);
        }
        standin_away(standin, true);
        assert_int_equal(0, pthread_create(&thread, NULL, connect_left, &options));
        for (int ms = 0; ms < DEADLINE_MS; ms++) {
            if (__atomic_load_n(&request->number, __ATOMIC_ACQUIRE) != number)
                break;
            poll(NULL, 0, 1);
        }
        if (i == 0) /* another operation; another request; the number of the last one */
            __atomic_store_n(&request->operation, 77, __ATOMIC_RELAXED);
        else
            __atomic_store_n(&request->number, i == 1 ? number + 100 : number, __ATOMIC_RELAXED);
        standin_away(standin, false);
        assert_int_equal(0, ivshmem_next_offer(right, PORT, DEADLINE_MS, &offer));
        assert_int_equal(0, ivshmem_accept(right, &offer, &b));
        pthread_join(thread, NULL);
        assert_int_equal(0, connected);
        a = ivshmem_close(a);
        b = ivshmem_close(b);
    }
}

static void watched(void **state)
{
    char buffer[4096];

    (void)state;
    link_up(4096, 4096, 0);
    heard[0] = '\0';
    assert_int_equal(0, ivshmem_channel_watch(b, IVSHMEM_READABLE));
    assert_int_equal(0, ivshmem_dispatch(right));
    assert_string_equal("", heard);
    for (int i = 0; i < 300; i++) {
        heard[0] = '\0';
        assert_int_equal(0, ivshmem_send(a, "wake up", 7));
        hear_until(right, "b");
        heard[0] = '\0';
        hear_until(right, "b b"); /* as long as it is so */
        assert_int_equal(7, ivshmem_recv(b, buffer, 64));
        heard[0] = '\0';
        assert_int_equal(0, ivshmem_dispatch(right));
        assert_string_equal("", heard);
        if (i % 2) { /* what was taken without a call back must not stop the next */
            assert_int_equal(0, ivshmem_send(a, "unseen", 6));
            assert_int_equal(6, ivshmem_recv(b, buffer, 64));
        }
    }
    assert_int_equal(0, ivshmem_channel_watch(b, 0));
    while (ivshmem_send(a, buffer, 1000) == 0)
        ;
    assert_int_equal(0, ivshmem_channel_watch(a, IVSHMEM_WRITABLE));
    assert_int_equal(0, ivshmem_dispatch(left));
    assert_string_equal("", heard);
    while (ivshmem_recv(b, buffer, 1000) == 1000)
        ;
    hear_until(left, "a");
    assert_int_equal(0, ivshmem_send(a, buffer, 1000));
    heard[0] = '\0';
    b = ivshmem_close(b);
    assert_int_equal(0, ivshmem_channel_watch(a, IVSHMEM_READABLE));
    hear_until(left, "a");
    assert_int_equal(-EPIPE, ivshmem_recv(a, buffer, 64));
    assert_int_equal(0, ivshmem_channel_watch(a, 0));
}

/* The end is told also to who watches nothing; once. */
static void end_is_told(void **state)
{
    (void)state;
    link_up(4096, 4096, 0);
    heard[0] = '\0';
    b = ivshmem_close(b);
    hear_until(left, "a");
    for (int i = 0; i < 5; i++)
        assert_int_equal(0, ivshmem_dispatch(left));
    assert_string_equal("a ", heard);
}

static void offers_are_told(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(0, pthread_create(&thread, NULL, connect_left, NULL));
    hear_until(right, "offered");
    for (int i = 0; i < 5; i++)
        assert_int_equal(0, ivshmem_dispatch(right));
    assert_string_equal("offered ", heard);
    assert_int_equal(0, ivshmem_accept(right, &last_offer, &b));
    pthread_join(thread, NULL);
    assert_int_equal(0, connected);
}

/* Within callbacks: accepts, and connects with ourselves while the connecting call waits. */
static void accept_it(struct ivshmem *iv, void *context, const struct ivshmem_offer *offer)
{
    (void)context;
    assert_int_equal(-EBUSY, ivshmem_connect(iv, 0, PORT, NULL, 0, &a));
    assert_int_equal(0, ivshmem_accept(iv, offer, &b));
    assert_int_equal(0, ivshmem_listen(iv, 1000 + offer->port));
}

static void with_ourselves(void **state)
{
    static const struct ivshmem_callbacks accepting = {.size = sizeof(accepting),
                                                       .offered = accept_it};
    struct ivshmem *iv = join(&accepting);
    char buffer[64];

    (void)state;
    assert_int_equal(0, ivshmem_set_channel_vector(iv, 0));
    assert_int_equal(0, ivshmem_listen(iv, 3));
    assert_int_equal(0, ivshmem_connect(iv, (unsigned)ivshmem_id(iv), 3, NULL, DEADLINE_MS, &a));
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(0, ivshmem_send(a, "to", 2));
        assert_int_equal(0, ivshmem_send(b, "and fro", 7));
        assert_int_equal(2, ivshmem_recv(b, buffer, 64));
        assert_int_equal(7, ivshmem_recv(a, buffer, 64));
    }
    a = ivshmem_close(a);
    assert_int_equal(-EPIPE, ivshmem_recv(b, buffer, 64));
    b = ivshmem_close(b);
    ivshmem_free(iv);
}

/* The first offer is taken; the next one closes what came of the first. */
static void take_or_close(struct ivshmem *iv, void *context, const struct ivshmem_offer *offer)
{
    (void)context;
    assert_int_equal(-EBUSY, ivshmem_dispatch(iv));
    if (!b) {
        assert_int_equal(0, ivshmem_accept(iv, offer, &b));
        return;
    }
    b = ivshmem_close(b);
    assert_int_equal(0, ivshmem_refuse(iv, offer));
}

/* A callback closes the channel that a call waits on. */
static void closed_under_a_call(void **state)
{
    static const struct ivshmem_callbacks closing = {.size = sizeof(closing),
                                                     .offered = take_or_close};
    struct ivshmem_channel *first;
    char buffer[64];
    pthread_t thread;

    (void)state;
    ivshmem_free(right);
    right = join(&closing);
    assert_int_equal(0, ivshmem_listen(right, PORT));
    assert_int_equal(0, pthread_create(&thread, NULL, connect_left, NULL));
    for (int ms = 0; !b && ms < DEADLINE_MS; ms++) {
        assert_int_equal(0, ivshmem_dispatch(right));
        poll(NULL, 0, 1);
    }
    assert_non_null(b);
    pthread_join(thread, NULL);
    first = a;
    ivshmem_channel_set_context(first, name_a);
    assert_int_equal(0, pthread_create(&thread, NULL, connect_left, NULL));
    ivshmem_channel_set_timeout(b, DEADLINE_MS);
    assert_int_equal(-EBADF, ivshmem_recv(b, buffer, 64));
    assert_null(b);
    assert_contains(ivshmem_error(right), "callback");
    pthread_join(thread, NULL);
    assert_int_equal(-ECONNREFUSED, connected);
    a = first;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_keep_their_boundaries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_large_for_the_buffer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_waits_with_time_out_0, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(aborted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scattered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_copies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_bursts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_direction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closed_by_the_sender, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closed_by_the_receiver, set_up, tear_down),
        cmocka_unit_test_setup_teardown(end_is_seen_by_a_dispatch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(peer_died, set_up, tear_down),
        cmocka_unit_test_setup_teardown(server_died, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_possible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(peers_are_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_channels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(server_is_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overwritten_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(watched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(end_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(offers_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(with_ourselves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closed_under_a_call, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
