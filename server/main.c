/* SPDX-License-Identifier: MIT
 *
 * ivshmem-server: options, set-up, run, tear-down.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "server/ask.h"
#include "server/clean_up.h"
#include "server/config.h"
#include "server/inherited.h"
#include "server/launch.h"
#include "server/reexec.h"
#include "server/server.h"

enum {
    /*
     * For a service manager that would start us again at once (RestartPreventExitStatus=): it would
     * fail the same way. Not when there are peers to carry on with; then it has to try again.
     */
    EXIT_CONFIGURATION = 78, /* EX_CONFIG, sysexits(3) */
};

static int failure_status(bool has_peers)
{
    return getenv("NOTIFY_SOCKET") && !has_peers ? EXIT_CONFIGURATION : EXIT_FAILURE;
}

/* In the foreground, or in the child that launch_fork() made: serve until the end. */
static int serve(struct config *config, int argc, char **argv, struct launch *launch)
{
    const bool carries_on = getenv(INHERITED_LIST) != NULL;
    const bool has_peers = server_has_predecessor();
    struct failure failure = {.text = ""};
    struct server *server = NULL;
    int status = EXIT_SUCCESS;
    int r = server_new(config, argc, argv, &server, &failure);

    if (r == 0 && !config->foreground && carries_on)
        launch_resume(launch, config->pid_file);
    else if (r == 0 && !config->foreground)
        r = launch_ready(launch, config->pid_file, &failure);
    if (r == 0 && !config->foreground)
        log_open(LOG_TO_SYSLOG, "ivshmem-server");
    if (r < 0) {
        fprintf(stderr, "ivshmem-server: %s\n", failure.text);
        status = failure_status(has_peers);
    } else if (server_run(server) < 0) {
        status = EXIT_FAILURE;
    }
    server_free(server);
    launch_end(launch);
    return status;
}

/* Says whether this program could carry on with what a running server gave it. */
static int try_out(struct config *config)
{
    struct failure failure = {.text = ""};

    log_set_level(LOG_ERR);
    if (server_trial(config, &failure) < 0) {
        printf("no: %s\n", failure.text);
        return EXIT_FAILURE;
    }
    puts("yes");
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/*
 * A service that is started anew must not fail for a bad edit of its file while machines are
 * connected: what the file was when it was last good is in the state.
 */
static int parse(struct config *config, int argc, char **argv, struct failure *failure)
{
    struct failure other = {.text = ""};
    int r = config_parse(config, argc, argv, failure), kept;
    char path[64];

    if (r == 0 || (kept = server_kept_config()) < 0)
        return r;
    config_deinit(config);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", kept);
    if (config_parse_kept(config, argc, argv, path, &other) == 0) {
        log_error("%s. Going on with what the file was before", failure->text);
        r = 0;
    }
    close_fd(kept);
    return r;
}

/* Whether all that was printed has arrived. */
static int end_output(void)
{
    if (fflush(stdout) == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "ivshmem-server: cannot write to standard output: %s\n", strerror(errno));
    return EXIT_FAILURE;
}

/* Whether something else is asked for than to serve. */
static bool is_errand(const struct config *config)
{
    return config->help || config->version || config->check || config->reexec || config->clean_up;
}

static int run_errand(const struct config *config)
{
    struct failure failure = {.text = ""};
    int r = 0;

    if (config->help)
        config_print_help(stdout);
    else if (config->version)
        puts("ivshmem-server " PACKAGE_VERSION);
    else if (config->check)
        config_print(config, stdout);
    else
        r = config->reexec ? ask_reexec(config, &failure) : clean_up(config, &failure);
    if (r == 0)
        return end_output();
    fprintf(stderr, "ivshmem-server: %s\n", failure.text);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct config config;
    struct failure failure = {.text = ""};
    struct launch launch = {.ready = -1};
    int status = EXIT_FAILURE, r;

    if (launch_streams() < 0)
        return EXIT_FAILURE;
    log_open(LOG_TO_STDERR, "ivshmem-server");
    r = parse(&config, argc, argv, &failure);
    if (r == 0 && is_errand(&config)) {
        status = run_errand(&config);
        r = 1;
    }
    if (r == 0) {
        log_set_level(config.log_level);
        if (!config.foreground && !getenv(INHERITED_LIST))
            r = launch_fork(&launch, &status, &failure);
    }
    if (r < 0) {
        fprintf(stderr, "ivshmem-server: %s\n", failure.text);
        status = failure_status(server_has_predecessor());
    } else if (r == 0 && getenv(REEXEC_TRIAL)) {
        status = try_out(&config);
    } else if (r == 0) {
        status = serve(&config, argc, argv, &launch);
    }
    config_deinit(&config);
    return status;
}
