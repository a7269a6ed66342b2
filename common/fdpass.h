/* SPDX-License-Identifier: MIT
 *
 * Protocol messages over a socket: eight bytes and at most one descriptor each.
 *
 * The receiving side is careful with what a stranger may have sent: every descriptor that arrives
 * is CLOEXEC, counted, and either handed to the caller or closed, whatever else goes wrong.
 */
#ifndef IVSHMEM_FDPASS_H
#define IVSHMEM_FDPASS_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"

/**
 * struct fdpass_reader - a message that is still arriving
 * @bytes: what has come so far
 * @have:  how many of them, 0..WIRE_SIZE - 1 between calls
 * @fd:    descriptor that came with them, owned; -1 if none
 *
 * A stream may deliver a message in pieces; the descriptor comes with the first of them.
 */
struct fdpass_reader {
    uint8_t bytes[WIRE_SIZE];
    size_t have;
    int fd;
};

#define FDPASS_READER_INIT                                                                         \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/**
 * fdpass_read() - receive one message, or as much of it as there is
 * @reader: state between calls; starts as FDPASS_READER_INIT
 * @sock:   UNIX stream socket, blocking or not
 * @value:  set to the value of a complete message
 * @fd:     set to its descriptor, which the caller then owns, or to -1
 *
 * Return: 1 when a message is complete, 0 at end of file between two messages, -EAGAIN when a
 * non-blocking socket has no more for now, -EPROTO when a message came with more than one
 * descriptor, -EMFILE when the kernel could not install the descriptor because this process is at
 * its limit (RLIMIT_NOFILE), -EPIPE at end of file inside a message, or another negative errno of
 * recvmsg(2). After an error other than -EAGAIN and -EINTR the stream is out of step: close it.
 */
int fdpass_read(struct fdpass_reader *reader, int sock, int64_t *value, int *fd);

/**
 * fdpass_reader_deinit() - forget a message that was still arriving, and close its descriptor
 * @reader: may be used again afterwards
 */
void fdpass_reader_deinit(struct fdpass_reader *reader);

/**
 * fdpass_write() - send one whole message, without waiting
 * @sock:  UNIX stream socket
 * @value: what to send
 * @fd:    descriptor to go with it, -1 for none; stays the caller's
 *
 * The kernel takes the eight bytes of a message whole or not at all: they fit one buffer.
 *
 * Return: 0, or a negative errno of sendmsg(2): -EAGAIN when the socket's buffer is full,
 * -ETOOMANYREFS when too many descriptors of this user are in flight, -EPIPE when nobody listens.
 */
int fdpass_write(int sock, int64_t value, int fd);

#endif
