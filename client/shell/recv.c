/* SPDX-License-Identifier: MIT
 *
 * The command recv. Pieces are written right from the ring, so they are copied once on their way;
 * only small ones are gathered first, until nothing more is there. What is encrypted is copied once
 * more.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/shell/stream.h"
#include "client/shell/stream_commands.h"

enum { SMALL = 8 << 10, GATHERED = 64 << 10 };

/* Where the bytes go. */
struct sink {
    const char *name;
    int fd;
    int error; /* errno of the write that failed */
    size_t have;
    uint8_t bytes[GATHERED];
    uint8_t plain[GATHERED]; /* of what is encrypted */
};

static bool to_output(const struct arguments *given)
{
    return !given->count || strcmp(given->words[0], "-") == 0;
}

int recv_check(struct arguments *given, struct failure *failure)
{
    if (given->json && to_output(given))
        return failure_set(failure, EINVAL, "recv --json: the data needs a FILE to go to");
    return stream_check(given, failure);
}

/* What a file had is gone only when there is something to take its place. */
static int open_sink(struct sink *sink, const struct arguments *given)
{
    sink->fd = STDOUT_FILENO;
    sink->name = "standard output";
    sink->have = 0;
    sink->error = 0;
    if (to_output(given))
        return 0;
    sink->name = given->words[0];
    sink->fd = open(sink->name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    return sink->fd < 0 ? -errno : 0;
}

static int empty_sink(struct sink *sink)
{
    struct stat status;

    if (sink->fd == STDOUT_FILENO || fstat(sink->fd, &status) < 0 || !S_ISREG(status.st_mode))
        return 0;
    if (ftruncate(sink->fd, 0) == 0)
        return 0;
    sink->error = errno;
    return -sink->error;
}

static int write_out(struct sink *sink, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t put = write(sink->fd, bytes, size);

        if (put < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = sink->fd, .events = POLLOUT}, 1, -1);
        } else if (put < 0 && errno != EINTR) {
            sink->error = errno;
            return -errno;
        } else if (put > 0) {
            bytes += put;
            size -= (size_t)put;
        }
    }
    return 0;
}

static int flush_sink(struct sink *sink)
{
    size_t have = sink->have;

    sink->have = 0;
    return write_out(sink, sink->bytes, have);
}

static int put(struct sink *sink, const void *bytes, size_t size)
{
    int r = 0;

    if (size >= SMALL || sink->have + size > sizeof(sink->bytes))
        r = flush_sink(sink);
    if (r < 0 || size >= SMALL)
        return r < 0 ? r : write_out(sink, bytes, size);
    memcpy(sink->bytes + sink->have, bytes, size);
    sink->have += size;
    return 0;
}

static int close_sink(struct sink *sink)
{
    int r = sink->error ? 0 : flush_sink(sink);

    if (sink->fd > STDERR_FILENO && close(sink->fd) < 0 && r == 0 && !sink->error) {
        sink->error = errno;
        r = -errno;
    }
    return r;
}

/* A look at the next piece. */
static int look(struct stream *stream, struct sink *sink, const void **data, size_t *size,
                bool *more)
{
    ssize_t got;

    if (!stream->secure)
        return ivshmem_peek(stream->channel, data, size, more);
    got = ivshmem_secure_recv_part(stream->secure, sink->plain, sizeof(sink->plain), more);
    *data = sink->plain;
    *size = got > 0 ? (size_t)got : 0;
    return got < 0 ? (int)got : 0;
}

/* The next piece, waited for. While nothing was to be had, what was gathered went on. */
static int next_piece(struct stream *stream, struct sink *sink, const void **data, size_t *size,
                      bool *more)
{
    for (;;) {
        int r;

        ivshmem_channel_set_timeout(stream->channel, sink->have ? 0 : LINK_SLICE_MS);
        r = look(stream, sink, data, size, more);
        if (r == -EAGAIN)
            r = flush_sink(sink);
        else if (r == -ETIMEDOUT)
            r = stream_again(stream);
        else
            return r;
        if (r < 0)
            return r;
        progress_show(&stream->progress, stream->bytes);
    }
}

/* Return: 0 when all that was asked for has come; else why not, -EPIPE for an end in a message. */
static int receive_all(struct stream *stream, struct sink *sink, uint64_t messages)
{
    while (stream->messages < messages) {
        const void *data;
        size_t size;
        bool more;
        int r = next_piece(stream, sink, &data, &size, &more);

        if (r == -EPIPE && !stream->within && messages == UINT64_MAX)
            return 0;
        if (r == 0)
            r = put(sink, data, size);
        if (r == 0 && !stream->secure)
            r = ivshmem_release(stream->channel);
        if (r < 0)
            return r;
        stream_moved(stream, size, more);
    }
    return 0;
}

static int receive(struct stream *stream, struct sink *sink)
{
    const struct arguments *given = stream->given;
    struct ivshmem_channel_info info = link_info(stream->channel);
    uint64_t messages = given->times;
    int status = STATUS_DONE, r;

    if (messages == NOT_GIVEN)
        messages = stream->own || given->all ? UINT64_MAX : 1;
    if (!info.receive_size)
        return emit_error(&stream->tool->emit, STATUS_USAGE,
                          "this channel is one-way: we can only send");
    stream_begin(stream, "receiving", 0);
    fflush(stream->tool->emit.out);
    r = empty_sink(sink);
    if (r == 0)
        r = receive_all(stream, sink, messages);
    if (close_sink(sink) < 0 && r == 0)
        r = -sink->error;
    if (!stream->own)
        ivshmem_channel_set_timeout(stream->channel, LINK_SLICE_MS);
    progress_end(&stream->progress);
    if (sink->error) {
        status = emit_error(&stream->tool->emit, STATUS_USAGE, "cannot write to %s: %s", sink->name,
                            strerror(sink->error));
    } else if (r < 0) {
        char rest[400];

        snprintf(rest, sizeof(rest), " (what came is partial: %.300s)", sink->name);
        status = stream_failed(stream, r, rest);
    }
    stream_close(stream);
    if (r == 0)
        stream_told(stream, "received", &info, sink->fd > STDERR_FILENO);
    return status;
}

/* So that somebody knows whom to connect to. It must not get between the data. */
static void tell_port(struct tool *tool, const struct arguments *given)
{
    cJSON *object = emit_object("listening", given->port);

    emit_add(object, "peer", (uint64_t)ivshmem_id(tool->iv));
    if (!to_output(given)) {
        emit(&tool->emit, object, "listening on port {listening} as peer {peer}\n");
        fflush(tool->emit.out);
        return;
    }
    if (isatty(STDERR_FILENO) && !tool->emit.quiet)
        emit_text(stderr, object, "listening on port {listening} as peer {peer}\n");
    cJSON_Delete(object);
}

/* Lets somebody connect, with whom a key may have to be agreed on. */
static int let_connect(struct stream *stream)
{
    const struct arguments *given = stream->given;
    struct tool *tool = stream->tool;
    uint64_t peer = LINK_ANY;
    int status = secure_new(tool, given, &stream->secure);

    stream->channel = NULL;
    link_peer(given->peer, &peer, NULL);
    if (status == STATUS_DONE)
        status = link_listen(tool, given->port);
    if (status == STATUS_DONE) {
        tell_port(tool, given);
        status = link_accept(tool, given, peer, given->port, &stream->channel);
    }
    if (stream->channel)
        status =
            secure_start(tool, given, stream->secure, &stream->channel, IVSHMEM_SECURE_ACCEPTED);
    if (!stream->channel)
        stream->secure = ivshmem_secure_free(stream->secure);
    return status;
}

int recv_run(struct tool *tool, struct arguments *given)
{
    struct stream stream = {
        .tool = tool, .given = given, .channel = tool->channel, .secure = tool->secure};
    struct sink *sink;
    int status = STATUS_DONE;

    stream.own = given->port != NOT_GIVEN;
    if (tool->emit.json && to_output(given))
        return emit_error(&tool->emit, STATUS_USAGE, "recv: the data needs a FILE to go to");
    if (!stream.own && !tool->channel)
        return emit_error(&tool->emit, STATUS_USAGE,
                          "there is no channel: --port says where to listen");
    sink = malloc(sizeof(*sink));
    if (!sink || open_sink(sink, given) < 0) {
        free(sink);
        return emit_error(&tool->emit, STATUS_USAGE, "cannot open %s: %s",
                          given->count ? given->words[0] : "-", strerror(errno));
    }
    if (stream.own)
        status = let_connect(&stream);
    if (stream.channel)
        status = receive(&stream, sink);
    else
        close_sink(sink);
    free(sink);
    return status;
}
