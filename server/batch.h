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
 * struct batch_effect - what a message changes in the record of the peer that it goes to
 * @begins:  ID that the peer is told of by it, or -1
 * @ends:    ID whose leave it tells, or -1
 * @greeted: as in struct state_peer, after the message
 * @current: likewise
 * @vector:  likewise
 */
struct batch_effect {
    int32_t begins, ends;
    uint32_t greeted;
    int32_t current;
    uint32_t vector;
};

/**
 * struct batch - messages to be sent
 * @headers: as sendmmsg(2) takes them
 * @vectors: one for each header
 * @bytes:   the payload of each
 * @control: the SCM_RIGHTS message of each
 * @effects: what each changes
 * @count:   how many are filled in
 * @peer:    ID of the peer that they go to
 * @in_flight: some may have gone out and not be recorded yet
 *
 * A batch lies in the state (state.h). The kernel writes the length of each message into its
 * header right after it has sent it, before anything can kill the process; so who restores the
 * state finds exactly how far a batch came that was in flight: batch_progress().
 */
struct batch {
    struct mmsghdr headers[BATCH_MAX];
    struct iovec vectors[BATCH_MAX];
    uint8_t bytes[BATCH_MAX][WIRE_SIZE];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control[BATCH_MAX];
    struct batch_effect effects[BATCH_MAX];
    uint32_t count;
    uint32_t peer;
    uint32_t in_flight;
};

/** batch_init() - lay out the headers; the batch must not move in memory afterwards */
void batch_init(struct batch *batch);

/**
 * batch_begin() - empty the batch
 * @batch: the batch
 * @peer:  ID of the peer that it is for
 */
void batch_begin(struct batch *batch, unsigned peer);

/**
 * batch_add() - add one message
 * @batch: not full
 * @value: what to send
 * @fd:    descriptor to go with it, -1 for none; stays the caller's
 */
void batch_add(struct batch *batch, int64_t value, int fd);

/** batch_note() - remember what the message that was added last changes */
void batch_note(struct batch *batch, struct batch_effect effect);

/**
 * batch_send() - send what was added, as far as the socket takes it, without waiting
 * @batch: not empty
 * @sock:  UNIX stream socket
 *
 * Until batch_recorded() the batch counts as in flight.
 *
 * Return: how many messages went out, 1 or more, or a negative errno of sendmmsg(2) when none did.
 */
int batch_send(struct batch *batch, int sock);

/** batch_recorded() - what went out is in the peer's record now */
void batch_recorded(struct batch *batch);

/** batch_progress() - how many messages of a batch in flight went out, 0 if none is in flight */
unsigned batch_progress(const struct batch *batch);

#endif
