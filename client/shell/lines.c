/* SPDX-License-Identifier: MIT
 *
 * See lines.h. One buffer, which grows with the longest command; each byte is looked at once.
 */
#include "client/shell/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lines_feed(struct lines *lines, const char *bytes, size_t count)
{
    size_t kept = lines->end - lines->start;

    if (lines->start > 0) {
        memmove(lines->data, lines->data + lines->start, kept);
        lines->scanned -= lines->start;
        lines->stop -= lines->found ? lines->start : 0;
        lines->start = 0;
        lines->end = kept;
    }
    if (lines->room < kept + count + 1) {
        size_t room = 2 * (kept + count + 1);
        char *data = realloc(lines->data, room);

        if (!data)
            return -ENOMEM;
        lines->data = data;
        lines->room = room;
    }
    memcpy(lines->data + lines->end, bytes, count);
    lines->end += count;
    return 0;
}

void lines_end(struct lines *lines)
{
    lines->ended = true;
}

static bool is_separator(char byte)
{
    return byte == '\n' || byte == '\r' || byte == ';';
}

static void find_stop(struct lines *lines)
{
    for (; lines->scanned < lines->end; lines->scanned++)
        if (is_separator(lines->data[lines->scanned])) {
            lines->stop = lines->scanned;
            lines->found = true;
            return;
        }
    if (lines->end - lines->start > LINES_MAX) {
        lines->too_long = true;
        lines->start = lines->scanned = lines->end = 0;
    }
    if (lines->ended && (lines->end > lines->start || lines->too_long)) {
        lines->stop = lines->end;
        lines->found = true;
    }
}

bool lines_peek(struct lines *lines, const char **text, size_t *length)
{
    if (!lines->found)
        find_stop(lines);
    if (!lines->found)
        return false;
    lines->data[lines->stop] = '\0';
    *text = lines->too_long ? NULL : lines->data + lines->start;
    *length = lines->stop - lines->start;
    return true;
}

void lines_drop(struct lines *lines)
{
    size_t next = lines->stop < lines->end ? lines->stop + 1 : lines->end;

    lines->start = lines->scanned = next;
    lines->found = lines->too_long = false;
}

void lines_deinit(struct lines *lines)
{
    free(lines->data);
    *lines = (struct lines){.data = NULL};
}
