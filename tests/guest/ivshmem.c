/* SPDX-License-Identifier: MIT */
/*
 * Finds the device, learns its memory, and turns its MSI-X interrupts on: vector V of the device
 * becomes interrupt number INTERRUPT_DOORBELL + V of the processor. Vectors for which no number is
 * left stay masked.
 */
#include "ivshmem.h"

#include "interrupt.h"
#include "paging.h"
#include "pci.h"

#define VENDOR              0x1af4
#define DEVICE              0x1110

#define REGISTER_IVPOSITION (8 / 4)
#define REGISTER_DOORBELL   (12 / 4)

#define CAPABILITY_MSIX     0x11
#define MSIX_ENABLE         0x80000000u
#define MSIX_MASK_ALL       0x40000000u

struct msix_entry {
    uint32_t address_low;
    uint32_t address_high;
    uint32_t data;
    uint32_t masked;
};

static bool below_4g(struct pci_bar bar)
{
    return bar.address != 0 && bar.size != 0 && bar.address + bar.size <= (uint64_t)1 << 32;
}

static const char *enable_interrupts(struct ivshmem *iv, pci_device device)
{
    unsigned int msix = pci_capability(device, CAPABILITY_MSIX);
    volatile struct msix_entry *table;
    struct pci_bar bar;
    uint32_t control, where;

    if (msix == 0)
        return "the ivshmem device has no MSI-X: start QEMU with -device "
               "ivshmem-doorbell,vectors=N";
    control = pci_read(device, msix);
    where = pci_read(device, msix + 4); /* low three bits: which BAR; the rest: offset in it */
    iv->vectors = (control >> 16 & 0x7ff) + 1;
    iv->enabled = iv->vectors;
    if (iv->enabled > INTERRUPT_DOORBELLS)
        iv->enabled = INTERRUPT_DOORBELLS;

    bar = pci_bar(device, where & 7);
    if (!below_4g(bar) || (where & ~7u) + iv->vectors * sizeof(*table) > bar.size)
        return "the ivshmem device's MSI-X table (BAR1) is out of reach";
    table = (volatile struct msix_entry *)(uintptr_t)(bar.address + (where & ~7u));

    pci_write(device, msix, control | MSIX_ENABLE | MSIX_MASK_ALL);
    for (unsigned int i = 0; i < iv->vectors; i++) {
        table[i].address_low = interrupt_message_address();
        table[i].address_high = 0;
        table[i].data = i < iv->enabled ? INTERRUPT_DOORBELL + i : 0;
        table[i].masked = i >= iv->enabled;
    }
    pci_write(device, msix, (control | MSIX_ENABLE) & ~MSIX_MASK_ALL);
    return NULL;
}

/**
 * ivshmem_init() - find the device and make it ready: memory known, interrupts on
 * @iv: filled in
 *
 * Return: NULL, or what is missing.
 */
const char *ivshmem_init(struct ivshmem *iv)
{
    struct pci_bar registers, memory;
    pci_device device;

    if (!pci_find(VENDOR, DEVICE, &device))
        return "no ivshmem device (PCI 1af4:1110): start QEMU with -device ivshmem-doorbell";

    registers = pci_bar(device, 0);
    if (!below_4g(registers))
        return "the ivshmem device's registers (BAR0) are out of reach";
    memory = pci_bar(device, 2);
    if (memory.size == 0)
        return "the ivshmem device has no shared memory (BAR2 is absent)";
    if (memory.address == 0)
        return "the firmware found no place for the shared memory (BAR2)";
    pci_enable(device);

    iv->registers = (volatile uint32_t *)(uintptr_t)registers.address;
    iv->memory = memory.address;
    iv->memory_size = memory.size;
    iv->peer_id = iv->registers[REGISTER_IVPOSITION];
    if (iv->peer_id > UINT16_MAX)
        return "the ivshmem device has no peer ID (IVPosition): is its server there?";
    return enable_interrupts(iv, device);
}

/**
 * ivshmem_in_range() - do these bytes lie in the shared memory?
 * @iv: the device
 * @offset: of the first byte
 * @length: bytes
 */
bool ivshmem_in_range(const struct ivshmem *iv, uint64_t offset, uint64_t length)
{
    return offset <= iv->memory_size && length <= iv->memory_size - offset;
}

/**
 * ivshmem_get() - read one byte of the shared memory
 * @iv: the device
 * @offset: below memory_size
 */
uint8_t ivshmem_get(const struct ivshmem *iv, uint64_t offset)
{
    return *paging_window(iv->memory + offset);
}

/**
 * ivshmem_put() - write one byte of the shared memory
 * @iv: the device
 * @offset: below memory_size
 * @byte: what to write
 */
void ivshmem_put(const struct ivshmem *iv, uint64_t offset, uint8_t byte)
{
    *paging_window(iv->memory + offset) = byte;
}

/**
 * ivshmem_ring() - ring one vector of a peer
 * @iv: the device
 * @peer: whom; a peer that is not there is no error
 * @vector: which; without KVM QEMU looks at its low 8 bits only
 */
void ivshmem_ring(const struct ivshmem *iv, uint16_t peer, uint16_t vector)
{
    iv->registers[REGISTER_DOORBELL] = (uint32_t)peer << 16 | vector;
}
