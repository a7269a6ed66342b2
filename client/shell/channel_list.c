/* SPDX-License-Identifier: MIT
 *
 * The command channel list. The control socket tells; where there is none, a peer reads what the
 * server publishes in the memory (layout.h). Everybody can write there, and so every number is
 * checked before it is used as a place. Both say the same under the same names.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/shell/stream_commands.h"
#include "common/layout.h"

enum { TRIES = 64 };

static const char head[] =
    "CHANNEL FROM   TO       PORT       SIZE           BYTES   MESSAGES   FULL STATE\n";
static const char line[] =
    "{channel:7} {sender:4} {receiver:4} {port:10} {size:10} {bytes:15} {messages:10} {full:6} "
    "{state}\n";

static int no_channels(struct tool *tool)
{
    return emit_error(&tool->emit, STATUS_REFUSED,
                      "this server has no channels: it runs without --channels");
}

static int list_by_control(struct tool *tool)
{
    cJSON *reply = NULL, *result = NULL, *server = NULL;
    int status = tool_call(tool, "ListChannels", NULL, &reply);
    bool has_some;

    if (status != STATUS_DONE)
        return status;
    result = cJSON_DetachItemFromObjectCaseSensitive(reply, "parameters");
    has_some = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(result, "channels")) > 0;
    if (control_error(reply)) {
        status = no_channels(tool); /* it is so old that it does not know the method */
    } else if (!has_some) {
        status = tool_query(tool, "Status", NULL, &server);
        if (status == STATUS_DONE && !cJSON_HasObjectItem(server, "channels"))
            status = no_channels(tool);
    }
    if (status == STATUS_DONE)
        emit_list(&tool->emit, result, "channels", head, line);
    else
        cJSON_Delete(result);
    cJSON_Delete(server);
    cJSON_Delete(reply);
    return status;
}

/* A copy of a block in which nobody was writing. */
static int read_block(struct tool *tool, uint64_t offset, void *block, size_t size)
{
    uint32_t before, after = 1;

    for (int i = 0; i < TRIES; i++) {
        int r = ivshmem_read(tool->iv, offset, block, size);

        if (r == 0)
            r = ivshmem_load32(tool->iv, offset, &after);
        if (r < 0)
            return r;
        memcpy(&before, block, sizeof(before));
        if (before == after && !(before & 1))
            return 0;
    }
    return -EAGAIN;
}

static cJSON *describe(const struct layout_channel *shared, uint32_t number)
{
    static const char *const states[] = {"free", "offered", "open", "closed"};
    const struct layout_entry *entry = &shared->entry;
    cJSON *item;

    if (entry->state == LAYOUT_FREE || entry->state > LAYOUT_CLOSED)
        return NULL;
    item = emit_object("channel", number);
    emit_add(item, "first", entry->first);
    if (entry->pair != LAYOUT_CHANNEL_NONE)
        emit_add(item, "pair", entry->pair);
    cJSON_AddStringToObject(item, "state", states[entry->state]);
    emit_add(item, "sender", entry->sender_vm);
    emit_add(item, "receiver", entry->receiver_vm);
    emit_add(item, "pid", entry->sender_pid);
    emit_add(item, "port", entry->port);
    cJSON_AddBoolToObject(item, "crc32c", entry->flags & LAYOUT_CRC32C);
    emit_add(item, "offset", entry->buff_offset);
    emit_add(item, "size", entry->buff_size);
    if (entry->moving)
        emit_add(item, "next_size", entry->next_size);
    emit_add(item, "bytes", shared->sender.bytes);
    emit_add(item, "messages", shared->sender.messages);
    emit_add(item, "full", shared->sender.head_touch);
    emit_add(item, "resizes", entry->ring_generation);
    return item;
}

static int list_published(struct tool *tool)
{
    cJSON *object = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(object, "channels");
    struct layout_header header = {.magic = 0};
    int r = ivshmem_read(tool->iv, 0, &header, sizeof(header));

    if (r == 0 && (header.magic != LAYOUT_MAGIC || header.version != LAYOUT_VERSION)) {
        cJSON_Delete(object);
        return no_channels(tool);
    }
    for (uint32_t i = 0; r == 0 && i < header.n_channels && i < LAYOUT_CHANNELS_MAX; i++) {
        uint64_t offset = header.channel_offset + (uint64_t)i * header.channel_size;
        struct layout_channel channel;
        cJSON *item;

        r = read_block(tool, offset, &channel, sizeof(channel));
        item = r == 0 ? describe(&channel, i) : NULL;
        if (item)
            cJSON_AddItemToArray(list, item);
        r = r == -EAGAIN ? 0 : r; /* scribbled on: it is missing until the server has seen it */
    }
    if (r == 0) {
        emit_list(&tool->emit, object, "channels", head, line);
        return STATUS_DONE;
    }
    cJSON_Delete(object);
    return tool_lost(tool, r);
}

int channel_list_run(struct tool *tool, struct arguments *given)
{
    if (tool_needs_place(tool, given) && !tool_has_control(tool))
        return list_published(tool);
    return list_by_control(tool);
}
