/* SPDX-License-Identifier: MIT
 *
 * See metrics.h.
 */
#include "server/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "server/clerk.h"
#include "server/varlink.h"

/**
 * struct metrics - see metrics.h
 * @setup:     what it is about
 * @path:      for messages
 * @directory: where the file is; the path may mean something else later
 * @name:      its name there
 * @draft:     name of the file that will replace it
 * @written:   device and inode of the file that we wrote; st_ino 0 while there is none
 * @due:       event: time to write
 * @watcher:   our ear at the hub's witness
 * @trouble:   limits the log lines
 */
struct metrics {
    struct metrics_setup setup;
    char *path;
    int directory;
    char *name, *draft;
    struct stat written;
    struct event *due;
    struct watcher watcher;
    struct log_limit trouble;
};

/* The value of a label: any text, escaped. */
static void print_label(FILE *out, const char *name, const char *value)
{
    _cleanup_free_ char *clean = strdup(value);

    if (clean)
        varlink_clean(clean);
    fprintf(out, "%s=\"", name);
    for (const char *c = clean; c && *c; c++) {
        if (*c == '\n')
            fputs("\\n", out);
        else if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void print_gauge(const struct metrics_setup *setup, FILE *out, const char *name,
                        const char *help, uint64_t value)
{
    fprintf(out, "# TYPE ivshmem_%s gauge\n# HELP ivshmem_%s %s\nivshmem_%s{", name, name, help,
            name);
    print_label(out, "socket", setup->config->socket);
    fprintf(out, "} %" PRIu64 "\n", value);
}

static void print_counter(const struct metrics_setup *setup, FILE *out,
                          const struct counter_spec *spec)
{
    fprintf(out, "# TYPE ivshmem_%s counter\n# HELP ivshmem_%s %s\nivshmem_%s_total{", spec->name,
            spec->name, spec->help, spec->name);
    print_label(out, "socket", setup->config->socket);
    fprintf(out, "} %" PRIu64 "\n", witness_counter(&setup->hub->witness, spec));
}

static uint64_t count_waiting(const struct hub *hub)
{
    const struct peer *peer;
    uint64_t count = 0;

    TAILQ_FOREACH (peer, &hub->peers, all)
        if (peer->state != PEER_IDLE)
            count++;
    return count;
}

static uint64_t count_held(const struct hub *hub)
{
    uint64_t count = 0;

    for (size_t i = 0; i < hub->n_slots; i++)
        if (hub->slots[i].holder)
            count++;
    return count;
}

static void print_channels(const struct metrics_setup *setup, FILE *out)
{
    struct channels_totals totals;

    channels_totals(clerk_channels(setup->clerk), &totals);
    print_gauge(setup, out, "channels", "Channels that are in use.", totals.active);
    print_gauge(setup, out, "channels_max", "Channels that there can be.", totals.n_channels);
    print_gauge(setup, out, "channel_bytes", "Memory that channels can have.", totals.data_bytes);
    print_gauge(setup, out, "channel_bytes_free", "Memory that no channel has.", totals.free_bytes);
}

void metrics_print(const struct metrics_setup *setup, FILE *out)
{
    const struct hub *hub = setup->hub;

    fputs("# TYPE ivshmem_server_info gauge\n# HELP ivshmem_server_info The server's version.\n"
          "ivshmem_server_info{",
          out);
    print_label(out, "socket", setup->config->socket);
    fputc(',', out);
    print_label(out, "version", PACKAGE_VERSION);
    fputs("} 1\n", out);
    print_gauge(setup, out, "start_time_seconds", "When the server started, since 1970.",
                (uint64_t)hub->state->file->head.started_at);
    print_gauge(setup, out, "memory_bytes", "Size of the shared memory.", setup->region->size);
    print_gauge(setup, out, "vectors", "Interrupt vectors of each peer.", hub->n_vectors);
    print_gauge(setup, out, "peers", "Peers that are connected.", hub->n_peers);
    print_gauge(setup, out, "peers_waiting", "Peers that have not been told everything.",
                count_waiting(hub));
    print_gauge(setup, out, "slots", "IDs that are kept for somebody.", hub->n_slots);
    print_gauge(setup, out, "slots_held", "Slots whose peer is connected.", count_held(hub));
    if (setup->clerk)
        print_channels(setup, out);
    for (const struct counter_spec *each = witness_counters; each->name; each++)
        print_counter(setup, out, each);
    fputs("# EOF\n", out);
}

/* Return: 0 or a negative errno; the file is then as it was. */
static int write_file(struct metrics *metrics)
{
    struct stat status;
    FILE *file;
    int fd, error;

    unlinkat(metrics->directory, metrics->draft, 0); /* left by a crash of a namesake */
    fd = openat(metrics->directory, metrics->draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        error = errno;
        close_fd(fd);
        return -error;
    }
    error = fchmod(fd, 0644) < 0 || fstat(fd, &status) < 0 ? errno : 0; /* whatever the umask */
    metrics_print(&metrics->setup, file);
    if (fflush(file) != 0 && !error)
        error = errno;
    if (fclose(file) != 0 && !error)
        error = errno;
    if (!error &&
        renameat(metrics->directory, metrics->draft, metrics->directory, metrics->name) < 0)
        error = errno;
    if (error)
        unlinkat(metrics->directory, metrics->draft, 0);
    else
        metrics->written = status;
    return -error;
}

static void on_due(evutil_socket_t fd, short what, void *argument)
{
    struct metrics *metrics = argument;
    int r = write_file(metrics);

    (void)fd;
    (void)what;
    if (r < 0)
        log_limited(&metrics->trouble, LOG_ERR, "cannot write %s: %s", metrics->path, strerror(-r));
}

/* What changes while a write is due is in it; after a write it takes a change to have another. */
static void on_changed(void *argument)
{
    const struct timeval later = {.tv_sec = METRICS_SECONDS};
    struct metrics *metrics = argument;

    if (!event_pending(metrics->due, EV_TIMEOUT, NULL))
        event_add(metrics->due, &later);
}

static int open_place(struct metrics *metrics, struct failure *failure)
{
    _cleanup_free_ char *copy = strdup(metrics->path), *base = strdup(metrics->path);
    struct stat status;

    metrics->name = base ? strdup(basename(base)) : NULL;
    if (!copy || !metrics->name ||
        asprintf(&metrics->draft, ".%s.%d", metrics->name, (int)getpid()) < 0) {
        metrics->draft = NULL;
        return failure_set(failure, ENOMEM, "out of memory");
    }
    metrics->directory = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (metrics->directory < 0)
        return failure_set(failure, errno,
                           "option --metrics-file: the directory of %s: %s; make it first",
                           metrics->path, strerror(errno));
    /* A link is replaced, but not one to a device, such as /dev/stdout. */
    if (fstatat(metrics->directory, metrics->name, &status, 0) == 0 && !S_ISREG(status.st_mode))
        return failure_set(failure, EEXIST,
                           "option --metrics-file: %s exists and is not a regular file: choose "
                           "another path",
                           metrics->path);
    return 0;
}

int metrics_new(const struct metrics_setup *setup, struct metrics **out, struct failure *failure)
{
    struct metrics *metrics;
    int r = 0;

    *out = NULL;
    if (!setup->config->metrics_file)
        return 0;
    metrics = calloc(1, sizeof(*metrics));
    if (!metrics)
        return failure_set(failure, ENOMEM, "out of memory");
    metrics->setup = *setup;
    metrics->directory = -1;
    metrics->watcher = (struct watcher){.changed = on_changed, .argument = metrics};
    metrics->path = strdup(setup->config->metrics_file);
    metrics->due = evtimer_new(setup->base, on_due, metrics);
    witness_watch(&setup->hub->witness, &metrics->watcher);
    if (!metrics->path || !metrics->due)
        r = failure_set(failure, ENOMEM, "out of memory");
    if (r == 0)
        r = open_place(metrics, failure);
    if (r == 0 && (r = write_file(metrics)) < 0)
        failure_set(failure, -r, "option --metrics-file: cannot write %s: %s; choose another path",
                    metrics->path, strerror(-r));
    if (r < 0) {
        metrics_free(metrics);
        return r;
    }
    *out = metrics;
    return 0;
}

/* Removes the file if it is still the one that we wrote. */
static void remove_file(const struct metrics *metrics)
{
    struct stat status;

    if (metrics->written.st_ino &&
        fstatat(metrics->directory, metrics->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_ino == metrics->written.st_ino && status.st_dev == metrics->written.st_dev)
        unlinkat(metrics->directory, metrics->name, 0);
}

struct metrics *metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return NULL;
    witness_unwatch(&metrics->setup.hub->witness, &metrics->watcher);
    remove_file(metrics);
    if (metrics->due)
        event_free(metrics->due);
    close_fd(metrics->directory);
    free(metrics->path);
    free(metrics->name);
    free(metrics->draft);
    free(metrics);
    return NULL;
}
