/* SPDX-License-Identifier: MIT
 *
 * The handle of ivshmem.h from the inside. Each part of it has a file pair:
 *
 *     ivshmem.c     making, opening and freeing a handle, and what it says of itself
 *     connection    from the transport's messages to the roster and the callbacks, the end of a
 *                   connection, and the next try
 *     events        what wakes a program up: descriptors, dispatch, and the calls that wait
 *     peers.c       the table of peers, doorbells
 *     memory        the mapping of the shared memory
 *     access.c      copies into and out of it that a cut object cannot kill
 *     words.c       atomic words in it
 *     layer         where channels hang in
 */
#ifndef IVSHMEM_HANDLE_H
#define IVSHMEM_HANDLE_H

#include "client/lib/events.h"
#include "client/lib/layer.h"
#include "client/lib/memory.h"
#include "client/lib/roster.h"
#include "client/lib/transport.h"
#include "common/failure.h"
#include "ivshmem.h"

/**
 * struct ivshmem - a handle
 * @callbacks: the program's
 * @context:   handed to them
 * @calling:   how many of them are running, one within the other
 * @events:    what wakes the program up
 * @target:    of ivshmem_open(), owned; NULL before
 * @interval:  milliseconds to the next try to connect, 0 for none
 * @retrying:  there is no connection, but there will be a next try
 * @transport: the connection; NULL if there is none
 * @roster:    what the server has told us; NULL if there is no connection
 * @memory:    the mapping; empty before the server has sent it
 * @ready:     the roster is complete
 * @layer:     channels; NULL if the program does not use them
 * @failure:   text for ivshmem_error()
 */
struct ivshmem {
    struct ivshmem_callbacks callbacks;
    void *context;
    unsigned calling;
    struct events events;
    char *target;
    int interval;
    bool retrying;
    struct transport *transport;
    struct roster *roster;
    struct memory memory;
    bool ready;
    struct layer *layer;
    struct failure failure;
};

/** CALL() - call back, if the program wants it */
#define CALL(iv, member, ...)                                                                      \
    do {                                                                                           \
        if ((iv)->callbacks.member) {                                                              \
            (iv)->calling++;                                                                       \
            (iv)->callbacks.member(iv, (iv)->context, ##__VA_ARGS__);                              \
            (iv)->calling--;                                                                       \
        }                                                                                          \
    } while (0)

/**
 * handle_own() - ourselves in the roster
 * @iv: the handle
 *
 * Return: NULL before the connected callback.
 */
static inline const struct roster_peer *handle_own(const struct ivshmem *iv)
{
    return iv->roster && roster_connected(iv->roster) ? roster_own(iv->roster) : NULL;
}

#endif
