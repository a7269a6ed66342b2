/* SPDX-License-Identifier: MIT
 *
 * See table.h. Contenders whose names have "trip" in them are round trips of 64 bytes.
 */
#include "tests/bench/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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
    return quantile(values, count, 0.5);
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

/* How far apart the cores were while each size was measured. */
static void print_distance(const struct table *table)
{
    int line = table_find(table, "line trip");
    double least = 0, most = 0;

    if (line < 0)
        return;
    printf("  %-16s", "line trip, ns");
    for (unsigned s = 0; s < TABLE_SIZES; s++) {
        double median = table_median(table->ns[line][s], table->n_rounds);

        printf(" %8.0f", median);
        least = !s || median < least ? median : least;
        most = median > most ? median : most;
    }
    printf("\n");
    if (most > 1.5 * least)
        printf(
            "  the cores came nearer or went away meanwhile: do not compare sizes, run it again\n");
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
        printf("  %-16s", table->contenders[i]->name);
        for (unsigned s = 0; s < TABLE_SIZES; s++)
            printf(" %8.2f",
                   (double)table_sizes[s] / table_median(table->ns[i][s], table->n_rounds));
        printf(" %15.1f\n", table_median(table->ns[i][0], table->n_rounds));
    }
    print_distance(table);
    printf("\nround trip of 64 B, ns\n");
    for (unsigned i = 0; i < table->n_contenders; i++)
        if (table_is_trip(table->contenders[i]))
            printf("  %-16s %8.0f\n", table->contenders[i]->name,
                   table_median(table->ns[i][0], table->n_rounds));
}

void table_write_csv(const struct table *table, FILE *file)
{
    fprintf(file, "contender,bytes,ns,ns_lower_quartile,ns_upper_quartile,bytes_per_second\n");
    for (unsigned i = 0; i < table->n_contenders; i++)
        for (unsigned s = 0; s < TABLE_SIZES; s++) {
            const double *ns = table->ns[i][s];
            double median = table_median(ns, table->n_rounds);

            if (median > 0)
                fprintf(file, "%s,%zu,%.2f,%.2f,%.2f,%.0f\n", table->contenders[i]->name,
                        table_sizes[s], median, quantile(ns, table->n_rounds, 0.25),
                        quantile(ns, table->n_rounds, 0.75), (double)table_sizes[s] * 1e9 / median);
        }
}
