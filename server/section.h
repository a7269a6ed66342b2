/* SPDX-License-Identifier: MIT
 *
 * The control section in the shared memory: publishes the daemon's records there and puts back
 * what others wrote over them.
 *
 * Everything that the daemon writes to the region, and everything that it reads there, goes through
 * here. What is read is loaded once, into a copy: it can change at any time. A peer's own words
 * (its request, the lines of its ends of a ring) are never repaired: they are its own to spoil.
 */
#ifndef IVSHMEM_SECTION_H
#define IVSHMEM_SECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/layout.h"

struct channel_state;

/**
 * struct section - where the section lies and what it shall say
 * @region: where the region is mapped
 * @state:  the records that are published, with the generations of the blocks; not owned
 */
struct section {
    uint8_t *region;
    struct channel_state *state;
};

/** enum section_part - what was written to */
enum section_part {
    SECTION_HEADER,
    SECTION_MAILBOX, /* the space in a mailbox that nobody uses */
    SECTION_REPLY,
    SECTION_PEER,
    SECTION_ENTRY,
    SECTION_REST, /* the space behind the last channel */
};

/**
 * struct section_damage - what was found and put back
 * @blocks: how many blocks, all told
 * @part:   the kind of the first that was found
 * @index:  which of them: a peer ID or a channel
 * @word:   its first wrong word
 */
struct section_damage {
    unsigned blocks;
    enum section_part part;
    unsigned index;
    unsigned word;
};

/**
 * struct section_use - what a ring's ends say of its use: hints, any of them can be a lie
 * @tail:       as in struct layout_sender
 * @head:       as in struct layout_receiver
 * @head_touch: as in struct layout_sender, like the rest
 * @bytes:      .
 * @messages:   .
 */
struct section_use {
    uint32_t tail, head, head_touch;
    uint64_t bytes, messages;
};

/**
 * section_describe() - put the header's record together from the rest of the state
 * @section: its state has version, numbers, sizes and instance
 *
 * The words that change (how many channels, what is free) stay as they are.
 */
void section_describe(struct section *section);

/** section_clear() - make everything before the rings zero, peers' words too: a new section */
void section_clear(struct section *section);

/** section_publish_all() - write every block, whatever is there; peers' own words stay */
void section_publish_all(struct section *section);

/** section_publish_header() - the words of the header that change */
void section_publish_header(struct section *section);

/** section_publish_peer() - who has an ID, and its events */
void section_publish_peer(struct section *section, unsigned peer);

/** section_publish_reply() - the answer to a peer's request */
void section_publish_reply(struct section *section, unsigned peer);

/** section_publish_entry() - what a channel is */
void section_publish_entry(struct section *section, unsigned channel);

/** section_clear_request() - empty the mailbox of somebody who has not got it yet */
void section_clear_request(struct section *section, unsigned peer);

/** section_clear_lines() - clear the sender's and receiver's lines of a channel nobody has yet */
void section_clear_lines(struct section *section, unsigned channel);

/** section_clear_ring() - no record is in the ring at @offset, which nobody has yet */
void section_clear_ring(struct section *section, uint64_t offset);

/**
 * section_load_request() - what stands in a peer's mailbox
 * @section: the section
 * @peer:    whose
 * @handled: number of the request that was carried out last
 * @request: set to a copy; any value can be in it
 *
 * Return: false when there is no new request.
 */
bool section_load_request(const struct section *section, unsigned peer, uint32_t handled,
                          struct layout_request *request);

/** section_load_use() - what the ends of a channel say of its use */
struct section_use section_load_use(const struct section *section, unsigned channel);

/** section_repair_header() - put the words of the header back that are wrong; adds to @damage */
void section_repair_header(struct section *section, struct section_damage *damage);

/** section_repair_peer() - likewise the daemon's words in a mailbox */
void section_repair_peer(struct section *section, unsigned peer, struct section_damage *damage);

/** section_repair_entry() - likewise a channel's entry */
void section_repair_entry(struct section *section, unsigned channel, struct section_damage *damage);

/** section_repair_rest() - likewise the space behind the header's words and the last channel */
void section_repair_rest(struct section *section, struct section_damage *damage);

/**
 * section_damage_describe() - say in words what was hit first
 * @damage: some was found
 * @text:   filled in: "channel 3: buff_offset"
 * @size:   its bytes
 */
void section_damage_describe(const struct section_damage *damage, char *text, size_t size);

#endif
