/* SPDX-License-Identifier: MIT
 *
 * In place of libFuzzer: gives the fuzzer the files that are named, and those in the directories
 * that are named.
 */
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static unsigned replayed;

static int replay_file(const char *path)
{
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "re");
    uint8_t *exact;
    size_t size;

    if (!file) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, sizeof(data), file);
    fclose(file);
    exact = malloc(size ? size : 1);
    REQUIRE(exact);
    memcpy(exact, data, size);
    fprintf(stderr, "%s: %zu bytes\n", path, size); /* the last line names what crashed it */
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    replayed++;
    return 0;
}

static int replay_directory(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort), worst = 0;

    if (count < 0) {
        perror(path);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char file[4096];

        snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            worst |= replay_file(file);
        free(entries[i]);
    }
    free(entries);
    return worst;
}

int main(int argc, char **argv)
{
    int worst = 0;

    for (int i = 1; i < argc; i++) {
        struct stat status;
        int is_directory = stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode);

        worst |= is_directory ? replay_directory(argv[i]) : replay_file(argv[i]);
    }
    if (!replayed) {
        fprintf(stderr, "usage: %s FILE-OR-DIRECTORY...\n", argv[0]);
        return 1;
    }
    return worst;
}
