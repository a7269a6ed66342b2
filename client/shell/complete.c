/* SPDX-License-Identifier: MIT
 *
 * See complete.h.
 */
#include "client/shell/complete.h"

#include <string.h>

#include "client/shell/commands.h"
#include "common/cleanup.h"

/* The search: what the word begins with so far, and whom to tell. */
struct search {
    struct tool *tool;
    const char *start;
    complete_fn *each;
    void *context;
};

static void offer(const struct search *search, const char *candidate)
{
    if (strncmp(candidate, search->start, strlen(search->start)) == 0)
        search->each(search->context, candidate);
}

static void offer_number(const struct search *search, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    offer(search, text);
}

static void offer_commands(const struct search *search)
{
    const struct command *each = NULL;

    while ((each = commands_next(each)))
        if (!(each->flags & COMMAND_HIDDEN))
            offer(search, each->name);
}

static void offer_options(const struct search *search, const struct option_spec *options)
{
    char text[64];

    for (; options && options->name; options++) {
        bool value = options->argument && *options->argument != '[';

        snprintf(text, sizeof(text), "--%s%s", options->name, value ? "=" : "");
        offer(search, text);
    }
}

static uint64_t number(const cJSON *object, const char *name)
{
    double value = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return value >= 0 && value <= UINT32_MAX ? (uint64_t)value : 0;
}

/* Return: the peers as ListPeers has them; NULL when nobody tells. Says nothing about errors. */
static cJSON *ask_peers(struct tool *tool)
{
    struct failure failure;
    struct control *control = NULL;
    cJSON *reply = NULL, *list = NULL;

    if (tool_open_control(tool, &control, &failure) < 0)
        return NULL;
    if (control_send(control, "ListPeers", NULL, false, &failure) == 0 &&
        control_receive(control, true, &reply, &failure) == 0)
        list = cJSON_DetachItemFromObjectCaseSensitive(
            cJSON_GetObjectItemCaseSensitive(reply, "parameters"), "peers");
    cJSON_Delete(reply);
    control_free(control);
    return list;
}

static void offer_peers(const struct search *search)
{
    struct tool *tool = search->tool;
    cJSON *list = tool_connected(tool) ? NULL : ask_peers(tool);
    const cJSON *peer;

    cJSON_ArrayForEach(peer, list)
    {
        offer_number(search, number(peer, "id"));
    }
    cJSON_Delete(list);
    if (tool_connected(tool) && ivshmem_id(tool->iv) >= 0)
        offer_number(search, (uint64_t)ivshmem_id(tool->iv));
    for (int id = -1; (id = ivshmem_next_peer(tool->iv, id)) >= 0;)
        offer_number(search, (uint64_t)id);
}

static void offer_vectors(const struct search *search, const char *peer)
{
    struct tool *tool = search->tool;
    cJSON *list = tool_connected(tool) ? NULL : ask_peers(tool);
    const cJSON *each;
    uint64_t id, count = 0;

    if (argument_number(peer, "", WIRE_ID_MAX, &id, NULL) == 0) {
        cJSON_ArrayForEach(each, list) if (number(each, "id") == id) count =
            number(each, "vectors");
        if (tool_connected(tool) && ivshmem_vectors(tool->iv, (unsigned)id) > 0)
            count = (uint64_t)ivshmem_vectors(tool->iv, (unsigned)id);
    }
    cJSON_Delete(list);
    for (uint64_t i = 0; i < count; i++)
        offer_number(search, i);
}

/* The first words of the forms of a command, unless they stand for values. */
static void offer_verbs(const struct search *search, const struct command *command)
{
    for (int i = 0; i < COMMAND_FORMS && command->forms[i].help; i++) {
        const char *words = command->forms[i].words;
        char verb[32];

        snprintf(verb, sizeof(verb), "%.*s", (int)strcspn(words, " "), words);
        if (i == 0 || strncmp(command->forms[i - 1].words, verb, strlen(verb)) != 0)
            offer(search, verb);
    }
}

/* Whether a form of the command begins with @verb and a peer. */
static bool takes_peer(const struct command *command, const char *verb)
{
    static const char peer[] = " <peer>";
    size_t length = strlen(verb);

    for (int i = 0; i < COMMAND_FORMS && command->forms[i].help; i++)
        if (strncmp(command->forms[i].words, verb, length) == 0 &&
            strncmp(command->forms[i].words + length, peer, sizeof(peer) - 1) == 0)
            return true;
    return false;
}

/* @before: words of the command in front of this one, options left out. */
static void offer_words(const struct search *search, const struct command *command, int before,
                        const char *first)
{
    static const char *const levels[] = {"error", "warning", "notice", "info", "debug"};

    if (command->flags & COMMAND_PEERS && before < 2) {
        if (before == 0)
            offer_peers(search);
        else if (command->most > 1 && strcmp(first, "all") != 0)
            offer_vectors(search, first);
        if (command->most > 1 && (before == 0 || strcmp(first, "all") != 0))
            offer(search, "all");
    } else if (command->flags & COMMAND_VERBS && before == 0) {
        offer_verbs(search, command);
    } else if (command->flags & COMMAND_VERBS && before == 1 && takes_peer(command, first)) {
        offer_peers(search);
        offer(search, "any");
    } else if (strcmp(command->name, "help") == 0 && before == 0) {
        offer_commands(search);
        offer(search, "all");
    } else if (strcmp(command->name, "log-level") == 0 && before == 0) {
        for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
            offer(search, levels[i]);
    }
}

void complete_command(struct tool *tool, int count, char **words, complete_fn *each, void *context)
{
    const struct search search = {tool, words[count - 1], each, context};
    const struct command *command = count > 1 ? commands_find(words[0]) : NULL;
    const char *first = "";
    int before = 0;

    if (count == 1)
        offer_commands(&search);
    if (!command)
        return;
    for (int i = 1; i < count - 1; i++)
        if (words[i][0] != '-' && before++ == 0)
            first = words[i];
    if (search.start[0] == '-') {
        offer_options(&search, command->options);
        offer_options(&search, arguments_common_options);
    } else {
        offer_words(&search, command, before, first);
    }
}

/* --- the command --- */

static void print_line(void *context, const char *candidate)
{
    fprintf(context, "%s\n", candidate);
}

/* Options of the program stand in front of the command; those with a value of their own are known
 * by what they mean to us. Return: index of the first word of the command. */
static int skip_program_options(int count, char **words, struct settings *settings)
{
    int i = 0;

    while (i < count - 1 && words[i][0] == '-') {
        const char *word = words[i++];

        if (strcmp(word, "-S") == 0 || strcmp(word, "--socket") == 0)
            settings->socket = words[i++];
        else if (strcmp(word, "--control") == 0)
            settings->control = words[i++];
        else if (strcmp(word, "--wait-server") == 0 || strcmp(word, "-c") == 0 ||
                 strcmp(word, "--memory") == 0 || strcmp(word, "-M") == 0)
            i++;
        else if (strncmp(word, "--socket=", 9) == 0)
            settings->socket = word + 9;
        else if (strncmp(word, "--control=", 10) == 0)
            settings->control = word + 10;
        else if (strncmp(word, "-S", 2) == 0)
            settings->socket = word + 2;
        if (i < count && strcmp(words[i], "=") == 0) /* bash cuts words there */
            i++;
    }
    return i;
}

int complete_run(struct tool *tool, struct arguments *given)
{
    struct settings settings = *tool->settings;
    const struct settings *before = tool->settings;
    int first = skip_program_options(given->count, given->words, &settings);
    struct search search = {.tool = tool, .each = print_line, .context = tool->emit.out};

    if (first >= given->count)
        return STATUS_DONE;
    tool->settings = &settings;
    search.start = given->words[first];
    if (first == given->count - 1 && search.start[0] == '-')
        offer_options(&search, settings_options);
    else
        complete_command(tool, given->count - first, given->words + first, print_line,
                         tool->emit.out);
    tool->settings = before;
    return STATUS_DONE;
}
