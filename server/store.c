/* SPDX-License-Identifier: MIT
 *
 * See store.h.
 */
#include "server/store.h"

#include "common/log.h"
#include "server/seats.h"

int store_seat(struct notify *notify, const struct seat *seat)
{
    char name[STORE_NAME_SIZE];

    for (unsigned vector = 0; vector < seat->n_vectors; vector++) {
        int r;

        store_name_doorbell(name, seat->id, vector);
        r = notify_store(notify, name, seat->doorbells[vector]);
        if (r < 0) {
            store_forget_seat(notify, seat->id, vector);
            return r;
        }
    }
    return 0;
}

/* What cannot be dropped for want of memory is an orphan: the next restore drops it. */
static void forget(struct notify *notify, const char *name)
{
    if (notify_remove(notify, name) < 0)
        log_warning("no memory to drop %s from the descriptor store", name);
}

void store_forget_seat(struct notify *notify, unsigned id, unsigned n_vectors)
{
    char name[STORE_NAME_SIZE];

    for (unsigned vector = 0; vector < n_vectors; vector++) {
        store_name_doorbell(name, id, vector);
        forget(notify, name);
    }
}

int store_socket(struct notify *notify, unsigned serial, int sock)
{
    char name[STORE_NAME_SIZE];

    store_name_socket(name, serial);
    return notify_store(notify, name, sock);
}

void store_forget_socket(struct notify *notify, unsigned serial)
{
    char name[STORE_NAME_SIZE];

    store_name_socket(name, serial);
    forget(notify, name);
}

int store_bell(struct notify *notify, unsigned serial, int bell)
{
    char name[STORE_NAME_SIZE];

    store_name_bell(name, serial);
    return notify_store(notify, name, bell);
}

void store_forget_bell(struct notify *notify, unsigned serial)
{
    char name[STORE_NAME_SIZE];

    store_name_bell(name, serial);
    forget(notify, name);
}
