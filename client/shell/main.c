/* SPDX-License-Identifier: MIT
 *
 * ivshmem-client: a peer of an ivshmem server, as a shell or for one command.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/shell/command.h"
#include "client/shell/emit.h"
#include "client/shell/oneshot.h"
#include "client/shell/settings.h"
#include "client/shell/shell.h"
#include "common/log.h"

/* A closed 0, 1 or 2 would soon be the number of a socket, and then be taken for a stream. What
 * fills it in cannot be used either, so that output which goes nowhere is an error as it should be.
 */
static void fill_standard_descriptors(void)
{
    int fd;

    while ((fd = open("/dev/null", fcntl(STDIN_FILENO, F_GETFD) < 0 ? O_WRONLY : O_RDONLY)) >= 0 &&
           fd <= STDERR_FILENO)
        ;
    if (fd >= 0)
        close(fd);
}

/* Every vector of every peer is a descriptor; the server turns away who cannot hold its table. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int show_and_exit(const struct settings *settings)
{
    if (settings->help)
        settings_usage(stdout);
    else
        puts("ivshmem-client " PACKAGE_VERSION);
    if (fflush(stdout) == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "ivshmem-client: cannot write to standard output: %s\n", strerror(errno));
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct failure failure = {.text = ""};
    struct settings settings;
    struct shell *shell;
    int r = -1;

    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    log_open(LOG_TO_STDERR, "ivshmem-client");
    if (settings_parse(&settings, argc, argv, &failure) < 0) {
        const struct emit emit = {.out = stdout, .json = settings.json};

        return emit_error(&emit, STATUS_USAGE, "%s", failure.text);
    }
    if (settings.help || settings.version)
        return show_and_exit(&settings);
    raise_descriptor_limit();
    if (oneshot_wanted(&settings))
        return oneshot_run(&settings);
    shell = shell_new(&settings, &failure);
    if (shell)
        r = shell_run(shell, &failure);
    shell_free(shell);
    if (r < 0)
        fprintf(stderr, "ivshmem-client: %s\n", failure.text);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
