/* SPDX-License-Identifier: MIT
 *
 * The rules for threads: handles in different threads do not know of each other, and one handle may
 * go from thread to thread. For the thread sanitizer; without it the test only runs.
 */
#include "tests/unit/library.h"

#include <pthread.h>

enum { PLAYERS = 4, ROUNDS = 300 };

struct player {
    struct ivshmem *iv;
    int server;
    pthread_t thread;
    unsigned notifications;
};

static void count(struct ivshmem *handle, void *context, unsigned vector)
{
    struct player *player = context;

    (void)handle;
    (void)vector;
    player->notifications++;
}

/* Connects a handle, each to its own greeting: the others are peers of it, and all share memory. */
static void seat(struct player *players, unsigned id, const int bells[PLAYERS], int memory)
{
    const struct ivshmem_callbacks own = {.size = sizeof(own), .notification = count};
    struct player *player = &players[id];

    assert_int_equal(0, ivshmem_new(&player->iv, &own, player));
    assert_int_equal(0, ivshmem_open(player->iv, address.sun_path));
    server = player->server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    say(0, -1);
    say(id, -1);
    say(-1, dup(memory));
    for (unsigned i = 1; i <= PLAYERS; i++) /* ourselves at the end */
        say((id + i) % PLAYERS, dup(bells[(id + i) % PLAYERS]));
    server = -1;
}

static void *complain(const char *text)
{
    return (void *)(uintptr_t)text;
}

/* Passes a token on, whose number the memory holds, and counts in the memory meanwhile. */
static void *play(void *context)
{
    struct player *player = context;
    unsigned next = ((unsigned)ivshmem_id(player->iv) + 1) % PLAYERS;
    char text[32];

    for (int i = 0; i < ROUNDS; i++) {
        if (ivshmem_wait(player->iv, NULL, 0, DEADLINE_MS) != 0)
            return complain("a wait failed");
        if (ivshmem_add32(player->iv, 0, 1, NULL) != 0)
            return complain("an add failed");
        snprintf(text, sizeof(text), "round %d", i);
        if (ivshmem_write(player->iv, 64, text, sizeof(text)) != 0 ||
            ivshmem_read(player->iv, 64, text, sizeof(text)) != 0)
            return complain("a copy failed");
        if (ivshmem_write(player->iv, MEMORY_SIZE, text, 1) != -ERANGE ||
            !strstr(ivshmem_error(player->iv), "not all within"))
            return complain("the error is somebody else's");
        if (ivshmem_ring(player->iv, next, 0) != 0)
            return complain("a ring failed");
    }
    return NULL;
}

static void handles_in_threads(void **state)
{
    struct player players[PLAYERS] = {{.iv = NULL}};
    int bells[PLAYERS], memory = new_memory();
    uint32_t sum = 0;
    void *complaint;

    (void)state;
    for (unsigned i = 0; i < PLAYERS; i++)
        bells[i] = doorbell_new();
    for (unsigned i = 0; i < PLAYERS; i++) {
        seat(players, i, bells, memory);
        assert_int_equal(0, ivshmem_wait_ready(players[i].iv, DEADLINE_MS));
    }
    for (unsigned i = 0; i < PLAYERS; i++)
        pthread_create(&players[i].thread, NULL, play, &players[i]);
    doorbell_ring(bells[0]);
    for (unsigned i = 0; i < PLAYERS; i++) {
        pthread_join(players[i].thread, &complaint);
        if (complaint)
            fail_msg("player %u: %s", i, (const char *)complaint);
    }
    assert_int_equal(0, ivshmem_load32(players[0].iv, 0, &sum));
    assert_int_equal(PLAYERS * ROUNDS, sum);
    for (unsigned i = 0; i < PLAYERS; i++) {
        ivshmem_free(players[i].iv);
        close(players[i].server);
        close(bells[i]);
    }
    close(memory);
}

/* The handle belongs to who holds the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *borrow(void *context)
{
    struct player *player = context;

    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        ivshmem_ring(player->iv, 0, 0);
        if (i % 2)
            ivshmem_dispatch(player->iv);
        else
            player->notifications += ivshmem_wait(player->iv, NULL, 0, 0) == 0;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void handle_from_thread_to_thread(void **state)
{
    struct player player = {.iv = NULL};
    const struct ivshmem_callbacks own = {.size = sizeof(own), .notification = count};
    pthread_t threads[3];

    (void)state;
    ivshmem_free(iv);
    assert_int_equal(0, ivshmem_new(&iv, &own, &player));
    player.iv = iv;
    be_ready(1);
    for (unsigned i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, borrow, &player);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(3 * ROUNDS, player.notifications);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIBRARY_TEST(handles_in_threads),
        LIBRARY_TEST(handle_from_thread_to_thread),
    };

    return library_run(tests);
}
