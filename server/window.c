/* SPDX-License-Identifier: MIT
 *
 * See window.h.
 */
#include "server/window.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the signal handler knows: @memory is NULL while there is no window. */
static struct {
    uint8_t *memory;
    size_t size, page;
    volatile sig_atomic_t torn;
} guarded;

/* Puts memory of our own where the region has none; the faulting instruction is then done again. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    const uintptr_t at = (uintptr_t)info->si_addr, start = (uintptr_t)guarded.memory;
    const int error = errno;
    uint8_t *page;

    (void)context;
    if (guarded.memory && at >= start && at - start < guarded.size) {
        page = guarded.memory + (at - start) / guarded.page * guarded.page;
        if (mmap(page, guarded.page, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
            guarded.torn = 1;
            errno = error;
            return;
        }
    }
    signal(number, SIG_DFL); /* the next fault, at once, is the last */
}

static void *map(const struct window *window, int flags)
{
    void *memory = mmap(window->memory, window->size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_NORESERVE | flags, window->fd, 0);

    if (memory != MAP_FAILED)
        madvise(memory, window->size, MADV_DONTDUMP);
    return memory;
}

int window_open(struct window *window, int fd, uint64_t size)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    struct stat status;
    void *memory;

    *window = (struct window){.fd = fd, .size = size, .page = (size_t)sysconf(_SC_PAGESIZE)};
    if (fstat(fd, &status) < 0)
        return -errno;
    if ((size_t)status.st_blksize > window->page && size % (size_t)status.st_blksize == 0)
        window->page = (size_t)status.st_blksize; /* huge pages: only whole ones can be replaced */
    memory = map(window, 0);
    if (memory == MAP_FAILED)
        return -errno;
    window->memory = memory;
    guarded.size = window->size;
    guarded.page = window->page;
    guarded.torn = 0;
    guarded.memory = window->memory;
    return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

void window_close(struct window *window)
{
    if (!window->memory)
        return;
    guarded.memory = NULL;
    munmap(window->memory, window->size);
    window->memory = NULL;
}

bool window_is_torn(const struct window *window)
{
    return window->memory && guarded.torn;
}

int window_mend(struct window *window)
{
    guarded.torn = 0;
    if (map(window, MAP_FIXED) != MAP_FAILED)
        return 0;
    guarded.torn = 1;
    return -errno;
}
