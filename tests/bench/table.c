/* SPDX-License-Identifier: MIT
 *
 * See table.h. Contenders whose names have "trip" in them are round trips of 64 bytes.
 */
#include "tests/bench/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { APART = 2 /* times as long as near is far */ };

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

/* Whether in a round it was near (0) or far (1) all the time; else, or without a round, -1. */
static int place_of(const struct table *table, unsigned size, unsigned round, double border)
{
    bool before = table->line[0][size][round] > border,
         after = table->line[1][size][round] > border;

    return table->line[0][size][round] > 0 && before == after ? before : -1;
}

/* Between near and far; when all are alike, beyond all. */
static double find_border(const struct table *table)
{
    double least = table->line[0][0][0], most = least;

    for (unsigned s = 0; s < TABLE_SIZES; s++)
        for (unsigned i = 0; i < 2 * table->n_rounds; i++) {
            double line = table->line[i % 2][s][i / 2];

            if (line <= 0)
                continue;
            least = least <= 0 || line < least ? line : least;
            most = line > most ? line : most;
        }
    return most > APART * least ? 2 * least * most / (least + most) : most;
}

/* Move the rounds that were there all the time to the front. */
static void keep(struct table *table, unsigned size, int place, double border)
{
    unsigned n = 0;

    for (unsigned round = 0; round < table->n_rounds; round++) {
        if (place_of(table, size, round, border) != place)
            continue;
        for (unsigned i = 0; i < table->n_contenders; i++)
            table->ns[i][size][n] = table->ns[i][size][round];
        for (int i = 0; i < 2; i++)
            table->line[i][size][n] = table->line[i][size][round];
        n++;
    }
    table->n_used[size] = n;
}

void table_choose_placement(struct table *table)
{
    double border = find_border(table);
    unsigned n[2] = {0}, all = 0;
    int place;

    for (unsigned s = 0; s < TABLE_SIZES; s++)
        for (unsigned round = 0; round < table->n_rounds; round++) {
            place = place_of(table, s, round, border);
            if (place >= 0)
                n[place]++;
            all += table->line[0][s][round] > 0;
        }
    place = n[1] > n[0];
    for (unsigned size = 0; size < TABLE_SIZES; size++)
        keep(table, size, place, border);
    if (n[place] == all)
        snprintf(table->placement, sizeof(table->placement), "all rounds");
    else
        snprintf(table->placement, sizeof(table->placement),
                 "%u of %u rounds, when the processors were %s", n[place], all,
                 place ? "farther apart" : "nearer");
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
    printf("   in %s\n", table->placement);
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

void table_write_csv(const struct table *table, FILE *file)
{
    fprintf(file, "contender,bytes,ns,ns_lower_quartile,ns_upper_quartile,bytes_per_second\n");
    for (unsigned i = 0; i < table->n_contenders; i++)
        for (unsigned s = 0; s < TABLE_SIZES; s++) {
            const double *ns = table->ns[i][s];
            double median = table_typical(table, i, s);

            if (median > 0)
                fprintf(file, "%s,%zu,%.2f,%.2f,%.2f,%.0f\n", table->contenders[i]->name,
                        table_sizes[s], median, quantile(ns, table->n_used[s], 0.25),
                        quantile(ns, table->n_used[s], 0.75),
                        (double)table_sizes[s] * 1e9 / median);
        }
}
