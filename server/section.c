/* SPDX-License-Identifier: MIT
 *
 * See section.h.
 */
#include "server/section.h"

#include <stdio.h>
#include <string.h>

#include "server/channel_state.h"

/* The words of the header that change, from its generation on. */
enum { COUNTS_SIZE = 32 };

static struct layout_header *header_of(const struct section *section)
{
    return (struct layout_header *)section->region;
}

static struct layout_mailbox *mailbox_of(const struct section *section, unsigned peer)
{
    return (struct layout_mailbox *)(section->region + sizeof(struct layout_header)) + peer;
}

static struct layout_channel *channel_of(const struct section *section, unsigned channel)
{
    uint64_t offset = layout_channel_offset(section->state->n_mailboxes);

    return (struct layout_channel *)(section->region + offset) + channel;
}

static uint32_t load(const layout_word *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static uint64_t load_long(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Writes words one by one: others look at them. */
static void store(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size / 4; i++)
        __atomic_store_n((layout_word *)to + i, ((const layout_word *)from)[i], __ATOMIC_RELAXED);
}

void section_describe(struct section *section)
{
    const struct channel_state *state = section->state;
    struct layout_header *header = &section->state->header;

    memset(header, 0, offsetof(struct layout_header, generation));
    header->magic = LAYOUT_MAGIC;
    header->version = LAYOUT_VERSION;
    header->header_size = sizeof(*header);
    header->region_size = state->region_size;
    header->instance = state->instance;
    header->n_mailboxes = state->n_mailboxes;
    header->mailbox_size = sizeof(struct layout_mailbox);
    header->mailbox_offset = sizeof(*header);
    header->channel_offset = layout_channel_offset(state->n_mailboxes);
    header->n_channels = state->n_channels;
    header->channel_size = sizeof(struct layout_channel);
    header->data_offset = layout_data_offset(state->n_mailboxes, state->n_channels);
    header->block_size = LAYOUT_BLOCK;
    header->control_mutex = header->reserved1 = 0;
    memset(header->reserved2, 0, sizeof(header->reserved2));
}

void section_clear(struct section *section)
{
    memset(section->region, 0,
           layout_data_offset(section->state->n_mailboxes, section->state->n_channels));
}

/* The magic comes last: who finds it finds the rest. */
void section_publish_all(struct section *section)
{
    struct layout_header *header = header_of(section), *ours = &section->state->header;

    for (unsigned i = 0; i < section->state->n_channels; i++)
        section_publish_entry(section, i);
    for (unsigned i = 0; i < section->state->n_mailboxes; i++) {
        section_publish_peer(section, i);
        section_publish_reply(section, i);
    }
    store(&header->version, &ours->version,
          offsetof(struct layout_header, generation) - offsetof(struct layout_header, version));
    section_publish_header(section);
    __atomic_store_n(&header->magic, ours->magic, __ATOMIC_RELEASE);
}

void section_publish_header(struct section *section)
{
    layout_publish(&header_of(section)->generation, &section->state->header.generation,
                   COUNTS_SIZE);
}

void section_publish_peer(struct section *section, unsigned peer)
{
    layout_publish(&mailbox_of(section, peer)->peer, &section->state->peers[peer].peer,
                   sizeof(struct layout_peer));
}

/* The number comes last, and says that the rest is there: the peer waits for it. */
void section_publish_reply(struct section *section, unsigned peer)
{
    struct layout_reply *reply = &mailbox_of(section, peer)->reply;
    const struct layout_reply *ours = &section->state->peers[peer].reply;

    store(&reply->request, &ours->request, sizeof(reply->request));
    store(&reply->status, &ours->status, sizeof(*reply) - offsetof(struct layout_reply, status));
    __atomic_store_n(&reply->number, ours->number, __ATOMIC_RELEASE);
}

void section_publish_entry(struct section *section, unsigned channel)
{
    layout_publish(&channel_of(section, channel)->entry, &section->state->rings[channel].entry,
                   sizeof(struct layout_entry));
}

void section_clear_request(struct section *section, unsigned peer)
{
    static const struct layout_request nothing;

    store(&mailbox_of(section, peer)->request, &nothing, sizeof(nothing));
}

void section_clear_lines(struct section *section, unsigned channel)
{
    static const struct layout_sender no_sender;
    static const struct layout_receiver no_receiver;

    store(&channel_of(section, channel)->sender, &no_sender, sizeof(no_sender));
    store(&channel_of(section, channel)->receiver, &no_receiver, sizeof(no_receiver));
}

void section_clear_ring(struct section *section, uint64_t offset)
{
    static const uint32_t nothing[2];

    store(section->region + offset, nothing, sizeof(nothing));
}

/* The acquire pairs with the peer's release of the number, its last store. */
bool section_load_request(const struct section *section, unsigned peer, uint32_t handled,
                          struct layout_request *request)
{
    const struct layout_request *theirs = &mailbox_of(section, peer)->request;
    layout_word *words = (layout_word *)request;

    words[0] = __atomic_load_n(&theirs->number, __ATOMIC_ACQUIRE);
    if (!words[0] || words[0] == handled)
        return false;
    for (size_t i = 1; i < sizeof(*request) / 4; i++)
        words[i] = load((const layout_word *)theirs + i);
    return true;
}

struct section_use section_load_use(const struct section *section, unsigned channel)
{
    const struct layout_channel *ends = channel_of(section, channel);

    return (struct section_use){
        .tail = load(&ends->sender.tail),
        .head = load(&ends->receiver.head),
        .head_touch = load(&ends->sender.head_touch),
        .bytes = load_long(&ends->sender.bytes),
        .messages = load_long(&ends->sender.messages),
    };
}

/* Return: the first word that differs, or -1. @ours may be NULL for zeros. */
static int compare(const void *theirs, const void *ours, size_t size)
{
    uint32_t different = 0;

    for (size_t i = 0; i < size / 4; i++)
        different |=
            load((const layout_word *)theirs + i) ^ (ours ? ((const layout_word *)ours)[i] : 0);
    for (size_t i = 0; different && i < size / 4; i++)
        if (load((const layout_word *)theirs + i) != (ours ? ((const layout_word *)ours)[i] : 0))
            return (int)i;
    return -1;
}

/* Counts what was found at @word; -1 is nothing. Return: whether something was. */
static bool note(struct section_damage *damage, enum section_part part, unsigned index, int word)
{
    if (word < 0)
        return false;
    if (!damage->blocks++) {
        damage->part = part;
        damage->index = index;
        damage->word = (unsigned)word;
    }
    return true;
}

void section_repair_header(struct section *section, struct section_damage *damage)
{
    struct layout_header *theirs = header_of(section), *ours = &section->state->header;
    const size_t fixed = offsetof(struct layout_header, generation);
    int word;

    if (note(damage, SECTION_HEADER, 0, compare(theirs, ours, fixed)))
        store(theirs, ours, fixed);
    word = compare(&theirs->generation, &ours->generation, COUNTS_SIZE);
    if (note(damage, SECTION_HEADER, 0, word < 0 ? word : word + (int)(fixed / 4)))
        section_publish_header(section);
}

void section_repair_peer(struct section *section, unsigned peer, struct section_damage *damage)
{
    struct layout_mailbox *theirs = mailbox_of(section, peer);
    const struct channel_peer *ours = &section->state->peers[peer];
    static const uint8_t nothing[sizeof(theirs->apart)] __attribute__((aligned(4)));

    if (note(damage, SECTION_MAILBOX, peer, compare(theirs->apart, NULL, sizeof(theirs->apart))))
        store(theirs->apart, nothing, sizeof(nothing));
    if (note(damage, SECTION_REPLY, peer,
             compare(&theirs->reply, &ours->reply, sizeof(ours->reply))))
        section_publish_reply(section, peer);
    if (note(damage, SECTION_PEER, peer, compare(&theirs->peer, &ours->peer, sizeof(ours->peer))))
        section_publish_peer(section, peer);
}

void section_repair_entry(struct section *section, unsigned channel, struct section_damage *damage)
{
    const struct layout_entry *ours = &section->state->rings[channel].entry;

    if (note(damage, SECTION_ENTRY, channel,
             compare(&channel_of(section, channel)->entry, ours, sizeof(*ours))))
        section_publish_entry(section, channel);
}

void section_repair_rest(struct section *section, struct section_damage *damage)
{
    const struct channel_state *state = section->state;
    struct layout_header *header = header_of(section);
    const size_t reserved = offsetof(struct layout_header, reserved2);
    uint8_t *rest = (uint8_t *)channel_of(section, state->n_channels);
    int word = compare(header->reserved2, NULL, sizeof(header->reserved2));
    size_t size =
        section->region + layout_data_offset(state->n_mailboxes, state->n_channels) - rest;

    if (note(damage, SECTION_HEADER, 0, word < 0 ? word : word + (int)(reserved / 4)))
        store(header->reserved2, state->header.reserved2, sizeof(header->reserved2));
    if (note(damage, SECTION_REST, 0, compare(rest, NULL, size)))
        for (size_t i = 0; i < size / 4; i++)
            __atomic_store_n((layout_word *)rest + i, 0, __ATOMIC_RELAXED);
}

/* Names of words, by place in their block; a name stands for all words up to the next. */
struct field {
    size_t offset;
    const char *name;
};

static const struct field header_fields[] = {
    {offsetof(struct layout_header, magic), "magic"},
    {offsetof(struct layout_header, version), "version"},
    {offsetof(struct layout_header, header_size), "header_size"},
    {offsetof(struct layout_header, region_size), "region_size"},
    {offsetof(struct layout_header, instance), "instance"},
    {offsetof(struct layout_header, n_mailboxes), "n_mailboxes"},
    {offsetof(struct layout_header, mailbox_size), "mailbox_size"},
    {offsetof(struct layout_header, mailbox_offset), "mailbox_offset"},
    {offsetof(struct layout_header, channel_offset), "channel_offset"},
    {offsetof(struct layout_header, n_channels), "n_channels"},
    {offsetof(struct layout_header, channel_size), "channel_size"},
    {offsetof(struct layout_header, data_offset), "data_offset"},
    {offsetof(struct layout_header, block_size), "block_size"},
    {offsetof(struct layout_header, reserved0), "reserved"},
    {offsetof(struct layout_header, generation), "generation"},
    {offsetof(struct layout_header, num_active_channel), "num_active_channel"},
    {offsetof(struct layout_header, control_mutex), "control_mutex"},
    {offsetof(struct layout_header, reserved1), "reserved"},
    {offsetof(struct layout_header, free_start_offset), "free_start_offset"},
    {offsetof(struct layout_header, free_bytes), "free_bytes"},
    {offsetof(struct layout_header, reserved2), "reserved"},
    {SIZE_MAX, NULL},
};

static const struct field reply_fields[] = {
    {offsetof(struct layout_reply, request), "request"},
    {offsetof(struct layout_reply, number), "number"},
    {offsetof(struct layout_reply, status), "status"},
    {offsetof(struct layout_reply, channel), "channel"},
    {offsetof(struct layout_reply, reserved), "reserved"},
    {SIZE_MAX, NULL},
};

static const struct field peer_fields[] = {
    {offsetof(struct layout_peer, generation), "generation"},
    {offsetof(struct layout_peer, present), "present"},
    {offsetof(struct layout_peer, session), "session"},
    {offsetof(struct layout_peer, events), "events"},
    {offsetof(struct layout_peer, speaks), "speaks"},
    {offsetof(struct layout_peer, vector), "vector"},
    {offsetof(struct layout_peer, pid), "pid"},
    {offsetof(struct layout_peer, uid), "uid"},
    {offsetof(struct layout_peer, n_vectors), "n_vectors"},
    {offsetof(struct layout_peer, reserved), "reserved"},
    {SIZE_MAX, NULL},
};

static const struct field entry_fields[] = {
    {offsetof(struct layout_entry, generation), "generation"},
    {offsetof(struct layout_entry, state), "state"},
    {offsetof(struct layout_entry, status), "status"},
    {offsetof(struct layout_entry, sender_vm), "sender_vm and receiver_vm"},
    {offsetof(struct layout_entry, sender_pid), "sender_pid"},
    {offsetof(struct layout_entry, port), "port"},
    {offsetof(struct layout_entry, flags), "flags"},
    {offsetof(struct layout_entry, pair), "pair"},
    {offsetof(struct layout_entry, first), "first"},
    {offsetof(struct layout_entry, sender_vector), "sender_vector and receiver_vector"},
    {offsetof(struct layout_entry, serial), "serial"},
    {offsetof(struct layout_entry, buff_offset), "buff_offset"},
    {offsetof(struct layout_entry, buff_size), "buff_size"},
    {offsetof(struct layout_entry, ring_generation), "ring_generation"},
    {offsetof(struct layout_entry, moving), "moving"},
    {offsetof(struct layout_entry, next_offset), "next_offset"},
    {offsetof(struct layout_entry, next_size), "next_size"},
    {offsetof(struct layout_entry, reserved), "reserved"},
    {SIZE_MAX, NULL},
};

static const struct field rest_fields[] = {{0, "unused"}, {SIZE_MAX, NULL}};

void section_damage_describe(const struct section_damage *damage, char *text, size_t size)
{
    static const struct {
        const char *what;
        const struct field *fields;
    } parts[] = {
        [SECTION_HEADER] = {"the header", header_fields},
        [SECTION_MAILBOX] = {"mailbox", rest_fields},
        [SECTION_REPLY] = {"the reply to peer", reply_fields},
        [SECTION_PEER] = {"peer", peer_fields},
        [SECTION_ENTRY] = {"channel", entry_fields},
        [SECTION_REST] = {"the end", rest_fields},
    };
    const struct field *field = parts[damage->part].fields;

    while (field[1].offset <= (size_t)damage->word * 4)
        field++;
    if (damage->part == SECTION_HEADER || damage->part == SECTION_REST)
        snprintf(text, size, "%s: %s", parts[damage->part].what, field->name);
    else
        snprintf(text, size, "%s %u: %s", parts[damage->part].what, damage->index, field->name);
}
