/* SPDX-License-Identifier: MIT
 *
 * What send and recv have in common: which channel, how far they are, and how it ended.
 */
#ifndef IVSHMEM_STREAM_H
#define IVSHMEM_STREAM_H

#include "client/shell/progress.h"
#include "client/shell/secure.h"

/**
 * struct stream - bytes on their way through a channel
 * @tool:     the tool
 * @given:    the command
 * @channel:  goes through it
 * @secure:   encrypts it; NULL: it is not
 * @own:      the channel was made for this command, and ends with it
 * @within:   the last message goes on
 * @bytes:    so far
 * @messages: that are complete
 * @moved:    when something moved last, milliseconds
 * @progress: for people
 */
struct stream {
    struct tool *tool;
    const struct arguments *given;
    struct ivshmem_channel *channel;
    struct ivshmem_secure *secure;
    bool own, within;
    uint64_t bytes, messages;
    int64_t moved;
    struct progress progress;
};

/** stream_check() - whether --peer, --port and --key-file make sense; 0 or -EINVAL */
int stream_check(const struct arguments *given, struct failure *failure);

/**
 * stream_begin() - a channel is there
 * @stream: with @tool and @given
 * @what:   for the progress
 * @total:  bytes that will move, 0 when that is not known
 */
void stream_begin(struct stream *stream, const char *what, uint64_t total);

/** stream_moved() - so many bytes more, after which the message goes on or not */
void stream_moved(struct stream *stream, size_t bytes, bool more);

/**
 * stream_again() - whether a call that returned -ETIMEDOUT is to be made again
 * @stream: the stream
 *
 * Return: 0, -ETIMEDOUT when nothing has moved for the time-out of the command, -EINTR.
 */
int stream_again(struct stream *stream);

/** stream_close() - a channel that was made for the command has served its purpose */
void stream_close(struct stream *stream);

/**
 * stream_failed() - say that it ended too soon
 * @stream: the stream
 * @r:      what the library, or stream_again(), returned
 * @rest:   the rest of the sentence, which may be empty
 *
 * Return: the status that goes with it.
 */
int stream_failed(struct stream *stream, int r, const char *rest);

/**
 * stream_told() - say how it went
 * @stream: the stream, complete
 * @verb:   name of the bytes in the result, "sent"
 * @info:   of the channel, as it was
 * @text:   for people too, not only for programs
 */
void stream_told(struct stream *stream, const char *verb, const struct ivshmem_channel_info *info,
                 bool text);

#endif
