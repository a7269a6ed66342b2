/* SPDX-License-Identifier: MIT
 *
 * A command line cut into words. Blanks separate them. '...' is taken as it is, and "..." knows
 * \n, \t, \\, \" and \xHH (not 00: words are strings); what touches is one word. Outside of quotes
 * nothing is special.
 */
#ifndef IVSHMEM_WORDS_H
#define IVSHMEM_WORDS_H

#include "common/failure.h"

/**
 * struct words - the words of a line
 * @count:  how many
 * @list:   each NUL-terminated; a NULL follows the last
 * @memory: what they lie in
 */
struct words {
    int count;
    char **list;
    char *memory;
};

/**
 * words_split() - cut a line into words
 * @words:   set; words_deinit() it, also after an error
 * @text:    the line
 * @failure: what is wrong with it
 *
 * Return: 0, -EINVAL for a quote that is not closed or an unknown escape, -ENOMEM.
 */
int words_split(struct words *words, const char *text, struct failure *failure);

/**
 * words_deinit() - forget the words
 * @words: set by words_split(), or zeroed
 */
void words_deinit(struct words *words);

#endif
