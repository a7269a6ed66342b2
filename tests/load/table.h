/* SPDX-License-Identifier: MIT
 *
 * The table of one client of a crowd: what it was told, and the rules that each message must keep.
 * The parts of a crowd that only its own files use.
 */
#ifndef IVSHMEM_TESTS_TABLE_H
#define IVSHMEM_TESTS_TABLE_H

#include "tests/load/crowd.h"

/**
 * table_message() - a message has come
 * @client: to whom
 * @value:  what it says
 * @fd:     descriptor that came with it, closed; -1 for none
 */
void table_message(struct crowd_client *client, int64_t value, int fd);

/** table_free() - forget everybody, and close what was kept */
void table_free(struct crowd_client *client);

/** table_violation() - record that the server broke a rule; the first one counts */
void table_violation(struct crowd_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** crowd_end() - the connection is over, whoever ended it; the client stays in the crowd */
void crowd_end(struct crowd_client *client, enum crowd_state state);

#endif
