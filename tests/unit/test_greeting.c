/* SPDX-License-Identifier: MIT
 *
 * Everything that a server can say and must not: each ends the connection with an error that names
 * it, leaves no descriptor behind, and the handle is as good as before.
 */
#include "tests/unit/library.h"

enum { END = -100, HALF = -101, TWO = -102 }; /* no values, but what the server does */

enum fd { NONE, BELL, FILE_, EMPTY, READ_ONLY, PIPE, SOCKET, DIRECTORY };

struct step {
    int64_t value;
    enum fd fd;
};

static int pipe_end(void)
{
    int ends[2];

    assert_int_equal(0, pipe(ends));
    close(ends[1]);
    return ends[0];
}

static int read_only(void)
{
    int fd = new_memory(), again;
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    again = open(path, O_RDONLY | O_CLOEXEC);
    close(fd);
    return again;
}

static int make(enum fd kind)
{
    switch (kind) {
    case BELL:
        return doorbell_new();
    case FILE_:
        return new_memory();
    case EMPTY:
        return memfd_create("empty", MFD_CLOEXEC);
    case READ_ONLY:
        return read_only();
    case PIPE:
        return pipe_end();
    case SOCKET:
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    case DIRECTORY:
        return open("/", O_RDONLY | O_CLOEXEC);
    case NONE:
        break;
    }
    return -1;
}

static void say_two_descriptors(void)
{
    int fds[2] = {doorbell_new(), doorbell_new()};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(fds))];
    } control = {.bytes = {0}};
    uint8_t bytes[WIRE_SIZE] = {0};
    struct iovec whole = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    struct msghdr header = {.msg_iov = &whole,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control)};

    control.align.cmsg_level = SOL_SOCKET;
    control.align.cmsg_type = SCM_RIGHTS;
    control.align.cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(&control.align), fds, sizeof(fds));
    assert_int_equal(8, sendmsg(server, &header, MSG_NOSIGNAL));
    close(fds[0]);
    close(fds[1]);
}

static void perform(const struct step *step)
{
    if (step->value == END)
        server = close_fd(server);
    else if (step->value == HALF)
        assert_int_equal(3, write(server, "\1\2\3", 3));
    else if (step->value == TWO)
        say_two_descriptors();
    else
        say(step->value, make(step->fd));
}

static const struct dialogue {
    int error;
    const char *text;
    struct step steps[8]; /* up to the first {0, NONE} after the version */
    unsigned count;
} dialogues[] = {
#define DIALOGUE(error, text, ...)                                                                 \
    {                                                                                              \
        error, text, {__VA_ARGS__}, sizeof((struct step[]){__VA_ARGS__}) / sizeof(struct step)     \
    }
#define GREETING                                                                                   \
    {0, NONE}, {3, NONE},                                                                          \
    {                                                                                              \
        -1, FILE_                                                                                  \
    }
    /* the version */
    DIALOGUE(EPROTONOSUPPORT, "its version is 1", {1, NONE}),
    DIALOGUE(EPROTONOSUPPORT, "its version is -1", {-1, FILE_}),
    DIALOGUE(EPROTO, "descriptor with the version", {0, BELL}),
    DIALOGUE(ECONNREFUSED, "turned this client away", {-2, NONE}),
    DIALOGUE(ECONNRESET, "closed", {END, NONE}),
    DIALOGUE(ECONNRESET, "closed", {HALF, NONE}, {END, NONE}),
    DIALOGUE(EPROTO, "more than one descriptor", {TWO, NONE}),
    /* our ID */
    DIALOGUE(EPROTO, "the ID 65536", {0, NONE}, {65536, NONE}),
    DIALOGUE(EPROTO, "the ID -1", {0, NONE}, {-1, FILE_}),
    DIALOGUE(EPROTO, "the ID 4294967296", {0, NONE}, {INT64_C(1) << 32, NONE}),
    DIALOGUE(EPROTO, "descriptor with our ID", {0, NONE}, {3, BELL}),
    DIALOGUE(ECONNREFUSED, "turned this client away", {0, NONE}, {-2, NONE}),
    DIALOGUE(ECONNRESET, "closed", {0, NONE}, {END, NONE}),
    /* the memory */
    DIALOGUE(EPROTO, "where the memory", {0, NONE}, {3, NONE}, {3, BELL}),
    DIALOGUE(EPROTO, "where the memory", {0, NONE}, {3, NONE}, {0, NONE}),
    DIALOGUE(EPROTO, "without a descriptor", {0, NONE}, {3, NONE}, {-1, NONE}),
    DIALOGUE(EPROTO, "no file", {0, NONE}, {3, NONE}, {-1, BELL}),
    DIALOGUE(EPROTO, "no file", {0, NONE}, {3, NONE}, {-1, PIPE}),
    DIALOGUE(EPROTO, "no file", {0, NONE}, {3, NONE}, {-1, DIRECTORY}),
    DIALOGUE(EPROTO, "is empty", {0, NONE}, {3, NONE}, {-1, EMPTY}),
    DIALOGUE(EACCES, "cannot map", {0, NONE}, {3, NONE}, {-1, READ_ONLY}),
    /* the peers */
    DIALOGUE(EPROTO, "second time", GREETING, {-1, FILE_}),
    DIALOGUE(EPROTO, "the peer ID 65536", GREETING, {65536, BELL}),
    DIALOGUE(EPROTO, "the peer ID -3", GREETING, {-3, NONE}),
    DIALOGUE(EPROTO, "no eventfd", GREETING, {4, FILE_}),
    DIALOGUE(EPROTO, "no eventfd", GREETING, {4, PIPE}),
    DIALOGUE(EPROTO, "no eventfd", GREETING, {3, SOCKET}),
    DIALOGUE(EPROTO, "vector 1 of peer 4", GREETING, {4, BELL}, {4, DIRECTORY}),
    DIALOGUE(EPROTO, "peer 4 has left, who was never there", GREETING, {4, NONE}),
    DIALOGUE(EPROTO, "peer 4 has left", GREETING, {4, BELL}, {4, NONE}, {4, NONE}),
    DIALOGUE(EPROTO, "we, peer 3, have left", GREETING, {3, BELL}, {3, NONE}),
    DIALOGUE(EPROTO, "more than one descriptor", GREETING, {TWO, NONE}),
    DIALOGUE(ECONNREFUSED, "turned this client away", GREETING, {4, BELL}, {-2, NONE}),
    DIALOGUE(ECONNRESET, "closed", GREETING, {3, BELL}, {HALF, NONE}, {END, NONE}),
};

static void malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++) {
        const struct dialogue *dialogue = &dialogues[i];
        int r;

        connect_both();
        for (unsigned step = 0; step < dialogue->count; step++)
            perform(&dialogue->steps[step]);
        heard[0] = '\0';
        r = dispatch_until("disconnected");
        if (r != -dialogue->error || !strstr(ivshmem_error(iv), dialogue->text))
            fail_msg("dialogue %zu (%s): %d, %s", i, dialogue->text, r, ivshmem_error(iv));
        assert_null(ivshmem_memory(iv));
        assert_int_equal(0, ivshmem_memory_size(iv));
        assert_int_equal(-ENOTCONN, ivshmem_id(iv));
        assert_int_equal(-ENOTCONN, ivshmem_dispatch(iv));
        server = close_fd(server);
    }
    be_ready(2); /* none the worse for it */
}

static void too_many_vectors(void **state)
{
    int bell = doorbell_new();
    rlim_t before;
    int r = 0;

    (void)state;
    connect_both();
    greet(0);
    before = limit_descriptors(40);
    for (int i = 0; i < 60; i++)
        assert_int_equal(0, fdpass_write(server, 1, bell));
    r = dispatch_until("disconnected");
    unlimit_descriptors(before);
    assert_int_equal(-EMFILE, r);
    assert_contains(ivshmem_error(iv), "RLIMIT_NOFILE");
    close(bell);
}

/* Byte by byte is as good as whole. */
static void in_pieces(void **state)
{
    uint8_t version[WIRE_SIZE] = {0}, id[WIRE_SIZE] = {5};

    (void)state;
    connect_both();
    for (unsigned i = 0; i < WIRE_SIZE; i++) {
        assert_int_equal(1, write(server, version + i, 1));
        assert_int_equal(0, ivshmem_dispatch(iv));
    }
    assert_int_equal(WIRE_SIZE, write(server, id, WIRE_SIZE));
    say(-1, new_memory());
    assert_int_equal(0, dispatch_until("connected"));
    assert_int_equal(5, ivshmem_id(iv));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIBRARY_TEST(malformed),
        LIBRARY_TEST(too_many_vectors),
        LIBRARY_TEST(in_pieces),
    };

    return library_run(tests);
}
