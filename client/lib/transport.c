/* SPDX-License-Identifier: MIT
 *
 * See transport.h. The kinds of targets that there are.
 */
#include "client/lib/transport.h"

#include <errno.h>
#include <string.h>

#include "client/lib/file.h"
#include "client/lib/unix.h"

static const struct kind {
    const char *name;
    int (*open)(const char *address, struct transport **transport, struct failure *failure);
} kinds[] = {
    {"unix", unix_open}, /* the first one is that of plain paths */
    {"file", file_open},
};

int transport_open(const char *target, struct transport **transport, struct failure *failure)
{
    size_t length = strcspn(target, ":/");

    if (target[length] != ':')
        return kinds[0].open(target, transport, failure);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, target, length) == 0)
            return kinds[i].open(target + length + 1, transport, failure);
    return failure_set(
        failure, EINVAL,
        "'%s': there is no kind of target '%.*s', say unix:PATH, file:PATH or a path", target,
        (int)length, target);
}

struct transport *transport_close(struct transport *transport)
{
    if (transport)
        transport->ops->close(transport);
    return NULL;
}
