/* SPDX-License-Identifier: MIT
 *
 * See table.h. Contenders whose names have "trip" in them are round trips of 64 bytes.
 */
#include "tests/bench/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { APART = 3 }; /* times the shortest is far; near ones differ by less than two */

const size_t table_sizes[TABLE_SIZES] = {64, 256, 1024, 4096, 16384, 65536, LANE_LARGE};

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* What a share of the numbers is below. */
static double quantile(const double *values, unsigned count, double share)
{
    double sorted[TABLE_ROUNDS], place = share * (count - 1);
    unsigned below = (unsigned)place, above = below + 1 < count ? below + 1 : below;

    memcpy(sorted, values, count * sizeof(*values));
    qsort(sorted, count, sizeof(*sorted), ascending);
    return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

double table_median(const double *values, unsigned count)
{
    return count ? quantile(values, count, 0.5) : 0;
}

double table_typical(const struct table *table, unsigned contender, unsigned size)
{
    return table_median(table->ns[contender][size], table->n_used[size]);
}

/* The enum table_place of a round; -1: there is no such round. */
static int place_of(const struct table *table, unsigned size, unsigned round, double border)
{
    double before = table->line[0][size][round], after = table->line[1][size][round];

    if (before <= 0)
        return -1;
    if ((before > border) != (after > border))
        return TABLE_MOVED;
    return before > border ? TABLE_FAR : TABLE_NEAR;
}

/* Between near and far. */
static double find_border(const struct table *table)
{
    double least = 0;

    for (unsigned s = 0; s < TABLE_SIZES; s++)
        for (unsigned i = 0; i < 2 * table->n_rounds; i++) {
            double line = table->line[i % 2][s][i / 2];

            if (line > 0 && (least <= 0 || line < least))
                least = line;
        }
    return APART * least;
}

static void pick_size(const struct table *all, unsigned size, double border, struct table *picked)
{
    unsigned n = 0;

    for (unsigned round = 0; round < all->n_rounds; round++) {
        picked->n_all += all->line[0][size][round] > 0;
        if (place_of(all, size, round, border) != (int)picked->place)
            continue;
        for (unsigned i = 0; i < all->n_contenders; i++)
            picked->ns[i][size][n] = all->ns[i][size][round];
        for (int i = 0; i < 2; i++)
            picked->line[i][size][n] = all->line[i][size][round];
        n++;
    }
    picked->n_used[size] = n;
    picked->n_picked += n;
}

unsigned table_pick(const struct table *all, enum table_place place, struct table *picked)
{
    double border = find_border(all);

    *picked = *all;
    picked->place = place;
    picked->n_picked = picked->n_all = 0;
    for (unsigned size = 0; size < TABLE_SIZES; size++)
        pick_size(all, size, border, picked);
    return picked->n_picked;
}

const char *table_place_text(enum table_place place)
{
    static const char *const texts[] = {"near", "far", "moved"};

    return texts[place];
}

int table_find(const struct table *table, const char *name)
{
    for (unsigned i = 0; i < table->n_contenders; i++)
        if (strcmp(table->contenders[i]->name, name) == 0)
            return (int)i;
    return -1;
}

bool table_is_trip(const struct transport *transport)
{
    return strstr(transport->name, "trip") != NULL;
}

const char *table_size_text(size_t size, char *text, size_t room)
{
    if (size >= LANE_LARGE)
        snprintf(text, room, "%zu MiB", size / LANE_LARGE);
    else if (size >= 1024)
        snprintf(text, room, "%zu KiB", size / 1024);
    else
        snprintf(text, room, "%zu B", size);
    return text;
}

/* How far apart the processors were while each size was measured. */
static void print_distance(const struct table *table)
{
    printf("  %-19s", "line trip, ns");
    for (unsigned s = 0; s < TABLE_SIZES; s++)
        printf(" %8.0f", table_median(table->line[0][s], table->n_used[s]));
    printf("\n");
}

/* Return: bytes for each ns, as far as that was measured. */
static double speed(const struct table *table, unsigned contender, unsigned size)
{
    double ns = table_typical(table, contender, size);

    return ns > 0 ? (double)table_sizes[size] / ns : 0;
}

void table_print(const struct table *table)
{
    char text[16];

    printf("\nprocessors %s: %u of %u rounds\n", table_place_text(table->place), table->n_picked,
           table->n_all);
    printf("\nthroughput, GB/s  ");
    for (unsigned s = 0; s < TABLE_SIZES; s++)
        printf(" %8s", table_size_text(table_sizes[s], text, sizeof(text)));
    printf("     ns for 64 B\n");
    for (unsigned i = 0; i < table->n_contenders; i++) {
        if (table_is_trip(table->contenders[i]))
            continue;
        printf("  %-19s", table->contenders[i]->name);
        for (unsigned s = 0; s < TABLE_SIZES; s++)
            printf(" %8.2f", speed(table, i, s));
        printf(" %15.1f\n", table_typical(table, i, 0));
    }
    print_distance(table);
    printf("\nround trip of 64 B, ns\n");
    for (unsigned i = 0; i < table->n_contenders; i++)
        if (table_is_trip(table->contenders[i]))
            printf("  %-19s %8.0f\n", table->contenders[i]->name, table_typical(table, i, 0));
}

void table_csv_head(FILE *file)
{
    fprintf(file, "processors,rounds,contender,bytes,ns,ns_lower_quartile,ns_upper_quartile,"
                  "bytes_per_second\n");
}

void table_write_csv(const struct table *table, FILE *file)
{
    for (unsigned i = 0; i < table->n_contenders; i++)
        for (unsigned s = 0; s < TABLE_SIZES; s++) {
            const double *ns = table->ns[i][s];
            double median = table_typical(table, i, s);

            if (median > 0)
                fprintf(file, "%s,%u,%s,%zu,%.2f,%.2f,%.2f,%.0f\n", table_place_text(table->place),
                        table->n_used[s], table->contenders[i]->name, table_sizes[s], median,
                        quantile(ns, table->n_used[s], 0.25), quantile(ns, table->n_used[s], 0.75),
                        (double)table_sizes[s] * 1e9 / median);
        }
}
