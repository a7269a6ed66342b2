/* SPDX-License-Identifier: MIT
 *
 * The command line of ivshmem-client.
 */
#ifndef IVSHMEM_SETTINGS_H
#define IVSHMEM_SETTINGS_H

#include <stdbool.h>
#include <stdio.h>

#include "common/failure.h"

/**
 * struct settings - what the user asked for
 * @socket:  path of the server's socket; points into the command line
 * @verbose: say what happens on the connection
 * @help:    print the usage instead of anything else
 * @version: print the version instead of anything else
 * @method:  method of the control socket to call; NULL to be a peer
 * @parameters: its parameters, a JSON object; NULL for none
 */
struct settings {
    const char *socket;
    bool verbose;
    bool help;
    bool version;
    const char *method, *parameters;
};

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

/**
 * settings_usage() - print the usage
 * @out: where to
 */
void settings_usage(FILE *out);

#endif
