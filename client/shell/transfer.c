/* SPDX-License-Identifier: MIT
 *
 * The commands write and fill. What does not fit is an error before anything is written: the size
 * of the memory never changes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/shell/ring.h"
#include "client/shell/source.h"
#include "client/shell/span.h"
#include "client/shell/tool.h"
#include "common/cleanup.h"

/* --- write --- */

/* The words: the text, unless it comes from elsewhere, then the vector of --ring. */
static int check_write(struct arguments *given, struct failure *failure)
{
    const int texts = !given->file && !given->text, expected = texts + (given->ring != NULL);
    struct bells bells;
    uint8_t *bytes = NULL;
    size_t size;

    if (given->file && given->text)
        return failure_set(failure, EINVAL, "--file and --hex exclude each other");
    if (given->text && argument_hex(given->text, &bytes, &size, failure) < 0)
        return -EINVAL;
    free(bytes);
    if (given->count < texts)
        return failure_set(failure, EINVAL, "write what? a text, -, --file or --hex");
    if (given->count > expected)
        return failure_set(failure, EINVAL, "write: '%s' is too much; quote a word with blanks",
                           given->words[expected]);
    if (!given->ring)
        return given->wait_peer < 0 ? 0 : failure_set(failure, EINVAL, "--wait-peer needs --ring");
    if (given->count < expected && strcmp(given->ring, "all") != 0)
        return failure_set(failure, EINVAL, "--ring %s: which vector? --ring PEER VECTOR",
                           given->ring);
    if (bells_parse(&bells, given->ring, given->count == expected ? given->words[texts] : NULL,
                    failure) < 0)
        return -EINVAL;
    return bells_check_wait(given, &bells, failure);
}

/* Copies what there is. Return: enum status. */
static int copy_in(struct tool *tool, const struct source *source, uint64_t offset, uint64_t size)
{
    _cleanup_free_ uint8_t *piece = malloc(SPAN_PIECE);
    struct failure failure = {.text = "no memory for a piece of it"};
    struct progress progress;
    uint64_t done = 0;
    int status = STATUS_DONE;

    progress_begin(&progress, "writing", size);
    while (status == STATUS_DONE && done < size) {
        size_t part = size - done < SPAN_PIECE ? (size_t)(size - done) : SPAN_PIECE;
        int r;

        if (!piece || source_read(source, done, piece, part, &failure) < 0) {
            status = emit_error(&tool->emit, STATUS_USAGE, "%s", failure.text);
            break;
        }
        r = ivshmem_write(tool->iv, offset + done, piece, part);
        if (r < 0)
            status = tool_lost(tool, r);
        done += part;
        progress_show(&progress, done);
    }
    progress_end(&progress);
    return status;
}

/* Those of --ring. */
static struct bells bells_of(const struct arguments *given)
{
    struct bells bells;
    bool named = !given->file && !given->text;

    bells_parse(&bells, given->ring, given->count > named ? given->words[named] : NULL, NULL);
    return bells;
}

static int ring_after(struct tool *tool, const struct arguments *given)
{
    struct bells bells = bells_of(given);
    uint64_t rung = 0;

    return bells_ring(tool, &bells, &rung);
}

/* Nothing is to be written, or read from a pipe, for somebody who is not there. */
static bool reader_is_there(struct tool *tool, const struct arguments *given, int *status)
{
    struct bells bells = bells_of(given);

    if (!bells_await(tool, given, &bells, status))
        return false;
    *status = bells_find(tool, &bells);
    return *status == STATUS_DONE;
}

static int put(struct tool *tool, const struct arguments *given, const struct span *span,
               const struct source *source)
{
    uint64_t whole = source->size + source->extra, size = source->size, end;
    cJSON *object;
    int status, r = 0;

    if (whole > span->length && !given->truncate)
        return emit_error(&tool->emit, STATUS_USAGE,
                          "%s%llu bytes are too many: %llu fit at offset %llu (--truncate cuts)",
                          source->cut ? "at least " : "", (unsigned long long)whole,
                          (unsigned long long)span->length, (unsigned long long)span->offset);
    if (size > span->length - (source->extra && span->length))
        size = span->length - (source->extra && span->length);
    status = copy_in(tool, source, span->offset, size);
    if (status != STATUS_DONE)
        return status;
    end = span->offset + size + (span->length ? source->extra : 0);
    if (given->pad != NOT_GIVEN)
        r = ivshmem_fill(tool->iv, span->offset + size, span->length - size, 0);
    else if (end > span->offset + size)
        r = ivshmem_fill(tool->iv, span->offset + size, 1, 0);
    if (r < 0)
        return tool_lost(tool, r);
    if (given->ring)
        status = ring_after(tool, given);
    object = emit_object("offset", span->offset);
    emit_add(object, "written", size);
    emit_add(object, "left_out", source->size - size);
    emit(&tool->emit, object, NULL);
    return status;
}

static bool reads_input(const struct arguments *given)
{
    return strcmp(given->file ? given->file : given->text ? "" : given->words[0], "-") == 0;
}

static int run_write(struct tool *tool, struct arguments *given)
{
    struct failure failure = {.text = ""};
    struct source source;
    struct span span;
    int status = span_of(tool, given, &span);

    if (status != STATUS_DONE)
        return status;
    if (reads_input(given) && settings_commands_are_input(tool->settings))
        return emit_error(&tool->emit, STATUS_USAGE,
                          "write -: standard input has the commands; use --file or --hex");
    if (given->ring && !reader_is_there(tool, given, &status))
        return status;
    if (source_open(&source, given, span.length, &failure) < 0)
        status = emit_error(&tool->emit, STATUS_USAGE, "%s", failure.text);
    else
        status = put(tool, given, &span, &source);
    source_close(&source);
    return status;
}

static int set_pad(void *config, const struct option_spec *spec, const char *value,
                   struct failure *failure)
{
    (void)spec;
    (void)value;
    (void)failure;
    ((struct arguments *)config)->pad = 0;
    return 0;
}

static bool write_needs_peers(const struct arguments *given)
{
    return given->ring != NULL;
}

static const struct option_spec write_options[] = {
    {"offset", 'o', "SIZE", "where to begin [0]", argument_set_size, ARGUMENT(offset), 0},
    {"length", 'l', "SIZE", "how many bytes there is room for\n[up to the end]", argument_set_size,
     ARGUMENT(length), 0},
    {"file", 'f', "PATH", "the data; - is standard input", argument_set_text, ARGUMENT(file), 0},
    {"hex", 'x', "BYTES", "the data in hexadecimal", argument_set_text, ARGUMENT(text), 0},
    {"nul", 'z', NULL, "a 0 behind the data, as guests in C like it", option_set_switch,
     ARGUMENT(nul), 0},
    {"pad", 'p', NULL, "clear the rest of the room", set_pad, 0, 0},
    {"truncate", 0, NULL, "leave out what does not fit", option_set_switch, ARGUMENT(truncate), 0},
    {"ring", 'r', "PEER", "ring afterwards: --ring PEER VECTOR", argument_set_text, ARGUMENT(ring),
     0},
    {"wait-peer", 0, "SECONDS", "if that peer is not there, wait so long for it\nfirst",
     argument_set_seconds, ARGUMENT(wait_peer), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

/* --- fill --- */

static int check_fill(struct arguments *given, struct failure *failure)
{
    uint64_t byte;

    return argument_number(given->words[0], "the byte", 255, &byte, failure);
}

static int run_fill(struct tool *tool, struct arguments *given)
{
    struct span span;
    uint64_t byte = 0;
    int status = span_of(tool, given, &span), r;
    cJSON *object;

    if (status != STATUS_DONE)
        return status;
    argument_number(given->words[0], "the byte", 255, &byte, NULL);
    r = ivshmem_fill(tool->iv, span.offset, span.length, (uint8_t)byte);
    if (r < 0)
        return tool_lost(tool, r);
    object = emit_object("offset", span.offset);
    emit_add(object, "filled", span.length);
    emit(&tool->emit, object, NULL);
    return STATUS_DONE;
}

static const struct option_spec fill_options[] = {
    {"offset", 'o', "SIZE", "where to begin [0]", argument_set_size, ARGUMENT(offset), 0},
    {"length", 'l', "SIZE", "how many bytes [up to the end]", argument_set_size, ARGUMENT(length),
     0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

const struct command transfer_commands[] = {
    {
        .name = "write",
        .forms = {{"<text>|-", "write a text or standard input into the memory"}},
        .details = "The size of the memory never changes: more data than fit are an error, and\n"
                   "so is a peer of --ring that is not there; nothing is written then.",
        .options = write_options,
        .needs = NEEDS_MEMORY,
        .most = 2,
        .check = check_write,
        .before = bells_await_outside,
        .needs_place = write_needs_peers,
        .run = run_write,
    },
    {
        .name = "fill",
        .forms = {{"<byte>", "set bytes of the memory to a value"}},
        .options = fill_options,
        .needs = NEEDS_MEMORY,
        .least = 1,
        .most = 1,
        .check = check_fill,
        .run = run_fill,
    },
    {.name = NULL},
};
