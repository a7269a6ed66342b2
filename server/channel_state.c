/* SPDX-License-Identifier: MIT
 *
 * See channel_state.h.
 */
#include "server/channel_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

static int reserve(int fd, off_t at, size_t from, size_t to)
{
    return fallocate(fd, 0, at + (off_t)from, (off_t)(to - from)) < 0 ? -errno : 0;
}

int channel_state_reserve(int fd, off_t at, unsigned n_mailboxes, unsigned n_channels)
{
    const size_t peers = offsetof(struct channel_state, peers);
    const size_t rings = offsetof(struct channel_state, rings);
    int r = reserve(fd, at, 0, peers + n_mailboxes * sizeof(struct channel_peer));

    if (r == 0)
        r = reserve(fd, at, rings, rings + n_channels * sizeof(struct channel_ring));
    return r;
}

struct channel_ring *channel_state_draft_ring(struct channel_state *state, unsigned channel)
{
    struct channel_journal *journal = &state->journal;

    for (unsigned i = 0; i < journal->n_rings; i++)
        if (journal->ring[i] == channel)
            return &journal->rings[i];
    assert(journal->n_rings < 2 && !journal->committed);
    journal->ring[journal->n_rings] = channel;
    journal->rings[journal->n_rings] = state->rings[channel];
    return &journal->rings[journal->n_rings++];
}

struct channel_peer *channel_state_draft_peer(struct channel_state *state, unsigned peer)
{
    struct channel_journal *journal = &state->journal;

    for (unsigned i = 0; i < journal->n_peers; i++)
        if (journal->peer[i] == peer)
            return &journal->peers[i];
    assert(journal->n_peers < 2 && !journal->committed);
    journal->peer[journal->n_peers] = peer;
    journal->peers[journal->n_peers] = state->peers[peer];
    return &journal->peers[journal->n_peers++];
}

/* Killing a process leaves its stores in the order of the program: only the compiler must keep it.
 */
static void in_order(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void put_in_place(struct channel_state *state)
{
    struct channel_journal *journal = &state->journal;

    for (unsigned i = 0; i < journal->n_rings; i++)
        state->rings[journal->ring[i]] = journal->rings[i];
    for (unsigned i = 0; i < journal->n_peers; i++)
        state->peers[journal->peer[i]] = journal->peers[i];
    in_order();
    __atomic_store_n(&journal->committed, 0, __ATOMIC_RELAXED);
    in_order();
}

void channel_state_commit(struct channel_state *state)
{
    in_order();
    __atomic_store_n(&state->journal.committed, 1, __ATOMIC_RELAXED);
    in_order();
    put_in_place(state);
}

void channel_state_begin(struct channel_state *state)
{
    state->journal.n_rings = state->journal.n_peers = 0;
}

int channel_state_complete(struct channel_state *state)
{
    const struct channel_journal *journal = &state->journal;

    if (journal->committed > 1 ||
        (journal->committed && (journal->n_rings > 2 || journal->n_peers > 2)))
        return -EPROTO;
    for (unsigned i = 0; journal->committed && i < journal->n_rings; i++)
        if (journal->ring[i] >= state->n_channels)
            return -EPROTO;
    for (unsigned i = 0; journal->committed && i < journal->n_peers; i++)
        if (journal->peer[i] >= state->n_mailboxes)
            return -EPROTO;
    if (journal->committed)
        put_in_place(state);
    channel_state_begin(state);
    return 0;
}
