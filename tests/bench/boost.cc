/* SPDX-License-Identifier: MIT
 *
 * Contenders: boost::lockfree::spsc_queue with elements of the message's size, in shared memory;
 * one by one, and many with one call. It has as much memory as the others.
 */
#include <boost/lockfree/spsc_queue.hpp>
#include <new>

#include "tests/bench/pattern.h"
#include "tests/bench/transport.h"

namespace
{

template <size_t size> struct alignas(64) message {
    unsigned char bytes[size];
};

/* One more than its capacity is what it allots. */
template <size_t size>
using queue_of =
    boost::lockfree::spsc_queue<message<size>,
                                boost::lockfree::capacity<lane_queue(size) / size - 1>>;

template <size_t size> struct single {
    typedef queue_of<size> queue;

    static void send(struct lane *lane, queue *to)
    {
        auto *buffer = reinterpret_cast<message<size> *>(lane->buffer);

        for (uint64_t i = 0; i < lane->count; i++) {
            pattern_fill(buffer, i, 0, size);
            while (!to->push(*buffer))
                lane_pause(lane);
        }
    }

    static void receive(struct lane *lane, queue *from)
    {
        auto *buffer = reinterpret_cast<message<size> *>(lane->buffer);

        for (uint64_t i = 0; i < lane->count; i++) {
            while (!from->pop(*buffer))
                lane_pause(lane);
            if (pattern_differs(buffer, i, 0, size))
                lane_wrong(lane, i);
        }
    }
};

template <size_t size> struct bulk {
    typedef queue_of<size> queue;

    static void send(struct lane *lane, queue *to)
    {
        auto *buffer = reinterpret_cast<message<size> *>(lane->buffer);

        for (uint64_t i = 0; i < lane->count;) {
            unsigned n = lane_next_burst(lane, i);

            for (unsigned j = 0; j < n; j++)
                pattern_fill(buffer + j, i + j, 0, size);
            for (unsigned sent = 0; sent < n;) {
                size_t r = to->push(buffer + sent, n - sent);

                if (!r)
                    lane_pause(lane);
                sent += static_cast<unsigned>(r);
            }
            i += n;
        }
    }

    static void receive(struct lane *lane, queue *from)
    {
        auto *buffer = reinterpret_cast<message<size> *>(lane->buffer);

        for (uint64_t i = 0; i < lane->count;) {
            size_t n;

            while (!(n = from->pop(buffer, lane->burst)))
                lane_pause(lane);
            for (size_t j = 0; j < n; j++, i++)
                if (pattern_differs(buffer + j, i, 0, size))
                    lane_wrong(lane, i);
        }
    }
};

/* What is to be done with a queue, for messages of one size. */
struct prepare {
    template <size_t size> static void run(struct lane *lane)
    {
        static_assert(sizeof(queue_of<size>) <= lane_queue(size) + 4096, "boost");
        new (lane->queue) queue_of<size>;
    }
};

template <template <size_t> class way> struct sending {
    template <size_t size> static void run(struct lane *lane)
    {
        way<size>::send(lane, reinterpret_cast<queue_of<size> *>(lane->queue));
    }
};

template <template <size_t> class way> struct receiving {
    template <size_t size> static void run(struct lane *lane)
    {
        way<size>::receive(lane, reinterpret_cast<queue_of<size> *>(lane->queue));
    }
};

template <class action> void with_size(struct lane *lane)
{
    switch (lane->size) {
    case 64:
        return action::template run<64>(lane);
    case 256:
        return action::template run<256>(lane);
    case 1024:
        return action::template run<1024>(lane);
    case 4096:
        return action::template run<4096>(lane);
    case 16384:
        return action::template run<16384>(lane);
    case 65536:
        return action::template run<65536>(lane);
    case LANE_LARGE:
        return action::template run<LANE_LARGE>(lane);
    default:
        lane_wrong(lane, 0);
    }
}

} // namespace

extern "C" const struct transport transports_boost[] = {
    {"boost", 64, LANE_LARGE, with_size<prepare>, with_size<sending<single>>,
     with_size<receiving<single>>},
    {"boost bulk", 64, LANE_LARGE, with_size<prepare>, with_size<sending<bulk>>,
     with_size<receiving<bulk>>},
    {NULL, 0, 0, NULL, NULL, NULL},
};
