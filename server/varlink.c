/* SPDX-License-Identifier: MIT
 *
 * See varlink.h.
 */
#include "server/varlink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

char *varlink_reader_room(struct varlink_reader *reader, size_t *room)
{
    memmove(reader->bytes, reader->bytes + reader->start, reader->have - reader->start);
    reader->have -= reader->start;
    reader->seen -= reader->start;
    reader->start = 0;
    *room = sizeof(reader->bytes) - reader->have;
    return reader->bytes + reader->have;
}

int varlink_reader_next(struct varlink_reader *reader, const char **text)
{
    const char *end = memchr(reader->bytes + reader->seen, '\0', reader->have - reader->seen);

    if (!end) {
        reader->seen = reader->have;
        return reader->have - reader->start < sizeof(reader->bytes) ? 0 : -EMSGSIZE;
    }
    *text = reader->bytes + reader->start;
    reader->start = reader->seen = (size_t)(end - reader->bytes) + 1;
    return 1;
}

/* Bytes of the UTF-8 sequence that a string begins with, 0 when it does not begin with one. */
static size_t utf8_length(const char *text)
{
    const unsigned char *byte = (const unsigned char *)text;
    size_t length = byte[0] < 0x80                      ? 1
                    : byte[0] >= 0xc2 && byte[0] < 0xe0 ? 2
                    : byte[0] >= 0xe0 && byte[0] < 0xf0 ? 3
                    : byte[0] >= 0xf0 && byte[0] < 0xf5 ? 4
                                                        : 0;

    for (size_t i = 1; i < length; i++)
        if ((byte[i] & 0xc0) != 0x80) /* the NUL at the end is none, too */
            return 0;
    if ((byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xed && byte[1] > 0x9f) ||
        (byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] > 0x8f))
        return 0; /* written longer than it has to be, half a pair, beyond the last character */
    return length;
}

void varlink_clean(char *text)
{
    for (size_t length; *text; text += length) {
        length = utf8_length(text);
        if (length == 0) {
            *text = '?';
            length = 1;
        }
    }
}

/*
 * What the JSON library does not check, or not in time: nesting (it recurses), UTF-8, and \u0000,
 * which would cut a string short. Whether the text is JSON at all is left to the library.
 */
static bool is_sane(const char *text)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t length; *text; text += length) {
        length = utf8_length(text);
        if (length == 0)
            return false;
        if (in_string) {
            if (*text == '"')
                in_string = false;
            if (*text == '\\' && strncmp(text + 1, "u0000", 5) == 0)
                return false;
            if (*text == '\\' && text[1] && (unsigned char)text[1] < 0x80)
                length = 2;
        } else if (*text == '"') {
            in_string = true;
        } else if (*text == '{' || *text == '[') {
            if (++depth > VARLINK_DEPTH_MAX)
                return false;
        } else if ((*text == '}' || *text == ']') && depth) {
            depth--;
        }
    }
    return true;
}

/* Return: whether a member is missing, null, or a boolean, whose value is then set. */
static bool get_flag(const cJSON *message, const char *name, bool *flag)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(message, name);

    *flag = cJSON_IsTrue(item);
    return !item || cJSON_IsNull(item) || cJSON_IsBool(item);
}

int varlink_call_parse(const char *text, struct varlink_call *call)
{
    const cJSON *method, *parameters;

    *call = (struct varlink_call){.message = NULL};
    if (!is_sane(text))
        return -EBADMSG;
    call->message = cJSON_ParseWithOpts(text, NULL, true);
    if (!call->message)
        return -EBADMSG;
    method = cJSON_GetObjectItemCaseSensitive(call->message, "method");
    parameters = cJSON_GetObjectItemCaseSensitive(call->message, "parameters");
    if (!cJSON_IsObject(call->message) || !cJSON_IsString(method) ||
        (parameters && !cJSON_IsNull(parameters) && !cJSON_IsObject(parameters)) ||
        !get_flag(call->message, "more", &call->more) ||
        !get_flag(call->message, "oneway", &call->oneway) ||
        !get_flag(call->message, "upgrade", &call->upgrade) ||
        call->more + call->oneway + call->upgrade > 1) {
        varlink_call_deinit(call);
        return -EPROTO;
    }
    call->method = method->valuestring;
    call->parameters = cJSON_IsObject(parameters) ? parameters : NULL;
    return 0;
}

void varlink_call_deinit(struct varlink_call *call)
{
    cJSON_Delete(call->message);
    *call = (struct varlink_call){.message = NULL};
}

/* Finishes a message: its parameters go last. */
static char *print(cJSON *message, cJSON *parameters)
{
    char *text = NULL;

    if (!parameters)
        parameters = cJSON_CreateObject();
    if (message && parameters && cJSON_AddItemToObjectCS(message, "parameters", parameters)) {
        parameters = NULL;
        text = cJSON_PrintUnformatted(message);
    }
    cJSON_Delete(parameters);
    cJSON_Delete(message);
    return text;
}

char *varlink_reply(cJSON *parameters, bool continues)
{
    cJSON *message = cJSON_CreateObject();

    if (continues)
        cJSON_AddTrueToObject(message, "continues");
    return print(message, parameters);
}

char *varlink_error(const char *name, cJSON *parameters)
{
    cJSON *message = cJSON_CreateObject();

    cJSON_AddStringToObject(message, "error", name);
    return print(message, parameters);
}

void varlink_add_integer(cJSON *object, const char *name, uint64_t value)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%" PRIu64, value);
    cJSON_AddRawToObject(object, name, digits);
}

void varlink_add_text(cJSON *object, const char *name, const char *text)
{
    _cleanup_free_ char *clean = text ? strdup(text) : NULL;

    if (!clean)
        return;
    varlink_clean(clean);
    cJSON_AddStringToObject(object, name, clean);
}

int varlink_get_size(const cJSON *object, const char *name, uint64_t max, uint64_t *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    if (!item || cJSON_IsNull(item))
        return 0;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= (double)max) ||
        item->valuedouble != (double)(uint64_t)item->valuedouble)
        return -EINVAL;
    *value = (uint64_t)item->valuedouble;
    return 1;
}

int varlink_get_integer(const cJSON *object, const char *name, unsigned max, unsigned *value)
{
    uint64_t number;
    int r = varlink_get_size(object, name, max, &number);

    if (r > 0)
        *value = (unsigned)number;
    return r;
}
