/* SPDX-License-Identifier: MIT
 *
 * See fdpass.h. Facts from unix(7) and cmsg(3): a receiver whose control buffer has room for all
 * 253 descriptors that one message can carry sees MSG_CTRUNC only when its own table is full.
 */
#include "common/fdpass.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/cleanup.h"

enum { FDPASS_MAX = 253 }; /* SCM_MAX_FD of the kernel, unix(7) */

/* Keeps the first descriptor in *first if that is still -1, closes all others, counts them all. */
static size_t collect_descriptors(struct msghdr *header, int *first)
{
    struct cmsghdr *control;
    size_t count = 0;

    for (control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
            count++;
            if (*first < 0)
                *first = fd;
            else
                close_fd(fd);
        }
    }
    return count;
}

int fdpass_read(struct fdpass_reader *reader, int sock, int64_t *value, int *fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
    } control;

    while (reader->have < WIRE_SIZE) {
        struct iovec rest = {.iov_base = reader->bytes + reader->have,
                             .iov_len = WIRE_SIZE - reader->have};
        struct msghdr header = {.msg_iov = &rest,
                                .msg_iovlen = 1,
                                .msg_control = control.bytes,
                                .msg_controllen = sizeof(control)};
        int had = reader->fd >= 0;
        ssize_t got = recvmsg(sock, &header, MSG_CMSG_CLOEXEC);

        if (got < 0)
            return -errno;
        if (collect_descriptors(&header, &reader->fd) + (size_t)had > 1)
            return -EPROTO;
        if (header.msg_flags & MSG_CTRUNC)
            return -EMFILE;
        if (got == 0)
            return reader->have ? -EPIPE : 0;
        reader->have += (size_t)got;
    }
    *value = wire_decode(reader->bytes);
    *fd = steal_fd(&reader->fd);
    reader->have = 0;
    return 1;
}

void fdpass_reader_deinit(struct fdpass_reader *reader)
{
    reader->fd = close_fd(reader->fd);
    reader->have = 0;
}

int fdpass_write(int sock, int64_t value, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    uint8_t bytes[WIRE_SIZE];
    struct iovec whole = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    struct msghdr header = {.msg_iov = &whole, .msg_iovlen = 1};

    wire_encode(bytes, value);
    if (fd >= 0) {
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
        header.msg_control = control.bytes;
        header.msg_controllen = sizeof(control);
    }
    if (sendmsg(sock, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return -errno;
    return 0;
}
