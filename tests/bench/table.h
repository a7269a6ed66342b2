/* SPDX-License-Identifier: MIT
 *
 * What bench_channel has measured, and the limits that it is held against.
 */
#ifndef IVSHMEM_TESTS_BENCH_TABLE_H
#define IVSHMEM_TESTS_BENCH_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "tests/bench/transport.h"

enum { TABLE_SIZES = 7, TABLE_CONTENDERS = 40, TABLE_ROUNDS = 101 };

/** table_sizes - the sizes of messages, in bytes */
extern const size_t table_sizes[TABLE_SIZES];

/**
 * struct table - all that was measured
 * @contenders:   in the order of transports_all()
 * @n_contenders: how many
 * @n_rounds:     rounds of each size
 * @ns:           nanoseconds for each message, by contender, size and round; 0: not measured
 * @line:         nanoseconds that a line took there and back before and after each round
 *
 * Of what table_choose_placement() leaves:
 *
 * @n_used:       rounds of each size, the first ones; may be 0
 * @placement:    where the processors were in all of them, for people
 */
struct table {
    const struct transport *contenders[TABLE_CONTENDERS];
    unsigned n_contenders, n_rounds;
    double ns[TABLE_CONTENDERS][TABLE_SIZES][TABLE_ROUNDS];
    double line[2][TABLE_SIZES][TABLE_ROUNDS];
    unsigned n_used[TABLE_SIZES];
    char placement[100];
};

/**
 * table_choose_placement() - leave the rounds in which the processors were equally far apart
 *
 * A virtual machine may find its processors on one core now, and far apart a minute later. Where
 * most rounds were counts; those in which it changed, too, say nothing.
 */
void table_choose_placement(struct table *table);

/** table_typical() - the median of a contender's times for a size; 0: not measured */
double table_typical(const struct table *table, unsigned contender, unsigned size);

/** table_median() - the median of some numbers, not more than TABLE_ROUNDS; 0 of none */
double table_median(const double *values, unsigned count);

/** table_find() - the index of a contender, or -1 */
int table_find(const struct table *table, const char *name);

/** table_is_trip() - whether it is a round trip: the name says it */
bool table_is_trip(const struct transport *transport);

/** table_size_text() - "64 B", "1 KiB". Return: @text. */
const char *table_size_text(size_t size, char *text, size_t room);

/** table_print() - throughput by size, and round trips */
void table_print(const struct table *table);

/** table_write_csv() - medians and quartiles, a line for each contender and size */
void table_write_csv(const struct table *table, FILE *file);

/** limits_print() - each limit as the median of the ratios within rounds, and whether it is met */
void limits_print(const struct table *table);

/**
 * plot_draw() - a picture of throughput against size, with gnuplot
 * @table: what was measured
 * @path:  of the picture, without its ending
 *
 * Says on stdout what it is called, or that there is no gnuplot.
 */
void plot_draw(const struct table *table, const char *path);

#endif
