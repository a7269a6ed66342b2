/* SPDX-License-Identifier: MIT
 *
 * The commands send, recv, channel list and channel bench, which have files of their own.
 */
#ifndef IVSHMEM_STREAM_COMMANDS_H
#define IVSHMEM_STREAM_COMMANDS_H

#include "client/shell/tool.h"

/** send_check() - whether the words of send make sense. Return: 0 or a negative errno. */
int send_check(struct arguments *given, struct failure *failure);

/** send_run() - the command send. Return: enum status. */
int send_run(struct tool *tool, struct arguments *given);

/** recv_check() - whether the words of recv make sense. Return: 0 or a negative errno. */
int recv_check(struct arguments *given, struct failure *failure);

/** recv_run() - the command recv. Return: enum status. */
int recv_run(struct tool *tool, struct arguments *given);

/** channel_list_run() - the command channel list. Return: enum status. */
int channel_list_run(struct tool *tool, struct arguments *given);

/** channel_bench_run() - the command channel bench, both sides of it. Return: enum status. */
int channel_bench_run(struct tool *tool, struct arguments *given);

#endif
