/* SPDX-License-Identifier: MIT
 *
 * Varlink, the protocol of the control socket (varlink.org): calls and replies are JSON objects,
 * each ended by a NUL byte.
 *
 * Pure logic: no socket and no event loop. What a client sends is a stranger's text: it is bounded
 * in size, and its nesting, its UTF-8 and its escapes are checked before the JSON library sees it,
 * so that every string in a parsed call is whole, valid UTF-8, and can be sent back.
 */
#ifndef IVSHMEM_VARLINK_H
#define IVSHMEM_VARLINK_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VARLINK_MESSAGE_MAX = 65536, /* bytes of one call, its NUL included */
    VARLINK_DEPTH_MAX = 16,      /* objects and arrays inside each other */
};

/**
 * struct varlink_reader - cuts a stream of bytes into messages
 * @bytes: what has come
 * @start: where the first message that was not handed out begins
 * @seen:  there is no NUL between @start and this
 * @have:  how many bytes there are
 *
 * Starts as {.have = 0}.
 */
struct varlink_reader {
    size_t start, seen, have;
    char bytes[VARLINK_MESSAGE_MAX];
};

/**
 * varlink_reader_room() - where the next bytes of the stream go
 * @reader: the reader; messages that it handed out are gone afterwards
 * @room:   set to how many bytes there is room for
 *
 * Add what was put there to @reader->have.
 */
char *varlink_reader_room(struct varlink_reader *reader, size_t *room);

/**
 * varlink_reader_next() - the next message
 * @reader: the reader
 * @text:   set to the message, a string that holds until varlink_reader_room() is called
 *
 * Return: 1, 0 when none is complete, or -EMSGSIZE when there is one of more than
 * VARLINK_MESSAGE_MAX bytes.
 */
int varlink_reader_next(struct varlink_reader *reader, const char **text);

/** varlink_reader_pending() - whether there are bytes that were not handed out */
static inline bool varlink_reader_pending(const struct varlink_reader *reader)
{
    return reader->have > reader->start;
}

/**
 * struct varlink_call - what a client asks for
 * @message:    the whole message, owned; the others point into it
 * @method:     full name of the method
 * @parameters: object of its parameters, NULL when there is none
 * @more:       several replies are welcome
 * @oneway:     no reply is wanted
 * @upgrade:    another protocol is to follow
 */
struct varlink_call {
    cJSON *message;
    const char *method;
    const cJSON *parameters;
    bool more, oneway, upgrade;
};

/**
 * varlink_call_parse() - read a call
 * @text: the message
 * @call: filled in; give it to varlink_call_deinit()
 *
 * Return: 0, -EBADMSG when it is not JSON or nested too deeply, -EPROTO when it is JSON and no
 * call.
 */
int varlink_call_parse(const char *text, struct varlink_call *call);

/** varlink_call_deinit() - forget a call */
void varlink_call_deinit(struct varlink_call *call);

/**
 * varlink_reply() - put a reply into words
 * @parameters: object, consumed; NULL for none
 * @continues:  another reply to the same call will follow
 *
 * Return: the text without a newline, to be free()d, or NULL when there is no memory.
 */
char *varlink_reply(cJSON *parameters, bool continues);

/**
 * varlink_error() - put an error into words
 * @name:       full name of the error
 * @parameters: object, consumed; NULL for none
 *
 * Return: as varlink_reply().
 */
char *varlink_error(const char *name, cJSON *parameters);

/**
 * varlink_add_integer() - add an integer to an object
 * @object: the object
 * @name:   name of the member
 * @value:  written out digit by digit: JSON numbers of the library are floating-point
 */
void varlink_add_integer(cJSON *object, const char *name, uint64_t value);

/**
 * varlink_add_text() - add a string that may be anything to an object
 * @object: the object
 * @name:   name of the member
 * @text:   the string; bytes that are no UTF-8 become '?'. NULL adds nothing.
 */
void varlink_add_text(cJSON *object, const char *name, const char *text);

/**
 * varlink_get_integer() - read an integer of an object
 * @object: the object; NULL has no member
 * @name:   name of the member
 * @max:    largest value that is accepted; 0 is the smallest
 * @value:  set to it; left alone when it is not there
 *
 * Return: 1, 0 when it is not there or null, or -EINVAL when it is not such an integer.
 */
int varlink_get_integer(const cJSON *object, const char *name, unsigned max, unsigned *value);

/**
 * varlink_get_size() - read a number of bytes, which can be larger than an integer
 * @object: the object; NULL has no member
 * @name:   name of the member
 * @max:    largest value that is accepted, at most 2^53: numbers of the library are floating-point
 * @value:  set to it; left alone when it is not there
 *
 * Return: as varlink_get_integer().
 */
int varlink_get_size(const cJSON *object, const char *name, uint64_t max, uint64_t *value);

/**
 * varlink_clean() - make a string fit for JSON, in place
 * @text: bytes that are no UTF-8 become '?'
 */
void varlink_clean(char *text);

#endif
