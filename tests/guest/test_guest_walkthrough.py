#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The walk-through of Zephyr's ivshmem doorbell sample with our tools and nothing else: the script for
the message, then `dump` and `int` in a client.
"""

import os

import guest
import support

SCRIPT = os.path.join(support.TOP, "client/examples/write_shared_memory.sh")


class WalkThrough(guest.Test):
    def write(self, server, text):
        size = os.stat(server.shm).st_size
        result = support.run("sh", SCRIPT, "-s", size, "-l", server.shm, "-m", text,
                             env=dict(os.environ, IVSHMEM_CLIENT=support.CLIENT))
        self.assertEqual((0, "", ""), (result.returncode, result.stdout, result.stderr))
        self.assertEqual(size, os.stat(server.shm).st_size)

    def expect(self, one, text):
        one.wait_line("received IRQ on vector 0 and full message: " + text)

    def test_at_the_prompt(self):
        server = self.server(vectors=2)
        one = self.guest(server)
        self.write(server, "hello world")
        client = self.client(server).ready()
        self.assertEqual((1, {0: 2, 1: 2}), guest.dump(client))
        client.send("int 0 0")
        self.expect(one, "hello world")
        self.write(server, "hi")  # nothing of the longer one is left
        client.send("int 0 0")
        self.expect(one, "hi")
        one.quit()

    def test_in_a_script(self):
        server = self.server(vectors=2)
        one = self.guest(server)
        self.write(server, "from a script")
        dump = support.run(support.CLIENT, "-S", server.socket, "dump")
        self.assertIn("peer_id = 0\n  vector 0 is enabled\n", dump.stdout)
        ring = support.run(support.CLIENT, "-S", server.socket, "int", 0, 0)
        self.assertEqual((0, ""), (ring.returncode, ring.stderr))
        self.expect(one, "from a script")
        one.quit()


if __name__ == "__main__":
    guest.main()
