/* SPDX-License-Identifier: MIT */
/*
 * Interrupt descriptor table, local APIC and I/O APIC.
 *
 * The device sends its interrupts as messages (MSI-X) straight to the local APIC. The serial port
 * and the timer come through the I/O APIC. The handler does as little as can be: it counts,
 * acknowledges, and raises a flag for the main loop. So a flood of interrupts costs counts and no
 * text, and each vector that fired is seen at least once.
 */
#include "interrupt.h"

#include <stddef.h>

#include "cpu.h"
#include "serial.h"

#define APIC_BASE_REGISTER    0x1b /* model-specific register */
#define APIC_ENABLE           0x800
#define APIC_ID               0x20
#define APIC_TASK_PRIORITY    0x80
#define APIC_END_OF_INTERRUPT 0xb0
#define APIC_SPURIOUS         0xf0
#define APIC_SOFTWARE_ENABLE  0x100

#define IO_APIC               0xfec00000u
#define IO_APIC_SELECT        0x00
#define IO_APIC_VALUE         0x10
#define IO_APIC_ROUTE(line)   (0x10 + 2 * (line))
#define SERIAL_LINE           4
#define TIMER_LINE            2 /* what was interrupt 0 of the old controllers */

#define TIMER                 0x40
#define TIMER_CONTROL         0x43
#define TIMER_ONCE            0x30 /* counter 0, both bytes, one interrupt when it is at 0 */
#define TIMER_TICKS           1193 /* in a millisecond */

#define GATE_INTERRUPT        0x8e00 /* present, 32 bits, interrupts off while the handler runs */
#define CODE_SEGMENT          0x08   /* of the table in start.S */

/* What start.S calls, and where its entries begin. */
void interrupt_handle(uint32_t number);
extern const char interrupt_entries[256][16];

static uint32_t descriptors[256][2];
static uintptr_t apic;
static volatile uint32_t counts[INTERRUPT_DOORBELLS];
static volatile bool pending, timer_over;

static volatile uint32_t *apic_register(unsigned int offset)
{
    return (volatile uint32_t *)(apic + offset);
}

static void apic_init(void)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(APIC_BASE_REGISTER));
    __asm__ volatile("wrmsr" : : "a"(low | APIC_ENABLE), "d"(high), "c"(APIC_BASE_REGISTER));
    apic = low & 0xfffff000u;
    *apic_register(APIC_TASK_PRIORITY) = 0;
    *apic_register(APIC_SPURIOUS) = APIC_SOFTWARE_ENABLE | INTERRUPT_SPURIOUS;
}

static void io_apic_write(uint32_t select, uint32_t value)
{
    *(volatile uint32_t *)(IO_APIC + IO_APIC_SELECT) = select;
    *(volatile uint32_t *)(IO_APIC + IO_APIC_VALUE) = value;
}

/**
 * interrupt_init() - set up the tables and both APICs; interrupts stay off
 */
void interrupt_init(void)
{
    struct {
        uint16_t limit;
        void *base;
    } __attribute__((packed)) pointer = {sizeof(descriptors) - 1, descriptors};

    for (size_t i = 0; i < 256; i++) {
        uintptr_t entry = (uintptr_t)interrupt_entries[i];

        descriptors[i][0] = CODE_SEGMENT << 16 | (entry & 0xffff);
        descriptors[i][1] = (entry & 0xffff0000u) | GATE_INTERRUPT;
    }
    __asm__ volatile("lidt %0" : : "m"(pointer), "m"(descriptors));

    /* The two old interrupt controllers stay silent. */
    cpu_out8(0x21, 0xff);
    cpu_out8(0xa1, 0xff);

    apic_init();
    io_apic_write(IO_APIC_ROUTE(SERIAL_LINE) + 1, *apic_register(APIC_ID));
    io_apic_write(IO_APIC_ROUTE(SERIAL_LINE), INTERRUPT_SERIAL);
    io_apic_write(IO_APIC_ROUTE(TIMER_LINE) + 1, *apic_register(APIC_ID));
    io_apic_write(IO_APIC_ROUTE(TIMER_LINE), INTERRUPT_TIMER);
    interrupt_timer(1); /* the firmware has it tick for ever */
}

/**
 * interrupt_handle() - what happens at each interrupt and processor exception
 * @number: 0..255, by the entry in start.S
 */
void interrupt_handle(uint32_t number)
{
    if (number < INTERRUPT_SERIAL) {
        serial_print("\nivshmem guest: processor exception %u\n", number);
        machine_fail("processor exception");
    }
    if (number == INTERRUPT_SPURIOUS)
        return; /* not in service, so there is nothing to acknowledge */
    if (number == INTERRUPT_TIMER)
        timer_over = true;
    if (number >= INTERRUPT_DOORBELL) {
        counts[number - INTERRUPT_DOORBELL]++;
        pending = true;
    }
    *apic_register(APIC_END_OF_INTERRUPT) = 0;
}

/**
 * interrupt_pending() - did a doorbell fire since interrupt_clear_pending()?
 */
bool interrupt_pending(void)
{
    return pending;
}

/**
 * interrupt_clear_pending() - take the flag back; call it before reading the counts
 */
void interrupt_clear_pending(void)
{
    pending = false;
}

/**
 * interrupt_count() - how many interrupts a vector has had since boot
 * @vector: below INTERRUPT_DOORBELLS
 *
 * Return: the count; it wraps at 2^32.
 */
uint32_t interrupt_count(unsigned int vector)
{
    return counts[vector];
}

/**
 * interrupt_message_address() - where an interrupt message for this processor has to be written
 */
uint32_t interrupt_message_address(void)
{
    return 0xfee00000u | (*apic_register(APIC_ID) >> 24) << 12;
}

/**
 * interrupt_timer() - have an interrupt after some time, once
 * @ms: milliseconds, 1 to 50; it replaces what was asked for before
 */
void interrupt_timer(unsigned int ms)
{
    uint32_t ticks = ms * TIMER_TICKS;

    cpu_out8(TIMER_CONTROL, TIMER_ONCE); /* it stops */
    timer_over = false;
    cpu_out8(TIMER, (uint8_t)ticks);
    cpu_out8(TIMER, (uint8_t)(ticks >> 8));
}

/**
 * interrupt_timer_is_over() - has that time passed?
 */
bool interrupt_timer_is_over(void)
{
    return timer_over;
}
