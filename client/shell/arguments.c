/* SPDX-License-Identifier: MIT
 *
 * See arguments.h. Options are read as those of a program are (options.h), from a table made of the
 * command's own and the common ones.
 */
#include "client/shell/arguments.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/shell/commands.h"
#include "common/parse.h"

#define AT(config, spec, type) ((type *)(void *)((char *)(config) + (spec)->offset))

const struct option_spec arguments_common_options[] = {
    {"help", 0, NULL, "show this help", option_set_switch, ARGUMENT(help), 0},
    {"json", 0, NULL, "say it in JSON, one object a line", option_set_switch, ARGUMENT(json), 0},
    {"quiet", 'q', NULL, "say nothing but errors", option_set_switch, ARGUMENT(quiet), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

int argument_size(const char *text, const char *what, uint64_t *size, struct failure *failure)
{
    int r = parse_size(text, size);

    if (r == -ERANGE)
        return failure_set(failure, ERANGE, "%s '%s' does not fit in 63 bits", what, text);
    if (r < 0)
        return failure_set(failure, EINVAL, "%s '%s' is no size such as 512, 0x200 or 1.5M", what,
                           text);
    return 0;
}

int argument_number(const char *text, const char *what, uint64_t most, uint64_t *number,
                    struct failure *failure)
{
    int r = parse_unsigned(text, 0, most, number);

    if (r == -ERANGE)
        return failure_set(failure, ERANGE, "%s '%s' is more than %llu", what, text,
                           (unsigned long long)most);
    if (r < 0)
        return failure_set(failure, EINVAL, "%s '%s' is no number such as 42 or 0x2a", what, text);
    return 0;
}

int argument_set_size(void *config, const struct option_spec *spec, const char *value,
                      struct failure *failure)
{
    return argument_size(value, "the value", AT(config, spec, uint64_t), failure);
}

int argument_set_number(void *config, const struct option_spec *spec, const char *value,
                        struct failure *failure)
{
    return argument_number(value, "the value", UINT64_MAX - 1, AT(config, spec, uint64_t), failure);
}

int argument_set_expected(void *config, const struct option_spec *spec, const char *value,
                          struct failure *failure)
{
    struct arguments *given = config;

    (void)spec;
    given->compares = true;
    return argument_number(value, "the value", UINT64_MAX, &given->expected, failure);
}

int argument_set_count(void *config, const struct option_spec *spec, const char *value,
                       struct failure *failure)
{
    uint64_t *count = AT(config, spec, uint64_t);
    int r = argument_number(value, "the value", UINT64_MAX - 1, count, failure);

    return r == 0 && *count == 0 ? failure_set(failure, EINVAL, "0 times is not often enough") : r;
}

int argument_set_bytes(void *config, const struct option_spec *spec, const char *value,
                       struct failure *failure)
{
    uint64_t *size = AT(config, spec, uint64_t);
    int r = argument_size(value, "the value", size, failure);

    return r == 0 && *size == 0 ? failure_set(failure, EINVAL, "0 bytes are not enough") : r;
}

int argument_port(const char *text, uint64_t *port, struct failure *failure)
{
    int r = argument_number(text, "the port", UINT32_MAX, port, failure);

    return r == 0 && *port == 0 ? failure_set(failure, EINVAL, "0 is no port") : r;
}

int argument_set_port(void *config, const struct option_spec *spec, const char *value,
                      struct failure *failure)
{
    return argument_port(value, AT(config, spec, uint64_t), failure);
}

/* Digits with a fraction, as milliseconds; what is below one is cut off. */
static int read_seconds(const char *text, int64_t *ms)
{
    enum { MOST_SECONDS = 2000000 }; /* 23 days, so that poll(2) takes them */
    int64_t whole = 0, part = 0, unit = 100;
    const char *start = text;

    for (; isdigit((unsigned char)*text); text++)
        if ((whole = 10 * whole + (*text - '0')) > MOST_SECONDS * 1000LL)
            return -ERANGE;
    if (text > start && *text == '.')
        for (text++; isdigit((unsigned char)*text); text++, unit /= 10)
            part += unit * (*text - '0');
    if (text == start)
        return -EINVAL;
    if (strcmp(text, "ms") == 0)
        *ms = whole;
    else if (strcmp(text, "m") == 0)
        *ms = (1000 * whole + part) * 60;
    else if (!*text || strcmp(text, "s") == 0)
        *ms = 1000 * whole + part;
    else
        return -EINVAL;
    return *ms > MOST_SECONDS * 1000LL ? -ERANGE : 0;
}

int argument_set_seconds(void *config, const struct option_spec *spec, const char *value,
                         struct failure *failure)
{
    int r = read_seconds(value, AT(config, spec, int64_t));

    if (r == -ERANGE)
        return failure_set(failure, ERANGE, "'%s' is longer than 23 days", value);
    if (r < 0)
        return failure_set(failure, EINVAL, "'%s' is no time such as 2, 0.5 or 100ms", value);
    return 0;
}

int argument_set_text(void *config, const struct option_spec *spec, const char *value,
                      struct failure *failure)
{
    (void)failure;
    *AT(config, spec, const char *) = value;
    return 0;
}

int argument_set_reply(void *config, const struct option_spec *spec, const char *value,
                       struct failure *failure)
{
    struct arguments *given = config;

    (void)spec;
    given->until_reply = true;
    return value ? argument_number(value, "the vector", 2047, &given->reply_vector, failure) : 0;
}

int argument_hex(const char *text, uint8_t **bytes, size_t *size, struct failure *failure)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *out = malloc(strlen(text) / 2 + 1);
    size_t count = 0;

    if (!out)
        return failure_set(failure, ENOMEM, "no memory for the bytes");
    for (const char *at = text; *at;) {
        const char *high, *low;

        if (*at == ' ' || *at == ':') {
            at++;
            continue;
        }
        high = strchr(digits, tolower((unsigned char)at[0]));
        low = at[1] ? strchr(digits, tolower((unsigned char)at[1])) : NULL;
        if (!high || !low) {
            free(out);
            return failure_set(failure, EINVAL, "'%s' is no row of bytes such as 48656c6c6f", text);
        }
        out[count++] = (uint8_t)((high - digits) << 4 | (low - digits));
        at += 2;
    }
    *bytes = out;
    *size = count;
    return 0;
}

/* Whether the words can be anything, also with blanks, or a - at the beginning. */
static bool takes_text(const struct command *command)
{
    return strstr(command->forms[0].words, "<text>") || strstr(command->forms[0].words, "<file>");
}

static int parse_options(struct arguments *given, int count, char **words, struct failure *failure)
{
    struct option_spec table[OPTIONS_MAX + 1];
    const struct option_spec *own = given->command->options;
    struct failure wrong = {.text = ""};
    size_t n = 0;
    int r;

    for (; own && own->name; own++)
        table[n++] = *own;
    for (own = arguments_common_options; own->name; own++)
        table[n++] = *own;
    table[n] = *own;
    r = options_parse(table, count, words, given, NULL, &wrong);
    if (r < 0)
        return failure_set(failure, r == -ENOENT ? EINVAL : -r, "%.400s%s", wrong.text,
                           r == -ENOENT && takes_text(given->command)
                               ? ", or put -- before a word that begins with -"
                               : "");
    return r;
}

static int check_count(const struct arguments *given, struct failure *failure)
{
    const struct command *command = given->command;
    const char *wants = command->forms[0].words;

    if (given->count < command->least)
        return failure_set(failure, EINVAL, "%s needs more: %s %s", command->name, command->name,
                           wants);
    if (given->count > command->most)
        return failure_set(failure, EINVAL, "%s: '%s' is too much%s", command->name,
                           given->words[command->most],
                           takes_text(command) ? "; quote a word with blanks" : "");
    return 0;
}

int arguments_parse(struct arguments *given, int count, char **words, struct failure *failure)
{
    int first, r;

    *given = (struct arguments){
        .command = commands_find(words[0]),
        .offset = NOT_GIVEN,
        .length = NOT_GIVEN,
        .times = NOT_GIVEN,
        .width = NOT_GIVEN,
        .pad = NOT_GIVEN,
        .reply_vector = NOT_GIVEN,
        .port = NOT_GIVEN,
        .ring_size = NOT_GIVEN,
        .reverse_size = NOT_GIVEN,
        .message = NOT_GIVEN,
        .interval = -1,
        .timeout = -1,
        .wait_peer = -1,
    };
    if (!given->command)
        return failure_set(failure, ENOENT, "there is no command '%s'; see help all", words[0]);
    for (int i = 1; i < count; i++)
        given->has_options |= words[i][0] == '-' && words[i][1] == '-';
    first = parse_options(given, count, words, failure);
    if (first < 0)
        return first;
    given->words = words + first;
    given->count = count - first;
    if (given->help)
        return 0;
    r = check_count(given, failure);
    if (r == 0 && given->command->check)
        r = given->command->check(given, failure);
    return r;
}
