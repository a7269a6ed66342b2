/* SPDX-License-Identifier: MIT */
/*
 * See text.h.
 */
#include "text.h"

/**
 * text_skip_spaces() - to the first byte that is no space
 * @text: ends with a NUL
 */
const char *text_skip_spaces(const char *text)
{
    while (*text == ' ')
        text++;
    return text;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/**
 * text_number() - one number, decimal or 0x..., that ends at a space or the end of the text
 * @text: moves to what follows
 * @max: the largest that is allowed
 * @number: set to it
 *
 * Return: false if there is none, or a larger one; then nothing moves.
 */
bool text_number(const char **text, uint64_t max, uint64_t *number)
{
    const char *at = text_skip_spaces(*text);
    int base = at[0] == '0' && (at[1] | 0x20) == 'x' ? 16 : 10;
    uint64_t value = 0;

    if (base == 16)
        at += 2;
    if (hex_digit(*at) < 0)
        return false;
    for (; *at && *at != ' '; at++) {
        int digit = hex_digit(*at);

        if (digit < 0 || digit >= base || value >> 59)
            return false;
        value = value * (unsigned int)base + (unsigned int)digit;
    }
    if (value > max)
        return false;
    *text = text_skip_spaces(at);
    *number = value;
    return true;
}

/**
 * text_byte() - one byte of a text in which \xNN and \\ stand for bytes, as serial_put_escaped()
 * writes them
 * @text: moves to the next
 * @byte: set to it
 *
 * Return: false for a bad escape.
 */
bool text_byte(const char **text, uint8_t *byte)
{
    const char *at = *text;

    if (at[0] != '\\') {
        *byte = (uint8_t)at[0];
        *text = at + 1;
    } else if (at[1] == '\\') {
        *byte = '\\';
        *text = at + 2;
    } else if (at[1] == 'x' && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
        *byte = (uint8_t)(hex_digit(at[2]) << 4 | hex_digit(at[3]));
        *text = at + 4;
    } else {
        return false;
    }
    return true;
}
