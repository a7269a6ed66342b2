/* SPDX-License-Identifier: MIT
 *
 * The connection of a handle: what the server says becomes the roster, the mapping and callbacks.
 */
#ifndef IVSHMEM_CONNECTION_H
#define IVSHMEM_CONNECTION_H

struct ivshmem;

/**
 * connection_open() - connect to the handle's target
 * @iv: the handle, without a connection
 *
 * When it fails, and the handle is to try again, the next try is set up.
 *
 * Return: 0, also when there will be a next try; or as transport_open().
 */
int connection_open(struct ivshmem *iv);

/**
 * connection_close() - give up the connection and everything that came with it
 * @iv: the handle, with a connection or without; there will be no next try
 */
void connection_close(struct ivshmem *iv);

/**
 * connection_lost() - the connection is of no use any more: closes it and tells the program
 * @iv:    the handle
 * @error: negative errno, whose text is set already
 *
 * Return: @error, or 0 when there will be a next try.
 */
int connection_lost(struct ivshmem *iv, int error);

/**
 * connection_read() - take what the server has to say, a bounded amount of it
 * @iv: the handle, with a connection
 *
 * Return: 0, or the reason why the connection is of no use any more.
 */
int connection_read(struct ivshmem *iv);

/**
 * connection_timer() - the timer of events_set_timer() has run out
 * @iv: the handle
 */
void connection_timer(struct ivshmem *iv);

#endif
