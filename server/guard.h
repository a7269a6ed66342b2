/* SPDX-License-Identifier: MIT
 *
 * The guard: watches the region's file and puts its size right when somebody changes it.
 *
 * A guest that touches memory beyond the end of a shrunk file dies of SIGBUS with its QEMU. Only a
 * sealed region cannot be cut at all; for one with a name, or in a directory, this is the best
 * there is: inotify(7) reports the change, and the size is restored at once. What was cut off is
 * lost, the rest is untouched. Memory accesses raise no event, so an idle guard costs nothing.
 */
#ifndef IVSHMEM_GUARD_H
#define IVSHMEM_GUARD_H

#include <event2/event.h>

#include "common/failure.h"
#include "server/region.h"
#include "server/witness.h"

struct guard;

/**
 * guard_new() - start watching
 * @base:    event loop
 * @region:  what is watched; must live longer
 * @out:     the guard
 * @failure: says what is missing
 *
 * Return: 0 or a negative errno.
 */
int guard_new(struct event_base *base, struct region *region, struct guard **out,
              struct failure *failure);

/** guard_report() - tell a witness of repairs from now on; it must live longer. Takes NULL. */
void guard_report(struct guard *guard, struct witness *witness);

/** guard_free() - stop watching. Takes NULL, returns NULL. */
struct guard *guard_free(struct guard *guard);

#endif
