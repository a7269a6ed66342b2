/* SPDX-License-Identifier: MIT
 *
 * See words.h. No word grows by being read, so all of them fit in a copy of the line with one more
 * byte each; a word needs a byte and a blank at least.
 */
#include "client/shell/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t";

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit ? strchr(digits, digit | ('A' ^ 'a')) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* Reads what follows a backslash. Return: the byte, or -1. */
static int read_escape(const char **text)
{
    static const char names[] = "nt\\\"", bytes[] = "\n\t\\\"";
    const char *known = **text ? strchr(names, **text) : NULL;
    int high, low;

    if (known) {
        *text += 1;
        return bytes[known - names];
    }
    if (**text != 'x' || (high = hex_digit((*text)[1])) < 0 || (low = hex_digit((*text)[2])) < 0)
        return -1;
    *text += 3;
    return high + low ? 16 * high + low : -1;
}

/* Copies up to the closing quote; @text is behind the opening one. */
static int read_quoted(const char **text, char quote, char **out, struct failure *failure)
{
    while (**text && **text != quote) {
        int byte = (unsigned char)*(*text)++;

        if (byte == '\\' && quote == '"')
            byte = read_escape(text);
        if (byte < 0)
            return failure_set(
                failure, EINVAL,
                "unknown \\ in \"...\": there are \\n \\t \\\\ \\\" \\xHH, not \\x00");
        *(*out)++ = (char)byte;
    }
    if (!**text)
        return failure_set(failure, EINVAL,
                           "a %c is not closed (a ; ends a command also in quotes: \"\\x3b\")",
                           quote);
    *text += 1;
    return 0;
}

static int read_word(const char **text, char **out, struct failure *failure)
{
    while (**text && !strchr(blanks, **text)) {
        char byte = *(*text)++;
        int r = 0;

        if (byte == '\'' || byte == '"')
            r = read_quoted(text, byte, out, failure);
        else
            *(*out)++ = byte;
        if (r < 0)
            return r;
    }
    *(*out)++ = '\0';
    return 0;
}

int words_split(struct words *words, const char *text, struct failure *failure)
{
    size_t length = strlen(text);
    char *out;

    *words = (struct words){.memory = malloc(length + 1)};
    words->list = calloc(length / 2 + 2, sizeof(*words->list));
    out = words->memory;
    if (!out || !words->list)
        return failure_set(failure, ENOMEM, "no memory for a command of %zu bytes", length);
    for (;;) {
        int r;

        text += strspn(text, blanks);
        if (!*text)
            return 0;
        words->list[words->count] = out;
        r = read_word(&text, &out, failure);
        if (r < 0)
            return r;
        words->count++;
    }
}

void words_deinit(struct words *words)
{
    free(words->list);
    free(words->memory);
    *words = (struct words){.count = 0};
}
