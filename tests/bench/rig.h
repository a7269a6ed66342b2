/* SPDX-License-Identifier: MIT
 *
 * Two processes, pinned to two cores, that run contenders: the child sends, this one receives and
 * takes the time.
 */
#ifndef IVSHMEM_TESTS_RIG_H
#define IVSHMEM_TESTS_RIG_H

#include <stdbool.h>

#include "tests/bench/transport.h"

/** rig_start() - pin and fork; skips the program where there is one core only */
void rig_start(void);

/**
 * rig_round() - one round of a contender
 * @transport: the contender; of transports_all()
 * @size:      of a message
 * @count:     how many
 *
 * Return: nanoseconds for each message, with all of it checked.
 */
double rig_round(const struct transport *transport, size_t size, uint64_t count);

/** rig_distance() - nanoseconds that a cache line takes to the other processor and back, just now
 */
double rig_distance(void);

/** rig_disturbed() - whether another program took a processor from us during the last round */
bool rig_disturbed(void);

/**
 * rig_calibrate() - how many messages take about so long
 * @transport: the contender
 * @size:      of a message
 * @ns:        the time wanted
 */
uint64_t rig_calibrate(const struct transport *transport, size_t size, double ns);

/** rig_stop() - the child ends */
void rig_stop(void);

#endif
