/* SPDX-License-Identifier: MIT
 *
 * What hangs in a handle and shares one of its vectors with the program: each of the two sees every
 * event, whoever takes it.
 */
#include "client/lib/handle.h"

#include "tests/unit/library.h"

static void up(struct layer *layer)
{
    (void)layer;
    hear("up ");
}

static void down(struct layer *layer)
{
    (void)layer;
    assert_non_null(ivshmem_memory(iv)); /* still there */
    hear("down ");
}

static void rung(struct layer *layer)
{
    (void)layer;
    hear("layer-rung ");
}

static void tick(struct layer *layer)
{
    (void)layer;
    hear("tick ");
}

static int left; /* how often look() has something left */

static void look(struct layer *layer)
{
    (void)layer;
    hear("look ");
    if (left-- > 0)
        layer_raise(iv);
}

static void gone(struct layer *layer)
{
    (void)layer;
    hear("gone ");
}

static const struct layer_ops ops = {
    .up = up, .down = down, .rung = rung, .tick = tick, .look = look, .free = gone};
static struct layer layer;

static void attach(unsigned vectors)
{
    be_ready(vectors);
    layer = (struct layer){.ops = &ops, .vector = vectors - 1};
    assert_int_equal(0, layer_attach(iv, &layer));
    left = 0;
}

static bool wakes(void)
{
    struct pollfd wait = {.fd = ivshmem_fd(iv), .events = POLLIN};

    return poll(&wait, 1, 0) == 1;
}

static void dispatched(void **state)
{
    (void)state;
    attach(2);
    ivshmem_ring(iv, 0, 1);
    ivshmem_ring(iv, 0, 0);
    assert_int_equal(0, ivshmem_dispatch(iv));
    assert_contains(heard, "layer-rung rung-1 ");
    assert_contains(heard, "rung-0 ");
    assert_false(wakes());
    heard[0] = '\0';
    iv = ivshmem_free(iv);
    assert_string_equal("down gone ", heard);
}

/* The program waits for another vector: the layer is served, the program sees the event later. */
static void event_is_kept(void **state)
{
    const unsigned first = 0, last = 1;

    (void)state;
    attach(2);
    ivshmem_ring(iv, 0, 1);
    assert_int_equal(-ETIMEDOUT, ivshmem_wait(iv, &first, 1, 20));
    assert_string_equal("layer-rung ", heard);
    assert_true(wakes());
    assert_int_equal(1, ivshmem_wait(iv, &last, 1, 0));
    assert_false(wakes());
    assert_int_equal(-ETIMEDOUT, ivshmem_wait(iv, &last, 1, 0));

    heard[0] = '\0';
    ivshmem_ring(iv, 0, 1);
    assert_int_equal(0, layer_wait(iv, EVENTS_NEVER));
    assert_int_equal(-ETIMEDOUT, layer_wait(iv, 0));
    assert_int_equal(1, ivshmem_wait(iv, NULL, 0, 0));
    ivshmem_ring(iv, 0, 1);
    assert_int_equal(0, layer_wait(iv, EVENTS_NEVER));
    assert_string_equal("", heard);
    assert_int_equal(0, ivshmem_dispatch(iv));
    assert_string_equal("rung-1 ", heard);
    assert_false(wakes());
    ivshmem_ring(iv, 0, 1); /* straight to the program: the layer hears of it too */
    assert_int_equal(1, ivshmem_wait(iv, NULL, 0, 0));
    assert_string_equal("rung-1 layer-rung ", heard);
}

static void something_left(void **state)
{
    (void)state;
    attach(1);
    left = 2;
    layer_raise(iv);
    layer_raise(iv);
    for (int i = 0; i < 3; i++) {
        assert_true(wakes());
        assert_int_equal(0, ivshmem_dispatch(iv));
    }
    assert_false(wakes());
    assert_string_equal("look look look ", heard);

    heard[0] = '\0';
    left = 1000000; /* a call that waits sleeps all the same */
    layer_raise(iv);
    assert_int_equal(-ETIMEDOUT, ivshmem_wait(iv, NULL, 0, 20));
    assert_string_equal("look ", heard);
    assert_true(wakes());
}

static void timer(void **state)
{
    (void)state;
    attach(1);
    layer_set_timer(iv, 1);
    assert_int_equal(0, dispatch_until("tick"));
    assert_false(wakes());
    heard[0] = '\0';
    layer_set_timer(iv, 1);
    while (!heard[0])
        ivshmem_wait(iv, NULL, 0, 10);
    assert_string_equal("tick ", heard);
    layer_set_timer(iv, 1);
    layer_set_timer(iv, 0);
    assert_int_equal(-ETIMEDOUT, ivshmem_wait(iv, NULL, 0, 20));
    assert_string_equal("tick ", heard);
}

static void connections(void **state)
{
    (void)state;
    attach(1);
    ivshmem_set_reconnect(iv, 10);
    server = close_fd(server);
    assert_int_equal(0, dispatch_until("disconnected"));
    assert_string_equal("down disconnected-104 ", heard);
    heard[0] = '\0';
    be_ready(1); /* opened anew; it forgets what it has heard */
    server = close_fd(server);
    ivshmem_set_reconnect(iv, 0);
    connect_both();
    greet(0);
    say(0, doorbell_new());
    heard[0] = '\0';
    assert_int_equal(0, dispatch_until("ready"));
    assert_string_equal("connected vector-0-0 up ready ", heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIBRARY_TEST(dispatched), LIBRARY_TEST(event_is_kept), LIBRARY_TEST(something_left),
        LIBRARY_TEST(timer),      LIBRARY_TEST(connections),
    };

    return library_run(tests);
}
