/* SPDX-License-Identifier: MIT
 *
 * Re-execution: another program, usually a newer build, carries on in this process.
 *
 * It is tried first. A child gets copies of all descriptors and a copy of the state, executes the
 * program with $IVSHMEM_TRIAL set, and the program says whether it could carry on. Only then this
 * process executes it. If it says no, or nothing for too long, the old one goes on serving.
 */
#ifndef IVSHMEM_REEXEC_H
#define IVSHMEM_REEXEC_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/failure.h"

#define REEXEC_TRIAL "IVSHMEM_TRIAL"

struct reexec;

/**
 * struct reexec_setup - what is executed, and with which descriptors
 * @base:      event loop
 * @argv:      arguments for the program, as main() got them
 * @list:      writes "NUMBER NAME" lines of all descriptors to hand on; @state_fd is that of
 *             the state, which is a copy in the trial
 * @may:       whether now is a good moment: nothing that this process alone knows would be lost
 * @copy:      makes the copy of the state; returns a descriptor or a negative errno
 * @state:     returns the descriptor of the state itself
 * @decided:   the trial is over: @reason is why the program cannot carry on, NULL when it is
 *             about to be executed
 * @argument:  first argument of them all
 */
struct reexec_setup {
    struct event_base *base;
    char **argv;
    void (*list)(void *argument, int state_fd, FILE *out);
    bool (*may)(void *argument);
    int (*copy)(void *argument);
    int (*state)(void *argument);
    void (*decided)(void *argument, const char *reason);
    void *argument;
};

/**
 * reexec_new() - remember the program and the directory that this process was started in
 * @setup:   what is executed
 * @out:     the object
 * @failure: says what is missing
 *
 * Return: 0 or a negative errno.
 */
int reexec_new(const struct reexec_setup *setup, struct reexec **out, struct failure *failure);

/**
 * reexec_unblock() - the signals that become part of an event loop are handled from now on
 *
 * They are blocked when this process is executed by another: before they are handled they would
 * end it. For a process that was started by anybody else it does nothing.
 */
void reexec_unblock(void);

/** reexec_free() - end a trial that is under way and forget. Takes NULL, returns NULL. */
struct reexec *reexec_free(struct reexec *reexec);

/**
 * reexec_begin() - begin a trial; if it goes well, this function's process becomes the program
 * @reexec:  the object
 * @failure: why no trial can be begun
 *
 * Return: 0, -EALREADY when one is under way, or another negative errno.
 */
int reexec_begin(struct reexec *reexec, struct failure *failure);

#endif
