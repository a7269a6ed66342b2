/* SPDX-License-Identifier: MIT
 *
 * Prints what clients put into the dataport, a line each, until it is killed. See print.h.
 *
 *     cc print_server.c $(pkg-config --cflags --libs libivshmem) -o print_server
 *     ./print_server unix:/tmp/ivshmem_socket
 */
#include <errno.h>
#include <ivshmem.h>
#include <stdio.h>

#include "print.h"

/* The client can change the dataport at any time, so we look at a copy. */
static int print_line(struct ivshmem *iv, unsigned *client)
{
    struct dataport port;
    int r = ivshmem_read(iv, DATAPORT_OFFSET, &port, sizeof(port));

    if (r < 0)
        return r;
    *client = port.client;
    printf("%.*s\n", (int)sizeof(port.text), port.text);
    return fflush(stdout) == 0 ? 0 : -errno;
}

/* Who has just joined can ring us before we have heard of him: the news is on its way. */
static int tell(struct ivshmem *iv, unsigned client)
{
    const unsigned unused = DONE_PRINTING; /* nobody rings this one of ours */
    int r = ivshmem_ring(iv, client, DONE_PRINTING);

    for (int i = 0; r == -ENOENT && i < 100; i++) {
        ivshmem_wait(iv, &unused, 1, 10);
        r = ivshmem_ring(iv, client, DONE_PRINTING);
    }
    return r;
}

/* Until something fails. */
static void serve(struct ivshmem *iv)
{
    const unsigned event = DO_PRINT;

    for (;;) {
        unsigned client = 0;
        int r = ivshmem_wait(iv, &event, 1, -1);

        if (r >= 0)
            r = print_line(iv, &client);
        if (r < 0)
            return;
        if (tell(iv, client) < 0) /* it may have gone; the next one will not care */
            fprintf(stderr, "print_server: %s\n", ivshmem_error(iv));
    }
}

int main(int argc, char **argv)
{
    struct ivshmem *iv = NULL;
    int r = ivshmem_new(&iv, NULL, NULL);

    if (r == 0)
        r = ivshmem_open(iv, argc > 1 ? argv[1] : "unix:/tmp/ivshmem_socket");
    if (r == 0)
        r = ivshmem_wait_ready(iv, 10000);
    if (r == 0)
        serve(iv);
    fprintf(stderr, "print_server: %s\n", iv ? ivshmem_error(iv) : "out of memory");
    ivshmem_free(iv);
    return 1;
}
