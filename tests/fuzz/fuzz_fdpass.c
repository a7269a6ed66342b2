/* SPDX-License-Identifier: MIT
 *
 * A hostile sender: each step is a byte N, a byte D and N % 32 bytes of payload, which go out as
 * one sendmsg() with D % 8 descriptors. The reader is run after steps with an even D / 8. Whatever
 * comes, it yields whole messages of these bytes with at most one descriptor, and leaks none.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fdpass.h"
#include "tests/fuzz/fuzz.h"

enum { FDS_MAX = 7, STREAM_MAX = 4096, STEPS_MAX = 64 };

struct stream {
    int us, them, sample;
    uint8_t sent[STREAM_MAX];             /* what the sender put in */
    size_t n_fds[STREAM_MAX / WIRE_SIZE]; /* and how many descriptors into each message */
    size_t n_sent, n_read;                /* how much of it has come out, as messages */
    struct fdpass_reader reader;
};

static void send_step(struct stream *stream, const uint8_t *payload, size_t length, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {.room = {0}};
    struct iovec whole = {.iov_base = stream->sent + stream->n_sent, .iov_len = length};
    struct msghdr header = {.msg_iov = &whole, .msg_iovlen = 1};

    memcpy(stream->sent + stream->n_sent, payload, length);
    if (n_fds) {
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (size_t i = 0; i < n_fds; i++)
            memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &stream->sample, sizeof(int));
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    }
    REQUIRE(sendmsg(stream->them, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length);
    stream->n_fds[stream->n_sent / WIRE_SIZE] += n_fds; /* they come with the first byte */
    stream->n_sent += length;
}

/* Return: what fdpass_read() says when there are no more messages. */
static int read_all(struct stream *stream)
{
    int64_t value;
    int fd, r;

    while ((r = fdpass_read(&stream->reader, stream->us, &value, &fd)) == 1) {
        REQUIRE(stream->n_read + WIRE_SIZE <= stream->n_sent);
        REQUIRE(value == wire_decode(stream->sent + stream->n_read));
        REQUIRE(stream->n_fds[stream->n_read / WIRE_SIZE] == (fd >= 0));
        REQUIRE(fd == -1 || (fcntl(fd, F_GETFD) & FD_CLOEXEC));
        stream->n_read += WIRE_SIZE;
        if (fd >= 0)
            close(fd);
    }
    REQUIRE(r <= 0);
    return r;
}

/* Return: 0, or why the stream had to be given up. */
static int play(struct stream *stream, const uint8_t *data, size_t size)
{
    int r = -EAGAIN;

    for (int step = 0; step < STEPS_MAX && size >= 2 && r == -EAGAIN; step++) {
        size_t length = data[0] % 32 < size - 2 ? data[0] % 32 : size - 2;
        uint8_t how = data[1];

        if (length)
            send_step(stream, data + 2, length, how % 8);
        if (how / 8 % 2 == 0)
            r = read_all(stream);
        data += 2 + length;
        size -= 2 + length;
    }
    close(stream->them);
    if (r == -EAGAIN)
        r = read_all(stream);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int before = count_descriptors(), ends[2], r;
    struct stream stream = {.sample = open("/dev/null", O_RDWR | O_CLOEXEC),
                            .reader = FDPASS_READER_INIT};

    REQUIRE(stream.sample >= 0);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    stream.us = ends[0];
    stream.them = ends[1];
    r = play(&stream, data, size);
    if (r == 0)
        REQUIRE(stream.n_read == stream.n_sent);
    else if (r == -EPIPE)
        REQUIRE(stream.n_sent % WIRE_SIZE && stream.n_sent - stream.n_read < WIRE_SIZE);
    else
        REQUIRE(r == -EPROTO && stream.n_fds[stream.n_read / WIRE_SIZE] > 1);
    fdpass_reader_deinit(&stream.reader);
    close(stream.us);
    close(stream.sample);
    REQUIRE(count_descriptors() == before);
    return 0;
}
