/* SPDX-License-Identifier: MIT */
/*
 * See mailbox.h. Nothing that lies in the shared memory is believed: the header is copied and
 * checked once, the daemon's blocks are copied whole, and places are checked before anybody points
 * there.
 */
#include "mailbox.h"

#include "cpu.h"
#include "interrupt.h"
#include "paging.h"
#include "serial.h"

#define POLL_MS 50 /* how often the answer is looked for without an interrupt */

/* Words of others' are loaded once, into memory of ours. */
static void load(void *to, const void *from, uint32_t size)
{
    for (uint32_t i = 0; i < size / 4; i++)
        ((layout_word *)to)[i] = __atomic_load_n((const layout_word *)from + i, __ATOMIC_RELAXED);
}

/* Do so many things of so many bytes lie between the header and the rings? */
static bool table_fits(const struct layout_header *header, uint64_t offset, uint32_t count,
                       uint32_t size)
{
    return offset >= sizeof(*header) && offset % LAYOUT_APART == 0 &&
           offset <= header->data_offset && (uint64_t)count * size <= header->data_offset - offset;
}

static const char *check_header(const struct mailbox *mailbox)
{
    const struct layout_header *header = &mailbox->header;

    if (header->magic != LAYOUT_MAGIC)
        return "there are no channels in this memory: start the server with --channels";
    if (header->version != LAYOUT_VERSION || header->header_size != sizeof(*header) ||
        header->mailbox_size != sizeof(struct layout_mailbox) ||
        header->channel_size != sizeof(struct layout_channel) || header->block_size != LAYOUT_BLOCK)
        return "channels of a version that this guest does not know";
    if (header->n_mailboxes == 0 || header->n_mailboxes > LAYOUT_MAILBOXES_MAX ||
        header->n_channels == 0 || header->n_channels > LAYOUT_CHANNELS_MAX ||
        header->region_size > mailbox->iv->memory_size ||
        header->data_offset > header->region_size ||
        !table_fits(header, header->mailbox_offset, header->n_mailboxes, header->mailbox_size) ||
        !table_fits(header, header->channel_offset, header->n_channels, header->channel_size))
        return "the header of the channels cannot be true";
    if (header->data_offset > mailbox->reach)
        return "the tables of the channels are out of reach";
    if (mailbox->iv->peer_id >= header->n_mailboxes)
        return "this guest has no mailbox";
    return NULL;
}

/**
 * mailbox_init() - find the section and check it
 * @mailbox: filled in
 * @iv: the device
 *
 * Return: NULL, or what is wrong.
 */
const char *mailbox_init(struct mailbox *mailbox, const struct ivshmem *iv)
{
    const char *wrong;

    mailbox->iv = iv;
    mailbox->reach = iv->memory_size;
    mailbox->memory = paging_view(iv->memory, &mailbox->reach);
    if (mailbox->reach < sizeof(mailbox->header))
        return "the memory is too small for channels";
    load(&mailbox->header, mailbox->memory, sizeof(mailbox->header));
    wrong = check_header(mailbox);
    if (wrong)
        return wrong;
    mailbox->own =
        (struct layout_mailbox *)(mailbox->memory + mailbox->header.mailbox_offset) + iv->peer_id;
    /* A number that is there already would not be a new request. */
    mailbox->number = __atomic_load_n(&mailbox->own->reply.number, __ATOMIC_RELAXED);
    return NULL;
}

/**
 * mailbox_status() - what an enum layout_status means, in words
 * @status: any number
 */
const char *mailbox_status(uint32_t status)
{
    static const char *const words[] = {
        [LAYOUT_OK] = "done",
        [LAYOUT_BAD_REQUEST] = "bad request",
        [LAYOUT_NO_PEER] = "no such peer",
        [LAYOUT_NO_LISTENER] = "the peer does not listen on that port",
        [LAYOUT_NO_CHANNEL] = "no such channel",
        [LAYOUT_NO_SPACE] = "no space for the rings",
        [LAYOUT_NO_ENTRY] = "no more channels",
        [LAYOUT_OVER_QUOTA] = "over quota",
        [LAYOUT_PORT_IN_USE] = "port in use",
        [LAYOUT_REFUSED] = "refused",
        [LAYOUT_TIMED_OUT] = "the peer did not answer",
        [LAYOUT_PEER_CLOSED] = "the peer has closed",
        [LAYOUT_PEER_GONE] = "the peer is gone",
        [LAYOUT_IDLE] = "idle for too long",
        [LAYOUT_SERVER_CLOSED] = "closed by the server",
    };

    if (status == MAILBOX_STOPPED)
        return "stopped by a key";
    return status < sizeof(words) / sizeof(words[0]) ? words[status] : "no known reason";
}

/**
 * mailbox_events() - differs when something has changed in a channel of ours
 * @mailbox: the mailbox
 */
uint32_t mailbox_events(const struct mailbox *mailbox)
{
    return __atomic_load_n(&mailbox->own->peer.events, __ATOMIC_ACQUIRE);
}

/**
 * mailbox_words() - where the words of a channel lie
 * @mailbox: the mailbox
 * @channel: below n_channels
 */
struct layout_channel *mailbox_words(const struct mailbox *mailbox, uint32_t channel)
{
    return (struct layout_channel *)(mailbox->memory + mailbox->header.channel_offset) + channel;
}

/**
 * mailbox_entry() - what the daemon says of a channel
 * @mailbox: the mailbox
 * @channel: any number
 * @entry: our copy
 *
 * Return: false if there is no such channel, or somebody writes there all the time.
 */
bool mailbox_entry(const struct mailbox *mailbox, uint32_t channel, struct layout_entry *entry)
{
    return channel < mailbox->header.n_channels &&
           layout_snapshot(entry, &mailbox_words(mailbox, channel)->entry, sizeof(*entry));
}

/**
 * mailbox_ring_at() - where a ring lies
 * @mailbox: the mailbox
 * @offset: as an entry says
 * @size: likewise
 *
 * Return: NULL if no ring can lie there, or out of this guest's reach.
 */
uint8_t *mailbox_ring_at(const struct mailbox *mailbox, uint64_t offset, uint64_t size)
{
    const struct layout_header *header = &mailbox->header;

    if (offset < header->data_offset || offset % LAYOUT_BLOCK || size < LAYOUT_BLOCK ||
        size > LAYOUT_RING_MAX || size % LAYOUT_BLOCK || offset > header->region_size ||
        size > header->region_size - offset || offset + size > mailbox->reach)
        return NULL;
    return mailbox->memory + (uint32_t)offset;
}

/**
 * mailbox_bell() - ring somebody, for what was written before
 * @mailbox: the mailbox
 * @peer: whom
 * @vector: where
 */
void mailbox_bell(const struct mailbox *mailbox, uint32_t peer, uint32_t vector)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    ivshmem_ring(mailbox->iv, (uint16_t)peer, (uint16_t)vector);
}

/**
 * mailbox_post() - ask for something, and do not wait for the answer
 * @mailbox: free
 * @request: but for its number
 */
void mailbox_post(struct mailbox *mailbox, const struct layout_request *request)
{
    struct layout_request *theirs = &mailbox->own->request;

    mailbox->asked = *request;
    mailbox->number += mailbox->number == UINT32_MAX ? 2 : 1; /* 0 is none */
    mailbox->asked.number = mailbox->number;
    for (uint32_t i = 1; i < sizeof(*theirs) / 4; i++)
        __atomic_store_n((layout_word *)theirs + i, ((layout_word *)&mailbox->asked)[i],
                         __ATOMIC_RELAXED);
    __atomic_store_n(&theirs->number, mailbox->number, __ATOMIC_RELEASE);
    mailbox_bell(mailbox, mailbox->header.n_mailboxes, 0);
}

/**
 * mailbox_is_free() - take the answer if it is there; asks again if somebody overwrote the question
 * @mailbox: the mailbox
 *
 * Return: true if nothing is under way.
 */
bool mailbox_is_free(struct mailbox *mailbox)
{
    const struct layout_reply *theirs = &mailbox->own->reply;
    struct layout_request asked = mailbox->asked;
    bool same = true;

    if (asked.number == 0)
        return true;
    if (__atomic_load_n(&theirs->number, __ATOMIC_ACQUIRE) != asked.number)
        return false;
    load(&mailbox->answer, theirs, sizeof(*theirs));
    for (uint32_t i = 0; i < sizeof(asked) / 4; i++)
        same = same && ((layout_word *)&mailbox->answer.request)[i] == ((layout_word *)&asked)[i];
    if (!same) {
        mailbox_post(mailbox, &asked);
        return false;
    }
    mailbox->asked.number = 0;
    return true;
}

/* Waits for the answer to what is under way. False: a key was pressed. */
static bool wait_until_free(struct mailbox *mailbox)
{
    for (;;) {
        uint32_t seen = mailbox_rings(mailbox);

        if (mailbox_is_free(mailbox))
            return true;
        if (!mailbox_nap(mailbox, seen, POLL_MS))
            return false;
    }
}

/**
 * mailbox_ask() - ask for something and wait for the answer, which is in @mailbox->answer then
 * @mailbox: the mailbox
 * @request: but for its number
 *
 * Return: enum layout_status, or MAILBOX_STOPPED.
 */
uint32_t mailbox_ask(struct mailbox *mailbox, const struct layout_request *request)
{
    if (!wait_until_free(mailbox))
        return MAILBOX_STOPPED;
    mailbox_post(mailbox, request);
    return wait_until_free(mailbox) ? mailbox->answer.status : MAILBOX_STOPPED;
}

/**
 * mailbox_rings() - how often this guest was rung on its vector
 * @mailbox: the mailbox
 */
uint32_t mailbox_rings(const struct mailbox *mailbox)
{
    return interrupt_count(mailbox->vector);
}

/* Was a key pressed? Enter does not count. */
static bool key_pressed(void)
{
    while (serial_has_input()) {
        char key = serial_read();

        if (key != '\n' && key != '\r')
            return true;
    }
    return false;
}

/**
 * mailbox_nap() - sleep until the doorbell rings
 * @mailbox: the mailbox
 * @seen: what mailbox_rings() said before the last look at the memory
 * @ms: at most so long, 1 to 50; 0 for ever
 *
 * Return: false if a key was pressed.
 */
bool mailbox_nap(const struct mailbox *mailbox, uint32_t seen, unsigned int ms)
{
    if (ms)
        interrupt_timer(ms);
    for (;;) {
        cpu_interrupts_off();
        if (mailbox_rings(mailbox) == seen && !(ms && interrupt_timer_is_over()) &&
            !serial_has_input())
            cpu_sleep();
        cpu_interrupts_on();
        if (key_pressed())
            return false;
        if (mailbox_rings(mailbox) != seen || (ms && interrupt_timer_is_over()))
            return true;
    }
}

/**
 * mailbox_wait_entry() - what the daemon says of a channel, even if it was killed while writing it
 * @mailbox: the mailbox
 * @channel: any number
 * @entry: our copy
 *
 * Return: false if there is no such channel, or a key was pressed.
 */
bool mailbox_wait_entry(const struct mailbox *mailbox, uint32_t channel, struct layout_entry *entry)
{
    if (channel >= mailbox->header.n_channels)
        return false;
    while (!mailbox_entry(mailbox, channel, entry)) {
        if (!mailbox_nap(mailbox, mailbox_rings(mailbox), POLL_MS))
            return false;
    }
    return true;
}
