/* SPDX-License-Identifier: MIT
 *
 * See control_methods.h. Ring is in control_ring.c, Monitor in
 * control_events.c, all about channels in control_channels.c.
 */
#include "server/control_methods.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "server/control.h"

#define SERVICE "org.varlink.service."
#define OURS    "io.ivshmem.Server."

void control_add_name(cJSON *object, const char *name, const char *value)
{
    cJSON_AddItemToObject(object, name, cJSON_CreateStringReference(value));
}

void control_add_process(cJSON *object, const struct credentials *who)
{
    varlink_add_integer(object, "pid", (uint64_t)who->pid);
    varlink_add_integer(object, "uid", who->uid);
    varlink_add_text(object, "command", who->command);
}

static void error_about(struct session *session, const char *error, const char *name,
                        const char *value)
{
    cJSON *parameters = cJSON_CreateObject();

    varlink_add_text(parameters, name, value);
    session_error(session, error, parameters);
}

void control_refuse(struct session *session, const char *parameter)
{
    error_about(session, SERVICE "InvalidParameter", "parameter", parameter);
}

void control_no_such_peer(struct session *session, unsigned peer)
{
    cJSON *parameters = cJSON_CreateObject();

    varlink_add_integer(parameters, "peer", peer);
    session_error(session, OURS "NoSuchPeer", parameters);
}

/* --- org.varlink.service --- */

static void get_info(struct control *control, struct session *session, const cJSON *parameters)
{
    cJSON *reply = cJSON_CreateObject(), *interfaces;

    (void)control;
    (void)parameters;
    control_add_name(reply, "vendor", "ivshmem");
    control_add_name(reply, "product", "ivshmem-server");
    control_add_name(reply, "version", PACKAGE_VERSION);
    control_add_name(reply, "url", "man:ivshmem-control(7)");
    interfaces = cJSON_AddArrayToObject(reply, "interfaces");
    for (const struct control_interface *each = control_interfaces; each->name; each++)
        cJSON_AddItemToArray(interfaces, cJSON_CreateStringReference(each->name));
    session_reply(session, reply);
}

static const struct control_interface *find_interface(const char *name, size_t length)
{
    for (const struct control_interface *each = control_interfaces; each->name; each++)
        if (strlen(each->name) == length && memcmp(each->name, name, length) == 0)
            return each;
    return NULL;
}

static void get_description(struct control *control, struct session *session,
                            const cJSON *parameters)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(parameters, "interface");
    const struct control_interface *found;
    cJSON *reply;

    (void)control;
    if (!cJSON_IsString(name)) {
        control_refuse(session, "interface");
        return;
    }
    found = find_interface(name->valuestring, strlen(name->valuestring));
    if (!found) {
        error_about(session, SERVICE "InterfaceNotFound", "interface", name->valuestring);
        return;
    }
    reply = cJSON_CreateObject();
    control_add_name(reply, "description", found->text);
    session_reply(session, reply);
}

/* --- io.ivshmem.Server --- */

/* The daemon and its client need not be in the same directory. */
static void add_path(cJSON *object, const char *name, const struct control *control,
                     const char *path, const char *suffix)
{
    bool is_relative = *path != '/' && control->folder;
    _cleanup_free_ char *whole = NULL;

    if (asprintf(&whole, "%s%s%s%s", is_relative ? control->folder : "", is_relative ? "/" : "",
                 path, suffix) < 0)
        whole = NULL;
    varlink_add_text(object, name, whole);
}

static void add_region(cJSON *reply, const struct control_setup *setup)
{
    static const char *const kinds[] = {
        [REGION_NAMED] = "object",
        [REGION_DIRECTORY] = "directory",
        [REGION_MEMFD] = "memfd",
    };
    const struct region_setup *asked = &setup->config->region;
    cJSON *region = cJSON_AddObjectToObject(reply, "region");

    control_add_name(region, "kind", kinds[setup->region->kind]);
    if (setup->region->kind == REGION_NAMED)
        varlink_add_text(region, "name", asked->name);
    if (setup->region->kind == REGION_DIRECTORY)
        varlink_add_text(region, "directory", asked->directory);
    varlink_add_integer(region, "size", setup->region->size);
    cJSON_AddBoolToObject(region, "sealed", region_is_sealed(setup->region));
    cJSON_AddBoolToObject(region, "reserved", asked->reserve);
}

static void add_limits(cJSON *reply, const struct hub *hub)
{
    cJSON *limits = cJSON_AddObjectToObject(reply, "limits");

    if (hub->access->max_peers)
        varlink_add_integer(limits, "peers", hub->access->max_peers);
    if (hub->access->max_peers_per_uid)
        varlink_add_integer(limits, "peers_per_uid", hub->access->max_peers_per_uid);
    if (hub->access->peer_timeout)
        varlink_add_integer(limits, "peer_timeout", hub->access->peer_timeout);
    varlink_add_integer(limits, "descriptors", hub->fd_limit);
    varlink_add_integer(limits, "free_ids", hub->seats.n_free);
}

static void status(struct control *control, struct session *session, const cJSON *parameters)
{
    const struct control_setup *setup = &control->setup;
    cJSON *reply = cJSON_CreateObject(), *counters;
    struct timespec now;

    (void)parameters;
    clock_gettime(CLOCK_MONOTONIC, &now);
    control_add_name(reply, "version", PACKAGE_VERSION);
    varlink_add_integer(reply, "pid", (uint64_t)getpid());
    varlink_add_integer(reply, "uptime",
                        (uint64_t)(now.tv_sec - setup->hub->state->file->head.started));
    add_path(reply, "socket", control, setup->config->socket, "");
    add_path(reply, "control_socket", control, control->path, "");
    add_region(reply, setup);
    varlink_add_integer(reply, "vectors", setup->hub->n_vectors);
    varlink_add_integer(reply, "peers", setup->hub->n_peers);
    varlink_add_integer(reply, "slots", setup->hub->n_slots);
    add_limits(reply, setup->hub);
    control_add_channels(reply, setup->clerk);
    counters = cJSON_AddObjectToObject(reply, "counters");
    for (const struct counter_spec *each = witness_counters; each->name; each++)
        varlink_add_integer(counters, each->name, witness_counter(&setup->hub->witness, each));
    session_reply(session, reply);
}

static void list_peers(struct control *control, struct session *session, const cJSON *parameters)
{
    cJSON *reply = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(reply, "peers");
    const struct peer *peer;

    (void)parameters;
    TAILQ_FOREACH (peer, &control->setup.hub->peers, all) {
        cJSON *item = cJSON_CreateObject();

        varlink_add_integer(item, "id", peer->seat->id);
        varlink_add_text(item, "slot", peer->slot ? peer->slot->name : NULL);
        control_add_process(item, &peer->who);
        varlink_add_integer(item, "joined", (uint64_t)peer->joined);
        varlink_add_integer(item, "vectors", peer->seat->n_vectors);
        varlink_add_integer(item, "backlog", announce_backlog(&peer->announce));
        cJSON_AddItemToArray(list, item);
    }
    session_reply(session, reply);
}

static void list_slots(struct control *control, struct session *session, const cJSON *parameters)
{
    const struct hub *hub = control->setup.hub;
    cJSON *reply = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(reply, "slots");

    (void)parameters;
    for (size_t i = 0; i < hub->n_slots; i++) {
        const struct slot *slot = &hub->slots[i];
        char suffix[SLOT_NAME_MAX + 2] = "";
        cJSON *item = cJSON_CreateObject();

        varlink_add_text(item, "name", slot->name);
        varlink_add_integer(item, "id", slot->id);
        if (!slot->socket)
            snprintf(suffix, sizeof(suffix), ".%s", slot->name);
        add_path(item, "socket", control,
                 slot->socket ? slot->socket : control->setup.config->socket, suffix);
        cJSON_AddBoolToObject(item, "held", slot->holder != NULL);
        cJSON_AddItemToArray(list, item);
    }
    session_reply(session, reply);
}

static void disconnect(struct control *control, struct session *session, const cJSON *parameters)
{
    struct hub *hub = control->setup.hub;
    char why[96];
    struct peer *peer;
    unsigned id;

    if (varlink_get_integer(parameters, "peer", INT_MAX, &id) <= 0) {
        control_refuse(session, "peer");
        return;
    }
    TAILQ_FOREACH (peer, &hub->peers, all)
        if (peer->seat->id == id)
            break;
    if (!peer) {
        control_no_such_peer(session, id);
        return;
    }
    snprintf(why, sizeof(why), "was turned out through the control socket by uid %u, pid %d",
             (unsigned)session->who.uid, (int)session->who.pid);
    hub_drop(hub, peer, why);
    session_reply(session, NULL);
}

void control_cannot_reexec(struct session *session, const char *reason)
{
    cJSON *parameters = cJSON_CreateObject();

    control_add_name(parameters, "reason", reason);
    session_error(session, OURS "CannotReexec", parameters);
}

static void reexec(struct control *control, struct session *session, const cJSON *parameters)
{
    struct failure failure = {.text = ""};

    (void)parameters;
    log_notice("executing again, asked for through the control socket (" WHO_FORMAT ")",
               WHO(&session->who));
    if (control->setup.reexec(control->setup.argument, &failure) < 0)
        control_cannot_reexec(session, failure.text);
    else
        control->reexecuting = session;
}

static void get_log_level(struct control *control, struct session *session, const cJSON *parameters)
{
    cJSON *reply = cJSON_CreateObject();

    (void)control;
    (void)parameters;
    control_add_name(reply, "level", log_level_name(log_level()));
    session_reply(session, reply);
}

static void set_log_level(struct control *control, struct session *session, const cJSON *parameters)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(parameters, "level");
    int level;

    (void)control;
    if (!cJSON_IsString(name) || log_level_parse(name->valuestring, &level) < 0) {
        control_refuse(session, "level");
        return;
    }
    log_notice("log level is %s now, asked for through the control socket (" WHO_FORMAT ")",
               name->valuestring, WHO(&session->who));
    log_set_level(level);
    session_reply(session, NULL);
}

/* --- dispatch --- */

const struct control_method control_methods[] = {
    {SERVICE "GetInfo", get_info, {NULL}, false},
    {SERVICE "GetInterfaceDescription", get_description, {"interface"}, false},
    {OURS "Status", status, {NULL}, false},
    {OURS "ListPeers", list_peers, {NULL}, false},
    {OURS "ListSlots", list_slots, {NULL}, false},
    {OURS "ListChannels", control_list_channels, {NULL}, false},
    {OURS "Ring", control_ring, {"peer", "vector"}, false},
    {OURS "Disconnect", disconnect, {"peer"}, false},
    {OURS "Resize", control_resize, {"channel", "size"}, false},
    {OURS "CloseChannel", control_close_channel, {"channel"}, false},
    {OURS "GetLogLevel", get_log_level, {NULL}, false},
    {OURS "SetLogLevel", set_log_level, {"level"}, false},
    {OURS "Reexec", reexec, {NULL}, false},
    {OURS "Monitor", control_monitor, {NULL}, true},
    {NULL, NULL, {NULL}, false},
};

static void not_found(struct session *session, const char *method)
{
    const char *dot = strrchr(method, '.');
    _cleanup_free_ char *interface = dot ? strndup(method, (size_t)(dot - method)) : NULL;

    if (dot && !find_interface(method, (size_t)(dot - method)))
        error_about(session, SERVICE "InterfaceNotFound", "interface", interface);
    else
        error_about(session, SERVICE "MethodNotFound", "method", method);
}

/* Return: the name of a parameter that the method does not have, NULL when there is none. */
static const char *find_stranger(const struct control_method *method, const cJSON *parameters)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, parameters)
    {
        int i = 0;

        while (i < CONTROL_PARAMETERS_MAX && method->parameters[i] &&
               strcmp(method->parameters[i], item->string) != 0)
            i++;
        if (i == CONTROL_PARAMETERS_MAX || !method->parameters[i])
            return item->string;
    }
    return NULL;
}

void control_dispatch(struct control *control, struct session *session,
                      const struct varlink_call *call)
{
    const struct control_method *method = control_methods;
    const char *stranger;

    while (method->name && strcmp(method->name, call->method) != 0)
        method++;
    stranger = method->name ? find_stranger(method, call->parameters) : NULL;
    if (session->denied)
        session_error(session, SERVICE "PermissionDenied", NULL);
    else if (!method->name)
        not_found(session, call->method);
    else if (stranger)
        control_refuse(session, stranger);
    else if (call->upgrade)
        error_about(session, SERVICE "MethodNotImplemented", "method", call->method);
    else if (method->streams && !call->more)
        session_error(session, SERVICE "ExpectedMore", NULL);
    else
        method->call(control, session, call->parameters);
}
