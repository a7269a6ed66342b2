/* SPDX-License-Identifier: MIT
 *
 * See hex.h.
 */
#include "client/shell/hex.h"

#include <inttypes.h>
#include <string.h>

static void make_text(char *text, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        text[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.';
    text[size] = '\0';
}

void hex_print(FILE *out, uint64_t offset, const uint8_t *bytes, size_t size)
{
    char text[HEX_ROW + 1];

    fprintf(out, "%08" PRIx64 " ", offset);
    for (size_t i = 0; i < HEX_ROW; i++) {
        if (i < size)
            fprintf(out, " %02x", bytes[i]);
        else
            fputs("   ", out);
        if (i == HEX_ROW / 2 - 1)
            fputc(' ', out);
    }
    make_text(text, bytes, size);
    fprintf(out, "  |%s|\n", text);
}

static void say_repeats(struct hex *hex)
{
    cJSON *object;

    if (!hex->repeats)
        return;
    object = emit_object("offset", hex->since);
    emit_add(object, "repeats", hex->repeats);
    emit(hex->emit, object, "*\n");
    hex->repeats = 0;
}

void hex_row(struct hex *hex, uint64_t offset, const uint8_t *bytes, size_t size)
{
    char text[HEX_ROW + 1];
    cJSON *object;

    if (hex->any && !hex->all && size == HEX_ROW && memcmp(hex->last, bytes, HEX_ROW) == 0) {
        if (!hex->repeats++)
            hex->since = offset;
        return;
    }
    say_repeats(hex);
    hex->any = size == HEX_ROW;
    memcpy(hex->last, bytes, size);
    if (!hex->emit->json) {
        if (!hex->emit->quiet)
            hex_print(hex->emit->out, offset, bytes, size);
        return;
    }
    object = emit_object("offset", offset);
    emit_add_hex(object, "hex", bytes, size);
    make_text(text, bytes, size);
    cJSON_AddStringToObject(object, "text", text);
    emit(hex->emit, object, NULL);
}

void hex_end(struct hex *hex, uint64_t offset)
{
    say_repeats(hex);
    if (!hex->emit->json && !hex->emit->quiet)
        fprintf(hex->emit->out, "%08" PRIx64 "\n", offset);
}
