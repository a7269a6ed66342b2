/* SPDX-License-Identifier: MIT
 *
 * The shell: reads commands, keeps connected to the server, prints what happens.
 */
#ifndef IVSHMEM_SHELL_H
#define IVSHMEM_SHELL_H

#include "client/shell/settings.h"
#include "common/failure.h"

struct shell;

/**
 * shell_new() - make a shell on standard input and output
 * @settings: must outlive the shell
 * @failure:  why not
 *
 * Return: the shell, or NULL.
 */
struct shell *shell_new(const struct settings *settings, struct failure *failure);

/**
 * shell_free() - leave the server and forget the shell
 * @shell: may be NULL
 *
 * Return: always NULL.
 */
struct shell *shell_free(struct shell *shell);

/**
 * shell_run() - serve until the user leaves, or until all input is done
 * @shell:   the shell
 * @failure: why it could not go on
 *
 * Return: 0, or a negative errno when the input cannot be read or the output cannot be written.
 */
int shell_run(struct shell *shell, struct failure *failure);

#endif
