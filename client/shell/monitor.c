/* SPDX-License-Identifier: MIT
 *
 * The command monitor: what happens, with the time. Theory of operation: the doorbells that ring us
 * come from our place among the peers, everything else from the control socket, which knows more of
 * who comes and goes. Without a control socket the place tells what it can.
 */
#include <errno.h>
#include <string.h>

#include "client/shell/watch.h"

struct monitor {
    struct tool *tool;
    struct control *stream;
    tool_listener_fn *before; /* who is told of the connection itself */
    void *context;
    uint64_t left; /* events to be told yet */
};

/* The first that fits: the event, and a member that must be there unless it is NULL. */
static const struct {
    const char *event, *member, *text;
} texts[] = {
    {"ready", NULL, "{clock} ready\n"},
    {"joined", "command", "{clock} joined   peer {peer}: {command}, pid {pid}, uid {uid}\n"},
    {"joined", NULL, "{clock} joined   peer {peer}\n"},
    {"left", "reason", "{clock} left     peer {peer}: {command}, pid {pid}; {reason}\n"},
    {"left", "command", "{clock} left     peer {peer}: {command}, pid {pid}\n"},
    {"left", NULL, "{clock} left     peer {peer}\n"},
    {"refused", NULL, "{clock} refused  {command}, pid {pid}, uid {uid}: {reason}\n"},
    {"repaired", NULL, "{clock} repaired the memory had {size} bytes\n"},
    {"channel_opened", NULL,
     "{clock} opened   channel {channel}: {peer} to port {port} of {listener}, {size} bytes\n"},
    {"channel_refused", NULL,
     "{clock} refused  a channel of {peer} to port {port} of {listener}: {reason}\n"},
    {"channel_closed", NULL,
     "{clock} closed   channel {channel}: {peer} to port {port} of {listener}; {reason}\n"},
    {"channel_resized", NULL, "{clock} resized  channel {channel}: {size} bytes\n"},
    {"section_repaired", NULL,
     "{clock} repaired {blocks} blocks of the channels' tables: {reason}\n"},
    {"rung", NULL, "{clock} rung     vector {vector}\n"},
};

static const char *find_text(const cJSON *object)
{
    const char *event = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "event"));

    for (size_t i = 0; event && i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(texts[i].event, event) == 0 &&
            (!texts[i].member || cJSON_HasObjectItem(object, texts[i].member)))
            return texts[i].text;
    return "{clock} {event}\n"; /* a newer server */
}

/* Takes @object, which has its time already. */
static void say(struct monitor *monitor, cJSON *object)
{
    const char *text = find_text(object);

    if (text != texts[0].text && monitor->left && --monitor->left == 0) /* ready does not count */
        monitor->tool->woken = true;
    emit(&monitor->tool->emit, object, text);
}

static void say_happened(struct monitor *monitor, const char *event, const char *name,
                         unsigned value)
{
    cJSON *object = cJSON_CreateObject();

    if (monitor->tool->woken) { /* that was the last one */
        cJSON_Delete(object);
        return;
    }
    cJSON_AddStringToObject(object, "event", event);
    if (name)
        emit_add(object, name, value);
    emit_add_time(object);
    say(monitor, object);
}

static void on_event(struct tool *tool, const struct event *event)
{
    struct monitor *monitor = tool->context;

    switch (event->what) {
    case HAPPENED_JOINED:
    case HAPPENED_LEFT:
        if (!monitor->stream)
            say_happened(monitor, event->what == HAPPENED_LEFT ? "left" : "joined", "peer",
                         event->peer);
        break;
    case HAPPENED_RUNG:
        tool->latched[event->vector] = false;
        say_happened(monitor, "rung", "vector", event->vector);
        break;
    case HAPPENED_CONNECTED:
    case HAPPENED_DISCONNECTED:
        tool->context = monitor->context;
        if (monitor->before)
            monitor->before(tool, event);
        tool->context = monitor;
        break;
    case HAPPENED_VECTOR:
        break;
    }
}

/* Says what the control socket has told. Return: enum status. */
static int read_stream(struct monitor *monitor)
{
    struct tool *tool = monitor->tool;
    struct failure failure;

    while (!tool->woken) {
        cJSON *reply = NULL, *event;
        int status = STATUS_DONE, r = control_receive(monitor->stream, false, &reply, &failure);

        if (r == -EAGAIN || r == -EINTR)
            return STATUS_DONE;
        if (r < 0)
            return emit_error(&tool->emit, STATUS_NO_SERVER, "the control socket: %s",
                              failure.text);
        event = cJSON_DetachItemFromObjectCaseSensitive(reply, "parameters");
        if (control_error(reply)) {
            status = tool_refused(tool, reply);
        } else if (event) {
            emit_set_time(event);
            say(monitor, event);
            event = NULL;
        }
        cJSON_Delete(event);
        cJSON_Delete(reply);
        if (status != STATUS_DONE)
            return status;
    }
    return STATUS_DONE;
}

static int follow(struct monitor *monitor, int64_t timeout)
{
    struct tool *tool = monitor->tool;
    int64_t end = tool_deadline(timeout);

    if (!monitor->stream)
        say_happened(monitor, "ready", NULL, 0);
    while (!tool->woken) {
        int r = tool_pause(tool, tool_left(end), monitor->stream ? monitor->stream->sock : -1);
        int status = r > 0 ? read_stream(monitor) : STATUS_DONE;

        if (r < 0)
            return tool_lost(tool, r);
        if (status != STATUS_DONE)
            return status;
        if (r == 0 && !tool->woken)
            return emit_error(&tool->emit, STATUS_TIMED_OUT, "the time for watching is over");
    }
    return STATUS_DONE;
}

/* Return: enum status; the absence of a control socket is one only for --control-only. */
static int open_stream(struct monitor *monitor, bool must)
{
    struct tool *tool = monitor->tool;
    struct failure failure = {.text = ""};
    int r = tool_open_control(tool, &monitor->stream, &failure);

    if (r == 0)
        r = control_send(monitor->stream, "Monitor", NULL, true, &failure);
    if (r < 0)
        monitor->stream = control_free(monitor->stream);
    return r < 0 && must ? emit_error(&tool->emit, STATUS_NO_SERVER, "%s", failure.text)
                         : STATUS_DONE;
}

int monitor_run(struct tool *tool, struct arguments *given)
{
    struct monitor monitor = {
        .tool = tool,
        .before = tool->listener,
        .context = tool->context,
        .left = given->times == NOT_GIVEN ? 0 : given->times,
    };
    int status = open_stream(&monitor, given->control_only);

    tool->woken = false;
    tool->listener = on_event;
    tool->context = &monitor;
    if (status == STATUS_DONE)
        status = follow(&monitor, given->timeout);
    tool->woken = false;
    tool->listener = monitor.before;
    tool->context = monitor.context;
    control_free(monitor.stream);
    return status;
}
