/* SPDX-License-Identifier: MIT
 *
 * Ringing doorbells, for commands.
 */
#ifndef IVSHMEM_RING_COMMAND_H
#define IVSHMEM_RING_COMMAND_H

#include "client/shell/tool.h"

/**
 * struct bells - which doorbells
 * @everybody:    of all peers but ourselves; the rest does not matter then
 * @every_vector: all of the peer's
 * @not_us:       our own ID is no such peer; so it is outside of a shell, always
 * @peer, @vector: the one
 */
struct bells {
    bool everybody, every_vector, not_us;
    uint64_t peer, vector;
};

/**
 * bells_parse() - read which doorbells are meant
 * @bells:   set
 * @peer:    an ID, or "all"
 * @vector:  a number, or "all"; NULL after a @peer of "all"
 * @failure: what is wrong with them
 *
 * Return: 0 or a negative errno.
 */
int bells_parse(struct bells *bells, const char *peer, const char *vector, struct failure *failure);

/**
 * bells_check_wait() - whether --wait-peer goes with these
 * @given:   the options
 * @bells:   which
 * @failure: why not
 *
 * Return: 0 or a negative errno.
 */
int bells_check_wait(const struct arguments *given, const struct bells *bells,
                     struct failure *failure);

/**
 * bells_await_outside() - wait for the peer of --wait-peer before we join
 * @tool:  the tool, no peer
 * @given: the command; its first word or its option --ring is the peer
 *
 * Return: enum status, after saying that it has not come. STATUS_DONE where there is no way to see.
 */
int bells_await_outside(struct tool *tool, const struct arguments *given);

/**
 * bells_await() - wait for the peer of --wait-peer, as a peer
 * @tool:   the tool
 * @given:  how long
 * @bells:  which
 * @status: set to that of the command where it is over
 *
 * Return: whether the command goes on.
 */
bool bells_await(struct tool *tool, const struct arguments *given, const struct bells *bells,
                 int *status);

/**
 * bells_find() - whether those who are to be rung are there
 * @tool:  the tool, a peer
 * @bells: which
 *
 * Return: STATUS_DONE, or STATUS_NOT_FOUND after saying who is not.
 */
int bells_find(struct tool *tool, const struct bells *bells);

/**
 * bells_ring() - ring them once, as the peer that we are, or through the control socket
 * @tool:  the tool
 * @bells: which
 * @rung:  how many were rung is added here
 *
 * Return: enum status, after saying what is wrong.
 */
int bells_ring(struct tool *tool, const struct bells *bells, uint64_t *rung);

/**
 * bells_ring_until() - ring them again and again until there is an answer
 * @tool:  the tool, a peer
 * @given: what answer, how often, how long
 * @bells: which
 *
 * Return: enum status, after saying how it ended.
 */
int bells_ring_until(struct tool *tool, const struct arguments *given, const struct bells *bells);

#endif
