/* SPDX-License-Identifier: MIT
 *
 * See peer.h.
 */
#include "server/peer.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fdpass.h"
#include "server/hub.h"

enum {
    IN_FLIGHT_MAX = 96,       /* unread messages that one peer may leave in flight */
    IN_FLIGHT_MIN = 6,        /* the kernel gives no smaller send buffer */
    MESSAGE_COST = 768,       /* of the send buffer: what the kernel counts for one message */
    DESCRIPTORS_UNKNOWN = 32, /* what we take a process to have open if /proc does not tell */
    DESCRIPTORS_SLACK = 16,   /* what it may open beside ours */
};

static void on_readable(evutil_socket_t sock, short what, void *argument)
{
    struct peer *peer = argument;
    char byte;
    ssize_t got = recv(sock, &byte, 1, MSG_DONTWAIT);

    (void)what;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0)
        hub_drop(peer->hub, peer, "sent data, and a client never sends");
    else if (got == 0 || errno == ECONNRESET)
        hub_drop(peer->hub, peer, NULL);
    else
        hub_drop(peer->hub, peer, strerror(errno));
}

static void on_writable(evutil_socket_t sock, short what, void *argument)
{
    struct peer *peer = argument;

    (void)sock;
    if (what & EV_TIMEOUT)
        hub_drop(peer->hub, peer, "did not read for the time that --peer-timeout allows");
    else
        hub_wake(peer->hub, peer);
}

/* Whether the kernel lets this process have any number of descriptors in flight (unix(7)). */
static bool may_exceed_in_flight(void)
{
    const uint32_t enough = 1u << CAP_SYS_RESOURCE | 1u << CAP_SYS_ADMIN;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};

    return syscall(SYS_capget, &header, sets) == 0 && sets[0].effective & enough;
}

/*
 * How many unread messages a newcomer may leave in flight. A user without privileges may have
 * RLIMIT_NOFILE descriptors in flight in all, and ETOOMANYREFS is then everybody's: with 96 for
 * each, 208 sleepy peers would use up 20,000 and starve the others for ever. So the more peers
 * there are, the less is for the next; the shares of 500 add up to less than 20,000.
 */
static unsigned in_flight_share(const struct hub *hub)
{
    uint64_t share = hub->fd_limit / 3 / (hub->n_peers + 1u);

    if (share >= IN_FLIGHT_MAX || may_exceed_in_flight())
        return IN_FLIGHT_MAX;
    return share > IN_FLIGHT_MIN ? (unsigned)share : IN_FLIGHT_MIN;
}

int peer_new(struct hub *hub, int sock, const struct credentials *who, struct peer **out)
{
    const int buffer = (int)in_flight_share(hub) * MESSAGE_COST / 2; /* the kernel doubles it */
    struct peer *peer = calloc(1, sizeof(*peer));

    if (!peer)
        return -ENOMEM;
    *peer = (struct peer){.hub = hub, .sock = -1, .bell = -1, .who = *who, .state = PEER_IDLE};
    peer->readable = event_new(hub->base, sock, EV_READ | EV_PERSIST, on_readable, peer);
    peer->writable = event_new(hub->base, sock, EV_WRITE, on_writable, peer);
    if (!peer->readable || !peer->writable || event_add(peer->readable, NULL) < 0) {
        peer_free(peer);
        return -ENOMEM;
    }
    setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    if (descriptor_limit_of(who->pid, &peer->fd_limit) < 0)
        peer->fd_limit = UINT64_MAX;
    if (descriptors_of(who->pid, &peer->fd_base) < 0)
        peer->fd_base = DESCRIPTORS_UNKNOWN;
    peer->sock = sock;
    *out = peer;
    return 0;
}

void peer_hang_up(const struct peer *peer)
{
    if (announce_in_greeting(&peer->announce))
        fdpass_write(peer->sock, WIRE_REFUSED, -1);
    shutdown(peer->sock, SHUT_RDWR); /* close() alone leaves it open while the store holds it */
}

struct announce_handout peer_handout(const struct peer *peer)
{
    const struct hub *hub = peer->hub;

    return (struct announce_handout){
        .memory = hub->memory_fd,
        .daemon = hub->n_mailboxes ? (int)hub->n_mailboxes : -1,
        .bell = peer->bell,
    };
}

struct peer *peer_free(struct peer *peer)
{
    if (!peer)
        return NULL;
    if (peer->readable)
        event_free(peer->readable);
    if (peer->writable)
        event_free(peer->writable);
    close_fd(peer->sock);
    close_fd(peer->bell);
    free(peer);
    return NULL;
}

int peer_send(struct peer *peer, struct batch *batch)
{
    struct announce_cursor cursor = peer->announce.cursor;
    struct witness *witness = &peer->hub->witness;
    struct announcement message;
    int sent;

    batch_begin(batch, peer->seat->id);
    while (batch->count < BATCH_MAX && announce_next(&peer->announce, &cursor, &message)) {
        batch_add(batch, message.value, message.fd);
        batch_note(batch, announce_effect(&cursor, &message));
    }
    if (!batch->count)
        return PEER_IDLE;
    sent = batch_send(batch, peer->sock);
    if (sent > 0) {
        announce_sent(&peer->announce, &peer->hub->seats, (unsigned)sent);
        witness_count(witness, &witness->counters->announcements, (unsigned)sent);
    }
    batch_recorded(batch);
    if (sent == -EAGAIN)
        return PEER_FULL;
    if (sent == -ETOOMANYREFS || sent == -ENOBUFS || sent == -ENOMEM)
        return PEER_LATER;
    if (sent == -EINTR)
        return PEER_READY;
    if (sent < 0)
        return sent;
    if ((unsigned)sent < batch->count)
        return PEER_FULL;
    return announce_pending(&peer->announce) ? PEER_READY : PEER_IDLE;
}

bool peer_hung_up(const struct peer *peer)
{
    struct pollfd state = {.fd = peer->sock, .events = POLLRDHUP};

    return poll(&state, 1, 0) == 1; /* also when it has sent something first */
}

bool peer_can_hold(struct peer *peer, uint64_t doorbells)
{
    uint64_t needed = doorbells + peer->fd_base + DESCRIPTORS_SLACK;

    if (needed <= peer->fd_limit)
        return true;
    if (descriptor_limit_of(peer->who.pid, &peer->fd_limit) < 0)
        peer->fd_limit = UINT64_MAX;
    return needed <= peer->fd_limit;
}
