/* SPDX-License-Identifier: MIT
 *
 * The picture of bench_channel: gnuplot is run on a script with the numbers in it.
 */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/bench/table.h"
#include "tests/load/harness.h"

/* What is drawn, and how; what is not in this build is left out. */
static const struct {
    const char *name, *style;
} curves[] = {
    {"memcpy", "lc '#bbbbbb' dt 2 lw 2"},
    {"copy loop", "lc '#555555' dt 2 lw 2"},
    {"memcpy loop", "lc '#555555' dt 3 lw 2"},
    {"unix stream", "lc '#999900' lw 2"},
    {"boost", "lc '#cc3311' lw 2"},
    {"dpdk", "lc '#0077bb' lw 2"},
    {"ring copy", "lc '#009944' lw 3 pt 7"},
    {"ring zero-copy", "lc '#00dd66' lw 3 pt 7"},
    {"library copy", "lc '#772299' lw 3 pt 5"},
};

static void write_data(const struct table *table, FILE *file)
{
    for (unsigned i = 0; i < table->n_contenders; i++) {
        if (table_is_trip(table->contenders[i]))
            continue;
        fprintf(file, "$d%u << END\n", i);
        for (unsigned s = 0; s < TABLE_SIZES; s++)
            if (table->n_used[s])
                fprintf(file, "%zu %g\n", table_sizes[s],
                        (double)table_sizes[s] / table_typical(table, i, s));
        fprintf(file, "END\n");
    }
}

static void write_script(const struct table *table, const char *path, FILE *file)
{
    const char *between = "plot";

    write_data(table, file);
    fprintf(file,
            "set terminal svg size 900,560 background 'white' font 'sans,14'\n"
            "set output '%s.svg'\n"
            "set title 'Between two processes on two cores, each byte made and checked'\n"
            "set xlabel 'size of a message'\nset ylabel 'GB/s'\n"
            "set logscale x 2\nset logscale y\nset grid\nset key outside right\n"
            "set xtics ('64 B' 64, '256 B' 256, '1 KiB' 1024, '4 KiB' 4096, '16 KiB' 16384, "
            "'64 KiB' 65536, '1 MiB' 1048576)\n",
            path);
    for (size_t i = 0; i < sizeof(curves) / sizeof(*curves); i++) {
        int found = table_find(table, curves[i].name);

        if (found < 0)
            continue;
        fprintf(file, "%s $d%d using 1:2 with linespoints %s title '%s'", between, found,
                curves[i].style, curves[i].name);
        between = ",";
    }
    fprintf(file, "\n");
}

void plot_draw(const struct table *table, const char *path)
{
    char script[300], program[] = "gnuplot";
    char *argv[] = {program, script, NULL};
    int status = 0, r;
    FILE *file;
    pid_t pid;

    snprintf(script, sizeof(script), "%s.gp", path);
    file = fopen(script, "we");
    require(file, "%s: %s", script, strerror(errno));
    write_script(table, path, file);
    require(fclose(file) == 0, "%s: %s", script, strerror(errno));
    r = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
    if (r)
        printf("no picture: gnuplot: %s\n", strerror(r));
    else if (waitpid(pid, &status, 0) == pid && status == 0)
        printf("the picture: %s.svg\n", path);
    else
        printf("no picture: gnuplot failed on %s\n", script);
}
