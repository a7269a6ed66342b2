/* SPDX-License-Identifier: MIT
 *
 * The limits that rings are held against. Each is a ratio of two contenders that were measured in
 * the same round, in the median of the rounds that count; of two peers the better one counts.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/table.h"

/**
 * struct limit - how fast a way of ours has to be
 * @ours:   the contender's name, from the space after its family on
 * @peers:  contenders that it is compared with; one of the same family begins with a space too
 * @from:   sizes that it is about, the smallest
 * @to:     the largest
 * @wanted: with speeds: ours by the peer's, at least; with times of round trips: at most
 * @bare:   contender that moves as many bytes and does nothing else: what it comes to is printed
 *          beside ours, since nobody can be much better; NULL where there is none
 */
struct limit {
    const char *ours, *peers[2];
    size_t from, to;
    double wanted;
    const char *bare;
};

static const struct limit limits[] = {
    {" copy", {"boost"}, 64, 64, 2.0, "copy loop"},
    {" copy", {"unix stream"}, 64, 64, 100, "copy loop"},
    {" burst", {" singly"}, 64, 65536, 1.0, NULL},
    {" copy", {"boost", "dpdk"}, 1024, 65536, 1.1, "copy loop"},
    {" copy", {"copy loop", "memcpy loop"}, 1024, 65536, 1.0, NULL},
    {" copy", {"unix stream"}, 65536, 65536, 3.5, "copy loop"},
    {" zero-copy", {" copy"}, 1024, 65536, 1.1, NULL},
    {" zero-copy", {" copy"}, LANE_LARGE, LANE_LARGE, 1.5, NULL},
    {" crc32c", {" copy"}, 64, LANE_LARGE, 0.4, NULL},
    {" hybrid", {" spin"}, 64, 64, 0.95, NULL},
    {" spin trip", {"line trip"}, 64, 64, 1.1, "72 bytes trip"},
    {" block trip", {"eventfd trip"}, 64, 64, 1.1, NULL},
};

/* Our own contenders come in families: what they are called before the way. */
static const char *const families[] = {"ring", "library"};

/* The index of a contender, or -1; a name that begins with a space is one of the family. */
static int find(const struct table *table, const char *family, const char *name)
{
    char whole[64];

    snprintf(whole, sizeof(whole), "%s%s", *name == ' ' ? family : "", name);
    return table_find(table, whole);
}

static bool is_trip(const struct limit *limit)
{
    return strstr(limit->ours, "trip") != NULL;
}

/* The median of the ratios of the rounds. */
static double ratio(const struct table *table, int ours, int peer, unsigned size, bool trip)
{
    double ratios[TABLE_ROUNDS];

    for (unsigned round = 0; round < table->n_used[size]; round++) {
        double own = table->ns[ours][size][round], other = table->ns[peer][size][round];

        ratios[round] = trip ? own / other : other / own;
    }
    return table_median(ratios, table->n_used[size]);
}

/* To the peer that is the better one. */
static double worst_ratio(const struct table *table, int ours, const int peers[2], unsigned size,
                          bool trip)
{
    double worst = 0;

    for (int i = 0; i < 2; i++) {
        double value = peers[i] >= 0 ? ratio(table, ours, peers[i], size, trip) : 0;

        if (value > 0 && (worst <= 0 || (trip ? value > worst : value < worst)))
            worst = value;
    }
    return worst;
}

/* What the bare contender comes to, or nothing. */
static const char *bare_text(const struct table *table, const struct limit *limit,
                             const int peers[2], unsigned size, char *text, size_t room)
{
    int bare = limit->bare ? table_find(table, limit->bare) : -1;

    text[0] = '\0';
    if (bare >= 0)
        snprintf(text, room, "  (%s: %.2f)", limit->bare,
                 worst_ratio(table, bare, peers, size, is_trip(limit)));
    return text;
}

/* Return: whether it is met. */
static bool print_ratio(const struct limit *limit, const char *names, double value, unsigned size,
                        const char *bare)
{
    bool trip = is_trip(limit);
    bool met = trip ? value <= limit->wanted : value >= limit->wanted;
    char text[16];

    printf("  %-8s %-18s %7.2f x %-24s wanted: %s %6.2f   %-3s%s\n",
           table_size_text(table_sizes[size], text, sizeof(text)), limit->ours + 1, value, names,
           trip ? "at most " : "at least", limit->wanted, met ? "yes" : "NO", bare);
    return met;
}

static void print_limit(const struct table *table, const char *family, const struct limit *limit,
                        unsigned *met, unsigned *all)
{
    int ours = find(table, family, limit->ours), peers[2] = {-1, -1};
    char names[64] = "", bare[64];

    if (ours < 0)
        return;
    for (int i = 0; i < 2 && limit->peers[i]; i++) {
        const char *name = limit->peers[i];
        size_t length = strlen(names);

        peers[i] = find(table, family, name);
        if (peers[i] >= 0)
            snprintf(names + length, sizeof(names) - length, "%s%s", length ? " or " : "",
                     *name == ' ' ? name + 1 : name);
        else
            printf("  %s is not compared with %s: not in this build\n", limit->ours + 1, name);
    }
    if (peers[0] < 0 && peers[1] < 0)
        return;
    for (unsigned size = 0; size < TABLE_SIZES; size++)
        if (table->n_used[size] && table_sizes[size] >= limit->from &&
            table_sizes[size] <= limit->to) {
            double value = worst_ratio(table, ours, peers, size, is_trip(limit));

            *met += print_ratio(limit, names, value, size,
                                bare_text(table, limit, peers, size, bare, sizeof(bare)));
            ++*all;
        }
}

void limits_print(const struct table *table)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
        unsigned met = 0, all = 0;

        if (find(table, families[i], " copy") < 0)
            continue;
        printf("\n%s against its limits, processors %s\n", families[i],
               table_place_text(table->place));
        for (size_t j = 0; j < sizeof(limits) / sizeof(*limits); j++)
            print_limit(table, families[i], &limits[j], &met, &all);
        printf("  %u of %u limits met\n", met, all);
    }
}
