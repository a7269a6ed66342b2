#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A guest that knows nothing of channels, on a server that has them: it boots and works as before, its
QEMU's heap stays whole while others come and go, and they use channels around it.
"""

import guest
from guest import support

import channels


class Channels(guest.Test, channels.Test):
    def test_works_as_before(self):
        server = self.server("--mailboxes=4", vectors=2)
        a = self.guest(server, malloc_check=True)
        b = self.guest(server, malloc_check=True)
        self.assertEqual((0, 1), (a.peer_id, b.peer_id))
        for speaker, listener in ((a, b), (b, a)):
            before = listener.counts().get(1, 0)
            speaker.ring_until(listener.peer_id, 1,
                               lambda: listener.counts().get(1, 0) > before)
        for _ in range(3):  # IDs 2 and 3 again and again
            one, other, channel = self.pair(server)
            self.assertEqual({2, 3}, {one.id, other.id})
            one.put(channel, b"around the guests")
            self.assertEqual(b"around the guests", other.take(channel))
            one.ring(a.peer_id)
            a.wait_line("received IRQ on vector 0.*")
            a.ring_until(other.id, 0, other.rung)
            for peer in (one, other):
                peer.close()
            a.command("ring 4 0", "rang peer 4 vector 0")  # the server: it has nothing to do
        self.assertTrue(self.speaker(server).block(0).present)
        for machine in (a, b):
            self.assertEqual("", machine.stderr())
            machine.quit()
        server.stop()


if __name__ == "__main__":
    guest.main()
