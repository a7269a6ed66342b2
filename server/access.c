/* SPDX-License-Identifier: MIT
 *
 * See access.h.
 */
#include "server/access.h"

static bool has_group(const struct credentials *who, gid_t gid)
{
    if (who->gid == gid)
        return true;
    for (unsigned i = 0; i < who->n_groups; i++)
        if (who->groups[i] == gid)
            return true;
    return false;
}

bool access_allows(const struct access *access, const struct credentials *who)
{
    if (!access->n_uids && !access->n_gids)
        return true;
    for (size_t i = 0; i < access->n_uids; i++)
        if (access->uids[i] == who->uid)
            return true;
    for (size_t i = 0; i < access->n_gids; i++)
        if (has_group(who, access->gids[i]))
            return true;
    return false;
}
