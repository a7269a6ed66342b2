/* SPDX-License-Identifier: MIT
 *
 * How fast rings are, and the library's channels, beside what others do in shared memory, and what
 * the machine can do.
 *
 * Two processes on two cores; every byte is made by the one and checked by the other (pattern.h).
 * For each size there are rounds: in each, every contender runs for a short time, in turning order,
 * so that what else the machine does falls on all. Ratios are taken within a round, and medians
 * are printed. On a machine that others use too, run it with a real-time priority: chrt -f 1 make
 * bench. How far apart the two processors are is measured around each round, and those in which
 * they were near and far make two tables.
 *
 * Variables: IVSHMEM_BENCH_ROUNDS [15], IVSHMEM_BENCH_MS [50] of each contender in a round,
 * IVSHMEM_BENCH_ONLY (texts, with commas between them: contenders with one of these in their
 * names), IVSHMEM_BENCH_SIZE (of messages: no other), IVSHMEM_BENCH_OUTPUT (path of CSV and
 * picture, without the ending), IVSHMEM_SERVER (the server's program, as in tests/load), and that
 * of costs.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/library.h"
#include "tests/bench/rig.h"
#include "tests/bench/table.h"
#include "tests/load/harness.h"

enum { SECONDS = 600, TRIES = 2 };

static struct table table, picked[TABLE_PLACES];
static unsigned n_measured, n_disturbed, n_again;

/* Whether one of the texts, between commas, is in the name. */
static bool is_wanted(const char *texts, const char *name)
{
    char copy[200], *rest = copy;

    if (!texts)
        return true;
    snprintf(copy, sizeof(copy), "%s", texts);
    for (const char *text = strsep(&rest, ","); text; text = strsep(&rest, ","))
        if (strstr(name, text))
            return true;
    return false;
}

static void find_contenders(void)
{
    const struct transport *const *all = transports_all();
    const char *only = getenv("IVSHMEM_BENCH_ONLY");

    for (; *all; all++)
        for (const struct transport *i = *all; i->name; i++)
            if (is_wanted(only, i->name) && table.n_contenders < TABLE_CONTENDERS)
                table.contenders[table.n_contenders++] = i;
    require(table.n_contenders, "IVSHMEM_BENCH_ONLY: no contender has \"%s\" in its name", only);
}

/* One round of a contender. It is tried again when others want the processors, but a quarter of all
 * at most: then the ratios may be wrong, and that is said. */
static double undisturbed(const struct transport *transport, size_t bytes, uint64_t count)
{
    double ns = rig_round(transport, bytes, count);

    for (int i = 0; i < TRIES && rig_disturbed() && n_again <= n_measured / 4; i++, n_again++)
        ns = rig_round(transport, bytes, count);
    n_measured++;
    n_disturbed += rig_disturbed();
    return ns;
}

static void measure(unsigned size, double ns)
{
    uint64_t counts[TABLE_CONTENDERS] = {0};
    size_t bytes = table_sizes[size];

    for (unsigned i = 0; i < table.n_contenders; i++)
        if (bytes >= table.contenders[i]->least && bytes <= table.contenders[i]->most)
            counts[i] = rig_calibrate(table.contenders[i], bytes, ns);
    for (unsigned round = 0; round < table.n_rounds; round++) {
        table.line[0][size][round] = rig_distance();
        for (unsigned i = 0; i < table.n_contenders; i++) {
            unsigned turn = (i + round) % table.n_contenders;

            if (counts[turn])
                table.ns[turn][size][round] =
                    undisturbed(table.contenders[turn], bytes, counts[turn]);
        }
        table.line[1][size][round] = rig_distance();
    }
}

static void write_files(void)
{
    const char *path = getenv("IVSHMEM_BENCH_OUTPUT");
    char csv[300];
    FILE *file;

    if (!path)
        path = "bench_channel";
    snprintf(csv, sizeof(csv), "%s.csv", path);
    file = fopen(csv, "we");
    require(file, "%s: %s", csv, strerror(errno));
    table_csv_head(file);
    for (int place = 0; place < TABLE_PLACES; place++)
        table_write_csv(&picked[place], file);
    require(fclose(file) == 0, "%s: %s", csv, strerror(errno));
    printf("\nthe numbers: %s\n", csv);
    plot_draw(&picked[picked[TABLE_FAR].n_picked > picked[TABLE_NEAR].n_picked], path);
}

int main(void)
{
    unsigned ms = harness_number("IVSHMEM_BENCH_MS", 50);
    unsigned only = harness_number("IVSHMEM_BENCH_SIZE", 0);

    table.n_rounds = harness_number("IVSHMEM_BENCH_ROUNDS", 15);
    require(table.n_rounds >= 1 && table.n_rounds <= TABLE_ROUNDS, "IVSHMEM_BENCH_ROUNDS: 1 to %d",
            TABLE_ROUNDS);
    harness_start("bench", SECONDS);
    find_contenders();
    library_start();
    rig_start();
    printf("%u rounds of %u ms each\n", table.n_rounds, ms);
    for (unsigned size = 0; size < TABLE_SIZES; size++)
        if (!only || table_sizes[size] == only)
            measure(size, ms * 1e6);
    costs_print(&table);
    rig_stop();
    library_stop();
    if (n_disturbed)
        printf("other programs took the processors in %u of %u measurements%s\n", n_disturbed,
               n_measured, n_disturbed > n_measured / 4 ? ": the numbers say little" : "");
    for (int place = 0; place < TABLE_PLACES; place++)
        if (table_pick(&table, (enum table_place)place, &picked[place]) && place != TABLE_MOVED) {
            table_print(&picked[place]);
            limits_print(&picked[place]);
        }
    write_files();
    return EXIT_SUCCESS;
}
