/* SPDX-License-Identifier: MIT
 *
 * The command top: a screen of what the server does, drawn anew each second. Everything comes from
 * the control socket; throughput is the difference between two looks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/shell/watch.h"
#include "common/cleanup.h"

enum { INTERVAL_MS = 1000 };

/* What a channel had sent when we looked last. */
struct sent {
    uint64_t channel, bytes, messages;
};

struct top {
    struct tool *tool;
    struct sent *before;
    size_t count;
    int64_t looked; /* milliseconds; 0 for never */
};

static uint64_t number(const cJSON *object, const char *name)
{
    double value = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return value > 0 && value < 1e19 ? (uint64_t)value : 0; /* NaN is neither */
}

static const struct sent *find_sent(const struct top *top, uint64_t channel)
{
    for (size_t i = 0; i < top->count; i++)
        if (top->before[i].channel == channel)
            return &top->before[i];
    return NULL;
}

static uint64_t rate(uint64_t now, uint64_t before, int64_t ms)
{
    return ms > 0 && now > before ? (uint64_t)((double)(now - before) * 1000 / (double)ms) : 0;
}

/* Adds "bytes_rate" and "messages_rate", a second, to each channel. */
static void add_rates(struct top *top, cJSON *channels)
{
    size_t count = (size_t)cJSON_GetArraySize(channels), i = 0;
    struct sent *sent = calloc(count + 1, sizeof(*sent));
    int64_t now = tool_now(), ms = top->looked ? now - top->looked : 0;
    cJSON *channel;

    cJSON_ArrayForEach(channel, channels)
    {
        struct sent has = {number(channel, "channel"), number(channel, "bytes"),
                           number(channel, "messages")};
        const struct sent *had = find_sent(top, has.channel);

        emit_add(channel, "bytes_rate", had ? rate(has.bytes, had->bytes, ms) : 0);
        emit_add(channel, "messages_rate", had ? rate(has.messages, had->messages, ms) : 0);
        if (sent)
            sent[i++] = has;
    }
    free(top->before);
    top->before = sent;
    top->count = i;
    top->looked = now;
}

/* The channels of a server that has some; an older one does not know of them. */
static int add_channels(struct top *top, cJSON *all)
{
    cJSON *reply = NULL, *channels;
    int status = tool_call(top->tool, "ListChannels", NULL, &reply);

    if (status != STATUS_DONE)
        return status;
    channels = cJSON_DetachItemFromObjectCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(reply, "parameters"), "channels");
    cJSON_Delete(reply);
    if (!channels)
        return STATUS_DONE;
    add_rates(top, channels);
    cJSON_AddItemToObject(all, "channels", channels);
    return STATUS_DONE;
}

static int look(struct top *top, cJSON **all)
{
    cJSON *server = NULL, *peers = NULL;
    int status = tool_query(top->tool, "Status", NULL, &server);

    if (status == STATUS_DONE)
        status = tool_query(top->tool, "ListPeers", NULL, &peers);
    if (status == STATUS_DONE) {
        *all = cJSON_CreateObject();
        emit_add_time(*all);
        cJSON_AddItemToObject(*all, "server", server);
        cJSON_AddItemToObject(*all, "peers",
                              cJSON_DetachItemFromObjectCaseSensitive(peers, "peers"));
        server = NULL;
        status = add_channels(top, *all);
    }
    cJSON_Delete(server);
    cJSON_Delete(peers);
    return status;
}

static void print_rows(FILE *out, const cJSON *list, const char *head, const char *row)
{
    const cJSON *item;

    if (cJSON_GetArraySize(list) == 0)
        return;
    fputs(head, out);
    cJSON_ArrayForEach(item, list)
    {
        emit_text(out, item, row);
    }
}

static void print_screen(FILE *out, const cJSON *all)
{
    emit_text(out, all,
              "{clock}  server {server.version}, pid {server.pid}, up {server.uptime} s\n"
              "memory {server.region.size} bytes, vectors {server.vectors}, peers {server.peers}, "
              "joins {server.counters.joins}, leaves {server.counters.leaves}, "
              "refusals {server.counters.refusals}, rings {server.counters.rings}\n");
    print_rows(out, cJSON_GetObjectItemCaseSensitive(all, "peers"),
               "\n   ID SLOT       VECTORS BACKLOG     UID     PID COMMAND\n",
               "{id:5} {slot:-10} {vectors:7} {backlog:7} {uid:7} {pid:7} {command}\n");
    print_rows(out, cJSON_GetObjectItemCaseSensitive(all, "channels"),
               "\n CHAN FROM   TO       PORT       SIZE  MESSAGES/S       BYTES/S STATE\n",
               "{channel:5} {sender:4} {receiver:4} {port:10} {size:10} {messages_rate:11} "
               "{bytes_rate:13} {state}\n");
}

/* Over what was there, as many lines and columns as the terminal has: it shall not scroll. */
static void draw(FILE *out, const char *text)
{
    struct winsize size = {.ws_row = 0};
    int rows =
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row - 1 : 24;

    fputs("\033[H", out);
    for (; rows > 0 && *text; rows--) {
        size_t length = strcspn(text, "\n");
        int shown = size.ws_col && length > size.ws_col ? size.ws_col : (int)length;

        fprintf(out, "%.*s\033[K\n", shown, text);
        text += length + (text[length] == '\n');
    }
    fputs("\033[J", out);
}

static void show(struct tool *tool, cJSON *all, bool on_screen)
{
    _cleanup_free_ char *text = NULL;
    size_t size = 0;
    FILE *out;

    if (tool->emit.json || tool->emit.quiet) {
        emit(&tool->emit, all, NULL);
        return;
    }
    out = open_memstream(&text, &size);
    if (out) {
        print_screen(out, all);
        fclose(out);
    }
    if (text && on_screen)
        draw(tool->emit.out, text);
    else if (text)
        fputs(text, tool->emit.out);
    cJSON_Delete(all);
}

int top_run(struct tool *tool, struct arguments *given)
{
    const int64_t interval = given->interval < 0 ? INTERVAL_MS : given->interval;
    bool on_screen = isatty(STDOUT_FILENO) && !given->once && !tool->emit.json;
    uint64_t times = given->times != NOT_GIVEN ? given->times : on_screen ? UINT64_MAX : 1;
    struct top top = {.tool = tool};
    int status, r = 0;

    if (on_screen)
        fputs("\033[2J", tool->emit.out);
    for (;;) {
        cJSON *all = NULL;

        status = look(&top, &all);
        if (status == STATUS_DONE)
            show(tool, all, on_screen);
        else
            cJSON_Delete(all);
        if (status != STATUS_DONE || --times == 0)
            break;
        r = tool_pause(tool, interval, -1);
        if (r < 0)
            break;
    }
    free(top.before);
    return r < 0 ? tool_lost(tool, r) : status;
}
