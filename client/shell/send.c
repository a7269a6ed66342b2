/* SPDX-License-Identifier: MIT
 *
 * The command send. The bytes are read right into the ring, so they are copied once on their way,
 * unless they are to be encrypted.
 *
 * What was sent is one message, or messages of one size. Its end is the end of the channel that was
 * made for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/shell/stream.h"
#include "client/shell/stream_commands.h"

enum {
    PIECE_MAX = 64 << 10, /* the receiver takes one piece while we read the next */
    PIECE_LEAST = 256,
    RECORD = 64, /* more than what a piece needs besides its bytes */
};

/* Where the bytes come from. */
struct input {
    const char *name;
    int fd;
    bool regular;
    uint64_t left; /* in a regular file */
    bool read_failed;
    uint8_t plain[PIECE_MAX]; /* for what is to be encrypted */
};

int send_check(struct arguments *given, struct failure *failure)
{
    return stream_check(given, failure);
}

static int open_input(struct input *input, const char *name, struct failure *failure)
{
    struct stat status;

    *input = (struct input){.name = name, .fd = STDIN_FILENO};
    if (strcmp(name, "-") != 0)
        input->fd = open(name, O_RDONLY | O_CLOEXEC);
    else
        input->name = "standard input";
    if (input->fd < 0 || fstat(input->fd, &status) < 0)
        return failure_set(failure, errno, "cannot open %s: %s", input->name, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return failure_set(failure, EISDIR, "%s is a directory", name);
    /* One that says it has no bytes may be of /proc, and have some. */
    input->regular = S_ISREG(status.st_mode) && status.st_size > 0 && input->fd != STDIN_FILENO;
    input->left = input->regular ? (uint64_t)status.st_size : 0;
    return 0;
}

static void close_input(struct input *input)
{
    if (input->fd > STDERR_FILENO)
        close(input->fd);
}

/* A part of no bytes sends nothing, but tells whether anybody is there. */
static int look_at_other_side(const struct stream *stream)
{
    return (int)ivshmem_send_part(stream->channel, "", 0, true);
}

/* A pipe or terminal has nothing for long, perhaps. Return: 0 when it has, or an end. */
static int wait_for_input(struct stream *stream, const struct input *input)
{
    while (!input->regular) {
        int r = tool_pause(stream->tool, LINK_SLICE_MS, input->fd);

        if (r == 1)
            return 0;
        if (r == 0)
            r = look_at_other_side(stream);
        if (r < 0)
            return r;
        progress_show(&stream->progress, stream->bytes);
        stream->moved = tool_now(); /* it is not the other side that we wait for */
    }
    return 0;
}

/* Room for a piece: @size is what is wanted, and set to what there is. */
static int reserve(struct stream *stream, size_t *size, void **room)
{
    uint64_t quarter = link_info(stream->channel).send_size / 4;

    if (*size > quarter - RECORD)
        *size = (size_t)quarter - RECORD;
    for (;;) {
        int r = ivshmem_reserve(stream->channel, *size, room);

        if (r == -EMSGSIZE && *size > PIECE_LEAST) /* the ring has become smaller */
            *size /= 2;
        else if (r == -ETIMEDOUT)
            r = stream_again(stream);
        else
            return r;
        if (r < 0 && r != -EMSGSIZE)
            return r;
    }
}

/* Sends what was read into the room, or encrypts it. */
static int commit(struct stream *stream, const void *room, size_t size, bool more)
{
    if (!stream->secure)
        return ivshmem_commit(stream->channel, size, more);
    for (;;) {
        int r = ivshmem_secure_send_part(stream->secure, room, size, more);

        if (r == -ETIMEDOUT)
            r = stream_again(stream);
        else
            return r;
        if (r < 0)
            return r;
    }
}

/* Reads one piece of a message with @left bytes to go, and sends it. Return: bytes, 0 at the end of
 * the input. */
static ssize_t send_piece(struct stream *stream, struct input *input, uint64_t left)
{
    size_t size = left < PIECE_MAX ? (size_t)left : PIECE_MAX;
    void *room = input->plain;
    ssize_t got;
    bool more;
    int r = stream->secure ? 0 : reserve(stream, &size, &room);

    if (r < 0)
        return r;
    if (input->regular && size > input->left)
        size = (size_t)input->left;
    got = size ? read(input->fd, room, size) : 0;
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return stream_again(stream) < 0 ? -EINTR : -EAGAIN;
    input->read_failed = got < 0 || (got == 0 && size && input->regular);
    if (input->read_failed)
        return got < 0 ? -errno : -EIO;
    if (got == 0)
        return 0;
    input->left -= input->regular ? (uint64_t)got : 0;
    more = (uint64_t)got < left && !(input->regular && input->left == 0);
    r = commit(stream, room, (size_t)got, more);
    if (r < 0)
        return r;
    stream_moved(stream, (size_t)got, more);
    return got;
}

/* The end of a message that is within, or has no bytes. */
static ssize_t finish_message(struct stream *stream)
{
    return stream->secure ? ivshmem_secure_send_part(stream->secure, "", 0, false)
                          : ivshmem_send_part(stream->channel, "", 0, false);
}

/* The end of the input is the end of a message; nothing at all is a message too. Who receives
 * encrypted messages wants to hear that there are no more. */
static int finish(struct stream *stream)
{
    bool ended = !stream->secure || !stream->own;

    while (stream->within || stream->messages == 0 || !ended) {
        bool message = stream->within || stream->messages == 0;
        ssize_t r = message ? finish_message(stream) : ivshmem_secure_end(stream->secure);

        if (r == -ETIMEDOUT)
            r = stream_again(stream);
        else if (r == 0 && message)
            stream_moved(stream, 0, false);
        else if (r == 0)
            ended = true;
        if (r < 0)
            return (int)r;
    }
    ivshmem_flush(stream->channel);
    return 0;
}

static int send_all(struct stream *stream, struct input *input)
{
    const struct arguments *given = stream->given;
    uint64_t size = given->message, left = size;

    while (given->times == NOT_GIVEN || stream->messages < given->times) {
        ssize_t sent = wait_for_input(stream, input);

        if (sent == 0)
            sent = send_piece(stream, input, left);
        if (sent == -EAGAIN)
            continue;
        if (sent < 0)
            return (int)sent;
        if (sent == 0)
            break;
        left = stream->within ? left - (uint64_t)sent : size;
    }
    return finish(stream);
}

/* The receiver must not take what it has for everything. Who runs for this command only leaves
 * without closing, as if it had died; a shell stays, and closes within a message. */
static void abandon(struct stream *stream)
{
    void *room;

    if (stream->secure) { /* the end is missing, which says all */
        if (!stream->own)
            secure_close(stream->tool, false);
        return;
    }
    ivshmem_channel_set_timeout(stream->channel, 0);
    if (!stream->own)
        ivshmem_send_abort(stream->channel);
    else if (!stream->within && ivshmem_reserve(stream->channel, 0, &room) == 0)
        ivshmem_commit(stream->channel, 0, true);
    ivshmem_channel_set_timeout(stream->channel, LINK_SLICE_MS);
    stream->own &= stream->tool->emit.interactive;
}

static int send_through(struct stream *stream, struct input *input)
{
    struct ivshmem_channel_info info = link_info(stream->channel);
    int status = STATUS_DONE, r;

    if (!info.send_size)
        return emit_error(&stream->tool->emit, STATUS_USAGE,
                          "this channel is one-way: we can only receive");
    stream_begin(stream, "sending", input->left);
    r = send_all(stream, input);
    if (input->read_failed)
        status = emit_error(&stream->tool->emit, STATUS_USAGE, "cannot read %s: %s", input->name,
                            r == -EIO ? "it has become shorter, or is damaged" : strerror(-r));
    else if (r < 0)
        status = stream_failed(stream, r, "");
    if (r < 0)
        abandon(stream);
    stream_close(stream);
    if (r == 0)
        stream_told(stream, "sent", &info, true);
    return status;
}

/* Connects, and agrees on a key if there is one. */
static int connect_for(struct stream *stream)
{
    const struct arguments *given = stream->given;
    struct tool *tool = stream->tool;
    uint64_t peer = LINK_ANY;
    int status = secure_new(tool, given, &stream->secure);

    stream->channel = NULL;
    link_peer(given->peer, &peer, NULL);
    if (status == STATUS_DONE)
        status = link_connect(tool, given, peer, given->port, stream->secure ? SECURE_REVERSE : 0,
                              &stream->channel);
    if (stream->channel)
        status =
            secure_start(tool, given, stream->secure, &stream->channel, IVSHMEM_SECURE_CONNECTED);
    if (!stream->channel)
        stream->secure = ivshmem_secure_free(stream->secure);
    return status;
}

int send_run(struct tool *tool, struct arguments *given)
{
    struct stream stream = {
        .tool = tool, .given = given, .channel = tool->channel, .secure = tool->secure};
    struct failure failure;
    struct input input;
    int status = STATUS_DONE;

    stream.own = given->port != NOT_GIVEN;
    if (!stream.own && !tool->channel)
        return emit_error(&tool->emit, STATUS_USAGE,
                          "there is no channel: --peer and --port say where to connect to");
    if (strcmp(given->words[0], "-") == 0 && settings_commands_are_input(tool->settings))
        return emit_error(&tool->emit, STATUS_USAGE,
                          "send -: standard input has the commands; name a file");
    if (open_input(&input, given->words[0], &failure) < 0)
        return emit_error(&tool->emit, STATUS_USAGE, "%s", failure.text);
    if (stream.own)
        status = connect_for(&stream);
    if (stream.channel)
        status = send_through(&stream, &input);
    close_input(&input);
    return status;
}
