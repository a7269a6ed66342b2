/* SPDX-License-Identifier: MIT
 *
 * The commands dump and int. What they print in the shell is what the users of QEMU's client have
 * scripts for, to the byte, and goes to standard output; only a doorbell that cannot be rung goes
 * to the log.
 *
 * Who is no peer rings and looks through the control socket, if there is one.
 */
#include <errno.h>
#include <string.h>

#include "client/shell/ring.h"
#include "client/shell/tool.h"
#include "common/log.h"
#include "common/parse.h"

/* --- dump --- */

static void dump_peer(struct tool *tool, const char *name, unsigned peer)
{
    int count = ivshmem_vectors(tool->iv, peer);

    fprintf(tool->emit.out, "%s = %u\n", name, peer);
    for (int i = 0; i < count; i++)
        fprintf(tool->emit.out, "  vector %d is enabled (fd=%d)\n", i,
                ivshmem_vector_fd(tool->iv, peer, (unsigned)i));
}

static cJSON *describe_peer(struct tool *tool, unsigned peer)
{
    cJSON *item = emit_object("id", peer);

    emit_add(item, "vectors", (uint64_t)ivshmem_vectors(tool->iv, peer));
    return item;
}

static int dump_as_peer(struct tool *tool)
{
    unsigned own = (unsigned)ivshmem_id(tool->iv);
    cJSON *object = emit_object("our_id", own), *list;

    emit_add(object, "vectors", (uint64_t)ivshmem_vectors(tool->iv, own));
    list = cJSON_AddArrayToObject(object, "peers");
    if (!tool->emit.json && !tool->emit.quiet)
        dump_peer(tool, "our_id", own);
    for (int id = -1; (id = ivshmem_next_peer(tool->iv, id)) >= 0;) {
        if (!tool->emit.json && !tool->emit.quiet)
            dump_peer(tool, "peer_id", (unsigned)id);
        cJSON_AddItemToArray(list, describe_peer(tool, (unsigned)id));
    }
    emit(&tool->emit, object, NULL);
    return STATUS_DONE;
}

static uint64_t member(const cJSON *object, const char *name)
{
    return (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static int run_dump(struct tool *tool, struct arguments *given)
{
    cJSON *result = NULL, *object, *list;
    const cJSON *peer;
    int status;

    if (tool_needs_place(tool, given))
        return dump_as_peer(tool);
    status = tool_query(tool, "ListPeers", NULL, &result);
    if (status != STATUS_DONE)
        return status;
    object = cJSON_CreateObject();
    list = cJSON_AddArrayToObject(object, "peers");
    cJSON_ArrayForEach(peer, cJSON_GetObjectItemCaseSensitive(result, "peers"))
    {
        cJSON *item = emit_object("id", member(peer, "id"));

        emit_add(item, "vectors", member(peer, "vectors"));
        cJSON_AddItemToArray(list, item);
        if (tool->emit.json || tool->emit.quiet)
            continue;
        fprintf(tool->emit.out, "peer_id = %llu\n", (unsigned long long)member(peer, "id"));
        for (uint64_t i = 0; i < member(peer, "vectors"); i++)
            fprintf(tool->emit.out, "  vector %llu is enabled\n", (unsigned long long)i);
    }
    cJSON_Delete(result);
    emit(&tool->emit, object, NULL);
    return STATUS_DONE;
}

/* --- int --- */

static bool read_id(const char *word, uint64_t *id)
{
    return word[strspn(word, "0123456789")] == '\0' && parse_unsigned(word, 0, UINT64_MAX, id) == 0;
}

int bells_parse(struct bells *bells, const char *peer, const char *vector, struct failure *failure)
{
    *bells = (struct bells){
        .everybody = strcmp(peer, "all") == 0,
        .every_vector = !vector || strcmp(vector, "all") == 0,
    };
    if (bells->everybody)
        return vector ? failure_set(failure, EINVAL, "int all: '%s' is too much", vector) : 0;
    if (!read_id(peer, &bells->peer))
        return failure_set(failure, EINVAL, "'%s' is neither the ID of a peer nor all", peer);
    if (!vector)
        return failure_set(failure, EINVAL, "which vector of peer %s? a number, or all", peer);
    if (!bells->every_vector && !read_id(vector, &bells->vector))
        return failure_set(failure, EINVAL, "'%s' is neither a vector nor all", vector);
    return 0;
}

static int no_peer(struct tool *tool, uint64_t peer)
{
    return emit_error(&tool->emit, STATUS_NOT_FOUND, "cannot find peer_id = %llu",
                      (unsigned long long)peer);
}

static int no_vector(struct tool *tool, const struct bells *bells)
{
    return emit_error(&tool->emit, STATUS_NOT_FOUND, "cannot find vector = %llu of peer_id = %llu",
                      (unsigned long long)bells->vector, (unsigned long long)bells->peer);
}

static int ring_by_control(struct tool *tool, const struct bells *bells, uint64_t *rung)
{
    cJSON *parameters = cJSON_CreateObject(), *reply = NULL;
    const char *error;
    int status;

    if (!bells->everybody && bells->peer > WIRE_ID_MAX) {
        cJSON_Delete(parameters);
        return no_peer(tool, bells->peer);
    }
    if (!bells->everybody)
        emit_add(parameters, "peer", bells->peer);
    if (!bells->every_vector)
        emit_add(parameters, "vector", bells->vector < INT32_MAX ? bells->vector : INT32_MAX);
    status = tool_call(tool, "Ring", parameters, &reply);
    if (status != STATUS_DONE)
        return status;
    error = control_error(reply);
    if (!error)
        *rung += member(cJSON_GetObjectItemCaseSensitive(reply, "parameters"), "rung");
    else if (strcmp(error, "NoSuchPeer") == 0)
        status = no_peer(tool, bells->peer);
    else if (strcmp(error, "NoSuchVector") == 0)
        status = no_vector(tool, bells);
    else
        status = tool_refused(tool, reply);
    cJSON_Delete(reply);
    return status;
}

static void say_ring(struct tool *tool, unsigned peer, unsigned vector)
{
    if (tool->verbose && tool->emit.interactive && !tool->emit.json)
        fprintf(tool->emit.out, "notify peer %u on vector %u, fd %d\n", peer, vector,
                ivshmem_vector_fd(tool->iv, peer, vector));
}

static uint64_t say_ring_peer(struct tool *tool, unsigned peer)
{
    int count = ivshmem_vectors(tool->iv, peer);

    for (int i = 0; i < count; i++)
        say_ring(tool, peer, (unsigned)i);
    return count > 0 ? (uint64_t)count : 0;
}

static int check_ring(struct tool *tool, int r)
{
    if (r == 0)
        return STATUS_DONE;
    if (!tool->emit.interactive)
        return emit_error(&tool->emit, STATUS_REFUSED, "%s", ivshmem_error(tool->iv));
    fflush(tool->emit.out);
    log_warning("%s", ivshmem_error(tool->iv));
    return STATUS_REFUSED;
}

/* Who joins to ring may get the very ID of the peer that is meant and not there yet: to ring that
 * would look like success, and be the answer as well. In a shell everybody knows who we are. */
int bells_find(struct tool *tool, const struct bells *bells)
{
    int count = -ENOENT;

    if (bells->everybody)
        return STATUS_DONE;
    if (bells->peer <= WIRE_ID_MAX)
        count = ivshmem_vectors(tool->iv, (unsigned)bells->peer);
    if (count < 0)
        return no_peer(tool, bells->peer);
    if ((bells->not_us || !tool->emit.interactive) && (int)bells->peer == ivshmem_id(tool->iv))
        return emit_error(&tool->emit, STATUS_NOT_FOUND, "cannot find peer_id = %d: that is us now",
                          (int)bells->peer);
    return bells->every_vector || bells->vector < (uint64_t)count ? STATUS_DONE
                                                                  : no_vector(tool, bells);
}

static int ring_as_peer(struct tool *tool, const struct bells *bells, uint64_t *rung)
{
    unsigned peer = (unsigned)bells->peer, vector = (unsigned)bells->vector;
    int status = bells_find(tool, bells);

    if (status != STATUS_DONE)
        return status;
    if (bells->everybody) {
        for (int id = -1; (id = ivshmem_next_peer(tool->iv, id)) >= 0;)
            *rung += say_ring_peer(tool, (unsigned)id);
        return check_ring(tool, ivshmem_ring_all(tool->iv));
    }
    if (bells->every_vector) {
        *rung += say_ring_peer(tool, peer);
        return check_ring(tool, ivshmem_ring_peer(tool->iv, peer));
    }
    say_ring(tool, peer, vector);
    *rung += 1;
    return check_ring(tool, ivshmem_ring(tool->iv, peer, vector));
}

int bells_ring(struct tool *tool, const struct bells *bells, uint64_t *rung)
{
    return tool_connected(tool) ? ring_as_peer(tool, bells, rung)
                                : ring_by_control(tool, bells, rung);
}

static int check_int(struct arguments *given, struct failure *failure)
{
    struct bells bells;
    bool until = given->until_reply || given->until_word;
    int words = given->count, r;

    if (given->until_reply && given->reply_vector == NOT_GIVEN && words == 3) { /* with a blank */
        r = argument_number(given->words[2], "the vector", 2047, &given->reply_vector, failure);
        if (r < 0)
            return r;
        given->count = words = 2;
    }
    if (words > 2)
        return failure_set(failure, EINVAL, "int: '%s' is too much", given->words[2]);
    if (until && given->times != NOT_GIVEN)
        return failure_set(failure, EINVAL, "--count and --until-... exclude each other");
    if (given->until_reply && given->until_word)
        return failure_set(failure, EINVAL, "--until-reply and --until-word exclude each other");
    if (!until && given->timeout >= 0)
        return failure_set(failure, EINVAL, "--timeout goes with --until-reply or --until-word");
    r = bells_parse(&bells, given->words[0], words > 1 ? given->words[1] : NULL, failure);
    return r < 0 ? r : bells_check_wait(given, &bells, failure);
}

static bool int_needs_place(const struct arguments *given)
{
    return given->until_reply || given->until_word;
}

static int ring_often(struct tool *tool, const struct arguments *given, const struct bells *bells)
{
    uint64_t times = given->times == NOT_GIVEN ? 1 : given->times, rung = 0;
    int64_t interval = given->interval < 0 ? 1000 : given->interval;
    int status;

    for (;;) {
        int r;

        status = bells_ring(tool, bells, &rung);
        if (status != STATUS_DONE || --times == 0)
            break;
        r = tool_pause(tool, interval, -1);
        if (r < 0)
            return tool_lost(tool, r);
    }
    if (status == STATUS_DONE)
        emit(&tool->emit, emit_object("rung", rung), NULL);
    return status;
}

static int run_int(struct tool *tool, struct arguments *given)
{
    struct bells bells;
    int status;

    bells_parse(&bells, given->words[0], given->count > 1 ? given->words[1] : NULL, NULL);
    bells.not_us = given->until_reply || given->until_word;
    if (!bells_await(tool, given, &bells, &status))
        return status;
    if (given->until_reply || given->until_word)
        return bells_ring_until(tool, given, &bells);
    return ring_often(tool, given, &bells);
}

static const struct option_spec int_options[] = {
    {"count", 'n', "N", "ring so many times [1]", argument_set_count, ARGUMENT(times), 0},
    {"interval", 'i', "SECONDS", "time between two rings [1, with --until-... 0.1]",
     argument_set_seconds, ARGUMENT(interval), 0},
    {"until-reply", 0, "[=VECTOR]", "ring until our VECTOR is rung, or any", argument_set_reply, 0,
     0},
    {"until-word", 0, "OFFSET[=VALUE]",
     "ring until the 32-bit word at OFFSET in the\nmemory changes, or is VALUE", argument_set_text,
     ARGUMENT(until_word), 0},
    {"timeout", 't', "SECONDS", "give up with exit status 4", argument_set_seconds,
     ARGUMENT(timeout), 0},
    {"wait-peer", 0, "SECONDS", "if the peer is not there, wait so long for it\nfirst",
     argument_set_seconds, ARGUMENT(wait_peer), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

const struct command doorbell_commands[] = {
    {
        .name = "dump",
        .forms = {{"", "dump peers (including us)"}},
        .details = "Through the control socket we are no peer, and the peers have no descriptors.",
        .needs = NEEDS_EITHER,
        .flags = COMMAND_FIRST | COMMAND_PLAIN,
        .run = run_dump,
    },
    {
        .name = "int",
        .forms =
            {
                {"<peer> <vector>", "notify one vector on a peer"},
                {"<peer> all", "notify all vectors of a peer"},
                {"all", "notify all vectors of all peers (excepting us)"},
            },
        .details = "A guest that has not enabled its interrupts misses the first ones: ring it\n"
                   "with --until-reply or --until-word until it answers.",
        .options = int_options,
        .needs = NEEDS_EITHER,
        .flags = COMMAND_FIRST | COMMAND_PLAIN | COMMAND_PEERS,
        .least = 1,
        .most = 3,
        .check = check_int,
        .before = bells_await_outside,
        .needs_place = int_needs_place,
        .run = run_int,
    },
    {.name = NULL},
};
