/* SPDX-License-Identifier: MIT
 *
 * See progress.h. It goes to standard error, and only if that is a terminal. The rate is smoothed:
 * half of it is what the last step had.
 */
#include "client/shell/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/shell/tool.h"

enum { STEP_MS = 500, BAR = 20 };

const char *progress_bytes(double bytes, char *room, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;

    for (; bytes >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        bytes /= 1024;
    snprintf(room, size, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return room;
}

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
    *progress = (struct progress){.what = what, .total = total, .next = -1};
    progress->started = progress->looked = tool_now();
    if (isatty(STDERR_FILENO))
        progress->next = progress->started + STEP_MS;
}

static void measure(struct progress *progress, int64_t now, uint64_t done)
{
    double ms = (double)(now - progress->looked), rate;

    if (ms <= 0)
        return;
    rate = (double)(done - progress->had) * 1000 / ms;
    progress->rate = progress->shown ? (progress->rate + rate) / 2 : rate;
    progress->looked = now;
    progress->had = done;
}

static void print_seconds(double seconds, const char *more)
{
    unsigned long whole = seconds < 1e9 ? (unsigned long)seconds : 1000000000;

    if (whole >= 3600)
        fprintf(stderr, "  %lu:%02lu:%02lu%s", whole / 3600, whole / 60 % 60, whole % 60, more);
    else
        fprintf(stderr, "  %lu:%02lu%s", whole / 60, whole % 60, more);
}

void progress_show(struct progress *progress, uint64_t done)
{
    int64_t now = progress->next > 0 ? tool_now() : -1;
    char bytes[32], rate[32];

    if (progress->next <= 0 || now < progress->next)
        return;
    measure(progress, now, done);
    progress->next = now + STEP_MS;
    progress->shown = true;
    fprintf(stderr, "\r%s", progress->what);
    if (progress->total) {
        static const char full[] = "####################", none[] = "....................";
        double part = done < progress->total ? (double)done / (double)progress->total : 1;
        int filled = (int)(part * BAR);

        fprintf(stderr, " %3d %% [%.*s%.*s]", (int)(part * 100), filled, full, BAR - filled, none);
    }
    fprintf(stderr, "  %s  %s/s", progress_bytes((double)done, bytes, sizeof(bytes)),
            progress_bytes(progress->rate, rate, sizeof(rate)));
    if (!progress->total)
        print_seconds((double)(now - progress->started) / 1000, "");
    else if (progress->rate > 0 && done <= progress->total)
        print_seconds((double)(progress->total - done) / progress->rate + 0.5, " left");
    fprintf(stderr, "\033[K");
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        fprintf(stderr, "\r\033[K");
    progress->shown = false;
}
