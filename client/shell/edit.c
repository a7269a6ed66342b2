/* SPDX-License-Identifier: MIT
 *
 * See edit.h. Theory of operation: libedit is used key by key (EL_UNBUFFERED), so that the shell's
 * loop stays in charge and never waits here. Turning that on puts the terminal into its raw state
 * and draws the prompt; turning it off puts it back.
 */
#include "client/shell/edit.h"

#ifdef HAVE_LIBEDIT

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "client/shell/complete.h"
#include "common/cleanup.h"

enum { HISTORY_SIZE = 1000, WORDS_MAX = 64 };

static const char prompt_text[] = "cmd> ";

struct edit {
    struct tool *tool;
    struct output *output;
    EditLine *line;
    History *history;
    char *history_file;
    bool active; /* the prompt is there, and keys are taken */
    bool hidden;
};

/* A signal that ends us finds the terminal as it was: there is one terminal, so one of these. */
static struct termios terminal_before;

static void put_back(int number)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
    signal(number, SIG_DFL);
    raise(number);
}

static char *prompt(EditLine *line)
{
    static char text[sizeof(prompt_text)];

    (void)line;
    memcpy(text, prompt_text, sizeof(text));
    return text;
}

/* --- completion --- */

/* What is known of the candidates: how many, what they have in common, and all their names. */
struct candidates {
    int count;
    char common[256];
    FILE *names;
};

static void take_candidate(void *context, const char *name)
{
    struct candidates *candidates = context;
    size_t same = 0;

    if (!candidates->count++)
        snprintf(candidates->common, sizeof(candidates->common), "%s", name);
    while (name[same] && name[same] == candidates->common[same])
        same++;
    candidates->common[same] = '\0';
    fprintf(candidates->names, "%s  ", name);
}

/* Cuts the command that the cursor is in. Return: how many words; the last one may be empty. */
static int cut(char *text, char **words)
{
    static const char blanks[] = " \t";
    char *command = strrchr(text, ';');
    int count = 0;

    text = command ? command + 1 : text;
    for (;;) {
        text += strspn(text, blanks);
        words[count++] = text;
        text += strcspn(text, blanks);
        if (!*text || count == WORDS_MAX)
            return count;
        *text++ = '\0';
    }
}

static void show_names(struct edit *edit, const char *names)
{
    edit_hide(edit);
    dprintf(STDOUT_FILENO, "%s%s\n", prompt_text, names);
    edit_show(edit);
}

static unsigned char complete(EditLine *line, int key)
{
    const LineInfo *info = el_line(line);
    _cleanup_free_ char *text = strndup(info->buffer, (size_t)(info->cursor - info->buffer));
    _cleanup_free_ char *names = NULL;
    struct candidates found = {.count = 0};
    char *words[WORDS_MAX];
    struct edit *edit;
    size_t size, typed;
    int count;

    (void)key;
    found.names = open_memstream(&names, &size);
    if (!text || !found.names || el_get(line, EL_CLIENTDATA, &edit) < 0) {
        if (found.names)
            fclose(found.names);
        return CC_ERROR;
    }
    count = cut(text, words);
    complete_command(edit->tool, count, words, take_candidate, &found);
    fclose(found.names);
    typed = strlen(words[count - 1]);
    if (found.count == 0)
        return CC_REFRESH_BEEP;
    if (found.common[typed])
        el_insertstr(line, found.common + typed);
    else if (found.count > 1)
        show_names(edit, names);
    if (found.count == 1 && found.common[strlen(found.common) - 1] != '=')
        el_insertstr(line, " ");
    return CC_REFRESH;
}

/* --- the line --- */

static char *find_history_file(void)
{
    const char *home = getenv("HOME");
    char *path;

    return home && *home && asprintf(&path, "%s/.ivshmem_history", home) >= 0 ? path : NULL;
}

static void start_history(struct edit *edit)
{
    HistEvent event;

    edit->history = history_init();
    if (!edit->history)
        return;
    history(edit->history, &event, H_SETSIZE, HISTORY_SIZE);
    history(edit->history, &event, H_SETUNIQUE, 1);
    edit->history_file = find_history_file();
    if (edit->history_file)
        history(edit->history, &event, H_LOAD, edit->history_file);
    el_set(edit->line, EL_HIST, history, edit->history);
}

static void on_hide(void *context)
{
    edit_hide(context);
}

static void on_show(void *context)
{
    edit_show(context);
}

struct edit *edit_new(struct tool *tool, struct output *output)
{
    const char *kind = getenv("TERM");
    struct edit *edit;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !kind || !*kind ||
        strcmp(kind, "dumb") == 0 || tcgetattr(STDIN_FILENO, &terminal_before) < 0)
        return NULL;
    edit = calloc(1, sizeof(*edit));
    if (!edit)
        return NULL;
    edit->tool = tool;
    edit->output = output;
    setlocale(LC_CTYPE, "");
    edit->line = el_init("ivshmem-client", stdin, stdout, stderr);
    if (!edit->line) {
        free(edit);
        return NULL;
    }
    el_set(edit->line, EL_CLIENTDATA, edit);
    el_set(edit->line, EL_PROMPT, prompt);
    el_set(edit->line, EL_EDITOR, "emacs");
    el_set(edit->line, EL_ADDFN, "ivshmem-complete", "complete the word", complete);
    el_set(edit->line, EL_BIND, "^I", "ivshmem-complete", NULL);
    start_history(edit);
    output->hide = on_hide;
    output->show = on_show;
    output->context = edit;
    signal(SIGTERM, put_back);
    signal(SIGHUP, put_back);
    return edit;
}

struct edit *edit_free(struct edit *edit)
{
    HistEvent event;

    if (!edit)
        return NULL;
    edit_end(edit);
    edit->output->hide = edit->output->show = NULL;
    if (edit->history && edit->history_file)
        history(edit->history, &event, H_SAVE, edit->history_file);
    el_end(edit->line);
    if (edit->history)
        history_end(edit->history);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal_before);
    free(edit->history_file);
    free(edit);
    return NULL;
}

void edit_begin(struct edit *edit)
{
    if (edit->active)
        return;
    edit->active = true;
    el_set(edit->line, EL_UNBUFFERED, 1);
}

void edit_end(struct edit *edit)
{
    if (!edit->active)
        return;
    edit->active = false;
    el_set(edit->line, EL_UNBUFFERED, 0);
}

static int end_of_input(struct edit *edit, struct lines *lines)
{
    edit_end(edit);
    fputs("\n", edit->output->file);
    lines_end(lines);
    return 0;
}

int edit_read(struct edit *edit, struct lines *lines)
{
    int count = 0;
    const char *text = el_gets(edit->line, &count);
    HistEvent event;

    if (text && count == 1 && *text == ('d' & 0x1f)) /* Ctrl-D on an empty line */
        return end_of_input(edit, lines);
    if (!text || count <= 0 || (text[count - 1] != '\n' && text[count - 1] != '\r'))
        return 0;
    if (count > 1 && edit->history)
        history(edit->history, &event, H_ENTER, text);
    edit_end(edit);
    return lines_feed(lines, text, (size_t)count);
}

void edit_clear(struct edit *edit)
{
    edit_end(edit);
    fputs("^C\n", edit->output->file);
    fflush(edit->output->file);
    edit_begin(edit);
}

/* How many rows of the screen the cursor is below the prompt. */
static unsigned rows_down(const struct edit *edit)
{
    const LineInfo *info = el_line(edit->line);
    struct winsize size = {.ws_col = 0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 0;
    return (unsigned)((strlen(prompt_text) + (size_t)(info->cursor - info->buffer)) / size.ws_col);
}

void edit_hide(struct edit *edit)
{
    unsigned rows;

    if (!edit || !edit->active || edit->hidden)
        return;
    edit->hidden = true;
    rows = rows_down(edit);
    if (rows)
        dprintf(STDOUT_FILENO, "\033[%uA", rows);
    dprintf(STDOUT_FILENO, "\r\033[J");
}

void edit_show(struct edit *edit)
{
    if (!edit || !edit->active || !edit->hidden)
        return;
    edit->hidden = false;
    el_set(edit->line, EL_REFRESH);
}

#else

struct edit *edit_new(struct tool *tool, struct output *output)
{
    (void)tool;
    (void)output;
    return NULL;
}

struct edit *edit_free(struct edit *edit)
{
    return edit;
}

void edit_begin(struct edit *edit)
{
    (void)edit;
}

void edit_end(struct edit *edit)
{
    (void)edit;
}

int edit_read(struct edit *edit, struct lines *lines)
{
    (void)edit;
    (void)lines;
    return 0;
}

void edit_clear(struct edit *edit)
{
    (void)edit;
}

void edit_hide(struct edit *edit)
{
    (void)edit;
}

void edit_show(struct edit *edit)
{
    (void)edit;
}

#endif
