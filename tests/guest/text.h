/* SPDX-License-Identifier: MIT */
/*
 * What stands in a command line: numbers, and text in which \xNN and \\ stand for bytes.
 */
#ifndef GUEST_TEXT_H
#define GUEST_TEXT_H

#include <stdbool.h>
#include <stdint.h>

const char *text_skip_spaces(const char *text);
bool text_number(const char **text, uint64_t max, uint64_t *number);
bool text_byte(const char **text, uint8_t *byte);

#endif
