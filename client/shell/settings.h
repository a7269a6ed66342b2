/* SPDX-License-Identifier: MIT
 *
 * The command line of ivshmem-client.
 */
#ifndef IVSHMEM_SETTINGS_H
#define IVSHMEM_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/failure.h"
#include "common/options.h"

/**
 * struct settings - what the user asked for
 * @socket:   path of the server's socket
 * @memory:   path of a memory to work on without a server; NULL for none
 * @control:  path of its control socket; NULL for @socket with ".ctl" appended
 * @commands: commands to run, as one text; NULL for none
 * @words:    a command to run, the name first, with a NULL behind it
 * @count:    of @words, 0 for none
 * @wait_ms:  how long to wait for a server that is not there, milliseconds
 * @batch:    run the commands that come on standard input, without help and prompts
 * @join:     do everything as a peer
 * @json, @quiet: how results are told
 * @verbose:  say what happens on the connection
 * @help:     print the usage instead of anything else
 * @version:  print the version instead of anything else
 *
 * Texts point into the command line.
 */
struct settings {
    const char *socket, *memory, *control, *commands;
    char **words;
    int count;
    int64_t wait_ms;
    bool batch, join;
    bool json, quiet, verbose;
    bool help, version;
};

extern const struct option_spec settings_options[];

/**
 * settings_parse() - read the command line over the defaults
 * @settings: set; refers to @argv
 * @argc:     as main() got it
 * @argv:     as main() got it
 * @failure:  what is wrong with it
 *
 * Return: 0 or a negative errno.
 */
int settings_parse(struct settings *settings, int argc, char **argv, struct failure *failure);

/** settings_commands_are_input() - whether standard input has commands, and is nobody who types */
bool settings_commands_are_input(const struct settings *settings);

/**
 * settings_usage() - print the usage
 * @out: where to
 */
void settings_usage(FILE *out);

#endif
