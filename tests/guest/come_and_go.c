/* SPDX-License-Identifier: MIT
 *
 * Clients that stay for a moment: each connects, reads until it has heard its own first doorbell,
 * and closes.
 *
 *   come_and_go SOCKET COUNT
 *
 * comes and goes COUNT times, one after the other, and prints the lowest and the highest ID it was
 * given. Exit status 1 with a message when it was not let in.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Return: the connected socket, or -1 after a message. */
static int come(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (sock >= 0 && connect(sock, (struct sockaddr *)&address, sizeof(address)) == 0)
        return sock;
    fprintf(stderr, "come_and_go: %s: %s\n", path, strerror(errno));
    if (sock >= 0)
        close(sock);
    return -1;
}

/* Reads one message and closes its descriptor. Return: whether it had one, or -1. */
static int read_message(int sock, int64_t *value)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {.iov_base = value, .iov_len = sizeof(*value)};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header;
    int fd;

    if (recvmsg(sock, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) != sizeof(*value))
        return -1;
    header = CMSG_FIRSTHDR(&message);
    if (!header)
        return 0;
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    close(fd);
    return 1;
}

/* Return: our ID, or -1 when the server does not want us. */
static int64_t stay(int sock)
{
    int64_t value, id = -1;

    if (read_message(sock, &value) != 0 || value != 0 || read_message(sock, &id) != 0 || id < 0)
        return -1;
    do
        if (read_message(sock, &value) != 1)
            return -1;
    while (value != id);
    return id;
}

int main(int argc, char **argv)
{
    long lowest = -1, highest = -1;
    long count = argc == 3 ? atol(argv[2]) : 0;

    if (count <= 0) {
        fprintf(stderr, "Usage: come_and_go SOCKET COUNT\n");
        return 2;
    }
    for (long i = 0; i < count; i++) {
        int sock = come(argv[1]);
        long id;

        if (sock < 0)
            return 1;
        id = (long)stay(sock);
        close(sock);
        if (id < 0) {
            fprintf(stderr, "come_and_go: turned away, visit %ld of %ld\n", i + 1, count);
            return 1;
        }
        lowest = lowest < 0 || id < lowest ? id : lowest;
        highest = id > highest ? id : highest;
    }
    printf("%ld %ld\n", lowest, highest);
    return 0;
}
