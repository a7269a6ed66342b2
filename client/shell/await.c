/* SPDX-License-Identifier: MIT
 *
 * --wait-peer: wait until the peer that is to be rung is there. Theory of operation: a newcomer
 * gets the lowest ID that is free, so whoever joined to wait for a peer would often sit on its ID.
 * That is why who is no peer yet waits at the control socket, and joins, if need be, afterwards.
 * Without a control socket there is only waiting as a peer; then the ID has to belong to a slot.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/shell/ring.h"

enum {
    LOOK_MS = 100,
    GRACE_MS = 3000, /* a server that starts has its control socket so soon after the other */
};

static int late(struct tool *tool, uint64_t peer)
{
    return emit_error(&tool->emit, STATUS_TIMED_OUT, "peer_id = %llu has not come in time",
                      (unsigned long long)peer);
}

int bells_check_wait(const struct arguments *given, const struct bells *bells,
                     struct failure *failure)
{
    if (given->wait_peer >= 0 && bells->everybody)
        return failure_set(failure, EINVAL, "--wait-peer waits for one peer: which?");
    return 0;
}

/* With --wait-server the server may be just starting. */
static bool find_control(struct tool *tool)
{
    int64_t deadline = tool_deadline(tool->settings->wait_ms);
    bool seen = false;

    if (tool->settings->join)
        return false;
    while (!tool_has_control(tool) && tool_now() < deadline) {
        if (!seen && access(tool->settings->socket, F_OK) == 0) {
            seen = true;
            if (deadline > tool_now() + GRACE_MS)
                deadline = tool_now() + GRACE_MS;
        }
        poll(NULL, 0, LOOK_MS);
    }
    return tool->control != NULL;
}

static bool is_listed(const cJSON *result, uint64_t peer)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(result, "peers"))
    {
        double id = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(item, "id"));

        if (id >= 0 && (uint64_t)id == peer)
            return true;
    }
    return false;
}

int bells_await_outside(struct tool *tool, const struct arguments *given)
{
    int64_t end = tool_deadline(given->wait_peer);
    uint64_t peer;

    if (given->wait_peer < 0)
        return STATUS_DONE;
    peer = strtoull(given->ring ? given->ring : given->words[0], NULL, 10);
    if (peer > WIRE_ID_MAX || !find_control(tool))
        return STATUS_DONE;
    for (;;) {
        cJSON *result = NULL;
        int status = tool_query(tool, "ListPeers", NULL, &result), left = tool_left(end);
        bool found = is_listed(result, peer);

        cJSON_Delete(result);
        if (status != STATUS_DONE || found)
            return status;
        if (left == 0)
            return late(tool, peer);
        if (tool_pause(tool, left < LOOK_MS ? left : LOOK_MS, -1) < 0)
            return STATUS_USAGE; /* nobody reads what we say */
    }
}

/* With its vectors, of which all peers have the same number. */
static bool is_complete(const struct tool *tool, uint64_t peer)
{
    int own = ivshmem_vectors(tool->iv, (unsigned)ivshmem_id(tool->iv));

    return ivshmem_vectors(tool->iv, (unsigned)peer) >= own;
}

bool bells_await(struct tool *tool, const struct arguments *given, const struct bells *bells,
                 int *status)
{
    int64_t end = tool_deadline(given->wait_peer);

    *status = STATUS_DONE;
    if (given->wait_peer < 0 || bells->peer > WIRE_ID_MAX || !tool_connected(tool))
        return true;
    while (!is_complete(tool, bells->peer)) {
        int left = tool_left(end), r;

        if (left == 0) {
            *status = late(tool, bells->peer);
            return false;
        }
        r = tool_pause(tool, left < LOOK_MS ? left : LOOK_MS, -1);
        if (r < 0) {
            *status = tool_lost(tool, r);
            return false;
        }
    }
    return true;
}
