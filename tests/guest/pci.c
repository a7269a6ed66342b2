/* SPDX-License-Identifier: MIT */
/*
 * PCI by the oldest way there is: the address goes to port 0xcf8, the value comes from port 0xcfc.
 * The firmware has placed all BARs already; we only ask where they are, and how large: the bits of
 * an address that a device keeps at 0 when we write ones are the bits inside its range.
 */
#include "pci.h"

#include "cpu.h"

#define CONFIG_ADDRESS      0xcf8
#define CONFIG_DATA         0xcfc

#define PCI_ID              0x00
#define PCI_COMMAND         0x04 /* high half: status; zeros written there change nothing */
#define PCI_BAR0            0x10
#define PCI_CAPABILITIES    0x34

#define COMMAND_MEMORY      0x2
#define COMMAND_MASTER      0x4
#define STATUS_CAPABILITIES (0x10u << 16)
#define BAR_64_BIT          0x4

/**
 * pci_read() - read 32 bits of a device's configuration space
 * @device: which
 * @offset: bytes, a multiple of 4
 */
uint32_t pci_read(pci_device device, unsigned int offset)
{
    cpu_out32(CONFIG_ADDRESS, device | (offset & 0xfc));
    return cpu_in32(CONFIG_DATA);
}

/**
 * pci_write() - write 32 bits of a device's configuration space
 * @device: which
 * @offset: bytes, a multiple of 4
 * @value: what to write
 */
void pci_write(pci_device device, unsigned int offset, uint32_t value)
{
    cpu_out32(CONFIG_ADDRESS, device | (offset & 0xfc));
    cpu_out32(CONFIG_DATA, value);
}

/**
 * pci_find() - find the first device of a kind, on any bus
 * @vendor: PCI vendor ID
 * @device: PCI device ID
 * @found: set to the device
 *
 * Return: true if there is one.
 */
bool pci_find(uint16_t vendor, uint16_t device, pci_device *found)
{
    for (uint32_t slot = 0; slot < 256 * 32; slot++) {
        pci_device first = 0x80000000u | slot << 11;

        if (pci_read(first, PCI_ID) == 0xffffffffu)
            continue; /* no function 0: nothing in this slot */
        for (uint32_t function = 0; function < 8; function++) {
            pci_device candidate = first | function << 8;

            if (pci_read(candidate, PCI_ID) == ((uint32_t)device << 16 | vendor)) {
                *found = candidate;
                return true;
            }
        }
    }
    return false;
}

/**
 * pci_bar() - where a memory BAR is, and how large
 * @device: which; its memory decoding is off for a moment
 * @index: 0..5
 */
struct pci_bar pci_bar(pci_device device, unsigned int index)
{
    unsigned int at = PCI_BAR0 + 4 * index;
    uint32_t command = pci_read(device, PCI_COMMAND) & 0xffff;
    uint32_t low = pci_read(device, at), high = 0;
    uint32_t low_mask, high_mask = 0xffffffffu;

    /* With decoding on, the range would lie over other memory while we write the ones. */
    pci_write(device, PCI_COMMAND, command & ~(uint32_t)COMMAND_MEMORY);
    pci_write(device, at, 0xffffffffu);
    low_mask = pci_read(device, at) & ~15u;
    pci_write(device, at, low);
    if (low & BAR_64_BIT) {
        high = pci_read(device, at + 4);
        pci_write(device, at + 4, 0xffffffffu);
        high_mask = pci_read(device, at + 4);
        pci_write(device, at + 4, high);
    }
    pci_write(device, PCI_COMMAND, command);

    if (low_mask == 0 && (high_mask == 0 || !(low & BAR_64_BIT)))
        return (struct pci_bar){0, 0};
    return (struct pci_bar){
        .address = (uint64_t)high << 32 | (low & ~15u),
        .size = ~((uint64_t)high_mask << 32 | low_mask) + 1,
    };
}

/**
 * pci_capability() - where in configuration space a capability is
 * @device: which
 * @id: capability ID
 *
 * Return: its offset, or 0 if the device does not have it.
 */
unsigned int pci_capability(pci_device device, uint8_t id)
{
    unsigned int at;

    if (!(pci_read(device, PCI_COMMAND) & STATUS_CAPABILITIES))
        return 0;
    at = pci_read(device, PCI_CAPABILITIES) & 0xfc;
    /* Bounded, should the list be a circle: 48 capabilities fill the space. */
    for (unsigned int i = 0; at != 0 && i < 48; i++) {
        uint32_t head = pci_read(device, at);

        if ((head & 0xff) == id)
            return at;
        at = head >> 8 & 0xfc;
    }
    return 0;
}

/**
 * pci_enable() - let a device answer at its BARs and send interrupt messages
 * @device: which
 */
void pci_enable(pci_device device)
{
    uint32_t command = pci_read(device, PCI_COMMAND) & 0xffff;

    pci_write(device, PCI_COMMAND, command | COMMAND_MEMORY | COMMAND_MASTER);
}
