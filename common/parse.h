/* SPDX-License-Identifier: MIT
 *
 * Text to numbers, strictly: the whole text or nothing, overflow is an error, no locale.
 */
#ifndef IVSHMEM_PARSE_H
#define IVSHMEM_PARSE_H

#include <stdint.h>

/**
 * parse_unsigned() - read a decimal or 0x-hexadecimal number
 * @text: the whole text must be the number; no sign, no space
 * @min:  smallest value that is accepted
 * @max:  largest value that is accepted
 * @out:  the number; left alone on error
 *
 * Return: 0, -EINVAL when @text is not a number, -ERANGE when it is outside @min..@max.
 */
int parse_unsigned(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/**
 * parse_size() - read a size in QEMU's syntax
 * @text: decimal, with a fraction if a unit follows (`1.5M`), or 0x-hexadecimal; then nothing or
 *        one of b k m g t p e in either case, powers of 1024. Hexadecimal takes no `b` and no `e`:
 *        they are digits.
 * @out:  bytes, a fraction of a byte cut off; left alone on error
 *
 * Return: 0, -EINVAL when @text is not a size, -ERANGE when it does not fit in 63 bits.
 */
int parse_size(const char *text, uint64_t *out);

/**
 * round_up_power_of_two() - the power of two at or above a size
 * @size: bytes, 1 or more
 * @out:  the power of two; left alone on error
 *
 * Return: 0, or -ERANGE when it would not fit in 63 bits (off_t is signed).
 */
int round_up_power_of_two(uint64_t size, uint64_t *out);

/**
 * absolute_path() - the path from /, which still holds when the process has changed directory
 * @path: a path, not empty
 *
 * Return: a new string, or NULL when there is no memory or no way to here.
 */
char *absolute_path(const char *path);

/**
 * is_power_of_two() - whether QEMU could take a size for the memory BAR
 * @size: bytes
 */
static inline int is_power_of_two(uint64_t size)
{
    return size && !(size & (size - 1));
}

#endif
