/* SPDX-License-Identifier: MIT
 *
 * A handle of ivshmem.h: made, opened, freed, and what it says of itself. See handle.h for where
 * the rest is.
 */
#include "ivshmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/connection.h"
#include "client/lib/handle.h"

int ivshmem_new(struct ivshmem **out, const struct ivshmem_callbacks *callbacks, void *context)
{
    struct ivshmem *iv;
    int r;

    if (callbacks && callbacks->size != sizeof(*callbacks))
        return -EINVAL;
    iv = calloc(1, sizeof(*iv));
    if (!iv)
        return -ENOMEM;
    if (callbacks)
        iv->callbacks = *callbacks;
    iv->context = context;
    iv->events = (struct events)EVENTS_INIT;
    r = events_init(&iv->events);
    if (r < 0) {
        ivshmem_free(iv);
        return r;
    }
    *out = iv;
    return 0;
}

struct ivshmem *ivshmem_free(struct ivshmem *iv)
{
    if (!iv)
        return NULL;
    connection_close(iv);
    if (iv->layer)
        iv->layer->ops->free(iv->layer);
    events_deinit(&iv->events);
    free(iv->target);
    free(iv);
    return NULL;
}

int ivshmem_open(struct ivshmem *iv, const char *target)
{
    char *copy;

    if (iv->calling)
        return failure_set(&iv->failure, EBUSY, "a callback cannot open a connection");
    connection_close(iv);
    copy = strdup(target);
    if (!copy)
        return failure_set(&iv->failure, ENOMEM, "no memory for the target");
    free(iv->target);
    iv->target = copy;
    return connection_open(iv);
}

int ivshmem_set_reconnect(struct ivshmem *iv, int interval)
{
    if (interval < 0)
        return failure_set(&iv->failure, EINVAL, "an interval of %d milliseconds", interval);
    iv->interval = interval;
    if (iv->retrying) {
        iv->retrying = interval > 0;
        events_set_timer(&iv->events, interval);
    }
    return 0;
}

const char *ivshmem_error(const struct ivshmem *iv)
{
    return iv->failure.text;
}

int ivshmem_fd(const struct ivshmem *iv)
{
    return iv->events.all;
}

int ivshmem_ready(const struct ivshmem *iv)
{
    return iv->ready;
}

int ivshmem_id(const struct ivshmem *iv)
{
    const struct roster_peer *own = handle_own(iv);

    return own ? (int)own->id : -ENOTCONN;
}

int ivshmem_socket(const struct ivshmem *iv)
{
    return iv->transport ? iv->transport->fd : -ENOTCONN;
}

int ivshmem_server_credentials(struct ivshmem *iv, pid_t *pid, uid_t *uid)
{
    int r;

    if (!iv->transport)
        return failure_set(&iv->failure, ENOTCONN, "not connected");
    r = iv->transport->ops->credentials(iv->transport, pid, uid);
    return r < 0 ? failure_set(&iv->failure, -r, "cannot tell who the server is: %s", strerror(-r))
                 : 0;
}
