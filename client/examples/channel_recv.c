/* SPDX-License-Identifier: MIT
 *
 * Writes the message that channel_send.c sends to standard output.
 *
 *     cc channel_recv.c $(pkg-config --cflags --libs libivshmem) -o channel_recv
 *     ./channel_recv unix:/tmp/ivshmem_socket PORT >FILE
 *
 * It says on standard error which peer it is: who sends has to know. Exit: 0 when the message has
 * come to its end; what was written before a failure is not all of it.
 */
#include <ivshmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int receive_message(struct ivshmem_channel *channel)
{
    bool more = true;
    ssize_t r = 0;

    while (r >= 0 && more) {
        const void *piece;
        size_t size;

        r = ivshmem_peek(channel, &piece, &size, &more);
        if (r < 0)
            break;
        fwrite(piece, 1, size, stdout); /* from the ring, without a copy of ours */
        r = ivshmem_release(channel);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? (int)r : -1;
}

int main(int argc, char **argv)
{
    struct ivshmem_channel *channel = NULL;
    struct ivshmem_offer offer;
    struct ivshmem *iv;
    int r;

    if (argc != 3) {
        fprintf(stderr, "usage: channel_recv SERVER PORT\n");
        return 1;
    }
    r = ivshmem_new(&iv, NULL, NULL);
    if (r < 0) {
        fprintf(stderr, "channel_recv: %s\n", strerror(-r));
        return 1;
    }
    r = ivshmem_open(iv, argv[1]);
    if (r == 0)
        r = ivshmem_wait_ready(iv, 5000);
    if (r == 0)
        r = ivshmem_listen(iv, (uint32_t)strtoul(argv[2], NULL, 0));
    if (r == 0)
        fprintf(stderr, "we are peer %d\n", ivshmem_id(iv));
    if (r == 0)
        r = ivshmem_next_offer(iv, 0, -1, &offer);
    if (r == 0)
        r = ivshmem_accept(iv, &offer, &channel);
    if (r == 0)
        r = receive_message(channel);
    if (r < 0) {
        const char *text = ivshmem_error(iv);

        fprintf(stderr, "channel_recv: %s\n", *text ? text : strerror(-r));
    }
    ivshmem_close(channel);
    ivshmem_free(iv);
    return r < 0 ? 1 : 0;
}
