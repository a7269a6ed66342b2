/* SPDX-License-Identifier: MIT
 *
 * See inherited.h.
 */
#include "server/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"

enum { LISTEN_FIRST = 3 }; /* SD_LISTEN_FDS_START */

static int add(struct inherited *inherited, const char *name, int fd)
{
    struct inherited_item *items =
        reallocarray(inherited->items, inherited->n_items + 1, sizeof(*items));
    char *copy = strdup(name);

    if (items)
        inherited->items = items;
    if (!items || !copy || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        free(copy);
        return items && copy ? -errno : -ENOMEM;
    }
    items[inherited->n_items++] = (struct inherited_item){.name = copy, .fd = fd};
    return 0;
}

static uint64_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    uint64_t number = 0;

    if (text)
        parse_unsigned(text, 0, INT_MAX, &number);
    return number;
}

/* From the manager: names divided by ':', descriptors from LISTEN_FIRST on in the same order. */
static int receive_from_manager(struct inherited *inherited)
{
    const char *names = getenv("LISTEN_FDNAMES");
    uint64_t count = number_of("LISTEN_FDS");
    _cleanup_free_ char *copy = strdup(names ? names : "");
    char *rest = copy;
    int r = copy ? 0 : -ENOMEM;

    if (number_of("LISTEN_PID") != (uint64_t)getpid())
        return 0;
    for (uint64_t i = 0; r == 0 && i < count; i++) {
        const char *name = rest ? strsep(&rest, ":") : NULL;

        r = add(inherited, name && *name ? name : "unknown", LISTEN_FIRST + (int)i);
    }
    return r;
}

/* From the program before us: lines of "NUMBER NAME". */
static int receive_from_program(struct inherited *inherited, int list)
{
    int copy = fcntl(list, F_DUPFD_CLOEXEC, 0);
    _cleanup_fclose_ FILE *file = copy < 0 ? NULL : fdopen(copy, "re");
    char name[64];
    int fd, r = 0;

    if (!file) {
        close_fd(copy);
        return -EBADF;
    }
    rewind(file);
    inherited->program = true;
    while (r == 0 && fscanf(file, "%d %63s", &fd, name) == 2)
        r = add(inherited, name, fd);
    return r;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(((const struct inherited_item *)one)->name,
                  ((const struct inherited_item *)other)->name);
}

static void mark_ambiguous(struct inherited *inherited)
{
    for (size_t i = 1; i < inherited->n_items; i++) {
        struct inherited_item *item = &inherited->items[i];

        if (strcmp(item->name, item[-1].name) == 0)
            item->ambiguous = item[-1].ambiguous = true;
    }
}

/* Fills in what the environment tells of, sorted. */
static int collect(struct inherited *inherited)
{
    uint64_t list = number_of(INHERITED_LIST);
    int r;

    *inherited = (struct inherited){.items = NULL};
    r = list ? receive_from_program(inherited, (int)list) : receive_from_manager(inherited);
    if (inherited->n_items)
        qsort(inherited->items, inherited->n_items, sizeof(*inherited->items), compare_names);
    mark_ambiguous(inherited);
    return r;
}

int inherited_receive(struct inherited *inherited, struct failure *failure)
{
    int list = (int)number_of(INHERITED_LIST), r = collect(inherited);

    if (list)
        close_fd(list);
    unsetenv(INHERITED_LIST);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (r < 0)
        return failure_set(failure, -r, "cannot take over the descriptors that were passed: %s",
                           strerror(-r));
    return 0;
}

static struct inherited_item *find(const struct inherited *inherited, const char *name)
{
    const struct inherited_item key = {.name = (char *)(uintptr_t)name};

    return inherited->n_items
               ? bsearch(&key, inherited->items, inherited->n_items, sizeof(key), compare_names)
               : NULL;
}

int inherited_take(struct inherited *inherited, const char *name)
{
    struct inherited_item *item = find(inherited, name);

    if (item && item->ambiguous) {
        log_warning("several descriptors came back as %s: none is believed", name);
        return -1;
    }
    return item ? steal_fd(&item->fd) : -1;
}

int inherited_take_any(struct inherited *inherited, const char *name)
{
    struct inherited_item *item = find(inherited, name);

    if (!item)
        return -1;
    while (item > inherited->items && strcmp(item[-1].name, name) == 0)
        item--;
    for (size_t i = (size_t)(item - inherited->items); i < inherited->n_items; i++) {
        if (strcmp(inherited->items[i].name, name) != 0)
            break;
        if (inherited->items[i].fd >= 0)
            return steal_fd(&inherited->items[i].fd);
    }
    return -1;
}

/* Return: whether it is a UNIX socket that listens, with its address. */
static bool is_listener(int fd, struct sockaddr_un *address)
{
    socklen_t length = sizeof(*address), size = sizeof(int);
    int listening = 0;

    *address = (struct sockaddr_un){.sun_family = AF_UNSPEC};
    return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 &&
           listening && getsockname(fd, (struct sockaddr *)address, &length) == 0 &&
           address->sun_family == AF_UNIX;
}

int inherited_take_path(struct inherited *inherited, const char *path, char *name, size_t size)
{
    _cleanup_free_ char *absolute = absolute_path(path);
    struct sockaddr_un address;

    for (size_t i = 0; absolute && i < inherited->n_items; i++) {
        struct inherited_item *item = &inherited->items[i];

        if (is_listener(item->fd, &address) &&
            (strncmp(address.sun_path, absolute, sizeof(address.sun_path)) == 0 ||
             strncmp(address.sun_path, path, sizeof(address.sun_path)) == 0)) {
            snprintf(name, size, "%s", item->name);
            return steal_fd(&item->fd);
        }
    }
    return -1;
}

bool inherited_has(const struct inherited *inherited, const char *name)
{
    return find(inherited, name) != NULL;
}

void inherited_report(const struct inherited *inherited)
{
    struct sockaddr_un address;

    for (size_t i = 0; i < inherited->n_items && !inherited->program; i++)
        if (is_listener(inherited->items[i].fd, &address))
            log_warning("nobody is answered on %.108s, which was passed on as %s: its name "
                        "(FileDescriptorName=) has to be peers, slot-NAME or control, or its path "
                        "that of --socket, a --slot or --control-socket",
                        address.sun_path, inherited->items[i].name);
}

int inherited_peek(const char *name)
{
    struct inherited inherited;
    const struct inherited_item *item = collect(&inherited) < 0 ? NULL : find(&inherited, name);
    int fd = item && !item->ambiguous ? item->fd : -1;

    for (size_t i = 0; i < inherited.n_items; i++)
        inherited.items[i].fd = -1; /* they are not ours yet */
    inherited_deinit(&inherited);
    return fd;
}

int inherited_take_lock(struct inherited *inherited, const char *name)
{
    char lock[64];

    snprintf(lock, sizeof(lock), INHERITED_LOCK "%s", name);
    return inherited_take(inherited, lock);
}

void inherited_deinit(struct inherited *inherited)
{
    for (size_t i = 0; i < inherited->n_items; i++) {
        close_fd(inherited->items[i].fd);
        free(inherited->items[i].name);
    }
    free(inherited->items);
    *inherited = (struct inherited){.items = NULL};
}
