/* SPDX-License-Identifier: MIT */
/*
 * Virtual memory: all of the first 4 GiB at its own address, and one movable window for what lies
 * above.
 */
#ifndef GUEST_PAGING_H
#define GUEST_PAGING_H

#include <stdint.h>

void paging_init(void);
volatile uint8_t *paging_window(uint64_t address);

#endif
