/* SPDX-License-Identifier: MIT
 *
 * The command channel bench: throughput for some sizes of messages, and the round trip.
 *
 * Who measures connects, with a ring back. Each round begins with a message of one byte: TAKE, then
 * the other side takes messages up to an empty one and answers with struct taken; or ECHO, then it
 * sends each message back, up to an empty one. The channel's end is the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/shell/stream.h"
#include "client/shell/stream_commands.h"
#include "common/cleanup.h"

enum {
    PORT = 5201,
    INTERVAL_MS = 300,
    PATIENCE_MS = 10000, /* of who measures; the other side may be stopped by Ctrl-C at once */
    BATCH = 64 << 10,    /* bytes between two looks at the clock */
    ECHO_SIZE = 64,
    ECHO_MAX = 4096,
    SAMPLES = 1 << 16,
    REVERSE = 16 << 10,
};

enum round { TAKE = 't', ECHO = 'e' };

struct taken {
    uint64_t messages, bytes;
};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t port_of(const struct arguments *given)
{
    return given->port == NOT_GIVEN ? PORT : given->port;
}

/* --- who answers --- */

static ssize_t take_message(struct stream *stream, void *buffer, size_t size)
{
    for (;;) {
        ssize_t got = ivshmem_recv(stream->channel, buffer, size);

        if (got == -ETIMEDOUT)
            got = stream_again(stream);
        else
            return got;
        if (got < 0)
            return got;
    }
}

/* Looks at messages in the ring, of any size, up to an empty one. */
static int take_all(struct stream *stream, struct taken *taken)
{
    bool within = false, more = false;
    const void *data;
    size_t size;

    for (;;) {
        int r = ivshmem_peek(stream->channel, &data, &size, &more);

        if (r == -ETIMEDOUT) {
            r = stream_again(stream);
            if (r < 0)
                return r;
            continue;
        }
        if (r == 0)
            r = ivshmem_release(stream->channel);
        if (r < 0)
            return r;
        if (size == 0 && !more && !within)
            return 0;
        taken->bytes += size;
        taken->messages += !more;
        within = more;
    }
}

static int echo_all(struct stream *stream)
{
    uint8_t buffer[ECHO_MAX];

    for (;;) {
        ssize_t got = take_message(stream, buffer, sizeof(buffer));
        int r = got <= 0 ? (int)got : ivshmem_send(stream->channel, buffer, (size_t)got);

        if (r < 0 || got == 0)
            return r;
    }
}

static int serve_one(struct stream *stream)
{
    for (;;) {
        struct taken taken = {0, 0};
        uint8_t what = 0;
        ssize_t r = take_message(stream, &what, sizeof(what));

        if (r == 1 && what == TAKE) {
            r = take_all(stream, &taken);
            if (r == 0)
                r = ivshmem_send(stream->channel, &taken, sizeof(taken));
        } else if (r == 1 && what == ECHO) {
            r = echo_all(stream);
        } else if (r >= 0) {
            r = -EPROTO;
        }
        if (r < 0)
            return (int)r;
        stream->moved = tool_now();
    }
}

static int serve(struct tool *tool, const struct arguments *given)
{
    uint64_t times = given->times, port = port_of(given), peer = LINK_ANY;
    int status = STATUS_DONE;

    link_peer(given->peer, &peer, NULL);
    while (status == STATUS_DONE && times--) {
        struct stream stream = {.tool = tool, .given = given, .moved = tool_now()};
        cJSON *object = emit_object("listening", port);
        int r;

        status = link_listen(tool, port);
        emit_add(object, "peer", (uint64_t)ivshmem_id(tool->iv));
        emit(&tool->emit, object, "serving port {listening} as peer {peer}\n");
        fflush(tool->emit.out);
        if (status == STATUS_DONE)
            status = link_accept(tool, given, peer, port, &stream.channel);
        if (status != STATUS_DONE || !stream.channel)
            return status;
        r = serve_one(&stream);
        if (r == -ETIMEDOUT || !tool_connected(tool))
            status = link_failed(tool, "channel bench", r);
        else if (r != -EPIPE && r != -ECONNRESET && r != -ECONNABORTED && r != -EINTR)
            emit_error(&tool->emit, STATUS_USAGE, "what came does not come from channel bench");
        link_close(tool, stream.channel);
        if (r == -EINTR)
            break;
    }
    return status;
}

/* --- who measures --- */

static int begin_round(struct ivshmem_channel *channel, enum round round)
{
    uint8_t what = (uint8_t)round;

    return ivshmem_send(channel, &what, sizeof(what));
}

static int end_round(struct ivshmem_channel *channel)
{
    int r = ivshmem_send(channel, "", 0);

    ivshmem_flush(channel);
    return r;
}

static int fill_channel(struct ivshmem_channel *channel, const uint8_t *message, size_t size,
                        int64_t until, struct taken *sent)
{
    size_t batch = size < BATCH ? BATCH / size : 1;

    do {
        for (size_t i = 0; i < batch; i++) {
            int r = ivshmem_send(channel, message, size);

            if (r < 0)
                return r;
        }
        sent->messages += batch;
        sent->bytes += batch * size;
    } while (now_ns() < until);
    return 0;
}

static int tell_throughput(struct tool *tool, size_t size, const struct taken *sent, int64_t ns)
{
    double seconds = (double)(ns > 0 ? ns : 1) / 1e9;
    cJSON *object = emit_object("size", size);
    char rate[32];

    emit_add(object, "messages", sent->messages);
    emit_add(object, "bytes", sent->bytes);
    emit_add(object, "messages_per_second", (uint64_t)((double)sent->messages / seconds));
    emit_add(object, "bytes_per_second", (uint64_t)((double)sent->bytes / seconds));
    progress_bytes((double)sent->bytes / seconds, rate, sizeof(rate));
    if (tool->emit.json) {
        emit(&tool->emit, object, NULL);
    } else {
        cJSON_AddStringToObject(object, "rate", rate);
        emit(&tool->emit, object, "{size:10} {messages_per_second:14} {rate:14}/s\n");
    }
    fflush(tool->emit.out);
    return STATUS_DONE;
}

static int measure_size(struct tool *tool, struct ivshmem_channel *channel, size_t size,
                        int64_t interval)
{
    _cleanup_free_ uint8_t *message = malloc(size);
    struct taken sent = {0, 0}, taken = {0, 0};
    int64_t started;
    ssize_t r;

    if (!message)
        return emit_error(&tool->emit, STATUS_USAGE, "no memory for a message of %zu bytes", size);
    memset(message, 0x5a, size);
    r = begin_round(channel, TAKE);
    started = now_ns();
    if (r == 0)
        r = fill_channel(channel, message, size, started + interval * 1000000, &sent);
    if (r == 0)
        r = end_round(channel);
    if (r == 0)
        r = ivshmem_recv(channel, &taken, sizeof(taken));
    if (r < 0)
        return link_failed(tool, "channel bench", (int)r);
    if (taken.messages != sent.messages || taken.bytes != sent.bytes)
        return emit_error(&tool->emit, STATUS_USAGE,
                          "of %llu messages the other side has seen %llu: does it run bench?",
                          (unsigned long long)sent.messages, (unsigned long long)taken.messages);
    return tell_throughput(tool, size, &sent, now_ns() - started);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int go_round(struct ivshmem_channel *channel, int64_t until, uint32_t *samples,
                    size_t *count)
{
    uint8_t message[ECHO_SIZE] = {0}, back[ECHO_SIZE];
    int64_t before = now_ns(), after;

    for (*count = 0; *count < SAMPLES && before < until; before = after) {
        ssize_t got = ivshmem_send(channel, message, sizeof(message));

        if (got == 0)
            got = ivshmem_recv(channel, back, sizeof(back));
        if (got < 0)
            return (int)got;
        after = now_ns();
        samples[(*count)++] = after - before < UINT32_MAX ? (uint32_t)(after - before) : UINT32_MAX;
    }
    return 0;
}

static int measure_round_trip(struct tool *tool, struct ivshmem_channel *channel, int64_t interval)
{
    _cleanup_free_ uint32_t *samples = calloc(SAMPLES, sizeof(*samples));
    size_t count = 0;
    cJSON *object;
    int r;

    if (!samples)
        return emit_error(&tool->emit, STATUS_USAGE, "no memory for samples");
    r = begin_round(channel, ECHO);
    if (r == 0)
        r = go_round(channel, now_ns() + interval * 1000000 + 1, samples, &count);
    if (r == 0)
        r = end_round(channel);
    if (r < 0)
        return link_failed(tool, "channel bench", r);
    qsort(samples, count, sizeof(*samples), compare);
    object = emit_object("round_trip_ns", samples[count / 2]);
    emit_add(object, "best_ns", samples[0]);
    emit_add(object, "worst_ns", samples[count ? count - 1 : 0]);
    emit_add(object, "size", ECHO_SIZE);
    emit(&tool->emit, object,
         "round trip of {size} bytes: median {round_trip_ns} ns, best {best_ns} ns\n");
    return STATUS_DONE;
}

static int measure(struct tool *tool, struct ivshmem_channel *channel,
                   const struct arguments *given)
{
    static const size_t sizes[] = {64, 1024, 16 << 10, 64 << 10, 1 << 20};
    int64_t interval = given->interval < 0 ? INTERVAL_MS : given->interval;
    int status = STATUS_DONE;

    if (!tool->emit.json && !tool->emit.quiet)
        fputs("      SIZE     MESSAGES/S          BYTES/S\n", tool->emit.out);
    if (given->message != NOT_GIVEN)
        return measure_size(tool, channel, (size_t)given->message, interval);
    for (size_t i = 0; status == STATUS_DONE && i < sizeof(sizes) / sizeof(sizes[0]); i++)
        status = measure_size(tool, channel, sizes[i], interval);
    return status == STATUS_DONE ? measure_round_trip(tool, channel, interval) : status;
}

int channel_bench_run(struct tool *tool, struct arguments *given)
{
    struct ivshmem_channel *channel = NULL;
    uint64_t peer = LINK_ANY;
    int status;

    if (given->serve)
        return serve(tool, given);
    link_peer(given->words[1], &peer, NULL);
    status = link_connect(tool, given, peer, port_of(given), REVERSE, &channel);
    if (!channel)
        return status;
    ivshmem_channel_set_timeout(channel, given->timeout >= 0 ? (int)given->timeout : PATIENCE_MS);
    status = measure(tool, channel, given);
    link_close(tool, channel);
    return status;
}
