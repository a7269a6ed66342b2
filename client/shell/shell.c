/* SPDX-License-Identifier: MIT
 *
 * See shell.h. Theory of operation: a round of the loop connects if it is time to, runs the
 * commands that can run, and waits for the server, a doorbell, input, or the next try to connect.
 *
 * A command that needs the peers waits until their table is complete, and with it all that follow,
 * since they are to run in order. While one waits no input is read; the rest stays in the pipe. So
 * commands that are piped in at once, or before there is a server, are late and not lost.
 *
 * The prompt comes back when all input that has arrived is done with, not after each line: several
 * lines that arrive at once answer as one, which is how QEMU's client behaves.
 */
#include "client/shell/shell.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/shell/commands.h"
#include "client/shell/lines.h"
#include "client/shell/output.h"
#include "common/log.h"
#include "ivshmem.h"

enum { RETRY_MS = 1000 };

struct shell {
    const struct settings *settings;
    char target[128];
    struct session session;
    struct output output;
    struct lines lines;
    int64_t next_try; /* to connect, at the earliest; milliseconds of CLOCK_MONOTONIC */
    bool attached;    /* the server has let us in, and the user knows */
    bool prompt_due;
    struct failure last_cause; /* why there is no connection, as the user was told */
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#define say(shell, ...) fprintf((shell)->session.out, __VA_ARGS__)

#define explain(shell, ...)                                                                        \
    do {                                                                                           \
        if ((shell)->session.verbose)                                                              \
            say(shell, __VA_ARGS__);                                                               \
    } while (0)

/* Says why there is no connection, once for each new cause. */
static void say_cause(struct shell *shell)
{
    const char *cause = ivshmem_error(shell->session.iv);

    if (strcmp(shell->last_cause.text, cause) == 0)
        return;
    failure_set(&shell->last_cause, 0, "%s", cause);
    log_warning("%s", cause);
}

/* A server that is not there needs no explanation; anything else does. */
static void say_not_connected(struct shell *shell, bool just_absent)
{
    fflush(shell->session.out);
    if (!just_absent || shell->session.verbose)
        say_cause(shell);
    fprintf(stderr, "cannot connect to server, retry in 1 second\n");
    shell->next_try = now_ms() + RETRY_MS;
}

static void on_connected(struct ivshmem *iv, void *context)
{
    struct shell *shell = context;

    shell->attached = true;
    shell->last_cause.text[0] = '\0';
    explain(shell, "our_id=%d\n", ivshmem_id(iv));
    explain(shell, "shm_fd=%d\n", ivshmem_memory_fd(iv));
    say(shell, "listen on server socket %d\n", ivshmem_socket(iv));
}

static void on_peer_joined(struct ivshmem *iv, void *context, unsigned peer)
{
    struct shell *shell = context;

    (void)iv;
    explain(shell, "new peer id = %u\n", peer);
}

static void on_vector_added(struct ivshmem *iv, void *context, unsigned peer, unsigned vector)
{
    struct shell *shell = context;

    explain(shell, "  new vector %u (fd=%d) for peer id %u\n", vector,
            ivshmem_vector_fd(iv, peer, vector), peer);
}

static void on_peer_left(struct ivshmem *iv, void *context, unsigned peer)
{
    struct shell *shell = context;

    (void)iv;
    explain(shell, "delete peer id = %u\n", peer);
}

static void on_notification(struct ivshmem *iv, void *context, unsigned vector)
{
    struct shell *shell = context;
    int id = ivshmem_id(iv);

    explain(shell, "received event on fd %d vector %u\n",
            ivshmem_vector_fd(iv, (unsigned)id, vector), vector);
    say(shell, "receive notification from peer_id=%d vector=%u\n", id, vector);
}

static void on_disconnected(struct ivshmem *iv, void *context, int error)
{
    struct shell *shell = context;

    (void)iv;
    if (!shell->attached) {
        say_not_connected(shell, false);
        return;
    }
    shell->attached = false;
    say(shell, "disconnected from server\n");
    fflush(shell->session.out);
    if (error != -ECONNRESET || shell->session.verbose)
        say_cause(shell);
}

static const struct ivshmem_callbacks callbacks = {
    .size = sizeof(callbacks),
    .connected = on_connected,
    .peer_joined = on_peer_joined,
    .vector_added = on_vector_added,
    .peer_left = on_peer_left,
    .notification = on_notification,
    .disconnected = on_disconnected,
};

struct shell *shell_new(const struct settings *settings, struct failure *failure)
{
    struct shell *shell = calloc(1, sizeof(*shell));
    int r = -ENOMEM;

    if (shell) {
        shell->settings = settings;
        snprintf(shell->target, sizeof(shell->target), "unix:%s", settings->socket);
        r = output_init(&shell->output, STDOUT_FILENO);
        shell->session.out = shell->output.file;
        shell->session.verbose = settings->verbose;
    }
    if (r == 0)
        r = ivshmem_new(&shell->session.iv, &callbacks, shell);
    if (r == 0)
        return shell;
    failure_set(failure, -r, "cannot start: %s", strerror(-r));
    return shell_free(shell);
}

struct shell *shell_free(struct shell *shell)
{
    if (!shell)
        return NULL;
    ivshmem_free(shell->session.iv);
    lines_deinit(&shell->lines);
    output_deinit(&shell->output);
    free(shell);
    return NULL;
}

static bool has_connection(const struct shell *shell)
{
    return ivshmem_socket(shell->session.iv) >= 0;
}

/* Tries at most once a second, also against a server that lets us in and throws us out. */
static void keep_connected(struct shell *shell)
{
    int64_t now = now_ms();
    int r;

    if (has_connection(shell) || now < shell->next_try)
        return;
    shell->next_try = now + RETRY_MS;
    explain(shell, "connect to client %s\n", shell->settings->socket);
    r = ivshmem_open(shell->session.iv, shell->target);
    if (r < 0)
        say_not_connected(shell, r == -ENOENT || r == -ECONNREFUSED);
}

static bool has_command(struct shell *shell)
{
    const char *text;
    size_t length;

    return lines_peek(&shell->lines, &text, &length);
}

static void run_commands(struct shell *shell)
{
    struct session *session = &shell->session;
    const char *text;
    size_t length;

    while (!session->done && lines_peek(&shell->lines, &text, &length)) {
        uint64_t numbers[COMMAND_NUMBERS_MAX];
        const struct command *command = command_find(text, length, numbers);

        if (command->needs_peers && !ivshmem_ready(session->iv))
            return;
        command->run(session, numbers);
        lines_drop(&shell->lines);
        shell->prompt_due = true;
    }
}

static int read_input(struct shell *shell, struct failure *failure)
{
    char chunk[16384];
    ssize_t got = read(STDIN_FILENO, chunk, sizeof(chunk));

    if (got > 0)
        return lines_feed(&shell->lines, chunk, (size_t)got) < 0
                   ? failure_set(failure, ENOMEM, "no memory for a line of input")
                   : 0;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    lines_end(&shell->lines);
    if (got == 0 || errno == EIO) /* EIO: the terminal has been taken away */
        return 0;
    return failure_set(failure, errno, "cannot read commands: %s", strerror(errno));
}

static int poll_timeout(const struct shell *shell, bool want_input)
{
    int64_t left;

    if (shell->prompt_due && want_input)
        return 0;
    if (has_connection(shell))
        return -1;
    left = shell->next_try - now_ms();
    return left > 0 ? (int)left : 0;
}

static int wait_for_events(struct shell *shell, struct failure *failure)
{
    bool want_input = !shell->lines.ended && !has_command(shell);
    struct pollfd fds[] = {
        {.fd = want_input ? STDIN_FILENO : -1, .events = POLLIN},
        {.fd = has_connection(shell) ? ivshmem_fd(shell->session.iv) : -1, .events = POLLIN},
        {.fd = shell->output.gone ? -1 : STDOUT_FILENO}, /* tells when its reader goes */
    };

    fflush(shell->session.out);
    if (poll(fds, 3, poll_timeout(shell, want_input)) < 0)
        return errno == EINTR ? 0 : failure_set(failure, errno, "poll: %s", strerror(errno));
    if (fds[2].revents & (POLLERR | POLLHUP))
        shell->output.gone = true;
    if (fds[1].revents)
        ivshmem_dispatch(shell->session.iv);
    if (fds[0].revents)
        return read_input(shell, failure);
    if (want_input && shell->output.gone) /* nobody to talk to: do what has been asked, and go */
        lines_end(&shell->lines);
    if (want_input && shell->prompt_due) {
        say(shell, "cmd> ");
        shell->prompt_due = false;
    }
    return 0;
}

/* Shows the doorbells that the last commands rang at ourselves, and leaves the cursor in column 0.
 */
static int finish(struct shell *shell, struct failure *failure)
{
    if (has_connection(shell) && ivshmem_ready(shell->session.iv))
        ivshmem_dispatch(shell->session.iv);
    fflush(shell->session.out);
    if (!shell->output.at_line_start && !(shell->session.done && isatty(STDIN_FILENO)))
        say(shell, "\n"); /* who types quit on a terminal has ended the line */
    fflush(shell->session.out);
    if (shell->output.error)
        return failure_set(failure, shell->output.error, "cannot write to standard output: %s",
                           strerror(shell->output.error));
    return 0;
}

int shell_run(struct shell *shell, struct failure *failure)
{
    commands_help(shell->session.out);
    say(shell, "cmd> ");
    fflush(shell->session.out);
    for (;;) {
        int r;

        keep_connected(shell);
        run_commands(shell);
        if (shell->session.done || shell->output.error)
            break;
        if (shell->lines.ended && !has_command(shell))
            break;
        r = wait_for_events(shell, failure);
        if (r < 0)
            return r;
    }
    return finish(shell, failure);
}
