/* SPDX-License-Identifier: MIT
 *
 * Has the print server print its arguments, each on a line of its own. The server may be started
 * later: we wait until another peer is there. See print.h.
 *
 *     print_client TARGET TEXT...
 */
#include <ivshmem.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "print.h"

/* Return: the ID of the first other peer that has the event, or an error. */
static int find_server(struct ivshmem *iv)
{
    int r = 0;

    while (r == 0) {
        struct pollfd news = {.fd = ivshmem_fd(iv), .events = POLLIN};
        int peer = ivshmem_next_peer(iv, -1);

        if (peer >= 0 && ivshmem_vectors(iv, (unsigned)peer) > DO_PRINT)
            return peer;
        poll(&news, 1, -1);
        r = ivshmem_dispatch(iv);
    }
    return r;
}

static int print(struct ivshmem *iv, unsigned server, const char *text)
{
    const unsigned event = DONE_PRINTING;
    struct dataport port = {.client = (uint32_t)ivshmem_id(iv)};
    size_t length = strlen(text);
    int r;

    if (length > sizeof(port.text))
        length = sizeof(port.text);
    port.length = (uint32_t)length;
    memcpy(port.text, text, length);
    r = ivshmem_write(iv, DATAPORT_OFFSET, &port, sizeof(port));
    if (r == 0)
        r = ivshmem_ring(iv, server, DO_PRINT);
    if (r == 0)
        r = ivshmem_wait(iv, &event, 1, 10000); /* a server that died does not answer */
    return r;
}

int main(int argc, char **argv)
{
    struct ivshmem *iv = NULL;
    int r = ivshmem_new(&iv, NULL, NULL), server = 0;

    if (argc < 3) {
        fprintf(stderr, "Usage: print_client TARGET TEXT...\n");
        return 1;
    }
    if (r == 0)
        r = ivshmem_open(iv, argv[1]);
    if (r == 0)
        r = ivshmem_wait_ready(iv, 10000);
    if (r == 0)
        r = server = find_server(iv);
    for (int i = 2; r >= 0 && i < argc; i++)
        r = print(iv, (unsigned)server, argv[i]);
    if (r < 0)
        fprintf(stderr, "print_client: %s\n", iv ? ivshmem_error(iv) : "out of memory");
    ivshmem_free(iv);
    return r < 0;
}
