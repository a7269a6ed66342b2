/* SPDX-License-Identifier: MIT
 *
 * Messages in the stream of bytes that TLS is. A message is sent in pieces; before each stands a
 * word of 32 bits, little-endian: the bytes of the piece, and in the highest bit whether the
 * message goes on behind it. A piece with its header is one record of TLS, so all of it is checked
 * before anything is looked at.
 */
#include <errno.h>
#include <string.h>

#include "client/lib/secure.h"

#define GOES_ON UINT32_C(0x80000000)

/* --- sending --- */

static void pack(struct ivshmem_secure *secure, const void *bytes, size_t size, bool goes_on)
{
    uint32_t word = (uint32_t)size | (goes_on ? GOES_ON : 0);

    for (int i = 0; i < SECURE_HEADER; i++)
        secure->out[i] = (uint8_t)(word >> (8 * i));
    if (size)
        memcpy(secure->out + SECURE_HEADER, bytes, size);
    secure->out_size = SECURE_HEADER + size;
    secure->out_done = 0;
}

int secure_push(struct ivshmem_secure *secure)
{
    while (secure->out_done < secure->out_size) {
        ssize_t sent = gnutls_record_send(secure->session, secure->out + secure->out_done,
                                          secure->out_size - secure->out_done);

        if (sent < 0) {
            int r = secure_judge(secure, sent);

            if (r < 0)
                return r;
            continue;
        }
        secure->out_done += (size_t)sent;
    }
    return 0;
}

int ivshmem_secure_send_part(struct ivshmem_secure *secure, const void *buffer, size_t size,
                             bool more)
{
    int r = secure_usable(secure);

    if (r < 0)
        return r;
    if (secure->no_more)
        return failure_set(&secure->failure, EINVAL, "nothing can be sent behind the end");
    if (secure->taken > size)
        return failure_set(&secure->failure, EINVAL,
                           "a call that was not finished goes on with the same message");
    if (!size && more)
        return 0;
    do {
        if (secure->out_done == secure->out_size) {
            size_t left = size - secure->taken;
            size_t piece = left < SECURE_PIECE ? left : SECURE_PIECE;

            pack(secure, (const uint8_t *)buffer + secure->taken, piece, more || piece < left);
            secure->taken += piece;
        }
        r = secure_push(secure);
        if (r < 0)
            return r;
    } while (secure->taken < size);
    secure->taken = 0;
    ivshmem_flush(secure->channel);
    return 0;
}

int ivshmem_secure_send(struct ivshmem_secure *secure, const void *buffer, size_t size)
{
    return ivshmem_secure_send_part(secure, buffer, size, false);
}

/* --- receiving --- */

static int lost(struct ivshmem_secure *secure)
{
    failure_describe(&secure->failure, "the other side has ended within a message");
    return secure_end_with(secure, -ECONNRESET);
}

static int no_more_comes(struct ivshmem_secure *secure)
{
    return failure_set(&secure->failure, EPIPE, "the other side has ended");
}

static int check_receiving(struct ivshmem_secure *secure)
{
    int r = secure_usable(secure);

    return r == 0 && secure->over ? no_more_comes(secure) : r;
}

/* Return: bytes, at least one; or an error. */
static ssize_t pull(struct ivshmem_secure *secure, void *buffer, size_t size)
{
    for (;;) {
        ssize_t got = gnutls_record_recv(secure->session, buffer, size);

        if (got > 0)
            return got;
        if (got == 0 && secure->within)
            return lost(secure);
        if (got == 0) {
            secure->over = true;
            return no_more_comes(secure);
        }
        got = secure_judge(secure, got);
        if (got < 0)
            return got;
    }
}

/* The header of the next piece. */
static int next_piece(struct ivshmem_secure *secure)
{
    uint32_t word = 0;

    while (secure->header_have < SECURE_HEADER) {
        ssize_t got =
            pull(secure, secure->header + secure->header_have, SECURE_HEADER - secure->header_have);

        if (got < 0)
            return (int)got;
        secure->header_have += (size_t)got;
        secure->within = true;
    }
    for (int i = 0; i < SECURE_HEADER; i++)
        word |= (uint32_t)secure->header[i] << (8 * i);
    secure->header_have = 0;
    secure->left = word & ~GOES_ON;
    secure->goes_on = word & GOES_ON;
    secure->within = secure->left || secure->goes_on;
    return 0;
}

/* Up to @room bytes of the message. With a @room of 0, looks whether it goes on. */
static ssize_t take(struct ivshmem_secure *secure, void *buffer, size_t room, bool *more)
{
    ssize_t got = 0;

    if (!secure->left)
        do {
            got = next_piece(secure);
        } while (got == 0 && !secure->left && secure->goes_on);
    if (got == 0 && secure->left && room) {
        got = pull(secure, buffer, room < secure->left ? room : secure->left);
        if (got > 0)
            secure->left -= (size_t)got;
    }
    if (got < 0)
        return got;
    secure->within = secure->left || secure->goes_on;
    *more = secure->within;
    return got;
}

ssize_t ivshmem_secure_recv_part(struct ivshmem_secure *secure, void *buffer, size_t size,
                                 bool *more)
{
    int r = check_receiving(secure);

    if (r == 0 && !size)
        r = failure_set(&secure->failure, EINVAL, "a part has at least one byte");
    secure->have = 0;
    return r < 0 ? r : take(secure, buffer, size, more);
}

ssize_t ivshmem_secure_recv(struct ivshmem_secure *secure, void *buffer, size_t size)
{
    bool more = true;
    ssize_t got = check_receiving(secure);

    while (got >= 0 && more) {
        size_t room = size > secure->have ? size - secure->have : 0;

        got = take(secure, (uint8_t *)buffer + secure->have, room, &more);
        if (got < 0)
            return got;
        secure->have += (size_t)got;
        if (more && !room)
            got = failure_set(&secure->failure, EMSGSIZE,
                              "the message has more bytes than the buffer: receive the rest");
    }
    if (got >= 0)
        got = (ssize_t)secure->have;
    secure->have = 0;
    return got;
}
