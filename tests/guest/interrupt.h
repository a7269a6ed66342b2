/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: who gets which number, and how often each doorbell vector fired.
 *
 * An x86 processor has 256 interrupt numbers, of which 207 are free for the device. A device with
 * more vectors gets only the first 207 of them.
 */
#ifndef GUEST_INTERRUPT_H
#define GUEST_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

#define INTERRUPT_SERIAL    0x20
#define INTERRUPT_TIMER     0x21
#define INTERRUPT_DOORBELL  0x30 /* and up: one number for each vector of the device */
#define INTERRUPT_SPURIOUS  0xff
#define INTERRUPT_DOORBELLS (INTERRUPT_SPURIOUS - INTERRUPT_DOORBELL)

void interrupt_init(void);
bool interrupt_pending(void);
void interrupt_clear_pending(void);
uint32_t interrupt_count(unsigned int vector);
uint32_t interrupt_message_address(void);
void interrupt_timer(unsigned int ms);
bool interrupt_timer_is_over(void);

#endif
