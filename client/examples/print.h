/* SPDX-License-Identifier: MIT
 *
 * What print server and print client have agreed on: where their dataport lies in the shared
 * memory, and which vectors are their two events. print_server.sh and print_client.sh have the same
 * numbers in them.
 *
 * The server is the other peer with the lowest ID. Where more than these two take part, or where
 * the scripts do, start ivshmem-server with `-n 2 --slot print=0 --slot app=1`, and connect the
 * server to SOCKET.print and the client to SOCKET.app: they are the peers 0 and 1 then.
 */
#ifndef PRINT_H
#define PRINT_H

#include <stdint.h>

/* Events: the client emits the first one to the server, the server the second one to the client. */
enum { DO_PRINT = 0, DONE_PRINTING = 1 };

/**
 * struct dataport - the part of the memory that the two share
 * @client: ID of the peer to be told when it is done
 * @text:   up to the first NUL, or to the end: a reader does not believe that there is one
 */
struct dataport {
    uint32_t client;
    char text[1020];
};

#define DATAPORT_OFFSET 0

#endif
