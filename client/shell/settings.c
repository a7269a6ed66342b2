/* SPDX-License-Identifier: MIT
 *
 * See settings.h.
 */
#include "client/shell/settings.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "common/options.h"

#define DEFAULT_SOCKET "/tmp/ivshmem_socket"

static int set_socket(void *config, const struct option_spec *spec, const char *value,
                      struct failure *failure)
{
    const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    (void)spec;
    if (!*value)
        return failure_set(failure, EINVAL, "the path is empty");
    if (strlen(value) > most)
        return failure_set(failure, ENAMETOOLONG,
                           "'%s' has %zu bytes, and a socket path at most %zu; use a shorter one",
                           value, strlen(value), most);
    ((struct settings *)config)->socket = value;
    return 0;
}

#define AT(member) offsetof(struct settings, member)

static const struct option_spec options[] = {
    {"help", 'h', NULL, "show this help and exit", option_set_switch, AT(help), 0},
    {"verbose", 'v', NULL, "say what happens on the connection", option_set_switch, AT(verbose), 0},
    {"socket", 'S', "PATH", "the server's socket [" DEFAULT_SOCKET "]", set_socket, 0, 0},
    {"version", 'V', NULL, "show the version and exit", option_set_switch, AT(version), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

int settings_parse(struct settings *settings, int argc, char **argv, struct failure *failure)
{
    int r;

    *settings = (struct settings){.socket = DEFAULT_SOCKET};
    r = options_parse(options, argc, argv, settings, NULL, failure);
    if (r < 0)
        return r;
    if (r < argc && strcmp(argv[r], "call") == 0) {
        settings->method = argv[r + 1];
        settings->parameters = settings->method ? argv[r + 2] : NULL;
        r += 1 + (settings->method != NULL) + (settings->parameters != NULL);
        if (!settings->method && !settings->help && !settings->version)
            return failure_set(failure, EINVAL, "call needs a method; see ivshmem-control(7)");
    }
    if (r < argc)
        return failure_set(failure, EINVAL, "unexpected argument '%s'; see --help", argv[r]);
    return 0;
}

void settings_usage(FILE *out)
{
    fputs("Usage: ivshmem-client [options] [call METHOD [PARAMETERS]]\n"
          "Talk to the peers of an ivshmem server: type commands at its prompt, or pipe them in.\n"
          "With call: call a method of its control socket, SOCKET.ctl, and print the answer.\n"
          "\n",
          out);
    options_print(options, out);
}
