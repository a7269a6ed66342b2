/* SPDX-License-Identifier: MIT
 *
 * See batch.h.
 */
#include "server/batch.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

void batch_init(struct batch *batch)
{
    memset(batch, 0, sizeof(*batch));
    for (unsigned i = 0; i < BATCH_MAX; i++) {
        struct msghdr *header = &batch->headers[i].msg_hdr;

        batch->vectors[i].iov_base = batch->bytes[i];
        batch->vectors[i].iov_len = WIRE_SIZE;
        batch->control[i].header.cmsg_level = SOL_SOCKET;
        batch->control[i].header.cmsg_type = SCM_RIGHTS;
        batch->control[i].header.cmsg_len = CMSG_LEN(sizeof(int));
        header->msg_iov = &batch->vectors[i];
        header->msg_iovlen = 1;
        header->msg_control = &batch->control[i];
    }
}

void batch_begin(struct batch *batch, unsigned peer)
{
    batch->count = 0;
    batch->peer = peer;
}

void batch_add(struct batch *batch, int64_t value, int fd)
{
    unsigned i = batch->count++;

    assert(i < BATCH_MAX);
    wire_encode(batch->bytes[i], value);
    batch->headers[i].msg_len = 0;
    batch->headers[i].msg_hdr.msg_controllen = fd < 0 ? 0 : sizeof(batch->control[i]);
    if (fd >= 0)
        memcpy(CMSG_DATA(&batch->control[i].header), &fd, sizeof(fd));
}

void batch_note(struct batch *batch, struct batch_effect effect)
{
    batch->effects[batch->count - 1] = effect;
}

int batch_send(struct batch *batch, int sock)
{
    int sent;

    __atomic_store_n(&batch->in_flight, 1, __ATOMIC_RELEASE); /* after all that was written above */
    sent = sendmmsg(sock, batch->headers, batch->count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

void batch_recorded(struct batch *batch)
{
    __atomic_store_n(&batch->in_flight, 0, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* what is written next is of another batch */
}

unsigned batch_progress(const struct batch *batch)
{
    unsigned sent = 0, count = batch->count < BATCH_MAX ? batch->count : BATCH_MAX;

    while (batch->in_flight && sent < count && batch->headers[sent].msg_len)
        sent++;
    return sent;
}
