/* SPDX-License-Identifier: MIT
 *
 * CRC32C (Castagnoli), as iSCSI and SSE 4.2 have it. With the processor's instruction where it is
 * compiled for x86-64 with a libc and the processor has it, else with tables. crc32c.c needs no
 * libc: who has none compiles it along.
 */
#ifndef IVSHMEM_CRC32C_H
#define IVSHMEM_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/**
 * crc32c() - the CRC32C of some bytes
 * @crc:  0, or that of the bytes before these
 * @data: the bytes
 * @size: how many
 *
 * Return: the CRC32C of all bytes so far; of none it is 0.
 */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/**
 * crc32c_copy() - copy bytes that do not overlap, and take the CRC32C of what was copied
 * @crc:  0, or that of the bytes before these
 * @to:   where to
 * @from: where from; each byte is loaded once, so what was checked is what lies in @to
 * @size: how many
 *
 * Return: the CRC32C of all bytes so far.
 */
uint32_t crc32c_copy(uint32_t crc, void *to, const void *from, size_t size);

/**
 * crc32c_copy_table() - crc32c_copy() without the processor's help; for tests
 * @crc:  as there
 * @to:   as there, or NULL: only look
 * @from: as there
 * @size: as there
 *
 * Return: as there.
 */
uint32_t crc32c_copy_table(uint32_t crc, void *to, const void *from, size_t size);

#endif
