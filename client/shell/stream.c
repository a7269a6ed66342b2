/* SPDX-License-Identifier: MIT
 *
 * See stream.h.
 */
#include "client/shell/stream.h"

#include <errno.h>
#include <inttypes.h>

#include "client/shell/interrupt.h"

int stream_check(const struct arguments *given, struct failure *failure)
{
    uint64_t peer;

    if (given->peer && given->port == NOT_GIVEN)
        return failure_set(failure, EINVAL, "--peer %s: which port? --port N", given->peer);
    if (given->key_file && given->port == NOT_GIVEN)
        return failure_set(failure, EINVAL,
                           "--key-file goes with --port, or with channel connect and listen");
    return link_peer(given->peer, &peer, failure);
}

void stream_begin(struct stream *stream, const char *what, uint64_t total)
{
    stream->moved = tool_now();
    progress_begin(&stream->progress, what, total);
}

void stream_moved(struct stream *stream, size_t bytes, bool more)
{
    stream->bytes += bytes;
    stream->messages += !more;
    stream->within = more;
    if (stream->given->timeout >= 0)
        stream->moved = tool_now();
    progress_show(&stream->progress, stream->bytes);
}

int stream_again(struct stream *stream)
{
    int64_t patience = stream->given->timeout;

    progress_show(&stream->progress, stream->bytes);
    if (interrupt_seen())
        return -EINTR;
    return patience >= 0 && tool_now() - stream->moved >= patience ? -ETIMEDOUT : 0;
}

void stream_close(struct stream *stream)
{
    progress_end(&stream->progress);
    if (stream->own) {
        stream->secure = ivshmem_secure_free(stream->secure);
        stream->channel = link_close(stream->tool, stream->channel);
    }
}

int stream_failed(struct stream *stream, int r, const char *rest)
{
    char what[512];

    progress_end(&stream->progress);
    snprintf(what, sizeof(what), "after %" PRIu64 " bytes%s", stream->bytes, rest);
    if (r == -EINTR && stream->own)
        return emit_error(&stream->tool->emit, STATUS_USAGE, "%s: interrupted", what);
    if (r == -ETIMEDOUT)
        return emit_error(&stream->tool->emit, STATUS_TIMED_OUT, "%s: the other side does nothing",
                          what);
    return link_failed_as(stream->tool, what, r,
                          stream->secure ? ivshmem_secure_error(stream->secure) : NULL);
}

void stream_told(struct stream *stream, const char *verb, const struct ivshmem_channel_info *info,
                 bool text)
{
    double seconds = (double)(tool_now() - stream->progress.started) / 1000;
    double rate = (double)stream->bytes / (seconds > 0.001 ? seconds : 0.001);
    cJSON *object = emit_object("bytes", stream->bytes);
    char room[32], line[160];

    emit_add(object, "messages", stream->messages);
    emit_add(object, "peer", info->peer);
    emit_add(object, "channel", info->channel);
    emit_add(object, "port", info->port);
    emit_add(object, "bytes_per_second", (uint64_t)rate);
    snprintf(line, sizeof(line), "%.3f", seconds);
    cJSON_AddRawToObject(object, "seconds", line);
    snprintf(line, sizeof(line),
             "%s {bytes} bytes in {messages} message%s %s peer {peer}: {seconds} s, %s/s\n", verb,
             stream->messages == 1 ? "" : "s", *verb == 's' ? "to" : "from",
             progress_bytes(rate, room, sizeof(room)));
    emit(&stream->tool->emit, object, text ? line : NULL);
}
