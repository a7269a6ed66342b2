/* SPDX-License-Identifier: MIT
 *
 * Ctrl-C in a shell: it ends the command that runs, not the shell. Signals belong to the process,
 * so this is the one thing here that is not in an object.
 */
#ifndef IVSHMEM_INTERRUPT_H
#define IVSHMEM_INTERRUPT_H

#include <stdbool.h>

/** interrupt_catch() - from now on SIGINT is noted; system calls that wait return EINTR */
void interrupt_catch(void);

/** interrupt_release() - SIGINT does again what it did before */
void interrupt_release(void);

/** interrupt_seen() - whether there was one since interrupt_catch() or interrupt_forget() */
bool interrupt_seen(void);

/** interrupt_forget() - it has been dealt with */
void interrupt_forget(void);

#endif
