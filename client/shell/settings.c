/* SPDX-License-Identifier: MIT
 *
 * See settings.h. The program's own options stand before the command; what follows is the
 * command's.
 */
#include "client/shell/settings.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/shell/arguments.h"
#include "client/shell/commands.h"
#include "common/options.h"

#define DEFAULT_SOCKET "/tmp/ivshmem_socket"

#define AT(member)     offsetof(struct settings, member)

static int set_path(void *config, const struct option_spec *spec, const char *value,
                    struct failure *failure)
{
    const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (!*value)
        return failure_set(failure, EINVAL, "the path is empty");
    if (strlen(value) > most)
        return failure_set(failure, ENAMETOOLONG,
                           "'%s' has %zu bytes, and a socket path at most %zu; use a shorter one",
                           value, strlen(value), most);
    return argument_set_text(config, spec, value, failure);
}

const struct option_spec settings_options[] = {
    {"help", 'h', NULL, "show this help and exit", option_set_switch, AT(help), 0},
    {"verbose", 'v', NULL, "say what happens on the connection", option_set_switch, AT(verbose), 0},
    {"socket", 'S', "PATH", "the server's socket [" DEFAULT_SOCKET "]", set_path, AT(socket), 0},
    {"memory", 'M', "PATH", "no server, just this shared memory:\n/dev/shm/NAME, or a file",
     argument_set_text, AT(memory), 0},
    {"control", 0, "PATH", "its control socket, if not SOCKET.ctl", set_path, AT(control), 0},
    {"command", 'c', "TEXT", "run the commands in TEXT, and exit", argument_set_text, AT(commands),
     0},
    {"batch", 'b', NULL, "run the commands on standard input\nwithout help and prompts",
     option_set_switch, AT(batch), 0},
    {"json", 0, NULL, "say everything in JSON, one object a line", option_set_switch, AT(json), 0},
    {"quiet", 'q', NULL, "say nothing but errors", option_set_switch, AT(quiet), 0},
    {"join", 'j', NULL, "do everything as a peer, also what the\ncontrol socket could do",
     option_set_switch, AT(join), 0},
    {"wait-server", 0, "SECONDS", "wait so long for a server to come", argument_set_seconds,
     AT(wait_ms), 0},
    {"version", 'V', NULL, "show the version and exit", option_set_switch, AT(version), 0},
    {NULL, 0, NULL, NULL, NULL, 0, OPTIONS_END_AT_WORD},
};

/* What makes no sense together. */
static int check(const struct settings *settings, struct failure *failure)
{
    if ((settings->count != 0) + (settings->commands != NULL) + settings->batch > 1)
        return failure_set(failure, EINVAL, "a command, -c and -b exclude each other");
    if (!settings->memory)
        return 0;
    if (settings->socket || settings->control || settings->join || settings->wait_ms)
        return failure_set(failure, EINVAL,
                           "--memory means no server: it excludes --socket, --control, --join and "
                           "--wait-server");
    if (!settings->count && !settings->commands && !settings->batch)
        return failure_set(failure, EINVAL, "--memory needs a command, -c or -b");
    return 0;
}

int settings_parse(struct settings *settings, int argc, char **argv, struct failure *failure)
{
    int r;

    *settings = (struct settings){.socket = NULL};
    r = options_parse(settings_options, argc, argv, settings, NULL, failure);
    if (r < 0 || settings->help || settings->version)
        return r < 0 ? r : 0;
    settings->words = argv + r;
    settings->count = argc - r;
    if (settings->count && !commands_find(settings->words[0]))
        return failure_set(failure, EINVAL, "unexpected argument '%s': no command; see --help",
                           settings->words[0]);
    r = check(settings, failure);
    if (!settings->socket)
        settings->socket = DEFAULT_SOCKET;
    return r;
}

bool settings_commands_are_input(const struct settings *settings)
{
    return !settings->count && !settings->commands && !isatty(STDIN_FILENO);
}

void settings_usage(FILE *out)
{
    fputs(
        "Usage: ivshmem-client [options] [COMMAND ...]\n"
        "Take part in the shared memory of an ivshmem server. Without a COMMAND, type commands at\n"
        "the prompt, or pipe them in.\n"
        "\n",
        out);
    options_print(settings_options, out);
    fputs("\nCommands (COMMAND --help tells more):\n", out);
    commands_help(out, true);
    fputs(
        "\nExit status of commands: 0 done, 1 wrong usage, 2 no server, 3 no such peer or vector,\n"
        "4 timed out, 5 refused.\n",
        out);
}
