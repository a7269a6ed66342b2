/* SPDX-License-Identifier: MIT
 *
 * Encrypted messages: two handles in this process and one thread, none of whose calls waits, the
 * daemon's tables in another. The third party is the test, which has the region too.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>

#include "client/lib/secure.h"
#include "ivshmem-secure.h"
#include "tests/unit/standin.h"

enum { DEADLINE_MS = 20000, PORT = 7, REGION = 4 << 20, RING = 16384 };

static const uint8_t key[32] = "a key of thirty-two bytes, yes.", other_key[32] = "another one";

static struct standin *standin;
static struct ivshmem *left, *right;
static struct ivshmem_channel *a, *b; /* a of left, b of right: one connection */
static struct ivshmem_secure *sa, *sb;
static int before, connected;

static struct ivshmem *join(void)
{
    struct ivshmem *iv;

    assert_int_equal(0, ivshmem_new(&iv, NULL, NULL));
    assert_int_equal(0, ivshmem_open(iv, standin_target(standin)));
    assert_int_equal(0, ivshmem_wait_ready(iv, DEADLINE_MS));
    return iv;
}

static void *connect_left(void *options)
{
    connected = ivshmem_connect(left, (unsigned)ivshmem_id(right), PORT, options, DEADLINE_MS, &a);
    return NULL;
}

static void link_up(uint64_t reverse_size)
{
    struct ivshmem_connect_options options = {
        .size = sizeof(options), .ring_size = RING, .reverse_size = reverse_size};
    struct ivshmem_offer offer;
    pthread_t thread;

    assert_int_equal(0, pthread_create(&thread, NULL, connect_left, &options));
    assert_int_equal(0, ivshmem_next_offer(right, PORT, DEADLINE_MS, &offer));
    assert_int_equal(0, ivshmem_accept(right, &offer, &b));
    pthread_join(thread, NULL);
    assert_int_equal(0, connected);
    ivshmem_channel_set_timeout(a, 0);
    ivshmem_channel_set_timeout(b, 0);
}

static int set_up(void **state)
{
    struct channels_options options = channels_defaults;

    (void)state;
    before = count_descriptors();
    a = b = NULL;
    options.grow_max = 0;
    options.offer_ms = DEADLINE_MS;
    standin = standin_new(REGION, &options);
    left = join();
    right = join();
    assert_int_equal(0, ivshmem_listen(right, PORT));
    assert_int_equal(0, ivshmem_secure_new(&sa));
    assert_int_equal(0, ivshmem_secure_new(&sb));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sa = ivshmem_secure_free(sa);
    sb = ivshmem_secure_free(sb);
    a = ivshmem_close(a);
    b = ivshmem_close(b);
    left = ivshmem_free(left);
    right = ivshmem_free(right);
    for (int i = 0; !standin_idle(standin) && i < DEADLINE_MS; i++)
        poll(NULL, 0, 1);
    assert_true(standin_idle(standin));
    standin = standin_free(standin);
    return count_descriptors() == before ? 0 : -1;
}

static void set_keys(const uint8_t *of_a, const uint8_t *of_b)
{
    assert_int_equal(0, ivshmem_secure_set_key(sa, of_a, sizeof(key)));
    assert_int_equal(0, ivshmem_secure_set_key(sb, of_b, sizeof(key)));
}

/* Both sides in turn, until neither says "later". */
static void start(int *ra, int *rb)
{
    *ra = *rb = -EAGAIN;
    for (int i = 0; (*ra == -EAGAIN || *rb == -EAGAIN) && i < 100; i++) {
        if (*ra == -EAGAIN)
            *ra = ivshmem_secure_start(sa, a, IVSHMEM_SECURE_CONNECTED);
        if (*rb == -EAGAIN)
            *rb = ivshmem_secure_start(sb, b, IVSHMEM_SECURE_ACCEPTED);
    }
}

static void started(void)
{
    int ra, rb;

    link_up(RING);
    set_keys(key, key);
    start(&ra, &rb);
    assert_string_equal("", ra ? ivshmem_secure_error(sa) : "");
    assert_string_equal("", rb ? ivshmem_secure_error(sb) : "");
}

static uint8_t *make_message(size_t size)
{
    uint8_t *message = malloc(size + 1);

    assert_non_null(message);
    for (size_t i = 0; i <= size; i++)
        message[i] = (uint8_t)(i * 7 + i / 251);
    return message;
}

/* One message from @from to @to, larger than the ring perhaps. */
static void carry(struct ivshmem_secure *from, struct ivshmem_secure *to, size_t size)
{
    uint8_t *message = make_message(size), *buffer = malloc(size + 1);
    int sent = -EAGAIN;
    ssize_t got = -EAGAIN;

    assert_non_null(buffer);
    while (sent == -EAGAIN || got == -EAGAIN) {
        if (sent == -EAGAIN)
            sent = ivshmem_secure_send(from, message, size);
        if (got == -EAGAIN)
            got = ivshmem_secure_recv(to, buffer, size);
        assert_true(sent == 0 || sent == -EAGAIN);
        assert_true(got >= 0 || got == -EAGAIN);
    }
    assert_int_equal(size, got);
    assert_memory_equal(message, buffer, size);
    free(message);
    free(buffer);
}

static void messages_of_all_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 4, 16379, 16380, 16381, 16384, 100000, 0, 3000001};
    char none;

    (void)state;
    started();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        carry(sa, sb, sizes[i]);
        carry(sb, sa, sizes[i]);
    }
    assert_int_equal(-EAGAIN, ivshmem_secure_recv(sb, &none, 1));
    assert_int_equal(0, ivshmem_secure_end(sa));
    assert_int_equal(-EPIPE, ivshmem_secure_recv(sb, &none, 1));
    assert_int_equal(-EINVAL, ivshmem_secure_send(sa, "late", 4));
}

/* Each direction ends by itself: an answer can follow the other side's last word. */
static void ends_of_both(void **state)
{
    char buffer[16];
    bool more;

    (void)state;
    started();
    assert_int_equal(0, ivshmem_secure_send(sa, "question", 8));
    assert_int_equal(0, ivshmem_secure_end(sa));
    assert_int_equal(8, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(-EPIPE, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
        assert_int_equal(-EPIPE, ivshmem_secure_recv_part(sb, buffer, sizeof(buffer), &more));
        assert_string_equal("the other side has ended", ivshmem_secure_error(sb));
    }
    assert_int_equal(0, ivshmem_secure_send(sb, "answer", 6));
    assert_int_equal(0, ivshmem_secure_end(sb));
    b = ivshmem_close(b);
    assert_int_equal(6, ivshmem_secure_recv(sa, buffer, sizeof(buffer)));
    assert_int_equal(-EPIPE, ivshmem_secure_recv(sa, buffer, sizeof(buffer)));
}

static void parts(void **state)
{
    char buffer[16];
    bool more = false;

    (void)state;
    started();
    assert_int_equal(0, ivshmem_secure_send_part(sa, "one ", 4, true));
    assert_int_equal(0, ivshmem_secure_send_part(sa, "", 0, true));
    assert_int_equal(0, ivshmem_secure_send_part(sa, "two", 3, true));
    assert_int_equal(0, ivshmem_secure_send(sa, "", 0));
    assert_int_equal(0, ivshmem_secure_send(sa, "0123456789", 10));
    assert_int_equal(0, ivshmem_secure_send(sa, "abc", 3));
    assert_int_equal(4, ivshmem_secure_recv_part(sb, buffer, sizeof(buffer), &more));
    assert_true(more);
    assert_int_equal(3, ivshmem_secure_recv(sb, buffer, 3));
    assert_memory_equal("two", buffer, 3);
    assert_int_equal(-EMSGSIZE, ivshmem_secure_recv(sb, buffer, 4));
    assert_int_equal(6, ivshmem_secure_recv(sb, buffer + 4, 12));
    assert_memory_equal("0123456789", buffer, 10);
    assert_int_equal(2, ivshmem_secure_recv_part(sb, buffer, 2, &more));
    assert_true(more);
    assert_int_equal(1, ivshmem_secure_recv_part(sb, buffer, 2, &more));
    assert_false(more);
}

/* Who learns the key later cannot read what was sent before. */
static void keys_of_its_own(void **state)
{
    gnutls_kx_algorithm_t exchange;

    (void)state;
    started();
    exchange = gnutls_kx_get(sa->session);
    assert_true(exchange == GNUTLS_KX_ECDHE_PSK || exchange == GNUTLS_KX_DHE_PSK);
    assert_true(gnutls_group_get(sb->session) != GNUTLS_GROUP_INVALID);
    assert_int_equal(GNUTLS_TLS1_3, gnutls_protocol_get_version(sb->session));
}

/* What lies in the ring of b next. */
static uint8_t *ciphertext(size_t *size)
{
    const void *data;
    bool more;

    assert_int_equal(0, ivshmem_peek(b, &data, size, &more));
    return (uint8_t *)(uintptr_t)data;
}

static void nobody_reads_along(void **state)
{
    static const char secret[] = "a text that stands for itself";

    (void)state;
    started();
    assert_int_equal(0, ivshmem_secure_send(sa, secret, sizeof(secret)));
    assert_null(memmem(ivshmem_memory(left), REGION, secret, sizeof(secret)));
    assert_int_equal(0, ivshmem_send(a, secret, sizeof(secret))); /* as a check of the check */
    assert_non_null(memmem(ivshmem_memory(left), REGION, secret, sizeof(secret)));
}

static void changed_bytes(void **state)
{
    char buffer[16];
    size_t size;

    (void)state;
    started();
    assert_int_equal(0, ivshmem_secure_send(sa, "first", 5));
    assert_int_equal(5, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
    assert_int_equal(0, ivshmem_secure_send(sa, "second", 6));
    ciphertext(&size)[size / 2] ^= 1;
    memset(buffer, 0, sizeof(buffer));
    assert_int_equal(-EBADMSG, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
    assert_non_null(strstr(ivshmem_secure_error(sb), "not what the other side sent"));
    assert_int_equal(0, buffer[0]);
    assert_int_equal(-EBADMSG, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
    assert_int_equal(-EBADMSG, ivshmem_secure_send(sb, "no", 2));
}

/* The same record twice, as somebody could put it there who has seen the first. */
static void repeated_bytes(void **state)
{
    uint8_t record[256];
    char buffer[16];
    size_t size;

    (void)state;
    started();
    assert_int_equal(0, ivshmem_secure_send(sa, "pay", 3));
    memcpy(record, ciphertext(&size), sizeof(record));
    assert_true(size <= sizeof(record));
    assert_int_equal(0, ivshmem_send(a, record, size));
    assert_int_equal(3, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
    assert_int_equal(-EBADMSG, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
}

/* A record that was left out shows in the next one. */
static void left_out_bytes(void **state)
{
    char buffer[16];
    size_t size;

    (void)state;
    started();
    assert_int_equal(0, ivshmem_secure_send(sa, "one", 3));
    assert_int_equal(0, ivshmem_secure_send(sa, "two", 3));
    ciphertext(&size);
    assert_int_equal(0, ivshmem_release(b));
    assert_int_equal(-EBADMSG, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
}

static void empty_messages(void **state)
{
    char buffer[16];

    (void)state;
    started();
    assert_int_equal(0, ivshmem_send(a, "", 0));
    assert_int_equal(-EBADMSG, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
}

/* The channel ends without a word of the other side, or within a message. */
static void cut_off(void **state)
{
    char buffer[16];
    bool more;

    (void)state;
    started();
    assert_int_equal(0, ivshmem_secure_send(sa, "all?", 4));
    a = ivshmem_close(a);
    assert_int_equal(4, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
    ivshmem_channel_set_timeout(b, DEADLINE_MS);
    assert_int_equal(-ECONNRESET, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
    assert_non_null(strstr(ivshmem_secure_error(sb), "may not be all"));
    sa = ivshmem_secure_free(sa);
    sb = ivshmem_secure_free(sb);
    b = ivshmem_close(b);
    assert_int_equal(0, ivshmem_secure_new(&sa));
    assert_int_equal(0, ivshmem_secure_new(&sb));
    started();
    assert_int_equal(0, ivshmem_secure_send_part(sa, "half", 4, true));
    assert_int_equal(0, ivshmem_secure_end(sa));
    assert_int_equal(4, ivshmem_secure_recv_part(sb, buffer, sizeof(buffer), &more));
    assert_int_equal(-ECONNRESET, ivshmem_secure_recv_part(sb, buffer, sizeof(buffer), &more));
}

static void gone_peer(void **state)
{
    char buffer[16];

    (void)state;
    started();
    sa = ivshmem_secure_free(sa);
    a = NULL; /* goes with its handle */
    left = ivshmem_free(left);
    ivshmem_channel_set_timeout(b, DEADLINE_MS);
    assert_int_equal(-ECONNRESET, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
    assert_non_null(strstr(ivshmem_secure_error(sb), "has died"));
}

static void wrong_key(void **state)
{
    int ra, rb;

    (void)state;
    link_up(RING);
    set_keys(key, other_key);
    start(&ra, &rb);
    assert_string_equal("the other side has another key", ivshmem_secure_error(sb));
    assert_int_equal(-EKEYREJECTED, rb);
    assert_string_equal("the other side has another key", ivshmem_secure_error(sa));
    assert_int_equal(-EKEYREJECTED, ra);
    assert_int_equal(-EKEYREJECTED, ivshmem_secure_send(sa, "x", 1));
}

/* Who does not encrypt is not taken for who does. */
static void no_key(void **state)
{
    char buffer[2000];
    int r = -EAGAIN;

    (void)state;
    link_up(RING);
    set_keys(key, key);
    assert_int_equal(0, ivshmem_send(a, "plain text, many bytes of it", 28));
    for (int i = 0; r == -EAGAIN && i < 10; i++)
        r = ivshmem_secure_start(sb, b, IVSHMEM_SECURE_ACCEPTED);
    assert_int_equal(-EBADMSG, r);
    assert_non_null(strstr(ivshmem_secure_error(sb), "has it a key?"));
    assert_int_equal(-EBADMSG, ivshmem_secure_recv(sb, buffer, sizeof(buffer)));
    assert_true(ivshmem_recv(a, buffer, sizeof(buffer)) >= 0); /* an alert */
    ivshmem_close(a);
    a = ivshmem_close(b);
    b = NULL;
    link_up(RING);
    sb = ivshmem_secure_free(sb); /* both sides say that they connected */
    assert_int_equal(0, ivshmem_secure_new(&sb));
    set_keys(key, key);
    assert_int_equal(-EAGAIN, ivshmem_secure_start(sa, a, IVSHMEM_SECURE_CONNECTED));
    assert_int_equal(-EBADMSG, ivshmem_secure_start(sb, b, IVSHMEM_SECURE_CONNECTED));
}

static void one_way(void **state)
{
    (void)state;
    link_up(0);
    set_keys(key, key);
    assert_int_equal(-EINVAL, ivshmem_secure_start(sa, a, IVSHMEM_SECURE_CONNECTED));
    assert_non_null(strstr(ivshmem_secure_error(sa), "one-way"));
    assert_int_equal(-EINVAL, ivshmem_secure_start(sb, b, IVSHMEM_SECURE_ACCEPTED));
    assert_int_equal(-EINVAL, ivshmem_secure_send(sa, "x", 1));
    assert_string_equal("it was not started", ivshmem_secure_error(sa));
}

static void time_is_over(void **state)
{
    (void)state;
    link_up(RING);
    assert_int_equal(-EINVAL, ivshmem_secure_start(sa, a, IVSHMEM_SECURE_CONNECTED));
    assert_string_equal("there is no key", ivshmem_secure_error(sa));
    set_keys(key, key);
    ivshmem_channel_set_timeout(a, 5);
    assert_int_equal(-ETIMEDOUT, ivshmem_secure_start(sa, a, IVSHMEM_SECURE_CONNECTED));
    assert_int_equal(-EINVAL, ivshmem_secure_start(sa, a, IVSHMEM_SECURE_ACCEPTED));
    assert_int_equal(-EINVAL, ivshmem_secure_set_key(sa, key, sizeof(key)));
    assert_int_equal(-EAGAIN, ivshmem_secure_start(sb, b, IVSHMEM_SECURE_ACCEPTED));
    assert_int_equal(0, ivshmem_secure_start(sa, a, IVSHMEM_SECURE_CONNECTED));
    assert_int_equal(0, ivshmem_secure_start(sb, b, IVSHMEM_SECURE_ACCEPTED));
    carry(sa, sb, 100);
}

/* --- keys --- */

static char path[] = "/tmp/ivshmem-test-key-XXXXXX";

static int read_key(const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_int_equal(strlen(text), write(fd, text, strlen(text)));
    assert_int_equal(0, fchmod(fd, mode));
    close(fd);
    return ivshmem_secure_read_key(sa, path);
}

static int make_key_file(void **state)
{
    int fd;

    (void)state;
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    fd = mkstemp(path);
    if (fd < 0 || ivshmem_secure_new(&sa) < 0)
        return -1;
    close(fd);
    return 0;
}

static int remove_key_file(void **state)
{
    (void)state;
    sa = ivshmem_secure_free(sa);
    return unlink(path);
}

static void key_files(void **state)
{
    static const char good[] = "00112233445566778899aabbCCDDEEFF";
    static const mode_t bad_modes[] = {0640, 0604, 0620, 0602, 0644};
    char text[2000] = "";

    (void)state;
    assert_int_equal(0, read_key(good, 0600));
    assert_int_equal(0, read_key("00 11 22 33 44 55 66 77\n 88 99 aa bb cc dd ee ff\n", 0400));
    for (size_t i = 0; i < sizeof(bad_modes) / sizeof(bad_modes[0]); i++) {
        assert_int_equal(-EPERM, read_key(good, bad_modes[i]));
        assert_non_null(strstr(ivshmem_secure_error(sa), "chmod 600"));
    }
    assert_int_equal(-EINVAL, read_key("00112233445566778899aabbccddee", 0600));
    assert_non_null(strstr(ivshmem_secure_error(sa), "a key of 15 bytes"));
    for (int i = 0; i < 4; i++)
        strcat(text, good);
    assert_int_equal(0, read_key(text, 0600));
    strcat(text, "00");
    assert_int_equal(-EINVAL, read_key(text, 0600));
    assert_non_null(strstr(ivshmem_secure_error(sa), "a key of 65 bytes"));
    memset(text, 'a', sizeof(text) - 1);
    assert_int_equal(-EINVAL, read_key(text, 0600));
    assert_int_equal(-EINVAL, read_key("my pass phrase, which is long enough", 0600));
    assert_non_null(strstr(ivshmem_secure_error(sa), "in hexadecimal"));
    assert_int_equal(-EINVAL, read_key("00112233445566778899aabbccddeeff0", 0600));
    assert_int_equal(-EINVAL, read_key("", 0600));
    assert_int_equal(-EINVAL, ivshmem_secure_read_key(sa, "/tmp"));
    assert_int_equal(-ENOENT, ivshmem_secure_read_key(sa, "/tmp/no such key"));
    assert_non_null(strstr(ivshmem_secure_error(sa), "/tmp/no such key"));
    assert_int_equal(-EINVAL, ivshmem_secure_set_key(sa, key, 15));
}

static void foreign_key_file(void **state)
{
    (void)state;
    if (chown(path, 65534, (gid_t)-1) < 0)
        skip(); /* only root can do that */
    assert_int_equal(-EPERM, ivshmem_secure_read_key(sa, path));
    assert_non_null(strstr(ivshmem_secure_error(sa), "belongs to user 65534"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_of_all_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_of_both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_reads_along, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(repeated_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(left_out_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cut_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gone_peer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(time_is_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(key_files, make_key_file, remove_key_file),
        cmocka_unit_test_setup_teardown(foreign_key_file, make_key_file, remove_key_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
