#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A guest that is killed and started again in its slot has its ID and its eventfds again, and the
other guest hears of nothing: neither leave nor join, which would corrupt its QEMU's heap (malloc
checks are on).
"""

import guest
from guest import support


class Slots(guest.Test):
    def guest_in_slot(self, server, name, *options, **more):
        started = guest.Guest(self.folder, server.socket + "." + name, server.vectors, *options,
                              **more)
        self.addCleanup(started.close)
        return started.boot()

    def rings(self, speaker, listener, vector=0):
        before = listener.counts().get(vector, 0)
        speaker.ring_until(listener.peer_id, vector,
                           lambda: listener.counts().get(vector, 0) > before)

    def test_a_guest_starts_again(self):
        server = self.server("--slot=b=1", vectors=2)
        a = self.guest(server, malloc_check=True)
        b = self.guest_in_slot(server, "b", malloc_check=True)
        witness = self.peer(server)  # it hears all that A hears
        witness.wait_table(lambda table: set(table) == {0, 1, 2})
        known = witness.numbers()
        for turn in range(3):
            self.assertEqual(1, b.peer_id)
            self.rings(a, b, turn % 2)
            self.rings(b, a, turn % 2)
            b.kill()
            b = self.guest_in_slot(server, "b", malloc_check=True)
        self.rings(a, b)
        self.rings(b, a)
        self.assertEqual([], support.readable([witness.sock]), "news of a slot that was known")
        self.assertEqual(known, witness.numbers())
        witness.ring(1)
        b.wait_line("received IRQ on vector 0.*")
        for one in (a, b):
            self.assertEqual("", one.stderr())
            one.quit()
        server.stop()

    def test_a_doorbell_rung_while_it_was_away(self):
        server = self.server("--slot=b=1", vectors=2)
        a = self.guest(server, malloc_check=True)
        path = server.socket + ".b"
        b = self.client(path).ready()
        a.ring_until(1, 0, lambda: (b.pump(), "peer_id=1 vector=0" in b.output())[1])
        for _ in range(3):
            b.eof()
            self.assertEqual(0, b.wait())
            a.command("ring 1 1", "rang peer 1 vector 1")
            b = self.client(path).ready()
            b.expect("receive notification from peer_id=1 vector=1$")
            b.send("int 0 0")
            a.wait_line("received IRQ on vector 0.*")
        a.quit()
        server.stop()

    def test_master(self):
        """QEMU's master=on asks for ID 0, whoever came first: a slot has it."""
        server = self.server("--slot=master=0")
        early = self.guest(server)
        self.assertEqual(1, early.peer_id)
        for _ in range(2):
            master = self.guest_in_slot(
                server, "master", "-chardev", "socket,id=m,path=%s.master" % server.socket,
                "-device", "ivshmem-doorbell,chardev=m,master=on", device=False)
            self.assertEqual(0, master.peer_id)
            self.rings(early, master)
            self.rings(master, early)
            master.kill()
        server.stop()


if __name__ == "__main__":
    guest.main()
