/* SPDX-License-Identifier: MIT
 *
 * A batch: many protocol messages for one socket in one system call, sendmmsg(2).
 *
 * The headers, the bytes and the control messages are laid out once; adding a message writes its
 * value and its descriptor, nothing else. One batch serves all peers in turn.
 */
#ifndef IVSHMEM_BATCH_H
#define IVSHMEM_BATCH_H

#include <stdint.h>
#include <sys/socket.h>

#include "common/wire.h"

enum { BATCH_MAX = 64 };

/**
 * struct batch - messages to be sent
 * @headers: as sendmmsg(2) takes them
 * @vectors: one for each header
 * @bytes:   the payload of each
 * @control: the SCM_RIGHTS message of each
 * @count:   how many are filled in
 */
struct batch {
    struct mmsghdr headers[BATCH_MAX];
    struct iovec vectors[BATCH_MAX];
    uint8_t bytes[BATCH_MAX][WIRE_SIZE];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control[BATCH_MAX];
    unsigned count;
};

/** batch_init() - lay out the headers; the batch must not move in memory afterwards */
void batch_init(struct batch *batch);

/**
 * batch_add() - add one message
 * @batch: not full
 * @value: what to send
 * @fd:    descriptor to go with it, -1 for none; stays the caller's
 */
void batch_add(struct batch *batch, int64_t value, int fd);

/**
 * batch_send() - send what was added, as far as the socket takes it, without waiting
 * @batch: not empty
 * @sock:  UNIX stream socket
 *
 * Return: how many messages went out, 1 or more, or a negative errno of sendmmsg(2) when none did.
 */
int batch_send(struct batch *batch, int sock);

#endif
