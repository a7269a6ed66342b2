/* SPDX-License-Identifier: MIT
 *
 * See emit.h. Whole numbers are put into JSON as raw text: a double would round those of 64 bits.
 */
#include "client/shell/emit.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"

enum { NAME_ROOM = 64 };

static const cJSON *find_member(const cJSON *object, char *path)
{
    char *rest = path;

    while (object && rest) {
        const char *name = strsep(&rest, ".");

        object = cJSON_GetObjectItemCaseSensitive(object, name);
    }
    return object;
}

/* Return: the text of a value, to be free()d, or NULL. */
static char *value_text(const cJSON *value)
{
    if (!value || cJSON_IsNull(value))
        return strdup("-");
    if (cJSON_IsString(value) || cJSON_IsRaw(value))
        return strdup(value->valuestring);
    if (cJSON_IsBool(value))
        return strdup(cJSON_IsTrue(value) ? "yes" : "no");
    return cJSON_PrintUnformatted(value);
}

/* @field is what stands between the braces. */
static void print_field(FILE *out, const cJSON *object, const char *field, size_t length)
{
    _cleanup_free_ char *text = NULL;
    char name[NAME_ROOM], *width;

    snprintf(name, sizeof(name), "%.*s", (int)length, field);
    width = strchr(name, ':');
    if (width)
        *width++ = '\0';
    text = value_text(find_member(object, name));
    for (char *at = text; at && *at; at++)
        if (iscntrl((unsigned char)*at))
            *at = '?';
    fprintf(out, "%*s", width ? (int)strtol(width, NULL, 10) : 0, text ? text : "-");
}

void emit_text(FILE *out, const cJSON *object, const char *template)
{
    const char *open, *shut;

    while ((open = strchr(template, '{')) && (shut = strchr(open, '}'))) {
        fwrite(template, 1, (size_t)(open - template), out);
        print_field(out, object, open + 1, (size_t)(shut - open - 1));
        template = shut + 1;
    }
    fputs(template, out);
}

static void print_json(FILE *out, const cJSON *object)
{
    _cleanup_free_ char *text = cJSON_PrintUnformatted(object);

    fprintf(out, "%s\n", text ? text : "{}");
}

void emit(const struct emit *emit, cJSON *object, const char *template)
{
    if (emit->json && !emit->quiet)
        print_json(emit->out, object);
    else if (template && !emit->quiet)
        emit_text(emit->out, object, template);
    cJSON_Delete(object);
}

void emit_list(const struct emit *emit, cJSON *object, const char *name, const char *head,
               const char *template)
{
    const cJSON *item;

    if (emit->json && !emit->quiet) {
        print_json(emit->out, object);
    } else if (!emit->quiet) {
        fputs(head ? head : "", emit->out);
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(object, name))
        {
            emit_text(emit->out, item, template);
        }
    }
    cJSON_Delete(object);
}

/* How many bytes follow the first one of a character; -1 when none begins so. */
static int continuations(uint8_t first)
{
    return first < 0x80   ? 0
           : first < 0xc2 ? -1
           : first < 0xe0 ? 1
           : first < 0xf0 ? 2
           : first < 0xf5 ? 3
                          : -1;
}

bool emit_is_utf8(const uint8_t *bytes, size_t size)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

    for (size_t i = 0; i < size; i++) {
        int more = continuations(bytes[i]);
        uint32_t character = more > 0 ? bytes[i] & (0x3fU >> more) : 0;

        if (more < 0 || size - i <= (size_t)more)
            return false;
        for (int k = 0; k < more; k++) {
            if ((bytes[++i] & 0xc0) != 0x80)
                return false;
            character = character << 6 | (bytes[i] & 0x3fU);
        }
        if (character < least[more] || character > 0x10ffff || character >> 11 == 0x1b)
            return false;
    }
    return true;
}

/* JSON is UTF-8, and an error may repeat a word that is not, or has been cut. */
static void make_utf8(char *text)
{
    if (emit_is_utf8((const uint8_t *)text, strlen(text)))
        return;
    for (; *text; text++)
        if (*text & 0x80)
            *text = '?';
}

int emit_error(const struct emit *emit, int status, const char *format, ...)
{
    char text[768];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (emit->json) {
        cJSON *object = emit_object("status", (uint64_t)status);

        make_utf8(text);
        cJSON_AddStringToObject(object, "error", text);
        print_json(emit->out, object);
        cJSON_Delete(object);
    } else if (emit->interactive) {
        fprintf(emit->out, "%s\n", text);
    } else {
        fflush(emit->out);
        fprintf(stderr, "ivshmem-client: %s\n", text);
    }
    return status;
}

void emit_add(cJSON *object, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    cJSON_AddRawToObject(object, name, text);
}

cJSON *emit_object(const char *name, uint64_t value)
{
    cJSON *object = cJSON_CreateObject();

    emit_add(object, name, value);
    return object;
}

void emit_add_hex(cJSON *object, const char *name, const uint8_t *bytes, size_t size)
{
    _cleanup_free_ char *text = malloc(2 * size + 1);

    if (!text)
        return;
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    text[2 * size] = '\0';
    cJSON_AddStringToObject(object, name, text);
}

static void add_time(cJSON *object, const struct timespec *when)
{
    struct tm local;
    char clock[16], whole[40];

    localtime_r(&when->tv_sec, &local);
    strftime(clock, sizeof(clock), "%H:%M:%S", &local);
    snprintf(whole, sizeof(whole), "%s.%03ld", clock, when->tv_nsec / 1000000);
    cJSON_AddStringToObject(object, "clock", whole);
    snprintf(whole, sizeof(whole), "%lld.%06ld", (long long)when->tv_sec, when->tv_nsec / 1000);
    cJSON_AddRawToObject(object, "time", whole);
}

void emit_add_time(cJSON *object)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    add_time(object, &now);
}

void emit_set_time(cJSON *object)
{
    double given = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, "time"));
    int64_t us = given > 0 && given < 1e17 ? (int64_t)given : 0;
    const struct timespec when = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    cJSON_DeleteItemFromObjectCaseSensitive(object, "time");
    add_time(object, &when);
}
