/* SPDX-License-Identifier: MIT
 *
 * Options: one table drives the command line, the configuration file, --help, and the test that
 * holds the man page against it.
 *
 * The program describes each option once, with a function that puts its value into the program's
 * own config structure. This file knows nothing of what an option means.
 */
#ifndef IVSHMEM_OPTIONS_H
#define IVSHMEM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/failure.h"

struct option_spec;

/**
 * typedef option_set_fn - put the value of one option into the configuration
 * @config: the program's config structure
 * @spec:   the option
 * @value:  text of the value; NULL for a switch that is on, or where an optional value is not
 *          given; "no" for a switch that a file turns off
 * @failure: what is wrong with @value, without the option's name, which the caller adds
 *
 * Return: 0 or a negative errno.
 */
typedef int option_set_fn(void *config, const struct option_spec *spec, const char *value,
                          struct failure *failure);

enum { OPTIONS_MAX = 64 };

enum option_flags {
    OPTION_NOT_IN_FILE = 1,  /* makes sense on the command line only */
    OPTION_LIVE = 2,         /* can change while the program runs (SIGHUP) */
    OPTION_ADDS_UP = 4,      /* given again it adds to what was given; others are replaced */
    OPTIONS_END_AT_WORD = 8, /* of the last entry: what follows the first argument is not ours */
};

/**
 * struct option_spec - one option
 * @name:     long name, also the key in a configuration file
 * @letter:   short name, or 0
 * @argument: what --help calls the value; NULL for a switch; "[=NAME]" when it may be left out
 * @help:     one line for --help; "\n" continues it on the next
 * @set:      stores it
 * @offset:   for set functions that serve several options: the member of the config structure
 * @flags:    enum option_flags
 *
 * A table has at most OPTIONS_MAX entries and ends with an entry whose @name is NULL; its @flags
 * can be OPTIONS_END_AT_WORD.
 */
struct option_spec {
    const char *name;
    char letter;
    const char *argument;
    const char *help;
    option_set_fn *set;
    size_t offset;
    unsigned flags;
};

option_set_fn option_set_switch; /* the bool at the offset: true, or false for "no" */
option_set_fn option_set_string; /* the owned char * at the offset, not empty */

/**
 * options_parse() - read a command line
 * @table:   the options
 * @argc:    as main() got it
 * @argv:    as main() got it; getopt_long(3) may reorder it
 * @config:  handed to each option's set function
 * @given:   NULL, or OPTIONS_MAX pointers, NULL or owned by the caller: the text that each option
 *           was given is put there, the last one or (OPTION_ADDS_UP) all joined by ","
 * @failure: names the option and the offending value
 *
 * Return: index of the first argument that is not an option, -ENOENT when one looks like an option
 * that there is not, or another negative errno.
 */
int options_parse(const struct option_spec *table, int argc, char **argv, void *config,
                  char **given, struct failure *failure);

/**
 * options_parse_file() - read a file of `option = value` lines
 * @table:   the options; those with OPTION_NOT_IN_FILE are refused
 * @path:    the file; lines may be empty or start with #; a switch is `name` or `name = yes|no`
 * @config:  handed to each option's set function
 * @given:   as for options_parse()
 * @failure: names file, line and option
 *
 * Return: 0 or a negative errno.
 */
int options_parse_file(const struct option_spec *table, const char *path, void *config,
                       char **given, struct failure *failure);

/**
 * options_print() - print the options as --help shows them
 * @table: the options
 * @out:   where to
 */
void options_print(const struct option_spec *table, FILE *out);

#endif
