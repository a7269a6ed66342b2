/* SPDX-License-Identifier: MIT
 *
 * The object of ivshmem-secure.h from the inside: secure.c agrees with the other side and ends,
 * secure_messages.c sends and receives, secure_key.c has the key.
 */
#ifndef IVSHMEM_LIB_SECURE_H
#define IVSHMEM_LIB_SECURE_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/failure.h"
#include "ivshmem-secure.h"

enum {
    SECURE_KEY_LEAST = 16, /* bytes: 128 bits */
    SECURE_KEY_MOST = 64,
    SECURE_HEADER = 4,
    SECURE_PIECE = 16384 - SECURE_HEADER, /* with its header, what a record of TLS takes */
};

/**
 * struct ivshmem_secure - TLS on a channel
 * @channel:  what it goes through; NULL before the start
 * @side:     which side of it we are
 * @session:  of GnuTLS; NULL before the start
 * @client:   the key as GnuTLS wants it, of who connected
 * @server:   likewise, of who accepted
 * @key:      the key
 * @key_size: its bytes, 0 for none
 * @ready:    the sides have agreed
 * @cause:    what the last call on the channel returned, if it was an error
 * @ended:    negative errno: nothing works any more; 0 else
 * @out:      a piece of a message on its way, behind its header
 * @out_size: bytes of it, with the header
 * @out_done: how many GnuTLS has taken
 * @no_more:  we have ended: nothing more can be sent
 * @over:     the other side has ended: nothing more comes
 * @taken:    bytes of the program's buffer that were packed, in a call that was not finished
 * @header:   of the piece that we receive
 * @header_have: bytes of it that have come
 * @left:     bytes to come of the piece
 * @goes_on:  its message goes on behind it
 * @within:   a message has begun to come, and not ended
 * @have:     bytes in the program's buffer, from an ivshmem_secure_recv() that was not finished
 * @failure:  text for ivshmem_secure_error()
 */
struct ivshmem_secure {
    struct ivshmem_channel *channel;
    enum ivshmem_secure_side side;
    gnutls_session_t session;
    gnutls_psk_client_credentials_t client;
    gnutls_psk_server_credentials_t server;
    uint8_t key[SECURE_KEY_MOST];
    size_t key_size;
    bool ready;
    int cause;
    int ended;
    uint8_t out[SECURE_HEADER + SECURE_PIECE];
    size_t out_size, out_done;
    bool no_more, over;
    size_t taken;
    uint8_t header[SECURE_HEADER];
    size_t header_have;
    size_t left;
    bool goes_on;
    bool within;
    size_t have;
    struct failure failure;
};

/**
 * secure_judge() - what an error of GnuTLS means
 * @secure: the object
 * @error:  of GnuTLS, negative
 *
 * Return: 0: call it again; -EAGAIN, -ETIMEDOUT, -EBUSY: later; or what has ended it.
 */
int secure_judge(struct ivshmem_secure *secure, ssize_t error);

/** secure_end_with() - nothing works any more; the text says why. Return: @error. */
int secure_end_with(struct ivshmem_secure *secure, int error);

/** secure_push() - hand over the rest of the piece that is packed. Return: 0 or an error. */
int secure_push(struct ivshmem_secure *secure);

/** secure_usable() - whether messages can move. Return: 0, what has ended it, or -EINVAL. */
int secure_usable(struct ivshmem_secure *secure);

#endif
