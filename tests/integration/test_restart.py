#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Restart without a trace: the daemon is killed, at random moments or at chosen ones, and started
again with what it had stored. Nobody may see the end of a connection, hear of anybody twice or not
at all.

IVSHMEM_TEST_LONG=1: ten times as many kills.
"""

import fcntl
import os
import random
import re
import signal
import struct
import threading
import time

import manager
import support
from support import wait_for

KILLS = 200 if os.environ.get("IVSHMEM_TEST_LONG") else 20
SIZE = 65536
HEAD = struct.Struct("<QIIQI")  # of the state: magic, version, vectors, memory, attempts
STATE_VERSION = 2
CHANNEL_TABLES = 2 * 4096 + 4096 * 1536 + 65536 * 160  # of the state, behind the peers
ATTEMPTS_MAX = 10
CUT = re.compile(r"(\d+) messages to peer \d+ were sent and not recorded")
NOT_RESTORED = "cannot be restored, starting anew"
support.FILE_LIMIT *= 4 if KILLS > 20 else 1


def shape(table):
    """How many doorbells of each ID are known."""
    return {peer: len(fds) for peer, fds in table.items()}


class Service(manager.Test):
    """A daemon under the stand-in manager, and what has to be true of it in the end."""

    count = 0

    def service(self, *options, vectors=2, own_socket=False, start=True, **more):
        Service.count += 1
        self.vectors = vectors
        self.socket = self.path("socket-%d" % Service.count)
        self.shm = "ivshmem-test-%d-r%d" % (os.getpid(), Service.count)
        for name in ("/dev/shm/" + self.shm, "/dev/shm/.%s.lock" % self.shm):
            support.janitor.tell("remove", name)
            self.addCleanup(support.remove, name)
        self.options = ["-F", "--fd-store", "-S", self.socket, "-M", self.shm, "-l", SIZE, *options]
        service = self.manager([], sockets=None if own_socket else {"peers": self.socket}, **more)
        service.command = self.command()
        if start:
            service.start()
        return service

    def command(self, *options, vectors=None):
        words = [support.SERVER, *self.options, "-n", vectors or self.vectors, *options]
        return [str(word) for word in words]

    def join(self, path=None, **more):
        peer = support.RawPeer(path or self.socket, vectors=self.vectors, **more)
        self.addCleanup(peer.close)
        return peer

    def greeted(self, peer):
        """
        Reads a greeting. A connection that was accepted and is not stored yet is lost with the
        daemon: a few microseconds that nothing can close. The client has seen nothing; it is False.
        """
        try:
            peer.greet()
        except AssertionError as error:
            if peer.version is not None or "hung up" not in str(error):
                raise
            peer.close()
            return False
        return True

    def same_tables(self, peers):
        """Everybody knows exactly these peers, with all doorbells, and the same ones."""
        expected = {peer.id: self.vectors for peer in peers}
        self.assertEqual(len(peers), len(expected))
        for peer in peers:
            peer.wait_table(lambda table: shape(table) == expected,
                            what="a table of %s" % sorted(expected))
        numbers = peers[0].numbers()
        for peer in peers:
            self.assertEqual(numbers, peer.numbers(), "the table of peer %d" % peer.id)

    def exact_store(self, service, ids, extra=()):
        """What is stored is what these peers need, and nothing else."""
        expected = sorted([*extra, "memory", "state", *["s"] * len(ids)] + [
            "%04x%03x" % (peer, vector) for peer in ids for vector in range(self.vectors)])

        def stored():
            return sorted(re.sub("^s[0-9a-f]{6}$", "s", name) for name in service.names())

        try:
            wait_for(lambda: stored() == expected)
        except AssertionError:
            self.assertEqual(expected, stored())

    def goes_on(self, service, peers):
        """After all that was done to it: true tables, doorbells, a newcomer, another restart."""
        self.same_tables(peers)
        service.restart()
        newcomer = self.join()
        peers = peers + [newcomer]
        self.same_tables(peers)
        newcomer.ring(peers[0].id, self.vectors - 1)
        self.assertEqual(1, peers[0].wait_ring(self.vectors - 1))
        self.exact_store(service, [peer.id for peer in peers])


class Killer(threading.Thread):
    """Kills and starts the service a number of times, also while it is just starting."""

    def __init__(self, service, kills):
        super().__init__(daemon=True)
        self.service, self.kills = service, kills
        self.error = None
        self.start()

    def run(self):
        try:
            for i in range(self.kills):
                time.sleep(self.service.random.random() * 0.03)
                self.service.kill()
                self.service.start(ready=i % 3 != 0)
            self.service.wait_ready()
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error


class Storm:
    """Peers that come, go, ring, read now and then or not at all, while the daemon is killed."""

    def __init__(self, test, service, readers, seed):
        self.test, self.service, self.random = test, service, random.Random(seed)
        self.readers_max = readers
        self.rung = {}  # by ID: how often on the last vector
        self.waits = []
        self.joins = self.lost = 0
        self.readers = [self.join() for _ in range(2)]  # these two stay
        self.sleepers = [self.join() for _ in range(3)]  # these do not read
        self.silent = []  # and these not even their greeting

    def join(self):
        """Joins. It must be rare that this has to be done again."""
        while True:
            peer = self.test.join(greet=False)
            begin = time.monotonic()
            if self.greet(peer):
                break
        self.waits.append(time.monotonic() - begin)
        self.joins += 1
        return peer

    def greet(self, peer):
        if self.test.greeted(peer):
            return True
        self.lost += 1
        return False

    def step(self):
        what = self.random.random()
        if what < 0.25 and len(self.readers) < self.readers_max:
            self.readers.append(self.join())
        elif what < 0.40 and len(self.readers) > 4:
            self.readers.pop(self.random.randrange(2, len(self.readers))).close()
        elif what < 0.42 and len(self.silent) < 3:
            self.silent.append(self.test.join(greet=False))
        elif what < 0.7:
            self.ring(*self.random.sample(self.readers, 2))
        else:
            peer = self.random.choice(self.readers)
            self.test.assertTrue(peer.update(), "peer %d: the server hung up" % peer.id)

    def ring(self, one, other):
        vector = self.test.vectors - 1
        if len(one.table.get(other.id, [])) == self.test.vectors:
            one.ring(other.id, vector)
            self.rung[other.id] = self.rung.get(other.id, 0) + 1

    def run(self, kills, clients=()):
        killer = Killer(self.service, kills)
        while killer.is_alive():
            for _ in range(20):
                self.step()
            for client in clients:
                client.command()
        killer.join()
        if killer.error:
            raise killer.error
        return self

    def finish(self):
        """Everybody reads everything. Returns all who are there."""
        self.silent = [peer for peer in self.silent if self.greet(peer)]
        self.test.assertLessEqual(self.lost, 2 + self.service.starts // 10)
        peers = self.readers + self.sleepers + self.silent
        self.waits.sort()
        inside = CUT.findall(self.service.log())
        print("\n%d starts, %d joins, %d lost between accept and store, %d peers at the end, %d "
              "batches cut (%d messages); newcomers waited %.1f ms at the median, %.1f ms at most"
              % (self.service.starts, self.joins, self.lost, len(peers), len(inside),
                 sum(map(int, inside)), self.waits[len(self.waits) // 2] * 1000,
                 self.waits[-1] * 1000))
        return peers


class RealClient:
    """The real ivshmem-client, ringing vector 0 of a peer again and again."""

    def __init__(self, test, target):
        self.client = test.client(test.socket).ready()
        self.target = target
        self.rung = 0

    def command(self):
        if self.rung < 1000:
            self.client.send("int %d 0" % self.target)
            self.rung += 1
        self.client.pump()

    def table(self):
        """What it thinks: the number of doorbells by ID, its own ID first."""
        begin = len(self.client.output())
        self.client.send("dump; int 65535 0")
        self.client.expect("cannot find peer_id = 65535")
        blocks = re.findall(r"(?:our_id|peer_id) = (\d+)\n((?:  vector \d+ is enabled .*\n)+)",
                            self.client.output()[begin:])
        return {int(peer): vectors.count("\n") for peer, vectors in blocks}


class Kills(Service):
    def test_storm(self):
        service = self.service("--log-level", "debug")
        storm = Storm(self, service, 16, service.seed)
        first = storm.readers[0]
        clients = [RealClient(self, first.id) for _ in range(2)]
        content = random.randbytes(SIZE)
        os.pwrite(first.shm, content, 0)
        peers = storm.run(KILLS, clients).finish()
        with self.subTest(seed=service.seed):
            tables = [client.table() for client in clients]
            everybody = {peer.id for peer in peers} | {next(iter(table)) for table in tables}
            expected = {peer: self.vectors for peer in everybody}
            for peer in peers:
                peer.wait_table(lambda table: shape(table) == expected)
                self.assertEqual(first.numbers(), peer.numbers())
                self.assertEqual(os.fstat(first.shm).st_ino, os.fstat(peer.shm).st_ino)
            for client, table in zip(clients, tables):
                wait_for(lambda: client.table() == expected, what="%s to be %s" % (table, expected))
                self.assertNotIn("disconnected", client.client.output("err"))
            for peer in storm.readers:
                count = peer.wait_ring(1) if peer.rung(1) else 0
                self.assertEqual(storm.rung.get(peer.id, 0), count, "doorbells of %d" % peer.id)
            self.assertEqual(sum(client.rung for client in clients), first.wait_ring(0))
            self.assertEqual(content, os.pread(self.join().shm, SIZE, 0))
        self.assertNotIn("warning", re.sub(r".*left.*\n", "", service.log()))

    def test_inside_batches(self):
        """
        Kills at the moment that hurts most: the first of many peers hears of a newcomer with 64
        doorbells, and the daemon dies while it tells the others, of whom some do not read. It goes
        on until a few batches were cut.
        """
        service = self.service("--log-level", "debug", vectors=64)
        sleepers = [self.join() for _ in range(2)]
        peers = [self.join() for _ in range(10)]
        self.same_tables(sleepers + peers)
        inside, kills = [], 0
        while kills < KILLS or (len(inside) < 3 and kills < 5 * KILLS):
            kills += 1
            newcomer = self.join(greet=False)
            support.readable([peer.sock.fileno() for peer in peers], support.DEADLINE)
            time.sleep(service.random.random() * 0.001)
            service.restart()
            newcomer.greet()
            peers.append(newcomer)
            while len(peers) > 10:
                peers.pop(service.random.randrange(10)).close()
            for peer in peers:
                self.assertTrue(peer.update())
            if kills % 20 == 0:
                self.same_tables(peers + sleepers)
            inside = CUT.findall(service.log())
        self.same_tables(peers + sleepers)
        print("\n%d kills, %d of them inside a batch (%d messages)" % (
            kills, len(inside), sum(map(int, inside))))
        self.exact_store(service, [peer.id for peer in peers + sleepers])

    def test_nothing_leaks(self):
        service = self.service()
        peers = [self.join() for _ in range(3)]

        def held():
            return len(os.listdir("/proc/%d/fd" % service.pid))

        self.same_tables(peers)
        service.restart()
        wait_for(lambda: service.said("READY=1"))
        before = held()
        for _ in range(3):
            service.restart()
            wait_for(lambda: held() <= before, what="%d descriptors" % before)
        self.goes_on(service, peers)

    def test_stalled_peers(self):
        """Who sleeps through joins, leaves and kills hears only of what is true when it wakes."""
        service = self.service(vectors=16)
        sleeper, silent = self.join(), self.join(greet=False)
        stays = []
        for i in range(6):
            stays.append(self.join())
            goes = [self.join() for _ in range(3)]
            service.restart()
            for peer in goes:
                peer.close()
            wait_for(lambda: len(service.names("socket")) == 2 + len(stays))
            if i % 2:
                service.restart()
        silent.greet()
        self.goes_on(service, [sleeper, silent, *stays])


class Restarts(Service):
    def test_service_restart(self):
        service = self.service()
        peers = [self.join() for _ in range(3)]
        client = self.client(self.socket).ready()
        peers[0].wait_join(1)
        peers[0].ring(1, 1)
        os.pwrite(peers[0].shm, b"kept", 100)
        for _ in range(3):
            service.kill(signal.SIGTERM)
            self.assertEqual(0, service.code)
            service.drain()
            self.assertTrue(service.said("STOPPING=1"))
            service.start()
        self.assertEqual(1, peers[1].wait_ring(1))
        newcomer = self.join()
        self.assertEqual(b"kept", os.pread(newcomer.shm, 4, 100))
        client.send("int %d 0" % newcomer.id)
        newcomer.wait_ring()
        self.assertNotIn("disconnected", client.output("err"))
        wait_for(lambda: service.status.startswith("5 peers"))

    def test_newcomers_wait(self):
        """They queue in the backlog of the socket, which outlives the daemon."""
        for own_socket in (False, True):
            service = self.service(own_socket=own_socket, vectors=64)
            peers = [self.join() for _ in range(8)]
            self.same_tables(peers)
            service.kill()
            waiting = [self.join(greet=False) for _ in range(5)]
            begin = time.monotonic()
            service.start()
            for peer in waiting:
                peer.greet()
            wait = time.monotonic() - begin
            print("\n5 newcomers waited %.0f ms, from the start of the daemon with %d stored "
                  "descriptors to the end of their greetings" % (wait * 1000, 3 + 8 * 65))
            self.same_tables(peers + waiting)
            self.exact_store(service, [peer.id for peer in peers + waiting],
                             ["l00000"] if own_socket else [])
            service.kill()
            for peer in peers + waiting:
                peer.close()  # thousands of descriptors

    def test_ready_means_ready(self):
        service = self.service(start=False)
        for _ in range(5):
            service.start()
            peer = self.join()
            self.assertEqual(1, service.messages.count("READY=1\nSTATUS=%d peers on %s" % (
                peer.id, self.socket)))
            service.kill()

    def test_reload(self):
        service = self.service()
        service.messages.clear()
        os.kill(service.pid, signal.SIGHUP)
        wait_for(lambda: service.said("READY=1"))
        reloading, ready = [text for text in service.messages if re.match("R.*=1", text)]
        self.assertRegex(reloading, r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.assertRegex(ready, "^READY=1")

    def test_watchdog(self):
        service = self.service(watchdog=0.2 * support.SLOW)
        wait_for(lambda: service.pings >= 4)
        support.suspend(service.pid)
        service.drain()
        before = service.pings
        time.sleep(0.5 * support.SLOW)
        self.assertEqual(before, service.pings)
        os.kill(service.pid, signal.SIGCONT)
        wait_for(lambda: service.pings > before + 2)

    def test_options_that_change(self):
        """With somebody there the old ones stay; with nobody there the new ones hold."""
        service = self.service()
        peer = self.join()
        service.command = self.command("-l", 2 * SIZE, vectors=3)
        service.restart()
        self.assertIn("these stay until a start with none", service.log())
        other = self.join()
        self.same_tables([peer, other])
        self.assertEqual(SIZE, os.fstat(other.shm).st_size)
        peer.close()
        other.close()
        wait_for(lambda: not service.names("socket"))
        service.restart()
        self.vectors = 3
        peers = [self.join(), self.join()]
        self.assertEqual(2 * SIZE, os.fstat(peers[1].shm).st_size)
        self.goes_on(service, peers)

    def test_a_bad_option_is_not_held_against_the_state(self):
        service = self.service()
        peers = [self.join(), self.join()]
        service.kill()
        for options, code in ((["--max-peers=none"], 1), (["--allow-gid=no-such-group"], 1),
                              (["--metrics-file", self.path("missing/metrics")], None)):
            service.command = self.command(*options)
            for _ in range(ATTEMPTS_MAX + 1):
                service.start(ready=not code)
                if code:
                    self.assertEqual(code, service.wait(), service.log())
                else:
                    service.kill()
        service.command = self.command()
        service.start()
        self.goes_on(service, peers)


class Slots(Service):
    def slot(self, name):
        return "%s.%s" % (self.socket, name)

    def test_vacant_and_taken(self):
        service = self.service("--slot", "vm=5", own_socket=True)
        other, holder = self.join(), self.join(self.slot("vm"))
        self.assertEqual(5, holder.id)
        doorbells = holder.numbers()[5]
        other.wait_join(5)
        service.restart()
        self.assertRaises(support.TurnedAway, self.join, self.slot("vm"))
        holder.close()
        wait_for(lambda: "peer 5 of slot vm left" in service.log())
        other.ring(5, 1)
        other.ring(5, 1)
        service.restart()
        holder = self.join(self.slot("vm"))
        self.assertEqual((5, doorbells), (holder.id, holder.numbers()[5]))
        self.assertEqual(2, holder.wait_ring(1))
        self.same_tables([other, holder])
        service.restart()
        self.same_tables([other, holder])
        self.exact_store(service, [0, 5], ["l00000", "l00006"])

    def test_newcomer_of_a_slot(self):
        """Who came by a slot's door gets the slot, though the daemon died before it joined."""
        service = self.service("--slot", "a=3", "--slot", "b=4", own_socket=True)
        service.kill()
        first = self.join(self.slot("b"), greet=False)
        self.options = self.options[:-4] + ["--slot", "b=4", "--slot", "a=3"]
        service.command = self.command()
        service.stall()
        service.start(ready=False)
        wait_for(lambda: "carrying on" in service.log())
        second = self.join(self.slot("a"), greet=False)
        time.sleep(0.1 * support.SLOW)
        service.kill()
        service.resume()
        service.start()
        first.greet()
        second.greet()
        self.assertEqual((4, 3), (first.id, second.id))
        self.same_tables([first, second])

    def test_slot_over_a_peer(self):
        """A slot with the ID of a peer that is there does not keep the daemon from starting."""
        service = self.service(own_socket=True)
        peers = [self.join(), self.join()]
        service.command = self.command("--slot", "x=1")
        service.restart()
        self.assertIn("slot x is closed", service.log())
        self.same_tables(peers)
        self.assertRaises(support.TurnedAway, self.join, self.slot("x"))
        for peer in peers:
            peer.close()
        wait_for(lambda: "l00000" in service.names() and len(service.names("socket")) == 2)
        self.assertEqual(1, self.join(self.slot("x")).id)

    def test_doorbell_lost(self):
        """The ID must not come back to those who heard that it left: the slot is closed to them."""
        service = self.service("--slot", "x=500", own_socket=True)
        peers = [self.join(), self.join()]
        holder = self.join(self.slot("x"))
        self.same_tables(peers + [holder])
        service.drop("01f4001")
        service.restart()
        wait_for(lambda: not holder.update(), what="the end of the holder")
        self.same_tables(peers)
        self.assertRaises(support.TurnedAway, self.join, self.slot("x"))
        service.restart()
        self.assertRaises(support.TurnedAway, self.join, self.slot("x"))
        newcomer = self.join()
        self.same_tables(peers + [newcomer])
        for peer in peers:
            peer.close()
        newcomer.wait_table(lambda table: set(table) == {newcomer.id})
        self.same_tables([newcomer, self.join(self.slot("x"))])

    def test_doorbell_lost_that_nobody_knew(self):
        """The slot gets new ones, and they are stored under the names of the lost ones."""
        service = self.service("--slot", "x=500", own_socket=True)
        service.drop("01f4001")
        for _ in range(3):
            service.restart()
            self.exact_store(service, [], ["01f4000", "01f4001", "l00000", "l001f5"])
        self.same_tables([self.join(), self.join(self.slot("x"))])

    def test_slot_that_is_no_more(self):
        service = self.service("--slot", "x=7", own_socket=True)
        peers = [self.join(), self.join(self.slot("x"))]
        self.options = self.options[:-2]
        service.command = self.command()
        service.restart()
        self.same_tables(peers)
        self.exact_store(service, [0, 7], ["l00000"])

    def test_slots_that_change(self):
        """Another ID at the same socket, two that swap theirs: what is ours is in nobody's way."""
        service = self.service("--slot", "x=7", "--slot", "a=3:" + self.path("one"),
                               "--slot", "b=4:" + self.path("two"), own_socket=True)
        peers = [self.join(), self.join(self.slot("x"))]
        self.options[-5:] = ["x=9", "--slot", "a=3:" + self.path("two"),
                             "--slot", "b=4:" + self.path("one")]
        service.command = self.command()
        service.restart()
        self.same_tables(peers)
        for path, number in ((self.slot("x"), 9), (self.path("two"), 3), (self.path("one"), 4)):
            peers.append(self.join(path))
            self.assertEqual(number, peers[-1].id)
        self.same_tables(peers)
        service.restart()
        self.same_tables(peers)
        self.exact_store(service, [0, 7, 9, 3, 4],
                         ["l00000", "l00004", "l00005", "l0000a"])


class Places(Service):
    """Where the sockets and the memory are: whatever becomes of that, no peer is lost."""

    def test_socket_that_moves(self):
        service = self.service(own_socket=True)
        peers, old = [self.join(), self.join()], self.socket
        self.socket = self.path("elsewhere")
        service.command = self.command("-S", self.socket)
        service.restart()
        peers.append(self.join())
        self.same_tables(peers)
        self.assertFalse(os.path.exists(old))
        service.command = self.command("-S", self.path("no/such"))
        for _ in range(2):
            service.restart()
            self.assertRegex(service.log(), "error: .*no/such.*The socket stays where it was")
            peers.append(self.join())
            self.same_tables(peers)
        service.command = self.command("-S", old)
        service.restart()
        peers.append(self.join(old))
        self.same_tables(peers)
        self.exact_store(service, range(len(peers)), ["l00000"])

    def test_what_cannot_be_made(self):
        service = self.service(own_socket=True)
        peers = [self.join(), self.join()]
        place = self.path("no/such")
        service.command = self.command("--metrics-file", place, "--control-socket", place + "/c",
                                       "--slot", "x=7:%s/x" % place)
        service.restart()
        for end in ("metrics-file.*Going on without", "control-socket.*Going on without",
                    "/x: .*Nobody can join there"):
            self.assertRegex(service.log(), "error: .*" + end)
        peers.append(self.join())
        self.same_tables(peers)

    def test_kind_of_memory_that_changes(self):
        """Memory with a name is guarded and removed, though the options ask for another kind."""
        service = self.service(own_socket=True)
        peers, path = [self.join(), self.join()], "/dev/shm/" + self.shm
        service.command = self.command("--sealed")
        service.restart()
        peers.append(self.join())
        os.truncate(path, 0)
        wait_for(lambda: os.stat(path).st_size == SIZE, what="the size to be put right")
        service.command.remove("--fd-store")  # it ends for good then
        service.restart()
        service.kill(signal.SIGTERM)
        self.assertFalse(os.path.exists(path))

    def test_name_of_the_memory_is_taken(self):
        """Another one holds the lock of the name by now: the peers keep their memory all the same."""
        service = self.service(own_socket=True)
        peers = [self.join(), self.join()]
        os.pwrite(peers[0].shm, b"kept", 0)
        service.kill()
        with open("/dev/shm/.%s.lock" % self.shm, "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            service.start()
            self.assertRegex(service.log(), "error: .*Going on with the memory")
            peers.append(self.join())
        self.same_tables(peers)
        self.assertEqual(b"kept", os.pread(peers[2].shm, 4, 0))
        service.restart()
        self.same_tables(peers)


class Losses(Service):
    """What does not come back as it was costs those whom it belongs to, and nobody else."""

    def setUp(self):
        super().setUp()
        self.daemon = self.service()
        self.peers = [self.join() for _ in range(4)]
        self.same_tables(self.peers)

    def serial(self, peer):
        """The name of a peer's socket: peers came one after the other."""
        return self.daemon.names("socket")[self.peers.index(peer)]

    def swap(self, name, fd):
        self.assertEqual(1, self.daemon.drop(name))
        self.daemon.add(name, fd)

    def without(self, victim):
        """Restarts: the victim's connection ends, the others hear that it left and go on."""
        self.daemon.restart()
        wait_for(lambda: not victim.update(), what="the end of peer %d" % victim.id)
        others = [peer for peer in self.peers if peer is not victim]
        self.goes_on(self.daemon, others)
        self.assertNotIn(NOT_RESTORED, self.daemon.log())

    def test_doorbell_lost(self):
        self.daemon.drop("0001001")
        self.without(self.peers[1])
        self.assertIn("doorbell 1 of peer 1 did not come back", self.daemon.log())

    def test_socket_lost(self):
        self.daemon.drop(self.serial(self.peers[2]))
        self.without(self.peers[2])

    def test_doorbell_is_something_else(self):
        with open("/dev/null", "rb") as other:
            self.swap("0003000", other.fileno())
        self.without(self.peers[3])

    def test_socket_is_something_else(self):
        self.swap(self.serial(self.peers[0]), self.peers[0].shm)
        self.without(self.peers[0])

    def test_doorbell_twice(self):
        self.daemon.add("0002000", self.peers[0].table[1][0])
        self.without(self.peers[2])
        self.assertIn("several descriptors came back as 0002000", self.daemon.log())

    def test_socket_twice(self):
        name = self.serial(self.peers[1])
        with support.socket.socket(support.socket.AF_UNIX) as other:
            self.daemon.add(name, other.fileno())
            self.without(self.peers[1])

    def test_orphans(self):
        """What belongs to nobody is dropped from the store."""
        self.daemon.add("00ff000", self.peers[0].table[0][0])
        self.daemon.add("sffffff", self.peers[0].shm)
        self.daemon.restart()
        self.goes_on(self.daemon, self.peers)


class Anew(Service):
    """A state that cannot be used: said once, everybody hung up on, no loop."""

    def setUp(self):
        super().setUp()
        self.daemon = self.service()
        self.peers = [self.join() for _ in range(2)]
        self.same_tables(self.peers)

    def starts_anew(self, *reasons):
        service = self.daemon
        service.restart()
        for peer in self.peers:
            peer.wait_hang_up()
        for reason in (NOT_RESTORED, *reasons):
            self.assertIn(reason, service.log())
        peers = [self.join(), self.join()]
        self.goes_on(service, peers)
        self.assertEqual(1, service.log().count(NOT_RESTORED))

    def patch(self, **fields):
        """Changes fields of the head of the stored state."""
        fd = next(stored.fd for stored in self.daemon.store if stored.name == "state")
        names = "magic", "version", "vectors", "memory", "attempts"
        head = dict(zip(names, HEAD.unpack(os.pread(fd, HEAD.size, 0))))
        self.assertEqual((STATE_VERSION, self.vectors, SIZE, 0), tuple(head.values())[1:])
        self.daemon.kill()
        os.pwrite(fd, HEAD.pack(*{**head, **fields}.values()), 0)

    def test_memory_lost(self):
        self.daemon.drop("memory")
        self.starts_anew("the memory did not come back")

    def test_state_lost(self):
        self.daemon.drop("state")
        self.starts_anew("the state did not come back")

    def test_state_is_something_else(self):
        self.daemon.drop("state")
        self.daemon.add("state", self.peers[0].shm)
        self.starts_anew("has not its size")

    def test_memory_is_something_else(self):
        self.daemon.drop("memory")
        fd = os.memfd_create("short")
        self.daemon.add("memory", fd)
        os.close(fd)
        self.starts_anew()

    def test_garbage(self):
        self.patch(magic=1)
        self.starts_anew("is something else")

    def test_other_version(self):
        self.patch(version=77)
        self.starts_anew("version 77")

    def test_too_many_attempts(self):
        self.patch(attempts=ATTEMPTS_MAX)
        self.starts_anew("could not be restored %d times" % ATTEMPTS_MAX)

    def test_scribbled_records(self):
        """Whatever the records say: it starts, and who is there has a true table."""
        fd = next(stored.fd for stored in self.daemon.store if stored.name == "state")
        for seed in range(5):
            noise = random.Random(seed)
            self.daemon.kill()
            size = os.fstat(fd).st_size
            seats = size - CHANNEL_TABLES - 65536 * (5 * 4096 + 16)
            for _ in range(20):
                peer = noise.randrange(6)
                at = noise.choice([seats + 16 * peer + noise.randrange(16),
                                   seats + 65536 * 16 + 20480 * peer + noise.randrange(64)])
                os.pwrite(fd, bytes([noise.randrange(256)]), at)
            self.daemon.start()
            for peer in self.peers:
                while peer.receive(0.05) if support.readable([peer.sock.fileno()], 0.05) else 0:
                    pass
            newcomer = self.join()
            self.assertIn(newcomer.id, newcomer.table)
            newcomer.close()


class Stalls(Service):
    """A manager that does not read its messages holds up newcomers, and nobody else."""

    def test_others_go_on(self):
        service = self.service(vectors=8)
        peers = [self.join() for _ in range(4)]
        self.same_tables(peers)
        service.stall()
        newcomers = [self.join(greet=False) for _ in range(6)]
        peers[0].ring(1, 7)
        self.assertEqual(1, peers[1].wait_ring(7))
        peers.pop().close()
        self.same_tables(peers)
        self.assertEqual([], support.readable([peer.sock.fileno() for peer in newcomers],
                                              0.3 * support.SLOW))
        service.resume()
        for peer in newcomers:
            peer.greet()
        self.same_tables(peers + newcomers)
        self.exact_store(service, [peer.id for peer in peers + newcomers])

    def test_who_waits_counts(self):
        """A limit holds for all who come while the manager does not answer, not just afterwards."""
        service = self.service("--max-peers-per-uid", "2")
        service.stall()
        newcomers = [self.join(greet=False) for _ in range(6)]
        self.assertRaises(support.TurnedAway, newcomers[2].greet)
        service.resume()
        for peer in newcomers[:2]:
            peer.greet()
        for peer in newcomers[3:]:
            self.assertRaises(support.TurnedAway, peer.greet)
        self.same_tables(newcomers[:2])
        self.exact_store(service, [peer.id for peer in newcomers[:2]])

    def test_killed_meanwhile(self):
        service = self.service(vectors=8)
        peers = [self.join() for _ in range(4)]
        self.same_tables(peers)
        lost = 0
        for _ in range(5):
            service.stall()
            newcomers = [self.join(greet=False) for _ in range(6)]
            peers.pop().close()
            self.same_tables(peers)
            service.kill()
            service.start(ready=False)
            time.sleep(service.random.random() * 0.05)
            service.kill()
            service.resume()
            service.start()
            there = [peer for peer in newcomers if self.greeted(peer)]
            lost += len(newcomers) - len(there)
            peers += there
            self.same_tables(peers)
        self.assertLessEqual(lost, 2)  # of thirty
        self.exact_store(service, [peer.id for peer in peers])

    def test_start_without_being_heard(self):
        """Who was there is served, though the manager has not heard that the daemon is ready."""
        service = self.service()
        peers = [self.join() for _ in range(3)]
        self.same_tables(peers)
        service.stall()
        service.restart(ready=False)
        peers.pop().close()
        self.same_tables(peers)
        self.assertFalse(service.said("READY=1"))
        service.resume()
        service.wait_ready()
        self.goes_on(service, peers)


if __name__ == "__main__":
    support.main()
