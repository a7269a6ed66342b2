/* SPDX-License-Identifier: MIT
 *
 * The library between the two processes of the rig: a server of their own, a handle in each, and
 * the connections that the contenders use.
 */
#ifndef IVSHMEM_TESTS_LIBRARY_H
#define IVSHMEM_TESTS_LIBRARY_H

#include <stdbool.h>

#include "client/include/ivshmem.h"
#include "tests/bench/table.h"

/** LIBRARY_CHANNELS - that costs_print() may open at a time */
enum { LIBRARY_CHANNELS = 1000 };

/** library_start() - start the server; before rig_start() */
void library_start(void);

/**
 * library_join() - connect this process to the server, and to the other process
 * @lane:  of this process
 * @sends: whether it is the sending one; both have to come here at the same time
 */
void library_join(const struct lane *lane, bool sends);

/** library_stop() - the server ends; after rig_stop() */
void library_stop(void);

/** library_server() - the server's process */
pid_t library_server(void);

/** library_handle() - the handle of this process; the receiving one's listens */
struct ivshmem *library_handle(void);

/**
 * library_connect() - the sending process connects
 * @options: what the connection shall be like
 *
 * Here and below the program ends when it cannot be done.
 */
struct ivshmem_channel *library_connect(const struct ivshmem_connect_options *options);

/** library_accept() - the receiving process takes the next offer */
struct ivshmem_channel *library_accept(void);

/** costs_print() - what opening a channel costs, and 1000 that are idle; before rig_stop() */
void costs_print(const struct table *table);

#endif
