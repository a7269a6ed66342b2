/* SPDX-License-Identifier: MIT
 *
 * The metrics file: numbers about the daemon in OpenMetrics text, for a program that collects such
 * files (Prometheus' node exporter with its textfile collector).
 *
 * The file is replaced as a whole, by rename(2), so a reader never sees half of it; at most once in
 * METRICS_SECONDS, and only when something has changed: while nothing happens no timer is set. It
 * is removed at the end, so that nobody takes the numbers of a dead server for those of a live one.
 */
#ifndef IVSHMEM_METRICS_H
#define IVSHMEM_METRICS_H

#include <event2/event.h>
#include <stdio.h>

#include "common/failure.h"
#include "server/config.h"
#include "server/hub.h"
#include "server/region.h"

enum {
    METRICS_SECONDS = 2,
    METRICS_DESCRIPTORS = 2, /* the directory, and the file while it is written */
};

struct clerk;
struct metrics;

/**
 * struct metrics_setup - what the numbers are about; nothing of it is owned
 * @base:   event loop
 * @config: the configuration
 * @hub:    the peers
 * @region: the memory
 * @clerk:  the channels, NULL where there are none
 */
struct metrics_setup {
    struct event_base *base;
    const struct config *config;
    struct hub *hub;
    const struct region *region;
    const struct clerk *clerk;
};

/**
 * metrics_new() - write the file for the first time, and again when something changes
 * @setup:   what it is about
 * @out:     the metrics; NULL when the configuration names no file
 * @failure: says why the file cannot be written
 *
 * Return: 0 or a negative errno.
 */
int metrics_new(const struct metrics_setup *setup, struct metrics **out, struct failure *failure);

/** metrics_free() - remove the file if it is ours. Takes NULL, returns NULL. */
struct metrics *metrics_free(struct metrics *metrics);

/** metrics_print() - the content of the file */
void metrics_print(const struct metrics_setup *setup, FILE *out);

#endif
