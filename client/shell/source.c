/* SPDX-License-Identifier: MIT
 *
 * See source.h. Nothing is written before it is known that everything fits, so what comes through a
 * pipe is gathered first. A regular file knows its size, and is copied in pieces.
 */
#include "client/shell/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

/* Reads a stream to its end, or until it is more than fits. */
static int gather(struct source *source, int fd, uint64_t most, struct failure *failure)
{
    size_t room = 0;

    while (source->size <= most) {
        ssize_t got;

        if (source->size == room) {
            uint8_t *more = realloc(source->bytes, room = 2 * room + 65536);

            if (!more)
                return failure_set(failure, ENOMEM, "no memory for the data");
            source->bytes = more;
        }
        got = read(fd, source->bytes + source->size, room - source->size);
        if (got < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
        else if (got < 0)
            return failure_set(failure, errno, "cannot read the data: %s", strerror(errno));
        else if (got == 0)
            return 0;
        else
            source->size += (uint64_t)got;
    }
    source->cut = true;
    return 0;
}

static int open_file(struct source *source, const char *path, uint64_t most,
                     struct failure *failure)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return failure_set(failure, errno, "cannot open %s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode) || status.st_size == 0) /* files of /proc say 0, and are not */
        return gather(source, fd, most, failure);
    source->size = (uint64_t)status.st_size;
    source->fd = steal_fd(&fd);
    return 0;
}

int source_open(struct source *source, const struct arguments *given, uint64_t most,
                struct failure *failure)
{
    size_t size = 0;
    int r;

    *source = (struct source){.fd = -1, .extra = given->nul};
    if (given->file && strcmp(given->file, "-") != 0)
        return open_file(source, given->file, most, failure);
    if (given->file || (!given->text && strcmp(given->words[0], "-") == 0))
        return gather(source, STDIN_FILENO, most, failure);
    if (given->text) {
        r = argument_hex(given->text, &source->bytes, &size, failure);
        source->size = size;
        return r;
    }
    source->size = strlen(given->words[0]);
    source->bytes = (uint8_t *)strdup(given->words[0]);
    return source->bytes ? 0 : failure_set(failure, ENOMEM, "no memory for the text");
}

int source_read(const struct source *source, uint64_t at, void *buffer, size_t size,
                struct failure *failure)
{
    uint8_t *out = buffer;

    if (source->bytes) {
        memcpy(buffer, source->bytes + at, size);
        return 0;
    }
    while (size) {
        ssize_t got = pread(source->fd, out, size, (off_t)at);

        if (got < 0 && errno != EINTR)
            return failure_set(failure, errno, "cannot read the file: %s", strerror(errno));
        if (got == 0)
            return failure_set(failure, EIO, "the file has become shorter");
        if (got > 0) {
            out += got;
            at += (uint64_t)got;
            size -= (size_t)got;
        }
    }
    return 0;
}

void source_close(struct source *source)
{
    free(source->bytes);
    close_fd(source->fd);
}
