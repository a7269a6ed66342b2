/* SPDX-License-Identifier: MIT
 *
 * An outbox: datagrams for a receiver that may be slow, or gone, and is never waited for.
 *
 * Messages leave in order. What the receiver does not take at once is queued; a receiver that is
 * gone (ECONNREFUSED) is tried again every second. server/notify.h says what is sent with it.
 */
#ifndef IVSHMEM_OUTBOX_H
#define IVSHMEM_OUTBOX_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

/**
 * struct message - a datagram that waits
 * @link:  place in the queue
 * @text:  what it says, owned
 * @fd:    descriptor to go with it, -1 for none
 * @owned: the descriptor is closed with the message
 */
struct message {
    TAILQ_ENTRY(message) link;
    char *text;
    int fd;
    bool owned;
};

TAILQ_HEAD(messages, message);

/**
 * typedef outbox_gone_fn - the receiver is not there (any more)
 * @argument: what outbox_init() was given
 *
 * May drop messages, and must not post any.
 */
typedef void outbox_gone_fn(void *argument);

/**
 * struct outbox - see above
 * @queue:    what was not sent yet; to be read and searched by the owner
 * @n_fds:    how many messages of the queue come with a descriptor
 * @sock:     connected to the receiver, for only then can it be polled for room there
 * @address:  of the receiver, @length bytes
 * @gone:     nobody is there; the retry timer is running
 * @writable: event: the receiver takes something again
 * @retry:    event: time to try again
 */
struct outbox {
    struct messages queue;
    size_t n_fds;
    int sock;
    struct sockaddr_un address;
    socklen_t length;
    bool gone;
    struct event *writable, *retry;
    outbox_gone_fn *on_gone;
    void *argument;
};

/**
 * outbox_init() - make a socket and connect it
 * @outbox:   filled in; give it to outbox_deinit(), also after an error
 * @base:     event loop
 * @address:  of the receiver
 * @length:   bytes of it
 * @on_gone:  called when the receiver was lost, and each time it was not found again
 * @argument: for @on_gone
 *
 * Return: 0, also when nobody is there; -ENOMEM, or a negative errno of socket(2).
 */
int outbox_init(struct outbox *outbox, struct event_base *base, const struct sockaddr_un *address,
                socklen_t length, outbox_gone_fn *on_gone, void *argument);

/** outbox_deinit() - forget everything; zeroes will do for an outbox that was never made */
void outbox_deinit(struct outbox *outbox);

/**
 * message_new() - make a message
 * @text:  copied
 * @fd:    descriptor to go with it, -1 for none
 * @owned: closed with the message, though not when this fails
 *
 * Return: the message, or NULL without memory.
 */
struct message *message_new(const char *text, int fd, bool owned);

/** message_free() - takes NULL */
void message_free(struct message *message);

/**
 * outbox_post() - send a message, now or as soon as it goes
 * @outbox:  the outbox
 * @message: owned by the outbox
 */
void outbox_post(struct outbox *outbox, struct message *message);

/**
 * outbox_hurry() - send a message before those that wait
 * @outbox:  the outbox
 * @message: owned by the outbox
 */
void outbox_hurry(struct outbox *outbox, struct message *message);

/** outbox_drop() - take back a message of the queue, and free it */
void outbox_drop(struct outbox *outbox, struct message *message);

/**
 * outbox_reach() - find out whether the receiver is there, and call on_gone if not
 * @outbox: the outbox
 */
bool outbox_reach(struct outbox *outbox);

/** outbox_writable() - whether a message that is posted now would not have to wait */
bool outbox_writable(const struct outbox *outbox);

#endif
