/* SPDX-License-Identifier: MIT
 *
 * The commands of the shell itself: help and quit, and complete, which other shells call.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "client/shell/commands.h"
#include "client/shell/complete.h"
#include "client/shell/tool.h"

static int help_all(struct tool *tool, bool all)
{
    commands_help(tool->emit.out, all);
    if (!all && tool->emit.interactive && isatty(STDOUT_FILENO))
        fputs("help all: all commands; help <command>: one of them\n", tool->emit.out);
    return STATUS_DONE;
}

static int run_help(struct tool *tool, struct arguments *given)
{
    const struct command *command;

    if (given->count == 0)
        return help_all(tool, !tool->emit.interactive);
    command = commands_find(given->words[0]);
    if (command)
        commands_help_one(tool->emit.out, command);
    else
        return help_all(tool, true);
    return STATUS_DONE;
}

static int check_help(struct arguments *given, struct failure *failure)
{
    const char *word = given->count ? given->words[0] : "all";
    const struct command *command = commands_find(word);

    if (strcmp(word, "all") == 0 || (command && !(command->flags & COMMAND_HIDDEN)))
        return 0;
    return failure_set(failure, ENOENT, "there is no command '%s'; see help all", word);
}

static int run_quit(struct tool *tool, struct arguments *given)
{
    (void)given;
    tool->done = true;
    return STATUS_DONE;
}

#define HELP_FORMS                                                                                 \
    {                                                                                              \
        {                                                                                          \
            "[<command>|all]", "print the commands, or all about one"                              \
        }                                                                                          \
    }

const struct command shell_commands[] = {
    {
        .name = "quit",
        .forms = {{"", "leave; exit and the end of the input do the same"}},
        .flags = COMMAND_FIRST | COMMAND_PLAIN,
        .run = run_quit,
    },
    {.name = "exit",
     .forms = {{"", "leave"}},
     .flags = COMMAND_HIDDEN | COMMAND_PLAIN,
     .run = run_quit},
    {
        .name = "help",
        .forms = HELP_FORMS,
        .flags = COMMAND_PLAIN,
        .most = 1,
        .check = check_help,
        .run = run_help,
    },
    {
        .name = "?",
        .forms = HELP_FORMS,
        .flags = COMMAND_HIDDEN | COMMAND_PLAIN,
        .most = 1,
        .check = check_help,
        .run = run_help,
    },
    {
        .name = "complete",
        .forms = {{"[<word>...]", "print what the last word can be, for other shells"}},
        .flags = COMMAND_HIDDEN,
        .most = INT_MAX,
        .run = complete_run,
    },
    {.name = NULL},
};
