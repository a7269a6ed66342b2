/* SPDX-License-Identifier: MIT
 *
 * The server's configuration: the bytes up to the first NUL are the configuration file, those
 * behind it the arguments, each ended by a NUL. What is accepted is reloaded and printed.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "common/parse.h"
#include "server/config.h"
#include "tests/fuzz/fuzz.h"

enum { ARGUMENTS_MAX = 20 };

static FILE *nowhere;

/* A configuration that is accepted keeps the promises that the server relies on. */
static void check(const struct config *config)
{
    REQUIRE(config->socket && config->pid_file && config->shm_name);
    REQUIRE(config->region.name == config->shm_name);
    REQUIRE(*config->shm_name && !strchr(config->shm_name, '/'));
    REQUIRE(is_power_of_two(config->region.size));
    REQUIRE(config->region.size >= (uint64_t)sysconf(_SC_PAGESIZE));
    REQUIRE(config->region.mode <= 0777 && config->rights.mode <= 0777);
    REQUIRE(config->n_vectors >= 1 && config->n_vectors <= 2048);
    REQUIRE(config->n_slots <= SLOTS_MAX);
    for (size_t i = 0; i < config->n_slots; i++)
        for (size_t j = 0; j < i; j++)
            REQUIRE(config->slots[i].id != config->slots[j].id &&
                    strcmp(config->slots[i].name, config->slots[j].name) != 0);
    config_print(config, nowhere);
}

static bool same_access(const struct access *one, const struct access *other)
{
    return one->n_uids == other->n_uids && one->n_gids == other->n_gids &&
           memcmp(one->uids, other->uids, one->n_uids * sizeof(one->uids[0])) == 0 &&
           memcmp(one->gids, other->gids, one->n_gids * sizeof(one->gids[0])) == 0 &&
           one->max_peers == other->max_peers &&
           one->max_peers_per_uid == other->max_peers_per_uid &&
           one->peer_timeout == other->peer_timeout &&
           one->withhold_leaves == other->withhold_leaves;
}

/* Reads all with @argv, as main() does, and again as SIGHUP does. */
static void try(int argc, char **argv)
{
    struct config config = {.help = false};
    struct failure failure = {.text = ""};
    int r = config_parse(&config, argc, argv, &failure);

    if (r < 0) {
        REQUIRE(failure.text[0] && memchr(failure.text, '\0', sizeof(failure.text)));
    } else if (!config.help && !config.version) {
        struct access before = config.access;

        check(&config);
        REQUIRE(config_reload(&config, argc, argv, &failure) == 0);
        REQUIRE(same_access(&before, &config.access));
        check(&config);
    }
    config_deinit(&config);
}

/* Whether a word is --config or an abbreviation of it: only the file that we made is to be read. */
static bool names_config(const char *word)
{
    size_t length = strcspn(word, "=");

    return length > 2 && strncmp(word, "--config", length) == 0;
}

/* Splits at the NULs. The first word is the program, the last one names the file. */
static int make_arguments(char *text, size_t size, char **argv, char *program, char *config)
{
    char *end = text + size;
    int argc = 0;

    argv[argc++] = program;
    for (; text < end && argc < ARGUMENTS_MAX; text += strlen(text) + 1)
        if (!names_config(text))
            argv[argc++] = text;
    argv[argc++] = config;
    argv[argc] = NULL;
    return argc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char program[] = "ivshmem-server", path[64], *argv[ARGUMENTS_MAX + 2];
    char *text = copy_text(data, size);
    size_t length = strlen(text), rest = size > length ? size - length - 1 : 0;
    int fd = memfd_create("conf", MFD_CLOEXEC), argc;

    if (!nowhere) {
        nowhere = fopen("/dev/null", "we");
        log_set_level(LOG_ERR);
    }
    REQUIRE(nowhere && fd >= 0 && write(fd, text, length) == (ssize_t)length);
    snprintf(path, sizeof(path), "--config=/proc/self/fd/%d", fd);
    argc = make_arguments(text + size - rest, rest, argv, program, path);
    try(argc, argv);
    try(argc - 1, argv); /* the arguments alone */
    close(fd);
    free(text);
    return 0;
}
