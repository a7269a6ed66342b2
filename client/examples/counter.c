/* SPDX-License-Identifier: MIT
 *
 * A counter in the shared memory that any number of processes count up, none of them losing a step.
 *
 *     cc counter.c $(pkg-config --cflags --libs libivshmem) -o counter
 *     ./counter unix:/tmp/ivshmem_socket 1000
 *
 * The counter is the 64-bit word at offset 0. The word at offset 8 keeps the largest process number
 * that took part, by compare and exchange: the way to do what there is no function for.
 */
#include <ivshmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNTER = 0, LARGEST = 8 };

static int count_up(struct ivshmem *iv, unsigned long times)
{
    int r = 0;

    while (r == 0 && times-- > 0)
        r = ivshmem_add64(iv, COUNTER, 1, NULL);
    return r;
}

static int keep_largest(struct ivshmem *iv, uint64_t number)
{
    uint64_t seen;
    int r = ivshmem_load64(iv, LARGEST, &seen);

    while (r == 0 && seen < number) {
        r = ivshmem_compare_exchange64(iv, LARGEST, &seen, number);
        if (r == 1)
            return 0;
    }
    return r;
}

int main(int argc, char **argv)
{
    uint64_t value = 0;
    struct ivshmem *iv;
    int r = ivshmem_new(&iv, NULL, NULL);

    if (r < 0) {
        fprintf(stderr, "counter: %s\n", strerror(-r));
        return 1;
    }
    r = ivshmem_open(iv, argc > 1 ? argv[1] : "unix:/tmp/ivshmem_socket");
    if (r == 0)
        r = ivshmem_wait_ready(iv, 5000);
    if (r == 0)
        r = count_up(iv, argc > 2 ? strtoul(argv[2], NULL, 0) : 1);
    if (r == 0)
        r = keep_largest(iv, (uint64_t)getpid());
    if (r == 0)
        r = ivshmem_load64(iv, COUNTER, &value);
    if (r == 0)
        printf("%llu\n", (unsigned long long)value);
    else
        fprintf(stderr, "counter: %s\n", ivshmem_error(iv));
    ivshmem_free(iv);
    return r == 0 ? 0 : 1;
}
