/* SPDX-License-Identifier: MIT
 *
 * The library's channels in a region that others write to. One handle is connected with itself, the
 * daemon's real tables answer it, and the bytes say what the program calls, and what is scribbled
 * where: also while a call waits, since waiting is where time passes. Time is not real here, so a
 * call that waits for its time-out takes none; a call that does not end in its time aborts.
 *
 * A step begins with a byte: its low half is what to do, its high half a small number to do it
 * with.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "client/lib/channel.h"
#include "common/doorbell.h"
#include "common/wire.h"
#include "server/channels.h"
#include "server/rebalance.h"
#include "tests/fuzz/fuzz.h"

enum { REGION = 256 << 10, PEERS = 4, CHANNELS = 8, VECTORS = 2, OWN = 1, PORT = 5, SIDES = 4 };
enum { GUARD = 1 << 20, STEPS_MAX = 200, TIMEOUT_MS = 3, LONGEST = 20000 };

/* No call may take longer than the library is ever patient, three times over. */
#define PATIENCE_NS (INT64_C(30) * 1000000000)

static struct {
    bool running;
    int64_t now;
    const uint8_t *data;
    size_t size;
    uint8_t *region;
    struct channel_state *state;
    struct channels *tables;
    struct ivshmem *iv;
    int vectors[VECTORS];
    struct ivshmem_channel *sides[SIDES];
    unsigned n_sides;
} world;

static uint8_t next_byte(void)
{
    if (!world.size)
        return 0;
    world.size--;
    return *world.data++;
}

static uint32_t next_word(void)
{
    uint32_t word = 0;

    for (int i = 0; i < 4; i++)
        word |= (uint32_t)next_byte() << 8 * i;
    return word;
}

static void scribble(unsigned kind)
{
    uint64_t offset = (next_byte() | (uint32_t)next_byte() << 8 | (uint32_t)next_byte() << 16) * 4;
    uint32_t *word;

    if (kind & 1) /* near what matters: a word of the first channels or of our mailbox */
        offset = kind & 2 ? layout_channel_offset(PEERS) + offset % (4 * LAYOUT_APART * 3)
                          : sizeof(struct layout_header) + OWN * sizeof(struct layout_mailbox) +
                                offset % sizeof(struct layout_mailbox);
    else if (kind & 2) /* in the first rings */
        offset = layout_data_offset(PEERS, CHANNELS) + offset % 16384;
    word = (uint32_t *)(void *)(world.region + offset % (REGION - 3) / 4 * 4);
    switch (kind >> 2) {
    case 0:
        *word = next_word();
        break;
    case 1:
        *word ^= UINT32_C(1) << (next_byte() & 31);
        break;
    case 2:
        *word = next_byte();
        break;
    case 3:
        *word += next_byte() - UINT32_C(128);
        break;
    }
}

/* Time passes: others write, and the daemon does its work. */
static void pass(int64_t nanoseconds)
{
    uint8_t what = next_byte();

    world.now += nanoseconds;
    if (what & 1)
        scribble(what >> 4);
    if (what & 2)
        channels_rung(world.tables, OWN, world.now / 1000000);
    if (what & 4)
        channels_tick(world.tables, world.now / 1000000);
}

/* In place of the system's, for this program: linked with --wrap. */
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __real_epoll_wait(int fd, struct epoll_event *events, int most, int timeout);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
ssize_t __real_getrandom(void *to, size_t size, unsigned flags);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!world.running)
        return __real_clock_gettime(clock, now);
    world.now += 1000;
    *now = (struct timespec){.tv_sec = world.now / 1000000000, .tv_nsec = world.now % 1000000000};
    return 0;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    int count = __real_epoll_wait(fd, events, most, 0);

    if (!world.running || count || !timeout)
        return count;
    REQUIRE(timeout > 0);                 /* nobody here waits for ever */
    pass((int64_t)timeout * 1000000 / 4); /* sometimes woken for nothing */
    return __real_epoll_wait(fd, events, most, 0);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (!world.running)
        return __real_poll(fds, count, timeout);
    pass((int64_t)timeout * 1000000);
    return __real_poll(fds, count, 0);
}

ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags)
{
    return world.running ? -1 : __real_getrandom(to, size, flags);
}

static void ring_peer(void *context, unsigned peer, unsigned vector)
{
    (void)context;
    if (peer == OWN)
        doorbell_ring(world.vectors[vector]);
}

/* The handle's way to ring: the daemon is there at once, or when time passes. */
static int transport_ring(struct transport *transport, const struct roster_peer *peer,
                          unsigned vector)
{
    (void)transport;
    if (peer->id == PEERS && !(next_byte() & 1))
        channels_rung(world.tables, OWN, world.now / 1000000);
    return peer->id == PEERS ? 0 : doorbell_ring(peer->vectors[vector]);
}

static int transport_read(struct transport *transport, int64_t *value, int *fd)
{
    (void)transport;
    (void)value;
    (void)fd;
    return -EAGAIN;
}

static void transport_end(struct transport *transport)
{
    (void)transport;
}

static const struct transport_ops ops = {
    .read = transport_read, .ring = transport_ring, .close = transport_end};
static struct transport transport = {.ops = &ops, .fd = -1};

static void add_side(struct ivshmem_channel *channel)
{
    ivshmem_channel_set_timeout(channel, TIMEOUT_MS);
    world.sides[world.n_sides++] = channel;
}

static void on_offered(struct ivshmem *iv, void *context, const struct ivshmem_offer *offer)
{
    struct ivshmem_channel *channel;

    (void)context;
    if (world.n_sides + 2 <= SIDES && ivshmem_accept(iv, offer, &channel) == 0)
        add_side(channel);
}

static void on_ready(struct ivshmem *iv, void *context, struct ivshmem_channel *channel)
{
    char bytes[64];

    (void)iv;
    (void)context;
    ivshmem_channel_set_timeout(channel, 0);
    ivshmem_recv(channel, bytes, sizeof(bytes));
    ivshmem_channel_set_timeout(channel, TIMEOUT_MS);
}

static const struct ivshmem_callbacks callbacks = {
    .size = sizeof(callbacks), .offered = on_offered, .channel_ready = on_ready};

static void *map(size_t size)
{
    uint8_t *memory = mmap(NULL, size + 2 * (size_t)GUARD, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    REQUIRE(memory != MAP_FAILED);
    REQUIRE(mprotect(memory + GUARD, size, PROT_READ | PROT_WRITE) == 0);
    return memory + GUARD;
}

static void unmap(void *memory, size_t size)
{
    munmap((uint8_t *)memory - GUARD, size + 2 * (size_t)GUARD);
}

static void feed(int64_t value, int fd)
{
    struct roster_event event;

    REQUIRE(roster_feed(world.iv->roster, value, fd, &event, NULL) == 0);
    if (event.change == ROSTER_OWN_VECTOR)
        REQUIRE(events_add_vector(&world.iv->events, event.vector, event.fd) == 0);
}

/* A handle whose greeting is over, without a server. */
static void make_handle(void)
{
    REQUIRE(ivshmem_new(&world.iv, &callbacks, NULL) == 0);
    world.iv->roster = roster_new();
    REQUIRE(world.iv->roster);
    world.iv->transport = &transport;
    feed(WIRE_VERSION, -1);
    feed(OWN, -1);
    feed(WIRE_MEMORY, doorbell_new()); /* any descriptor: it is mapped already */
    feed(PEERS, doorbell_new());
    for (int i = 0; i < VECTORS; i++) {
        world.vectors[i] = doorbell_new();
        feed(OWN, world.vectors[i]);
    }
    world.iv->memory.address = world.region;
    world.iv->memory.size = REGION;
    world.iv->ready = true;
}

static void begin(const uint8_t *data, size_t size)
{
    struct channels_setup setup = {
        .region_size = REGION,
        .n_mailboxes = PEERS,
        .n_channels = CHANNELS,
        .instance = 1,
        .options = channels_defaults,
        .ring = ring_peer,
    };
    struct failure failure;

    memset(&world, 0, sizeof(world));
    world.now = 1000000000;
    world.data = data;
    world.size = size;
    world.region = map(REGION);
    world.state = map(sizeof(*world.state));
    setup.region = world.region;
    setup.state = world.state;
    REQUIRE(channels_new(&setup, &world.tables, &failure) == 0);
    channels_start(world.tables, world.now / 1000000);
    channels_joined(world.tables, OWN, 1, 0, VECTORS);
    make_handle();
    world.running = true;
}

static void end(void)
{
    world.iv->memory.address = NULL; /* not the handle's */
    world.iv->memory.size = 0;
    ivshmem_free(world.iv);
    world.running = false;
    channels_free(world.tables);
    unmap(world.region, REGION);
    unmap(world.state, sizeof(*world.state));
}

static void connect_again(unsigned number)
{
    struct ivshmem_connect_options options = {
        .size = sizeof(options),
        .ring_size = 4096 * (1 + (number & 3)),
        .reverse_size = number & 4 ? 0 : 4096,
        .flags = number & 8 ? IVSHMEM_CRC32C : 0,
    };
    struct ivshmem_channel *channel;

    if (world.n_sides + 2 > SIDES)
        return;
    ivshmem_listen(world.iv, PORT);
    if (ivshmem_connect(world.iv, OWN, PORT, &options, TIMEOUT_MS, &channel) == 0)
        add_side(channel);
}

static void close_side(unsigned index)
{
    ivshmem_close(world.sides[index]);
    world.sides[index] = world.sides[--world.n_sides];
}

static void send_something(struct ivshmem_channel *channel, unsigned number)
{
    static uint8_t bytes[LONGEST];
    size_t size = (size_t)next_byte() << (number & 7);
    struct iovec pieces[3] = {{bytes, size / 2}, {bytes, 0}, {bytes + 9, size - size / 2}};
    void *room;

    size = size < LONGEST ? size : LONGEST;
    switch (number >> 3) {
    case 0:
        ivshmem_send(channel, bytes, size);
        break;
    default:
        if (number & 1)
            ivshmem_sendv(channel, pieces, 3);
        else if (number & 2)
            ivshmem_send_part(channel, bytes, size, number & 4);
        else if (number & 4)
            ivshmem_send_burst(channel, pieces, 3);
        else if (ivshmem_reserve(channel, size, &room) == 0) {
            memset(room, 1, size);
            ivshmem_commit(channel, size, size & 1);
        } else {
            ivshmem_send_abort(channel);
        }
    }
}

static void receive_something(struct ivshmem_channel *channel, unsigned number)
{
    static uint8_t bytes[LONGEST];
    size_t size = (size_t)next_byte() << (number & 7), seen = 0, length;
    struct iovec pieces[3] = {{bytes, size / 2}, {bytes, 0}, {bytes + 9, size - size / 2}};
    const void *data;
    ssize_t got = 0;
    bool more;

    size = size < LONGEST ? size : LONGEST;
    switch (number >> 3) {
    case 0:
        got = ivshmem_recv(channel, bytes, size);
        break;
    default:
        if (number & 1) {
            got = ivshmem_recvv(channel, pieces, 3);
        } else if (number & 2) {
            got = ivshmem_recv_part(channel, bytes, size, &more);
        } else if (number & 4) {
            got = ivshmem_recv_burst(channel, pieces, 3);
            REQUIRE(got <= 3);
            return;
        } else if (ivshmem_peek(channel, &data, &length, &more) == 0) {
            for (size_t i = 0; i < length; i++)
                seen += ((const uint8_t *)data)[i];
            REQUIRE(seen <= length * 255);
            ivshmem_release(channel);
        }
    }
    REQUIRE(got < 0 || (size_t)got <= size);
}

static void change_side(struct ivshmem_channel *channel, unsigned index)
{
    struct ivshmem_channel_info info = {.size = sizeof(info)};
    uint8_t how = next_byte();

    if ((how & 7) == 0) {
        close_side(index);
        return;
    }
    REQUIRE(ivshmem_channel_get_info(channel, &info) == 0);
    ivshmem_flush(channel);
    ivshmem_channel_set_waiting(channel, how % 3);
    ivshmem_channel_set_timeout(channel, how & 8 ? 0 : TIMEOUT_MS);
}

static void step(uint8_t what)
{
    unsigned number = what >> 4;
    struct ivshmem_channel *channel = world.n_sides ? world.sides[number % world.n_sides] : NULL;

    what &= 15;
    if (what <= 3)
        scribble(number);
    else if (what == 4)
        connect_again(number);
    else if (what == 5)
        pass(1000000);
    else if (what == 6)
        ivshmem_dispatch(world.iv);
    else if (!channel)
        return;
    else if (what <= 9)
        send_something(channel, next_byte() & 15);
    else if (what <= 12)
        receive_something(channel, next_byte() & 15);
    else if (what == 13)
        channels_resize(world.tables, number % CHANNELS, 4096 * (1 + (next_byte() & 7)));
    else if (what == 14)
        ivshmem_channel_watch(channel, next_byte() & 3);
    else
        change_side(channel, number % world.n_sides);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin(data, size);
    connect_again(next_byte());
    for (int i = 0; i < STEPS_MAX && world.size; i++) {
        int64_t before = world.now;

        step(next_byte());
        REQUIRE(world.now - before < PATIENCE_NS);
    }
    end();
    return 0;
}
