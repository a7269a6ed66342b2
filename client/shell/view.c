/* SPDX-License-Identifier: MIT
 *
 * The commands that look at the memory: read, hexdump, find and size.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/shell/hex.h"
#include "client/shell/span.h"
#include "client/shell/tool.h"
#include "common/cleanup.h"

typedef int piece_fn(struct tool *tool, void *context, uint64_t offset, const uint8_t *bytes,
                     size_t size);

/* Hands a part of the memory out, piece by piece. A positive return of @each ends it early. */
static int for_pieces(struct tool *tool, const struct span *span, piece_fn *each, void *context)
{
    _cleanup_free_ uint8_t *piece = malloc(SPAN_PIECE);

    if (!piece)
        return emit_error(&tool->emit, STATUS_USAGE, "no memory for a piece of it");
    for (uint64_t done = 0; done < span->length;) {
        size_t left = span->length - done < SPAN_PIECE ? (size_t)(span->length - done) : SPAN_PIECE;
        int r = ivshmem_read(tool->iv, span->offset + done, piece, left);

        if (r < 0)
            return tool_lost(tool, r);
        r = each(tool, context, span->offset + done, piece, left);
        if (r != 0)
            return r < 0 ? STATUS_USAGE : STATUS_DONE;
        done += left;
    }
    return STATUS_DONE;
}

/* --- read --- */

/* Where the bytes go: a stream, or gathered for an object of JSON. */
struct sink {
    FILE *out;
    bool hex, string, printable, gather;
    uint8_t *bytes;
    size_t size;
    struct progress progress;
    uint64_t done;
};

static int gather(struct sink *sink, const uint8_t *bytes, size_t size)
{
    uint8_t *more = realloc(sink->bytes, sink->size + size + 1);

    if (!more)
        return -ENOMEM;
    memcpy(more + sink->size, bytes, size);
    sink->bytes = more;
    sink->size += size;
    return 0;
}

static void print_bytes(const struct sink *sink, const uint8_t *bytes, size_t size)
{
    if (!sink->hex && !sink->printable) {
        fwrite(bytes, 1, size, sink->out);
        return;
    }
    for (size_t i = 0; i < size; i++)
        if (sink->hex)
            fprintf(sink->out, "%02x", bytes[i]);
        else
            fputc(iscntrl(bytes[i]) && !isspace(bytes[i]) ? '?' : bytes[i], sink->out);
}

static int take_piece(struct tool *tool, void *context, uint64_t offset, const uint8_t *bytes,
                      size_t size)
{
    struct sink *sink = context;
    const uint8_t *end = sink->string ? memchr(bytes, 0, size) : NULL;
    int r = 0;

    (void)offset;
    if (end)
        size = (size_t)(end - bytes);
    if (sink->gather)
        r = gather(sink, bytes, size);
    else
        print_bytes(sink, bytes, size);
    if (r < 0)
        emit_error(&tool->emit, STATUS_USAGE, "no memory for %zu bytes of JSON", sink->size);
    if (!sink->gather && ferror(sink->out))
        r = -errno;
    sink->done += size;
    progress_show(&sink->progress, sink->done);
    return r < 0 ? r : end != NULL;
}

static bool is_text(const uint8_t *bytes, size_t size)
{
    return emit_is_utf8(bytes, size) && !memchr(bytes, 0, size);
}

static void say_gathered(struct tool *tool, struct sink *sink, uint64_t offset)
{
    cJSON *object = emit_object("offset", offset);

    emit_add(object, "length", sink->size);
    if (sink->string && (!sink->size || is_text(sink->bytes, sink->size))) {
        if (sink->size)
            sink->bytes[sink->size] = '\0';
        cJSON_AddStringToObject(object, "text", sink->size ? (const char *)sink->bytes : "");
    } else {
        emit_add_hex(object, "hex", sink->bytes, sink->size);
    }
    emit(&tool->emit, object, NULL);
}

static int read_span(struct tool *tool, const struct arguments *given, const struct span *span,
                     FILE *out)
{
    struct sink sink = {
        .out = out,
        .hex = given->hex,
        .string = !given->hex && !given->raw,
        .printable = !given->raw && !given->file && isatty(STDOUT_FILENO),
        .gather = tool->emit.json && !given->file,
    };
    int status;

    if (tool->emit.quiet && !given->file)
        return STATUS_DONE;
    progress_begin(&sink.progress, "reading", given->file ? span->length : 0);
    status = for_pieces(tool, span, take_piece, &sink);
    progress_end(&sink.progress);
    if (status == STATUS_DONE && sink.gather)
        say_gathered(tool, &sink, span->offset);
    else if (status == STATUS_DONE && !given->raw && !given->file)
        fputc('\n', out);
    free(sink.bytes);
    return status;
}

static int run_read(struct tool *tool, struct arguments *given)
{
    struct span span;
    FILE *out = tool->emit.out;
    int status = span_of(tool, given, &span);

    if (status != STATUS_DONE)
        return status;
    if (given->file) {
        out = fopen(given->file, "we");
        if (!out)
            return emit_error(&tool->emit, STATUS_USAGE, "cannot open %s: %s", given->file,
                              strerror(errno));
    }
    status = read_span(tool, given, &span, out);
    if (given->file && fclose(out) != 0)
        status = emit_error(&tool->emit, STATUS_USAGE, "cannot write %s: %s", given->file,
                            strerror(errno));
    return status;
}

static int check_read(struct arguments *given, struct failure *failure)
{
    if (given->hex + given->raw + given->string > 1)
        return failure_set(failure, EINVAL, "--string, --hex and --raw exclude each other");
    return 0;
}

static const struct option_spec read_options[] = {
    {"offset", 'o', "SIZE", "where to begin [0]", argument_set_size, ARGUMENT(offset), 0},
    {"length", 'l', "SIZE", "how many bytes [up to the end]", argument_set_size, ARGUMENT(length),
     0},
    {"string", 's', NULL, "up to the first 0, as a line (this is the default)", option_set_switch,
     ARGUMENT(string), 0},
    {"hex", 'x', NULL, "all bytes, in hexadecimal", option_set_switch, ARGUMENT(hex), 0},
    {"raw", 'r', NULL, "all bytes as they are", option_set_switch, ARGUMENT(raw), 0},
    {"file", 'f', "PATH", "write them to a file", argument_set_text, ARGUMENT(file), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

/* --- hexdump --- */

static int dump_piece(struct tool *tool, void *context, uint64_t offset, const uint8_t *bytes,
                      size_t size)
{
    (void)tool;
    for (size_t at = 0; at < size; at += HEX_ROW)
        hex_row(context, offset + at, bytes + at, size - at < HEX_ROW ? size - at : HEX_ROW);
    return 0;
}

static int run_hexdump(struct tool *tool, struct arguments *given)
{
    struct hex hex = {.emit = &tool->emit, .all = given->all};
    struct span span;
    int status = span_of(tool, given, &span);

    if (status == STATUS_DONE)
        status = for_pieces(tool, &span, dump_piece, &hex);
    if (status == STATUS_DONE)
        hex_end(&hex, span.offset + span.length);
    return status;
}

static const struct option_spec hexdump_options[] = {
    {"offset", 'o', "SIZE", "where to begin [0]", argument_set_size, ARGUMENT(offset), 0},
    {"length", 'l', "SIZE", "how many bytes [up to the end]", argument_set_size, ARGUMENT(length),
     0},
    {"all", 'a', NULL, "also rows that are like the one before", option_set_switch, ARGUMENT(all),
     0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

/* --- find --- */

static int check_find(struct arguments *given, struct failure *failure)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    int r = 0;

    if ((given->count != 0) + (given->text != NULL) != 1)
        return failure_set(failure, EINVAL, "find what? a text, or --hex");
    if (given->text)
        r = argument_hex(given->text, &bytes, &size, failure);
    else
        size = strlen(given->words[0]);
    free(bytes);
    return r == 0 && size == 0 ? failure_set(failure, EINVAL, "an empty text is everywhere") : r;
}

static int search(struct tool *tool, const struct arguments *given, struct span span,
                  const uint8_t *bytes, size_t size)
{
    uint64_t wanted = given->all ? UINT64_MAX : given->times == NOT_GIVEN ? 1 : given->times;
    uint64_t found = 0, at = 0, end = span.offset + span.length;
    cJSON *object;
    char place[24];

    while (found < wanted) {
        int r = ivshmem_find(tool->iv, span.offset, end - span.offset, bytes, size, &at);

        if (r == -ENOENT)
            break;
        if (r < 0)
            return tool_lost(tool, r);
        found++;
        object = emit_object("offset", at);
        snprintf(place, sizeof(place), "0x%llx", (unsigned long long)at);
        cJSON_AddStringToObject(object, "place", place);
        emit(&tool->emit, object, "{place}\n");
        span.offset = at + 1;
    }
    if (found)
        return STATUS_DONE;
    return emit_error(&tool->emit, STATUS_NOT_FOUND, "it is not there");
}

static int run_find(struct tool *tool, struct arguments *given)
{
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t size = 0;
    struct span span;
    int status = span_of(tool, given, &span);

    if (status != STATUS_DONE)
        return status;
    if (given->text) {
        argument_hex(given->text, &bytes, &size, NULL);
        return search(tool, given, span, bytes, size);
    }
    return search(tool, given, span, (const uint8_t *)given->words[0], strlen(given->words[0]));
}

static const struct option_spec find_options[] = {
    {"offset", 'o', "SIZE", "where to begin [0]", argument_set_size, ARGUMENT(offset), 0},
    {"length", 'l', "SIZE", "how many bytes to look through\n[up to the end]", argument_set_size,
     ARGUMENT(length), 0},
    {"hex", 'x', "BYTES", "look for these, in hexadecimal", argument_set_text, ARGUMENT(text), 0},
    {"count", 'n', "N", "how many places to tell [1]", argument_set_count, ARGUMENT(times), 0},
    {"all", 'a', NULL, "tell all places", option_set_switch, ARGUMENT(all), 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

/* --- size --- */

static int run_size(struct tool *tool, struct arguments *given)
{
    cJSON *result = NULL, *object;
    const cJSON *region;
    int status;

    if (tool_needs_place(tool, given)) {
        object = emit_object("size", ivshmem_memory_size(tool->iv));
        cJSON_AddBoolToObject(object, "sealed", ivshmem_memory_sealed(tool->iv) > 0);
        emit(&tool->emit, object, "{size}\n");
        return STATUS_DONE;
    }
    status = tool_query(tool, "Status", NULL, &result);
    if (status != STATUS_DONE)
        return status;
    region = cJSON_GetObjectItemCaseSensitive(result, "region");
    object = emit_object(
        "size", (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(region, "size")));
    cJSON_AddBoolToObject(object, "sealed",
                          cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(region, "sealed")));
    cJSON_Delete(result);
    emit(&tool->emit, object, "{size}\n");
    return STATUS_DONE;
}

const struct command view_commands[] = {
    {
        .name = "read",
        .forms = {{"", "print a text from the memory, or bytes of it"}},
        .options = read_options,
        .needs = NEEDS_MEMORY,
        .check = check_read,
        .run = run_read,
    },
    {
        .name = "hexdump",
        .forms = {{"", "show the memory, or a part, as hexdump -C does"}},
        .options = hexdump_options,
        .needs = NEEDS_MEMORY,
        .run = run_hexdump,
    },
    {
        .name = "find",
        .forms = {{"<text>", "tell where a text is in the memory"}},
        .details = "If it is not there, the exit status is 3.",
        .options = find_options,
        .needs = NEEDS_MEMORY,
        .most = 1,
        .check = check_find,
        .run = run_find,
    },
    {
        .name = "size",
        .forms = {{"", "tell the size of the memory in bytes"}},
        .needs = NEEDS_EITHER,
        .flags = COMMAND_MEMORY,
        .run = run_size,
    },
    {.name = NULL},
};
