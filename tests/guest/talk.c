/* SPDX-License-Identifier: MIT */
/*
 * See talk.h. A command that waits sleeps; any key but Enter ends it. There is one connection at a
 * time. Besides single messages there are streams, so that a test can send many and large ones
 * through a serial line that is slow: byte I of message M is (31 * M + 7 * I + I / 256) % 256.
 */
#include "talk.h"

#include "common/crc32c.h"
#include "serial.h"
#include "text.h"

#define SIZE_DEFAULT 16384 /* of a ring */
#define TEXT_MAX     1024  /* bytes of a message that are shown */

static const char bad_number[] = "bad number, try help";

static uint8_t buffer[4096];

/**
 * talk_init() - before any other call
 * @talk: all zero; filled in
 * @iv: the device
 */
void talk_init(struct talk *talk, const struct ivshmem *iv)
{
    talk->iv = iv;
    talk->channel.mailbox = &talk->mailbox;
}

/**
 * talk_uses() - are interrupts on a vector ours?
 * @talk: any
 * @vector: any
 */
bool talk_uses(const struct talk *talk, unsigned int vector)
{
    return talk->mailbox.speaks && talk->mailbox.vector == vector;
}

/**
 * talk_attend() - there was an interrupt
 * @talk: any
 */
void talk_attend(struct talk *talk)
{
    channel_attend(&talk->channel);
}

static const char *ask(struct talk *talk, const struct layout_request *request)
{
    uint32_t status = mailbox_ask(&talk->mailbox, request);

    return status == LAYOUT_OK ? NULL : mailbox_status(status);
}

static const char *hello(struct talk *talk, uint32_t vector)
{
    const struct layout_request request = {.operation = LAYOUT_HELLO, .vector = vector};
    const char *wrong = ask(talk, &request);

    if (wrong)
        return wrong;
    talk->channel.is_open = false;
    talk->mailbox.vector = vector;
    talk->mailbox.speaks = true;
    return NULL;
}

static const char *run_hello(struct talk *talk, const char *text)
{
    const char *wrong;
    uint64_t vector;

    if (!text_number(&text, talk->iv->enabled - 1, &vector) || *text)
        return bad_number;
    wrong = hello(talk, (uint32_t)vector);
    if (!wrong)
        serial_print("hello on vector %u\n", (unsigned int)vector);
    return wrong;
}

static void print_entry(uint32_t number, const struct layout_entry *entry)
{
    static const char *const states[] = {"free", "offered", "open", "closed"};

    serial_print("channel %u: %s, peer %u to peer %u, port %u, ring of %llu bytes, moved %u times",
                 number, entry->state < 4 ? states[entry->state] : "unknown", entry->sender_vm,
                 entry->receiver_vm, entry->port, (unsigned long long)entry->buff_size,
                 entry->ring_generation);
    if (entry->state == LAYOUT_CLOSED)
        serial_print(": %s", mailbox_status(entry->status));
    serial_print("\n");
}

static const char *run_channels(struct talk *talk, const char *text)
{
    const struct layout_header *header = &talk->mailbox.header;
    struct layout_entry entry;
    uint32_t active = 0;

    (void)text;
    for (uint32_t i = 0; i < header->n_channels; i++) {
        if (!mailbox_entry(&talk->mailbox, i, &entry) || entry.state == LAYOUT_FREE)
            continue;
        print_entry(i, &entry);
        active++;
    }
    serial_print("%u of %u channels in use, %u mailboxes, rings from byte %llu to %llu\n", active,
                 header->n_channels, header->n_mailboxes, (unsigned long long)header->data_offset,
                 (unsigned long long)header->region_size);
    return NULL;
}

static const char *run_listen(struct talk *talk, const char *text)
{
    struct layout_request request = {.operation = LAYOUT_LISTEN};
    const char *wrong;
    uint64_t port;

    if (!text_number(&text, UINT32_MAX, &port) || *text)
        return bad_number;
    request.port = (uint32_t)port;
    wrong = ask(talk, &request);
    if (!wrong)
        serial_print("listening on port %u\n", request.port);
    return wrong;
}

static const char *print_connection(const struct talk *talk, const char *wrong)
{
    const struct channel *channel = &talk->channel;

    if (!wrong)
        serial_print("channel %u with peer %u, port %u: sends through %llu bytes, receives through "
                     "%llu\n",
                     channel->first, channel->peer, channel->port,
                     channel->out.exists ? (unsigned long long)channel->out.size : 0,
                     channel->in.exists ? (unsigned long long)channel->in.size : 0);
    return wrong;
}

static const char *run_connect(struct talk *talk, const char *text)
{
    struct layout_request request = {.operation = LAYOUT_CONNECT};
    uint64_t peer, port, size = SIZE_DEFAULT, reverse, flags = 0;

    if (!text_number(&text, UINT16_MAX, &peer) || !text_number(&text, UINT32_MAX, &port) ||
        (*text && !text_number(&text, LAYOUT_RING_MAX, &size)))
        return bad_number;
    reverse = size;
    if ((*text && !text_number(&text, LAYOUT_RING_MAX, &reverse)) ||
        (*text && !text_number(&text, UINT32_MAX, &flags)) || *text)
        return bad_number;
    if (talk->channel.is_open)
        return "there is a connection already";
    request.peer = (uint32_t)peer;
    request.port = (uint32_t)port;
    request.size = size;
    request.reverse_size = reverse;
    request.flags = (uint32_t)flags;
    return print_connection(talk, channel_connect(&talk->channel, &request));
}

static const char *run_accept(struct talk *talk, const char *text)
{
    uint64_t port = 0;

    if ((*text && !text_number(&text, UINT32_MAX, &port)) || *text)
        return bad_number;
    if (talk->channel.is_open)
        return "there is a connection already";
    return print_connection(talk, channel_accept(&talk->channel, (uint32_t)port));
}

static const char *run_refuse(struct talk *talk, const char *text)
{
    const char *wrong;
    uint64_t port = 0;

    if ((*text && !text_number(&text, UINT32_MAX, &port)) || *text)
        return bad_number;
    wrong = channel_refuse(&talk->channel, (uint32_t)port);
    if (!wrong)
        serial_print("refused\n");
    return wrong;
}

static const char *run_send(struct talk *talk, const char *text)
{
    const char *wrong;
    uint32_t length = 0;

    while (*text) { /* a line is shorter than the buffer */
        if (!text_byte(&text, &buffer[length++]))
            return "bad escape, use \\xNN for a byte and \\\\ for a backslash";
    }
    wrong = channel_send(&talk->channel, buffer, length, false);
    channel_flush(&talk->channel);
    if (!wrong)
        serial_print("sent %u bytes\n", length);
    return wrong;
}

static const char *run_recv(struct talk *talk, const char *text)
{
    static uint8_t start[TEXT_MAX];
    uint32_t length, total = 0;
    bool more = true;

    (void)text;
    while (more) {
        const char *wrong = channel_receive(&talk->channel, buffer, sizeof(buffer), &length, &more);

        if (wrong)
            return wrong;
        for (uint32_t i = 0; i < length && total + i < TEXT_MAX; i++)
            start[total + i] = buffer[i];
        total += length;
    }
    serial_print("received %u bytes: ", total);
    for (uint32_t i = 0; i < total && i < TEXT_MAX; i++)
        serial_put_escaped(start[i]);
    serial_print(total > TEXT_MAX ? "...\n" : "\n");
    return NULL;
}

static const char *run_stream(struct talk *talk, const char *text)
{
    uint64_t count, size;

    if (!text_number(&text, UINT32_MAX, &count) || !text_number(&text, UINT32_MAX, &size) || *text)
        return bad_number;
    for (uint32_t m = 0; m < count; m++) {
        uint32_t done = 0;

        do {
            uint32_t length = (uint32_t)size - done;
            const char *wrong;

            if (length > sizeof(buffer))
                length = sizeof(buffer);
            for (uint32_t i = 0; i < length; i++)
                buffer[i] = (uint8_t)(31 * m + 7 * (done + i) + (done + i) / 256);
            done += length;
            wrong = channel_send(&talk->channel, buffer, length, done < size);
            if (wrong)
                return wrong;
        } while (done < size);
    }
    channel_flush(&talk->channel);
    serial_print("streamed %u messages\n", (unsigned int)count);
    return NULL;
}

static const char *run_sum(struct talk *talk, const char *text)
{
    uint32_t crc = 0, bytes = 0, length;
    uint64_t count;

    if (!text_number(&text, UINT32_MAX, &count) || *text)
        return bad_number;
    for (uint32_t m = 0; m < count;) {
        const char *wrong;
        bool more;

        wrong = channel_receive(&talk->channel, buffer, sizeof(buffer), &length, &more);
        if (wrong)
            return wrong;
        crc = crc32c(crc, buffer, length);
        bytes += length;
        m += !more;
    }
    serial_print("summed %u messages, %u bytes, CRC-32C %u\n", (unsigned int)count, bytes, crc);
    return NULL;
}

static const char *run_echo(struct talk *talk, const char *text)
{
    uint64_t count;

    if (!text_number(&text, UINT32_MAX, &count) || *text)
        return bad_number;
    for (uint32_t m = 0; m < count;) {
        const char *wrong;
        uint32_t length;
        bool more;

        wrong = channel_receive(&talk->channel, buffer, sizeof(buffer), &length, &more);
        if (!wrong)
            wrong = channel_send(&talk->channel, buffer, length, more);
        if (wrong)
            return wrong;
        m += !more;
    }
    channel_flush(&talk->channel);
    serial_print("echoed %u messages\n", (unsigned int)count);
    return NULL;
}

static const char *run_close(struct talk *talk, const char *text)
{
    const char *wrong = channel_close(&talk->channel);

    (void)text;
    if (!wrong)
        serial_print("closed\n");
    return wrong;
}

const struct talk_command talk_commands[] = {
    {"channels", ": what the server says of its channels", run_channels, false},
    {"hello", " VECTOR: be rung there from now on, without any channel", run_hello, false},
    {"listen", " PORT: let others connect", run_listen, true},
    {"connect", " PEER PORT [SIZE [REVERSE [FLAGS]]]: rings of so many bytes", run_connect, true},
    {"accept", " [PORT]: wait for a connection", run_accept, true},
    {"refuse", " [PORT]: wait for a connection, and say no", run_refuse, true},
    {"send", " TEXT: a message", run_send, true},
    {"recv", ": wait for a message and show it", run_recv, true},
    {"stream", " COUNT SIZE: send so many messages of so many bytes", run_stream, true},
    {"sum", " COUNT: receive so many messages, and tell the sum of their bytes", run_sum, true},
    {"echo", " COUNT: receive so many messages, and send them back", run_echo, true},
    {"close", ": end the connection", run_close, true},
};

const size_t talk_commands_count = sizeof(talk_commands) / sizeof(talk_commands[0]);

/**
 * talk_run() - carry out a command
 * @talk: any
 * @command: of the table
 * @arguments: what follows its name
 */
void talk_run(struct talk *talk, const struct talk_command *command, const char *arguments)
{
    const char *wrong = NULL;

    if (!talk->found) {
        wrong = mailbox_init(&talk->mailbox, talk->iv);
        talk->found = !wrong;
    }
    if (!wrong && command->speaks && !talk->mailbox.speaks)
        wrong = hello(talk, 0);
    if (!wrong)
        wrong = command->run(talk, arguments);
    if (wrong)
        serial_print("error: %s\n", wrong);
}
