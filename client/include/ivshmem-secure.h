/* SPDX-License-Identifier: MIT
 *
 * libivshmem-secure: encrypted messages through a channel of libivshmem (ivshmem.h).
 *
 * Everybody who maps the region can read and write all rings in it. Two sides with a key of their
 * own lay TLS 1.3 over a channel that goes both ways: nobody else can then read a message, or
 * change, forge, repeat, reorder or leave out one without being found out. It is GnuTLS that does
 * so.
 *
 *     struct ivshmem_secure *secure = NULL;
 *     int r = ivshmem_secure_new(&secure);
 *
 *     if (r == 0)
 *         r = ivshmem_secure_read_key(secure, "/etc/ours.key");
 *     if (r == 0)
 *         r = ivshmem_secure_start(secure, channel, IVSHMEM_SECURE_CONNECTED);
 *     if (r == 0)
 *         r = ivshmem_secure_send(secure, "hello", 5);
 *     if (r == 0)
 *         r = ivshmem_secure_end(secure);
 *     ivshmem_secure_free(secure);
 *     ivshmem_close(channel);
 *
 * The rules are those of ivshmem.h. The time-out of the channel is how long a call waits whenever
 * nothing moves. A call that returns -EAGAIN, -ETIMEDOUT or -EBUSY is made again with the same
 * arguments, and goes on where it was. After what has ended the channel, the other errors but
 * -EINVAL and -EMSGSIZE, every call returns that again; but when the other side has sent its last
 * message, which is -EPIPE for who receives, sending goes on.
 */
#ifndef IVSHMEM_SECURE_H
#define IVSHMEM_SECURE_H

#include <ivshmem.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ivshmem_secure;

/** enum ivshmem_secure_side - which side of the channel we are; the other one is the other */
enum ivshmem_secure_side {
    IVSHMEM_SECURE_CONNECTED = 0, /* we called ivshmem_connect() */
    IVSHMEM_SECURE_ACCEPTED       /* we called ivshmem_accept() */
};

/**
 * ivshmem_secure_new() - make an object that has no key and no channel yet
 * @secure: set to it; left alone on error
 *
 * Return: 0 or -ENOMEM.
 */
IVSHMEM_API int ivshmem_secure_new(struct ivshmem_secure **secure);

/**
 * ivshmem_secure_free() - forget it, and its key; the channel stays, and is the caller's
 * @secure: may be NULL
 *
 * Return: always NULL.
 */
IVSHMEM_API struct ivshmem_secure *ivshmem_secure_free(struct ivshmem_secure *secure);

/**
 * ivshmem_secure_error() - the last failure of a function of this object, in one line
 * @secure: the object
 *
 * Return: text that lives until the next call; empty if nothing has failed yet.
 */
IVSHMEM_API const char *ivshmem_secure_error(const struct ivshmem_secure *secure);

/**
 * ivshmem_secure_set_key() - the key that both sides have
 * @secure: the object, not started
 * @key:    copied
 * @size:   16 to 64 bytes, which nobody can guess: a pass phrase is no key
 *
 * Return: 0, or -EINVAL for another size, or when it was started.
 */
IVSHMEM_API int ivshmem_secure_set_key(struct ivshmem_secure *secure, const void *key, size_t size);

/**
 * ivshmem_secure_read_key() - read the key from a file
 * @secure: the object, not started
 * @path:   16 to 64 bytes in hexadecimal, blanks and ends of lines left out. A regular file of ours
 *          or of root, which nobody else can read or write
 *
 * Return: 0, -EPERM when others can read or write it, -EINVAL for another content, or the negative
 * errno of open(2) and read(2).
 */
IVSHMEM_API int ivshmem_secure_read_key(struct ivshmem_secure *secure, const char *path);

/**
 * ivshmem_secure_start() - agree with the other side, which has to do the same
 * @secure:  the object, with a key
 * @channel: a connection with a ring in each direction, not used otherwise from now on; it has to
 *           outlive the calls of this object
 * @side:    enum ivshmem_secure_side
 *
 * Return: 0, -EAGAIN, -ETIMEDOUT, -EINVAL without a key, for a channel that is one-way, or when it
 * was started on another one, -EKEYREJECTED when the other side has another key, -EBADMSG when what
 * came is not what such a side sends, or what ended the channel.
 */
IVSHMEM_API int ivshmem_secure_start(struct ivshmem_secure *secure, struct ivshmem_channel *channel,
                                     enum ivshmem_secure_side side);

/**
 * ivshmem_secure_send() - send a message
 * @secure: started
 * @buffer: the message
 * @size:   its bytes, any number; 0 is a message too
 *
 * If a message was begun with ivshmem_secure_send_part(), this is the rest of it.
 *
 * Return: 0, -EAGAIN, -ETIMEDOUT, -EINVAL when it was not started, or what ended the channel.
 */
IVSHMEM_API int ivshmem_secure_send(struct ivshmem_secure *secure, const void *buffer, size_t size);

/**
 * ivshmem_secure_send_part() - send the next part of a message
 * @secure: started
 * @buffer: the part
 * @size:   its bytes
 * @more:   the message goes on after these bytes
 *
 * Return: as ivshmem_secure_send().
 */
IVSHMEM_API int ivshmem_secure_send_part(struct ivshmem_secure *secure, const void *buffer,
                                         size_t size, bool more);

/**
 * ivshmem_secure_recv() - receive a message
 * @secure: started
 * @buffer: where to
 * @size:   its bytes
 *
 * Return: bytes of the message, -EMSGSIZE when it has more than @size (the first @size are in the
 * buffer, the next call goes on behind them), -EAGAIN, -ETIMEDOUT, or an end: -EPIPE when the other
 * side has called ivshmem_secure_end() and everything was received, -ECONNRESET when the channel
 * ended without that or within a message, -EBADMSG when what came is not what was sent, or what
 * else ended the channel.
 */
IVSHMEM_API ssize_t ivshmem_secure_recv(struct ivshmem_secure *secure, void *buffer, size_t size);

/**
 * ivshmem_secure_recv_part() - receive what is there of a message
 * @secure: started
 * @buffer: where to
 * @size:   its bytes, not 0
 * @more:   set to whether the message goes on
 *
 * Return: bytes (0 with @more false for an empty message or an end), or as ivshmem_secure_recv().
 */
IVSHMEM_API ssize_t ivshmem_secure_recv_part(struct ivshmem_secure *secure, void *buffer,
                                             size_t size, bool *more);

/**
 * ivshmem_secure_end() - tell the other side that nothing more comes
 * @secure: started
 *
 * Without it the other side takes the end of the channel for a loss. Receiving goes on, and the
 * other side can still send, until it ends too.
 *
 * Return: as ivshmem_secure_send().
 */
IVSHMEM_API int ivshmem_secure_end(struct ivshmem_secure *secure);

#ifdef __cplusplus
}
#endif

#endif
