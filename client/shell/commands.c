/* SPDX-License-Identifier: MIT
 *
 * See commands.h. What is printed here is what the users of QEMU's client have scripts for, to the
 * byte; all of it goes to standard output. Only a doorbell that cannot be rung goes to the log.
 */
#include "client/shell/commands.h"

#include <inttypes.h>
#include <string.h>

#include "common/log.h"
#include "common/parse.h"
#include "common/wire.h"
#include "ivshmem.h"

static void print_vectors(struct session *session, unsigned peer)
{
    int count = ivshmem_vectors(session->iv, peer);

    for (int i = 0; i < count; i++)
        fprintf(session->out, "  vector %d is enabled (fd=%d)\n", i,
                ivshmem_vector_fd(session->iv, peer, (unsigned)i));
}

static void run_dump(struct session *session, const uint64_t *numbers)
{
    int id = ivshmem_id(session->iv);

    (void)numbers;
    fprintf(session->out, "our_id = %d\n", id);
    print_vectors(session, (unsigned)id);
    for (id = -1; (id = ivshmem_next_peer(session->iv, id)) >= 0;) {
        fprintf(session->out, "peer_id = %d\n", id);
        print_vectors(session, (unsigned)id);
    }
}

/* Our own ID is a peer like others here. */
static bool find_peer(struct session *session, uint64_t peer)
{
    if (peer <= WIRE_ID_MAX && ivshmem_vectors(session->iv, (unsigned)peer) >= 0)
        return true;
    fprintf(session->out, "cannot find peer_id = %" PRIu64 "\n", peer);
    return false;
}

static void say_ring(struct session *session, unsigned peer, unsigned vector)
{
    if (session->verbose)
        fprintf(session->out, "notify peer %u on vector %u, fd %d\n", peer, vector,
                ivshmem_vector_fd(session->iv, peer, vector));
}

static void say_ring_peer(struct session *session, unsigned peer)
{
    int count = session->verbose ? ivshmem_vectors(session->iv, peer) : 0;

    for (int i = 0; i < count; i++)
        say_ring(session, peer, (unsigned)i);
}

static void check_ring(struct session *session, int r)
{
    if (r < 0) {
        fflush(session->out);
        log_warning("%s", ivshmem_error(session->iv));
    }
}

static void run_int_vector(struct session *session, const uint64_t *numbers)
{
    uint64_t peer = numbers[0], vector = numbers[1];

    if (!find_peer(session, peer))
        return;
    if (vector >= (uint64_t)ivshmem_vectors(session->iv, (unsigned)peer)) {
        fprintf(session->out, "cannot find vector = %" PRIu64 " of peer_id = %" PRIu64 "\n", vector,
                peer);
        return;
    }
    say_ring(session, (unsigned)peer, (unsigned)vector);
    check_ring(session, ivshmem_ring(session->iv, (unsigned)peer, (unsigned)vector));
}

static void run_int_peer(struct session *session, const uint64_t *numbers)
{
    if (!find_peer(session, numbers[0]))
        return;
    say_ring_peer(session, (unsigned)numbers[0]);
    check_ring(session, ivshmem_ring_peer(session->iv, (unsigned)numbers[0]));
}

static void run_int_all(struct session *session, const uint64_t *numbers)
{
    (void)numbers;
    for (int id = -1; (id = ivshmem_next_peer(session->iv, id)) >= 0;)
        say_ring_peer(session, (unsigned)id);
    check_ring(session, ivshmem_ring_all(session->iv));
}

static void run_help(struct session *session, const uint64_t *numbers)
{
    (void)numbers;
    commands_help(session->out);
}

static void run_quit(struct session *session, const uint64_t *numbers)
{
    (void)numbers;
    session->done = true;
}

static void run_invalid(struct session *session, const uint64_t *numbers)
{
    (void)numbers;
    fprintf(session->out, "invalid command, type help\n");
}

static void run_nothing(struct session *session, const uint64_t *numbers)
{
    (void)session;
    (void)numbers;
}

/* In the order of the help. */
static const struct command commands[] = {
    {"dump", "dump peers (including us)", true, run_dump},
    {"int <peer> <vector>", "notify one vector on a peer", true, run_int_vector},
    {"int <peer> all", "notify all vectors of a peer", true, run_int_peer},
    {"int all", "notify all vectors of all peers (excepting us)", true, run_int_all},
    {"quit", "leave; exit and the end of the input do the same", false, run_quit},
    {"exit", NULL, false, run_quit},
    {"help", NULL, false, run_help},
    {"?", NULL, false, run_help},
    {"", NULL, false, run_nothing},
};

static const struct command invalid_command = {"", NULL, false, run_invalid};

static bool read_number(const char *word, size_t length, uint64_t *number)
{
    char digits[24];

    if (length >= sizeof(digits) || strspn(word, "0123456789") < length)
        return false;
    memcpy(digits, word, length);
    digits[length] = '\0';
    return parse_unsigned(digits, 0, UINT64_MAX, number) == 0;
}

/* Compares word by word. */
static bool matches(const char *form, const char *text, uint64_t *numbers)
{
    static const char blanks[] = " \t";

    for (;;) {
        size_t want, have;

        form += strspn(form, blanks);
        text += strspn(text, blanks);
        want = strcspn(form, blanks);
        have = strcspn(text, blanks);
        if (want == 0 || have == 0)
            return want == have;
        if (*form == '<' ? !read_number(text, have, numbers++)
                         : want != have || memcmp(form, text, want) != 0)
            return false;
        form += want;
        text += have;
    }
}

const struct command *command_find(const char *text, size_t length, uint64_t *numbers)
{
    if (text && strlen(text) == length)
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
            if (matches(commands[i].form, text, numbers))
                return &commands[i];
    return &invalid_command;
}

void commands_help(FILE *out)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (commands[i].help)
            fprintf(out, "%s: %s\n", commands[i].form, commands[i].help);
}
