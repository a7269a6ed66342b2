/* SPDX-License-Identifier: MIT
 *
 * See oneshot.h. Nothing is connected before the first command that needs it, so one that is wrong
 * says so without a server.
 */
#include "client/shell/oneshot.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/shell/lines.h"
#include "client/shell/output.h"
#include "client/shell/tool.h"
#include "client/shell/words.h"

bool oneshot_wanted(const struct settings *settings)
{
    return settings->count || settings->commands || settings->batch ||
           ((settings->json || settings->quiet) && !isatty(STDIN_FILENO));
}

static int run_words(struct tool *tool, int count, char **words)
{
    struct failure failure = {.text = ""};
    struct arguments given;

    if (arguments_parse(&given, count, words, &failure) < 0)
        return emit_error(&tool->emit, STATUS_USAGE, "%s", failure.text);
    return tool_run(tool, &given);
}

static int run_text(struct tool *tool, const char *text, size_t length)
{
    struct failure failure = {.text = ""};
    struct words words = {.count = 0};
    int status = STATUS_DONE;

    if (!text || strlen(text) != length)
        return emit_error(&tool->emit, STATUS_USAGE, "a command is too long, or has a NUL byte");
    if (words_split(&words, text, &failure) < 0)
        status = emit_error(&tool->emit, STATUS_USAGE, "%s", failure.text);
    else if (words.count)
        status = run_words(tool, words.count, words.list);
    words_deinit(&words);
    return status;
}

/* Runs what is complete. Return: enum status of the first that fails. */
static int run_lines(struct tool *tool, struct lines *lines)
{
    const char *text;
    size_t length;
    int status = STATUS_DONE;

    while (status == STATUS_DONE && !tool->done && lines_peek(lines, &text, &length)) {
        status = run_text(tool, text, length);
        lines_drop(lines);
        fflush(tool->emit.out);
    }
    return status;
}

static int run_commands(struct tool *tool, const char *commands)
{
    struct lines lines = {.data = NULL};
    int status;

    if (lines_feed(&lines, commands, strlen(commands)) < 0)
        return emit_error(&tool->emit, STATUS_USAGE, "no memory for the commands");
    lines_end(&lines);
    status = run_lines(tool, &lines);
    lines_deinit(&lines);
    return status;
}

static int run_input(struct tool *tool)
{
    struct lines lines = {.data = NULL};
    char chunk[16384];
    int status = STATUS_DONE;

    while (status == STATUS_DONE && !tool->done && !lines.ended) {
        int r = tool_pause(tool, -1, STDIN_FILENO);
        ssize_t got = r > 0 ? read(STDIN_FILENO, chunk, sizeof(chunk)) : 0;

        if (r == -EPIPE || r == -EINTR)
            break;
        if (r < 0)
            continue; /* the server has gone: the next command says so */
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got < 0)
            return emit_error(&tool->emit, STATUS_USAGE, "cannot read commands: %s",
                              strerror(errno));
        if (got == 0)
            lines_end(&lines);
        else if (lines_feed(&lines, chunk, (size_t)got) < 0)
            return emit_error(&tool->emit, STATUS_USAGE, "no memory for a line of input");
        status = run_lines(tool, &lines);
    }
    lines_deinit(&lines);
    return status;
}

static int run_all(struct tool *tool)
{
    const struct settings *settings = tool->settings;

    if (settings->count)
        return run_words(tool, settings->count, settings->words);
    if (settings->commands)
        return run_commands(tool, settings->commands);
    return run_input(tool);
}

int oneshot_run(const struct settings *settings)
{
    struct output output;
    struct tool tool = {.iv = NULL};
    int status = STATUS_USAGE;
    int r = output_init(&output, STDOUT_FILENO);

    if (r == 0)
        r = tool_init(&tool, settings, &output);
    if (r == 0)
        status = run_all(&tool);
    else
        fprintf(stderr, "ivshmem-client: cannot start: %s\n", strerror(-r));
    tool_deinit(&tool);
    output_deinit(&output);
    if (output.error && status == STATUS_DONE) {
        fprintf(stderr, "ivshmem-client: cannot write to standard output: %s\n",
                strerror(output.error));
        status = STATUS_USAGE;
    }
    return status;
}
