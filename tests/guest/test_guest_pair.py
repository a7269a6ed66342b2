#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two guests ring each other and read what the other wrote."""

import guest


class Pair(guest.Test):
    def test_both_ways(self):
        server = self.server(vectors=2)
        first, second = self.guest(server), self.guest(server)
        self.assertEqual((0, 1), (first.peer_id, second.peer_id))
        for turn, (speaker, listener) in enumerate([(first, second), (second, first)] * 2):
            vector = turn % 2
            text = "turn %d from peer %d" % (turn, speaker.peer_id)
            speaker.write(text)
            before = listener.counts().get(vector, 0)
            speaker.ring_until(listener.peer_id, vector,
                               lambda: listener.counts().get(vector, 0) > before)
            self.assertIn("received IRQ on vector %d and full message: %s\n" % (vector, text),
                          listener.output())
            self.assertEqual(text, listener.read())
        first.quit()
        second.quit()
        server.stop()

    def test_far_ends_of_the_memory(self):
        server = self.server()
        first, second = self.guest(server), self.guest(server)
        end = first.size - 16
        first.command("write @%d sixteen bytes !!" % end, "wrote 16 bytes at %d" % end)
        self.assertEqual("sixteen bytes !!", second.read(end))
        second.command("write @%d SIX" % end, "wrote 3 bytes at %d" % end)
        self.assertEqual("SIXteen bytes !!", first.read(end))


if __name__ == "__main__":
    guest.main()
