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

/** enum table_place - whether the processors shared a cache in a round, or that changed */
enum table_place { TABLE_NEAR, TABLE_FAR, TABLE_MOVED, TABLE_PLACES };

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
 * Of what table_pick() takes:
 *
 * @n_used:       rounds of each size, the first ones; may be 0
 * @n_picked:     rounds in all
 * @n_all:        of so many
 * @place:        where the processors were in all of them
 */
struct table {
    const struct transport *contenders[TABLE_CONTENDERS];
    unsigned n_contenders, n_rounds;
    double ns[TABLE_CONTENDERS][TABLE_SIZES][TABLE_ROUNDS];
    double line[2][TABLE_SIZES][TABLE_ROUNDS];
    unsigned n_used[TABLE_SIZES], n_picked, n_all;
    enum table_place place;
};

/**
 * table_pick() - only the rounds in which the processors were equally far apart
 * @all:    what was measured
 * @place:  where they shall have been
 * @picked: set to a table of those rounds
 *
 * A virtual machine may find its processors side by side now, and far apart a minute later. Where
 * that never happens, all are near.
 *
 * Return: how many rounds, of all sizes.
 */
unsigned table_pick(const struct table *all, enum table_place place, struct table *picked);

/** table_place_text() - "near", "far" or "moved" */
const char *table_place_text(enum table_place place);

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

/** table_csv_head() - the names of the columns of table_write_csv() */
void table_csv_head(FILE *file);

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
