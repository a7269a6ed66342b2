/* SPDX-License-Identifier: MIT
 *
 * Rows of bytes as people read them: those of `hexdump -C`.
 */
#ifndef IVSHMEM_HEX_H
#define IVSHMEM_HEX_H

#include <stddef.h>
#include <stdint.h>

#include "client/shell/emit.h"

enum { HEX_ROW = 16 };

/**
 * struct hex - rows being printed
 * @emit:    where to
 * @all:     also those that are like the one before
 * @last:    the row before
 * @any:     there was one
 * @repeats: rows left out since then
 * @since:   offset of the first of them
 */
struct hex {
    const struct emit *emit;
    bool all, any;
    uint8_t last[HEX_ROW];
    uint64_t repeats, since;
};

/**
 * hex_row() - print a row
 * @hex:    rows so far; zeroed but for @emit and @all at first
 * @offset: of the row in the memory
 * @bytes:  up to HEX_ROW
 * @size:   how many
 */
void hex_row(struct hex *hex, uint64_t offset, const uint8_t *bytes, size_t size);

/**
 * hex_end() - no row follows
 * @hex:    the rows
 * @offset: where they end; printed as the last line
 */
void hex_end(struct hex *hex, uint64_t offset);

/** hex_print() - print a row as a line, whatever was before */
void hex_print(FILE *out, uint64_t offset, const uint8_t *bytes, size_t size);

#endif
