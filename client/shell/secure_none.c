/* SPDX-License-Identifier: MIT
 *
 * Instead of libivshmem-secure where there is no GnuTLS. Nobody is given an object, so what needs
 * one is never called: it is there to be linked.
 */
#include <errno.h>

#include "ivshmem-secure.h"

int ivshmem_secure_new(struct ivshmem_secure **secure)
{
    (void)secure;
    return -ENOTSUP;
}

struct ivshmem_secure *ivshmem_secure_free(struct ivshmem_secure *secure)
{
    (void)secure;
    return NULL;
}

const char *ivshmem_secure_error(const struct ivshmem_secure *secure)
{
    (void)secure;
    return "";
}

int ivshmem_secure_read_key(struct ivshmem_secure *secure, const char *path)
{
    (void)secure;
    (void)path;
    return -ENOTSUP;
}

int ivshmem_secure_start(struct ivshmem_secure *secure, struct ivshmem_channel *channel,
                         enum ivshmem_secure_side side)
{
    (void)secure;
    (void)channel;
    (void)side;
    return -ENOTSUP;
}

int ivshmem_secure_send_part(struct ivshmem_secure *secure, const void *buffer, size_t size,
                             bool more)
{
    (void)secure;
    (void)buffer;
    (void)size;
    (void)more;
    return -ENOTSUP;
}

ssize_t ivshmem_secure_recv_part(struct ivshmem_secure *secure, void *buffer, size_t size,
                                 bool *more)
{
    (void)secure;
    (void)buffer;
    (void)size;
    (void)more;
    return -ENOTSUP;
}

int ivshmem_secure_end(struct ivshmem_secure *secure)
{
    (void)secure;
    return -ENOTSUP;
}
