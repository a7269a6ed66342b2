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

void batch_add(struct batch *batch, int64_t value, int fd)
{
    unsigned i = batch->count++;

    assert(i < BATCH_MAX);
    wire_encode(batch->bytes[i], value);
    batch->headers[i].msg_hdr.msg_controllen = fd < 0 ? 0 : sizeof(batch->control[i]);
    if (fd >= 0)
        memcpy(CMSG_DATA(&batch->control[i].header), &fd, sizeof(fd));
}

int batch_send(struct batch *batch, int sock)
{
    int sent = sendmmsg(sock, batch->headers, batch->count, MSG_DONTWAIT | MSG_NOSIGNAL);

    return sent < 0 ? -errno : sent;
}
