/* SPDX-License-Identifier: MIT */
/*
 * The ivshmem-doorbell device: a peer ID, a shared memory, a doorbell register and an interrupt for
 * each vector.
 *
 *   BAR0  registers: interrupt mask and status (not used with MSI-X), IVPosition, Doorbell
 *   BAR1  the MSI-X table: for each vector, which message to send and whether it is masked
 *   BAR2  the shared memory
 */
#ifndef GUEST_IVSHMEM_H
#define GUEST_IVSHMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ivshmem {
    volatile uint32_t *registers;
    uint64_t memory;      /* physical address */
    uint64_t memory_size; /* bytes */
    uint32_t peer_id;
    unsigned int vectors; /* of the device */
    unsigned int enabled; /* of those, how many have an interrupt number */
};

const char *ivshmem_init(struct ivshmem *iv);
bool ivshmem_in_range(const struct ivshmem *iv, uint64_t offset, uint64_t length);
uint8_t ivshmem_get(const struct ivshmem *iv, uint64_t offset);
void ivshmem_put(const struct ivshmem *iv, uint64_t offset, uint8_t byte);
void ivshmem_ring(const struct ivshmem *iv, uint16_t peer, uint16_t vector);

#endif
