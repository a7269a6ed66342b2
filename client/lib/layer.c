/* SPDX-License-Identifier: MIT
 *
 * See layer.h. The eventfd behind layer_raise() is raised as long as something is left for the
 * layer or an event of its vector for the program.
 */
#include "client/lib/layer.h"

#include <string.h>

#include "client/lib/handle.h"
#include "common/doorbell.h"

int layer_attach(struct ivshmem *iv, struct layer *layer)
{
    int r = events_add_layer(&iv->events);

    if (r < 0)
        return failure_set(&iv->failure, -r, "cannot watch a vector for channels: %s",
                           strerror(-r));
    layer->unseen = layer->raised = false;
    iv->layer = layer;
    return 0;
}

/* Both flags and the eventfd that they stand for. */
static void set_left(struct ivshmem *iv, bool raised, bool unseen)
{
    struct layer *layer = iv->layer;
    bool was = layer->raised || layer->unseen;

    layer->raised = raised;
    layer->unseen = unseen;
    if (!was && (raised || unseen))
        doorbell_ring(iv->events.work);
    else if (was && !raised && !unseen)
        doorbell_take(iv->events.work);
}

void layer_raise(struct ivshmem *iv)
{
    set_left(iv, true, iv->layer->unseen);
}

void layer_keep(struct ivshmem *iv)
{
    set_left(iv, iv->layer->raised, true);
}

void layer_set_timer(struct ivshmem *iv, int milliseconds)
{
    events_set_tick(&iv->events, milliseconds);
}

/* A callback can have been called by the layer, which is then in the middle of something. */
void layer_rung(struct ivshmem *iv, unsigned vector)
{
    if (!iv->layer || iv->layer->vector != vector)
        return;
    if (iv->calling)
        layer_raise(iv);
    else
        iv->layer->ops->rung(iv->layer);
}

void layer_look(struct ivshmem *iv)
{
    if (!iv->layer || !iv->layer->raised)
        return;
    set_left(iv, false, iv->layer->unseen);
    iv->layer->ops->look(iv->layer);
}

bool layer_take(struct ivshmem *iv)
{
    if (!iv->layer || !iv->layer->unseen)
        return false;
    set_left(iv, iv->layer->raised, false);
    return true;
}

void layer_show(struct ivshmem *iv)
{
    if (layer_take(iv))
        CALL(iv, notification, iv->layer->vector);
}
