/* SPDX-License-Identifier: MIT
 *
 * What a command is. One table of them (commands.h) drives parsing, help, --help, completion and
 * the test that holds the man page against it. Each group of commands has a file of its own.
 */
#ifndef IVSHMEM_COMMAND_H
#define IVSHMEM_COMMAND_H

#include <stdbool.h>

#include "common/failure.h"
#include "common/options.h"

struct tool;
struct arguments;

/** enum status - how a command ended, and the exit status of a program that runs one */
enum status {
    STATUS_DONE = 0,
    STATUS_USAGE = 1,     /* it makes no sense as it was given, or something on this side failed */
    STATUS_NO_SERVER = 2, /* there is none, or it has gone */
    STATUS_NOT_FOUND = 3, /* no such peer or vector, or what was looked for is not there */
    STATUS_TIMED_OUT = 4, /* it did not come in time */
    STATUS_REFUSED = 5,   /* the server, or a doorbell, said no */
};

/** enum command_needs - what must be there before a command can run */
enum command_needs {
    NEEDS_NOTHING,
    NEEDS_CONTROL, /* the control socket */
    NEEDS_MEMORY,  /* the memory, which comes with a place among the peers, before the others */
    NEEDS_PLACE,   /* a place among the peers, with all others known */
    NEEDS_EITHER,  /* the control socket when we are no peer and it is there, else a place */
};

/** enum command_flags - what is special about a command */
enum command_flags {
    COMMAND_FIRST = 1,   /* is told at start and by help without a word */
    COMMAND_PLAIN = 2,   /* QEMU's client has it: wrong words get that one's answer in the shell */
    COMMAND_HIDDEN = 4,  /* another name of one that is listed, or made for programs */
    COMMAND_PEERS = 8,   /* the first word is a peer, the second one of its vectors */
    COMMAND_VERBS = 16,  /* the first word is that of one of its forms */
    COMMAND_MEMORY = 32, /* does with the memory alone, whatever else it could use */
};

enum { COMMAND_FORMS = 8 };

/**
 * struct command_form - one way to give a command
 * @words: what follows its name, empty for nothing; `<...>` stands for a value
 * @help:  what it does then, one line
 */
struct command_form {
    const char *words;
    const char *help;
};

/**
 * struct command - one command
 * @name:    its first word
 * @forms:   up to the first without help
 * @details: the rest of its help, lines without an end of the last one; NULL for none
 * @options: its own ones; NULL for none
 * @needs:   what must be there
 * @flags:   enum command_flags
 * @least:   fewest words after the name
 * @most:    most words
 * @check:   more to check before anything is done; NULL for nothing. Return: 0 or a negative errno
 * @before:  waits for what must be there before we join; NULL for nothing. Return: enum status
 * @needs_place: says whether a command that needs less needs a place as it was given; NULL: no
 * @run:     does it, and says all there is to say. Return: enum status
 */
struct command {
    const char *name;
    struct command_form forms[COMMAND_FORMS];
    const char *details;
    const struct option_spec *options;
    enum command_needs needs;
    unsigned flags;
    int least, most;
    int (*check)(struct arguments *given, struct failure *failure);
    int (*before)(struct tool *tool, const struct arguments *given);
    bool (*needs_place)(const struct arguments *given);
    int (*run)(struct tool *tool, struct arguments *given);
};

/* The groups, each ended by an entry without a name. */
extern const struct command doorbell_commands[];
extern const struct command transfer_commands[];
extern const struct command view_commands[];
extern const struct command word_commands[];
extern const struct command event_commands[];
extern const struct command channel_commands[];
extern const struct command server_commands[];
extern const struct command shell_commands[];

#endif
