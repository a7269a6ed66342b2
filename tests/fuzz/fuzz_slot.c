/* SPDX-License-Identifier: MIT
 *
 * Values of the server's options: the first byte chooses the kind, the rest is the text.
 */
#include <errno.h>

#include "common/wire.h"
#include "server/config.h"
#include "server/config_values.h"
#include "tests/fuzz/fuzz.h"

static const struct option_spec kinds[] = {
    {.name = "slot", .set = set_slot},
    {.name = "shm-name", .set = set_shm_name, .offset = offsetof(struct config, shm_name)},
    {.name = "size", .set = set_size},
    {.name = "mode", .set = set_mode, .offset = offsetof(struct config, region.mode)},
    {.name = "owner", .set = set_user, .offset = offsetof(struct config, region.owner)},
    {.name = "group", .set = set_group, .offset = offsetof(struct config, region.group)},
    {.name = "log-level", .set = set_log_level},
    {.name = "vectors", .set = set_vectors},
    {.name = "max-peers", .set = set_unsigned, .offset = offsetof(struct config, access.max_peers)},
    {.name = "hugetlb", .set = set_hugetlb},
    {.name = "numa-node", .set = set_numa_node},
    {.name = "allow-uid", .set = set_allow_uid, .offset = offsetof(struct config, access)},
    {.name = "allow-gid", .set = set_allow_gid, .offset = offsetof(struct config, access)},
};

static void check_slot(const char *text)
{
    struct slot slot = {.name = NULL}, again = {.name = NULL};
    struct failure failure = {.text = ""};
    char line[256];
    int r = slot_parse(text, &slot, &failure);

    if (r < 0) {
        REQUIRE(r == -EINVAL && failure.text[0] && !slot.name && !slot.socket);
        return;
    }
    REQUIRE(slot.id <= WIRE_ID_MAX && slot.name && strlen(slot.name) <= SLOT_NAME_MAX);
    REQUIRE(slot.name[0] && !strchr(slot.name, '/') && !strchr(slot.name, '='));
    REQUIRE(!slot.socket || slot.socket[0]);
    REQUIRE(slot_find(&slot, 1, slot.name, slot.id + 1) == &slot);
    snprintf(line, sizeof(line), "%s=%u", slot.name, slot.id);
    REQUIRE(slot_parse(line, &again, NULL) == 0);
    REQUIRE(again.id == slot.id && strcmp(again.name, slot.name) == 0 && !again.socket);
    slot_deinit(&slot);
    slot_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config = {.help = false};
    struct failure failure = {.text = ""};
    const struct option_spec *kind;
    char *text;
    int r;

    if (size < 1)
        return 0;
    kind = &kinds[data[0] % (sizeof(kinds) / sizeof(kinds[0]))];
    text = copy_text(data + 1, size - 1);
    r = kind->set(&config, kind, text, &failure);
    REQUIRE(r == 0 || (r < 0 && failure.text[0]));
    if (kind->set == set_slot) {
        REQUIRE(config.n_slots == (r == 0));
        REQUIRE(r < 0 || kind->set(&config, kind, text, &failure) == -EEXIST); /* the same again */
        check_slot(text);
    }
    config_deinit(&config);
    free(text);
    return 0;
}
