/* SPDX-License-Identifier: MIT
 *
 * A program with an event loop of its own: it prints what happens among the peers, takes lines of
 * input ("PEER VECTOR" rings somebody), and connects again when the server goes away.
 *
 *     cc events.c $(pkg-config --cflags --libs libivshmem) -o events
 *     ./events unix:/tmp/ivshmem_socket
 *
 * Any loop will do: epoll, libevent, GLib. There is one descriptor to watch, for reading, and one
 * function to call then.
 */
#include <ivshmem.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static void ready(struct ivshmem *iv, void *context)
{
    (void)context;
    printf("we are peer %d\n", ivshmem_id(iv));
}

static void peer_joined(struct ivshmem *iv, void *context, unsigned peer)
{
    (void)iv;
    (void)context;
    printf("peer %u is there\n", peer);
}

static void peer_left(struct ivshmem *iv, void *context, unsigned peer)
{
    (void)iv;
    (void)context;
    printf("peer %u has gone\n", peer);
}

static void notification(struct ivshmem *iv, void *context, unsigned vector)
{
    unsigned *total = context;

    (void)iv;
    printf("vector %u was rung, notification %u\n", vector, ++*total);
}

static void disconnected(struct ivshmem *iv, void *context, int error)
{
    (void)context;
    (void)error;
    printf("no server: %s\n", ivshmem_error(iv));
}

/* Whole lines only: a real program would read without waiting, and keep what is left. */
static int take_line(struct ivshmem *iv)
{
    char line[80];
    unsigned peer, vector;

    if (!fgets(line, sizeof(line), stdin))
        return -1;
    if (sscanf(line, "%u %u", &peer, &vector) != 2)
        printf("say: PEER VECTOR\n");
    else if (ivshmem_ring(iv, peer, vector) < 0)
        printf("%s\n", ivshmem_error(iv));
    return 0;
}

int main(int argc, char **argv)
{
    const struct ivshmem_callbacks callbacks = {
        .size = sizeof(callbacks),
        .ready = ready,
        .peer_joined = peer_joined,
        .peer_left = peer_left,
        .notification = notification,
        .disconnected = disconnected,
    };
    unsigned total = 0;
    struct ivshmem *iv;
    int r = ivshmem_new(&iv, &callbacks, &total);

    if (r < 0) {
        fprintf(stderr, "events: %s\n", strerror(-r));
        return 1;
    }
    setvbuf(stdin, NULL, _IONBF, 0); /* what was read ahead would not wake poll() */
    setvbuf(stdout, NULL, _IOLBF, 0);
    ivshmem_set_reconnect(iv, 1000);
    r = ivshmem_open(iv, argc > 1 ? argv[1] : "unix:/tmp/ivshmem_socket");
    while (r == 0) {
        struct pollfd fds[] = {
            {.fd = ivshmem_fd(iv), .events = POLLIN},
            {.fd = 0, .events = POLLIN},
        };

        poll(fds, 2, -1);
        if (fds[0].revents)
            r = ivshmem_dispatch(iv);
        if (r == 0 && fds[1].revents && take_line(iv) < 0)
            break;
    }
    if (r < 0)
        fprintf(stderr, "events: %s\n", ivshmem_error(iv));
    ivshmem_free(iv);
    return r < 0 ? 1 : 0;
}
