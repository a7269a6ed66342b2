/* SPDX-License-Identifier: MIT
 *
 * Join storms: everybody ends with the complete and correct table, five of the clients fall asleep
 * in the middle without anybody noticing, and the server stays small and, when all is told, asleep.
 *
 * The server's memory is VmHWM: the peak of its resident set, with the pages of its libraries, so
 * nothing that it needed for a moment is missed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/load/crowd.h"
#include "tests/load/harness.h"

enum {
    SLEEPERS = 5,
    CHURN = 300,      /* joins and leaves that the sleepers miss */
    CHURN_ALIVE = 20, /* of them at the same time */
    MOVERS = 20,      /* of those who the sleepers may know: they leave, and others come and stay */
    IDLE_MS = 1000,
};

static void settle(struct crowd *crowd)
{
    crowd_settle(crowd, harness_long() ? 900 : 300);
}

static void say(const struct crowd *crowd, const char *what, int64_t since)
{
    printf("%s: %u clients of %u vectors, %llu messages in all, %lld ms\n", what, crowd->n_in,
           crowd->n_vectors, (unsigned long long)crowd->messages, (long long)(now_ms() - since));
}

static void join_many(struct crowd *crowd, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        crowd_join(crowd, CROWD_KEEP_NONE);
        crowd_pump(crowd, 0);
    }
}

/* Joins and leaves of others, all of which the clients who read are told of. */
static void churn(struct crowd *crowd, struct crowd_client *witness, int *ids)
{
    struct crowd_client *fresh[CHURN_ALIVE];

    for (unsigned done = 0; done < CHURN; done += CHURN_ALIVE) {
        for (unsigned i = 0; i < CHURN_ALIVE; i++)
            fresh[i] = crowd_join(crowd, CROWD_KEEP_NONE);
        settle(crowd);
        for (unsigned i = 0; i < CHURN_ALIVE; i++) {
            ids[done + i] = fresh[i]->id;
            require(crowd_knows(witness, (unsigned)fresh[i]->id), "nobody heard of the churn");
            crowd_leave(fresh[i]);
        }
    }
    settle(crowd);
}

/* Some who were there all the time go, others come and stay. */
static void move(struct crowd *crowd, struct crowd_client **sleepers)
{
    unsigned left = 0;

    for (size_t i = 0; left < MOVERS && i < crowd->n_clients; i++) {
        struct crowd_client *client = crowd->clients[i];
        bool asleep = client->stalled;

        for (unsigned j = 0; j < SLEEPERS; j++)
            asleep |= client == sleepers[j];
        if (asleep)
            continue;
        crowd_leave(client);
        left++;
    }
    join_many(crowd, MOVERS);
    settle(crowd);
}

static void sleepers_wake(struct crowd *crowd, struct crowd_client **sleepers, const int *ids)
{
    uint64_t before = crowd->messages;

    for (unsigned i = 0; i < SLEEPERS; i++)
        crowd_resume(sleepers[i]);
    settle(crowd);
    printf("the %d sleepers needed %llu messages\n", SLEEPERS,
           (unsigned long long)(crowd->messages - before));
    for (unsigned i = 0; i < SLEEPERS; i++) {
        require(sleepers[i]->state == CROWD_IN, "a sleeper was disconnected");
        for (unsigned j = 0; j < CHURN; j++)
            require(!crowd_was_told(sleepers[i], (unsigned)ids[j]),
                    "client %d was told of ID %d, which came and went while it slept",
                    sleepers[i]->id, ids[j]);
    }
}

static void test_sleepers(unsigned n_clients, unsigned n_vectors)
{
    const struct server_setup setup = {.vectors = n_vectors};
    struct test_server server;
    struct crowd_client *sleepers[SLEEPERS];
    struct crowd *crowd;
    unsigned base;
    int ids[CHURN];
    int64_t start = now_ms();

    server_start(&server, &setup);
    base = process_descriptors(server.pid);
    crowd = crowd_new(server.socket, n_vectors);
    join_many(crowd, n_clients / 2);
    for (unsigned i = 0; i < SLEEPERS; i++) { /* while their greetings are under way */
        sleepers[i] = crowd->clients[n_clients / 2 - 1 - i * 3];
        crowd_stall(sleepers[i]);
    }
    join_many(crowd, n_clients - n_clients / 2);
    settle(crowd);
    say(crowd, "storm with five asleep", start);
    server_require_idle(&server, IDLE_MS);
    churn(crowd, crowd->clients[n_clients - 1], ids);
    move(crowd, sleepers);
    say(crowd, "300 joins and leaves more", start);
    sleepers_wake(crowd, sleepers, ids);
    say(crowd, "all awake", start);
    server_require_idle(&server, IDLE_MS);
    server_require_small(&server);
    crowd_free(crowd);
    server_require_idle(&server, 10);
    require(process_descriptors(server.pid) == base, "the server kept %u descriptors, had %u",
            process_descriptors(server.pid), base);
    server_stop(&server);
}

/* A storm pure and simple. */
static void test_storm(unsigned n_clients, unsigned n_vectors)
{
    const struct server_setup setup = {.vectors = n_vectors};
    struct test_server server;
    struct crowd *crowd;
    int64_t start = now_ms();

    server_start(&server, &setup);
    crowd = crowd_new(server.socket, n_vectors);
    join_many(crowd, n_clients);
    settle(crowd);
    say(crowd, "storm", start);
    server_require_small(&server);
    crowd_free(crowd);
    server_stop(&server);
}

int main(void)
{
    bool full = harness_long();

    harness_start("storm", full ? 3000 : 900);
    harness_raise_limit(16384);
    test_sleepers(full ? 200 : 50, full ? 64 : 8);
    if (!full)
        test_storm(60, 64);
    test_storm(full ? 1000 : 300, 1);
    test_storm(full ? 100 : 30, 128);
    return EXIT_SUCCESS;
}
