/* SPDX-License-Identifier: MIT */
/*
 * The 16550 serial port at 0x3f8, and a small printf.
 *
 * Output waits for the transmitter. Input is read by the main loop alone: the port's interrupt only
 * wakes the processor. No buffer is needed, because QEMU holds bytes back while the port's own
 * queue is full.
 */
#include "serial.h"

#include <stdarg.h>

#include "cpu.h"

#define COM1                  0x3f8
#define COM1_INTERRUPT_ENABLE (COM1 + 1)
#define COM1_FIFO_CONTROL     (COM1 + 2)
#define COM1_LINE_CONTROL     (COM1 + 3)
#define COM1_MODEM_CONTROL    (COM1 + 4)
#define COM1_LINE_STATUS      (COM1 + 5)

#define STATUS_HAS_INPUT      0x01
#define STATUS_CAN_SEND       0x20

/* Where QEMU's two PC machines (pc and q35) have the ACPI power register, and its debug-exit device
 * by convention. */
#define ACPI_POWER_CONTROL 0x604
#define ACPI_SOFT_OFF      0x2000
#define DEBUG_EXIT         0xf4

/**
 * serial_init() - 115200 baud, 8 bits, no parity; an interrupt for each byte that comes in
 */
void serial_init(void)
{
    cpu_out8(COM1_LINE_CONTROL, 0x80); /* the next two are the speed divisor */
    cpu_out8(COM1, 1);
    cpu_out8(COM1_INTERRUPT_ENABLE, 0);
    cpu_out8(COM1_LINE_CONTROL, 0x03);
    cpu_out8(COM1_FIFO_CONTROL, 0x01);  /* queue on, interrupt at the first byte */
    cpu_out8(COM1_MODEM_CONTROL, 0x0b); /* the third bit lets the interrupt line out */
    cpu_out8(COM1_INTERRUPT_ENABLE, 0x01);
}

/**
 * serial_has_input() - is there a byte to read?
 */
bool serial_has_input(void)
{
    return cpu_in8(COM1_LINE_STATUS) & STATUS_HAS_INPUT;
}

/**
 * serial_read() - take one byte; only after serial_has_input() said yes
 */
char serial_read(void)
{
    return (char)cpu_in8(COM1);
}

/**
 * serial_put() - send one byte
 * @byte: the byte; a newline goes out as CR LF
 */
void serial_put(char byte)
{
    if (byte == '\n')
        serial_put('\r');
    while (!(cpu_in8(COM1_LINE_STATUS) & STATUS_CAN_SEND))
        ;
    cpu_out8(COM1, (uint8_t)byte);
}

/**
 * serial_put_escaped() - send a byte of which nobody knows what it is
 * @byte: printable ASCII goes out as it is, a backslash doubled, the rest as \xNN
 */
void serial_put_escaped(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";

    if (byte == '\\') {
        serial_put('\\');
        serial_put('\\');
    } else if (byte >= 0x20 && byte < 0x7f) {
        serial_put((char)byte);
    } else {
        serial_put('\\');
        serial_put('x');
        serial_put(digits[byte >> 4]);
        serial_put(digits[byte & 15]);
    }
}

static void put_text(const char *text)
{
    while (*text)
        serial_put(*text++);
}

/* By hand, because a division of 64 bits would need the compiler's run-time library. */
static void put_decimal(uint64_t value)
{
    char digits[21];
    char *at = digits + sizeof(digits) - 1;

    *at = '\0';
    do {
        uint32_t high = (uint32_t)(value >> 32), low = (uint32_t)value;
        uint32_t quotient, rest = high % 10;

        __asm__("divl %2" : "=a"(quotient), "+d"(rest) : "r"(10), "0"(low) : "cc");
        *--at = (char)('0' + rest);
        value = (uint64_t)(high / 10) << 32 | quotient;
    } while (value);
    put_text(at);
}

/**
 * serial_print() - a printf that knows %s, %u and %llu
 * @format: as for printf; anything else after a % is sent as it stands
 */
void serial_print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (; *format; format++) {
        if (*format != '%') {
            serial_put(*format);
        } else if (format[1] == 's') {
            put_text(va_arg(args, const char *));
            format++;
        } else if (format[1] == 'u') {
            put_decimal(va_arg(args, unsigned int));
            format++;
        } else if (format[1] == 'l' && format[2] == 'l' && format[3] == 'u') {
            put_decimal(va_arg(args, unsigned long long));
            format += 3;
        } else {
            serial_put('%');
        }
    }
    va_end(args);
}

/**
 * machine_off() - switch the machine off; QEMU exits with status 0
 */
void machine_off(void)
{
    cpu_interrupts_off();
    cpu_out16(ACPI_POWER_CONTROL, ACPI_SOFT_OFF);
    for (;;)
        __asm__ volatile("hlt");
}

/**
 * machine_fail() - print why the guest cannot go on, and end
 * @reason: what is wrong, without a newline
 *
 * QEMU exits with status 1 if it was given `-device isa-debug-exit,iobase=0xf4`, else with 0.
 */
void machine_fail(const char *reason)
{
    cpu_interrupts_off();
    serial_print("ivshmem guest: error: %s\n", reason);
    cpu_out8(DEBUG_EXIT, 0);
    machine_off();
}
