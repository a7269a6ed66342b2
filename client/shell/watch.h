/* SPDX-License-Identifier: MIT
 *
 * Commands that go on until they are ended, with a file of their own each.
 */
#ifndef IVSHMEM_WATCH_H
#define IVSHMEM_WATCH_H

#include "client/shell/tool.h"

/** watch_run() - the command watch. Return: enum status. */
int watch_run(struct tool *tool, struct arguments *given);

/** monitor_run() - the command monitor. Return: enum status. */
int monitor_run(struct tool *tool, struct arguments *given);

/** top_run() - the command top. Return: enum status. */
int top_run(struct tool *tool, struct arguments *given);

#endif
