#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest joins while the client on the host floods everybody with doorbells."""

import time

import guest
from guest import support

VECTORS = 4
ALL = set(range(VECTORS))


class Flood(guest.Test):
    def flood_until(self, client, condition, what):
        """
        Has the client ring every vector of every peer until condition(). Its input is a pipe that
        we keep full, so it never pauses.
        """
        end = time.monotonic() + guest.BOOT
        while not condition():
            self.assertLess(time.monotonic(), end, "waited in vain for " + what)
            client.write("int all\n" * 500)

    def test_join(self):
        server = self.server(vectors=VECTORS)
        first = self.guest(server)
        client = self.client(server).ready()
        guest.write_host(server, "flood")
        self.flood_until(client, lambda: "IRQ on vector" in first.output(), "the first interrupt")

        second = self.start_guest(server)
        self.flood_until(client, lambda: "ready\n" in second.output(), "the second guest to boot")
        second.boot()
        line = "received IRQ on vector %d and full message: flood\n"
        self.flood_until(client, lambda: all(line % vector in second.output() for vector in ALL),
                         "all vectors of the second guest")

        # The flood is over. Everybody still answers, and one ring is one interrupt again.
        self.assertEqual((1, {0: VECTORS, 1: VECTORS, 2: VECTORS}), guest.dump(client))
        for one in (first, second):
            self.assertEqual(ALL, set(self.settled_counts(one)))
        guest.write_host(server, "after")
        for one in (first, second):
            before = one.counts()
            client.send("int %d %d" % (one.peer_id, VECTORS - 1))
            one.wait_line("received IRQ on vector %d and full message: after" % (VECTORS - 1))
            self.assertEqual(before[VECTORS - 1] + 1, one.counts()[VECTORS - 1])
            one.quit()

    @staticmethod
    def settled_counts(one):
        """The counts once no more interrupts come in."""
        last = [None]

        def settled():
            before, last[0] = last[0], one.counts()
            return before == last[0]

        support.wait_for(settled, guest.ANSWER, "the last interrupts of the flood")
        return last[0]


if __name__ == "__main__":
    guest.main()
