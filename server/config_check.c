/* SPDX-License-Identifier: MIT
 *
 * Options that contradict each other, or want what cannot be. Part of config.h.
 */
#include "server/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/layout.h"
#include "common/parse.h"

/* A path that the server makes something at. */
struct place {
    char *path, *what;
};

/* @places has room. Return: 0 or -ENOMEM. */
static int add_place(struct place *places, size_t *count, const char *path, const char *what)
{
    struct place *place = &places[(*count)++];

    *place = (struct place){.path = absolute_path(path), .what = strdup(what)};
    return place->path && place->what ? 0 : -ENOMEM;
}

/* A socket, and the lock file beside it. */
static int add_socket(struct place *places, size_t *count, const char *path, const char *what)
{
    _cleanup_free_ char *lock = NULL, *of_what = NULL;
    int r = add_place(places, count, path, what);

    if (r < 0 || asprintf(&lock, "%s.lock", path) < 0 ||
        asprintf(&of_what, "the lock file of %s", what) < 0)
        return -ENOMEM;
    return add_place(places, count, lock, of_what);
}

static int add_slot(struct place *places, size_t *count, const struct config *config,
                    const struct slot *slot)
{
    _cleanup_free_ char *path = NULL, *what = NULL;

    if (config_peers_path(config, slot, &path, NULL) < 0 ||
        asprintf(&what, "slot %s", slot->name) < 0)
        return -ENOMEM;
    return add_socket(places, count, path, what);
}

/* Return: 0 or -ENOMEM; then, too, *count places have to be freed. */
static int list_places(const struct config *config, struct place *places, size_t *count)
{
    _cleanup_free_ char *control = NULL;
    int r = add_socket(places, count, config->socket, "the peers' socket");

    for (size_t i = 0; r == 0 && i < config->n_slots; i++)
        r = add_slot(places, count, config, &config->slots[i]);
    if (r == 0 && !config->no_control) {
        r = config_control_path(config, &control, NULL);
        if (r == 0)
            r = add_socket(places, count, control, "the control socket");
    }
    if (r == 0 && config->metrics_file)
        r = add_place(places, count, config->metrics_file, "the metrics file");
    if (r == 0 && !config->foreground)
        r = add_place(places, count, config->pid_file, "the pid file");
    return r;
}

static int compare_places(const void *one, const void *other)
{
    return strcmp(((const struct place *)one)->path, ((const struct place *)other)->path);
}

/* One path for two things: the second would take the first for another server's. */
static int check_places(const struct config *config, struct failure *failure)
{
    struct place *places = calloc(2 * config->n_slots + 6, sizeof(*places));
    size_t count = 0;
    int r = places ? list_places(config, places, &count) : -ENOMEM;

    if (r < 0)
        failure_set(failure, ENOMEM, "out of memory");
    else
        qsort(places, count, sizeof(*places), compare_places);
    for (size_t i = 1; r == 0 && i < count; i++)
        if (compare_places(&places[i - 1], &places[i]) == 0)
            r = failure_set(
                failure, EINVAL,
                "%s and %s would both be at %.200s: choose another path or name for one",
                places[i - 1].what, places[i].what, places[i].path);
    for (size_t i = 0; i < count; i++) {
        free(places[i].path);
        free(places[i].what);
    }
    free(places);
    return r;
}

enum { CHANNELS_ROOM_MIN = 16 * LAYOUT_BLOCK }; /* for rings, where there are channels */

/* A section that leaves no room for rings is of no use. */
static int check_room(const struct config *config, struct failure *failure)
{
    const uint64_t section =
        layout_data_offset(config->channels.n_mailboxes, config->channels.n_channels);
    uint64_t needed = 0;

    round_up_power_of_two(section + CHANNELS_ROOM_MIN, &needed);
    if (config->region.size >= needed)
        return 0;
    return failure_set(failure, EINVAL,
                       "--channels: the tables of %u mailboxes and %u channels take %llu of the "
                       "%llu bytes: take a --size of at least %llu, or fewer (--mailboxes, "
                       "--max-channels)",
                       config->channels.n_mailboxes, config->channels.n_channels,
                       (unsigned long long)section, (unsigned long long)config->region.size,
                       (unsigned long long)needed);
}

/* What cannot be where the memory is divided into channels. */
static int check_channels(const struct config *config, struct failure *failure)
{
    const unsigned n_mailboxes = config->channels.n_mailboxes;
    const struct region_setup *region = &config->region;

    if (region->adopt || region->keep || region->zero)
        return failure_set(failure, EINVAL,
                           "--channels divides memory that is new at each start: leave out "
                           "--adopt, --keep and --zero");
    if (config->access.max_peers > n_mailboxes)
        return failure_set(failure, EINVAL,
                           "--max-peers=%u, and with --channels there are mailboxes for %u peers: "
                           "raise --mailboxes",
                           config->access.max_peers, n_mailboxes);
    for (size_t i = 0; i < config->n_slots; i++)
        if (config->slots[i].id >= n_mailboxes)
            return failure_set(failure, EINVAL,
                               "slot %s has ID %u, and with --channels IDs are below the number "
                               "of mailboxes, %u: raise --mailboxes, or choose another ID",
                               config->slots[i].name, config->slots[i].id, n_mailboxes);
    return check_room(config, failure);
}

int config_check(const struct config *config, struct failure *failure)
{
    const struct region_setup *region = &config->region;
    bool nameless = region->sealed || region->hugetlb;
    int r = 0;

    if (config->reexec && config->clean_up)
        return failure_set(failure, EINVAL,
                           "--re-exec is for a server that runs, --clean-up for one that is gone: "
                           "choose one");
    if (config->verbose && !config->foreground && !config->check && !config->reexec &&
        !config->clean_up)
        return failure_set(failure, EINVAL,
                           "option --verbose (-v) needs --foreground (-F): a "
                           "daemon has no terminal; try --log-level=debug");
    if (nameless && config->shm_dir)
        return failure_set(failure, EINVAL,
                           "--sealed and --hugetlb make memory that is in no "
                           "directory: leave out --shm-dir");
    if ((nameless || config->shm_dir) && (region->keep || region->adopt))
        return failure_set(failure, EINVAL,
                           "--keep and --adopt need an object with a name: leave "
                           "out --sealed, --hugetlb and --shm-dir");
    if (region->adopt && region->zero)
        return failure_set(failure, EINVAL,
                           "--adopt uses what another program made, --zero would "
                           "clear it: choose one");
    if (config->channels.on)
        r = check_channels(config, failure);
    return r < 0 ? r : check_places(config, failure);
}
