/* SPDX-License-Identifier: MIT
 *
 * The table of all commands: what is in it, and its help.
 */
#ifndef IVSHMEM_COMMANDS_H
#define IVSHMEM_COMMANDS_H

#include <stdio.h>

#include "client/shell/command.h"

/**
 * commands_next() - go through the table in the order of the help
 * @after: the command before, NULL for the first
 *
 * Return: the next one, or NULL.
 */
const struct command *commands_next(const struct command *after);

/**
 * commands_find() - look a command up
 * @name: its first word
 *
 * Return: the command, or NULL.
 */
const struct command *commands_find(const char *name);

/**
 * commands_help() - print a line for each form of commands
 * @out: where to
 * @all: of all that are not hidden; else of those that are told at start
 */
void commands_help(FILE *out, bool all);

/**
 * commands_help_one() - print everything there is to know about a command
 * @out:     where to
 * @command: the command
 */
void commands_help_one(FILE *out, const struct command *command);

#endif
