#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Channels as the daemon serves them: the greeting, requests and their answers, what a peer's end does
to its channels, IDs that are used again.
"""

import os

import channels
import support
from channels import (BLOCK, CLOSE, CLOSED, CONNECT, FREE, HELLO, LISTEN, NONE, OFFERED, OPEN,
                      REFUSE, UNLISTEN)


class Greeting(channels.Test):
    def test_daemon_is_a_peer(self):
        server = self.server("--mailboxes=5", vectors=3)
        peers = [self.speaker(server, hello=False) for _ in range(3)]
        for peer in peers:
            peer.wait_table(lambda table: set(table) == {0, 1, 2, 5})
            self.assertEqual(3, len(peer.table[peer.id]))
            self.assertEqual(1, len(peer.table[5]))
        bells = {peer.numbers()[5][0] for peer in peers}
        self.assertEqual(3, len(bells), "each has its own")
        raw = support.RawPeer(server.socket, greet=False)
        self.addCleanup(raw.close)
        values = [raw.receive() for _ in range(5)]
        self.assertEqual([0, 3, -1, 5, 0], [message.value for message in values])
        self.assertEqual([False, False, True, True, True], [m.fd is not None for m in values])
        support.close_all([m.fd for m in values if m.fd is not None])

    def test_without_channels_there_is_none(self):
        server = support.Test.server(self)
        peer = self.peer(server)
        self.peer(server)
        peer.wait_table(lambda table: set(table) == {0, 1})
        self.assertEqual(bytes(4096), os.pread(peer.shm, 4096, 0))

    def test_header(self):
        server = self.server("--mailboxes=10", "--max-channels=33", size="1M")
        header = self.speaker(server).header
        data = BLOCK + 384 * 43
        self.assertEqual((0x6c6e6e6168637669, 1, BLOCK, 1 << 20), header[:4])
        self.assertEqual((10, 384, BLOCK, BLOCK + 3840, 33, 384), header[5:11])
        self.assertEqual(((data + BLOCK - 1) // BLOCK * BLOCK, BLOCK), header[11:])
        self.assertNotEqual(0, header.instance)

    def test_memory_is_new(self):
        """A file that was left over is not taken: somebody might still write to it."""
        server = self.server()
        name, instance = server.shm_name, self.speaker(server).header.instance
        old = os.open(server.shm, os.O_RDWR)
        self.addCleanup(os.close, old)
        os.pwrite(old, b"dirt", 2 << 20)
        server.kill()
        server = self.server(name=name)
        speaker = self.speaker(server)
        self.assertNotEqual(instance, speaker.header.instance)
        self.assertEqual(bytes(4), speaker.memory[2 << 20:(2 << 20) + 4])
        self.assertNotEqual(os.fstat(old).st_ino, os.fstat(speaker.shm).st_ino)


class Requests(channels.Test):
    def test_a_connection_and_its_end(self):
        server = self.server()
        a, b = self.speaker(server), self.speaker(server)
        b.listen(7)
        events = b.block().events
        channel = a.connect(b.id, 7, 5000, pid=1234).channel
        b.wait_ring()
        self.assertNotEqual(events, b.block().events)
        offer = b.wait_offer()
        self.assertEqual((channel, OFFERED, a.id, b.id, 1234, 7, 2 * BLOCK, NONE), (
            offer.number, offer.state, offer.sender, offer.receiver, offer.pid, offer.port,
            offer.size, offer.pair))
        while a.rung():
            a.wait_ring()
        b.accept(channel)
        a.wait_ring()
        self.assertEqual(OPEN, a.entry(channel).state)
        a.put(channel, b"hello")
        self.assertEqual(b"hello", b.take(channel))
        self.assertEqual(1, a.counts().active)
        a.end(channel)
        closed = b.wait_state(channel, CLOSED)
        self.assertEqual(channels.PEER_CLOSED, closed.status)
        self.assertEqual(b"hello", b.take(channel))
        b.end(channel)
        self.assertEqual(FREE, b.entry(channel).state)
        self.assertEqual(0, a.counts().active)

    def test_both_directions(self):
        server = self.server()
        a, b = self.speaker(server), self.speaker(server)
        b.listen(1)
        there = a.connected(b, 1, reverse_size=3 * BLOCK)
        back = a.entry(there).pair
        self.assertEqual((b.id, a.id, there, there, 3 * BLOCK), (lambda e: (
            e.sender, e.receiver, e.pair, e.first, e.size))(a.entry(back)))
        b.put(back, b"answer")
        self.assertEqual(b"answer", a.take(back))
        b.end(back)
        a.wait_state(there, CLOSED)
        a.end(there)
        self.assertEqual([], a.entries())

    def test_refused(self):
        server = self.server()
        a, b = self.speaker(server), self.speaker(server)
        b.listen(7)
        channel = a.connect(b.id, 7).channel
        b.must(REFUSE, channel=channel)
        self.assertEqual(channels.REFUSED, a.wait_state(channel, CLOSED).status)
        a.end(channel)
        for status, fields in (
                (channels.NO_LISTENER, {"peer": b.id, "port": 8, "size": BLOCK}),
                (channels.NO_PEER, {"peer": 9, "port": 7, "size": BLOCK}),
                (channels.NO_PEER, {"peer": 64, "port": 7, "size": BLOCK}),
                (channels.NO_PEER, {"peer": NONE, "port": 7, "size": BLOCK}),
                (channels.BAD_REQUEST, {"peer": b.id, "port": 7, "size": 0}),
                (channels.BAD_REQUEST, {"peer": b.id, "port": 7, "size": 1 << 60})):
            reply = a.ask(CONNECT, **fields)
            self.assertEqual(status, reply.status, fields)
            self.assertEqual(fields["port"], reply.request["port"])
        self.assertEqual(channels.PORT_IN_USE, b.ask(LISTEN, port=7).status)
        self.assertEqual(channels.NO_CHANNEL, a.ask(CLOSE, channel=0).status)
        self.assertEqual(channels.BAD_REQUEST, a.ask(99).status)
        b.must(UNLISTEN, port=7)
        self.assertEqual(channels.NO_LISTENER,
                         a.ask(CONNECT, peer=b.id, port=7, size=BLOCK).status)

    def test_hello_comes_first(self):
        server = self.server(vectors=2)
        a = self.speaker(server, hello=False)
        self.assertEqual(channels.BAD_REQUEST, a.ask(LISTEN, port=1).status)
        self.assertFalse(a.rung(0) or a.rung(1))
        self.assertEqual(channels.BAD_REQUEST, a.ask(HELLO, vector=2).status)
        a.hello(1)
        a.wait_ring(1)
        self.assertFalse(a.rung(0))

    def test_offers_time_out(self):
        server = self.server("--channel-timeout=1")
        a, b = self.speaker(server), self.speaker(server)
        b.listen(7)
        channel = a.connect(b.id, 7).channel
        self.assertEqual(channels.TIMED_OUT, a.wait_state(channel, CLOSED).status)
        self.assertEqual(channels.NO_CHANNEL, b.ask(channels.ACCEPT, channel=channel).status)

    def test_quotas(self):
        server = self.server("--max-channels=40", "--channel-quota=3", "--channel-bytes=64k",
                             size="1M")
        a, b, c = [self.speaker(server) for _ in range(3)]
        b.listen(1)
        for _ in range(3):
            a.connected(b, 1)
        over = dict(peer=b.id, port=1, size=BLOCK)
        self.assertEqual(channels.OVER_QUOTA, a.ask(CONNECT, **over).status)
        c.listen(1)
        over.update(peer=c.id)
        self.assertEqual(channels.OVER_QUOTA, a.ask(CONNECT, **over).status)
        a.end(0)
        a.connected(c, 1)
        c.listen(2)
        self.assertEqual(channels.OVER_QUOTA,
                         c.ask(CONNECT, peer=a.id, port=9, size=BLOCK).status
                         if a.ask(LISTEN, port=9).status == channels.OK else None)

    def test_bytes_run_out(self):
        server = self.server("--channel-bytes=128k", size="512k", name=None)
        a, b = self.speaker(server), self.speaker(server)
        b.listen(1)
        a.connected(b, 1, 128 << 10)
        self.assertEqual(channels.OVER_QUOTA,
                         a.ask(CONNECT, peer=b.id, port=1, size=BLOCK).status)

    def test_memory_runs_out(self):
        server = self.server("--channel-bytes=1G", "--max-channels=16", size="512k")
        a, b = self.speaker(server), self.speaker(server)
        b.listen(1)
        self.assertEqual(channels.NO_SPACE,
                         a.ask(CONNECT, peer=b.id, port=1, size=1 << 20).status)
        free = a.counts().free_bytes
        channel = a.connected(b, 1, free)
        self.assertEqual(0, a.counts().free_bytes)
        self.assertEqual(channels.NO_SPACE,
                         a.ask(CONNECT, peer=b.id, port=1, size=BLOCK).status)
        a.end(channel)
        b.end(channel)
        self.assertEqual(free, a.counts().free_bytes)

    def test_a_thousand(self):
        server = self.server("--max-channels=1024", "--channel-quota=1000", "--channel-bytes=64M",
                             size="8M")
        a, b = self.speaker(server), self.speaker(server)
        b.listen(1)
        numbers = [a.connect(b.id, 1).channel for _ in range(1000)]
        for number in numbers:
            b.accept(number)
        self.assertEqual(list(range(1000)), sorted(numbers))
        self.assertEqual(1000, a.counts().active)
        for number in numbers:
            a.put(number, b"%d" % number)
        for number in numbers:
            self.assertEqual(b"%d" % number, b.take(number))
        before = channels.cpu_seconds(server.pid)
        a.close()
        support.wait_for(lambda: all(e.state == CLOSED for e in b.entries()))
        for number in numbers:
            b.end(number)
        self.assertEqual(0, b.counts().active)
        print("\n%.3f s of the daemon's processor to end 1000 channels" % (
            channels.cpu_seconds(server.pid) - before))


class Peers(channels.Test):
    def test_death(self):
        server = self.server()
        a, b, channel = self.pair(server)
        a.put(channel, b"last words")
        back = self.speaker(server)
        back.listen(5)
        other = b.connected(back, 5)
        a.close()
        self.assertEqual(channels.PEER_GONE, b.wait_state(channel, CLOSED).status)
        self.assertEqual(b"last words", b.take(channel))
        self.assertEqual(OPEN, b.entry(other).state)
        self.assertEqual(0, b.block(0).present)
        b.end(channel)
        self.assertEqual([other], [e.number for e in b.entries()])

    def test_listeners_go_with_the_peer(self):
        server = self.server()
        a, b = self.speaker(server), self.speaker(server)
        b.listen(7)
        channel = a.connect(b.id, 7).channel
        b.close()
        self.assertEqual(channels.PEER_GONE, a.wait_state(channel, CLOSED).status)
        self.assertEqual(channels.NO_PEER, a.ask(CONNECT, peer=1, port=7, size=BLOCK).status)

    def test_hello_anew(self):
        server = self.server()
        a, b, channel = self.pair(server)
        a.hello()
        self.assertEqual(channels.PEER_GONE, b.wait_state(channel, CLOSED).status)
        self.assertEqual(channels.NO_CHANNEL, a.ask(CLOSE, channel=channel).status)

    def test_ids_are_used_again(self):
        server = self.server("--mailboxes=3")
        a, b = self.speaker(server), self.speaker(server)
        session, before = b.block().session, a.wait_join(1) or a.numbers()
        bell = b.numbers()[3]
        b.write_request(1000, operation=LISTEN, port=77)  # and does not ring
        b.close()
        support.wait_for(lambda: not a.block(1).present)
        # IDs that nobody had come first
        c = self.speaker(server)
        self.assertEqual(2, c.id)
        a.wait_join(2)
        d = self.speaker(server, hello=False)
        self.assertEqual(1, d.id)
        self.assertEqual(before[1], d.numbers()[1], "the doorbells that others know")
        self.assertNotEqual(bell, d.numbers()[3], "but its own for the daemon is new")
        self.assertFalse(d.rung())
        self.assertNotEqual(session, d.block().session)
        d.ring_daemon()  # what the last one left in the mailbox is not carried out
        d.hello()
        self.assertEqual(channels.NO_LISTENER,
                         a.ask(CONNECT, peer=1, port=77, size=BLOCK).status)
        self.assertTrue(a.update())
        self.assertEqual({0, 1, 2, 3}, set(a.table), "nobody was told of a leave")
        self.assertRaises(support.TurnedAway, self.speaker, server)
        self.assertIn("--mailboxes", server.stderr)
        c.close()
        self.assertEqual(2, support.wait_for(lambda: self.try_to_join(server)).id)

    def try_to_join(self, server):
        try:
            return self.speaker(server)
        except support.TurnedAway:
            return None

    def test_slots(self):
        server = self.server("--slot=vm=2", "--mailboxes=4", vectors=2)
        a = self.speaker(server)
        for _ in range(3):
            vm = self.speaker(server.socket + ".vm", vectors=2)
            self.assertEqual(2, vm.id)
            vm.listen(1)
            channel = a.connected(vm, 1)
            vm.close()
            a.wait_state(channel, CLOSED)
            a.end(channel)


if __name__ == "__main__":
    support.main()
