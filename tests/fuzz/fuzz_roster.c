/* SPDX-License-Identifier: MIT
 *
 * A hostile server: the messages that a client takes. Each begins with a byte: bit 0 says that a
 * descriptor comes with it, bits 1 and 2 how the value follows: in one byte, as one byte below
 * zero, in two bytes, or in eight. The table that comes of it agrees with itself after each
 * message, and no descriptor is lost or closed twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "client/lib/roster.h"
#include "common/wire.h"
#include "tests/fuzz/fuzz.h"

enum { MESSAGES_MAX = 400, DAEMON = 3 };

/* Return: bytes used, 0 when there are too few. */
static size_t take_message(const uint8_t *data, size_t size, int64_t *value, int *with_fd)
{
    static const size_t lengths[] = {1, 1, 2, 8};
    uint8_t bytes[WIRE_SIZE] = {0};
    unsigned kind;

    if (size < 1)
        return 0;
    *with_fd = data[0] & 1;
    kind = data[0] >> 1 & 3;
    if (size < 1 + lengths[kind])
        return 0;
    memcpy(bytes, data + 1, lengths[kind]);
    *value = wire_decode(bytes);
    if (kind == 1)
        *value = -*value;
    return 1 + lengths[kind];
}

static size_t check_peer(const struct roster *roster, const struct roster_peer *peer)
{
    REQUIRE(roster_find(roster, peer->id) == peer);
    REQUIRE(peer->id <= WIRE_ID_MAX && peer->count <= WIRE_VECTORS_MAX);
    for (unsigned i = 0; i < peer->count; i++)
        REQUIRE(fcntl(peer->vectors[i], F_GETFD) >= 0);
    return peer->count;
}

/* Return: how many descriptors the roster holds. */
static size_t check_table(const struct roster *roster)
{
    const struct roster_peer *peer = roster_first(roster), *own = roster_own(roster);
    const struct roster_peer *daemon = roster_find(roster, DAEMON);
    size_t held = (roster_memory_fd(roster) >= 0) + own->count;

    REQUIRE(!peer || !peer->prev);
    REQUIRE(roster_connected(roster) == (roster_memory_fd(roster) >= 0));
    if (roster_connected(roster))
        check_peer(roster, own);
    for (; peer; peer = peer->next) {
        REQUIRE(peer->id != own->id && peer->count > 0);
        REQUIRE(!peer->next || peer->next->prev == peer);
        held += check_peer(roster, peer);
        if (peer == daemon)
            daemon = NULL;
    }
    if (daemon && daemon != own)
        held += check_peer(roster, daemon);
    return held;
}

static void check_event(const struct roster *roster, const struct roster_event *event, int fd)
{
    const struct roster_peer *peer = roster_find(roster, event->peer);

    switch (event->change) {
    case ROSTER_NOTHING:
        break;
    case ROSTER_CONNECTED:
        REQUIRE(roster_memory_fd(roster) == fd && event->fd == fd);
        break;
    case ROSTER_JOINED:
    case ROSTER_VECTOR:
    case ROSTER_OWN_VECTOR:
        REQUIRE(peer && event->vector == peer->count - 1 && event->fd == fd);
        REQUIRE(peer->vectors[event->vector] == fd);
        REQUIRE((event->change == ROSTER_OWN_VECTOR) == (peer == roster_own(roster)));
        REQUIRE(event->change != ROSTER_JOINED || event->vector == 0);
        break;
    case ROSTER_DAEMON:
        REQUIRE(peer && peer->id == DAEMON && peer->count == 1 && event->fd == fd);
        break;
    case ROSTER_LEFT:
        REQUIRE(!peer && fd == -1);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int before = count_descriptors(), sample = open("/dev/null", O_RDWR | O_CLOEXEC), r = 0;
    struct roster *roster = roster_new();
    size_t used, held = 0;

    REQUIRE(roster && sample >= 0);
    for (int i = 0; i < MESSAGES_MAX && r == 0; i++) {
        struct roster_event event = {.peer = 0};
        struct failure failure = {.text = ""};
        int64_t value;
        int fd;

        used = take_message(data, size, &value, &fd);
        if (!used)
            break;
        data += used;
        size -= used;
        fd = fd ? dup(sample) : -1;
        r = roster_feed(roster, value, fd, &event, &failure);
        if (r == 0) {
            held = check_table(roster);
            check_event(roster, &event, fd);
            if (event.change == ROSTER_CONNECTED)
                roster_expect_daemon(roster, DAEMON, 2);
            continue;
        }
        REQUIRE(r == -EPROTO || r == -EPROTONOSUPPORT || r == -ECONNREFUSED);
        REQUIRE(failure.text[0]);
        REQUIRE(fd < 0 || fcntl(fd, F_GETFD) < 0);
    }
    REQUIRE(count_descriptors() == before + 1 + (int)held);
    roster_free(roster);
    close(sample);
    REQUIRE(count_descriptors() == before);
    return 0;
}
