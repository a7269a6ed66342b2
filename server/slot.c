/* SPDX-License-Identifier: MIT
 *
 * See slot.h.
 */
#include "server/slot.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/parse.h"
#include "common/wire.h"

static bool is_slot_name(const char *name, size_t length)
{
    if (length < 1 || length > SLOT_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return false;
    return true;
}

int slot_parse(const char *text, struct slot *slot, struct failure *failure)
{
    const char *equals = strchr(text, '='), *colon = equals ? strchr(equals, ':') : NULL;
    struct slot parsed = {.name = NULL};
    char number[16] = "";
    size_t digits;
    uint64_t id;

    if (!equals || !is_slot_name(text, (size_t)(equals - text)))
        return failure_set(failure, EINVAL,
                           "'%s' is not NAME=ID[:SOCKET] (NAME: at most %d letters, digits, . _ -)",
                           text, SLOT_NAME_MAX);
    digits = colon ? (size_t)(colon - equals - 1) : strlen(equals + 1);
    if (digits < sizeof(number))
        memcpy(number, equals + 1, digits);
    if (parse_unsigned(number, 0, WIRE_ID_MAX, &id) < 0)
        return failure_set(failure, EINVAL, "the ID in '%s' is not a number from 0 to %d", text,
                           WIRE_ID_MAX);
    if (colon && !colon[1])
        return failure_set(failure, EINVAL, "the socket in '%s' is empty", text);
    parsed.id = (unsigned)id;
    parsed.name = strndup(text, (size_t)(equals - text));
    parsed.socket = colon ? strdup(colon + 1) : NULL;
    if (!parsed.name || (colon && !parsed.socket)) {
        slot_deinit(&parsed);
        return failure_set(failure, ENOMEM, "out of memory");
    }
    *slot = parsed;
    return 0;
}

void slot_deinit(struct slot *slot)
{
    free(slot->name);
    free(slot->socket);
    *slot = (struct slot){.name = NULL};
}

struct slot *slot_find(struct slot *slots, size_t count, const char *name, unsigned id)
{
    for (size_t i = 0; i < count; i++)
        if (slots[i].id == id || strcmp(slots[i].name, name) == 0)
            return &slots[i];
    return NULL;
}
