/* SPDX-License-Identifier: MIT
 *
 * Prints what clients put into the dataport, a line each, until it is killed. See print.h.
 *
 *     print_server [TARGET]
 */
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
    if (port.length > sizeof(port.text))
        port.length = sizeof(port.text);
    *client = port.client;
    printf("%.*s\n", (int)port.length, port.text);
    return fflush(stdout);
}

static int serve(struct ivshmem *iv)
{
    const unsigned event = DO_PRINT;

    for (;;) {
        unsigned client = 0;
        int r = ivshmem_wait(iv, &event, 1, -1);

        if (r >= 0)
            r = print_line(iv, &client);
        if (r < 0)
            return r;
        if (ivshmem_ring(iv, client, DONE_PRINTING) < 0)
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
        r = serve(iv);
    fprintf(stderr, "print_server: %s\n", iv ? ivshmem_error(iv) : "out of memory");
    ivshmem_free(iv);
    return 1;
}
