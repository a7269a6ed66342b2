/* SPDX-License-Identifier: MIT
 *
 * Results of commands. A command says each of them once, as a JSON object, with a template that
 * makes the line for people from it. Who reads, person or program, is no business of commands.
 *
 * In a template `{name}` stands for a member, `{name.part}` for one inside it, `{name:8}` is
 * right-aligned and `{name:-8}` left-aligned in so many columns. What is missing or null shows as
 * "-"; control characters in texts as "?".
 */
#ifndef IVSHMEM_EMIT_H
#define IVSHMEM_EMIT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/shell/command.h"

/**
 * struct emit - where results go
 * @out:         the stream
 * @json:        objects instead of lines
 * @quiet:       errors only
 * @interactive: in a shell: errors are part of the output; else they go to standard error
 */
struct emit {
    FILE *out;
    bool json;
    bool quiet;
    bool interactive;
};

/**
 * emit() - say a result
 * @emit:     where to
 * @object:   the result, taken
 * @template: makes text of it; NULL: there is nothing to tell a person
 */
void emit(const struct emit *emit, cJSON *object, const char *template);

/**
 * emit_list() - say a result that is a list
 * @emit:     where to
 * @object:   the result, taken
 * @name:     its member that is an array of objects
 * @head:     first line of the text; NULL for none
 * @template: makes a line of text of each object in the array
 */
void emit_list(const struct emit *emit, cJSON *object, const char *name, const char *head,
               const char *template);

/**
 * emit_error() - say why a command did not do what it should
 * @emit:   where to
 * @status: enum status
 * @format: printf format, one line without its end
 *
 * Return: @status.
 */
int emit_error(const struct emit *emit, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * emit_text() - print a template
 * @out:      where to
 * @object:   the members
 * @template: the text
 */
void emit_text(FILE *out, const cJSON *object, const char *template);

/** emit_object() - a new object with one number in it, to which more is added */
cJSON *emit_object(const char *name, uint64_t value);

/** emit_add() - add a whole number of any size to an object */
void emit_add(cJSON *object, const char *name, uint64_t value);

/** emit_add_hex() - add bytes, as text in hexadecimal */
void emit_add_hex(cJSON *object, const char *name, const uint8_t *bytes, size_t size);

/** emit_is_utf8() - whether bytes are well-formed UTF-8, as a string of JSON has to be */
bool emit_is_utf8(const uint8_t *bytes, size_t size);

/** emit_add_time() - add "time", now, as seconds since 1970, and "clock", the local time of day */
void emit_add_time(cJSON *object);

/** emit_set_time() - the same for an object whose "time" is microseconds since 1970 */
void emit_set_time(cJSON *object);

#endif
