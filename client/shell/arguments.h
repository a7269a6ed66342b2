/* SPDX-License-Identifier: MIT
 *
 * What a command was given: its words and the values of its options. All commands share one
 * structure, so that a table of options is all that a command needs for them.
 */
#ifndef IVSHMEM_ARGUMENTS_H
#define IVSHMEM_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/shell/command.h"
#include "common/failure.h"
#include "common/options.h"

/** NOT_GIVEN - value of a number that was not given */
#define NOT_GIVEN UINT64_MAX

/**
 * struct arguments - words and options of a command; texts point into the command line
 * @command:  the command
 * @words:    what follows its name, without options
 * @count:    of @words
 * @has_options: there was one at least
 * @help, @json, @quiet: the common options
 * @hex, @string, @raw, @all, @add, @truncate, @nul, @once, @control_only, @until_reply, @crc,
 * @serve, @with_time, @compares: switches
 * @offset, @length: bytes
 * @times:    how often (--count)
 * @width:    bits of a word
 * @pad:      another number
 * @expected: value of --cas, if @compares
 * @reply_vector: the vector of --until-reply=VECTOR
 * @interval, @timeout, @wait_peer: milliseconds; -1 when not given
 * @port: of a channel
 * @ring_size, @reverse_size, @message: bytes, of rings and of a message
 * @file, @text, @ring, @until_word, @peer, @key_file: texts, NULL when not given; @text is that of
 * --hex=TEXT
 *
 * Numbers are NOT_GIVEN at first.
 */
struct arguments {
    const struct command *command;
    char **words;
    int count;
    bool has_options;
    bool help, json, quiet;
    bool hex, string, raw, all, add, truncate, nul, once, control_only, until_reply, crc, serve;
    bool with_time;
    bool compares;
    uint64_t offset, length, times, width, pad, expected, reply_vector;
    uint64_t port, ring_size, reverse_size, message;
    int64_t interval, timeout, wait_peer;
    const char *file, *text, *ring, *until_word, *peer, *key_file;
};

#define ARGUMENT(member) offsetof(struct arguments, member)

option_set_fn argument_set_size;     /* a uint64_t: QEMU's sizes, suffixes and hexadecimal */
option_set_fn argument_set_number;   /* a uint64_t: decimal or hexadecimal */
option_set_fn argument_set_count;    /* a uint64_t, not 0 */
option_set_fn argument_set_seconds;  /* an int64_t, as milliseconds: 2, 0.5, 100ms, 3m */
option_set_fn argument_set_expected; /* @compares and @expected */
option_set_fn argument_set_port;     /* a uint64_t: a port of a channel */
option_set_fn argument_set_bytes;    /* a uint64_t as of argument_set_size, not 0 */
option_set_fn argument_set_text;     /* a const char *, not owned */
option_set_fn argument_set_reply;    /* @until_reply, and @reply_vector if there is a value */

extern const struct option_spec arguments_common_options[];

/**
 * arguments_parse() - read the words of a command
 * @given:   set; refers to @words
 * @count:   of @words
 * @words:   the name of the command first, a NULL behind the last; are put into another order
 * @failure: what is wrong with them
 *
 * With the option --help nothing else is checked.
 *
 * Return: 0, -ENOENT when there is no such command, or another negative errno. @given->command is
 * set if the command is known.
 */
int arguments_parse(struct arguments *given, int count, char **words, struct failure *failure);

/**
 * argument_size() - read a word that is a size or an offset
 * @text:    the word
 * @what:    what it is called in @failure
 * @size:    set to bytes
 * @failure: what is wrong with it
 *
 * Return: 0 or a negative errno.
 */
int argument_size(const char *text, const char *what, uint64_t *size, struct failure *failure);

/**
 * argument_number() - read a word that is a number, decimal or hexadecimal
 * @text:    the word
 * @what:    what it is called in @failure
 * @most:    the largest that is accepted
 * @number:  set
 * @failure: what is wrong with it
 *
 * Return: 0 or a negative errno.
 */
int argument_number(const char *text, const char *what, uint64_t most, uint64_t *number,
                    struct failure *failure);

/** argument_port() - read a word that is a port of a channel. Return: 0 or a negative errno. */
int argument_port(const char *text, uint64_t *port, struct failure *failure);

/**
 * argument_hex() - read bytes in hexadecimal
 * @text:    pairs of digits; blanks between them are fine
 * @bytes:   set to the bytes, to be free()d
 * @size:    set to how many
 * @failure: what is wrong with it
 *
 * Return: 0 or a negative errno.
 */
int argument_hex(const char *text, uint8_t **bytes, size_t *size, struct failure *failure);

#endif
