#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A paused virtual machine: its QEMU reads nothing while hundreds of clients come and go. It is not
disconnected, the others do not notice, and when it goes on it knows who is there.
"""

import guest

CLIENTS = 300
VECTORS = 8


class Paused(guest.Test):
    def test_it_goes_on_with_the_true_table(self):
        server = self.server("--log-level=info", vectors=VECTORS)
        one = self.guest(server, malloc_check=True)
        pair = [self.peer(server, keep=False), self.peer(server)]
        early = self.peer(server)  # the guest has heard of it, and it leaves during the pause
        one.ring_until(early.id, 0, early.rung)
        one.pause()
        stay = []
        for turn in range(CLIENTS):
            peer = self.peer(server, keep=False)
            pair[0].wait_join(peer.id)
            if turn % 100 == 99:
                stay.append(peer)
            else:
                peer.close()
                pair[0].wait_leave(peer.id)
        early.close()
        pair[0].wait_leave(early.id)
        late = self.peer(server)
        pair[0].wait_join(late.id)
        self.assertIn(0, late.table)  # the paused one is still a peer
        late.ring(0, 1)
        self.assertNotIn("peer 0 disconnected", server.stderr)
        self.assertNotRegex(server.stderr, r"peer 0\b.* left")

        one.resume()
        one.wait_line("received IRQ on vector 1.*")  # the doorbell waited for it
        one.ring_until(late.id, VECTORS - 1, lambda: late.rung(VECTORS - 1))
        latest = self.peer(server)
        one.ring_until(latest.id, 0, latest.rung)
        latest.ring(0, 2)
        one.wait_line("received IRQ on vector 2.*")
        ids = {0, pair[0].id, pair[1].id, late.id, latest.id, *(peer.id for peer in stay)}
        for peer in pair:
            peer.wait_table(lambda table: set(table) == ids)
        self.assertEqual("", one.stderr())
        one.quit()
        server.stop()

    def test_started_while_others_come_and_go(self):
        """Stopped while it is greeted, it boots when it goes on."""
        server = self.server(vectors=64)
        stay = [self.peer(server, keep=False) for _ in range(8)]
        one = self.start_guest(server, malloc_check=True)
        stay[0].wait_table(lambda table: 8 in table, guest.BOOT)
        one.pause()
        for _ in range(50):
            peer = self.peer(server, keep=False)
            stay[0].wait_join(peer.id)
            peer.close()
            stay[0].wait_leave(peer.id)
        late = self.peer(server)
        one.resume()
        one.boot()
        one.ring_until(late.id, 63, lambda: late.rung(63))
        self.assertTrue(one.running())
        one.quit()
        server.stop()


if __name__ == "__main__":
    guest.main()
