/* SPDX-License-Identifier: MIT
 *
 * Sends what comes on standard input to a peer that runs channel_recv.c, as one message.
 *
 *     cc channel_send.c $(pkg-config --cflags --libs libivshmem) -o channel_send
 *     ./channel_send unix:/tmp/ivshmem_socket PEER PORT <FILE
 *
 * The message is sent in parts, as they are read, so it can be larger than the memory. A receiver
 * whose sender dies in the middle never takes the parts for the whole.
 */
#include <ivshmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int send_input(struct ivshmem_channel *channel)
{
    static char part[65536];
    size_t size;

    while ((size = fread(part, 1, sizeof(part), stdin)) > 0) {
        ssize_t r = ivshmem_send_part(channel, part, size, true);

        if (r < 0)
            return (int)r;
    }
    return ivshmem_send(channel, "", 0); /* the end of the message */
}

int main(int argc, char **argv)
{
    struct ivshmem_channel *channel = NULL;
    struct ivshmem *iv;
    int r;

    if (argc != 4) {
        fprintf(stderr, "usage: channel_send SERVER PEER PORT\n");
        return 1;
    }
    r = ivshmem_new(&iv, NULL, NULL);
    if (r < 0) {
        fprintf(stderr, "channel_send: %s\n", strerror(-r));
        return 1;
    }
    r = ivshmem_open(iv, argv[1]);
    if (r == 0)
        r = ivshmem_wait_ready(iv, 5000);
    if (r == 0)
        r = ivshmem_connect(iv, (unsigned)strtoul(argv[2], NULL, 0),
                            (uint32_t)strtoul(argv[3], NULL, 0), NULL, 5000, &channel);
    if (r == 0)
        r = send_input(channel);
    if (r < 0) {
        const char *text = ivshmem_error(iv);

        fprintf(stderr, "channel_send: %s\n", *text ? text : strerror(-r));
    }
    ivshmem_close(channel);
    ivshmem_free(iv);
    return r < 0 ? 1 : 0;
}
