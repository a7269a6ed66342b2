/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space: find a device, read and write its registers, ask for its memory ranges
 * (BARs).
 */
#ifndef GUEST_PCI_H
#define GUEST_PCI_H

#include <stdbool.h>
#include <stdint.h>

/* A device as the configuration mechanism addresses it: bit 31, bus << 16, device << 11, function
 * << 8. */
typedef uint32_t pci_device;

struct pci_bar {
    uint64_t address; /* physical; 0: the firmware found no place for it */
    uint64_t size;    /* bytes; 0: the device has no such BAR */
};

bool pci_find(uint16_t vendor, uint16_t device, pci_device *found);
uint32_t pci_read(pci_device device, unsigned int offset);
void pci_write(pci_device device, unsigned int offset, uint32_t value);
struct pci_bar pci_bar(pci_device device, unsigned int index);
unsigned int pci_capability(pci_device device, uint8_t id);
void pci_enable(pci_device device);

#endif
