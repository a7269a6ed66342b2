/* SPDX-License-Identifier: MIT
 *
 * Access: who may join, and how much of the daemon one of them may use.
 *
 * These are the settings that can change while the daemon runs (SIGHUP). They hold for newcomers:
 * who is in stays in. Turning a peer out gives back neither the memory that it mapped nor the
 * doorbells that it was given.
 */
#ifndef IVSHMEM_ACCESS_H
#define IVSHMEM_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "server/credentials.h"

enum { ACCESS_IDS_MAX = 256 };

/**
 * struct access - what is allowed
 * @uids:              users that may join
 * @n_uids:            how many of them
 * @gids:              groups that may join, by primary or supplementary group
 * @n_gids:            how many of them; with neither users nor groups everybody may who can open
 *                     the socket
 * @max_peers:         peers at the same time; 0 for as many as descriptors allow
 * @max_peers_per_uid: peers of one user at the same time; 0 for no limit
 * @peer_timeout:      seconds that a peer may leave its socket full; 0 for ever
 * @withhold_leaves:   never tell of leaves
 */
struct access {
    uid_t uids[ACCESS_IDS_MAX];
    size_t n_uids;
    gid_t gids[ACCESS_IDS_MAX];
    size_t n_gids;
    unsigned max_peers, max_peers_per_uid, peer_timeout;
    bool withhold_leaves;
};

/**
 * access_allows() - whether the allow lists let a process in
 * @access: the lists
 * @who:    the process
 */
bool access_allows(const struct access *access, const struct credentials *who);

#endif
