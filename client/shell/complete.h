/* SPDX-License-Identifier: MIT
 *
 * Completion, for the shell's own line and for other shells: which words can follow. The table of
 * commands knows names and options; peers and vectors come from who knows them.
 */
#ifndef IVSHMEM_COMPLETE_H
#define IVSHMEM_COMPLETE_H

#include "client/shell/tool.h"

typedef void complete_fn(void *context, const char *candidate);

/**
 * complete_command() - go through what the last word of a command can be
 * @tool:    knows the peers, by a place or the control socket
 * @count:   of @words, at least 1
 * @words:   the command; the last word is the one to be completed, perhaps empty
 * @each:    is called for each candidate
 * @context: handed to @each
 */
void complete_command(struct tool *tool, int count, char **words, complete_fn *each, void *context);

/** complete_run() - the command complete. Return: enum status. */
int complete_run(struct tool *tool, struct arguments *given);

#endif
