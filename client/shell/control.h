/* SPDX-License-Identifier: MIT
 *
 * A connection to the server's control socket (ivshmem-control.7): Varlink calls and their answers,
 * and streams of answers.
 */
#ifndef IVSHMEM_CONTROL_CLIENT_H
#define IVSHMEM_CONTROL_CLIENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/failure.h"

/**
 * struct control - the connection
 * @sock:  connected; poll it for a stream
 * @bytes: what was received and not taken, owned
 * @have:  bytes of it
 * @room:  allocated
 * @taken: bytes at the front that belong to answers that were handed out
 */
struct control {
    int sock;
    char *bytes;
    size_t have, room, taken;
};

/**
 * control_open() - connect
 * @control: set to the connection; left alone on error
 * @path:    the control socket
 * @failure: why not
 *
 * Return: 0 or a negative errno.
 */
int control_open(struct control **control, const char *path, struct failure *failure);

/**
 * control_free() - hang up
 * @control: may be NULL
 *
 * Return: always NULL.
 */
struct control *control_free(struct control *control);

/**
 * control_send() - call a method
 * @control:    the connection
 * @method:     its name; without a dot, one of io.ivshmem.Server
 * @parameters: an object, taken; NULL for none
 * @more:       many answers are welcome
 * @failure:    why not
 *
 * Return: 0 or a negative errno.
 */
int control_send(struct control *control, const char *method, cJSON *parameters, bool more,
                 struct failure *failure);

/**
 * control_receive() - the next answer
 * @control: the connection
 * @wait:    for it; else only one that is there already or can be read at once
 * @reply:   set to the whole answer, with "parameters" and perhaps "error"; to be deleted
 * @failure: why not
 *
 * Return: 0, -EAGAIN when there is none yet and @wait is false, -ECONNRESET when the server hung
 * up, -EPROTO for what is no answer, or another negative errno.
 */
int control_receive(struct control *control, bool wait, cJSON **reply, struct failure *failure);

/**
 * control_error() - whether an answer is an error
 * @reply: the answer
 *
 * Return: the last part of its name, NoSuchPeer for instance; NULL when it is none.
 */
const char *control_error(const cJSON *reply);

#endif
