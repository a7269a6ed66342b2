/* SPDX-License-Identifier: MIT
 *
 * See channels.h. Requests are carried out in requests.c, connections change in connection.c,
 * channels_restore.c checks what another process left, channels_status.c is for who asks.
 */
#include "server/channels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/connection.h"
#include "server/rebalance.h"
#include "server/requests.h"

enum {
    ENTRIES_A_RING = 64,  /* compared at most at each doorbell */
    UNUSED_A_TICK = 1024, /* mailboxes and channels nobody has, compared at each interval */
    IDLE_LOOK_MS = 100,   /* nobody can make us look at an idle connection more often */
    LEAST_CHANNELS = 16,  /* that the default quota allows */
};

const struct channels_options channels_defaults = {
    .offer_ms = 10000,
    .interval_ms = 1000,
    .doorbells = 1000,
    .peer_ports = 64,
    .grow_max = UINT64_C(4) << 20,
};

uint32_t channels_peer_channels(const struct channels *channels)
{
    uint32_t quarter = channels->state->n_channels / 4;

    if (channels->setup.options.peer_channels)
        return channels->setup.options.peer_channels;
    return quarter < LEAST_CHANNELS ? LEAST_CHANNELS : quarter;
}

uint64_t channels_peer_bytes(const struct channels *channels)
{
    if (channels->setup.options.peer_bytes)
        return channels->setup.options.peer_bytes;
    return (channels->extents.end - channels->extents.start) / 2;
}

int channels_fit(uint64_t region_size, unsigned n_mailboxes, unsigned n_channels,
                 struct failure *failure)
{
    uint64_t need;

    if (n_mailboxes < 1 || n_mailboxes > LAYOUT_MAILBOXES_MAX)
        return failure_set(failure, EINVAL, "there can be 1 to %d mailboxes, not %u",
                           LAYOUT_MAILBOXES_MAX, n_mailboxes);
    if (n_channels < 1 || n_channels > LAYOUT_CHANNELS_MAX)
        return failure_set(failure, EINVAL, "there can be 1 to %d channels, not %u",
                           LAYOUT_CHANNELS_MAX, n_channels);
    need = layout_data_offset(n_mailboxes, n_channels) + LAYOUT_BLOCK;
    if (region_size < need)
        return failure_set(failure, EINVAL,
                           "%u mailboxes and %u channels need a region of at least %llu bytes, and "
                           "this one has %llu: make it larger, or ask for fewer",
                           n_mailboxes, n_channels, (unsigned long long)need,
                           (unsigned long long)region_size);
    return 0;
}

/* The derived tables, empty. The numbers in the state were checked. */
static int make_tables(struct channels *channels)
{
    const struct channel_state *state = channels->state;
    const uint64_t start = layout_data_offset(state->n_mailboxes, state->n_channels);
    const uint64_t end = state->region_size / LAYOUT_BLOCK * LAYOUT_BLOCK;

    channels->usage = calloc(state->n_mailboxes, sizeof(*channels->usage));
    channels->links = calloc(2 * (size_t)state->n_channels, sizeof(*channels->links));
    channels->watch = calloc(state->n_channels, sizeof(*channels->watch));
    channels->scratch = calloc(state->n_channels, sizeof(*channels->scratch));
    if (!channels->usage || !channels->links || !channels->watch || !channels->scratch ||
        extents_init(&channels->extents, start, end, 2 * (size_t)state->n_channels) < 0 ||
        idset_reserve(&channels->used, state->n_channels - 1) < 0)
        return -ENOMEM;
    for (unsigned i = 0; i < state->n_mailboxes; i++)
        channels->usage[i].first = CONNECTION_NONE;
    return 0;
}

int channels_make(const struct channels_setup *setup, struct channels **out,
                  struct failure *failure)
{
    struct channels *channels = calloc(1, sizeof(*channels));

    if (!channels)
        return failure_set(failure, ENOMEM, "no memory for the tables of channels");
    channels->setup = *setup;
    channels->state = setup->state;
    channels->section = (struct section){.region = setup->region, .state = setup->state};
    channels->next_end = INT64_MAX;
    if (make_tables(channels) < 0) {
        channels_free(channels);
        return failure_set(failure, ENOMEM, "no memory for the tables of %u channels",
                           setup->state->n_channels);
    }
    *out = channels;
    return 0;
}

int channels_new(const struct channels_setup *setup, struct channels **out, struct failure *failure)
{
    struct channel_state *state = setup->state;
    int r = channels_fit(setup->region_size, setup->n_mailboxes, setup->n_channels, failure);

    if (r < 0)
        return r;
    state->n_mailboxes = setup->n_mailboxes;
    state->n_channels = setup->n_channels;
    state->region_size = setup->region_size;
    state->instance = setup->instance;
    r = channels_make(setup, out, failure);
    if (r < 0)
        return r;
    /* The version comes last: without it there is nothing to restore. */
    __atomic_store_n(&state->version, CHANNEL_STATE_VERSION, __ATOMIC_RELEASE);
    return 0;
}

struct channels *channels_free(struct channels *channels)
{
    if (!channels)
        return NULL;
    extents_deinit(&channels->extents);
    idset_deinit(&channels->used);
    free(channels->usage);
    free(channels->links);
    free(channels->watch);
    free(channels->scratch);
    free(channels);
    return NULL;
}

void channels_start(struct channels *channels, int64_t now)
{
    struct channel_state *state = channels->state;
    struct layout_header *header = &state->header;

    section_describe(&channels->section);
    header->num_active_channel = channels->n_used;
    header->free_start_offset = extents_free_start(&channels->extents);
    header->free_bytes = channels->extents.free_bytes;
    if (!state->started)
        section_clear(&channels->section);
    section_publish_all(&channels->section);
    __atomic_store_n(&state->started, 1, __ATOMIC_RELEASE);
    channels->next_interval = now + channels->setup.options.interval_ms;
    channels->next_end = channels->n_used ? now : INT64_MAX;
    for (unsigned i = connection_next(channels, 0); i != CONNECTION_NONE;
         i = connection_next(channels, i + 1)) {
        connection_watch(channels, i, now);
        channels->watch[i].touches = 0;
        channels->watch[i].used_at = channels->watch[i].decided_at = now;
    }
    for (unsigned i = 0; i < state->n_mailboxes; i++) {
        const struct channel_peer *peer = &state->peers[i];

        if (peer->peer.present && peer->peer.speaks)
            channels->setup.ring(channels->setup.context, i, peer->peer.vector);
        if (peer->peer.present && peer->hearing)
            channels_rung(channels, i, now);
    }
}

bool channels_is_present(const struct channels *channels, unsigned peer)
{
    return peer < channels->state->n_mailboxes && channels->state->peers[peer].peer.present;
}

/* A peer's record without what it had; what is counted goes on. */
static struct channel_peer *draft_nobody(struct channels *channels, unsigned peer)
{
    struct channel_peer *draft = channel_state_draft_peer(channels->state, peer);

    draft->peer = (struct layout_peer){
        .generation = draft->peer.generation,
        .session = draft->peer.session,
        .events = draft->peer.events,
    };
    memset(&draft->reply, 0, sizeof(draft->reply));
    memset(draft->ports, 0, sizeof(draft->ports));
    draft->n_ports = draft->hearing = 0;
    return draft;
}

void channels_left(struct channels *channels, unsigned peer)
{
    if (!channels_is_present(channels, peer))
        return;
    connections_drop(channels, peer);
    draft_nobody(channels, peer);
    channels->n_present--;
    connections_commit(channels);
}

static void log_damage(struct channels *channels, const struct section_damage *damage,
                       const char *when)
{
    struct channels_event event;
    char what[80];

    if (!damage->blocks)
        return;
    channels->state->counters.repairs += damage->blocks;
    section_damage_describe(damage, what, sizeof(what));
    event =
        (struct channels_event){.kind = CHANNELS_DAMAGED, .blocks = damage->blocks, .what = what};
    if (channels->setup.tell)
        channels->setup.tell(channels->setup.context, &event);
    log_limited(&channels->damaged, LOG_WARNING,
                "somebody wrote over the control section, found %s: %s; put back, with %u more "
                "blocks",
                when, what, damage->blocks - 1);
}

static void repair_for(struct channels *channels, unsigned peer, const char *when)
{
    struct section_damage damage = {.blocks = 0};
    unsigned channel = channels->repair_next;

    section_repair_header(&channels->section, &damage);
    section_repair_peer(&channels->section, peer, &damage);
    for (unsigned i = 0; i < ENTRIES_A_RING && i < channels->n_used; i++, channel++) {
        channel = connection_next(channels, channel);
        if (channel == CONNECTION_NONE)
            channel = connection_next(channels, 0);
        section_repair_entry(&channels->section, channel, &damage);
    }
    channels->repair_next = channel;
    log_damage(channels, &damage, when);
}

/* What an earlier one left in the mailbox must not be taken for a request of the newcomer's. */
void channels_joined(struct channels *channels, unsigned peer, uint32_t pid, uint32_t uid,
                     unsigned n_vectors)
{
    struct channel_peer *draft;

    if (peer >= channels->state->n_mailboxes || channels_is_present(channels, peer))
        return;
    section_clear_request(&channels->section, peer);
    draft = draft_nobody(channels, peer);
    draft->peer.present = 1;
    draft->peer.session++;
    draft->peer.pid = pid;
    draft->peer.uid = uid;
    draft->peer.n_vectors = n_vectors;
    channels->n_present++;
    connections_commit(channels);
    repair_for(channels, peer, "when a peer joined"); /* what it sees first is right */
}

/* All that is in use, and a part of what is not. */
static void repair_by_time(struct channels *channels)
{
    struct section *section = &channels->section;
    const uint32_t n_peers = channels->state->n_mailboxes;
    const uint32_t n_all = n_peers + channels->state->n_channels;
    struct section_damage damage = {.blocks = 0};

    section_repair_header(section, &damage);
    section_repair_rest(section, &damage);
    for (unsigned i = 0; i < n_peers; i++)
        if (channels_is_present(channels, i))
            section_repair_peer(section, i, &damage);
    for (unsigned i = connection_next(channels, 0); i != CONNECTION_NONE;
         i = connection_next(channels, i + 1))
        section_repair_entry(section, i, &damage);
    for (unsigned i = 0; i < UNUSED_A_TICK && i < n_all; i++) {
        channels->rest = (channels->rest + 1) % n_all;
        if (channels->rest < n_peers)
            section_repair_peer(section, channels->rest, &damage);
        else
            section_repair_entry(section, channels->rest - n_peers, &damage);
    }
    log_damage(channels, &damage, "by the way");
}

void channels_hear(struct channels *channels, unsigned peer)
{
    if (channels_is_present(channels, peer))
        __atomic_store_n(&channels->state->peers[peer].hearing, 1, __ATOMIC_RELEASE);
}

void channels_rung(struct channels *channels, unsigned peer, int64_t now)
{
    struct layout_request request;
    struct channel_peer *record;

    if (!channels_is_present(channels, peer))
        return;
    record = &channels->state->peers[peer];
    if (section_load_request(&channels->section, peer, record->reply.number, &request))
        requests_carry_out(channels, peer, &request, now);
    __atomic_store_n(&record->hearing, 0, __ATOMIC_RELEASE);
    repair_for(channels, peer, "at a doorbell");
    if (channels->setup.options.doorbells &&
        ++channels->doorbells >= channels->setup.options.doorbells) {
        channels->doorbells = 0;
        rebalance(channels, now);
    }
}

static int64_t sooner(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* Return: when the connection may be idle for too long; @now or earlier if it is. */
static int64_t idle_end(struct channels *channels, unsigned first, int64_t now)
{
    const struct channel_ring *ring = &channels->state->rings[first];
    int64_t used_at;

    connection_watch(channels, first, now);
    used_at = channels->watch[first].used_at;
    if (ring->entry.pair != LAYOUT_CHANNEL_NONE) {
        connection_watch(channels, ring->entry.pair, now);
        if (channels->watch[ring->entry.pair].used_at > used_at)
            used_at = channels->watch[ring->entry.pair].used_at;
    }
    return used_at + ring->idle_ms;
}

/* Offers that wait for too long, and connections that are idle for too long. */
static void end_what_is_due(struct channels *channels, int64_t now)
{
    int64_t next = INT64_MAX;

    for (unsigned i = connection_next(channels, 0); i != CONNECTION_NONE;
         i = connection_next(channels, i + 1)) {
        const struct channel_ring *ring = &channels->state->rings[i];
        const bool offered = ring->entry.state == LAYOUT_OFFERED;
        int64_t end;

        if (ring->entry.first != i ||
            (!offered && (ring->entry.state != LAYOUT_OPEN || !ring->idle_ms)))
            continue;
        end = offered ? (int64_t)ring->deadline : idle_end(channels, i, now);
        if (end > now) {
            next = sooner(next, offered || end > now + IDLE_LOOK_MS ? end : now + IDLE_LOOK_MS);
            continue;
        }
        if (offered)
            connection_end(channels, i, CHANNEL_LISTENER, LAYOUT_TIMED_OUT);
        else
            connection_end(channels, i, 0, LAYOUT_IDLE);
        connections_commit(channels);
    }
    channels->next_end = next;
}

void channels_tick(struct channels *channels, int64_t now)
{
    if (!channels->n_present)
        return;
    if (now >= channels->next_end)
        end_what_is_due(channels, now);
    if (now < channels->next_interval)
        return;
    channels->next_interval = now + channels->setup.options.interval_ms;
    repair_by_time(channels);
    channels->moves_left = REBALANCE_MOVES_MAX;
    rebalance(channels, now);
    for (unsigned i = connection_next(channels, 0); i != CONNECTION_NONE;
         i = connection_next(channels, i + 1))
        channels->watch[i].touches = 0;
}

int64_t channels_deadline(const struct channels *channels)
{
    return channels->n_present ? sooner(channels->next_interval, channels->next_end) : -1;
}
