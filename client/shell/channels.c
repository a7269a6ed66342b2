/* SPDX-License-Identifier: MIT
 *
 * The commands of channels as they stand in the table, and those that make and end the one channel
 * that a shell has.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "client/shell/secure.h"
#include "client/shell/stream_commands.h"

enum { REVERSE_DEFAULT = 64 << 10 };

static bool is_verb(const struct arguments *given, const char *verb)
{
    return given->count > 0 && strcmp(given->words[0], verb) == 0;
}

/* --- listen, connect, close --- */

/* A shell has one channel: a new one takes the place of the old one. */
static int take_channel(struct tool *tool, struct ivshmem_channel *channel,
                        struct ivshmem_secure *secure)
{
    struct ivshmem_channel_info info = link_info(channel);
    cJSON *object = emit_object("channel", info.channel);

    secure_close(tool, true);
    tool->channel = channel;
    tool->secure = secure;
    emit_add(object, "peer", info.peer);
    emit_add(object, "port", info.port);
    emit_add(object, "send_size", info.send_size);
    emit_add(object, "receive_size", info.receive_size);
    cJSON_AddBoolToObject(object, "crc32c", info.flags & IVSHMEM_CRC32C);
    cJSON_AddBoolToObject(object, "encrypted", secure != NULL);
    emit(&tool->emit, object,
         secure ? "channel {channel} with peer {peer}, port {port}, encrypted\n"
                : "channel {channel} with peer {peer}, port {port}\n");
    return STATUS_DONE;
}

/* A new channel, if there is one: with a key, once the sides have agreed. */
static int begin_channel(struct tool *tool, const struct arguments *given,
                         struct ivshmem_channel *channel, struct ivshmem_secure *secure,
                         enum ivshmem_secure_side side, int status)
{
    if (channel)
        status = secure_start(tool, given, secure, &channel, side);
    if (channel)
        return take_channel(tool, channel, secure);
    ivshmem_secure_free(secure);
    return status;
}

static int run_listen(struct tool *tool, struct arguments *given)
{
    struct ivshmem_channel *channel = NULL;
    struct ivshmem_secure *secure;
    uint64_t port = 0, peer = LINK_ANY;
    int status = secure_new(tool, given, &secure);

    argument_port(given->words[1], &port, NULL);
    link_peer(given->peer, &peer, NULL);
    if (status == STATUS_DONE)
        status = link_listen(tool, port);
    if (status == STATUS_DONE) {
        emit(&tool->emit, emit_object("listening", port), NULL);
        fflush(tool->emit.out);
        status = link_accept(tool, given, peer, port, &channel);
    }
    return begin_channel(tool, given, channel, secure, IVSHMEM_SECURE_ACCEPTED, status);
}

static int run_connect(struct tool *tool, struct arguments *given)
{
    uint64_t reverse = given->reverse_size == NOT_GIVEN ? REVERSE_DEFAULT : given->reverse_size;
    struct ivshmem_channel *channel = NULL;
    struct ivshmem_secure *secure;
    uint64_t port = 0, peer = LINK_ANY;
    int status = secure_new(tool, given, &secure);

    link_peer(given->words[1], &peer, NULL);
    argument_port(given->words[2], &port, NULL);
    if (status == STATUS_DONE)
        status = link_connect(tool, given, peer, port, reverse, &channel);
    return begin_channel(tool, given, channel, secure, IVSHMEM_SECURE_CONNECTED, status);
}

static int close_by_number(struct tool *tool, uint64_t number)
{
    cJSON *reply = NULL;
    int status = tool_call(tool, "CloseChannel", emit_object("channel", number), &reply);
    const char *error = status == STATUS_DONE ? control_error(reply) : NULL;

    if (error && strcmp(error, "NoSuchChannel") == 0)
        status = emit_error(&tool->emit, STATUS_NOT_FOUND, "there is no channel %llu",
                            (unsigned long long)number);
    else if (error)
        status = tool_refused(tool, reply);
    else if (status == STATUS_DONE)
        emit(&tool->emit, emit_object("closed", number), NULL);
    cJSON_Delete(reply);
    return status;
}

static int run_close(struct tool *tool, struct arguments *given)
{
    uint64_t number = 0;

    if (given->count > 1) {
        argument_number(given->words[1], "", UINT32_MAX, &number, NULL);
        return close_by_number(tool, number);
    }
    if (!tool->channel)
        return emit_error(&tool->emit, STATUS_USAGE,
                          "there is no channel of ours (channel close NUMBER ends any one)");
    number = link_info(tool->channel).channel;
    secure_close(tool, true);
    emit(&tool->emit, emit_object("closed", number), NULL);
    return STATUS_DONE;
}

/* --- the words --- */

static const struct verb {
    const char *name;
    int least, most; /* words behind it */
    const char *words;
    int (*run)(struct tool *tool, struct arguments *given);
    bool joins;
} verbs[] = {
    {"listen", 1, 1, "<port>", run_listen, true},
    {"connect", 2, 2, "<peer>|any <port>", run_connect, true},
    {"close", 0, 1, "[<channel>]", run_close, false},
    {"list", 0, 0, "", channel_list_run, false},
    {"bench", 0, 1, "<peer>|any, or --serve", channel_bench_run, true},
};

static const struct verb *find_verb(const struct arguments *given)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (is_verb(given, verbs[i].name))
            return &verbs[i];
    return NULL;
}

static int check_words(const struct arguments *given, const struct verb *verb,
                       struct failure *failure)
{
    const char *const *words = (const char *const *)given->words + 1;
    uint64_t number;
    int r = 0;

    if (verb->run == run_listen)
        return argument_port(words[0], &number, failure);
    if (verb->run == run_connect) {
        r = link_peer(words[0], &number, failure);
        return r < 0 ? r : argument_port(words[1], &number, failure);
    }
    if (verb->run == run_close && given->count > 1)
        return argument_number(words[0], "the channel", UINT32_MAX, &number, failure);
    if (verb->run != channel_bench_run)
        return 0;
    if ((given->count > 1) == given->serve)
        return failure_set(failure, EINVAL, "channel bench: with whom? a peer, any, or --serve");
    return given->serve ? 0 : link_peer(words[0], &number, failure);
}

static int check_channel(struct arguments *given, struct failure *failure)
{
    const struct verb *verb = find_verb(given);
    uint64_t peer;
    int words = given->count - 1;

    if (!verb)
        return failure_set(failure, EINVAL,
                           "channel: '%s' is none of listen, connect, close, list, bench",
                           given->words[0]);
    if (words < verb->least)
        return failure_set(failure, EINVAL, "channel %s needs more: channel %s %s", verb->name,
                           verb->name, verb->words);
    if (words > verb->most)
        return failure_set(failure, EINVAL, "channel %s: '%s' is too much", verb->name,
                           given->words[1 + verb->most]);
    if (link_peer(given->peer, &peer, failure) < 0)
        return -EINVAL;
    if (given->key_file && verb->run != run_listen && verb->run != run_connect)
        return failure_set(failure, EINVAL, "channel %s knows no --key-file", verb->name);
    if (given->key_file && given->reverse_size == 0)
        return failure_set(failure, EINVAL, "--key-file needs a ring back: no --reverse 0");
    return check_words(given, verb, failure);
}

static bool channel_needs_place(const struct arguments *given)
{
    const struct verb *verb = find_verb(given);

    return verb && verb->joins;
}

static int run_channel(struct tool *tool, struct arguments *given)
{
    const struct verb *verb = find_verb(given);

    return verb ? verb->run(tool, given) : STATUS_USAGE;
}

#define OPTION_TIMEOUT(text)                                                                       \
    {                                                                                              \
        "timeout", 't', "SECONDS", text, argument_set_seconds, ARGUMENT(timeout), 0                \
    }

#define OPTION_RING                                                                                \
    {                                                                                              \
        "ring", 'r', "SIZE", "bytes of the ring [256K, less where\nthere is no room]",             \
            argument_set_bytes, ARGUMENT(ring_size), 0                                             \
    }

#define OPTION_CRC                                                                                 \
    {                                                                                              \
        "crc", 0, NULL, "a checksum with each piece", option_set_switch, ARGUMENT(crc), 0          \
    }

#define OPTION_KEY                                                                                 \
    {                                                                                              \
        "key-file", 0, "FILE", "encrypt, with the key in there that\nthe other side has too",      \
            argument_set_text, ARGUMENT(key_file), 0                                               \
    }

static const struct option_spec channel_options[] = {
    OPTION_TIMEOUT("how long to wait for the other side,\nalso until it listens; 4 is the status"),
    {"peer", 'p', "PEER", "listen: who may connect [any]", argument_set_text, ARGUMENT(peer), 0},
    OPTION_RING,
    {"reverse", 0, "SIZE", "connect: bytes of the ring back;\n0 for none [64K]", argument_set_size,
     ARGUMENT(reverse_size), 0},
    OPTION_CRC,
    OPTION_KEY,
    {"serve", 0, NULL, "bench: be the other side", option_set_switch, ARGUMENT(serve), 0},
    {"port", 0, "N", "bench: the port [5201]", argument_set_port, ARGUMENT(port), 0},
    {"message", 'm', "SIZE", "bench: only messages of this size", argument_set_bytes,
     ARGUMENT(message), 0},
    {"interval", 'i', "SECONDS", "bench: how long for each size [0.3]", argument_set_seconds,
     ARGUMENT(interval), 0},
    {"count", 'n', "N", "bench --serve: end after so many", argument_set_count, ARGUMENT(times), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

static const struct option_spec send_options[] = {
    {"peer", 'p', "PEER", "where to connect to; any: who listens", argument_set_text,
     ARGUMENT(peer), 0},
    {"port", 0, "N", "where to connect to", argument_set_port, ARGUMENT(port), 0},
    OPTION_TIMEOUT("how long to wait until somebody listens,\nand whenever nothing moves"),
    OPTION_RING,
    OPTION_CRC,
    OPTION_KEY,
    {"message", 'm', "SIZE", "cut it into messages of this size\n[all of it is one]",
     argument_set_bytes, ARGUMENT(message), 0},
    {"count", 'n', "N", "end after so many messages", argument_set_count, ARGUMENT(times), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

static const struct option_spec recv_options[] = {
    {"port", 0, "N", "listen there, and take all of one sender", argument_set_port, ARGUMENT(port),
     0},
    {"peer", 'p', "PEER", "who may connect [any]", argument_set_text, ARGUMENT(peer), 0},
    OPTION_TIMEOUT("how long to wait for somebody, and\nwhenever nothing comes"),
    OPTION_KEY,
    {"count", 'n', "N", "take so many messages", argument_set_count, ARGUMENT(times), 0},
    {"all", 'a', NULL, "take all up to the end of the channel,\nas --port does", option_set_switch,
     ARGUMENT(all), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

const struct command channel_commands[] = {
    {
        .name = "channel",
        .forms =
            {
                {"listen <port>", "let one peer connect: send and recv use that channel then"},
                {"connect <peer>|any <port>", "connect to a peer that listens, likewise"},
                {"close [<channel>]", "close that channel; or any one, as the server's master"},
                {"list", "list the channels between all peers"},
                {"bench <peer>|any", "measure a channel to a peer that serves"},
                {"bench --serve", "answer those who measure"},
            },
        .details = "The server needs the option --channels. A shell has one channel at a time.",
        .options = channel_options,
        .needs = NEEDS_EITHER,
        .flags = COMMAND_VERBS,
        .least = 1,
        .most = INT_MAX,
        .check = check_channel,
        .needs_place = channel_needs_place,
        .run = run_channel,
    },
    {
        .name = "send",
        .forms = {{"<file>|-", "send a file or standard input through a channel"}},
        .details =
            "With --port it connects, sends, and closes: the receiver gets everything, or\n"
            "knows that it has not. Without, it uses the channel of channel connect or listen.",
        .options = send_options,
        .needs = NEEDS_PLACE,
        .least = 1,
        .most = 1,
        .check = send_check,
        .run = send_run,
    },
    {
        .name = "recv",
        .forms = {{"[<file>|-]", "receive into a file or to standard output"}},
        .details = "With --port it listens for one sender and receives until that one closes: if\n"
                   "it dies before, what came is partial, and the exit status is not 0. Without,\n"
                   "it takes one message from the channel of channel connect or listen.",
        .options = recv_options,
        .needs = NEEDS_PLACE,
        .most = 1,
        .check = recv_check,
        .run = recv_run,
    },
    {.name = NULL},
};
