#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Channels and those who do not keep to the rules: requests in somebody else's mailbox, scribbling,
doorbells that are rung without end, filled or made to block, memory that is cut under the daemon.
And who does nothing at all costs nothing.
"""

import fcntl
import os
import random
import struct
import subprocess
import sys
import time

import channels
import support
from channels import BLOCK, CLOSED, LISTEN, OPEN
from varlink import ControlTest

FULL = (1 << 64) - 2  # the largest value of an eventfd's counter

# Rings a doorbell as fast as one process can.
RING = """
import os, struct, sys
one = struct.pack("=Q", 1)
while True:
    try:
        os.write(%d, one)
    except BlockingIOError:
        pass
"""


def fill(fd):
    """Blocks whoever rings: the counter is full, and nobody is told EAGAIN."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        os.read(fd, 8)
    except BlockingIOError:
        pass
    os.write(fd, struct.pack("=Q", FULL))
    fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)


class Test(channels.Test, ControlTest):
    def serves(self, server):
        """Two others get a channel, and everything is given back afterwards."""
        a, b, channel = self.pair(server, port=99)
        a.put(channel, b"as always")
        self.assertEqual(b"as always", b.take(channel))
        self.assertTrue(a.rung() or a.wait_ring())
        a.close()
        b.wait_state(channel, CLOSED)
        b.end(channel)
        b.close()


class Forgery(Test):
    def test_somebody_elses_mailbox(self):
        """A request counts only when the mailbox's owner rings, and its answer shows what it was."""
        server = self.server()
        a, b, villain = [self.speaker(server) for _ in range(3)]
        b.listen(7)
        channel = a.connected(b, 7)
        before = a.reply()
        villain.write_request(77, owner=a.id, operation=channels.CLOSE, channel=channel)
        for _ in range(3):
            villain.ring_daemon()
            villain.must(LISTEN, port=villain.number + 1)  # and it was heard
        self.assertEqual((before, OPEN), (a.reply(), a.entry(channel).state))
        a.ring_daemon()
        reply = a.wait_reply(77)
        self.assertEqual(channels.CLOSE, reply.request["operation"])
        self.assertNotEqual(before.request, reply.request)

    def test_somebody_elses_channels(self):
        server = self.server()
        a, _, channel = self.pair(server)
        villain = self.speaker(server)
        for operation in (channels.CLOSE, channels.ACCEPT, channels.REFUSE, channels.MOVED):
            for number in (channel, 1, 65535, channels.NONE):
                self.assertEqual(channels.NO_CHANNEL,
                                 villain.ask(operation, channel=number).status)
        self.assertEqual(OPEN, a.entry(channel).state)

    def test_a_number_twice(self):
        server = self.server()
        a = self.speaker(server)
        a.listen(7)
        number = a.number
        a.write_request(number, operation=channels.UNLISTEN, port=7)
        a.ring_daemon()
        a.must(LISTEN, port=8)
        b = self.speaker(server)
        b.connect(a.id, 7)


class Scribbling(Test):
    def section(self, speaker):
        """The bytes that are the daemon's: header, replies and peers, entries of channels in use."""
        boxes = [speaker.mailbox(i) for i in range(speaker.header.n_mailboxes)]
        return ([(channels.APART, 40)] +
                [(at + part * channels.APART, channels.APART) for at in boxes for part in (1, 2)] +
                [(speaker.channel_at(i), channels.APART) for i in range(4)])

    def test_is_put_back(self):
        server = self.server()
        a, b, channel = self.pair(server)
        seed = random.randrange(1 << 32)
        for turn in range(5):
            rng = random.Random(seed + turn)
            shown = [bytes(a.memory[at:at + size]) for at, size in self.section(a)]
            for at, size in self.section(a):
                a.memory[at:at + size] = rng.randbytes(size)
            a.memory[0:96] = rng.randbytes(96)

            def right():
                # all but the first words, most of which count publications
                now = [bytes(a.memory[at:at + size]) for at, size in self.section(a)]
                return all(one[4:] == other[4:] for one, other in zip(now, shown))

            support.wait_for(right, what="the section to be put back (seed %d)" % seed)
            self.assertEqual(a.header, channels.Header(*channels.HEADER.unpack_from(a.memory, 0)))
            self.assertEqual(OPEN, b.entry(channel).state)
        self.assertIn("wrote over the control section", server.stderr)
        status = self.control_of(server).status()
        self.assertGreaterEqual(status["counters"]["section_repairs"], 5)
        self.assertGreaterEqual(status["channels"]["repaired_blocks"], 50)
        self.serves(server)

    def control_of(self, server):
        server.control = server.socket + ".ctl"
        return self.control(server)

    def test_at_a_doorbell(self):
        """Long before it is time to look: who asks finds the table right."""
        server = self.server("--channel-interval=1000000")
        a, _, channel = self.pair(server)
        entry = a.entry(channel)
        a.memory[a.channel_at(channel) + 4:a.channel_at(channel) + 80] = b"x" * 76
        a.must(LISTEN, port=5)
        support.wait_for(lambda: a.entry(channel)[3:] == entry[3:])

    def test_storm(self):
        """Processes write anywhere for a while; the tables stay what they are."""
        server = self.server()
        a, b, channel = self.pair(server)
        code = ("import mmap, os, random\nm = mmap.mmap(%d, 0)\nr = random.Random(%d)\n"
                "while True:\n at = r.randrange(len(m) - 64)\n m[at:at + 64] = r.randbytes(64)\n"
                " at = r.randrange(%d)\n m[at:at + 8] = r.randbytes(8)\n")
        villains = [subprocess.Popen(
            [sys.executable, "-c", code % (a.shm, i, a.header.data_offset - 8)], pass_fds=[a.shm],
            preexec_fn=support.die_with_parent) for i in range(2)]
        try:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                for peer in (a, b):
                    peer.number += 1
                    peer.write_request(peer.number, operation=random.randrange(9), channel=0, port=3,
                                       size=BLOCK)
                    peer.ring_daemon()
                time.sleep(0.001)
        finally:
            for villain in villains:
                villain.kill()
                villain.wait()
        self.assertIsNone(server.process.poll())
        for peer in (a, b):
            peer.close()
        support.wait_for(lambda: self.control_of(server).list_channels()["channels"] == [])
        self.serves(server)
        self.assertIn(channel, range(256))


class Doorbells(Test):
    def test_rung_without_end(self):
        server = self.server()
        villain = self.speaker(server, hello=False)
        bell = villain.table[villain.header.n_mailboxes][0]
        ringer = subprocess.Popen([sys.executable, "-c", RING % bell], pass_fds=[bell],
                                  preexec_fn=support.die_with_parent)
        self.addCleanup(ringer.wait)
        self.addCleanup(ringer.kill)
        for _ in range(5):
            self.serves(server)
        before, start = channels.cpu_seconds(server.pid), time.monotonic()
        time.sleep(0.5)
        print("\n%.0f %% of a processor while one rings without end" % (
            100 * (channels.cpu_seconds(server.pid) - before) / (time.monotonic() - start)))
        villain.hello()

    def test_made_to_block(self):
        """Its own for the daemon, and its own for everybody."""
        server = self.server()
        a, b, channel = self.pair(server)
        for fd in (a.table[a.header.n_mailboxes][0], a.table[a.id][0]):
            fill(fd)
        self.serves(server)
        for port in range(10, 15):
            a.must(LISTEN, port=port)  # each answer is to be rung
        self.serves(server)
        os.read(a.table[a.id][0], 8)
        a.must(LISTEN, port=20)
        a.wait_ring()
        b.end(channel)
        a.wait_state(channel, CLOSED)
        server.stop()

    def test_nobody_is_there(self):
        """No timer runs and nobody wakes up when nobody is there; and then it goes on."""
        server = self.server("--channel-interval=1")
        self.serves(server)
        support.wait_for(lambda: server.stderr.count(" left") == 2)

        def quiet():
            before = channels.wake_ups(server.pid)
            time.sleep(1.2)  # longer than an interval
            return channels.wake_ups(server.pid) == before

        support.wait_for(quiet, what="the daemon to sleep")
        self.serves(server)

    def test_idle_channels_cost_a_look_now_and_then(self):
        server = self.server("--channel-interval=1")
        self.pair(server)
        before, start = channels.wake_ups(server.pid), time.monotonic()
        time.sleep(1.5)
        self.assertLessEqual(channels.wake_ups(server.pid) - before,
                             8 + 2 * (time.monotonic() - start))


class Cut(Test):
    def test_under_the_daemon(self):
        server = self.server()
        a, b, channel = self.pair(server)
        entry = a.entry(channel)
        size = os.stat(server.shm).st_size
        for left in (0, BLOCK, 3 * BLOCK):
            bell = a.table[a.header.n_mailboxes][0]
            os.truncate(server.shm, left)
            for _ in range(20):
                os.write(bell, struct.pack("=Q", 1))
            support.wait_for(lambda: os.stat(server.shm).st_size == size)
            # what was cut off is zero, and then what it has to be
            support.wait_for(lambda: a.entry(channel)[3:] == entry[3:])
            self.assertEqual(a.header, channels.Header(*channels.HEADER.unpack_from(a.memory, 0)))
        a.hello()
        b.wait_state(channel, CLOSED)
        self.serves(server)
        server.stop()

    def test_holes(self):
        """Sealed memory cannot be cut; pages that are given back are zero, and filled again."""
        server = self.server("--sealed")
        a, b, channel = self.pair(server)
        entry = a.entry(channel)
        self.assertEqual(0, support.libc.fallocate(
            a.shm, 3, support.ctypes.c_long(0), support.ctypes.c_long(a.header.data_offset)))
        support.wait_for(lambda: b.entry(channel)[3:] == entry[3:])
        self.assertEqual(a.header, channels.Header(*channels.HEADER.unpack_from(a.memory, 0)))
        with self.assertRaises(OSError):
            os.ftruncate(a.shm, 0)
        self.serves(server)


if __name__ == "__main__":
    support.main()
