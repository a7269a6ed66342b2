/* SPDX-License-Identifier: MIT
 *
 * See config.h. The functions that read the values are in config_values.c, those that know what
 * does not go together in config_check.c.
 */
#include "server/config.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/layout.h"
#include "common/log.h"
#include "common/parse.h"
#include "server/config_values.h"

#define AT(member) offsetof(struct config, member)

/* The defaults in brackets are those of QEMU's server, which scripts rely on. */
static const struct option_spec table[] = {
    {"help", 'h', NULL, "print this help and exit", option_set_switch, AT(help),
     OPTION_NOT_IN_FILE},
    {"version", 'V', NULL, "print the version and exit", option_set_switch, AT(version),
     OPTION_NOT_IN_FILE},
    {"config", 0, "FILE", "read options from FILE, lines of 'option = value'", option_set_string,
     AT(file), OPTION_NOT_IN_FILE},
    {"check-config", 0, NULL, "say what would be done, and exit", option_set_switch, AT(check),
     OPTION_NOT_IN_FILE},
    {"re-exec", 0, NULL, "have the server at --socket execute its program again, and exit",
     option_set_switch, AT(reexec), OPTION_NOT_IN_FILE},
    {"clean-up", 0, NULL, "remove the sockets and the memory that a server left, and exit",
     option_set_switch, AT(clean_up), OPTION_NOT_IN_FILE},
    {"foreground", 'F', NULL, "do not become a daemon; log to stderr", option_set_switch,
     AT(foreground), 0},
    {"verbose", 'v', NULL, "log everything; needs --foreground", option_set_switch, AT(verbose), 0},
    {"log-level", 0, "LEVEL", "error, warning, notice, info or debug [info]", set_log_level, 0,
     OPTION_LIVE},
    {"fd-store", 0, NULL,
     "keep descriptors with the service manager, and carry on\nwith them after a restart",
     option_set_switch, AT(fd_store), 0},
    {"pid-file", 'p', "FILE", "pid file of the daemon [/var/run/ivshmem-server.pid]",
     option_set_string, AT(pid_file), 0},

    {"socket", 'S', "PATH", "socket that peers connect to [/tmp/ivshmem_socket]", option_set_string,
     AT(socket), 0},
    {"socket-mode", 0, "MODE", "permission bits of the sockets, octal [0600]", set_mode,
     AT(rights.mode), 0},
    {"socket-owner", 0, "USER", "owner of the sockets, name or number [who runs the server]",
     set_user, AT(rights.owner), 0},
    {"socket-group", 0, "GROUP", "group of the sockets, name or number [that of the server]",
     set_group, AT(rights.group), 0},
    {"vectors", 'n', "N", "interrupt vectors of each peer, 1 to 2048 [1]", set_vectors, 0, 0},
    {"slot", 0, "NAME=ID[:SOCKET]",
     "peer ID and doorbells kept for who connects to SOCKET\n[the peers' socket with .NAME "
     "appended]; may be repeated",
     set_slot, 0, OPTION_ADDS_UP},

    {"shm-name", 'M', "NAME", "name of the shared memory object [ivshmem]", set_shm_name,
     AT(shm_name), 0},
    {"shm-dir", 'm', "DIR", "use a file without a name in DIR (hugetlbfs, say) instead",
     option_set_string, AT(shm_dir), 0},
    {"size", 'l', "SIZE",
     "size of the memory [4M]: 0x400000, 1.5M, suffix b k M G T P E;\nrounded up to a power of two",
     set_size, 0, 0},
    {"mode", 0, "MODE", "permission bits of the memory object, octal [0600]", set_mode,
     AT(region.mode), 0},
    {"owner", 0, "USER", "owner of the memory object, name or number", set_user, AT(region.owner),
     0},
    {"group", 0, "GROUP", "group of the memory object, name or number", set_group, AT(region.group),
     0},
    {"no-reserve", 0, NULL, "do not allocate the pages at start", set_no_reserve, 0, 0},
    {"sealed", 0, NULL, "memory without a name that nobody can resize", option_set_switch,
     AT(region.sealed), 0},
    {"hugetlb", 0, "[=SIZE]", "memory of huge pages (of SIZE each) without a name", set_hugetlb, 0,
     0},
    {"numa-node", 0, "N", "take the memory from NUMA node N", set_numa_node, 0, 0},
    {"keep", 0, NULL, "leave the memory object and its content at exit", option_set_switch,
     AT(region.keep), 0},
    {"adopt", 0, NULL, "use an existing object of exactly SIZE or make it;\nnever remove it",
     option_set_switch, AT(region.adopt), 0},
    {"zero", 0, NULL, "clear the content of an object that was left over", option_set_switch,
     AT(region.zero), 0},

    {"channels", 0, NULL, "divide the memory into channels between peers", option_set_switch,
     AT(channels.on), 0},
    {"mailboxes", 0, "N", "peers that there may be then, 1 to 4096 [64]", set_mailboxes, 0, 0},
    {"max-channels", 0, "N", "channels at the same time, 1 to 65536 [256]", set_channels, 0, 0},
    {"channel-quota", 0, "N", "channels of one peer; 0: a quarter, but 16 at least [0]",
     set_unsigned, AT(channels.quota), OPTION_LIVE},
    {"channel-bytes", 0, "SIZE", "memory for the channels of one peer; 0: half of it all [0]",
     set_bytes, AT(channels.bytes), OPTION_LIVE},
    {"channel-timeout", 0, "SECONDS", "how long an offer waits to be accepted [10]", set_seconds,
     AT(channels.timeout), OPTION_LIVE},
    {"channel-interval", 0, "SECONDS", "between two looks at what was scribbled on or is busy [1]",
     set_seconds, AT(channels.interval), OPTION_LIVE},

    {"allow-uid", 0, "USER[,USER...]", "let only these users join, and those of --allow-gid",
     set_allow_uid, AT(access), OPTION_LIVE | OPTION_ADDS_UP},
    {"allow-gid", 0, "GROUP[,GROUP...]", "let only members of these groups join", set_allow_gid,
     AT(access), OPTION_LIVE | OPTION_ADDS_UP},
    {"max-peers", 0, "N", "peers at the same time; 0: as descriptors allow [0]", set_unsigned,
     AT(access.max_peers), OPTION_LIVE},
    {"max-peers-per-uid", 0, "N", "peers of one user at the same time; 0: no limit [0]",
     set_unsigned, AT(access.max_peers_per_uid), OPTION_LIVE},
    {"peer-timeout", 0, "SECONDS",
     "hang up on a peer that has not read for so long;\n0: never, it may be a paused machine [0]",
     set_unsigned, AT(access.peer_timeout), OPTION_LIVE},
    {"withhold-leaves", 0, NULL, "never tell peers that another one left", option_set_switch,
     AT(access.withhold_leaves), OPTION_LIVE},

    {"control-socket", 0, "PATH",
     "socket for status and control [the peers' socket with .ctl\nappended]; none: no such socket",
     set_control, 0, 0},
    {"control-mode", 0, "MODE", "permission bits of the control socket, octal [0600]", set_mode,
     AT(control_rights.mode), 0},
    {"control-group", 0, "GROUP", "group of the control socket, name or number", set_group,
     AT(control_rights.group), 0},
    {"control-allow-uid", 0, "USER[,USER...]", "let only these users control the server",
     set_allow_uid, AT(control_access), OPTION_LIVE | OPTION_ADDS_UP},
    {"control-allow-gid", 0, "GROUP[,GROUP...]", "and members of these groups", set_allow_gid,
     AT(control_access), OPTION_LIVE | OPTION_ADDS_UP},
    {"metrics-file", 0, "FILE", "write numbers in OpenMetrics text to FILE when they change",
     option_set_string, AT(metrics_file), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

static int set_defaults(struct config *config, struct failure *failure)
{
    *config = (struct config){
        .log_level = LOG_INFO,
        .pid_file = strdup("/var/run/ivshmem-server.pid"),
        .socket = strdup("/tmp/ivshmem_socket"),
        .rights = {.mode = 0600, .owner = (uid_t)-1, .group = (gid_t)-1},
        .shm_name = strdup("ivshmem"),
        .region = {.size = 4 << 20,
                   .mode = 0600,
                   .owner = (uid_t)-1,
                   .group = (gid_t)-1,
                   .reserve = true,
                   .numa_node = -1},
        .n_vectors = 1,
        .channels = {.n_mailboxes = 64, .n_channels = 256, .timeout = 10, .interval = 1},
        .control_rights = {.mode = 0600, .owner = (uid_t)-1, .group = (gid_t)-1},
    };
    if (config->pid_file && config->socket && config->shm_name)
        return 0;
    return failure_set(failure, ENOMEM, "out of memory");
}

void config_deinit(struct config *config)
{
    free(config->file);
    free(config->pid_file);
    free(config->socket);
    free(config->shm_name);
    free(config->shm_dir);
    free(config->control_socket);
    free(config->metrics_file);
    for (size_t i = 0; i < config->n_slots; i++)
        slot_deinit(&config->slots[i]);
    free(config->slots);
    for (size_t i = 0; i < OPTIONS_MAX; i++)
        free(config->given[i]);
    *config = (struct config){.help = false};
}

/* After asprintf(): @length is what it returned. */
static int keep_path(int length, char **path, struct failure *failure)
{
    if (length >= 0)
        return 0;
    *path = NULL;
    return failure_set(failure, ENOMEM, "out of memory");
}

int config_control_path(const struct config *config, char **path, struct failure *failure)
{
    int length = config->control_socket ? asprintf(path, "%s", config->control_socket)
                                        : asprintf(path, "%s.ctl", config->socket);

    return keep_path(length, path, failure);
}

int config_peers_path(const struct config *config, const struct slot *slot, char **path,
                      struct failure *failure)
{
    int length = !slot          ? asprintf(path, "%s", config->socket)
                 : slot->socket ? asprintf(path, "%s", slot->socket)
                                : asprintf(path, "%s.%s", config->socket, slot->name);

    return keep_path(length, path, failure);
}

static bool is_given(const struct config *config, const char *name)
{
    size_t i = 0;

    while (strcmp(table[i].name, name) != 0)
        i++;
    return config->given[i];
}

/*
 * Channels want memory that nobody can cut, and whose content nobody has written before. Who names
 * a place for it has decided otherwise.
 */
static void choose_memory(struct config *config)
{
    if (!config->channels.on)
        return;
    config->region.fresh = true;
    if (!is_given(config, "shm-name") && !is_given(config, "shm-dir"))
        config->region.sealed = true;
}

static int parse_once(struct config *config, int argc, char **argv, const char *file,
                      struct failure *failure)
{
    int r = set_defaults(config, failure);

    if (r == 0 && file)
        r = options_parse_file(table, file, config, config->given, failure);
    if (r < 0)
        return r;
    r = options_parse(table, argc, argv, config, config->given, failure);
    if (r >= 0 && r < argc)
        return failure_set(failure, EINVAL, "unexpected argument '%s'; see --help", argv[r]);
    return r < 0 ? r : 0;
}

/* @known_file: what the first parse said, since a daemon changes directory; NULL: this is it. */
static int parse_all(struct config *config, int argc, char **argv, const char *known_file,
                     struct failure *failure)
{
    int r = parse_once(config, argc, argv, NULL, failure);

    if (r == 0 && (config->help || config->version))
        return 0;
    if (r == 0 && config->file) {
        char *file = known_file ? strdup(known_file) : absolute_path(config->file);

        config_deinit(config); /* it only had to tell where the file is */
        r = file ? parse_once(config, argc, argv, file, failure)
                 : failure_set(failure, ENOMEM, "out of memory");
        free(config->file);
        config->file = file;
    }
    if (r == 0)
        r = config_check(config, failure);
    if (r < 0)
        return r;
    if (config->verbose)
        config->log_level = LOG_DEBUG;
    choose_memory(config);
    config->region.name = config->shm_name;
    config->region.directory = config->shm_dir;
    return 0;
}

int config_parse(struct config *config, int argc, char **argv, struct failure *failure)
{
    return parse_all(config, argc, argv, NULL, failure);
}

int config_parse_kept(struct config *config, int argc, char **argv, const char *file,
                      struct failure *failure)
{
    int r = parse_once(config, argc, argv, NULL, failure);
    char *named = r == 0 && config->file ? absolute_path(config->file) : NULL;

    if (r < 0)
        return r;
    config_deinit(config);
    r = parse_all(config, argc, argv, file, failure);
    free(config->file);
    config->file = named;
    config->kept = true;
    return r;
}

void config_print_help(FILE *out)
{
    fputs("Usage: ivshmem-server [OPTION]...\n"
          "Share memory and doorbells between virtual machines (QEMU's ivshmem-doorbell).\n\n",
          out);
    options_print(table, out);
    fputs("\nDefaults are in brackets. SIGTERM and SIGINT end it, SIGHUP reads the file again,\n"
          "SIGUSR2 executes the program again and carries on.\n",
          out);
}

static void print_channels(const struct config *config, FILE *out)
{
    const struct channel_options *channels = &config->channels;
    uint64_t tables = layout_data_offset(channels->n_mailboxes, channels->n_channels);

    if (channels->on)
        fprintf(out, "channels: %u between %u peers, %llu bytes for rings\n", channels->n_channels,
                channels->n_mailboxes, (unsigned long long)(config->region.size - tables));
}

void config_print(const struct config *config, FILE *out)
{
    const struct region_setup *region = &config->region;
    const char *kind = region->sealed    ? "sealed, no name"
                       : region->hugetlb ? "huge pages, no name"
                       : config->shm_dir ? "no name, in directory "
                                         : "object ";
    const char *place = region->sealed || region->hugetlb ? ""
                        : config->shm_dir                 ? config->shm_dir
                                                          : config->shm_name;

    fprintf(out, "configuration is good\n");
    fprintf(out, "socket: %s, mode %04o\n", config->socket, (unsigned)config->rights.mode);
    for (size_t i = 0; i < config->n_slots; i++)
        fprintf(out, "slot %s: peer ID %u, socket %s%s%s\n", config->slots[i].name,
                config->slots[i].id,
                config->slots[i].socket ? config->slots[i].socket : config->socket,
                config->slots[i].socket ? "" : ".",
                config->slots[i].socket ? "" : config->slots[i].name);
    fprintf(out, "memory: %llu bytes, %s%s, mode %04o, %s\n", (unsigned long long)region->size,
            kind, place, (unsigned)region->mode,
            region->reserve ? "reserved at start" : "not reserved");
    fprintf(out, "vectors: %u\n", config->n_vectors);
    print_channels(config, out);
    if (config->no_control)
        fprintf(out, "control socket: none\n");
    else
        fprintf(out, "control socket: %s%s, mode %04o\n",
                config->control_socket ? config->control_socket : config->socket,
                config->control_socket ? "" : ".ctl", (unsigned)config->control_rights.mode);
    for (size_t i = 0; table[i].name; i++)
        if (config->given[i])
            fprintf(out, "%s = %s\n", table[i].name, config->given[i]);
}

static bool same_text(const char *one, const char *other)
{
    return one == other || (one && other && strcmp(one, other) == 0);
}

int config_reload(struct config *config, int argc, char **argv, struct failure *failure)
{
    struct config fresh;
    int r = parse_all(&fresh, argc, argv, config->file, failure);

    if (r < 0) {
        config_deinit(&fresh);
        return r;
    }
    for (size_t i = 0; table[i].name; i++) {
        char *text = config->given[i];

        if (same_text(text, fresh.given[i]))
            continue;
        if (!(table[i].flags & OPTION_LIVE)) {
            log_warning("option %s has changed and cannot change while the server runs: restart it",
                        table[i].name);
            continue;
        }
        log_notice("option %s is now %s", table[i].name,
                   fresh.given[i] ? fresh.given[i] : "default");
        config->given[i] = fresh.given[i];
        fresh.given[i] = text;
    }
    if ((config->access.n_uids || config->access.n_gids) && !fresh.access.n_uids &&
        !fresh.access.n_gids)
        log_warning("there is no allow list any more: whoever can open the socket may join");
    config->access = fresh.access;
    config->channels.quota = fresh.channels.quota;
    config->channels.bytes = fresh.channels.bytes;
    config->channels.timeout = fresh.channels.timeout;
    config->channels.interval = fresh.channels.interval;
    config->control_access = fresh.control_access;
    config->log_level = fresh.log_level;
    config_deinit(&fresh);
    return 0;
}
