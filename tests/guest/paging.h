/* SPDX-License-Identifier: MIT */
/*
 * Virtual memory: all of the first 4 GiB at its own address, one movable window for what lies
 * above, and a view of up to half a GiB that stays.
 */
#ifndef GUEST_PAGING_H
#define GUEST_PAGING_H

#include <stdint.h>

void paging_init(void);
volatile uint8_t *paging_window(uint64_t address);
uint8_t *paging_view(uint64_t address, uint64_t *size);

#endif
