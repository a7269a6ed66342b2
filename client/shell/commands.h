/* SPDX-License-Identifier: MIT
 *
 * The commands of the shell. One table has the form of each, its help, and what it does.
 */
#ifndef IVSHMEM_COMMANDS_H
#define IVSHMEM_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct ivshmem;

/**
 * struct session - what commands work on
 * @iv:      the connection
 * @out:     where they print
 * @verbose: say more about what is done
 * @done:    set by the command that ends the program
 */
struct session {
    struct ivshmem *iv;
    FILE *out;
    bool verbose;
    bool done;
};

enum { COMMAND_NUMBERS_MAX = 2 };

/**
 * struct command - one form of a command
 * @form:        its words; `<...>` stands for a decimal number
 * @help:        what it does; NULL keeps it out of the help
 * @needs_peers: makes no sense before the table of peers is complete
 * @run:         does it; gets the values of the numbers in @form
 */
struct command {
    const char *form;
    const char *help;
    bool needs_peers;
    void (*run)(struct session *session, const uint64_t *numbers);
};

/**
 * command_find() - understand a command
 * @text:    the command; blanks around and between the words do not matter; NULL is no command
 * @length:  of @text; a command with a NUL inside is no command
 * @numbers: set to the COMMAND_NUMBERS_MAX or fewer numbers in it
 *
 * Return: what to run; for text that is no command, one that says so.
 */
const struct command *command_find(const char *text, size_t length, uint64_t *numbers);

/**
 * commands_help() - print the help of all commands
 * @out: where to
 */
void commands_help(FILE *out);

#endif
