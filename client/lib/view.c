/* SPDX-License-Identifier: MIT
 *
 * See view.h.
 */
#include "client/lib/view.h"

#include <errno.h>
#include <inttypes.h>

/* One load a word: the header does not change in use, and a copy that was torn fails the checks or
 * is as good as what a scribbler could have left there for good. */
static void copy_header(struct layout_header *copy, const void *memory)
{
    const layout_word *from = memory;
    layout_word *to = (layout_word *)copy;

    for (size_t i = 0; i < offsetof(struct layout_header, generation) / 4; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* A table of @count parts of @size bytes lies within the first @limit bytes, aligned. */
static bool table_fits(uint64_t offset, uint64_t size, uint64_t count, uint64_t least,
                       uint64_t limit)
{
    uint64_t bytes, end;

    if (size < least || size % LAYOUT_APART || offset % LAYOUT_APART)
        return false;
    if (offset < sizeof(struct layout_header))
        return false;
    return !__builtin_mul_overflow(size, count, &bytes) &&
           !__builtin_add_overflow(offset, bytes, &end) && end <= limit;
}

static const char *find_fault(const struct layout_header *header, uint64_t size)
{
    if (header->header_size < sizeof(*header) || header->block_size != LAYOUT_BLOCK)
        return "its header or its blocks have another size";
    if (header->region_size != size)
        return "it is for a region of another size";
    if (header->n_mailboxes < 1 || header->n_mailboxes > LAYOUT_MAILBOXES_MAX)
        return "its number of mailboxes";
    if (header->n_channels < 1 || header->n_channels > LAYOUT_CHANNELS_MAX)
        return "its number of channels";
    if (header->data_offset > size || header->data_offset % LAYOUT_BLOCK)
        return "where its rings begin";
    if (!table_fits(header->mailbox_offset, header->mailbox_size, header->n_mailboxes,
                    sizeof(struct layout_mailbox), header->data_offset))
        return "where its mailboxes lie";
    if (!table_fits(header->channel_offset, header->channel_size, header->n_channels,
                    sizeof(struct layout_channel), header->data_offset))
        return "where its channels lie";
    return NULL;
}

int view_init(struct view *view, void *memory, uint64_t size, struct failure *failure)
{
    struct layout_header header;
    const char *fault;

    if (size < sizeof(header))
        return failure_set(failure, EOPNOTSUPP,
                           "the memory of this server is too small to have"
                           " channels");
    copy_header(&header, memory);
    if (header.magic != LAYOUT_MAGIC)
        return failure_set(failure, EOPNOTSUPP,
                           "this server has no channels: it runs without --channels");
    if (header.version != LAYOUT_VERSION)
        return failure_set(failure, EOPNOTSUPP,
                           "the channels of this server are of version %" PRIu32 ", ours of %d",
                           header.version, LAYOUT_VERSION);
    fault = find_fault(&header, size);
    if (fault)
        return failure_set(failure, EBADMSG, "the control section cannot be true: %s", fault);
    *view = (struct view){
        .base = memory,
        .size = size,
        .instance = header.instance,
        .mailbox_offset = header.mailbox_offset,
        .mailbox_size = header.mailbox_size,
        .channel_offset = header.channel_offset,
        .channel_size = header.channel_size,
        .data_offset = header.data_offset,
        .n_mailboxes = header.n_mailboxes,
        .n_channels = header.n_channels,
    };
    return 0;
}

struct layout_mailbox *view_mailbox(const struct view *view, uint32_t peer)
{
    if (peer >= view->n_mailboxes)
        return NULL;
    return (struct layout_mailbox *)(view->base + view->mailbox_offset + peer * view->mailbox_size);
}

struct layout_channel *view_channel(const struct view *view, uint32_t number)
{
    if (number >= view->n_channels)
        return NULL;
    return (struct layout_channel *)(view->base + view->channel_offset +
                                     number * view->channel_size);
}

void *view_ring(const struct view *view, uint64_t offset, uint64_t size)
{
    uint64_t end;

    if (size < LAYOUT_BLOCK || size > LAYOUT_RING_MAX || size % LAYOUT_BLOCK ||
        offset % LAYOUT_BLOCK || offset < view->data_offset)
        return NULL;
    if (__builtin_add_overflow(offset, size, &end) || end > view->size)
        return NULL;
    return view->base + offset;
}

bool view_entry(const struct view *view, uint32_t number, struct layout_entry *copy)
{
    const struct layout_channel *channel = view_channel(view, number);

    return channel && layout_snapshot(copy, &channel->entry, sizeof(*copy));
}

bool view_peer(const struct view *view, uint32_t peer, struct layout_peer *copy)
{
    const struct layout_mailbox *mailbox = view_mailbox(view, peer);

    return mailbox && layout_snapshot(copy, &mailbox->peer, sizeof(*copy));
}

static const struct {
    int error;
    const char *text;
} statuses[] = {
    [LAYOUT_OK] = {0, "done"},
    [LAYOUT_BAD_REQUEST] = {EINVAL, "the server says that the request makes no sense"},
    [LAYOUT_NO_PEER] = {ENOENT, "there is no such peer"},
    [LAYOUT_NO_LISTENER] = {ECONNREFUSED, "the peer does not listen on that port"},
    [LAYOUT_NO_CHANNEL] = {ECONNABORTED, "there is no such connection any more"},
    [LAYOUT_NO_SPACE] = {ENOSPC, "the region has no room for its rings"},
    [LAYOUT_NO_ENTRY] = {ENOSPC, "the region has no more channels"},
    [LAYOUT_OVER_QUOTA] = {EDQUOT,
                           "we or the peer have as many channels, ports or bytes as allowed"},
    [LAYOUT_PORT_IN_USE] = {EADDRINUSE, "we listen on that port already"},
    [LAYOUT_REFUSED] = {ECONNREFUSED, "the peer refused"},
    [LAYOUT_TIMED_OUT] = {ETIMEDOUT, "the peer did not answer the offer in time"},
    [LAYOUT_PEER_CLOSED] = {EPIPE, "the other side closed the connection"},
    [LAYOUT_PEER_GONE] = {ECONNRESET, "the peer on the other side has gone"},
    [LAYOUT_IDLE] = {ETIME, "the connection was closed because nothing was sent for long"},
    [LAYOUT_SERVER_CLOSED] = {ECONNABORTED, "an administrator of the server closed the connection"},
};

int view_errno(uint32_t status)
{
    return status < sizeof(statuses) / sizeof(statuses[0]) ? -statuses[status].error : -EBADMSG;
}

const char *view_status_text(uint32_t status)
{
    return status < sizeof(statuses) / sizeof(statuses[0])
               ? statuses[status].text
               : "the server gave a reason that we do not know";
}
