/* SPDX-License-Identifier: MIT */
/*
 * The guest's commands for channels: it listens or connects, and sends and receives messages.
 */
#ifndef GUEST_TALK_H
#define GUEST_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "ivshmem.h"
#include "mailbox.h"

struct talk {
    const struct ivshmem *iv;
    struct mailbox mailbox;
    struct channel channel;
    bool found; /* the section was there, and right */
};

struct talk_command {
    const char *name;
    const char *usage; /* what follows the name, and what it does */
    const char *(*run)(struct talk *talk, const char *arguments);
    bool speaks; /* HELLO has to come before it */
};

extern const struct talk_command talk_commands[];
extern const size_t talk_commands_count;

void talk_init(struct talk *talk, const struct ivshmem *iv);
void talk_run(struct talk *talk, const struct talk_command *command, const char *arguments);
bool talk_uses(const struct talk *talk, unsigned int vector);
void talk_attend(struct talk *talk);

#endif
