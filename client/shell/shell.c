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
#include "client/shell/edit.h"
#include "client/shell/interrupt.h"
#include "client/shell/lines.h"
#include "client/shell/output.h"
#include "client/shell/tool.h"
#include "client/shell/words.h"
#include "common/log.h"
#include "ivshmem.h"

enum {
    RETRY_MS = 1000,
    UNHEARD_MAX = 1 << 20, /* bytes of commands; more than a pipe holds unless root says so */
};

struct shell {
    const struct settings *settings;
    struct tool tool;
    struct output output;
    struct lines lines;
    struct edit *edit; /* NULL: lines are read as they come */
    int64_t next_try;  /* to connect, at the earliest; milliseconds of CLOCK_MONOTONIC */
    bool attached;     /* the server has let us in, and the user knows */
    bool prompt_due;
    size_t unheard;            /* bytes of commands since nobody reads the answers */
    struct failure last_cause; /* why there is no connection, as the user was told */
};

#define say(shell, ...) fprintf((shell)->tool.emit.out, __VA_ARGS__)

#define explain(shell, ...)                                                                        \
    do {                                                                                           \
        if ((shell)->tool.verbose)                                                                 \
            say(shell, __VA_ARGS__);                                                               \
    } while (0)

/* Says why there is no connection, once for each new cause. */
static void say_cause(struct shell *shell)
{
    const char *cause = ivshmem_error(shell->tool.iv);

    if (strcmp(shell->last_cause.text, cause) == 0)
        return;
    failure_set(&shell->last_cause, 0, "%s", cause);
    log_warning("%s", cause);
}

/* A server that is not there needs no explanation; anything else does. */
static void say_not_connected(struct shell *shell, bool just_absent)
{
    fflush(shell->tool.emit.out);
    edit_hide(shell->edit);
    if (!just_absent || shell->tool.verbose)
        say_cause(shell);
    fprintf(stderr, "cannot connect to server, retry in 1 second\n");
    edit_show(shell->edit);
    shell->next_try = tool_now() + RETRY_MS;
}

static void say_connected(struct shell *shell)
{
    struct ivshmem *iv = shell->tool.iv;

    shell->attached = true;
    shell->last_cause.text[0] = '\0';
    explain(shell, "our_id=%d\n", ivshmem_id(iv));
    explain(shell, "shm_fd=%d\n", ivshmem_memory_fd(iv));
    say(shell, "listen on server socket %d\n", ivshmem_socket(iv));
}

static void say_rung(struct shell *shell, unsigned id, unsigned vector)
{
    explain(shell, "received event on fd %d vector %u\n",
            ivshmem_vector_fd(shell->tool.iv, id, vector), vector);
    say(shell, "receive notification from peer_id=%u vector=%u\n", id, vector);
}

static void say_disconnected(struct shell *shell, int error)
{
    if (!shell->attached) {
        say_not_connected(shell, false);
        return;
    }
    shell->attached = false;
    say(shell, "disconnected from server\n");
    fflush(shell->tool.emit.out);
    if (error != -ECONNRESET || shell->tool.verbose) {
        edit_hide(shell->edit);
        say_cause(shell);
        edit_show(shell->edit);
    }
}

static void on_event(struct tool *tool, const struct event *event)
{
    struct shell *shell = tool->context;

    switch (event->what) {
    case HAPPENED_CONNECTED:
        say_connected(shell);
        break;
    case HAPPENED_JOINED:
        explain(shell, "new peer id = %u\n", event->peer);
        break;
    case HAPPENED_VECTOR:
        explain(shell, "  new vector %u (fd=%d) for peer id %u\n", event->vector,
                ivshmem_vector_fd(tool->iv, event->peer, event->vector), event->peer);
        break;
    case HAPPENED_LEFT:
        explain(shell, "delete peer id = %u\n", event->peer);
        break;
    case HAPPENED_RUNG:
        say_rung(shell, event->peer, event->vector);
        break;
    case HAPPENED_DISCONNECTED:
        say_disconnected(shell, event->error);
        break;
    }
}

struct shell *shell_new(const struct settings *settings, struct failure *failure)
{
    struct shell *shell = calloc(1, sizeof(*shell));
    int r = -ENOMEM;

    if (shell) {
        shell->settings = settings;
        r = output_init(&shell->output, STDOUT_FILENO);
    }
    if (r == 0)
        r = tool_init(&shell->tool, settings, &shell->output);
    if (r == 0) {
        shell->tool.emit.interactive = true;
        shell->tool.listener = on_event;
        shell->tool.context = shell;
        shell->edit = settings->json ? NULL : edit_new(&shell->tool, &shell->output);
        if (shell->edit)
            interrupt_catch();
        return shell;
    }
    failure_set(failure, -r, "cannot start: %s", strerror(-r));
    return shell_free(shell);
}

struct shell *shell_free(struct shell *shell)
{
    if (!shell)
        return NULL;
    shell->edit = edit_free(shell->edit);
    tool_deinit(&shell->tool);
    lines_deinit(&shell->lines);
    output_deinit(&shell->output);
    free(shell);
    return NULL;
}

/* Tries at most once a second, also against a server that lets us in and throws us out. */
static void keep_connected(struct shell *shell)
{
    int64_t now = tool_now();
    char room[160];
    int r;

    if (tool_connected(&shell->tool) || now < shell->next_try)
        return;
    shell->next_try = now + RETRY_MS;
    explain(shell, "connect to client %s\n", shell->settings->socket);
    r = ivshmem_open(shell->tool.iv, tool_target(&shell->tool, room, sizeof(room)));
    if (r < 0)
        say_not_connected(shell, r == -ENOENT || r == -ECONNREFUSED);
}

static bool has_command(struct shell *shell)
{
    const char *text;
    size_t length;

    return lines_peek(&shell->lines, &text, &length);
}

/* QEMU's client has one answer for everything; ours says more where scripts do not look for that.
 */
static void say_wrong(struct shell *shell, const struct arguments *given,
                      const struct failure *failure)
{
    const struct command *command = given->command;

    if (!command || (command->flags & COMMAND_PLAIN && !given->has_options))
        emit_error(&shell->tool.emit, STATUS_USAGE, "invalid command, type help");
    else
        emit_error(&shell->tool.emit, STATUS_USAGE, "%s", failure->text);
}

/* Return: false when the command has to wait for the peers. */
static bool run_words(struct shell *shell, const struct words *words)
{
    struct tool *tool = &shell->tool;
    struct failure failure = {.text = ""};
    struct arguments given;

    if (arguments_parse(&given, words->count, words->list, &failure) < 0) {
        say_wrong(shell, &given, &failure);
        return true;
    }
    if (tool_needs_place(tool, &given) && !ivshmem_ready(tool->iv))
        return false;
    if (shell->edit)
        interrupt_forget();
    else if (isatty(STDIN_FILENO))
        interrupt_catch();
    tool_run(tool, &given);
    if (shell->edit && interrupt_seen())
        say(shell, "\n"); /* behind the ^C */
    if (shell->edit)
        interrupt_forget();
    else
        interrupt_release();
    return true;
}

static bool run_text(struct shell *shell, const char *text, size_t length)
{
    const struct arguments unknown = {.command = NULL};
    struct failure failure = {.text = ""};
    struct words words = {.count = 0};
    bool done = true;

    if (!text || strlen(text) != length)
        say_wrong(shell, &unknown, &failure);
    else if (words_split(&words, text, &failure) < 0)
        say_wrong(shell,
                  &(struct arguments){.command = words.count ? commands_find(*words.list) : NULL},
                  &failure);
    else if (words.count)
        done = run_words(shell, &words);
    words_deinit(&words);
    return done;
}

static void run_commands(struct shell *shell)
{
    const char *text;
    size_t length;

    while (!shell->tool.done && lines_peek(&shell->lines, &text, &length)) {
        if (!run_text(shell, text, length))
            return;
        lines_drop(&shell->lines);
        shell->prompt_due = true;
    }
}

/* What was on its way when the reader of the answers went is done; what has no end, ends. */
static int feed(struct shell *shell, const char *chunk, size_t length, struct failure *failure)
{
    if (lines_feed(&shell->lines, chunk, length) < 0)
        return failure_set(failure, ENOMEM, "no memory for a line of input");
    if (shell->output.gone)
        shell->unheard += length;
    if (shell->unheard > UNHEARD_MAX)
        lines_end(&shell->lines);
    return 0;
}

static int read_plain(struct shell *shell, struct failure *failure)
{
    char chunk[16384];
    ssize_t got = read(STDIN_FILENO, chunk, sizeof(chunk));

    if (got > 0)
        return feed(shell, chunk, (size_t)got, failure);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    lines_end(&shell->lines);
    if (got == 0 || errno == EIO) /* EIO: the terminal has been taken away */
        return 0;
    return failure_set(failure, errno, "cannot read commands: %s", strerror(errno));
}

static int read_input(struct shell *shell, int events, struct failure *failure)
{
    if (!shell->edit)
        return read_plain(shell, failure);
    if (events & (POLLHUP | POLLERR)) { /* the terminal has been taken away */
        lines_end(&shell->lines);
        return 0;
    }
    return edit_read(shell->edit, &shell->lines) < 0
               ? failure_set(failure, ENOMEM, "no memory for a line of input")
               : 0;
}

/* Ctrl-C where lines are edited: forgets what is typed, or the command that waits for a server. */
static void forget_input(struct shell *shell, bool want_input)
{
    interrupt_forget();
    if (want_input)
        edit_clear(shell->edit);
    else if (has_command(shell))
        lines_drop(&shell->lines);
}

static int poll_timeout(const struct shell *shell, bool want_input)
{
    int64_t left;

    if (shell->prompt_due && want_input && !shell->edit)
        return 0;
    if (tool_connected(&shell->tool))
        return -1;
    left = shell->next_try - tool_now();
    return left > 0 ? (int)left : 0;
}

static int wait_for_events(struct shell *shell, struct failure *failure)
{
    bool want_input = !shell->lines.ended && !has_command(shell);
    struct pollfd fds[] = {
        {.fd = want_input ? STDIN_FILENO : -1, .events = POLLIN},
        {.fd = tool_connected(&shell->tool) ? ivshmem_fd(shell->tool.iv) : -1, .events = POLLIN},
        {.fd = shell->output.gone ? -1 : STDOUT_FILENO}, /* tells when its reader goes */
    };

    fflush(shell->tool.emit.out);
    if (shell->edit)
        want_input ? edit_begin(shell->edit) : edit_end(shell->edit);
    if (interrupt_seen())
        forget_input(shell, want_input);
    if (poll(fds, 3, poll_timeout(shell, want_input)) < 0)
        return errno == EINTR ? 0 : failure_set(failure, errno, "poll: %s", strerror(errno));
    if (fds[2].revents & (POLLERR | POLLHUP))
        shell->output.gone = true;
    if (fds[1].revents)
        ivshmem_dispatch(shell->tool.iv);
    if (fds[0].revents)
        return read_input(shell, fds[0].revents, failure);
    if (want_input && shell->output.gone) /* nobody to talk to: do what has been asked, and go */
        lines_end(&shell->lines);
    if (want_input && shell->prompt_due && !shell->edit) {
        say(shell, "cmd> ");
        shell->prompt_due = false;
    }
    return 0;
}

/* Shows the doorbells that the last commands rang at ourselves, and leaves the cursor in column 0.
 */
static int finish(struct shell *shell, struct failure *failure)
{
    if (tool_connected(&shell->tool) && ivshmem_ready(shell->tool.iv))
        ivshmem_dispatch(shell->tool.iv);
    fflush(shell->tool.emit.out);
    if (!shell->output.at_line_start && !(shell->tool.done && isatty(STDIN_FILENO)))
        say(shell, "\n"); /* who types quit on a terminal has ended the line */
    fflush(shell->tool.emit.out);
    if (shell->output.error)
        return failure_set(failure, shell->output.error, "cannot write to standard output: %s",
                           strerror(shell->output.error));
    return 0;
}

int shell_run(struct shell *shell, struct failure *failure)
{
    commands_help(shell->tool.emit.out, false);
    if (shell->edit)
        say(shell, "help all: all commands; help <command>: one of them\n");
    else
        say(shell, "cmd> ");
    fflush(shell->tool.emit.out);
    for (;;) {
        int r;

        keep_connected(shell);
        run_commands(shell);
        if (shell->tool.done || shell->output.error)
            break;
        if (shell->lines.ended && !has_command(shell))
            break;
        r = wait_for_events(shell, failure);
        if (r < 0)
            return r;
    }
    return finish(shell, failure);
}
