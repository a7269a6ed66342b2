/* SPDX-License-Identifier: MIT */
/*
 * The firmware places a large shared memory above 4 GiB, where a 32-bit processor cannot point.
 * Paging with physical address extension reaches it: 2 MiB pages, each at its own address, but for
 * two places. One page, the window, shows any 2 MiB of the physical memory; and half a GiB, the
 * view, shows as much of it as stays in sight. Both take the place of RAM that we do not use.
 */
#include "paging.h"

#include <stddef.h>

#define PAGE_SIZE                      0x200000u
#define WINDOW                         0x800000u
#define VIEW                           0x40000000u
#define VIEW_SIZE                      0x20000000u

#define PAGE_PRESENT                   0x1
#define PAGE_WRITABLE                  0x2
#define PAGE_LARGE                     0x80

#define CR4_PHYSICAL_ADDRESS_EXTENSION 0x20
#define CR0_PAGING                     0x80000000u

static uint64_t directory[4 * 512] __attribute__((aligned(4096)));
static uint64_t directory_pointers[4] __attribute__((aligned(32)));

/**
 * paging_init() - map the first 4 GiB as they are and turn paging on
 */
void paging_init(void)
{
    uint32_t control;

    for (size_t i = 0; i < 4 * 512; i++)
        directory[i] = (uint64_t)i * PAGE_SIZE | PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE;
    for (size_t i = 0; i < 4; i++)
        directory_pointers[i] = (uintptr_t)&directory[i * 512] | PAGE_PRESENT;

    __asm__ volatile("mov %%cr4, %0" : "=r"(control));
    control |= CR4_PHYSICAL_ADDRESS_EXTENSION;
    __asm__ volatile("mov %0, %%cr4" : : "r"(control));
    __asm__ volatile("mov %0, %%cr3" : : "r"(directory_pointers) : "memory");
    __asm__ volatile("mov %%cr0, %0" : "=r"(control));
    control |= CR0_PAGING;
    __asm__ volatile("mov %0, %%cr0" : : "r"(control) : "memory");
}

/**
 * paging_window() - make a byte of physical memory reachable
 * @address: its physical address
 *
 * Return: where it is now. Valid to the end of its 2 MiB page and until the next call.
 */
volatile uint8_t *paging_window(uint64_t address)
{
    uint64_t entry =
        (address & ~(uint64_t)(PAGE_SIZE - 1)) | PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE;
    uint64_t *slot = &directory[WINDOW / PAGE_SIZE];
    uint64_t touched = 0x60; /* the processor's own marks in an entry: accessed, dirty */

    if ((*slot & ~touched) != entry) {
        *slot = entry;
        __asm__ volatile("invlpg (%0)" : : "r"(WINDOW) : "memory");
    }
    return (volatile uint8_t *)(WINDOW + (uint32_t)(address & (PAGE_SIZE - 1)));
}

/**
 * paging_view() - map physical memory once and for all
 * @address: physical, a multiple of 4096
 * @size: bytes; set to how many of them can be seen from now on, which may be fewer
 *
 * Return: where they are, as long as the machine runs.
 */
uint8_t *paging_view(uint64_t address, uint64_t *size)
{
    uint32_t offset = (uint32_t)(address & (PAGE_SIZE - 1));
    uint64_t page = address - offset;

    for (uint32_t at = VIEW; at < VIEW + VIEW_SIZE; at += PAGE_SIZE, page += PAGE_SIZE) {
        directory[at / PAGE_SIZE] = page | PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE;
        __asm__ volatile("invlpg (%0)" : : "r"(at) : "memory");
    }
    if (*size > VIEW_SIZE - offset)
        *size = VIEW_SIZE - offset;
    return (uint8_t *)(VIEW + offset);
}
