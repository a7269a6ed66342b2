/* SPDX-License-Identifier: MIT
 *
 * Has the print server print its arguments, each on a line of its own. The server may be started
 * later: we wait until it is there. See print.h.
 *
 *     cc print_client.c $(pkg-config --cflags --libs libivshmem) -o print_client
 *     ./print_client unix:/tmp/ivshmem_socket hello "good bye"
 */
#include <ivshmem.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "print.h"

/* Peers come in the order in which we heard of them. */
static int lowest_peer(struct ivshmem *iv)
{
    int lowest = -1;

    for (int peer = ivshmem_next_peer(iv, -1); peer >= 0; peer = ivshmem_next_peer(iv, peer))
        if (lowest < 0 || peer < lowest)
            lowest = peer;
    return lowest;
}

/* Waits until there is a server. Return: its ID, or an error. */
static int find_server(struct ivshmem *iv)
{
    struct pollfd news = {.fd = ivshmem_fd(iv), .events = POLLIN};
    int r = 0;

    while (r == 0 && lowest_peer(iv) < 0) {
        poll(&news, 1, -1);
        r = ivshmem_dispatch(iv);
    }
    return r < 0 ? r : lowest_peer(iv);
}

/* What does not fit is left out. */
static int print(struct ivshmem *iv, unsigned server, const char *text)
{
    const unsigned event = DONE_PRINTING;
    struct dataport port = {.client = (uint32_t)ivshmem_id(iv)};
    size_t length = strlen(text);
    int r;

    if (length > sizeof(port.text) - 1)
        length = sizeof(port.text) - 1;
    memcpy(port.text, text, length);
    r = ivshmem_write(iv, DATAPORT_OFFSET, &port, sizeof(port));
    if (r == 0)
        r = ivshmem_ring(iv, server, DO_PRINT);
    if (r == 0)
        r = ivshmem_wait(iv, &event, 1, 60000); /* a server that died does not answer */
    return r;
}

int main(int argc, char **argv)
{
    const unsigned event = DONE_PRINTING;
    struct ivshmem *iv = NULL;
    int r = ivshmem_new(&iv, NULL, NULL), server = 0;

    if (argc < 3) {
        fprintf(stderr, "Usage: print_client TARGET TEXT...\n");
        ivshmem_free(iv);
        return 1;
    }
    if (r == 0)
        r = ivshmem_open(iv, argv[1]);
    if (r == 0)
        r = ivshmem_wait_ready(iv, 10000);
    if (r == 0)
        r = server = find_server(iv);
    if (r >= 0)
        ivshmem_wait(iv, &event, 1, 0); /* forget the answer to who had this place before us */
    for (int i = 2; r >= 0 && i < argc; i++)
        r = print(iv, (unsigned)server, argv[i]);
    if (r < 0)
        fprintf(stderr, "print_client: %s\n", iv ? ivshmem_error(iv) : "out of memory");
    ivshmem_free(iv);
    return r < 0;
}
