/* SPDX-License-Identifier: MIT
 *
 * See output.h. stdio loses bytes when a write fails half-way, so the writing is done here, below a
 * stream of our own (fopencookie(3)), which never sees a failure.
 */

#include "client/shell/output.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static void write_all(struct output *output, const char *bytes, size_t count)
{
    while (count && !output->gone && !output->error) {
        ssize_t written = write(output->fd, bytes, count);

        if (written >= 0) {
            bytes += written;
            count -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = output->fd, .events = POLLOUT};

            poll(&room, 1, -1);
        } else if (errno == EPIPE) {
            output->gone = true;
        } else if (errno != EINTR) {
            output->error = errno;
        }
    }
}

static ssize_t cookie_write(void *cookie, const char *bytes, size_t count)
{
    struct output *output = cookie;

    if (count && output->hide)
        output->hide(output->context);
    write_all(output, bytes, count);
    if (count && output->show)
        output->show(output->context);
    if (count)
        output->at_line_start = bytes[count - 1] == '\n';
    return (ssize_t)count;
}

int output_init(struct output *output, int fd)
{
    static const cookie_io_functions_t functions = {.write = cookie_write};

    *output = (struct output){.fd = fd, .at_line_start = true};
    output->file = fopencookie(output, "w", functions);
    return output->file ? 0 : -errno;
}

void output_deinit(struct output *output)
{
    if (output->file)
        fclose(output->file);
    output->file = NULL;
}
