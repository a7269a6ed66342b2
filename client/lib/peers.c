/* SPDX-License-Identifier: MIT
 *
 * The table of peers as the program sees it, and their doorbells.
 */
#include <errno.h>
#include <string.h>

#include "client/lib/handle.h"
#include "client/lib/view.h"

static const struct roster_peer *find_peer(const struct ivshmem *iv, unsigned peer)
{
    return iv->roster ? roster_find(iv->roster, peer) : NULL;
}

static int no_peer(struct ivshmem *iv, unsigned peer)
{
    return failure_set(&iv->failure, ENOENT, "there is no peer %u", peer);
}

int ivshmem_next_peer(const struct ivshmem *iv, int after)
{
    const struct roster_peer *peer = NULL;

    if (after >= 0) {
        peer = find_peer(iv, (unsigned)after);
        peer = peer ? peer->next : NULL;
    } else if (iv->roster) {
        peer = roster_first(iv->roster);
    }
    return peer ? (int)peer->id : -ENOENT;
}

int ivshmem_vectors(const struct ivshmem *iv, unsigned peer)
{
    const struct roster_peer *found = find_peer(iv, peer);

    return found ? (int)found->count : -ENOENT;
}

/* A server with channels publishes who its peers are. */
int ivshmem_peer_credentials(struct ivshmem *iv, unsigned peer, pid_t *pid, uid_t *uid)
{
    struct layout_peer block;
    struct view view;

    if (!find_peer(iv, peer))
        return no_peer(iv, peer);
    if (view_init(&view, ivshmem_memory(iv), ivshmem_memory_size(iv), NULL) < 0 ||
        !view_peer(&view, peer, &block) || !block.present || !block.pid)
        return failure_set(&iv->failure, ENODATA,
                           "the server does not say whose process peer %u is", peer);
    *pid = (pid_t)block.pid;
    *uid = block.uid;
    return 0;
}

int ivshmem_vector_fd(const struct ivshmem *iv, unsigned peer, unsigned vector)
{
    const struct roster_peer *found = find_peer(iv, peer);

    return found && vector < found->count ? found->vectors[vector] : -ENOENT;
}

static int ring(struct ivshmem *iv, const struct roster_peer *peer, unsigned vector)
{
    int r = iv->transport->ops->ring(iv->transport, peer, vector);

    if (r < 0)
        return failure_set(&iv->failure, -r, "cannot ring vector %u of peer %u: %s", vector,
                           peer->id, strerror(-r));
    return 0;
}

static int ring_each(struct ivshmem *iv, const struct roster_peer *peer)
{
    int result = 0;

    for (unsigned i = 0; i < peer->count; i++) {
        int r = ring(iv, peer, i);

        if (result == 0)
            result = r;
    }
    return result;
}

int ivshmem_ring(struct ivshmem *iv, unsigned peer, unsigned vector)
{
    const struct roster_peer *found = find_peer(iv, peer);

    if (!found)
        return no_peer(iv, peer);
    if (vector >= found->count)
        return failure_set(&iv->failure, ENOENT, "peer %u has no vector %u, but %u vectors", peer,
                           vector, found->count);
    return ring(iv, found, vector);
}

int ivshmem_ring_peer(struct ivshmem *iv, unsigned peer)
{
    const struct roster_peer *found = find_peer(iv, peer);

    return found ? ring_each(iv, found) : no_peer(iv, peer);
}

int ivshmem_ring_all(struct ivshmem *iv)
{
    int result = 0;

    if (!iv->roster)
        return failure_set(&iv->failure, ENOTCONN, "not connected");
    for (const struct roster_peer *peer = roster_first(iv->roster); peer; peer = peer->next) {
        int r = ring_each(iv, peer);

        if (result == 0)
            result = r;
    }
    return result;
}
