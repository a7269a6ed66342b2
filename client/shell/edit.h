/* SPDX-License-Identifier: MIT
 *
 * The line that a person types at a terminal: editing, history, completion (libedit). What others
 * print meanwhile is printed above it.
 */
#ifndef IVSHMEM_EDIT_H
#define IVSHMEM_EDIT_H

#include <stdbool.h>

#include "client/shell/lines.h"
#include "client/shell/output.h"
#include "client/shell/tool.h"

struct edit;

/**
 * edit_new() - edit lines on standard input and output
 * @tool:   knows what can be completed
 * @output: writes to the same terminal; gets out of the line's way from now on
 *
 * Return: the line; NULL where there is no terminal that can do it, or no libedit: read lines
 * plain.
 */
struct edit *edit_new(struct tool *tool, struct output *output);

/**
 * edit_free() - keep the history, and put the terminal back
 * @edit: may be NULL
 *
 * Return: always NULL.
 */
struct edit *edit_free(struct edit *edit);

/** edit_begin() - show the prompt and take keys; nothing if that is so already */
void edit_begin(struct edit *edit);

/** edit_end() - take no keys: the terminal belongs to a command; nothing if that is so already */
void edit_end(struct edit *edit);

/**
 * edit_read() - take a key
 * @edit:  begun, and standard input has something
 * @lines: gets the line when it is complete, or its end
 *
 * Return: 0 or -ENOMEM.
 */
int edit_read(struct edit *edit, struct lines *lines);

/** edit_clear() - begin a new line; what was typed is forgotten */
void edit_clear(struct edit *edit);

/** edit_hide() - take the line off the screen, for somebody who prints; @edit may be NULL */
void edit_hide(struct edit *edit);

/** edit_show() - draw it again, where the cursor is now; @edit may be NULL */
void edit_show(struct edit *edit);

#endif
