/* SPDX-License-Identifier: MIT
 *
 * See interrupt.h.
 */
#include "client/shell/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t seen;
static struct sigaction before;
static bool caught;

static void note(int number)
{
    (void)number;
    seen = 1;
}

void interrupt_catch(void)
{
    const struct sigaction ours = {.sa_handler = note}; /* without SA_RESTART */

    seen = 0;
    if (!caught)
        caught = sigaction(SIGINT, &ours, &before) == 0;
}

void interrupt_release(void)
{
    if (caught)
        sigaction(SIGINT, &before, NULL);
    caught = false;
    seen = 0;
}

bool interrupt_seen(void)
{
    return seen;
}

void interrupt_forget(void)
{
    seen = 0;
}
