/* SPDX-License-Identifier: MIT
 *
 * Commands without a shell: one from the command line, several from a text or standard input.
 */
#ifndef IVSHMEM_ONESHOT_H
#define IVSHMEM_ONESHOT_H

#include "client/shell/settings.h"

/** oneshot_wanted() - whether the command line asks for this, and not for the shell */
bool oneshot_wanted(const struct settings *settings);

/**
 * oneshot_run() - run the commands, up to the first that fails
 * @settings: what was asked for
 *
 * Return: the exit status of the program, enum status.
 */
int oneshot_run(const struct settings *settings);

#endif
