#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The session of Zephyr's ivshmem doorbell sample: on the host, `dump` shows the guest, a message goes
into the shared memory, `int` rings, and the guest prints the message.
"""

import guest


class Session(guest.Test):
    def session(self, vectors, size=None):
        server = self.server(vectors=vectors, size=size)
        one = self.guest(server)
        self.assertEqual((0, size or 4 << 20, vectors), (one.peer_id, one.size, one.vectors))
        client = self.client(server).ready()
        self.assertEqual((1, {0: vectors, 1: vectors}), guest.dump(client))

        for vector in range(vectors):
            text = "hello on vector %d" % vector
            guest.write_host(server, text)
            client.send("int 0 %d" % vector)
            one.wait_line("received IRQ on vector %d and full message: %s" % (vector, text))
        self.assertEqual({vector: 1 for vector in range(vectors)}, one.counts())

        client.send("int 0 all")
        guest.support.wait_for(
            lambda: one.counts() == {vector: 2 for vector in range(vectors)}, what="all vectors")
        one.quit()
        server.stop()

    def test_1_vector(self):
        self.session(1)

    def test_2_vectors_in_a_page(self):
        self.session(2, size=4096)

    def test_8_vectors(self):
        self.session(8)

    def test_piped(self):
        """A script that pipes its commands in must not be too fast for the peer table."""
        server = self.server()
        one = self.guest(server)
        guest.write_host(server, "hello world")
        client = guest.support.run_client(server.socket, "int 0 0\n")
        self.assertEqual(0, client.code)
        one.wait_line("received IRQ on vector 0 and full message: hello world")


if __name__ == "__main__":
    guest.main()
