/* SPDX-License-Identifier: MIT
 *
 * Options that contradict each other, or want what cannot be. Part of config.h.
 */
#include "server/config.h"

#include <errno.h>
#include <string.h>

#include "common/layout.h"
#include "common/parse.h"

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

    if (config->verbose && !config->foreground && !config->check)
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
    for (size_t i = 0; i < config->n_slots; i++)
        if (!config->slots[i].socket && (strcmp(config->slots[i].name, "ctl") == 0 ||
                                         strcmp(config->slots[i].name, "lock") == 0))
            return failure_set(failure, EINVAL,
                               "slot %s would be at the path of the control socket or a lock file: "
                               "name it differently, or give it a socket",
                               config->slots[i].name);
    if (region->adopt && region->zero)
        return failure_set(failure, EINVAL,
                           "--adopt uses what another program made, --zero would "
                           "clear it: choose one");
    return config->channels.on ? check_channels(config, failure) : 0;
}
