/* SPDX-License-Identifier: MIT
 *
 * The window: the region as the daemon maps it, where there are channels.
 *
 * Whoever touches a mapped file where it has been cut, or where the system has no page for it, gets
 * SIGBUS (mmap(2)), and every peer can bring that about: a region with a name can be cut, pages of
 * any region can be given back when no others are left. The daemon must not die of it. So the
 * signal is handled: where the fault is inside the window, memory of our own is put in the place of
 * the pages that are missing, and what was being done goes on, there. The window is torn then:
 * nobody sees what the daemon writes to those pages, until window_mend() maps the region anew and
 * everything is written again. Faults elsewhere end the process as always.
 *
 * There is one window in a process.
 */
#ifndef IVSHMEM_WINDOW_H
#define IVSHMEM_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct window - the mapping
 * @fd:     the region; not owned
 * @memory: where it is mapped
 * @size:   its bytes
 * @page:   bytes of its pages, which may be huge
 */
struct window {
    int fd;
    uint8_t *memory;
    size_t size, page;
};

/**
 * window_open() - map the region
 * @window: filled in; give it to window_close()
 * @fd:     the region; must stay open
 * @size:   its bytes
 *
 * Return: 0 or a negative errno.
 */
int window_open(struct window *window, int fd, uint64_t size);

/** window_close() - unmap it; nothing happens when it is not open */
void window_close(struct window *window);

/** window_is_torn() - whether pages of it were missing since it was mapped */
bool window_is_torn(const struct window *window);

/**
 * window_mend() - map the region anew, in the same place
 *
 * What is still missing tears it again as soon as it is touched.
 *
 * Return: 0 or a negative errno; the window can be used in either case.
 */
int window_mend(struct window *window);

#endif
