/* SPDX-License-Identifier: MIT
 *
 * The key of ivshmem-secure.h, and the file that it comes from. Copies of it that are not needed
 * any more are wiped.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/lib/secure.h"
#include "common/cleanup.h"

enum { FILE_MOST = 1024 }; /* room for 64 bytes with blanks between them */

int ivshmem_secure_set_key(struct ivshmem_secure *secure, const void *key, size_t size)
{
    if (secure->channel)
        return failure_set(&secure->failure, EINVAL, "it is too late for a key");
    if (size < SECURE_KEY_LEAST || size > SECURE_KEY_MOST)
        return failure_set(&secure->failure, EINVAL, "a key of %zu bytes: it needs %d to %d", size,
                           SECURE_KEY_LEAST, SECURE_KEY_MOST);
    memcpy(secure->key, key, size);
    secure->key_size = size;
    return 0;
}

/* Whether nobody but us and root can read or write the file. Return: 0 or a negative errno. */
static int check_file(struct ivshmem_secure *secure, const char *path, int fd)
{
    struct failure *failure = &secure->failure;
    struct stat status;

    if (fstat(fd, &status) < 0)
        return failure_set(failure, errno, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, EINVAL, "%s is no regular file", path);
    if (status.st_uid != geteuid() && status.st_uid != 0)
        return failure_set(failure, EPERM, "%s belongs to user %u: a key is to be ours, or root's",
                           path, (unsigned)status.st_uid);
    if (status.st_mode & 077)
        return failure_set(failure, EPERM,
                           "others can read or write %s (mode %04o): chmod 600 it, and if they may"
                           " have seen it make a new key",
                           path, (unsigned)status.st_mode & 07777);
    return 0;
}

static int digit(char character)
{
    if (isdigit((unsigned char)character))
        return character - '0';
    return isxdigit((unsigned char)character) ? tolower((unsigned char)character) - 'a' + 10 : -1;
}

/* Pairs of digits; blanks between them are fine. Return: bytes, or -1. */
static ssize_t read_hex(const char *text, size_t size, uint8_t *bytes)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++) {
        int high = digit(text[i]), low = i + 1 < size ? digit(text[i + 1]) : -1;

        if (isspace((unsigned char)text[i]))
            continue;
        if (high < 0 || low < 0)
            return -1;
        bytes[count++] = (uint8_t)(high << 4 | low);
        i++;
    }
    return (ssize_t)count;
}

static int use_text(struct ivshmem_secure *secure, const char *path, const char *text, size_t size)
{
    uint8_t key[FILE_MOST / 2 + 1];
    ssize_t count = size < FILE_MOST ? read_hex(text, size, key) : -1;
    int r = -EINVAL;

    if (count < 0)
        failure_describe(&secure->failure, "%s is no key of %d to %d bytes in hexadecimal", path,
                         SECURE_KEY_LEAST, SECURE_KEY_MOST);
    else if (count < SECURE_KEY_LEAST || count > SECURE_KEY_MOST)
        failure_describe(&secure->failure, "%s has a key of %zd bytes: it needs %d to %d", path,
                         count, SECURE_KEY_LEAST, SECURE_KEY_MOST);
    else
        r = ivshmem_secure_set_key(secure, key, (size_t)count);
    explicit_bzero(key, sizeof(key));
    return r;
}

int ivshmem_secure_read_key(struct ivshmem_secure *secure, const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char text[FILE_MOST];
    size_t size = 0;
    ssize_t got;
    int r;

    if (fd < 0)
        return failure_set(&secure->failure, errno, "cannot open %s: %s", path, strerror(errno));
    r = check_file(secure, path, fd);
    if (r < 0)
        return r;
    while ((got = read(fd, text + size, sizeof(text) - size)) > 0)
        size += (size_t)got;
    if (got < 0)
        r = failure_set(&secure->failure, errno, "cannot read %s: %s", path, strerror(errno));
    else
        r = use_text(secure, path, text, size);
    explicit_bzero(text, sizeof(text));
    return r;
}
