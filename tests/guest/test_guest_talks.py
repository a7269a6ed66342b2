#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The guest talks through channels: with a process on the host (talker.py) and with another guest, as
the one who connects and as the one who listens, in messages larger than the rings; while rings move,
while the server is away, and until one of the two is killed.
"""

import itertools
import signal
import time

import guest  # first: it knows where the others are
from guest import support

import channels
import manager
import talker
from varlink import ControlTest, VarlinkError

SIZE = 16384  # of a ring
CONNECTED = r"channel (\d+) with peer (\d+), port (\d+): sends through (\d+) bytes, receives " \
            r"through (\d+)"


def streamed(number, size):
    """What the guest's `stream` sends as message number."""
    return bytes((31 * number + 7 * i + i // 256) & 255 for i in range(size))


def messages(count, size):
    return [bytes([number & 255]) * (size + number) for number in range(count)]


class Test(guest.Test, talker.Test):
    def server(self, *options, **more):
        return talker.Test.server(self, *options, **more)

    def connected(self, server, connector_is_guest=True, size=SIZE, flags=0, port=7):
        """A guest and a host process with a connection."""
        one, host = self.guest(server), self.talker(server)
        if connector_is_guest:
            host.listen(port)
            one.send("connect %d %d %d %d %d" % (host.id, port, size, size, flags))
            host.take_offer(port)
        else:
            one.command("listen %d" % port, "listening on port %d" % port)
            one.send("accept %d" % port)
            host.call(one.peer_id, port, size, flags=flags)
        found = one.wait_line(CONNECTED)
        self.assertEqual([host.first, host.id, port, size, size], [int(n) for n in found.groups()])
        return one, host

    def converse(self, one, host, count=10, size=3 * SIZE, **more):
        """Messages of several rings' size there and back at the same time."""
        sent = messages(count, size)
        one.send("echo %d" % count)
        try:
            got = host.transfer(sent, count, **more)
        except AssertionError as error:
            raise AssertionError("%s; the guest: %r" % (error, one.output()[-500:])) from None
        self.assertTrue(sent == got, "what came back is the same")
        one.wait_line("echoed %d messages" % count)


class Talks(Test, ControlTest):
    def test_guest_connects(self):
        server = self.server(vectors=2)
        one, host = self.connected(server)
        one.command("send hello from the guest", "sent 20 bytes")
        self.assertEqual([b"hello from the guest"], host.transfer(count=1))
        one.send("recv")
        host.transfer([b"hello from the host\0\xff"])
        one.wait_line(r"received 21 bytes: hello from the host\\x00\\xff")
        host.transfer([b""])
        one.command("recv", "received 0 bytes: ")
        one.command("channels", "channel 0: open, peer 0 to peer 1, port 7, ring of 16384 bytes.*")
        self.assertNotIn("received IRQ", one.output())  # those interrupts are the channel's
        self.converse(one, host)
        one.command("close", "closed")
        with self.assertRaises(talker.Ended) as end:
            host.transfer(count=1)
        self.assertEqual(channels.PEER_CLOSED, end.exception.status)
        host.hang_up()
        self.assertEqual([], host.entries())
        one.quit()
        server.stop()

    def test_guest_listens(self):
        one, host = self.connected(self.server(), connector_is_guest=False)
        self.converse(one, host)
        host.hang_up()
        one.command("recv", "error: the peer has closed")
        one.command("send x", "error: the peer has closed")
        one.command("close", "closed")
        one.send("refuse 7")
        with self.assertRaises(talker.Ended) as end:
            host.call(one.peer_id, 7, SIZE)
        self.assertEqual(channels.REFUSED, end.exception.status)
        one.wait_line("refused")
        one.send("accept")  # and once more
        host.call(one.peer_id, 7, 2 * SIZE, reverse=SIZE)
        one.wait_line(CONNECTED)
        self.converse(one, host)

    def test_streams(self):
        """Many messages one way: small ones, and some of many times the ring's size."""
        one, host = self.connected(self.server(), size=4096)
        for count, size in ((500, 60), (60, 1000), (5, 70000)):
            expected = [streamed(number, size) for number in range(count)]
            one.send("stream %d %d" % (count, size))
            self.assertTrue(expected == host.transfer(count=count), "%d bytes" % size)
            one.wait_line("streamed %d messages" % count)
            one.send("sum %d" % count)
            host.transfer(expected)
            one.wait_line("summed %d messages, %d bytes, CRC-32C %d" % (
                count, count * size, talker.crc32c(b"".join(expected))))

    def test_checksums(self):
        one, host = self.connected(self.server(), flags=1)
        self.converse(one, host, 3, 20000)
        host.transfer([b"spoiled"])
        at = host.out.at + 8 * (host.out.place - 2) + 8  # a record of two units
        self.assertEqual(b"spoiled", host.memory[at:at + 7])
        host.memory[at:at + 1] = b"S"
        host.transfer([b"whole"])
        one.command("recv", "error: a piece with a wrong checksum")
        one.command("recv", "received 5 bytes: whole")

    def test_one_way_only(self):
        server = self.server()
        one, host = self.guest(server), self.talker(server)
        host.listen(3)
        one.send("connect %d 3 8192 0" % host.id)
        host.take_offer(3)
        one.wait_line(CONNECTED)
        one.command("recv", "error: there is no channel to receive from")
        one.command("send there", "sent 5 bytes")
        self.assertEqual([b"there"], host.transfer(count=1))

    def test_rings_move(self):
        """The server makes the rings larger and smaller while messages are under way in both."""
        server = self.serve()
        control = self.control(server)
        one, host = self.connected(server, size=8192)
        sizes = itertools.cycle([12288, 8192, 65536, 20480])

        def resize():
            size = next(sizes)
            for entry in host.entries():
                try:
                    control.resize(channel=entry.number, size=size)
                except VarlinkError:  # it is being moved
                    continue

        for _ in range(50):
            self.converse(one, host, 10, 20000, between=resize)
            if min(entry.ring_generation for entry in host.entries()) >= 12:
                break
        else:
            self.fail("rings do not move: %s" % host.entries())
        self.converse(one, host, 2, 20000)

    def test_memory_above_4_gib(self):
        """Where the firmware places it there, the guest sees the first half GiB of it."""
        one, host = self.connected(self.server("--no-reserve", size=8 << 30))
        self.converse(one, host)

    def test_waiting_costs_nothing(self):
        one, host = self.connected(self.server())
        one.send("recv")
        support.wait_for(lambda: host.out.load(host.out.others + 4) % 2, what="the guest to sleep")

        def idle_second():
            before = one.cpu_seconds()
            time.sleep(1)  # what we measure is a second in which nothing happens
            return one.cpu_seconds() - before < 0.3

        support.wait_for(idle_second, what="a second without work")
        host.transfer([b"awake"])
        one.wait_line("received 5 bytes: awake")
        one.command("recv\nx", "error: stopped by a key")

    def test_errors(self):
        server = self.server(vectors=2)
        one, host = self.guest(server), self.talker(server)
        one.command("hello 1", "hello on vector 1")
        one.command("hello 2", "error: bad number.*")
        one.command("send x", "error: there is no channel to send in")
        one.command("recv", "error: there is no channel to receive from")
        one.command("close", "error: there is no connection")
        one.command("connect %d 9" % host.id, "error: the peer does not listen on that port")
        one.command("connect 9 9", "error: no such peer")
        one.command("connect 1 9 0", "error: bad request")
        one.command("listen 0", "error: bad request")
        one.command("listen 5", "listening on port 5")
        one.command("listen 5", "error: port in use")
        one.command("channels", "0 of 256 channels in use, 64 mailboxes, .*")

    def test_no_channels(self):
        one = self.guest(support.Test.server(self))
        one.command("listen 1", "error: there are no channels in this memory: .*")
        one.command("channels", "error: there are no channels in this memory: .*")


class Ends(Test):
    def test_guest_is_killed(self):
        """The host takes what is left in the ring, and then sees why nothing more comes."""
        server = self.server()
        one, host = self.connected(server)
        one.command("stream 10 1000", "streamed 10 messages")
        one.kill()
        host.wait_state(host.first, channels.CLOSED)
        self.assertTrue([streamed(i, 1000) for i in range(10)] == host.transfer(count=10))
        with self.assertRaises(talker.Ended) as end:
            host.transfer(count=1)
        self.assertEqual(channels.PEER_GONE, end.exception.status)
        host.hang_up()
        self.assertEqual([], host.entries())
        other = self.guest(server)  # and the next one is as good
        host.listen(8)
        other.send("connect %d 8" % host.id)
        host.take_offer(8)
        other.wait_line(CONNECTED)
        self.converse(other, host)

    def test_host_is_killed(self):
        one, host = self.connected(self.server())
        host.transfer([b"last words"])
        host.close()
        one.command("recv", "received 10 bytes: last words")
        one.command("recv", "error: the peer is gone")
        one.command("close", "closed")

    def test_guest_is_killed_while_the_host_waits(self):
        one, host = self.connected(self.server())
        one.send("echo 1000")
        with self.assertRaises(talker.Ended) as end:
            host.transfer(messages(1000, SIZE), 1000, between=one.kill)
        self.assertEqual(channels.PEER_GONE, end.exception.status)


class TwoGuests(Test):
    def test_talk_to_each_other(self):
        server = self.server(vectors=2)
        a, b = self.guest(server), self.guest(server)
        b.command("hello 1", "hello on vector 1")
        b.command("listen 77", "listening on port 77")
        b.send("accept")
        found = a.command("connect %d 77 8192" % b.peer_id, CONNECTED)
        self.assertEqual(["0", "1", "77", "8192", "8192"], list(found.groups()))
        b.wait_line(CONNECTED)
        for speaker, listener in ((a, b), (b, a), (a, b)):
            listener.send("recv")
            speaker.command("send from peer %d" % speaker.peer_id, "sent 11 bytes")
            listener.wait_line("received 11 bytes: from peer %d" % speaker.peer_id)
        for count, size in ((200, 300), (20, 50000)):
            data = b"".join(streamed(number, size) for number in range(count))
            b.send("sum %d" % count)
            a.command("stream %d %d" % (count, size), "streamed %d messages" % count)
            b.wait_line("summed %d messages, %d bytes, CRC-32C %d" % (
                count, count * size, talker.crc32c(data)))
        b.command("close", "closed")
        a.command("recv", "error: the peer has closed")
        a.command("close", "closed")
        a.quit()
        b.quit()
        server.stop()


class Restarts(manager.Test, Test):
    """The guest and the host notice nothing of it."""

    def test_server_is_killed(self):
        self.vectors, self.socket = 1, self.path("socket")
        service = self.manager([support.SERVER, "-F", "--fd-store", "-S", self.socket, "-n", "1",
                                "--channels"], sockets={"peers": self.socket}).start()
        one, host = self.connected(self)
        restarts = []

        def restart():
            if len(restarts) < 3:
                restarts.append(service.restart())

        self.converse(one, host, between=restart)
        self.assertEqual(3, len(restarts))
        service.kill()
        self.converse(one, host)  # without any server
        one.send("close")  # whose answer comes when there is one again
        service.start()
        one.wait_line("closed")
        with self.assertRaises(talker.Ended) as end:
            host.transfer(count=1)
        self.assertEqual(channels.PEER_CLOSED, end.exception.status)
        host.hang_up()
        one.send("connect %d 7" % host.id)
        host.take_offer(7)
        one.wait_line(CONNECTED)
        self.converse(one, host)
        self.assertNotIn("error", one.output())
        one.quit()

    def test_server_is_replaced(self):
        server = self.server()
        one, host = self.connected(server)
        turns = []

        def is_done():
            return server.stderr.count(": executing ") == len(turns)

        def replace():
            if len(turns) < 3 and is_done():
                turns.append(server.send_signal(signal.SIGUSR2))

        self.converse(one, host, 30, between=replace)
        support.wait_for(is_done, what="the server to be another program")
        self.assertLess(0, len(turns))
        host.hang_up()
        one.command("recv", "error: the peer has closed")
        one.command("close", "closed")
        server.stop()


if __name__ == "__main__":
    guest.main()
