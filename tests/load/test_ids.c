/* SPDX-License-Identifier: MIT
 *
 * IDs: 70,000 clients come and go while one observer stays. Nobody's ID may come back to it once it
 * was told of the leave (a QEMU would not survive that, and the crowd's rules say so), and still
 * there is an ID for everybody at the end, though there are only 65,536. And slots: an ID with its
 * doorbells that belongs to a name.
 *
 * The short-lived come eight at a time, and each is told of the observer and told to it, so that
 * none passes unseen. When fresh IDs run short, leaves are withheld, and IDs come back with the
 * doorbells that the observer has: its ring must reach the newcomer.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/doorbell.h"
#include "tests/load/crowd.h"
#include "tests/load/harness.h"

enum {
    SHORT_LIVED = 70000,
    AT_ONCE = 8,
    SECONDS = 120,
    ROUNDS = 20, /* that a slot is left and taken */
};

static void pump_both(struct crowd *one, struct crowd *other)
{
    crowd_pump(one, 0);
    crowd_pump(other, 1);
    require(!*one->violation, "%s", one->violation);
    require(!*other->violation, "%s", other->violation);
}

/* A round of the short-lived: all come, all are seen, all go. Return: the highest ID. */
static int come_and_go(struct crowd *crowd, struct crowd_client *observer)
{
    struct crowd_client *client[AT_ONCE];
    int64_t deadline = deadline_in(SECONDS);
    int highest = 0;

    for (unsigned i = 0; i < AT_ONCE; i++)
        client[i] = crowd_join(crowd, CROWD_KEEP_NONE);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        while (!crowd_greeted(client[i]) || !crowd_knows(observer, (unsigned)client[i]->id)) {
            require(client[i]->state == CROWD_IN, "a newcomer was turned away");
            require(now_ms() < deadline, "client %d was not greeted, or nobody heard of it",
                    client[i]->id);
            pump_both(crowd, observer->crowd);
        }
        highest = client[i]->id > highest ? client[i]->id : highest;
    }
    for (unsigned i = 0; i < AT_ONCE; i++)
        crowd_leave(client[i]);
    return highest;
}

/* The observer rings by its own descriptor, and the newcomer hears it. */
static void require_reach(struct crowd_client *observer, struct crowd_client *client)
{
    struct pollfd bell = {.fd = crowd_own(client, 0), .events = POLLIN};

    doorbell_clear(bell.fd);
    require(doorbell_ring(crowd_doorbell(observer, (unsigned)client->id, 0)) == 0 &&
                poll(&bell, 1, SECONDS * 1000) == 1,
            "the observer's ring does not reach ID %d", client->id);
}

static void test_wear(void)
{
    const struct server_setup setup = {.vectors = 1};
    struct test_server server;
    struct crowd *watching, *passing;
    struct crowd_client *observer, *late[AT_ONCE];
    int highest = 0, id;
    unsigned again = 0, base;
    int64_t start;

    server_start(&server, &setup);
    watching = crowd_new(server.socket, setup.vectors);
    passing = crowd_new(server.socket, setup.vectors);
    passing->identify = false;
    observer = crowd_join(watching, CROWD_KEEP_ALL);
    crowd_settle(watching, SECONDS);
    base = process_descriptors(server.pid);
    start = now_ms();
    for (unsigned i = 0; i < SHORT_LIVED / AT_ONCE; i++) {
        id = come_and_go(passing, observer);
        again += id <= highest;
        highest = id > highest ? id : highest;
    }
    printf("%d joins and leaves: %lld a second, highest ID %d, IDs used again in %u rounds\n",
           SHORT_LIVED, SHORT_LIVED * 1000LL / (now_ms() - start), highest, again);
    require(highest > 64000 && again > 0, "the IDs did not run short");
    for (unsigned i = 0; i < AT_ONCE; i++)
        late[i] = crowd_join(watching, CROWD_KEEP_OWN);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        while (!crowd_greeted(late[i]) || !crowd_knows(observer, (unsigned)late[i]->id))
            pump_both(watching, passing);
        require_reach(observer, late[i]);
    }
    require(process_descriptors(server.pid) < base + 1024 + 64, "seats that nobody needs are kept");
    server_require_small(&server);
    crowd_free(watching); /* nobody knows anybody any more: all IDs are free */
    crowd_free(passing);
    server_require_idle(&server, 50);
    require(process_descriptors(server.pid) <= base, "the server kept descriptors");
    server_stop(&server);
}

/* Joins a slot until its last holder's leave has been seen. */
static struct crowd_client *take_slot(struct crowd *crowd, unsigned others)
{
    struct crowd_client *client = crowd_join(crowd, CROWD_KEEP_ALL);

    crowd->n_others = others;
    crowd_settle(crowd, SECONDS);
    require(client->state == CROWD_IN, "a free slot turned its holder away");
    return client;
}

/* The holder of a slot goes and comes back: others hear nothing, what was rung meanwhile arrives.
 */
static void come_back(struct crowd *slot, struct crowd *others, struct crowd_client *witness)
{
    struct crowd_client *holder = slot->clients[0];
    uint32_t identity = holder->own->vectors[0].identity;
    uint64_t messages = others->messages;
    int id = holder->id;

    crowd_leave(holder);
    require(doorbell_ring(crowd_doorbell(witness, (unsigned)id, 0)) == 0, "cannot ring");
    holder = take_slot(slot, others->n_in + 1);
    require(holder->id == id && holder->own->vectors[0].identity == identity,
            "the slot has another ID or other doorbells than before");
    require(doorbell_take(crowd_own(holder, 0)) == 1, "what was rung meanwhile was lost");
    crowd_settle(others, SECONDS);
    require(others->messages == messages, "others were told that a slot's holder was away");
}

static void test_slots(void)
{
    char elsewhere[PATH_SIZE], option[PATH_SIZE + 32], path[PATH_SIZE + 8];
    const char *const options[] = {"--slot=zero=0", option, NULL};
    const struct server_setup setup = {.vectors = 3, .options = options};
    struct test_server server;
    struct crowd *crowd, *zero, *seven;
    struct crowd_client *witness, *intruder;

    snprintf(elsewhere, sizeof(elsewhere), "%.80s/seven", harness_directory());
    snprintf(option, sizeof(option), "--slot=seven=7:%s", elsewhere);
    server_start(&server, &setup);
    snprintf(path, sizeof(path), "%s.zero", server.socket);
    crowd = crowd_new(server.socket, setup.vectors);
    zero = crowd_new(path, setup.vectors);
    seven = crowd_new(elsewhere, setup.vectors);
    witness = crowd_join(crowd, CROWD_KEEP_ALL);
    for (unsigned i = 0; i < 10; i++)
        crowd_join(crowd, CROWD_KEEP_NONE);
    crowd_settle(crowd, SECONDS);
    for (size_t i = 0; i < crowd->n_clients; i++)
        require(crowd->clients[i]->id != 0 && crowd->clients[i]->id != 7,
                "a slot's ID was given to somebody else");
    require(take_slot(zero, 11)->id == 0 && take_slot(seven, 12)->id == 7,
            "a slot has not the ID that was asked for");
    zero->n_others = 12;
    crowd->n_others = 2;
    crowd_settle(crowd, SECONDS);
    intruder = crowd_join(seven, CROWD_KEEP_NONE);
    while (intruder->state == CROWD_IN && intruder->steps == 0)
        crowd_pump(seven, 10);
    require(intruder->state == CROWD_REFUSED, "an occupied slot let in another");
    crowd_leave(intruder);
    for (unsigned i = 0; i < ROUNDS; i++) {
        come_back(seven, crowd, witness);
        come_back(zero, crowd, witness);
    }
    crowd_free(zero);
    crowd_free(seven);
    crowd_free(crowd);
    server_stop(&server);
}

int main(void)
{
    harness_start("ids", 900);
    harness_raise_limit(4096);
    test_slots();
    test_wear();
    return EXIT_SUCCESS;
}
