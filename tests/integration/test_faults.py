#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What ends QEMU's server or makes it lose messages: hasty clients, full buffers, descriptors."""

import os
import resource
import struct

import support


def limit_descriptors(count):
    """preexec: a process that can hold only so many descriptors."""
    def preexec():
        support.die_with_parent()
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    return preexec


class Hasty(support.Test):
    def test_connect_and_close(self):
        server = self.server(vectors=16)
        pair = [self.peer(server), self.peer(server)]
        pair[0].wait_join(1)
        before = server.descriptors()
        for turn in range(300):
            support.RawPeer(server.socket, greet=False).close()
            if turn % 50 == 0:
                for peer in pair:
                    self.assertTrue(peer.update())
                pair[0].ring(1, 7)
                self.assertEqual(1, pair[1].wait_ring(7))
        last = self.peer(server)
        for peer in pair:
            peer.wait_table(lambda table: set(table) == {0, 1, last.id}
                            and len(table[last.id]) == 16)
            self.assertEqual(last.numbers(), peer.numbers())
        last.close()
        support.wait_for(lambda: server.descriptors() == before, what="descriptors to be closed")
        server.stop()

    def test_close_in_the_middle_of_the_greeting(self):
        server = self.server(vectors=64)
        stay = [self.peer(server) for _ in range(5)]
        for count in range(0, 60, 3):
            hasty = support.RawPeer(server.socket, greet=False)
            for _ in range(count):
                message = hasty.receive()
                if message.fd is not None:
                    os.close(message.fd)
            hasty.close()
        last = self.peer(server)
        for peer in stay:
            peer.wait_table(lambda table: set(table) == {0, 1, 2, 3, 4, last.id}
                            and len(table[last.id]) == 64)
        self.assertEqual(last.numbers(), stay[0].numbers())
        server.stop()

    def test_no_descriptor_is_lost_over_time(self):
        server = self.server(vectors=8)
        stay = self.peer(server)
        before = server.descriptors()
        for _ in range(50):
            peer = self.peer(server)
            stay.wait_join(peer.id)
            peer.close()
            stay.wait_leave(peer.id)
        support.wait_for(lambda: server.descriptors() == before, what="descriptors to be closed")
        server.stop()


class Many(support.Test):
    def need_descriptors(self, count):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < count:
            self.skipTest("needs %d descriptors" % count)

    def assert_complete(self, peers, vectors):
        ids = {peer.id for peer in peers}
        for peer in peers:
            peer.wait_table(lambda table: set(table) == ids
                            and all(len(fds) == vectors for fds in table.values()))
        expected = peers[0].numbers()
        self.assertEqual(len(peers) * vectors, len({n for fds in expected.values() for n in fds}))
        for peer in peers:
            self.assertEqual(expected, peer.numbers())

    def test_more_than_1024_descriptors(self):
        """70 peers of 16 vectors: where select() writes past its bit set."""
        self.need_descriptors(2048)
        server = self.server(vectors=16)
        peers = [self.peer(server, keep=False) for _ in range(70)]
        self.assertGreater(server.descriptors(), 1024)
        self.assert_complete(peers, 16)
        peers[0].close()
        for peer in peers[1:]:
            peer.wait_leave(0)
        server.stop()

    def test_ten_peers_of_64_vectors(self):
        """Each sees the whole table though a default send buffer holds 278 messages."""
        self.need_descriptors(8000)
        server = self.server(vectors=64)
        peers = [self.peer(server) for _ in range(10)]
        self.assert_complete(peers, 64)
        for receiver in peers:
            for vector in (0, 63):
                peers[(receiver.id + 1) % 10].ring(receiver.id, vector)
                self.assertEqual(1, receiver.wait_ring(vector))
        server.stop()

    def test_a_peer_that_reads_late(self):
        """Joins of 12 x 64 vectors wait for it, and nobody waits with it."""
        self.need_descriptors(4096)
        server = self.server(vectors=64)
        late = self.peer(server, keep=False)
        unread = self.peer(server, keep=False, greet=False)
        late.wait_join(1)
        peers = [self.peer(server, keep=False) for _ in range(12)]
        unread.greet()
        self.assertEqual(1, unread.id)
        self.assert_complete([late, unread] + peers, 64)
        server.stop()

    def test_stalled_peer_ends_with_the_true_table(self):
        """It slept through joins and leaves; what it then knows is who is there."""
        self.need_descriptors(4096)
        server = self.server(vectors=64)
        sleeper, awake = self.peer(server, keep=False), self.peer(server, keep=False)
        stay = []
        for turn in range(15):
            peer = self.peer(server, keep=False)
            awake.wait_join(peer.id)
            if turn % 3:
                peer.close()
                awake.wait_leave(peer.id)
            else:
                stay.append(peer)
        self.assert_complete([sleeper, awake] + stay, 64)
        server.stop()

    def test_many_joins_at_once(self):
        self.need_descriptors(4096)
        server = self.server(vectors=8)
        peers = [self.peer(server, keep=False, greet=False) for _ in range(40)]
        for peer in peers:
            peer.greet()
        self.assertEqual(list(range(40)), sorted(peer.id for peer in peers))
        self.assert_complete(peers, 8)
        server.stop()

    def test_a_full_doorbell_stops_nobody(self):
        """A peer fills its own counter; the others' rings and the server go on."""
        server = self.server()
        a, b = self.peer(server), self.peer(server)
        a.wait_join(1)
        os.write(b.table[1][0], struct.pack("=Q", (1 << 64) - 2))
        self.assertRaises(BlockingIOError, a.ring, 1)
        c = self.peer(server)
        c.ring(0)
        self.assertEqual(1, a.wait_ring())
        server.stop()


class DescriptorLimits(support.Test):
    """
    Who would exceed somebody's descriptors is turned away before anyone hears of it, in the way
    that makes a QEMU exit with a message (support.TurnedAway); the log says whose limit to raise.
    """

    def fill(self, server, peers, most):
        """Lets clients in until one is turned away; returns how many there are then."""
        while len(peers) < most:
            try:
                peers.append(self.peer(server, keep=False))
            except support.TurnedAway:
                return len(peers)
            for peer in peers:
                peer.update()  # so that no descriptors lie in their sockets
        self.fail("%d clients were let in" % most)

    def test_server_at_its_limit(self):
        server = self.server(vectors=4, preexec=limit_descriptors(160))
        pair = [self.peer(server), self.peer(server)]
        peers = list(pair)
        count = self.fill(server, peers, 40)
        self.assertGreater(count, 10)
        for _ in range(10):
            self.assertRaises(support.TurnedAway, self.peer, server)
        self.assertRegex(server.stderr, "(?i)descriptor|NOFILE|open files")
        for peer in peers:
            peer.wait_table(lambda table: sum(len(fds) for fds in table.values()) == 4 * count)
            self.assertEqual(set(range(count)), set(peer.table))
        pair[0].ring(1, 3)
        self.assertEqual(1, pair[1].wait_ring(3))
        peers.pop().close()
        pair[0].wait_leave(count - 1)
        self.assertIn(count, self.peer(server).table)
        server.stop()

    def test_a_peer_at_its_limit(self):
        server = self.server(vectors=8)
        small = self.client(server, preexec=limit_descriptors(48)).ready()
        peers = []
        count = self.fill(server, peers, 10)
        self.assertGreater(count, 1)
        self.assertIn(str(small.process.pid), server.stderr)
        self.assertRegex(server.stderr, "(?i)descriptor|NOFILE|open files")

        def table():
            """{ID: vectors}, which is complete when the news has arrived."""
            small.send("dump; int 65535 0")
            text = small.expect(r"our_id = (.*\n)*?.*cannot find peer_id = 65535").group(0)
            return {int(peer): vectors.count("\n") for peer, vectors in support.re.findall(
                r"(?:our_id|peer_id) = (\d+)\n((?:  vector .*\n)*)", text)}

        everybody = {peer: 8 for peer in range(count + 1)}
        support.wait_for(lambda: table() == everybody, what="the whole table")
        self.assertNotIn("disconnected", small.output())
        server.stop()

    def test_a_newcomer_below_what_it_needs(self):
        server = self.server(vectors=64)
        first = self.peer(server)
        small = self.client(server, preexec=limit_descriptors(48))
        support.wait_for(lambda: str(small.process.pid) in server.stderr, what="a log line")
        first.update()
        self.assertEqual({0}, set(first.table))
        second = self.peer(server)
        first.wait_join(second.id, 64)
        server.stop()


if __name__ == "__main__":
    support.main()
