/* SPDX-License-Identifier: MIT
 *
 * TLS on a channel: how the two sides agree, what errors mean, and the end.
 *
 * Theory of operation: all that protects is TLS 1.3, as GnuTLS does it. The sides prove that they
 * have the same key (an external PSK), and agree on new keys for each connection by an ephemeral
 * key exchange, so that who learns the key later cannot read what was sent before. Nothing here is
 * of our making but the way of the bytes: two functions that GnuTLS calls, which send and receive
 * through the channel. For them the channel is a stream; what it says of messages counts for
 * nothing.
 *
 * A time-out within such a function is EAGAIN for GnuTLS, which keeps what it has; the next call
 * goes on there.
 */
#include "client/lib/secure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The ciphers are GnuTLS's choice, or the system's, but first those for which processors have
 * instructions. No certificates, and no PSK without a key exchange. */
static const char priority[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK:+DHE-PSK"
                               ":-CHACHA20-POLY1305:+CHACHA20-POLY1305";

static const char identity[] = "ivshmem"; /* of the key: there is but one */

int ivshmem_secure_new(struct ivshmem_secure **secure)
{
    struct ivshmem_secure *made = calloc(1, sizeof(*made));

    if (!made)
        return -ENOMEM;
    *secure = made;
    return 0;
}

struct ivshmem_secure *ivshmem_secure_free(struct ivshmem_secure *secure)
{
    if (!secure)
        return NULL;
    if (secure->session)
        gnutls_deinit(secure->session);
    if (secure->client)
        gnutls_psk_free_client_credentials(secure->client);
    if (secure->server)
        gnutls_psk_free_server_credentials(secure->server);
    explicit_bzero(secure, sizeof(*secure));
    free(secure);
    return NULL;
}

const char *ivshmem_secure_error(const struct ivshmem_secure *secure)
{
    return secure->failure.text;
}

/* --- the way of the bytes --- */

static bool is_temporary(int error)
{
    return error == -EAGAIN || error == -ETIMEDOUT || error == -EBUSY;
}

static ssize_t moved(struct ivshmem_secure *secure, ssize_t r)
{
    if (r >= 0)
        return r;
    secure->cause = (int)r;
    gnutls_transport_set_errno(secure->session, is_temporary(secure->cause) ? EAGAIN : EIO);
    return -1;
}

static ssize_t push_bytes(gnutls_transport_ptr_t context, const void *bytes, size_t size)
{
    struct ivshmem_secure *secure = context;

    return moved(secure, ivshmem_send_part(secure->channel, bytes, size, false));
}

/* The other side sends no empty messages. (0 would be an end for GnuTLS.) */
static ssize_t pull_bytes(gnutls_transport_ptr_t context, void *bytes, size_t size)
{
    struct ivshmem_secure *secure = context;
    bool more;
    ssize_t r = ivshmem_recv_part(secure->channel, bytes, size, &more);

    return moved(secure, r ? r : -EBADMSG);
}

/* It is the pull itself that waits. */
static int pull_timeout(gnutls_transport_ptr_t context, unsigned ms)
{
    (void)context;
    (void)ms;
    return 1;
}

/* --- errors --- */

int secure_end_with(struct ivshmem_secure *secure, int error)
{
    secure->ended = error;
    return error;
}

/* Why nothing moves any more. What is -EPIPE for a sender is a loss for who receives. */
static const struct {
    int cause, result;
    const char *text;
} ends[] = {
    {-EBADMSG, -EBADMSG, "what lies in the channel is not what the other side sent"},
    {-ECANCELED, -EBADMSG, "what lies in the channel is not what the other side sent"},
    {-EPIPE, -EPIPE, "the other side has closed the channel"},
    {-ECONNRESET, -ECONNRESET,
     "the other side has died, or lost its server: what came may not be all"},
    {-ETIME, -ETIME, "the channel was closed because nothing was sent for long"},
    {-ECONNABORTED, -ECONNABORTED, "an administrator of the server closed the channel"},
    {-ENOTCONN, -ENOTCONN, "the connection to the server has gone, and the channel with it"},
};

static int channel_ended(struct ivshmem_secure *secure, bool receiving)
{
    const int cause = secure->cause;

    if (!secure->ready && (cause == -EPIPE || cause == -ECONNRESET)) {
        failure_describe(&secure->failure,
                         "the other side has ended before it agreed: has it a key?");
        return secure_end_with(secure, receiving ? -ECONNRESET : cause);
    }
    if (cause == -EPIPE && receiving) {
        failure_describe(&secure->failure, "the channel was closed, but the other side has not "
                                           "ended: what came may not be all");
        return secure_end_with(secure, -ECONNRESET);
    }
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (ends[i].cause == cause) {
            failure_describe(&secure->failure, "%s", ends[i].text);
            return secure_end_with(secure, ends[i].result);
        }
    failure_describe(&secure->failure, "the channel has ended: %s", strerror(-cause));
    return secure_end_with(secure, cause);
}

/* What a fatal alert says of the key, as far as it says anything. */
static bool alert_is_of_key(gnutls_session_t session)
{
    switch (gnutls_alert_get(session)) {
    case GNUTLS_A_ILLEGAL_PARAMETER: /* what GnuTLS says for a binder that is wrong */
    case GNUTLS_A_DECRYPT_ERROR:
    case GNUTLS_A_UNKNOWN_PSK_IDENTITY:
        return true;
    default:
        return false;
    }
}

static bool is_of_key(struct ivshmem_secure *secure, ssize_t error)
{
    if (secure->ready)
        return false;
    if (error == GNUTLS_E_FATAL_ALERT_RECEIVED)
        return alert_is_of_key(secure->session);
    return error == GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
}

int secure_judge(struct ivshmem_secure *secure, ssize_t error)
{
    int cause = secure->cause;

    secure->cause = 0;
    if (error == GNUTLS_E_AGAIN && is_temporary(cause))
        return failure_set(&secure->failure, -cause, "%s",
                           cause == -EBUSY ? "a callback cannot wait"
                                           : "the other side does nothing");
    if (!gnutls_error_is_fatal((int)error))
        return 0;
    secure->cause = cause;
    if (error == GNUTLS_E_PULL_ERROR || error == GNUTLS_E_PUSH_ERROR)
        return channel_ended(secure, error == GNUTLS_E_PULL_ERROR);
    if (!secure->ready)
        gnutls_alert_send_appropriate(secure->session, (int)error);
    if (is_of_key(secure, error)) {
        failure_describe(&secure->failure, "the other side has another key");
        return secure_end_with(secure, -EKEYREJECTED);
    }
    if (!secure->ready)
        failure_describe(&secure->failure, "cannot agree with the other side: %s (has it a key?)",
                         gnutls_strerror((int)error));
    else if (error == GNUTLS_E_FATAL_ALERT_RECEIVED)
        failure_describe(&secure->failure, "what we sent is not what the other side got");
    else
        failure_describe(&secure->failure, "what came is not what the other side sent: %s",
                         gnutls_strerror((int)error));
    return secure_end_with(secure, error == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EBADMSG);
}

int secure_usable(struct ivshmem_secure *secure)
{
    if (secure->ended)
        return secure->ended;
    return secure->ready ? 0 : failure_set(&secure->failure, EINVAL, "it was not started");
}

/* --- start and end --- */

static int give_key(gnutls_session_t session, const char *name, gnutls_datum_t *key)
{
    const struct ivshmem_secure *secure = gnutls_session_get_ptr(session);

    if (strcmp(name, identity) != 0)
        return -1;
    key->data = gnutls_malloc(secure->key_size);
    if (!key->data)
        return -1;
    memcpy(key->data, secure->key, secure->key_size);
    key->size = (unsigned)secure->key_size;
    return 0;
}

static int set_credentials(struct ivshmem_secure *secure)
{
    const gnutls_datum_t key = {.data = secure->key, .size = (unsigned)secure->key_size};
    int r;

    if (secure->side == IVSHMEM_SECURE_ACCEPTED) {
        r = gnutls_psk_allocate_server_credentials(&secure->server);
        if (r < 0)
            return r;
        gnutls_psk_set_server_credentials_function(secure->server, give_key);
        return gnutls_credentials_set(secure->session, GNUTLS_CRD_PSK, secure->server);
    }
    r = gnutls_psk_allocate_client_credentials(&secure->client);
    if (r == 0)
        r = gnutls_psk_set_client_credentials(secure->client, identity, &key, GNUTLS_PSK_KEY_RAW);
    return r < 0 ? r : gnutls_credentials_set(secure->session, GNUTLS_CRD_PSK, secure->client);
}

static int set_up(struct ivshmem_secure *secure)
{
    unsigned role = secure->side == IVSHMEM_SECURE_ACCEPTED ? GNUTLS_SERVER : GNUTLS_CLIENT;
    int r = gnutls_init(&secure->session, role | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS);

    if (r == 0)
        r = gnutls_priority_set_direct(secure->session, priority, NULL);
    if (r == 0)
        r = set_credentials(secure);
    if (r < 0) {
        failure_describe(&secure->failure, "GnuTLS cannot be used: %s", gnutls_strerror(r));
        return secure_end_with(secure, r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -ENOTSUP);
    }
    gnutls_session_set_ptr(secure->session, secure);
    gnutls_transport_set_ptr(secure->session, secure);
    gnutls_transport_set_push_function(secure->session, push_bytes);
    gnutls_transport_set_pull_function(secure->session, pull_bytes);
    gnutls_transport_set_pull_timeout_function(secure->session, pull_timeout);
    return 0;
}

static int begin(struct ivshmem_secure *secure, struct ivshmem_channel *channel,
                 enum ivshmem_secure_side side)
{
    struct ivshmem_channel_info info = {.size = sizeof(info)};

    if (!secure->key_size)
        return failure_set(&secure->failure, EINVAL, "there is no key");
    if (side != IVSHMEM_SECURE_CONNECTED && side != IVSHMEM_SECURE_ACCEPTED)
        return failure_set(&secure->failure, EINVAL, "there is no side %d", (int)side);
    ivshmem_channel_get_info(channel, &info);
    if (!info.send_size || !info.receive_size)
        return failure_set(&secure->failure, EINVAL,
                           "the channel is one-way: encryption needs a ring in each direction");
    secure->channel = channel;
    secure->side = side;
    return set_up(secure);
}

int ivshmem_secure_start(struct ivshmem_secure *secure, struct ivshmem_channel *channel,
                         enum ivshmem_secure_side side)
{
    int r = secure->ended;

    if (r == 0 && !secure->channel)
        r = begin(secure, channel, side);
    else if (r == 0 && (secure->channel != channel || secure->side != side))
        r = failure_set(&secure->failure, EINVAL, "it was started on another channel");
    while (r == 0 && !secure->ready) {
        r = gnutls_handshake(secure->session);
        secure->ready = r == 0;
        if (r < 0)
            r = secure_judge(secure, r);
    }
    return r;
}

int ivshmem_secure_end(struct ivshmem_secure *secure)
{
    int r = secure_usable(secure);

    if (r == 0)
        r = secure_push(secure);
    secure->no_more = true;
    while (r == 0) {
        r = gnutls_bye(secure->session, GNUTLS_SHUT_WR);
        if (r == 0)
            break;
        r = secure_judge(secure, r);
    }
    if (r == 0)
        ivshmem_flush(secure->channel);
    return r;
}
