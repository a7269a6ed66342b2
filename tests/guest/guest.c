/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine with nothing in it but ivshmem: it prints each interrupt together with the
 * message at the start of the shared memory, and takes commands on its serial port. No operating
 * system, boots in a second. Try it:
 *
 *   ivshmem-server -F -S /tmp/iv.sock -M iv -n 2 &
 *   qemu-system-x86_64 -accel tcg -m 32 -display none -nodefaults -no-reboot -serial stdio \
 *       -kernel build/tests/guest/guest.elf -chardev socket,path=/tmp/iv.sock,id=iv \
 *       -device ivshmem-doorbell,chardev=iv,vectors=2
 *
 * It says
 *
 *   ivshmem guest: peer ID 0, memory 4194304 bytes, 2 vectors
 *   ready
 *
 * when its interrupts are on (an earlier doorbell may be lost), and for each interrupt
 *
 *   received IRQ on vector 0 and full message: hello world
 *
 * The commands, one on a line, are those of the table at the end; type `help`. What they cannot do
 * they answer with a line that begins with `error: `. Every line is printed by the main loop, so
 * lines do not mix. Interrupts that come faster than lines can be printed are counted and share a
 * line; then a second line says how many they were.
 *
 * Where the server has channels (ivshmem-channels(7)), the guest talks through them: those commands
 * are in talk.c. Interrupts on the vector that they use are not reported.
 *
 * The other files: start.S and guest.ld (from the loader to C), serial (lines in and out, power
 * off), text (what stands in a line), pci and ivshmem (the device), interrupt (handlers, counts, a
 * timer), paging (reaches above 4 GiB), mailbox and channel (what talk.c needs).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu.h"
#include "interrupt.h"
#include "ivshmem.h"
#include "paging.h"
#include "serial.h"
#include "talk.h"
#include "text.h"

#define LINE_SIZE 1024 /* of a command, with its NUL */
#define TEXT_MAX  1024 /* bytes of shared memory that one line shows */

struct guest {
    struct ivshmem iv;
    struct talk talk;
    uint32_t reported[INTERRUPT_DOORBELLS]; /* for each vector, the count at its last line */
    char line[LINE_SIZE];
    size_t line_length; /* may be LINE_SIZE: the line was too long and is skipped to its end */
};

struct command {
    const char *name;
    const char *usage; /* what follows the name, and what it does */
    void (*run)(struct guest *guest, const char *arguments);
};

void guest_main(void);

/* The string at @offset, up to its NUL or TEXT_MAX bytes or the end of the memory. */
static void print_string(const struct ivshmem *iv, uint64_t offset)
{
    for (unsigned int i = 0; ivshmem_in_range(iv, offset + i, 1); i++) {
        uint8_t byte = ivshmem_get(iv, offset + i);

        if (byte == 0)
            return;
        if (i == TEXT_MAX) {
            serial_print("...");
            return;
        }
        serial_put_escaped(byte);
    }
}

static void print_identity(const struct ivshmem *iv)
{
    serial_print("ivshmem guest: peer ID %u, memory %llu bytes, %u vectors", iv->peer_id,
                 (unsigned long long)iv->memory_size, iv->vectors);
    if (iv->enabled < iv->vectors)
        serial_print(", the first %u enabled", iv->enabled);
    serial_print("\n");
}

static void report_interrupts(struct guest *guest)
{
    interrupt_clear_pending();
    for (unsigned int vector = 0; vector < guest->iv.enabled; vector++) {
        uint32_t fired = interrupt_count(vector) - guest->reported[vector];

        if (fired == 0)
            continue;
        guest->reported[vector] += fired;
        if (talk_uses(&guest->talk, vector))
            continue;
        serial_print("received IRQ on vector %u and full message: ", vector);
        print_string(&guest->iv, 0);
        serial_print("\n");
        if (fired > 1)
            serial_print("that line stands for %u interrupts on vector %u\n", fired, vector);
    }
    talk_attend(&guest->talk);
}

/* The optional @OFFSET before the other arguments. */
static bool parse_offset(const struct guest *guest, const char **text, uint64_t *offset)
{
    *offset = 0;
    if (**text != '@')
        return true;
    (*text)++;
    if (text_number(text, guest->iv.memory_size - 1, offset))
        return true;
    serial_print("error: bad offset, use 0 to %llu\n",
                 (unsigned long long)guest->iv.memory_size - 1);
    return false;
}

static void run_write(struct guest *guest, const char *text)
{
    bool terminate = *text != '@';
    uint64_t offset, length = 0;
    const char *at;
    uint8_t byte;

    if (!parse_offset(guest, &text, &offset))
        return;
    for (at = text; *at; length++) {
        if (!text_byte(&at, &byte)) {
            serial_print("error: bad escape, use \\xNN for a byte and \\\\ for a backslash\n");
            return;
        }
    }
    if (!ivshmem_in_range(&guest->iv, offset, length + terminate)) {
        serial_print("error: %llu bytes at %llu do not fit into %llu bytes of memory\n",
                     (unsigned long long)length + terminate, (unsigned long long)offset,
                     (unsigned long long)guest->iv.memory_size);
        return;
    }
    for (uint64_t i = 0; i < length && text_byte(&text, &byte); i++)
        ivshmem_put(&guest->iv, offset + i, byte);
    if (terminate)
        ivshmem_put(&guest->iv, length, 0);
    serial_print("wrote %llu bytes at %llu\n", (unsigned long long)length,
                 (unsigned long long)offset);
}

static void run_read(struct guest *guest, const char *text)
{
    uint64_t offset, length;

    if (!parse_offset(guest, &text, &offset))
        return;
    if (*text == '\0') {
        serial_print("read @%llu: ", (unsigned long long)offset);
        print_string(&guest->iv, offset);
        serial_print("\n");
        return;
    }
    if (!text_number(&text, TEXT_MAX, &length) || *text) {
        serial_print("error: bad length, use 0 to %u\n", TEXT_MAX);
        return;
    }
    if (!ivshmem_in_range(&guest->iv, offset, length)) {
        serial_print("error: %llu bytes at %llu reach past %llu bytes of memory\n",
                     (unsigned long long)length, (unsigned long long)offset,
                     (unsigned long long)guest->iv.memory_size);
        return;
    }
    serial_print("read @%llu: ", (unsigned long long)offset);
    for (uint64_t i = 0; i < length; i++)
        serial_put_escaped(ivshmem_get(&guest->iv, offset + i));
    serial_print("\n");
}

static void run_ring(struct guest *guest, const char *text)
{
    uint64_t peer, vector;

    if (!text_number(&text, UINT16_MAX, &peer)) {
        serial_print("error: bad peer, use 0 to %u\n", UINT16_MAX);
    } else if (!text_number(&text, UINT8_MAX, &vector) || *text) {
        /* Without KVM, QEMU would take 256 for 0: rather refuse than ring the wrong bell. */
        serial_print("error: bad vector, use 0 to %u\n", UINT8_MAX);
    } else {
        ivshmem_ring(&guest->iv, (uint16_t)peer, (uint16_t)vector);
        serial_print("rang peer %u vector %u\n", (unsigned int)peer, (unsigned int)vector);
    }
}

static void run_id(struct guest *guest, const char *text)
{
    (void)text;
    print_identity(&guest->iv);
}

static void run_counts(struct guest *guest, const char *text)
{
    (void)text;
    serial_print("interrupts:");
    for (unsigned int vector = 0; vector < guest->iv.enabled; vector++) {
        if (interrupt_count(vector))
            serial_print(" %u=%u", vector, interrupt_count(vector));
    }
    serial_print("\n");
}

static void run_quit(struct guest *guest, const char *text)
{
    (void)guest;
    (void)text;
    serial_print("bye\n");
    machine_off();
}

static void run_help(struct guest *guest, const char *text);

static const struct command commands[] = {
    {"write", " [@OFFSET] TEXT: TEXT and a NUL at offset 0, or at OFFSET just TEXT", run_write},
    {"read", " [@OFFSET [LENGTH]]: the string at OFFSET, or LENGTH bytes", run_read},
    {"ring", " PEER VECTOR: ring a peer's doorbell", run_ring},
    {"id", ": our peer ID, memory and vectors", run_id},
    {"counts", ": interrupts since boot, VECTOR=COUNT", run_counts},
    {"help", ": this list", run_help},
    {"halt", ": switch off", run_quit},
    {"quit", ": switch off", run_quit},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void run_help(struct guest *guest, const char *text)
{
    (void)guest;
    (void)text;
    for (size_t i = 0; i < COMMANDS; i++)
        serial_print("%s%s\n", commands[i].name, commands[i].usage);
    for (size_t i = 0; i < talk_commands_count; i++)
        serial_print("%s%s\n", talk_commands[i].name, talk_commands[i].usage);
}

/* If @line begins with the word @name, what follows it; else NULL. */
static const char *after_word(const char *line, const char *name)
{
    while (*name && *line == *name) {
        line++;
        name++;
    }
    return *name == '\0' && (*line == ' ' || *line == '\0') ? text_skip_spaces(line) : NULL;
}

static void run_line(struct guest *guest)
{
    const char *line = text_skip_spaces(guest->line);

    if (*line == '\0')
        return;
    for (size_t i = 0; i < COMMANDS; i++) {
        const char *arguments = after_word(line, commands[i].name);

        if (arguments) {
            commands[i].run(guest, arguments);
            return;
        }
    }
    for (size_t i = 0; i < talk_commands_count; i++) {
        const char *arguments = after_word(line, talk_commands[i].name);

        if (arguments) {
            talk_run(&guest->talk, &talk_commands[i], arguments);
            return;
        }
    }
    serial_print("error: unknown command, try help\n");
}

static void take_byte(struct guest *guest, char byte)
{
    if (byte != '\n' && byte != '\r') {
        if (guest->line_length < LINE_SIZE)
            guest->line[guest->line_length++] = byte;
        return;
    }
    if (guest->line_length == LINE_SIZE) {
        serial_print("error: a line has at most %u bytes\n", LINE_SIZE - 1);
    } else {
        guest->line[guest->line_length] = '\0';
        run_line(guest);
    }
    guest->line_length = 0;
}

/**
 * guest_main() - where start.S hands over: set everything up, then serve interrupts and commands
 * for ever
 */
void guest_main(void)
{
    static struct guest guest;
    const char *missing;

    serial_init();
    paging_init();
    interrupt_init();
    missing = ivshmem_init(&guest.iv);
    if (missing)
        machine_fail(missing);
    talk_init(&guest.talk, &guest.iv);
    print_identity(&guest.iv);
    serial_print("ready\n");

    for (;;) {
        cpu_interrupts_off();
        if (!interrupt_pending() && !serial_has_input())
            cpu_sleep();
        cpu_interrupts_on();
        if (interrupt_pending())
            report_interrupts(&guest);
        if (serial_has_input())
            take_byte(&guest, serial_read());
    }
}
