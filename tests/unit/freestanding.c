/* SPDX-License-Identifier: MIT
 *
 * What a guest without a libc may write: every call of the layout and of the ring. It is only
 * compiled.
 */
#include "common/layout.h"
#include "common/ring.h"

int all_of_layout(struct layout_header *header, struct layout_header *copy);
int all_of_sender(struct ring_sender *s, struct layout_channel *channel, void *data);
int all_of_receiver(struct ring_receiver *r, struct layout_channel *channel, void *data);

int all_of_layout(struct layout_header *header, struct layout_header *copy)
{
    if (layout_data_offset(header->n_mailboxes, header->n_channels) != header->data_offset ||
        layout_channel_offset(header->n_mailboxes) != header->channel_offset)
        return 0;
    layout_publish(&header->generation, &copy->generation, 32);
    return layout_snapshot(&copy->generation, &header->generation, 32);
}

int all_of_sender(struct ring_sender *s, struct layout_channel *channel, void *data)
{
    struct ring_part part = {data, 100};
    void *room;
    int64_t r = ring_sender_init(s, &channel->sender, &channel->receiver, data, 4096, 0);

    r += ring_sender_put(s, data, 64, 0);
    r += ring_sender_put_parts(s, &part, 1, 0, 0);
    r += ring_sender_put_burst(s, &part, 1);
    if (!ring_sender_reserve(s, 64, &room))
        r += ring_sender_commit(s, 64, 1);
    ring_sender_abort(s);
    ring_sender_publish(s);
    while (!ring_sender_look(s))
        ring_relax();
    r += ring_sender_wake(s) + ring_sender_flush(s) + ring_sender_sleep(s) + ring_sender_certain(s);
    ring_sender_awake(s);
    r += ring_sender_move(s, data, 4096);
    ring_sender_end(s);
    return r != 0;
}

int all_of_receiver(struct ring_receiver *r, struct layout_channel *channel, void *data)
{
    struct ring_part part = {data, 100};
    struct ring_piece piece;
    int more;
    int64_t n = ring_receiver_init(r, &channel->receiver, &channel->sender, data, 4096, 0);

    n += ring_receiver_get(r, data, 64, &more);
    n += ring_receiver_get_burst(r, &part, 1);
    if (!ring_receiver_peek(r, &piece))
        n += ring_receiver_release(r, piece.length);
    ring_receiver_publish(r);
    while (!ring_receiver_look(r))
        ring_receiver_pause(r);
    n += ring_receiver_wake(r) + ring_receiver_flush(r) + ring_receiver_sleep(r) +
         ring_receiver_certain(r);
    ring_receiver_awake(r);
    n += ring_receiver_move(r, data, 4096);
    return n != 0;
}
