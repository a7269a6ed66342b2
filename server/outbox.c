/* SPDX-License-Identifier: MIT
 *
 * See outbox.h.
 *
 * Every message goes through the queue, for nothing may overtake what waits there. While something
 * is left, one event is pending: the socket becoming writable after EAGAIN, or the retry timer
 * after an error that no poll would tell the end of.
 */
#include "server/outbox.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"

enum {
    BURST = 64,              /* messages sent before other events get their turn */
    RETRY_FULL_USEC = 50000, /* the kernel has no memory, or no room for descriptors in flight */
    RETRY_GONE_SECONDS = 1,
};

/* ---- messages ---- */

struct message *message_new(const char *text, int fd, bool owned)
{
    struct message *message = calloc(1, sizeof(*message));
    char *copy = strdup(text);

    if (!message || !copy) {
        free(message);
        free(copy);
        return NULL;
    }
    *message = (struct message){.text = copy, .fd = fd, .owned = owned};
    return message;
}

void message_free(struct message *message)
{
    if (!message)
        return;
    if (message->owned)
        close_fd(message->fd);
    free(message->text);
    free(message);
}

void outbox_drop(struct outbox *outbox, struct message *message)
{
    TAILQ_REMOVE(&outbox->queue, message, link);
    outbox->n_fds -= message->fd >= 0;
    message_free(message);
}

/* ---- sending ---- */

static void lose_receiver(struct outbox *outbox, int error)
{
    const struct timeval later = {.tv_sec = RETRY_GONE_SECONDS};

    if (!outbox->gone)
        log_error("the service manager is gone (%s); trying again every %d s. Until it is back, a "
                  "restart cannot bring back the peers",
                  strerror(error), RETRY_GONE_SECONDS);
    outbox->gone = true;
    event_del(outbox->writable);
    event_add(outbox->retry, &later);
    outbox->on_gone(outbox->argument);
}

bool outbox_reach(struct outbox *outbox)
{
    const struct sockaddr *address = (const struct sockaddr *)&outbox->address;

    if (connect(outbox->sock, address, outbox->length) == 0)
        return true;
    lose_receiver(outbox, errno);
    return false;
}

static int send_message(const struct outbox *outbox, const struct message *message)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.space = {0}};
    struct iovec text = {.iov_base = message->text, .iov_len = strlen(message->text)};
    struct msghdr packet = {.msg_iov = &text, .msg_iovlen = 1};

    if (message->fd >= 0) {
        packet.msg_control = &control;
        packet.msg_controllen = sizeof(control);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &message->fd, sizeof(int));
    }
    return sendmsg(outbox->sock, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Sends up to @limit messages, and sees to it that the rest follows. */
static void flush(struct outbox *outbox, int limit)
{
    const struct timeval soon = {.tv_usec = RETRY_FULL_USEC};
    struct message *message;

    for (; (message = TAILQ_FIRST(&outbox->queue)) && limit > 0; limit--) {
        int r = send_message(outbox, message);

        if (r == -EAGAIN || r == -EINTR)
            break;
        if (r == -ETOOMANYREFS || r == -ENOBUFS || r == -ENOMEM) {
            event_del(outbox->writable);
            event_add(outbox->retry, &soon);
            return;
        }
        if (r == -ECONNREFUSED || r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE) {
            lose_receiver(outbox, -r);
            return;
        }
        if (r < 0) /* it would be in the way of all others for ever */
            log_error("cannot tell the service manager \"%.*s\": %s",
                      (int)strcspn(message->text, "\n"), message->text, strerror(-r));
        outbox_drop(outbox, message);
    }
    if (message)
        event_add(outbox->writable, NULL);
    else
        event_del(outbox->writable);
}

/* What is first can try at once; while others wait, so does an event. */
static void try_first(struct outbox *outbox, const struct message *message)
{
    outbox->n_fds += message->fd >= 0;
    if (TAILQ_FIRST(&outbox->queue) == message && !outbox->gone)
        flush(outbox, 1);
}

void outbox_post(struct outbox *outbox, struct message *message)
{
    TAILQ_INSERT_TAIL(&outbox->queue, message, link);
    try_first(outbox, message);
}

void outbox_hurry(struct outbox *outbox, struct message *message)
{
    TAILQ_INSERT_HEAD(&outbox->queue, message, link);
    try_first(outbox, message);
}

bool outbox_writable(const struct outbox *outbox)
{
    struct pollfd room = {.fd = outbox->sock, .events = POLLOUT};

    return !outbox->gone && TAILQ_EMPTY(&outbox->queue) && poll(&room, 1, 0) == 1 &&
           (room.revents & POLLOUT);
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    flush(argument, BURST);
}

static void on_retry(evutil_socket_t fd, short what, void *argument)
{
    struct outbox *outbox = argument;

    (void)fd;
    (void)what;
    if (outbox->gone) {
        if (!outbox_reach(outbox))
            return;
        outbox->gone = false;
        log_notice("the service manager is back");
    }
    flush(outbox, BURST);
}

/* ---- set-up and end ---- */

int outbox_init(struct outbox *outbox, struct event_base *base, const struct sockaddr_un *address,
                socklen_t length, outbox_gone_fn *on_gone, void *argument)
{
    *outbox = (struct outbox){
        .address = *address, .length = length, .on_gone = on_gone, .argument = argument};
    TAILQ_INIT(&outbox->queue);
    outbox->sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (outbox->sock < 0)
        return -errno;
    outbox->writable = event_new(base, outbox->sock, EV_WRITE | EV_PERSIST, on_writable, outbox);
    outbox->retry = evtimer_new(base, on_retry, outbox);
    if (!outbox->writable || !outbox->retry)
        return -ENOMEM;
    outbox_reach(outbox);
    return 0;
}

void outbox_deinit(struct outbox *outbox)
{
    struct message *message;

    if (!outbox->on_gone) /* never made */
        return;
    while ((message = TAILQ_FIRST(&outbox->queue)))
        outbox_drop(outbox, message);
    if (outbox->writable)
        event_free(outbox->writable);
    if (outbox->retry)
        event_free(outbox->retry);
    close_fd(outbox->sock);
}
