/* SPDX-License-Identifier: MIT
 *
 * Joins a server, lists the peers, rings all of them, and waits until one rings back.
 *
 *     cc ring.c $(pkg-config --cflags --libs libivshmem) -o ring
 *     ./ring unix:/tmp/ivshmem_socket
 *
 * Exit: 0 when somebody rang, 1 on a failure, 2 when nobody did within five seconds.
 */
#include <errno.h>
#include <ivshmem.h>
#include <stdio.h>
#include <string.h>

static int list_and_ring(struct ivshmem *iv)
{
    printf("we are peer %d, the memory has %llu bytes\n", ivshmem_id(iv),
           (unsigned long long)ivshmem_memory_size(iv));
    for (int peer = ivshmem_next_peer(iv, -1); peer >= 0; peer = ivshmem_next_peer(iv, peer))
        printf("peer %d has %d vectors\n", peer, ivshmem_vectors(iv, (unsigned)peer));
    fflush(stdout);
    return ivshmem_ring_all(iv);
}

int main(int argc, char **argv)
{
    struct ivshmem *iv;
    int r = ivshmem_new(&iv, NULL, NULL);

    if (r < 0) {
        fprintf(stderr, "ring: %s\n", strerror(-r));
        return 1;
    }
    r = ivshmem_open(iv, argc > 1 ? argv[1] : "unix:/tmp/ivshmem_socket");
    if (r == 0)
        r = ivshmem_wait_ready(iv, 5000);
    if (r == 0)
        r = list_and_ring(iv);
    if (r == 0)
        r = ivshmem_wait(iv, NULL, 0, 5000); /* any of our vectors */
    if (r >= 0)
        printf("somebody rang our vector %d\n", r);
    else
        fprintf(stderr, "ring: %s\n", ivshmem_error(iv));
    ivshmem_free(iv);
    return r >= 0 ? 0 : r == -ETIMEDOUT ? 2 : 1;
}
