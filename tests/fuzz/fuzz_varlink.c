/* SPDX-License-Identifier: MIT
 *
 * A hostile client of the control socket: a stream of bytes, cut into pieces whose length the first
 * byte gives. Whatever is taken for a call can be sent back in a reply that is JSON and UTF-8.
 */
#include <errno.h>

#include "server/varlink.h"
#include "tests/fuzz/fuzz.h"

/* Return: how deep the objects and arrays of an item are nested. */
static int depth_of(const cJSON *item)
{
    int deepest = 0;

    for (const cJSON *child = item->child; child; child = child->next)
        if (depth_of(child) > deepest)
            deepest = depth_of(child);
    return deepest + (cJSON_IsObject(item) || cJSON_IsArray(item));
}

static void check_reply(char *text, const char *method)
{
    struct varlink_call call;
    cJSON *parsed;
    const cJSON *item;
    char *clean;

    REQUIRE(text);
    parsed = cJSON_ParseWithOpts(text, NULL, true);
    REQUIRE(parsed);
    item = cJSON_GetObjectItemCaseSensitive(parsed, "parameters");
    item = cJSON_GetObjectItemCaseSensitive(item, "method");
    REQUIRE(cJSON_IsString(item) && strcmp(item->valuestring, method) == 0);
    clean = strdup(text);
    REQUIRE(clean);
    varlink_clean(clean);
    REQUIRE(strcmp(clean, text) == 0);
    REQUIRE(varlink_call_parse(text, &call) == -EPROTO); /* sane, and no call */
    free(clean);
    free(text);
    cJSON_Delete(parsed);
}

static void check_message(const char *message)
{
    char *text = copy_text((const uint8_t *)message, strlen(message));
    struct varlink_call call;
    unsigned number = 77;
    cJSON *parameters;
    int r = varlink_call_parse(text, &call);

    if (r < 0) {
        REQUIRE((r == -EBADMSG || r == -EPROTO) && !call.message);
    } else {
        REQUIRE(call.message && call.method && call.more + call.oneway + call.upgrade <= 1);
        REQUIRE(depth_of(call.message) <= VARLINK_DEPTH_MAX);
        REQUIRE(!call.parameters || cJSON_IsObject(call.parameters));
        r = varlink_get_integer(call.parameters, "peer", 70, &number);
        REQUIRE(r == 1 ? number <= 70 : (r == 0 || r == -EINVAL) && number == 77);
        parameters = cJSON_CreateObject();
        varlink_add_text(parameters, "method", call.method);
        check_reply(varlink_error("org.varlink.service.MethodNotFound", parameters), call.method);
    }
    varlink_call_deinit(&call);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct varlink_reader *reader = malloc(sizeof(*reader));
    size_t step, at = 1, used = 1;

    REQUIRE(reader);
    reader->start = reader->seen = reader->have = 0;
    step = size ? data[0] + 1u : 1;
    while (at < size) {
        const char *text;
        size_t room;
        char *to = varlink_reader_room(reader, &room);
        size_t count = size - at < step ? size - at : step;
        int r;

        REQUIRE(room > 0);
        count = count < room ? count : room;
        memcpy(to, data + at, count);
        reader->have += count;
        at += count;
        while ((r = varlink_reader_next(reader, &text)) > 0) {
            REQUIRE(memcmp(text, data + used, strlen(text) + 1) == 0);
            used += strlen(text) + 1;
            check_message(text);
        }
        if (r < 0) {
            REQUIRE(r == -EMSGSIZE);
            break;
        }
        REQUIRE(varlink_reader_pending(reader) == (used < at));
    }
    free(reader);
    return 0;
}
