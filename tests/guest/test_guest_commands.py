#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The guest itself: its commands do what they say and stay in bounds, and it sleeps when idle."""

import time

import guest

MIB = 1 << 20


class Commands(guest.Test):
    def test_memory_to_its_last_byte(self):
        server = self.server(size=MIB)
        one = self.guest(server)
        self.assertEqual((0, MIB, 1), (one.peer_id, one.size, one.vectors))
        one.write("to the host")
        self.assertEqual(b"to the host\0", guest.read_host(server, 12))
        one.command(r"write @0x100 \x00\xff\\", "wrote 3 bytes at 256")
        self.assertEqual(b"\x00\xff\\\0", guest.read_host(server, 4, 0x100))
        one.command("read @0x100 4", r"read @256: \\x00\\xff\\\\\\x00")

        one.command("write @%d xy" % (MIB - 2), "wrote 2 bytes at %d" % (MIB - 2))
        self.assertEqual("xy", one.read(MIB - 2))
        one.command("write @%d xyz" % (MIB - 2), "error: 3 bytes at %d do not fit.*" % (MIB - 2))
        one.command("read @%d 3" % (MIB - 2), "error: 3 bytes at %d reach past.*" % (MIB - 2))
        one.command("read @%d" % MIB, "error: bad offset.*")
        one.command("read @99999999999999999999", "error: bad offset.*")
        one.command("read @0 1025", "error: bad length.*")
        one.command(r"write \x", "error: bad escape.*")
        one.quit()

    def test_doorbell_to_itself(self):
        one = self.guest(self.server(vectors=3))
        one.write("me")
        one.command("ring 0 2", "rang peer 0 vector 2")
        one.wait_line("received IRQ on vector 2 and full message: me")
        self.assertEqual({2: 1}, one.counts())
        one.command("ring 65536 0", "error: bad peer.*")
        one.command("ring 0 256", "error: bad vector.*")
        one.command("ring 0", "error: bad vector.*")
        one.command("ring 0 0 0", "error: bad vector.*")

    def test_odd_lines(self):
        one = self.guest(self.server())
        one.command("sing", "error: unknown command, try help")
        one.command("reading", "error: unknown command, try help")
        one.command("write " + "x" * 5000, "error: a line has at most 1023 bytes")
        one.command("\r\n  id", "ivshmem guest: peer ID 0, .*")
        one.command("help", "quit: .*")

    def test_memory_above_4_gib(self):
        """Where the firmware places it there, the guest still reaches all of it."""
        size = 8 << 30
        server = self.server("--no-reserve", size=size)
        one = self.guest(server)
        self.assertEqual(size, one.size)
        one.command("write @%d far" % (size - 3), "wrote 3 bytes at %d" % (size - 3))
        self.assertEqual(b"far", guest.read_host(server, 3, size - 3))

    def test_sleeps_when_idle_and_survives_a_pause(self):
        one = self.guest(self.server())

        def sleeps():
            before = one.cpu_seconds()
            time.sleep(1)  # what we measure is a second in which nothing happens
            return one.cpu_seconds() - before < 0.3

        guest.support.wait_for(sleeps, what="an idle guest to sleep")
        one.pause()
        one.send("id")
        one.resume()
        one.wait_line("ivshmem guest: peer ID 0, .*")

    def test_without_a_device(self):
        """The guest says what is wrong, and QEMU's exit status tells."""
        lost = guest.Guest(self.folder, None, device=False)
        self.addCleanup(lost.close)
        self.assertEqual(1, lost.wait())
        self.assertRegex(lost.output(), "^ivshmem guest: error: no ivshmem device .*\n$")

    def test_without_interrupts(self):
        plain = guest.Guest(
            self.folder, None, 1, "-object", "memory-backend-ram,id=memory,size=1M,share=on",
            "-device", "ivshmem-plain,memdev=memory", device=False)
        self.addCleanup(plain.close)
        self.assertEqual(1, plain.wait())
        self.assertRegex(plain.output(), "^ivshmem guest: error: .*MSI-X.*\n$")


if __name__ == "__main__":
    guest.main()
