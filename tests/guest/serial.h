/* SPDX-License-Identifier: MIT */
/*
 * The serial port COM1: lines out, bytes in, and the way to end the machine.
 *
 * Only the main loop prints. Interrupt handlers count and return, so no line is ever cut by
 * another.
 */
#ifndef GUEST_SERIAL_H
#define GUEST_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

void serial_init(void);
bool serial_has_input(void);
char serial_read(void);
void serial_put(char byte);
void serial_put_escaped(uint8_t byte);
void serial_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

void machine_off(void) __attribute__((noreturn));
void machine_fail(const char *reason) __attribute__((noreturn));

#endif
