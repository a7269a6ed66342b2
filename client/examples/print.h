/* SPDX-License-Identifier: MIT
 *
 * What print_server and print_client have agreed on: where their dataport lies in the shared
 * memory, and which vectors are their two events.
 */
#ifndef PRINT_H
#define PRINT_H

#include <stdint.h>

/* Events: the client emits the first one to the server, the server the second one to the client. */
enum { DO_PRINT = 0, DONE_PRINTING = 1 };

/**
 * struct dataport - the part of the memory that the two share
 * @client: ID of the peer to be told when it is done
 * @length: bytes of @text; the reader does not believe it
 * @text:   no NUL needed
 */
struct dataport {
    uint32_t client;
    uint32_t length;
    char text[1016];
};

#define DATAPORT_OFFSET 0

#endif
