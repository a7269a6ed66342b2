/* SPDX-License-Identifier: MIT */
/*
 * One connection of this guest: a ring to send in, one to receive from, or both. What happens in
 * the rings is common/ring.h's; here is what is around them: who is on the other side, sleeping
 * until he has done something, rings that move, and the end.
 */
#ifndef GUEST_CHANNEL_H
#define GUEST_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring.h"
#include "mailbox.h"

/* One direction. */
struct channel_way {
    bool exists;
    uint32_t channel;
    uint64_t size;       /* of the ring */
    uint32_t generation; /* moves of the ring that we have made */
    uint32_t told;       /* of those, what the daemon was told */
};

struct channel {
    struct mailbox *mailbox;
    bool is_open;
    uint32_t first; /* channel that names the connection */
    uint64_t serial;
    uint32_t peer, bell; /* who is on the other side, and where to ring him */
    uint32_t port;
    uint32_t events;   /* as of our last look at the entries */
    const char *ended; /* why nothing more will come, or NULL */
    struct channel_way out, in;
    struct ring_sender sender;
    struct ring_receiver receiver;
};

const char *channel_connect(struct channel *channel, const struct layout_request *request);
const char *channel_accept(struct channel *channel, uint32_t port);
const char *channel_refuse(struct channel *channel, uint32_t port);
const char *channel_send(struct channel *channel, const void *data, uint32_t length, bool more);
const char *channel_receive(struct channel *channel, void *buffer, uint32_t room, uint32_t *length,
                            bool *more);
void channel_flush(struct channel *channel);
void channel_attend(struct channel *channel);
const char *channel_close(struct channel *channel);

#endif
