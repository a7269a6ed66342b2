#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The wire protocol as the server speaks it, message by message, and its rule for IDs."""

import array
import fcntl
import os
import socket

import support


def messages(peer, count):
    """The next count messages as (value, eventfd number or None); descriptors are closed."""
    found = []
    for _ in range(count):
        message = peer.receive()
        number = None
        if message.fd is not None:
            number = support.eventfd_id(message.fd)
            os.close(message.fd)
        found.append((message.value, number))
    return found


class Greeting(support.Test):
    def test_first_client(self):
        server = self.server(vectors=3)
        peer = self.peer(server, greet=False)
        self.assertEqual((0, None), peer.receive())
        self.assertEqual((0, None), peer.receive())
        value, memory = peer.receive()
        self.assertEqual(-1, value)
        self.assertEqual(os.stat(server.shm).st_ino, os.fstat(memory).st_ino)
        os.close(memory)
        own = messages(peer, 3)
        self.assertEqual([0, 0, 0], [value for value, _ in own])
        numbers = [number for _, number in own]
        self.assertNotIn(None, numbers)
        self.assertEqual(3, len(set(numbers)))
        server.stop()
        self.assertIsNone(peer.receive())

    def test_later_client(self):
        """Version, ID, memory, the others vector by vector, ourselves last."""
        server = self.server(vectors=4)
        others = [self.peer(server) for _ in range(3)]
        peer = self.peer(server, greet=False)
        self.assertEqual([(0, None), (3, None)], messages(peer, 2))
        value, memory = peer.receive()
        self.assertEqual(-1, value)
        self.assertIsNone(support.eventfd_id(memory))
        os.close(memory)
        groups = [messages(peer, 4) for _ in range(4)]
        for group in groups:
            self.assertEqual(1, len({value for value, _ in group}), group)
        told = {group[0][0]: [number for _, number in group] for group in groups}
        self.assertEqual(3, groups[-1][0][0])
        self.assertEqual({0, 1, 2, 3}, set(told))
        for other in others:
            other.wait_join(3)
            for later in range(other.id + 1, 3):
                other.wait_join(later)
            self.assertEqual(told, other.numbers())
        server.stop()

    def test_messages_are_little_endian_and_eight_bytes(self):
        server = self.server()
        self.peer(server)
        raw = socket.socket(socket.AF_UNIX)
        self.addCleanup(raw.close)
        raw.settimeout(support.DEADLINE)
        raw.connect(server.socket)
        data = b""
        while len(data) < 40:
            data += raw.recv(40 - len(data))
        one = b"\1" + bytes(7)
        self.assertEqual(bytes(8) + one + b"\xff" * 8 + bytes(8) + one, data)
        server.stop()

    def test_no_message_is_joined_to_another(self):
        """
        A reader with a large buffer gets each descriptor with the eight bytes that it belongs to.
        (The kernel itself may join the version and the ID, which carry none, to what follows.)
        """
        server = self.server(vectors=4)
        self.peer(server)
        peer = self.peer(server, greet=False)
        total, sizes, count = 0, [], 0
        while total < 8 * 11:
            data, ancillary, flags, _ = peer.sock.recvmsg(4096, socket.CMSG_SPACE(4 * 64))
            fds = support.descriptors_in(ancillary)
            support.close_all(fds)
            self.assertFalse(flags & socket.MSG_CTRUNC)
            self.assertLessEqual(len(fds), 1)
            count += len(fds)
            if total >= 24:
                sizes.append(len(data))
            total += len(data)
        self.assertEqual([8] * 8, sizes)
        self.assertEqual(9, count)
        server.stop()

    def test_eventfds_do_not_block(self):
        server = self.server(vectors=2)
        peer, other = self.peer(server), self.peer(server)
        peer.wait_join(1)
        for fd in peer.table[0] + peer.table[1] + other.table[0]:
            self.assertTrue(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK)
        server.stop()


class JoinsAndLeaves(support.Test):
    def test_join_is_told_vector_by_vector(self):
        server = self.server(vectors=3)
        peer = self.peer(server)
        other = self.peer(server)
        told = messages(peer, 3)
        self.assertEqual([(1, number) for number in other.numbers()[1]], told)
        server.stop()

    def test_leave_is_an_id_without_descriptor(self):
        server = self.server(vectors=2)
        peer, third = self.peer(server), self.peer(server)
        second = self.peer(server)
        peer.wait_join(1)
        peer.wait_join(2)
        second.close()
        self.assertEqual((2, None), peer.receive())
        third.wait_join(2)
        third.wait_leave(2)
        self.assertEqual({0, 1}, set(third.table))
        server.stop()

    def test_all_agree_after_many_changes(self):
        server = self.server(vectors=2)
        stay = [self.peer(server) for _ in range(4)]
        for _ in range(15):
            peer = self.peer(server)
            for other in stay:
                other.wait_join(peer.id)
            peer.close()
            for other in stay:
                other.wait_leave(peer.id)
        last = self.peer(server)
        for other in stay:
            other.wait_join(last.id)
            self.assertEqual(last.numbers(), other.numbers())
        server.stop()

    def test_doorbells(self):
        server = self.server(vectors=4)
        peers = [self.peer(server) for _ in range(3)]
        for peer in peers:
            peer.wait_table(lambda table: [len(fds) for fds in table.values()] == [4, 4, 4])
        for sender in peers:
            for receiver in peers:
                for vector in range(4):
                    sender.ring(receiver.id, vector)
                    self.assertEqual(1, receiver.wait_ring(vector))
                    self.assertFalse([1 for p in peers for v in range(4) if p.rung(v)])
        server.stop()

    def test_half_closed_client_has_left(self):
        server = self.server()
        peer, other = self.peer(server), self.peer(server)
        peer.wait_join(1)
        other.sock.shutdown(socket.SHUT_WR)
        peer.wait_leave(1)
        server.stop()


class Offenders(support.Test):
    """A client never sends; who does is disconnected, and the others hear that it left."""

    def offend(self, send):
        server = self.server(vectors=2)
        pair = [self.peer(server), self.peer(server)]
        pair[0].wait_join(1)
        before = server.descriptors()
        for _ in range(3):
            bad = self.peer(server)
            for peer in pair:
                peer.wait_join(bad.id)
            send(bad.sock)
            bad.wait_hang_up()
            for peer in pair:
                peer.wait_leave(bad.id)
            bad.close()
        pair[0].ring(1, 1)
        self.assertEqual(1, pair[1].wait_ring(1))
        support.wait_for(lambda: server.descriptors() == before, what="descriptors to be closed")
        server.stop()

    def test_one_byte(self):
        self.offend(lambda sock: sock.send(b"x"))

    def test_many_bytes(self):
        self.offend(lambda sock: sock.send(b"x" * 50000))

    def test_a_descriptor(self):
        def send(sock):
            with open("/dev/null") as null:
                rights = array.array("i", [null.fileno()])
                sock.sendmsg([b"x" * 8], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        self.offend(send)

    def test_many_descriptors(self):
        def send(sock):
            with open("/dev/null") as null:
                rights = array.array("i", [null.fileno()] * 253)
                sock.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        self.offend(send)

    def test_a_byte_before_the_greeting_is_read(self):
        server = self.server(vectors=2)
        peer = self.peer(server)
        for _ in range(20):
            bad = self.peer(server, greet=False)
            try:
                bad.sock.send(b"hello")
            except OSError:
                pass
            bad.wait_hang_up()
        good = self.peer(server)
        peer.wait_table(lambda table: set(table) == {0, good.id} and len(table[good.id]) == 2)
        self.assertEqual(good.numbers(), peer.numbers())
        server.stop()


class Ids(support.Test):
    """A newcomer gets the lowest ID that no connected peer was ever told of."""

    def test_in_order(self):
        server = self.server()
        self.assertEqual(list(range(20)), [self.peer(server).id for _ in range(20)])
        server.stop()

    def test_alone_is_always_0(self):
        server = self.server()
        for _ in range(5):
            peer = self.peer(server)
            self.assertEqual(0, peer.id)
            held = server.descriptors()
            peer.close()
            support.wait_for(lambda: server.descriptors() < held, what="the leave")
        server.stop()

    def test_an_id_that_somebody_knows_does_not_come_back(self):
        server = self.server()
        witness = self.peer(server)
        for expected in range(1, 12):
            peer = self.peer(server)
            self.assertEqual(expected, peer.id)
            witness.wait_join(expected)
            peer.close()
            witness.wait_leave(expected)
        server.stop()

    def test_it_comes_back_when_the_last_witness_is_gone(self):
        server = self.server()
        a, b = self.peer(server), self.peer(server)  # a, b: told of 0 and 1
        a.wait_join(1)
        a.close()
        b.wait_leave(0)
        c = self.peer(server)  # told of 1 and 2
        self.assertEqual(2, c.id)
        b.wait_join(2)
        b.close()
        c.wait_leave(1)
        d = self.peer(server)  # c knows 1 and 2; nobody knows 0
        self.assertEqual(0, d.id)
        c.wait_join(0)
        e = self.peer(server)
        self.assertEqual(3, e.id)
        server.stop()

    def test_table_of_a_newcomer_has_only_who_is_there(self):
        server = self.server()
        witness = self.peer(server)
        for _ in range(5):
            peer = self.peer(server)
            witness.wait_join(peer.id)
            peer.close()
            witness.wait_leave(peer.id)
        last = self.peer(server)
        self.assertEqual({0, 6}, set(last.table))
        server.stop()


if __name__ == "__main__":
    support.main()
