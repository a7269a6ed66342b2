/* SPDX-License-Identifier: MIT
 *
 * The commands that ask and steer the server through its control socket (ivshmem-control.7).
 */
#include <errno.h>
#include <string.h>

#include "client/shell/tool.h"
#include "client/shell/watch.h"
#include "common/log.h"

/* --- status, peers, slots --- */

static const char status_text[] =
    "version     {version}\n"
    "pid         {pid}\n"
    "uptime      {uptime} s\n"
    "socket      {socket}\n"
    "control     {control_socket}\n"
    "memory      {region.size} bytes, {region.kind} {region.name}, sealed: {region.sealed}\n"
    "vectors     {vectors}\n"
    "peers       {peers} (limit {limits.peers}), slots {slots}, free IDs {limits.free_ids}\n"
    "joins       {counters.joins}, leaves {counters.leaves}, refusals {counters.refusals}\n"
    "messages    {counters.announcements}, rings {counters.rings}, repairs {counters.repairs}\n";

static int count_peers(struct tool *tool)
{
    int count = 0;

    for (int id = -1; (id = ivshmem_next_peer(tool->iv, id)) >= 0;)
        count++;
    return count;
}

/* In a shell there is a control socket as well, perhaps; a peer knows this much without. */
static int status_as_peer(struct tool *tool)
{
    unsigned own = (unsigned)ivshmem_id(tool->iv);
    cJSON *object = emit_object("our_id", own);

    emit_add(object, "vectors", (uint64_t)ivshmem_vectors(tool->iv, own));
    emit_add(object, "peers", (uint64_t)count_peers(tool) + 1);
    emit_add(object, "size", ivshmem_memory_size(tool->iv));
    emit(&tool->emit, object,
         "our ID      {our_id}\nmemory      {size} bytes\nvectors     {vectors}\n"
         "peers       {peers}, us included\n");
    return STATUS_DONE;
}

static int run_status(struct tool *tool, struct arguments *given)
{
    cJSON *result = NULL;
    int status;

    if (tool_needs_place(tool, given) && !tool_has_control(tool))
        return status_as_peer(tool);
    status = tool_query(tool, "Status", NULL, &result);
    if (status == STATUS_DONE)
        emit(&tool->emit, result, status_text);
    return status;
}

static int peers_as_peer(struct tool *tool)
{
    cJSON *object = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(object, "peers");

    for (int id = -1; (id = ivshmem_next_peer(tool->iv, id)) >= 0;) {
        cJSON *item = emit_object("id", (uint64_t)id);

        emit_add(item, "vectors", (uint64_t)ivshmem_vectors(tool->iv, (unsigned)id));
        cJSON_AddItemToArray(list, item);
    }
    emit_list(&tool->emit, object, "peers", "   ID VECTORS\n", "{id:5} {vectors:7}\n");
    return STATUS_DONE;
}

static int run_peers(struct tool *tool, struct arguments *given)
{
    cJSON *result = NULL;
    int status;

    if (tool_needs_place(tool, given) && !tool_has_control(tool))
        return peers_as_peer(tool);
    status = tool_query(tool, "ListPeers", NULL, &result);
    if (status == STATUS_DONE)
        emit_list(&tool->emit, result, "peers",
                  "   ID SLOT       VECTORS BACKLOG     UID     PID COMMAND\n",
                  "{id:5} {slot:-10} {vectors:7} {backlog:7} {uid:7} {pid:7} {command}\n");
    return status;
}

static int run_slots(struct tool *tool, struct arguments *given)
{
    cJSON *result = NULL;
    int status = tool_query(tool, "ListSlots", NULL, &result);

    (void)given;
    if (status == STATUS_DONE)
        emit_list(&tool->emit, result, "slots", "   ID NAME       HELD SOCKET\n",
                  "{id:5} {name:-10} {held:-4} {socket}\n");
    return status;
}

/* --- kick, log-level, re-exec --- */

static int check_kick(struct arguments *given, struct failure *failure)
{
    uint64_t peer;

    return argument_number(given->words[0], "the peer", WIRE_ID_MAX, &peer, failure);
}

static int run_kick(struct tool *tool, struct arguments *given)
{
    cJSON *reply = NULL;
    const char *error;
    uint64_t peer = 0;
    int status;

    argument_number(given->words[0], "", WIRE_ID_MAX, &peer, NULL);
    status = tool_call(tool, "Disconnect", emit_object("peer", peer), &reply);
    if (status != STATUS_DONE)
        return status;
    error = control_error(reply);
    if (!error)
        emit(&tool->emit, emit_object("kicked", peer), NULL);
    else if (strcmp(error, "NoSuchPeer") == 0)
        status = emit_error(&tool->emit, STATUS_NOT_FOUND, "cannot find peer_id = %llu",
                            (unsigned long long)peer);
    else
        status = tool_refused(tool, reply);
    cJSON_Delete(reply);
    return status;
}

static int check_log_level(struct arguments *given, struct failure *failure)
{
    int level;

    if (!given->count || log_level_parse(given->words[0], &level) == 0)
        return 0;
    return failure_set(failure, EINVAL, "'%s' is none of error, warning, notice, info, debug",
                       given->words[0]);
}

static int run_log_level(struct tool *tool, struct arguments *given)
{
    cJSON *level = given->count ? cJSON_CreateObject() : NULL, *result = NULL;
    int status;

    if (level)
        cJSON_AddStringToObject(level, "level", given->words[0]);
    status = tool_query(tool, level ? "SetLogLevel" : "GetLogLevel", level, &result);
    if (status == STATUS_DONE)
        emit(&tool->emit, result, given->count ? NULL : "{level}\n");
    return status;
}

static int run_reexec(struct tool *tool, struct arguments *given)
{
    cJSON *result = NULL;
    int status = tool_query(tool, "Reexec", NULL, &result);

    (void)given;
    if (status == STATUS_DONE)
        emit(&tool->emit, result, NULL);
    return status;
}

/* --- call --- */

static cJSON *read_object(const char *text)
{
    cJSON *object = cJSON_ParseWithOpts(text, NULL, true);

    if (cJSON_IsObject(object))
        return object;
    cJSON_Delete(object);
    return NULL;
}

static int check_call(struct arguments *given, struct failure *failure)
{
    cJSON *parameters = given->count > 1 ? read_object(given->words[1]) : NULL;

    if (given->count > 1 && !parameters)
        return failure_set(failure, EINVAL, "%.300s: the parameters are no JSON object",
                           given->words[1]);
    cJSON_Delete(parameters);
    return 0;
}

static int run_call(struct tool *tool, struct arguments *given)
{
    cJSON *parameters = given->count > 1 ? read_object(given->words[1]) : NULL, *result = NULL;
    struct emit json = tool->emit;
    int status = tool_query(tool, given->words[0], parameters, &result);

    json.json = true;
    if (status == STATUS_DONE)
        emit(&json, result, NULL);
    return status;
}

static const struct option_spec top_options[] = {
    {"once", 0, NULL, "print it once, as when there is no terminal", option_set_switch,
     ARGUMENT(once), 0},
    {"interval", 'i', "SECONDS", "how often to look [1]", argument_set_seconds, ARGUMENT(interval),
     0},
    {"count", 'n', "N", "end after so many looks", argument_set_count, ARGUMENT(times), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

const struct command server_commands[] = {
    {
        .name = "status",
        .forms = {{"", "show the server: memory, limits, counters"}},
        .needs = NEEDS_EITHER,
        .run = run_status,
    },
    {
        .name = "peers",
        .forms = {{"", "list the peers with their processes and backlogs"}},
        .needs = NEEDS_EITHER,
        .run = run_peers,
    },
    {
        .name = "slots",
        .forms = {{"", "list the slots, and whether somebody holds them"}},
        .needs = NEEDS_CONTROL,
        .run = run_slots,
    },
    {
        .name = "kick",
        .forms = {{"<peer>", "disconnect a peer"}},
        .details = "It keeps the memory and the doorbells that it has. A QEMU cannot come back\n"
                   "until it is started anew.",
        .needs = NEEDS_CONTROL,
        .flags = COMMAND_PEERS,
        .least = 1,
        .most = 1,
        .check = check_kick,
        .run = run_kick,
    },
    {
        .name = "log-level",
        .forms = {{"[error|warning|notice|info|debug]", "tell or change what the server logs"}},
        .needs = NEEDS_CONTROL,
        .most = 1,
        .check = check_log_level,
        .run = run_log_level,
    },
    {
        .name = "re-exec",
        .forms = {{"", "have the server execute its program anew; no peer notices"}},
        .needs = NEEDS_CONTROL,
        .run = run_reexec,
    },
    {
        .name = "call",
        .forms = {{"<method> [<parameters>]", "call a method of the control socket"}},
        .details = "A method without a dot is one of io.ivshmem.Server; the parameters are a JSON\n"
                   "object. The answer is printed as one. An error is exit status 5.",
        .needs = NEEDS_CONTROL,
        .least = 1,
        .most = 2,
        .check = check_call,
        .run = run_call,
    },
    {
        .name = "top",
        .forms = {{"", "a live screen of peers, backlogs and channels"}},
        .options = top_options,
        .needs = NEEDS_CONTROL,
        .run = top_run,
    },
    {.name = NULL},
};
