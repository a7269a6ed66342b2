/* SPDX-License-Identifier: MIT
 *
 * See link.h. Nobody publishes who listens on what: whoever is sought is found by asking each peer.
 * A refusal costs one message of the server's.
 */
#include "client/shell/link.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client/shell/interrupt.h"

enum {
    RETRY_MS = 100,
    RING_DEFAULT = 256 << 10, /* fits a processor's cache */
    RING_LEAST = 16 << 10,    /* what is tried where the memory has no room for more */
};

int link_peer(const char *text, uint64_t *peer, struct failure *failure)
{
    if (text && strcmp(text, "any") != 0)
        return argument_number(text, "the peer", WIRE_ID_MAX, peer, failure);
    *peer = LINK_ANY;
    return 0;
}

static const struct {
    int error, status;
    const char *text; /* NULL: the library says it better */
} failures[] = {
    {ENOENT, STATUS_NOT_FOUND, NULL},
    {ECONNRESET, STATUS_NOT_FOUND, "the other side has died, or lost its server"},
    {ETIMEDOUT, STATUS_TIMED_OUT, NULL},
    {EPIPE, STATUS_REFUSED, "the other side has closed the channel"},
    {ECANCELED, STATUS_REFUSED, "the sender has given the message up"},
    {EKEYREJECTED, STATUS_REFUSED, NULL},
    {ECONNREFUSED, STATUS_REFUSED, NULL},
    {ECONNABORTED, STATUS_REFUSED, NULL},
    {EADDRINUSE, STATUS_REFUSED, NULL},
    {EDQUOT, STATUS_REFUSED, NULL},
    {ENOSPC, STATUS_REFUSED, NULL},
    {EOPNOTSUPP, STATUS_REFUSED, NULL},
    {ETIME, STATUS_REFUSED, "the channel was closed: nothing was sent for too long"},
    {ENOTCONN, STATUS_NO_SERVER, "the connection to the server has gone, and the channel with it"},
};

int link_failed_as(struct tool *tool, const char *what, int r, const char *own)
{
    int status = STATUS_USAGE;
    const char *text = NULL;

    if (r == -EINTR)
        return STATUS_DONE;
    if (!tool_connected(tool))
        r = -ENOTCONN;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
        if (r == -failures[i].error) {
            status = failures[i].status;
            text = failures[i].text;
        }
    if (own && r != -ENOTCONN)
        text = own;
    text = text ? text : ivshmem_error(tool->iv);
    return emit_error(&tool->emit, status, "%s%s%s", what ? what : "", what ? ": " : "",
                      *text ? text : strerror(-r));
}

int link_failed(struct tool *tool, const char *what, int r)
{
    return link_failed_as(tool, what, r, NULL);
}

struct ivshmem_channel_info link_info(const struct ivshmem_channel *channel)
{
    struct ivshmem_channel_info info = {.size = sizeof(info)};

    ivshmem_channel_get_info(channel, &info);
    return info;
}

/* From now on one vector of ours rings for channels all the time: nobody is to be told of that. A
 * look for offers says whether the server has channels at all. */
static int begin(struct tool *tool)
{
    struct ivshmem_offer offer;
    int r = ivshmem_next_offer(tool->iv, 0, 0, &offer);

    if (r < 0 && r != -ETIMEDOUT)
        return r;
    tool->channel_vector = ivshmem_vectors(tool->iv, (unsigned)ivshmem_id(tool->iv)) - 1;
    return 0;
}

/* --- connect --- */

/* Where no size was asked for, a smaller ring is better than none. */
static int connect_to(struct tool *tool, const struct arguments *given, unsigned peer,
                      uint64_t port, uint64_t reverse, int64_t deadline,
                      struct ivshmem_channel **channel)
{
    bool asked = given->ring_size != NOT_GIVEN;
    struct ivshmem_connect_options options = {
        .size = sizeof(options),
        .ring_size = asked ? given->ring_size : RING_DEFAULT,
        .reverse_size = reverse,
        .flags = given->crc ? IVSHMEM_CRC32C : 0,
    };

    for (;;) {
        int left = tool_left(deadline), r;

        r = ivshmem_connect(tool->iv, peer, (uint32_t)port, &options, left, channel);
        if ((r != -ENOSPC && r != -EDQUOT) || asked || options.ring_size <= RING_LEAST)
            return r;
        options.ring_size /= 2;
        if (options.reverse_size > options.ring_size)
            options.reverse_size = options.ring_size;
    }
}

/* The daemon is a peer too; like everybody who does not listen it says no. */
static int connect_to_any(struct tool *tool, const struct arguments *given, uint64_t port,
                          uint64_t reverse, int64_t deadline, struct ivshmem_channel **channel)
{
    int r = -ECONNREFUSED;

    for (int id = -1; (id = ivshmem_next_peer(tool->iv, id)) >= 0;) {
        r = connect_to(tool, given, (unsigned)id, port, reverse, deadline, channel);
        if (r == -EINVAL || r == -ENOENT)
            r = -ECONNREFUSED;
        if (r != -ECONNREFUSED)
            break;
    }
    return r;
}

static int cannot_connect(struct tool *tool, uint64_t peer, uint64_t port, bool late, int r)
{
    char what[96];

    if (peer != LINK_ANY)
        snprintf(what, sizeof(what), "peer %" PRIu64 ", port %" PRIu64, peer, port);
    else
        snprintf(what, sizeof(what), "port %" PRIu64, port);
    if (late && (r == -ECONNREFUSED || r == -ENOENT))
        return emit_error(&tool->emit, STATUS_TIMED_OUT, "%s: %s", what,
                          peer == LINK_ANY ? "nobody has listened in time"
                          : r == -ENOENT   ? "it has not come in time"
                                           : "it has not listened, or not said yes, in time");
    if (peer == LINK_ANY && r == -ECONNREFUSED)
        return emit_error(&tool->emit, STATUS_REFUSED,
                          "%s: nobody listens (--timeout waits for somebody)", what);
    return link_failed(tool, what, r);
}

int link_connect(struct tool *tool, const struct arguments *given, uint64_t peer, uint64_t port,
                 uint64_t reverse, struct ivshmem_channel **channel)
{
    int64_t deadline = tool_deadline(given->timeout);
    bool late = given->timeout >= 0;
    int before = 0, r;

    r = begin(tool);
    if (r < 0)
        return link_failed(tool, NULL, r);
    for (;;) {
        r = peer == LINK_ANY
                ? connect_to_any(tool, given, port, reverse, deadline, channel)
                : connect_to(tool, given, (unsigned)peer, port, reverse, deadline, channel);
        if (r == 0)
            break;
        if (r == -ETIMEDOUT && before) /* it said more when there was time */
            r = before;
        else
            before = r;
        if ((r != -ECONNREFUSED && r != -ENOENT) || !late || tool_left(deadline) == 0)
            return cannot_connect(tool, peer, port, late, r);
        r = tool_pause(tool, RETRY_MS, -1);
        if (r < 0)
            return tool_lost(tool, r);
    }
    ivshmem_channel_set_timeout(*channel, LINK_SLICE_MS);
    return STATUS_DONE;
}

/* --- listen --- */

static int next_offer(struct tool *tool, uint64_t port, int64_t deadline,
                      struct ivshmem_offer *offer)
{
    for (;;) {
        int left = tool_left(deadline);
        int slice = left >= 0 && left < LINK_SLICE_MS ? left : LINK_SLICE_MS;
        int r = ivshmem_next_offer(tool->iv, (uint32_t)port, slice, offer);

        if (r != -ETIMEDOUT || left == 0)
            return r;
        if (interrupt_seen())
            return -EINTR;
    }
}

static int accept_one(struct tool *tool, uint64_t peer, uint64_t port, int64_t deadline,
                      struct ivshmem_channel **channel)
{
    for (;;) {
        struct ivshmem_offer offer;
        int r = next_offer(tool, port, deadline, &offer);

        if (r < 0)
            return r;
        if (peer == LINK_ANY || peer == offer.peer)
            r = ivshmem_accept(tool->iv, &offer, channel);
        else
            r = ivshmem_refuse(tool->iv, &offer) < 0 ? -ECONNABORTED : 1;
        if (r <= 0 && r != -ECONNABORTED) /* who did not wait for the answer does not count */
            return r;
    }
}

int link_listen(struct tool *tool, uint64_t port)
{
    char what[48];
    int r = begin(tool);

    if (r < 0)
        return link_failed(tool, NULL, r);
    snprintf(what, sizeof(what), "port %" PRIu64, port);
    r = ivshmem_listen(tool->iv, (uint32_t)port);
    return r < 0 ? link_failed(tool, what, r) : STATUS_DONE;
}

int link_accept(struct tool *tool, const struct arguments *given, uint64_t peer, uint64_t port,
                struct ivshmem_channel **channel)
{
    int status = STATUS_DONE;
    char what[48];
    int r = accept_one(tool, peer, port, tool_deadline(given->timeout), channel);

    snprintf(what, sizeof(what), "port %" PRIu64, port);
    if (r == 0)
        ivshmem_channel_set_timeout(*channel, LINK_SLICE_MS);
    else if (r == -ETIMEDOUT)
        status =
            emit_error(&tool->emit, STATUS_TIMED_OUT, "%s: nobody has connected in time", what);
    else
        status = link_failed(tool, what, r);
    if (tool_connected(tool))
        ivshmem_unlisten(tool->iv, (uint32_t)port);
    return status;
}

/* The server answers requests in their order: once it has answered this one, it has seen the one
 * that closes. That we do not listen on the port is no harm. */
struct ivshmem_channel *link_close(struct tool *tool, struct ivshmem_channel *channel)
{
    uint32_t port = channel ? link_info(channel).port : 0;

    ivshmem_close(channel);
    if (channel && tool_connected(tool))
        ivshmem_unlisten(tool->iv, port);
    return NULL;
}
