#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--slot NAME=ID[:SOCKET]: an ID and its eventfds belong to who connects to the slot's socket."""

import os
import re
import signal

import support


class SlotTest(support.Test):
    def slot_path(self, server, name="vm"):
        return server.socket + "." + name

    def sit(self, server, name="vm", **more):
        """A peer in a slot."""
        peer = support.RawPeer(self.slot_path(server, name), server.vectors, **more)
        self.addCleanup(peer.close)
        return peer

    def leave(self, server, peer):
        """The peer goes, and the server has seen it."""
        peer.close()
        self.wait_log(server, r"peer %d\b.* left" % peer.id)

    def wait_log(self, server, pattern):
        """Waits for a line that was not there when this was last called."""
        seen = getattr(server, "seen_log", 0)
        found = support.wait_for(lambda: re.compile(pattern).search(server.stderr, seen),
                                 what="%r in the log" % pattern)
        server.seen_log = found.end()

    def assert_hears_nothing(self, peer):
        self.assertEqual([], support.readable([peer.sock]))


class Identity(SlotTest):
    def test_ids(self):
        """Each slot has its ID; all others get those that belong to no slot."""
        server = self.server("--slot=a=0", "--slot=b=2:" + self.path("b"), "--slot=c=65535")
        self.assertEqual([1, 3, 4], [self.peer(server).id for _ in range(3)])
        self.assertEqual((0, 65535), (self.sit(server, "a").id, self.sit(server, "c").id))
        peer = support.RawPeer(self.path("b"))
        self.addCleanup(peer.close)
        self.assertEqual(2, peer.id)
        peer.wait_table(lambda table: set(table) == {0, 1, 2, 3, 4, 65535})
        server.stop()
        self.assertEqual([], [name for name in os.listdir(self.folder) if name in ("b", "b.lock")])
        self.assertFalse(os.path.lexists(server.socket + ".a"))

    def test_same_id_and_eventfds_again(self):
        server = self.server("--slot=vm=1", vectors=3)
        stays = self.peer(server)
        first = self.sit(server)
        stays.wait_join(1, 3)
        known = stays.numbers()
        self.assertEqual(known[1], first.numbers()[1])
        for _ in range(20):
            self.leave(server, first)
            first = self.sit(server)
            self.assertEqual((1, known), (first.id, first.numbers()))
            self.assert_hears_nothing(stays)
            stays.ring(1, 2)
            self.assertEqual(1, first.wait_ring(2))
            first.ring(0, 1)
            self.assertEqual(1, stays.wait_ring(1))
        self.assert_hears_nothing(stays)
        server.stop()

    def test_newcomers_do_not_hear_of_an_empty_slot(self):
        server = self.server("--slot=vm=1")
        stays = self.peer(server)
        first = self.sit(server)
        stays.wait_join(1)
        self.leave(server, first)
        newcomer = self.peer(server)
        self.assertEqual(2, newcomer.id)
        stays.wait_join(2)
        newcomer.wait_join(0)
        self.assertEqual({0, 2}, set(newcomer.table))
        self.assert_hears_nothing(newcomer)
        second = self.sit(server)
        newcomer.wait_join(1)
        self.assert_hears_nothing(stays)
        self.assertEqual(stays.numbers(), newcomer.numbers())
        newcomer.ring(1)
        self.assertEqual(1, second.wait_ring())
        server.stop()

    def test_others_still_come_and_go(self):
        """Around a slot the leaves of those who have none are told."""
        server = self.server("--slot=vm=1")
        holder, other = self.sit(server), self.peer(server)
        holder.wait_join(other.id)
        other.close()
        holder.wait_leave(other.id)
        server.stop()

    def test_a_slot_takes_another_vm(self):
        """Its peers are as true for the next holder as for the first."""
        server = self.server("--slot=vm=5", vectors=2)
        peers = [self.peer(server) for _ in range(3)]
        holder = self.sit(server)
        self.leave(server, holder)
        peers.pop(1).close()
        peers[0].wait_leave(1)
        peers.append(self.peer(server))
        holder = self.sit(server)
        ids = {5, *(peer.id for peer in peers)}
        for peer in (holder, *peers):
            peer.wait_table(lambda table: set(table) == ids
                            and all(len(fds) == 2 for fds in table.values()))
            self.assertEqual(holder.numbers(), peer.numbers())
        server.stop()


class Latch(SlotTest):
    def test_doorbell_rung_meanwhile(self):
        server = self.server("--slot=vm=1", vectors=2)
        stays, holder = self.peer(server), self.sit(server)
        stays.wait_join(1, 2)
        self.leave(server, holder)
        for _ in range(3):
            stays.ring(1, 1)
        holder = self.sit(server)
        self.assertEqual(3, holder.wait_ring(1))
        self.assertFalse(holder.rung(0))
        server.stop()

    def test_host_client(self):
        server = self.server("--slot=vm=1", vectors=2)
        stays = self.client(server).ready()
        holder = self.client(self.slot_path(server)).ready()
        stays.send("dump")
        holder.send("dump")
        holder.expect("our_id = 1$")
        support.wait_for(lambda: self.knows(stays, 1), what="the client to hear of slot 1")
        holder.eof()
        self.assertEqual(0, holder.wait())
        self.wait_log(server, r"peer 1\b.* left")
        stays.send("int 1 1")
        stays.send("int 1 0; int 1 0")
        self.assertTrue(self.knows(stays, 1))
        holder = self.client(self.slot_path(server)).ready()
        for vector in (0, 1):
            holder.expect("receive notification from peer_id=1 vector=%d$" % vector)
            holder.seen["out"] = 0
        holder.send("int 0 1")
        stays.expect("receive notification from peer_id=0 vector=1$")
        self.assertNotIn("cannot find", stays.output())
        server.stop()

    @staticmethod
    def knows(client, peer_id):
        client.send("dump")
        return re.search("^peer_id = %d$" % peer_id,
                         client.expect(r"our_id = \d+\n(.*\n)*?cmd> ").group(0), re.MULTILINE)

    def test_outside_slots_nothing_stays(self):
        """Who comes later hears no doorbell that was meant for somebody else."""
        server = self.server()
        stays, other = self.peer(server), self.peer(server)
        stays.wait_join(1)
        stays.ring(1)
        other.close()
        stays.wait_leave(1)
        self.assertFalse(self.peer(server).rung())
        server.stop()


class Holder(SlotTest):
    def assert_occupied(self, server):
        self.assertRaises(support.TurnedAway, self.sit, server)
        self.wait_log(server, r"turned away.*slot vm is held by pid %d" % os.getpid())

    def test_occupied(self):
        server = self.server("--slot=vm=1")
        stays, holder = self.peer(server), self.sit(server)
        stays.wait_join(1)
        for _ in range(3):
            self.assert_occupied(server)
        self.assertTrue(holder.update())
        self.assert_hears_nothing(stays)
        stays.ring(1)
        self.assertEqual(1, holder.wait_ring())
        self.leave(server, holder)
        self.sit(server)
        server.stop()

    def test_joins_and_leaves_name_the_slot(self):
        server = self.server("--slot=vm=1")
        holder = self.sit(server)
        self.wait_log(server, r"peer 1 .*slot vm .*pid %d, uid %d" % (os.getpid(),
                                                                            os.geteuid()))
        self.leave(server, holder)
        server.stop()

    def at_once(self, server, holder, goes, first):
        """The holder goes and the next one comes, in either order, before the server looks."""
        support.suspend(server.pid)
        try:
            if first == "goes":
                goes(holder)
            successor = self.sit(server, greet=False)
            if first == "comes":
                goes(holder)
        finally:
            server.send_signal(signal.SIGCONT)
        successor.greet()
        self.assertEqual(1, successor.id)
        return successor

    def test_a_holder_that_has_hung_up_does_not_block(self):
        server = self.server("--slot=vm=1")
        stays, holder = self.peer(server), self.sit(server)
        stays.wait_join(1)
        numbers = holder.numbers()
        for first in ("goes", "comes") * 5:
            holder = self.at_once(server, holder, support.RawPeer.close, first)
            self.assertEqual(numbers, holder.numbers())
        self.assert_hears_nothing(stays)
        self.assert_occupied(server)
        server.stop()

    def test_last_words(self):
        """Nor one that has broken the rules before it hung up."""
        def rude(holder):
            holder.sock.send(b"goodbye!" * 100)
            holder.close()

        server = self.server("--slot=vm=1")
        holder = self.sit(server)
        for first in ("goes", "comes") * 3:
            holder = self.at_once(server, holder, rude, first)
        self.assert_occupied(server)
        server.stop()

    def test_a_holder_that_does_not_read_still_holds(self):
        """It may be a paused virtual machine."""
        server = self.server("--slot=vm=1", vectors=64)
        self.sit(server, greet=False)
        peers = [self.peer(server, keep=False) for _ in range(4)]
        self.assert_occupied(server)
        peers[0].wait_join(1)
        server.stop()


class Places(SlotTest):
    def test_sockets_in_a_folder_of_their_own(self):
        os.mkdir(self.path("slots"), 0o700)
        names = ["--slot=vm%d=%d:%s" % (n, n, self.path("slots/%d" % n)) for n in range(20)]
        server = self.server(*names)
        for number in range(20):
            peer = support.RawPeer(self.path("slots/%d" % number))
            self.addCleanup(peer.close)
            self.assertEqual(number, peer.id)
        self.assertEqual(20, self.peer(server).id)
        server.stop()
        self.assertEqual([], os.listdir(self.path("slots")))

    def test_after_a_crash(self):
        first = self.server("--slot=vm=1")
        self.sit(first)
        first.kill()
        second = self.server("--slot=vm=1", socket_path=first.socket, name=first.shm_name)
        self.assertEqual(1, self.sit(second).id)
        second.stop()

    def test_limits_hold_for_slots(self):
        server = self.server("--slot=vm=1", "--max-peers=1")
        first = self.peer(server)
        self.assertRaises(support.TurnedAway, self.sit, server)
        first.close()
        self.wait_log(server, r"peer 0\b.* left")
        self.sit(server)
        self.assertRaises(support.TurnedAway, self.peer, server)
        server.stop()

    def test_with_withheld_leaves(self):
        server = self.server("--slot=vm=1", "--withhold-leaves")
        stays, holder, other = self.peer(server), self.sit(server), self.peer(server)
        stays.wait_join(other.id)
        self.leave(server, holder)
        self.leave(server, other)
        self.sit(server)
        self.assert_hears_nothing(stays)
        server.stop()

    def test_wrong_slots(self):
        for value in ("vm", "vm=", "=1", "vm=x", "vm=-1", "vm=65536", "vm=1:", "v m=1", "v/m=1",
                      "x" * 33 + "=1", ""):
            self.refused("-F", "--slot", value, mentions=["--slot"])
        self.refused("-F", "--slot=a=1", "--slot=b=1", mentions=["--slot", "a", "b=1"])
        self.refused("-F", "--slot=a=1", "--slot=a=2", mentions=["--slot", "a=2"])
        same = self.path("same")
        self.refused("-F", "--slot=a=1:" + same, "--slot=b=2:" + same, mentions=[same])
        self.refused("-F", "--slot=a=1:" + self.path("no/such"), mentions=[self.path("no")])
        with open(same, "w"):
            pass
        self.refused("-F", "--slot=a=1:" + same, mentions=[same])

    def test_one_path_for_two(self):
        """The second is not taken for another server's: the message names both."""
        path = self.path("s")
        for options, mentions in (
                (["--slot=a=1:" + path], ["the peers' socket and slot a", path]),
                (["--slot=a=1:%s.x" % path, "--slot=b=2:%s.x" % path], ["slot a", "slot b"]),
                (["--slot=ctl=1"], ["slot ctl", "the control socket", path + ".ctl"]),
                (["--slot=lock=1"], ["slot lock", "the lock file of the peers' socket"]),
                (["--slot=ctl.lock=1"], ["slot ctl.lock", "the lock file of the control socket"]),
                (["--slot=a=1", "--slot=a.lock=2"], ["the lock file of slot a and slot a.lock"]),
                (["--control-socket=" + path], ["the control socket", "the peers' socket"]),
                (["--metrics-file=%s.lock" % path], ["the metrics file", "the lock file"])):
            text = self.refused("-F", "-S", path, "-m", self.folder, *options, names=False)
            self.assertRegex(text, "both be at")
            for mention in mentions:
                self.assertIn(mention, text)
            self.refused("--check-config", "-S", path, *options, names=False, mentions=mentions)
        self.refused("-S", path, "-p", path + ".pid", "--metrics-file=%s.pid" % path, names=False,
                     mentions=["the metrics file", "the pid file"])
        self.assertEqual([], os.listdir(self.folder))
        server = self.server("--slot=ctl=1", "--control-socket=none")  # nothing is there then
        server.stop()

    def test_one_path_by_two_names(self):
        os.mkdir(self.path("real"))
        os.symlink("real", self.path("link"))
        self.refused("-F", "-S", self.path("real/s"), "--slot=a=1:" + self.path("link/s"),
                     mentions=["asked for twice", "Choose another"])
        self.assertEqual([], os.listdir(self.path("real")))


if __name__ == "__main__":
    support.main()
