#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Short-lived clients by the ten thousand, while a guest and a host stay. QEMU frees a peer's eventfd
array when the peer leaves and never allocates it again, so an ID that left must not come back to
it; but there are 65536 IDs only. When they run short, leaves are withheld, and an ID comes back
with its eventfds, unannounced.

Variable: IVSHMEM_TEST_VISITS (default 70000).
"""

import os
import subprocess

import guest
from guest import support

VISITS = int(os.environ.get("IVSHMEM_TEST_VISITS", "70000"))
WORKERS = 2
HELPER = os.path.join(os.environ.get("top_builddir") or os.path.join(support.TOP, "build"),
                      "tests/guest/come_and_go")


class Witness:
    """A peer on the host that hears all that the guest hears, and checks the rule."""

    def __init__(self, peer):
        self.peer = peer
        self.here = set(peer.table)
        self.left = set()

    def listen(self):
        while support.readable([self.peer.sock]):
            value, fd = self.peer.receive()
            if fd is None:
                assert value in self.here, "peer %d left and was not here" % value
                self.here.remove(value)
                self.left.add(value)
            else:
                assert value not in self.left, "ID %d left and came back" % value
                assert value not in self.here, "ID %d came twice" % value
                self.here.add(value)
                number = support.eventfd_id(fd)
                os.close(fd)
                self.peer.table[value] = [number]


class Wear(guest.Test):
    def setUp(self):
        if not os.access(HELPER, os.X_OK):
            self.skipTest("no %s: make check builds it" % HELPER)
        super().setUp()

    def visit(self, server, count, witness):
        """So many visits by two programs at once; returns the highest ID that one of them had."""
        workers = []
        for _ in range(WORKERS):
            worker = subprocess.Popen(
                [HELPER, server.socket, str(count // WORKERS)], text=True, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, preexec_fn=support.die_with_parent)
            self.addCleanup(worker.communicate)
            self.addCleanup(worker.kill)
            workers.append(worker)

        def over():
            witness.listen()
            return all(worker.poll() is not None for worker in workers)

        support.wait_for(over, 5 * support.DEADLINE, "the visits to end")
        highest = 0
        for worker in workers:
            self.assertEqual(0, worker.returncode, worker.stderr.read())
            highest = max(highest, int(worker.stdout.read().split()[1]))
        return highest

    def ring_both_ways(self, one, peer):
        one.ring_until(peer.id, 0, peer.rung)
        peer.wait_ring()
        before = one.counts().get(0, 0)
        peer.ring(one.peer_id)
        support.wait_for(lambda: one.counts().get(0, 0) > before, guest.ANSWER, "an interrupt")

    def test_the_guest_lives(self):
        server = self.server("--log-level=warning")
        one = self.guest(server, malloc_check=True)
        witness = Witness(self.peer(server, keep=False))
        highest = self.visit(server, VISITS, witness)
        if VISITS >= 70000:
            self.assertGreater(highest, 64000)
        self.assertTrue(one.running(), one.stderr())

        newcomers = []
        for _ in range(20):
            newcomers.append(self.peer(server))
            here = {0, 1, *(peer.id for peer in newcomers)}
            newcomers[-1].wait_table(lambda table: set(table) == here)
            self.ring_both_ways(one, newcomers[-1])
        support.wait_for(lambda: (witness.listen() or True) and {p.id for p in newcomers}
                         <= witness.here, what="the witness to hear of the newcomers")
        for peer in newcomers:  # the same doorbells, whether it heard of the ID now or long ago
            self.assertEqual(peer.numbers()[peer.id], witness.peer.table[peer.id])

        gone = newcomers.pop()
        gone.close()
        again = self.peer(server)
        self.ring_both_ways(one, again)
        self.assertEqual([], support.readable(
            [fd for peer in newcomers for fd in peer.table[peer.id]]), "a doorbell went astray")
        one.quit()
        server.stop()


if __name__ == "__main__":
    guest.main()
