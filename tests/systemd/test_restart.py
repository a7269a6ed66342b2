#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Restart without a trace, under the real systemd: whatever ends the server, no peer notices."""

import os
import random
import shutil
import struct
import subprocess
import sys
import time

import service
import support

sys.path.insert(0, os.path.join(support.TOP, "tests", "guest"))
import guest  # noqa: E402

SOCKET = "ivshmem-server@demo.socket"
UNIT = "ivshmem-server@demo.service"
VECTORS = 3
KILLS = 200 if service.LONG else 12


class Serving(service.Test):
    """A service with four peers. Its watchdog is patient, for the machine may be busy."""

    watchdog = 60

    def setUp(self):
        super().setUp()
        self.install("demo", "vectors = %d" % VECTORS, "sealed")
        self.drop_in("ivshmem-server@.service", "[Service]\nWatchdogSec=%d\n" % self.watchdog)
        self.box.systemctl("start", SOCKET)
        self.peers = [self.join_one() for _ in range(4)]
        self.settle()
        os.pwrite(self.peers[0].shm, b"it survives", 4096)
        self.peers[0].ring(1, 2)  # counts that nobody has fetched yet
        self.peers[2].ring(1, 2)

    def join_one(self):
        return self.join("demo", vectors=VECTORS)

    def settle(self):
        """Everybody knows everybody, by the same doorbells."""
        everybody = {peer.id for peer in self.peers}
        self.assertEqual(len(self.peers), len(everybody))
        for peer in self.peers:
            peer.wait_table(lambda table: set(table) == everybody and all(
                len(doorbells) == VECTORS for doorbells in table.values()))
        tables = [peer.numbers() for peer in self.peers]
        for table in tables[1:]:
            self.assertEqual(tables[0], table)

    def check_nothing_happened(self):
        """Nobody saw an end or was told anything; all that was latched or written is there."""
        for peer in self.peers:
            self.assertEqual([], support.readable([peer.sock.fileno()]), peer.id)
        self.assertEqual(b"it survives", os.pread(self.peers[-1].shm, 11, 4096))

    def check_serves(self):
        """A newcomer is introduced, a leaver is reported, doorbells ring."""
        newcomer = self.join_one()
        self.peers.append(newcomer)
        self.settle()
        newcomer.ring(0, 1)
        self.peers[0].wait_ring(1)
        leaver = self.peers.pop(2)
        leaver.close()
        for peer in self.peers:
            peer.wait_leave(leaver.id)
        self.assertEqual(2, self.peers[1].wait_ring(2))


class Watchdog(Serving):
    watchdog = 4

    def test_stopped(self):
        old = self.main_pid(UNIT)
        self.box.systemctl("kill", "--signal=STOP", UNIT)
        self.wait_restarted(UNIT, old)
        self.assertIn("atchdog", self.box.journal(UNIT))
        self.check_nothing_happened()
        self.check_serves()

    def test_alive_while_idle(self):
        """
        The watchdog is content with a server that has nothing to do. (One that is kept from running
        for seconds may be restarted, which is no fault of it: then it is tried again.)
        """
        self.assertEqual("4s", self.box.property(UNIT, "WatchdogUSec"))

        def content():
            old = self.main_pid(UNIT)
            time.sleep(5)
            return old == self.main_pid(UNIT)

        support.wait_for(content, what="the watchdog to be content")


class Restart(Serving):
    def test_kill(self):
        old = self.main_pid(UNIT)
        self.box.systemctl("kill", "--signal=KILL", UNIT)
        self.wait_restarted(UNIT, old)
        self.check_nothing_happened()
        self.check_serves()

    def test_systemctl_restart(self):
        old = self.main_pid(UNIT)
        self.box.systemctl("restart", UNIT)
        self.assertNotEqual(old, self.main_pid(UNIT))
        self.check_nothing_happened()
        self.check_serves()

    def test_daemon_reexec(self):
        old = self.main_pid(UNIT)
        self.box.systemctl("daemon-reexec")
        self.assertEqual(old, self.main_pid(UNIT))
        self.peers.append(self.join_one())  # what comes after it is stored, too
        self.settle()
        self.box.systemctl("kill", "--signal=KILL", UNIT)
        self.wait_restarted(UNIT, old)
        self.check_nothing_happened()
        self.box.systemctl("daemon-reexec")
        self.check_serves()

    def test_upgrade(self):
        """Another build takes over (the same with other symbols, where no other one is given)."""
        other = os.environ.get("IVSHMEM_OTHER_SERVER")
        if not other:
            other = self.path("other-server")
            shutil.copy(support.SERVER, other)
            if shutil.which("strip"):
                subprocess.run(["strip", other], check=True)
        self.put_program(other)
        self.box.systemctl("restart", UNIT)
        self.check_nothing_happened()
        self.check_serves()

    def test_peer_leaves_meanwhile(self):
        old = self.main_pid(UNIT)
        self.box.systemctl("kill", "--signal=STOP", UNIT)
        leaver = self.peers.pop()
        leaver.close()
        self.box.systemctl("kill", "--signal=KILL", UNIT)
        self.wait_restarted(UNIT, old)
        for peer in self.peers:
            peer.wait_leave(leaver.id)
        self.settle()
        self.check_serves()

    def test_store_is_cleared(self):
        """What has left does not stay in the store."""
        def stored():
            return int(self.box.property(UNIT, "NFileDescriptorStore"))

        before = stored()
        self.assertGreaterEqual(before, len(self.peers) * (VECTORS + 1))
        for _ in range(20):
            visitor = self.join_one()
            visitor.close()
        for peer in self.peers:
            peer.wait_table(lambda table: len(table) == len(self.peers))
        support.wait_for(lambda: stored() <= before, what="the store to shrink")

    def test_stop_and_start(self):
        if self.version() < 254:
            self.skipTest("systemd %d has no FileDescriptorStorePreserve=" % self.version())
        self.box.systemctl("stop", UNIT)
        self.check_nothing_happened()
        self.box.systemctl("start", UNIT)
        self.check_nothing_happened()
        self.check_serves()

    def test_guest(self):
        """A QEMU with a guest is there throughout; afterwards it meets a newcomer."""
        if not guest.QEMU or not os.path.exists(guest.IMAGE):
            self.skipTest("no QEMU, or no image for it")
        machine = guest.Guest(self.folder, self.socket_path("demo"), VECTORS)
        self.addCleanup(machine.close)
        machine.boot()
        for peer in self.peers:
            peer.wait_join(machine.peer_id)
        old = self.main_pid(UNIT)
        self.box.systemctl("kill", "--signal=KILL", UNIT)
        self.wait_restarted(UNIT, old)
        self.box.systemctl("restart", UNIT)
        self.box.systemctl("daemon-reexec")
        self.box.systemctl("restart", UNIT)
        newcomer = self.join_one()
        newcomer.wait_join(machine.peer_id)
        machine.ring_until(newcomer.id, 1, lambda: newcomer.rung(1))
        newcomer.ring(machine.peer_id, 2)
        machine.wait_line(r"received IRQ on vector 2.*")
        self.assertEqual("", machine.stderr())
        machine.quit()
        newcomer.wait_leave(machine.peer_id)

    def test_many_kills(self):
        """Kills at random moments while clients come, go and ring; in the end all is complete."""
        seed = random.randrange(1 << 32)
        print("seed %d" % seed)
        dice = random.Random(seed)
        rings, lost, waits = 0, 0, []
        for _ in range(KILLS):
            old = self.main_pid(UNIT)
            pause = dice.uniform(0, 0.02)
            killer = self.box.popen("sh", "-c", "sleep %f; kill -9 %d" % (pause, old))
            for _ in range(dice.randrange(1, 4)):
                start = time.monotonic()
                try:
                    self.peers.append(self.join_one())
                except AssertionError as error:  # accepted and not stored yet: a few microseconds
                    self.assertIn("hung up", str(error))
                    lost += 1
                    continue
                waits.append(time.monotonic() - start)
                self.peers[-1].ring(0, 0)
                rings += 1
            while len(self.peers) > 8:
                self.peers.pop(dice.randrange(2, 8)).close()
            killer.wait()
            self.wait_restarted(UNIT, old)
            for peer in self.peers:
                self.assertTrue(peer.update(), "peer %d saw the end" % peer.id)
        self.assertLessEqual(lost, 2 + KILLS // 10)
        self.settle()
        self.check_nothing_happened()
        total = struct.unpack("=Q", os.read(self.peers[0].table[0][0], 8))[0]
        self.assertEqual(rings, total)
        self.assertEqual(2, self.peers[1].wait_ring(2))
        waits.sort()
        print("%d restarts: newcomers waited %.0f ms in the middle, %.0f ms at most" % (
            KILLS, waits[len(waits) // 2] * 1000, waits[-1] * 1000))


if __name__ == "__main__":
    service.main()
