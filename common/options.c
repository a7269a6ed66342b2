/* SPDX-License-Identifier: MIT
 *
 * See options.h. The command line is read with getopt_long(3), from arrays made of the table.
 */
#include "common/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

enum {
    LONG_BASE = 256, /* getopt's value of option i is LONG_BASE + i, so letters stay apart */
    HELP_COLUMN = 30,
};

int option_set_switch(void *config, const struct option_spec *spec, const char *value,
                      struct failure *failure)
{
    (void)failure;
    *(bool *)((char *)config + spec->offset) = !value || strcmp(value, "no") != 0;
    return 0;
}

int option_set_string(void *config, const struct option_spec *spec, const char *value,
                      struct failure *failure)
{
    char **string = (char **)(void *)((char *)config + spec->offset), *copy;

    if (!*value)
        return failure_set(failure, EINVAL, "the value is empty");
    copy = strdup(value);
    if (!copy)
        return failure_set(failure, ENOMEM, "out of memory");
    free(*string);
    *string = copy;
    return 0;
}

static size_t table_length(const struct option_spec *table)
{
    size_t length = 0;

    while (table[length].name)
        length++;
    return length;
}

/* What is being parsed: the same for every option of a command line or a file. */
struct parse {
    const struct option_spec *table;
    void *config;
    char **given;
    struct failure *failure;
};

static int record(char **given, const char *value, bool adds_up)
{
    const bool join = *given && adds_up;
    char *joined;

    if (asprintf(&joined, "%s%s%s", join ? *given : "", join ? "," : "", value) < 0)
        return -ENOMEM;
    free(*given);
    *given = joined;
    return 0;
}

static int set_option(const struct parse *parse, const struct option_spec *spec, const char *value)
{
    struct failure cause = {.text = "out of memory"};
    int r = spec->set(parse->config, spec, value, &cause);

    if (r == 0 && parse->given)
        r = record(&parse->given[spec - parse->table], value ? value : "yes",
                   spec->flags & OPTION_ADDS_UP);
    if (r < 0)
        return failure_set(parse->failure, -r, "option --%s: %.450s", spec->name, cause.text);
    return 0;
}

static int argument_kind(const struct option_spec *spec)
{
    if (!spec->argument)
        return no_argument;
    return *spec->argument == '[' ? optional_argument : required_argument;
}

static const struct option_spec *find_letter(const struct option_spec *table, int letter)
{
    for (; table->name; table++)
        if (table->letter && table->letter == letter)
            return table;
    return NULL;
}

static const struct option_spec *find_name(const struct option_spec *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

static int command_line_error(int kind, char **argv, struct failure *failure)
{
    const char *word = argv[optind > 1 ? optind - 1 : 1];
    char letter[3] = {'-', (char)optopt, '\0'};

    if (optopt > 0 && optopt < LONG_BASE)
        word = letter;
    if (kind == ':')
        return failure_set(failure, EINVAL, "option %s needs a value; see --help", word);
    if (optopt >= LONG_BASE)
        return failure_set(failure, EINVAL, "option %s takes no value; see --help", word);
    return failure_set(failure, ENOENT, "unknown option %s; see --help", word);
}

/* Makes getopt_long's arrays of the table. */
static void make_arrays(const struct option_spec *table, struct option *names, char *letters)
{
    if (table[table_length(table)].flags & OPTIONS_END_AT_WORD)
        *letters++ = '+';
    *letters++ = ':'; /* tell a missing value from an unknown option */
    for (size_t i = 0; table[i].name; i++) {
        int kind = argument_kind(&table[i]);

        names[i] =
            (struct option){.name = table[i].name, .has_arg = kind, .val = LONG_BASE + (int)i};
        if (!table[i].letter)
            continue;
        *letters++ = table[i].letter;
        for (int colons = kind; colons; colons--) /* required_argument is 1, optional is 2 */
            *letters++ = ':';
    }
    *letters = '\0';
}

int options_parse(const struct option_spec *table, int argc, char **argv, void *config,
                  char **given, struct failure *failure)
{
    const struct parse parse = {table, config, given, failure};
    struct option names[OPTIONS_MAX + 1] = {{.name = NULL}};
    char letters[3 * OPTIONS_MAX + 3];

    assert(table_length(table) <= OPTIONS_MAX);
    make_arrays(table, names, letters);
    opterr = 0;
    optind = 0; /* glibc: start over, whatever was parsed before */
    for (int c; (c = getopt_long(argc, argv, letters, names, NULL)) != -1;) {
        const struct option_spec *spec =
            c >= LONG_BASE ? &table[c - LONG_BASE] : find_letter(table, c);
        int r;

        if (c == '?' || c == ':' || !spec)
            return command_line_error(c, argv, failure);
        r = set_option(&parse, spec, spec->argument ? optarg : NULL);
        if (r < 0)
            return r;
    }
    return optind;
}

/* Cuts white space off both ends, in place. */
static char *trim(char *text)
{
    char *end;

    while (isspace((unsigned char)*text))
        text++;
    end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    return text;
}

static int set_switch(const struct parse *parse, const struct option_spec *spec, const char *value)
{
    if (!value || strcmp(value, "yes") == 0)
        return set_option(parse, spec, NULL);
    if (strcmp(value, "no") == 0)
        return set_option(parse, spec, value);
    return failure_set(parse->failure, EINVAL, "option %s: '%s' is neither yes nor no", spec->name,
                       value);
}

static int parse_line(const struct parse *parse, char *line)
{
    const struct option_spec *spec;
    char *name = trim(line), *value;

    if (*name == '\0' || *name == '#')
        return 0;
    value = strchr(name, '=');
    if (value) {
        *value = '\0';
        value = trim(value + 1);
        name = trim(name);
    }
    spec = find_name(parse->table, name);
    if (!spec)
        return failure_set(parse->failure, EINVAL, "unknown option '%s'; see --help for the names",
                           name);
    if (spec->flags & OPTION_NOT_IN_FILE)
        return failure_set(parse->failure, EINVAL, "option %s belongs on the command line",
                           spec->name);
    if (argument_kind(spec) == no_argument)
        return set_switch(parse, spec, value);
    if (argument_kind(spec) == required_argument && (!value || !*value))
        return failure_set(parse->failure, EINVAL, "option %s needs a value: %s = %s", spec->name,
                           spec->name, spec->argument);
    return set_option(parse, spec, value);
}

/* Only a file can be read again, and only opening a file never has to wait for somebody. */
static FILE *open_file(const char *path, struct failure *failure)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    FILE *file;

    if (fd < 0 || fstat(fd, &status) < 0) {
        failure_set(failure, errno, "cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        failure_set(failure, errno, "cannot read %s: it is not a regular file", path);
        return NULL;
    }
    file = fdopen(fd, "r");
    if (file)
        steal_fd(&fd);
    else
        failure_set(failure, errno, "cannot open %s: %s", path, strerror(errno));
    return file;
}

int options_parse_file(const struct option_spec *table, const char *path, void *config,
                       char **given, struct failure *failure)
{
    _cleanup_fclose_ FILE *file = open_file(path, failure);
    _cleanup_free_ char *line = NULL;
    size_t room = 0;
    ssize_t length;
    unsigned number = 0;

    if (!file)
        return errno ? -errno : -EINVAL;
    while (errno = 0, (length = getline(&line, &room, file)) >= 0) {
        struct failure cause = {.text = ""};
        const struct parse parse = {table, config, given, &cause};
        int r = strlen(line) == (size_t)length
                    ? parse_line(&parse, line)
                    : failure_set(&cause, EINVAL, "there is a NUL byte in it");

        number++;
        if (r < 0)
            return failure_set(failure, -r, "%s line %u: %.400s", path, number, cause.text);
    }
    if (errno)
        return failure_set(failure, errno, "cannot read %s: %s", path, strerror(errno));
    return 0;
}

void options_print(const struct option_spec *table, FILE *out)
{
    for (; table->name; table++) {
        char option[80];
        const char *help = table->help, *end;
        bool optional = argument_kind(table) == optional_argument;
        int column = snprintf(
            option, sizeof(option), "  %c%c%s --%s%s%s", table->letter ? '-' : ' ',
            table->letter ? table->letter : ' ', table->letter ? "," : " ", table->name,
            table->argument && !optional ? "=" : "", table->argument ? table->argument : "");

        fprintf(out, "%s", option);
        if (column >= HELP_COLUMN) {
            fputc('\n', out);
            column = 0;
        }
        for (; (end = strchr(help, '\n')); help = end + 1, column = 0)
            fprintf(out, "%*s%.*s\n", HELP_COLUMN - column, "", (int)(end - help), help);
        fprintf(out, "%*s%s\n", HELP_COLUMN - column, "", help);
    }
}
