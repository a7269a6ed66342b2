#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Channels across the daemon's death: killed and started again by a stand-in for the service manager,
or executed again. Channels go on, what was asked meanwhile is answered, and who was lost is gone.
"""

import os
import random
import signal
import sys
import time

import channels
import manager
import support
from channels import BLOCK, CLOSED, CONNECT, LISTEN, OFFERED, OPEN
from test_reexec import REAL_SERVER, Program

# From the end of the state: records of 65536 rings and 4096 peers, the header, and what is before.
STATE_TABLES = 65536 * 160 + 4096 * 1536 + 4096

# A program that damages the numbers in front of the tables of the copy, and asks the real one.
DAMAGED = """#!%s
import os, sys
for line in open("/proc/self/fd/" + os.environ["IVSHMEM_INHERIT"]):
    fd, name = line.split()
    if name == "state":
        fd = int(fd)
        start = os.fstat(fd).st_size - %d
        for page in range(start - 8 * 4096, start, 4096):
            version, mailboxes = (int.from_bytes(os.pread(fd, 4, page + at), "little")
                                  for at in (0, 4))
            if (version, mailboxes) == (1, 64):
                os.pwrite(fd, (65).to_bytes(4, "little"), page + 4)
                os.pwrite(fd, (99999999).to_bytes(4, "little"), page + 8)
os.execv(%r, sys.argv)
"""

ROUNDS = 100 if os.environ.get("IVSHMEM_TEST_LONG") else 15


class Killed(manager.Test, channels.Test):
    count = 0

    def service(self, *options):
        Killed.count += 1
        self.vectors = 2
        self.socket = self.path("socket-%d" % Killed.count)
        service = self.manager(
            [support.SERVER, "-F", "--fd-store", "-S", self.socket, "-n", "2", "--channels",
             *options], sockets={"peers": self.socket})
        return service.start()

    def test_channels_go_on(self):
        service = self.service()
        a, b, channel = self.pair(self)
        a.put(channel, b"before")
        offered = a.connect(b.id, 1).channel
        instance = a.header.instance
        for _ in range(3):
            service.restart()
            self.assertEqual(OPEN, a.entry(channel).state)
            self.assertEqual(OFFERED, a.entry(offered).state)
        self.assertEqual(instance, channels.Header(
            *channels.HEADER.unpack_from(a.memory, 0)).instance)
        self.assertEqual(b"before", b.take(channel))
        b.accept(offered)
        a.wait_state(offered, OPEN)
        support.wait_for(lambda: service.status == "2 peers and 2 channels on " + self.socket)
        a.put(offered, b"after")
        self.assertEqual(b"after", b.take(offered))
        c = self.speaker(self)
        c.listen(9)
        a.connected(c, 9)
        a.close()
        self.assertEqual(channels.PEER_GONE, b.wait_state(channel, CLOSED).status)

    def test_asked_while_it_was_away(self):
        service = self.service()
        a, b, channel = self.pair(self)
        service.kill()
        number = a.post(LISTEN, port=77)
        closing = b.post(channels.CLOSE, channel=channel)
        a.memory[a.channel_at(channel):a.channel_at(channel) + 64] = b"x" * 64
        service.start()
        self.assertEqual(channels.OK, a.wait_reply(number).status)
        self.assertEqual(channels.OK, b.wait_reply(closing).status)
        self.assertEqual(channels.PEER_CLOSED, a.wait_state(channel, CLOSED).status)
        b.connect(a.id, 77)

    def test_left_while_it_was_away(self):
        service = self.service()
        a, b, channel = self.pair(self)
        service.kill()
        a.close()
        service.start()
        self.assertEqual(channels.PEER_GONE, b.wait_state(channel, CLOSED).status)
        support.wait_for(lambda: not b.block(0).present)

    def test_stored(self):
        """Exactly one private doorbell for each peer, under its socket's number."""
        service = self.service()
        peers = [self.speaker(self) for _ in range(3)]
        peers[1].close()
        support.wait_for(lambda: len(service.names("socket")) == 2)

        def bells():
            names = service.names()
            return {n[1:] for n in names if n[0] == "p"} == {n[1:] for n in names if n[0] == "s"
                                                              and n != "state"}

        support.wait_for(bells, what="as many doorbells as sockets: %s" % service.names())
        service.restart()
        support.wait_for(bells)

    def test_lost_doorbell(self):
        """A peer that could ask for nothing any more is given up; the others see its end."""
        service = self.service()
        a, b, channel = self.pair(self)
        service.kill()
        lost = sorted(name for name in service.names() if name[0] == "p")[0]
        self.assertEqual(1, service.drop(lost))
        service.start()
        a.wait_hang_up()
        self.assertEqual(channels.PEER_GONE, b.wait_state(channel, CLOSED).status)
        self.assertIn("did not come back", service.log())

    def test_other_options_wait(self):
        service = self.service()
        a, _, channel = self.pair(self)
        command = list(service.command)
        for options in (["--mailboxes=9"], ["--max-channels=99"], None):
            service.command = command + options if options else [
                word for word in command if word != "--channels"]
            service.restart()
            self.assertIn("stay until a start with none", service.log())
            self.assertEqual(OPEN, a.entry(channel).state)
            a.must(LISTEN, port=100 + len(service.log()))
        a.close()

    def test_killed_at_any_moment(self):
        service = self.service("--max-channels=16")
        a, b = self.speaker(self), self.speaker(self)
        b.listen(1)
        rng = random.Random(service.seed)
        for _ in range(ROUNDS):
            number = a.post(CONNECT, peer=b.id, port=1, size=BLOCK, reverse_size=BLOCK)
            time.sleep(rng.random() * 0.002)
            service.restart()
            reply = a.wait_reply(number)
            self.assertEqual(channels.OK, reply.status, "seed %d" % service.seed)
            accepting = b.post(channels.ACCEPT, channel=reply.channel)
            time.sleep(rng.random() * 0.002)
            service.restart()
            self.assertEqual(channels.OK, b.wait_reply(accepting).status)
            a.wait_state(reply.channel, OPEN)
            a.end(reply.channel)
            b.end(reply.channel)
            self.assertEqual([], a.entries())
        self.assertEqual(0, a.counts().active)


class Reexecuted(Program, channels.Test):
    def test_again_and_again(self):
        server = self.server(vectors=2)
        a, b, channel = self.pair(server)
        a.put(channel, b"kept")
        for turn in range(3):
            self.reexec(server)
            number = a.post(LISTEN, port=50 + turn)
            self.assertEqual(channels.OK, a.wait_reply(number).status)
            self.assertEqual(OPEN, b.entry(channel).state)
            b.connect(a.id, 50 + turn)
        self.assertEqual(b"kept", b.take(channel))
        newcomer = self.speaker(server)
        newcomer.listen(5)
        b.connected(newcomer, 5)
        server.stop()

    def test_tables_that_cannot_be(self):
        """The trial finds them in the copy and says no, and the old program goes on."""
        server = self.server()
        a, b, channel = self.pair(server)
        self.install(text=DAMAGED % (sys.executable, STATE_TABLES, REAL_SERVER))
        server.send_signal(signal.SIGUSR2)
        support.wait_for(lambda: "cannot carry on" in server.stderr)
        self.assertEqual(OPEN, b.entry(channel).state)
        a.must(LISTEN, port=3)
        server.stop()


if __name__ == "__main__":
    support.main()
