/* SPDX-License-Identifier: MIT
 *
 * The crowd at rest: everybody who reads has been told everything, and all tables are compared.
 * See crowd.h.
 */
#include <stdlib.h>

#include "tests/load/crowd.h"
#include "tests/load/harness.h"
#include "tests/load/table.h"

static bool reads(const struct crowd_client *client)
{
    return client->state == CROWD_IN && !client->stalled;
}

/*
 * How many IDs all tables together name, those left out that have left. If each table has as many,
 * they are all the same; while a leave and a join are under way, numbers alone can deceive.
 */
static unsigned count_named(const struct crowd *crowd)
{
    bool *named = calloc(WIRE_ID_MAX + 1, sizeof(*named));
    unsigned count = 0;

    require(named, "out of memory");
    for (size_t i = 0; i < crowd->n_clients; i++) {
        const struct crowd_client *client = crowd->clients[i];

        for (unsigned j = 0; reads(client) && j < client->n_buckets; j++)
            for (const struct crowd_peer *peer = client->buckets[j]; peer; peer = peer->next) {
                count += !peer->left && !named[peer->id];
                named[peer->id] |= !peer->left;
            }
    }
    free(named);
    return count;
}

static const struct crowd_client *who_lags(struct crowd *crowd)
{
    const struct crowd_client *reader = NULL;

    for (size_t i = 0; i < crowd->n_clients; i++) {
        struct crowd_client *client = crowd->clients[i];

        if (client->state != CROWD_IN)
            table_violation(client, "the server %s",
                            client->state == CROWD_REFUSED ? "turned it away" : "hung up on it");
        if (reads(client) && (!crowd_greeted(client) || client->current ||
                              client->n_known != crowd->n_in + crowd->n_others))
            return client;
        reader = reads(client) ? client : reader;
    }
    return reader && count_named(crowd) != crowd->n_in + crowd->n_others ? reader : NULL;
}

/**
 * struct truth - what all tables must say
 * @by_id: for each ID, where its vectors are taken from: its own table if it is one of us
 * @owner: the client of that ID, NULL if it is not one of us
 */
struct truth {
    const struct crowd_peer *by_id[WIRE_ID_MAX + 1];
    const struct crowd_client *owner[WIRE_ID_MAX + 1];
};

static void compare_vectors(struct crowd_client *client, const struct crowd_peer *peer,
                            const struct crowd_peer *truth)
{
    for (unsigned i = 0; i < client->crowd->n_vectors; i++)
        if (peer->vectors[i].identity != truth->vectors[i].identity)
            table_violation(client, "vector %u of ID %u is eventfd %u, and in truth it is %u", i,
                            peer->id, peer->vectors[i].identity, truth->vectors[i].identity);
}

static int by_rank(const void *one, const void *other)
{
    const struct crowd_peer *const *a = one, *const *b = other;

    return ((*a)->rank > (*b)->rank) - ((*a)->rank < (*b)->rank);
}

/* Who is there was told in the order of joining. (A slot may be older than who sits in it.) */
static void compare_order(struct crowd_client *client, struct truth *truth,
                          const struct crowd_peer **known, unsigned n)
{
    const struct crowd_client *last = NULL;

    qsort(known, n, sizeof(*known), by_rank);
    for (unsigned i = 0; i < n; i++) {
        const struct crowd_client *owner = truth->owner[known[i]->id];

        if (owner && last && owner->joined < last->joined)
            table_violation(client, "ID %d was told before ID %d, which joined earlier", last->id,
                            owner->id);
        last = owner ? owner : last;
    }
}

static void compare_table(struct crowd_client *client, struct truth *truth)
{
    const struct crowd_peer **known = calloc(client->n_known + 1, sizeof(struct crowd_peer *));
    unsigned n = 0;

    require(known, "out of memory");
    for (unsigned i = 0; i < client->n_buckets; i++)
        for (const struct crowd_peer *peer = client->buckets[i]; peer; peer = peer->next) {
            if (peer->left)
                continue;
            if (peer->n_told < client->crowd->n_vectors || n == client->n_known) {
                table_violation(client, "only %u vectors of ID %u were told", peer->n_told,
                                peer->id);
                continue;
            }
            known[n++] = peer;
            if (!truth->by_id[peer->id])
                truth->by_id[peer->id] = peer; /* a stranger: all must agree with the first */
            compare_vectors(client, peer, truth->by_id[peer->id]);
        }
    compare_order(client, truth, known, n);
    free(known);
}

static int by_value(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;

    return (a > b) - (a < b);
}

/* No two vectors are the same eventfd. */
static void check_truth(const struct crowd *crowd, const struct truth *truth)
{
    size_t total = 0, room = (size_t)(crowd->n_in + crowd->n_others) * crowd->n_vectors;
    uint32_t *all = calloc(room + 1, sizeof(*all));

    require(all, "out of memory");
    for (unsigned id = 0; id <= WIRE_ID_MAX; id++)
        for (unsigned i = 0; truth->by_id[id] && i < crowd->n_vectors && total < room; i++)
            all[total++] = truth->by_id[id]->vectors[i].identity;
    qsort(all, total, sizeof(*all), by_value);
    for (size_t i = 1; i < total; i++)
        require(all[i] != all[i - 1], "eventfd %u is used for two vectors", all[i]);
    free(all);
}

static void compare_tables(struct crowd *crowd)
{
    struct truth *truth = calloc(1, sizeof(*truth));
    const struct crowd_client *first = NULL;

    require(truth, "out of memory");
    for (size_t i = 0; i < crowd->n_clients; i++) {
        const struct crowd_client *client = crowd->clients[i];

        if (client->state != CROWD_IN || !crowd_greeted(client))
            continue;
        require(!truth->owner[client->id], "ID %d was given to two clients", client->id);
        truth->owner[client->id] = client;
        truth->by_id[client->id] = client->own;
    }
    for (size_t i = 0; i < crowd->n_clients; i++) {
        struct crowd_client *client = crowd->clients[i];

        if (!reads(client))
            continue;
        first = first ? first : client;
        if (client->memory.inode != first->memory.inode ||
            client->memory.device != first->memory.device)
            table_violation(client, "it was given other memory than client %d", first->id);
        compare_table(client, truth);
    }
    check_truth(crowd, truth);
    free(truth);
}

void crowd_settle(struct crowd *crowd, unsigned seconds)
{
    int64_t deadline = deadline_in(seconds);
    const struct crowd_client *lag;

    while ((lag = who_lags(crowd)) && !*crowd->violation) {
        crowd_pump(crowd, 20);
        require(now_ms() < deadline || *crowd->violation,
                "client %d knows %u peers of %u after %u seconds", lag->id, lag->n_known,
                crowd->n_in + crowd->n_others, seconds);
    }
    if (!*crowd->violation && crowd->identify)
        compare_tables(crowd);
    require(!*crowd->violation, "%s", crowd->violation);
}
