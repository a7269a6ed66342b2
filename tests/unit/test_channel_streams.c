/* SPDX-License-Identifier: MIT
 *
 * The library's channels at work: much data through small rings, rings that are moved all the time,
 * every way of waiting, many channels on one vector, two processes.
 *
 * IVSHMEM_TEST_LONG in the environment makes all of it ten times as long.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "ivshmem.h"
#include "tests/unit/standin.h"

enum { DEADLINE_MS = 60000, PORT = 7, REGION = 8 << 20, MANY = 12, MEBI = 1 << 20 };

/* For what runs in other threads, where cmocka's assertions cannot: ends the test program. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static struct standin *standin;
static int before;

/* One side of a test: a handle, its channels, and what its thread does. */
struct side {
    struct ivshmem *iv;
    struct ivshmem_channel *channels[MANY];
    enum ivshmem_waiting waiting;
    unsigned rounds;
    uint64_t seed, checksum;
    bool done;
};

static struct side left, right;

static unsigned times(unsigned normal)
{
    return getenv("IVSHMEM_TEST_LONG") ? 10 * normal : normal;
}

static void join(struct side *side, const struct ivshmem_callbacks *callbacks)
{
    *side = (struct side){.seed = 1};
    assert_int_equal(0, ivshmem_new(&side->iv, callbacks, side));
    assert_int_equal(0, ivshmem_open(side->iv, standin_target(standin)));
    assert_int_equal(0, ivshmem_wait_ready(side->iv, DEADLINE_MS));
}

static void leave(struct side *side)
{
    side->iv = ivshmem_free(side->iv);
}

struct call {
    uint64_t ring_size, reverse_size;
    unsigned index;
};

static void *connect_left(void *context)
{
    const struct call *call = context;
    struct ivshmem_connect_options options = {
        .size = sizeof(options), .ring_size = call->ring_size, .reverse_size = call->reverse_size};

    MUST((0) == (ivshmem_connect(left.iv, (unsigned)ivshmem_id(right.iv), PORT, &options,
                                 DEADLINE_MS, &left.channels[call->index])));
    return NULL;
}

static void link_up(unsigned index, uint64_t ring_size, uint64_t reverse_size)
{
    struct call call = {ring_size, reverse_size, index};
    struct ivshmem_offer offer;
    pthread_t thread;

    assert_int_equal(0, pthread_create(&thread, NULL, connect_left, &call));
    assert_int_equal(0, ivshmem_next_offer(right.iv, PORT, DEADLINE_MS, &offer));
    assert_int_equal(0, ivshmem_accept(right.iv, &offer, &right.channels[index]));
    pthread_join(thread, NULL);
    ivshmem_channel_set_timeout(left.channels[index], DEADLINE_MS);
    ivshmem_channel_set_timeout(right.channels[index], DEADLINE_MS);
}

static int set_up(void **state)
{
    struct channels_options options = channels_defaults;

    (void)state;
    before = count_descriptors();
    options.grow_max = 0;
    options.interval_ms = 20;
    options.peer_channels = 2 * MANY;
    standin = standin_new(REGION, &options);
    join(&left, NULL);
    join(&right, NULL);
    assert_int_equal(0, ivshmem_listen(right.iv, PORT));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    leave(&left);
    leave(&right);
    for (int i = 0; !standin_idle(standin) && i < DEADLINE_MS; i++)
        poll(NULL, 0, 1);
    assert_true(standin_idle(standin));
    standin = standin_free(standin);
    return count_descriptors() == before ? 0 : -1;
}

/* Random words that come again, and a checksum over what was made of them. */
static void generate(uint64_t *state, uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        words[i] = *state;
    }
}

static void add_up(uint64_t *checksum, const uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        *checksum = (*checksum ^ words[i]) * UINT64_C(0x100000001b3);
}

static void *send_megabytes(void *context)
{
    struct side *side = context;
    uint64_t *part = malloc(MEBI);
    unsigned megabytes = side->rounds;

    MUST(part);
    for (unsigned i = 0; i < megabytes; i++) {
        generate(&side->seed, part, MEBI / 8);
        add_up(&side->checksum, part, MEBI / 8);
        MUST((MEBI) == (ivshmem_send_part(side->channels[0], part, MEBI, i + 1 < megabytes)));
    }
    free(part);
    return NULL;
}

/* One message of hundreds of megabytes through a ring of 64 KiB, from a generator into a checksum.
 */
static void much_larger_than_the_ring(void **state)
{
    uint64_t *part = malloc(MEBI), checksum = 0, bytes = 0;
    bool more = true;
    pthread_t thread;

    (void)state;
    assert_non_null(part);
    link_up(0, 65536, 0);
    left.rounds = times(256);
    assert_int_equal(0, pthread_create(&thread, NULL, send_megabytes, &left));
    while (more) {
        size_t have = 0;

        while (more && have < MEBI) {
            ssize_t got =
                ivshmem_recv_part(right.channels[0], (uint8_t *)part + have, MEBI - have, &more);

            assert_in_range(got, 1, MEBI);
            have += (size_t)got;
        }
        add_up(&checksum, part, have / 8);
        bytes += have;
    }
    pthread_join(thread, NULL);
    free(part);
    assert_int_equal((uint64_t)left.rounds * MEBI, bytes);
    assert_int_equal(left.checksum, checksum);
}

static void *send_whole(void *context)
{
    struct side *side = context;
    size_t size = (size_t)side->rounds * MEBI;
    uint64_t *message = malloc(size);

    MUST(message);
    generate(&side->seed, message, size / 8);
    add_up(&side->checksum, message, size / 8);
    MUST((0) == (ivshmem_send(side->channels[0], message, size)));
    free(message);
    return NULL;
}

/* The same in one call on each side; the receiver's times out now and then, and goes on. */
static void in_one_call(void **state)
{
    size_t size = (size_t)times(24) * MEBI;
    uint64_t *message = malloc(size), checksum = 0;
    ssize_t got = -ETIMEDOUT;
    pthread_t thread;

    (void)state;
    assert_non_null(message);
    link_up(0, 8192, 0);
    left.rounds = (unsigned)(size / MEBI);
    ivshmem_channel_set_timeout(right.channels[0], 1);
    assert_int_equal(0, pthread_create(&thread, NULL, send_whole, &left));
    for (int i = 0; got == -ETIMEDOUT && i < DEADLINE_MS; i++)
        got = ivshmem_recv(right.channels[0], message, size);
    assert_int_equal(size, got);
    pthread_join(thread, NULL);
    add_up(&checksum, message, size / 8);
    free(message);
    assert_int_equal(left.checksum, checksum);
}

enum { LONGEST = 40000 };

/* Messages of random sizes, each with its number and the sum of its bytes. */
static void *send_random(void *context)
{
    struct side *side = context;
    uint64_t *words = malloc(LONGEST + 8);

    MUST(words);
    for (uint64_t i = 0; i < side->rounds; i++) {
        size_t count = 2 + random_below(&side->seed, i % 8 ? 32 : LONGEST / 8 - 2);
        uint64_t checksum = 0;

        words[0] = i;
        generate(&side->seed, words + 2, count - 2);
        add_up(&checksum, words + 2, count - 2);
        words[1] = checksum;
        MUST((0) == (ivshmem_send(side->channels[0], words, count * 8)));
    }
    free(words);
    return NULL;
}

static void *receive_random(void *context)
{
    struct side *side = context;
    uint64_t *words = malloc(LONGEST + 8);

    MUST(words);
    for (uint64_t i = 0; i < side->rounds; i++) {
        uint64_t checksum = 0;
        ssize_t got = ivshmem_recv(side->channels[0], words, LONGEST);

        MUST(got >= 16 && got <= (ssize_t)LONGEST);
        MUST((0) == (got % 8));
        add_up(&checksum, words + 2, (size_t)got / 8 - 2);
        MUST((i) == (words[0]));
        MUST((checksum) == (words[1]));
    }
    free(words);
    __atomic_store_n(&side->done, true, __ATOMIC_RELEASE);
    return NULL;
}

/* Rings of all sizes, moved under load as fast as both ends follow. */
static void moved_all_the_time(void **state)
{
    struct ivshmem_channel_info sender = {.size = sizeof(sender)},
                                receiver = {.size = sizeof(receiver)};
    pthread_t threads[2];
    uint64_t seed = random_start();
    unsigned moves = 0;

    (void)state;
    link_up(0, 16384, 0);
    left.rounds = right.rounds = times(60000);
    assert_int_equal(0, pthread_create(&threads[0], NULL, send_random, &left));
    assert_int_equal(0, pthread_create(&threads[1], NULL, receive_random, &right));
    while (!__atomic_load_n(&right.done, __ATOMIC_ACQUIRE)) {
        int r = standin_resize(standin, 0, 4096 * (1 + random_below(&seed, 32)));

        assert_true(r == 0 || r == -EBUSY);
        moves += r == 0;
        poll(NULL, 0, r == 0 ? 0 : 1);
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    ivshmem_channel_get_info(left.channels[0], &sender);
    ivshmem_channel_get_info(right.channels[0], &receiver);
    print_message("%u moves begun, %u left by the sender, %u by the receiver\n", moves,
                  (unsigned)sender.moves, (unsigned)receiver.moves);
    assert_true(receiver.moves >= 20); /* hundreds, on a machine that is not busy */
    assert_in_range(moves - receiver.moves, 0, 1);
}

static void *echo(void *context)
{
    struct side *side = context;
    uint64_t words[64];
    ssize_t got;

    for (unsigned i = 0; i < side->rounds; i++) {
        got = ivshmem_recv(side->channels[0], words, sizeof(words));
        MUST(got >= 8 && got <= (ssize_t)sizeof(words));
        MUST((0) == (ivshmem_send(side->channels[0], words, (size_t)got)));
    }
    return NULL;
}

static void ask_and_answer(enum ivshmem_waiting asks, enum ivshmem_waiting answers, unsigned rounds)
{
    struct ivshmem_channel *channel = left.channels[0];
    uint64_t words[64] = {0};
    pthread_t thread;

    assert_int_equal(0, ivshmem_channel_set_waiting(channel, asks));
    assert_int_equal(0, ivshmem_channel_set_waiting(right.channels[0], answers));
    right.rounds = rounds;
    assert_int_equal(0, pthread_create(&thread, NULL, echo, &right));
    for (uint64_t i = 0; i < rounds; i++) {
        words[i % 64] = i;
        assert_int_equal(0, ivshmem_send(channel, words, 8 + i % 64 * 8));
        words[i % 64] = 0;
        assert_int_equal(8 + i % 64 * 8, ivshmem_recv(channel, words, sizeof(words)));
        assert_int_equal(i, words[i % 64]);
    }
    pthread_join(thread, NULL);
}

static void all_ways_of_waiting(void **state)
{
    struct ivshmem_channel_info info = {.size = sizeof(info)};
    uint64_t sleeps;

    (void)state;
    link_up(0, 4096, 4096);
    ask_and_answer(IVSHMEM_BLOCK, IVSHMEM_BLOCK, times(5000));
    ivshmem_channel_get_info(left.channels[0], &info);
    assert_true(info.sleeps > 0 && info.doorbells > 0);
    ask_and_answer(IVSHMEM_HYBRID, IVSHMEM_HYBRID, times(5000));
    ask_and_answer(IVSHMEM_HYBRID, IVSHMEM_BLOCK, times(5000));
    ivshmem_channel_get_info(left.channels[0], &info);
    sleeps = info.sleeps;
    ask_and_answer(IVSHMEM_SPIN, IVSHMEM_BLOCK, times(1000));
    ivshmem_channel_get_info(left.channels[0], &info);
    assert_int_equal(sleeps, info.sleeps);
}

/* Blocks on one channel after the other, while all of them ring the same vector. */
static void *echo_each(void *context)
{
    struct side *side = context;
    uint64_t word;

    for (unsigned i = 0; i < side->rounds; i++) {
        struct ivshmem_channel *channel = side->channels[random_below(&side->seed, MANY)];

        MUST((8) == (ivshmem_recv(channel, &word, 8)));
        MUST((i) == (word));
        MUST((0) == (ivshmem_send(channel, &word, 8)));
    }
    return NULL;
}

static unsigned answered;

static void answer(struct ivshmem *iv, void *context, struct ivshmem_channel *channel)
{
    uint64_t word;
    ssize_t got = ivshmem_recv(channel, &word, 8);

    (void)iv;
    (void)context;
    if (got == -EAGAIN)
        return;
    assert_int_equal(8, got);
    assert_int_equal(answered, word);
    answered++;
}

/* One side blocks on the channels in turn, the other has them all in an event loop; each message
 * waits for the one before, so that an event that is lost or stolen stops everything. */
static void many_on_one_vector(void **state)
{
    static const struct ivshmem_callbacks callbacks = {.size = sizeof(callbacks),
                                                       .channel_ready = answer};
    struct pollfd wait = {.events = POLLIN};
    pthread_t thread;

    (void)state;
    leave(&left);
    join(&left, &callbacks);
    answered = 0;
    for (unsigned i = 0; i < MANY; i++) {
        link_up(i, 4096, 4096);
        ivshmem_channel_set_timeout(left.channels[i], 0);
        assert_int_equal(0, ivshmem_channel_watch(left.channels[i], IVSHMEM_READABLE));
    }
    left.rounds = right.rounds = times(5000);
    wait.fd = ivshmem_fd(left.iv);
    assert_int_equal(0, pthread_create(&thread, NULL, echo_each, &right));
    for (uint64_t i = 0; i < left.rounds; i++) {
        struct ivshmem_channel *channel = left.channels[random_below(&left.seed, MANY)];

        assert_int_equal(0, ivshmem_send(channel, &i, 8));
        while (answered == i) {
            assert_int_equal(1, poll(&wait, 1, DEADLINE_MS));
            assert_int_equal(0, ivshmem_dispatch(left.iv));
        }
    }
    pthread_join(thread, NULL);
    assert_int_equal(left.rounds, answered);
}

static void rung(struct ivshmem *iv, void *context, unsigned vector)
{
    struct side *side = context;

    (void)iv;
    side->checksum += vector + 1;
}

/* What a channel's call sleeps on is the program's event all the same, and that of other vectors
 * is not touched. */
static void events_are_the_programs_too(void **state)
{
    static const struct ivshmem_callbacks callbacks = {.size = sizeof(callbacks),
                                                       .notification = rung};
    const unsigned first = 0, last = STANDIN_VECTORS - 1;
    struct pollfd wait = {.events = POLLIN};
    char byte;

    (void)state;
    leave(&left);
    join(&left, &callbacks);
    link_up(0, 4096, 4096);
    while (ivshmem_wait(left.iv, NULL, 0, 50) >= 0)
        ; /* of the connection */
    left.checksum = 0;
    assert_int_equal(0, ivshmem_ring(right.iv, (unsigned)ivshmem_id(left.iv), 0));
    ivshmem_channel_set_timeout(left.channels[0], 20);
    assert_int_equal(-ETIMEDOUT, ivshmem_recv(left.channels[0], &byte, 1));
    assert_int_equal(first, ivshmem_wait(left.iv, &first, 1, 0));
    ivshmem_ring(right.iv, (unsigned)ivshmem_id(left.iv), last);
    assert_int_equal(-ETIMEDOUT, ivshmem_recv(left.channels[0], &byte, 1));
    wait.fd = ivshmem_fd(left.iv);
    assert_int_equal(1, poll(&wait, 1, DEADLINE_MS));
    assert_int_equal(0, ivshmem_dispatch(left.iv));
    assert_int_equal(last + 1, left.checksum);
}

static int in_child(unsigned rounds, bool sends)
{
    struct side side = {.seed = 5, .rounds = rounds};
    struct ivshmem_channel *channel = NULL;

    if (ivshmem_new(&side.iv, NULL, NULL) < 0 ||
        ivshmem_open(side.iv, standin_target(standin)) < 0 ||
        ivshmem_wait_ready(side.iv, DEADLINE_MS) < 0 ||
        ivshmem_connect(side.iv, (unsigned)ivshmem_id(right.iv), PORT, NULL, DEADLINE_MS,
                        &channel) < 0)
        return 1;
    ivshmem_channel_set_timeout(channel, DEADLINE_MS);
    side.channels[0] = channel;
    (sends ? send_random : receive_random)(&side);
    ivshmem_close(channel);
    ivshmem_free(side.iv);
    return 0;
}

static pid_t spawn(unsigned rounds, bool sends)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(in_child(rounds, sends));
    assert_true(pid > 0);
    return pid;
}

/* Another process sends, another receives; the one in the middle passes on, and a third is killed
 * in the midst of it. */
static void between_processes(void **state)
{
    struct ivshmem_channel *from = NULL, *to = NULL, *lost = NULL;
    unsigned rounds = times(3000);
    struct ivshmem_offer offer;
    pid_t pids[3];
    char *message = malloc(LONGEST);
    int status;

    (void)state;
    assert_non_null(message);
    pids[0] = spawn(rounds, true);
    assert_int_equal(0, ivshmem_next_offer(right.iv, PORT, DEADLINE_MS, &offer));
    assert_int_equal(0, ivshmem_accept(right.iv, &offer, &from));
    pids[1] = spawn(rounds, false);
    assert_int_equal(0, ivshmem_next_offer(right.iv, PORT, DEADLINE_MS, &offer));
    assert_int_equal(0, ivshmem_accept(right.iv, &offer, &to));
    pids[2] = spawn(1000000, true);
    assert_int_equal(0, ivshmem_next_offer(right.iv, PORT, DEADLINE_MS, &offer));
    assert_int_equal(0, ivshmem_accept(right.iv, &offer, &lost));
    for (unsigned i = 0; i < rounds; i++) {
        ssize_t got = ivshmem_recv(from, message, LONGEST);

        assert_in_range(got, 16, LONGEST);
        assert_int_equal(0, ivshmem_send(to, message, (size_t)got));
    }
    assert_int_equal(-EPIPE, ivshmem_recv(from, message, LONGEST));
    for (int i = 0; i < 100; i++)
        assert_in_range(ivshmem_recv(lost, message, LONGEST), 16, LONGEST);
    assert_int_equal(0, kill(pids[2], SIGKILL));
    for (ssize_t got = 1; got > 0 || got == -ECONNRESET;) {
        got = ivshmem_recv(lost, message, LONGEST);
        if (got == -ECONNRESET)
            break;
        assert_in_range(got, 16, LONGEST);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pids[i], waitpid(pids[i], &status, 0));
        if (i < 2)
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    free(message);
}

/* Starts a program of client/examples with other standard descriptors. */
static pid_t start(char *const *arguments, int in, int out, int err)
{
    const char *build = getenv("top_builddir");
    char path[4096];
    pid_t pid;

    snprintf(path, sizeof(path), "%s/client/examples/%s", build ? build : ".", arguments[0]);
    if (access(path, X_OK) < 0)
        skip();
    pid = fork();
    if (pid == 0) {
        dup2(in, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execv(path, arguments);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

/* A file through both of them is what it was. */
static void examples(void **state)
{
    static char mine[2 * MEBI + 5], theirs[sizeof(mine) + 1];
    char receiver[] = "channel_recv", sender[] = "channel_send", port[] = "9";
    char target[128], peer[8] = "", line[64] = "";
    char *to_receive[] = {receiver, target, port, NULL};
    char *to_send[] = {sender, target, peer, port, NULL};
    int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC), err[2],
        status;
    pid_t pids[2];

    (void)state;
    for (size_t i = 0; i < sizeof(mine); i++)
        mine[i] = (char)(i * 31 + i / 999);
    assert_int_equal(sizeof(mine), pwrite(in, mine, sizeof(mine), 0));
    assert_int_equal(0, pipe2(err, O_CLOEXEC));
    snprintf(target, sizeof(target), "unix:%s", standin_target(standin));
    pids[0] = start(to_receive, in, out, err[1]);
    assert_true(read(err[0], line, sizeof(line) - 1) > 0);
    assert_int_equal(1, sscanf(line, "we are peer %7s", peer));
    pids[1] = start(to_send, in, out, STDERR_FILENO);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pids[i], waitpid(pids[i], &status, 0));
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(sizeof(mine), pread(out, theirs, sizeof(theirs), 0));
    assert_memory_equal(mine, theirs, sizeof(mine));
    close(in);
    close(out);
    close(err[0]);
    close(err[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(much_larger_than_the_ring, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_one_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moved_all_the_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_ways_of_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_on_one_vector, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_are_the_programs_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(between_processes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(examples, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
