/* SPDX-License-Identifier: MIT
 *
 * See commands.h. A new group of commands is a new line in this table.
 */
#include "client/shell/commands.h"

#include <string.h>

#include "client/shell/arguments.h"

static const struct command *const groups[] = {
    doorbell_commands, transfer_commands, view_commands,   word_commands,
    event_commands,    channel_commands,  server_commands, shell_commands,
};

enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

const struct command *commands_next(const struct command *after)
{
    size_t i = 0;

    if (!after)
        return groups[0];
    if (after[1].name)
        return after + 1;
    for (; i < GROUPS; i++) /* whose last one was it? */
        for (const struct command *each = groups[i]; each->name; each++)
            if (each == after)
                return i + 1 < GROUPS ? groups[i + 1] : NULL;
    return NULL;
}

const struct command *commands_find(const char *name)
{
    const struct command *each = NULL;

    while ((each = commands_next(each)))
        if (strcmp(each->name, name) == 0)
            return each;
    return NULL;
}

static void print_forms(FILE *out, const struct command *command)
{
    for (int i = 0; i < COMMAND_FORMS && command->forms[i].help; i++) {
        const struct command_form *form = &command->forms[i];

        fprintf(out, "%s%s%s: %s\n", command->name, *form->words ? " " : "", form->words,
                form->help);
    }
}

void commands_help(FILE *out, bool all)
{
    const struct command *each = NULL;

    while ((each = commands_next(each)))
        if (all ? !(each->flags & COMMAND_HIDDEN) : each->flags & COMMAND_FIRST)
            print_forms(out, each);
}

void commands_help_one(FILE *out, const struct command *command)
{
    print_forms(out, command);
    if (command->details)
        fprintf(out, "\n%s\n", command->details);
    fputc('\n', out);
    if (command->options)
        options_print(command->options, out);
    options_print(arguments_common_options, out);
}
