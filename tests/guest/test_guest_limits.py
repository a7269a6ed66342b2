#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A QEMU that may open few descriptors. At its limit the kernel strips the descriptor of a join, which
is how QEMU's device reads a leave. So whoever would overflow it is turned away.
"""

import os
import re
import resource

import guest
from guest import support

LIMIT = 128
VECTORS = 16


class Limits(guest.Test):
    def limited_guest(self, server):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, hard))  # QEMU inherits it
        try:
            return self.start_guest(server, malloc_check=True)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def fill(self, server):
        """Lets peers in until one is turned away."""
        peers = []
        while len(peers) < LIMIT // VECTORS:
            try:
                peers.append(self.peer(server))
            except support.TurnedAway:
                return peers
        self.fail("a QEMU of %d descriptors was told of %d eventfds" % (LIMIT, VECTORS * (
            len(peers) + 1)))

    def assert_goes_on(self, one, peers):
        """The guest and each of these peers ring each other, on the last vector too."""
        for peer in peers:
            one.ring_until(peer.id, VECTORS - 1, lambda: peer.rung(VECTORS - 1))
            peer.wait_ring(VECTORS - 1)
            before = one.counts().get(1, 0)
            peer.ring(one.peer_id, 1)
            support.wait_for(lambda: one.counts().get(1, 0) > before, guest.ANSWER, "an interrupt")

    def test_newcomers_beyond_it_are_turned_away(self):
        server = self.server(vectors=VECTORS)
        one = self.limited_guest(server).boot()
        peers = self.fill(server)
        self.assertGreater(len(peers), 1)
        for _ in range(20):
            self.assertRaises(support.TurnedAway, self.peer, server)
        line = r"turned away.*peer 0's.*%d.*raise" % one.pid  # whose limit, and what to do
        support.wait_for(lambda: re.search(line, server.stderr), what="the log to say whose limit")
        self.assertIn(str(LIMIT), server.stderr)
        self.assert_goes_on(one, peers)
        self.assertLess(len(os.listdir("/proc/%d/fd" % one.pid)), LIMIT)

        for _ in range(5):  # it still hears of leaves and joins: who goes makes room
            gone = peers.pop(0)
            gone.close()
            peers[0].wait_leave(gone.id)
            peers.append(self.peer(server))
            peers[0].wait_join(peers[-1].id, VECTORS)
            self.assertRaises(support.TurnedAway, self.peer, server)
            self.assert_goes_on(one, peers[-1:])
        self.assert_goes_on(one, peers)
        self.assertEqual("", one.stderr())
        one.quit()
        peers[0].wait_leave(0)
        for _ in range(LIMIT // VECTORS):  # and with it goes its limit
            self.peer(server)
        server.stop()

    def test_a_guest_that_cannot_hold_who_is_there(self):
        """It is the one that is turned away: QEMU exits with a message, nobody hears of it."""
        server = self.server(vectors=VECTORS)
        peers = [self.peer(server, keep=False) for _ in range(LIMIT // VECTORS)]
        one = self.limited_guest(server)
        self.assertEqual(1, one.wait())
        self.assertIn("ivshmem", one.stderr())
        peers[0].wait_join(peers[-1].id)
        self.assertEqual(len(peers), len(peers[0].table))
        support.wait_for(lambda: "its process (pid %d" % one.pid in server.stderr, what="a line")
        server.stop()


if __name__ == "__main__":
    guest.main()
