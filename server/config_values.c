/* SPDX-License-Identifier: MIT
 *
 * See config_values.h.
 */
#include "server/config_values.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/wire.h"
#include "server/config.h"

enum { NUMA_NODES_MAX = 1024, SECONDS_MAX = 1000000 };

static void *member(void *config, const struct option_spec *spec)
{
    return (char *)config + spec->offset;
}

static int out_of_memory(struct failure *failure)
{
    return failure_set(failure, ENOMEM, "out of memory");
}

int set_unsigned(void *config, const struct option_spec *spec, const char *value,
                 struct failure *failure)
{
    uint64_t number;

    if (parse_unsigned(value, 0, INT_MAX, &number) < 0)
        return failure_set(failure, EINVAL, "'%s' is not a number from 0 to %d", value, INT_MAX);
    *(unsigned *)member(config, spec) = (unsigned)number;
    return 0;
}

int set_seconds(void *config, const struct option_spec *spec, const char *value,
                struct failure *failure)
{
    uint64_t number;

    if (parse_unsigned(value, 1, SECONDS_MAX, &number) < 0)
        return failure_set(failure, EINVAL, "'%s' is not a number of seconds from 1 to %d", value,
                           SECONDS_MAX);
    *(unsigned *)member(config, spec) = (unsigned)number;
    return 0;
}

int set_bytes(void *config, const struct option_spec *spec, const char *value,
              struct failure *failure)
{
    if (parse_size(value, member(config, spec)) < 0)
        return failure_set(failure, EINVAL,
                           "'%s' is not a size: use 65536, 64k, 1.5M (suffix b k M G T P E)",
                           value);
    return 0;
}

int set_mode(void *config, const struct option_spec *spec, const char *value,
             struct failure *failure)
{
    char *end;
    unsigned long mode = strtoul(value, &end, 8);

    if (*value < '0' || *value > '7' || *end || mode > 0777)
        return failure_set(failure, EINVAL, "'%s' is not an octal mode from 0 to 0777", value);
    *(mode_t *)member(config, spec) = (mode_t)mode;
    return 0;
}

/* Knows the names of users or of groups. Return: whether there is that one. */
typedef bool look_up_fn(const char *name, uint32_t *id);

static bool look_up_user(const char *name, uint32_t *id)
{
    const struct passwd *entry = getpwnam(name);

    if (entry)
        *id = entry->pw_uid;
    return entry;
}

static bool look_up_group(const char *name, uint32_t *id)
{
    const struct group *entry = getgrnam(name);

    if (entry)
        *id = entry->gr_gid;
    return entry;
}

static int find_id(const char *name, look_up_fn *look_up, uint32_t *id, struct failure *failure)
{
    uint64_t number;

    if (parse_unsigned(name, 0, UINT32_MAX - 1, &number) == 0)
        *id = (uint32_t)number;
    else if (!look_up(name, id))
        return failure_set(failure, EINVAL, "there is no %s '%s'",
                           look_up == look_up_user ? "user" : "group", name);
    return 0;
}

/* Adds a list of names to at most ACCESS_IDS_MAX that are there. */
static int add_ids(const char *names, look_up_fn *look_up, uint32_t *ids, size_t *count,
                   struct failure *failure)
{
    _cleanup_free_ char *list = strdup(names);
    char *rest = list, *name;
    int r = list ? 0 : out_of_memory(failure);

    while (r == 0 && (name = strsep(&rest, ","))) {
        if (*count == ACCESS_IDS_MAX)
            return failure_set(failure, E2BIG, "more than %d of them", ACCESS_IDS_MAX);
        r = find_id(name, look_up, &ids[*count], failure);
        *count += r == 0;
    }
    return r;
}

int set_user(void *config, const struct option_spec *spec, const char *value,
             struct failure *failure)
{
    return find_id(value, look_up_user, member(config, spec), failure);
}

int set_group(void *config, const struct option_spec *spec, const char *value,
              struct failure *failure)
{
    return find_id(value, look_up_group, member(config, spec), failure);
}

int set_allow_uid(void *config, const struct option_spec *spec, const char *value,
                  struct failure *failure)
{
    struct access *access = member(config, spec);

    return add_ids(value, look_up_user, access->uids, &access->n_uids, failure);
}

int set_allow_gid(void *config, const struct option_spec *spec, const char *value,
                  struct failure *failure)
{
    struct access *access = member(config, spec);

    return add_ids(value, look_up_group, access->gids, &access->n_gids, failure);
}

int set_log_level(void *config, const struct option_spec *spec, const char *value,
                  struct failure *failure)
{
    (void)spec;
    if (log_level_parse(value, &((struct config *)config)->log_level) < 0)
        return failure_set(failure, EINVAL, "'%s' is none of error, warning, notice, info, debug",
                           value);
    return 0;
}

int set_vectors(void *config, const struct option_spec *spec, const char *value,
                struct failure *failure)
{
    uint64_t number;

    (void)spec;
    if (parse_unsigned(value, 1, WIRE_VECTORS_MAX, &number) < 0)
        return failure_set(failure, EINVAL, "'%s' is not a number of vectors from 1 to %d", value,
                           WIRE_VECTORS_MAX);
    ((struct config *)config)->n_vectors = (unsigned)number;
    return 0;
}

/* A number of things in the control section. */
static int set_count(unsigned *count, unsigned max, const char *of_what, const char *value,
                     struct failure *failure)
{
    uint64_t number;

    if (parse_unsigned(value, 1, max, &number) < 0)
        return failure_set(failure, EINVAL, "'%s' is not a number of %s from 1 to %u", value,
                           of_what, max);
    *count = (unsigned)number;
    return 0;
}

int set_mailboxes(void *config, const struct option_spec *spec, const char *value,
                  struct failure *failure)
{
    (void)spec;
    return set_count(&((struct config *)config)->channels.n_mailboxes, LAYOUT_MAILBOXES_MAX,
                     "mailboxes", value, failure);
}

int set_channels(void *config, const struct option_spec *spec, const char *value,
                 struct failure *failure)
{
    (void)spec;
    return set_count(&((struct config *)config)->channels.n_channels, LAYOUT_CHANNELS_MAX,
                     "channels", value, failure);
}

int set_slot(void *config, const struct option_spec *spec, const char *value,
             struct failure *failure)
{
    struct config *target = config;
    const struct slot *other;
    struct slot slot, *slots;
    int r = slot_parse(value, &slot, failure);

    (void)spec;
    if (r < 0)
        return r;
    other = slot_find(target->slots, target->n_slots, slot.name, slot.id);
    if (other || target->n_slots == SLOTS_MAX) {
        slot_deinit(&slot);
        if (!other)
            return failure_set(failure, E2BIG, "more than %d slots", SLOTS_MAX);
        return failure_set(failure, EEXIST, "'%s' has the name or the ID of slot %s=%u", value,
                           other->name, other->id);
    }
    slots = reallocarray(target->slots, target->n_slots + 1, sizeof(*slots));
    if (!slots) {
        slot_deinit(&slot);
        return out_of_memory(failure);
    }
    target->slots = slots;
    target->slots[target->n_slots++] = slot;
    return 0;
}

int set_shm_name(void *config, const struct option_spec *spec, const char *value,
                 struct failure *failure)
{
    int r = region_name_check(value, failure);

    return r < 0 ? r : option_set_string(config, spec, value + (*value == '/'), failure);
}

/* Memory is mapped by pages: less than one is rounded up to one. */
int set_size(void *config, const struct option_spec *spec, const char *value,
             struct failure *failure)
{
    uint64_t size, page = (uint64_t)sysconf(_SC_PAGESIZE);
    int r = parse_size(value, &size);

    (void)spec;
    if (r == 0 && size > 0)
        r = round_up_power_of_two(size < page ? page : size, &size);
    if (r == -ERANGE)
        return failure_set(failure, EINVAL, "'%s' is more than 4E (2^62 bytes)", value);
    if (r < 0 || size == 0)
        return failure_set(failure, EINVAL,
                           "'%s' is not a size: use 4194304, 0x400000, 4M, 1.5G "
                           "(suffix b k M G T P E), more than 0",
                           value);
    ((struct config *)config)->region.size = size;
    return 0;
}

int set_no_reserve(void *config, const struct option_spec *spec, const char *value,
                   struct failure *failure)
{
    bool off;
    const struct option_spec to_off = {.name = spec->name};
    int r = option_set_switch(&off, &to_off, value, failure);

    ((struct config *)config)->region.reserve = !off;
    return r;
}

int set_hugetlb(void *config, const struct option_spec *spec, const char *value,
                struct failure *failure)
{
    struct region_setup *region = &((struct config *)config)->region;

    (void)spec;
    region->hugetlb = true;
    if (value &&
        (parse_size(value, &region->huge_page) < 0 || !is_power_of_two(region->huge_page) ||
         region->huge_page <= (uint64_t)sysconf(_SC_PAGESIZE)))
        return failure_set(failure, EINVAL, "'%s' is not a size of huge pages, like 2M or 1G",
                           value);
    return 0;
}

int set_numa_node(void *config, const struct option_spec *spec, const char *value,
                  struct failure *failure)
{
    uint64_t node;

    (void)spec;
    if (parse_unsigned(value, 0, NUMA_NODES_MAX - 1, &node) < 0)
        return failure_set(failure, EINVAL, "'%s' is not a node from 0 to %d", value,
                           NUMA_NODES_MAX - 1);
    ((struct config *)config)->region.numa_node = (int)node;
    return 0;
}

int set_control(void *config, const struct option_spec *spec, const char *value,
                struct failure *failure)
{
    struct config *target = config;
    char *path = NULL;

    (void)spec;
    if (!*value)
        return failure_set(failure, EINVAL, "the value is empty");
    target->no_control = strcmp(value, "none") == 0;
    if (!target->no_control) {
        path = strdup(value);
        if (!path)
            return out_of_memory(failure);
    }
    free(target->control_socket);
    target->control_socket = path;
    return 0;
}
