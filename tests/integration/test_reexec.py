#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Re-execution (SIGUSR2): another program carries on in the same process, without any service manager,
or the old one does when the other cannot.
"""

import fcntl
import os
import re
import shutil
import signal
import sys
import threading
import time
from unittest import mock

import manager
import support
from support import wait_for
from varlink import Control

REAL_SERVER = support.SERVER
TRIAL_SECONDS = 10
TIMES = 200 if os.environ.get("IVSHMEM_TEST_LONG") else 20

# A program that finds another version in the copy of the state, and asks the real one about it.
OTHER_VERSION = """#!%s
import os, sys
for line in open("/proc/self/fd/" + os.environ["IVSHMEM_INHERIT"]):
    fd, name = line.split()
    if name == "state":
        os.pwrite(int(fd), (77).to_bytes(4, "little"), 8)
os.execv(%r, sys.argv)
"""

# A program that takes its time before it becomes the real one, though not in the trial.
SLOW_START = """#!/bin/sh
i=0
[ $$ = %d ] && until [ -e '%s' ] || [ $((i += 1)) = 6000 ]; do sleep 0.01; done
exec '%s' "$@"
"""


def image(pid):
    """Changes with each execve(2): AT_RANDOM and the addresses are new."""
    with open("/proc/%d/auxv" % pid, "rb") as f:
        return f.read()


class Program(support.Test):
    """A server whose program file can be replaced."""

    def setUp(self):
        super().setUp()
        self.program = self.path("program")
        self.install(support.SERVER)
        patch = mock.patch.object(support, "SERVER", self.program)
        patch.start()
        self.addCleanup(patch.stop)

    def install(self, path=None, text=None, mode=0o755):
        """Puts another file in place of the program, as a package manager does: by rename."""
        draft = self.program + ".new"
        if text is None:
            shutil.copy(path, draft)
        else:
            with open(draft, "w", encoding="utf-8") as f:
                f.write(text)
        os.chmod(draft, mode)
        os.rename(draft, self.program)

    def reexec(self, server):
        before = image(server.pid)
        server.send_signal(signal.SIGUSR2)
        wait_for(lambda: image(server.pid) not in (before, b""), what="another program")

    def crowd(self, server, count=3):
        peers = [self.peer(server) for _ in range(count)]
        self.same_tables(server, peers)
        return peers

    def same_tables(self, server, peers):
        ids = {peer.id for peer in peers}
        for peer in peers:
            peer.wait_table(lambda table: set(table) == ids and all(
                len(fds) == server.vectors for fds in table.values()))
            self.assertEqual(peers[0].numbers(), peer.numbers())

    def goes_on(self, server, peers):
        """Those who are there are undisturbed, and a newcomer finds them and their memory."""
        newcomer = self.peer(server)
        self.same_tables(server, peers + [newcomer])
        newcomer.ring(peers[0].id)
        self.assertEqual(1, peers[0].wait_ring())
        self.assertEqual(os.fstat(peers[0].shm).st_ino, os.fstat(newcomer.shm).st_ino)
        newcomer.close()
        self.same_tables(server, peers)


class Success(Program):
    def test_foreground(self):
        server = self.server(vectors=2)
        peers = self.crowd(server)
        client = self.client(server).ready()
        peers[0].ring(1, 1)
        os.pwrite(peers[0].shm, b"kept", 100)
        sleeper = self.peer(server)
        for _ in range(3):
            self.reexec(server)
            self.peer(server).close()
        self.assertEqual(1, peers[1].wait_ring(1))
        self.assertEqual(b"kept", os.pread(self.peer(server).shm, 4, 100))
        client.send("int 0 0")
        peers[0].wait_ring()
        self.assertNotIn("disconnected", client.output("err"))
        for peer in peers + [sleeper]:
            self.assertTrue(peer.update())
        self.assertEqual(3, server.stderr.count("carrying on with"))
        server.stop()

    def test_counters_go_on(self):
        """And the uptime with them: whoever draws them sees one service."""
        def status():
            with Control(server.socket + ".ctl") as control:
                return control.status()

        def started():
            with open(self.path("numbers"), encoding="utf-8") as f:
                return re.search(r"^ivshmem_start_time_seconds\{.*\} (\d+)$", f.read(), re.M).group(1)

        server = self.server("--metrics-file", self.path("numbers"))
        peers = self.crowd(server, 2)
        self.peer(server).close()
        for peer in peers:
            peer.wait_leave(2)
        wait_for(lambda: status()["uptime"] > 0)
        counters, start = status()["counters"], started()
        self.assertEqual((3, 1), (counters["joins"], counters["leaves"]))
        self.reexec(server)
        self.assertEqual(counters, status()["counters"])
        self.assertGreater(status()["uptime"], 0)
        self.assertEqual(start, started())
        self.peer(server)
        self.assertEqual(4, status()["counters"]["joins"])
        server.stop()

    def test_daemon_with_relative_paths(self):
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        server = self.server(vectors=2, daemon=True, socket_path="socket", pid_file="pid")
        os.chdir(here)
        for name in ("socket", "pid_file"):
            setattr(server, name, self.path(getattr(server, name)))
        peers = self.crowd(server)
        for _ in range(3):
            self.reexec(server)
            self.goes_on(server, peers)
            with open(server.pid_file, encoding="ascii") as f:
                self.assertEqual(server.pid, int(f.read()))
            self.assertEqual("/", os.readlink("/proc/%d/cwd" % server.pid))
        server.stop()
        self.assertFalse(os.path.exists(server.pid_file))

    def test_asked_by_the_program(self):
        server = self.server(vectors=2)
        peers = self.crowd(server)
        before = image(server.pid)
        result = support.run(support.SERVER, "--re-exec", "-S", server.socket)
        self.assertEqual((0, "", ""), (result.returncode, result.stdout, result.stderr))
        wait_for(lambda: image(server.pid) not in (before, b""), what="another program")
        self.goes_on(server, peers)
        server.stop()
        self.refused("--re-exec", "-S", server.socket, names=False,
                     mentions=[server.socket + ".ctl", "No such file", "SIGUSR2"])
        self.refused("--re-exec", "--control-socket=none", mentions=["SIGUSR2"])

    def test_second_build(self):
        server = self.server()
        peers = self.crowd(server)
        self.install(self.program)
        self.assertIn("(deleted)", os.readlink("/proc/%d/exe" % server.pid))
        self.reexec(server)
        self.assertEqual(self.program, os.readlink("/proc/%d/exe" % server.pid))
        self.goes_on(server, peers)
        server.stop()

    def test_nobody_gets_in_between(self):
        """The lock files stay locked while one program turns into the other."""
        server = self.server()
        peers = self.crowd(server)
        locks = [server.socket + ".lock", "/dev/shm/.%s.lock" % server.shm_name]
        go = self.path("go")
        self.install(text=SLOW_START % (server.pid, go, REAL_SERVER))
        self.reexec(server)  # and now the script runs, with what it was given
        for path in locks:
            with open(path, "rb") as lock, self.assertRaises(BlockingIOError, msg=path):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for socket, name in ((server.socket, server.shm_name + "-b"),
                             (self.path("other"), server.shm_name)):
            self.refused("-F", "-S", socket, "-M", name, program=REAL_SERVER,
                         names=False, mentions=[server.pid])
        self.assertNotIn("carrying on", server.stderr)  # it still waited
        with open(go, "wb"):
            pass
        self.goes_on(server, peers)
        server.stop()

    def test_storm(self):
        """Again and again, while peers come and go; nothing leaks."""
        server = self.server(vectors=4)
        peers = self.crowd(server)
        errors = []
        self.reexec(server)
        self.goes_on(server, peers)
        before = wait_for(server.descriptors)

        def again():
            try:
                for _ in range(TIMES):
                    self.reexec(server)
            except BaseException as error:  # pylint: disable=broad-except
                errors.append(error)

        thread = threading.Thread(target=again, daemon=True)
        thread.start()
        joins = 0
        while thread.is_alive():
            guests = [self.peer(server) for _ in range(3)]
            joins += 3
            for peer in peers:
                self.assertTrue(peer.update())
            for guest in guests:
                guest.close()
        thread.join()
        print("\n%d joins during %d executions" % (joins, TIMES))
        self.assertEqual([], errors)
        self.goes_on(server, peers)
        wait_for(lambda: server.descriptors() <= before, what="%d descriptors" % before)
        server.stop()

    def test_slots_and_sleepers(self):
        server = self.server("--slot", "vm=5", vectors=40)
        slot = server.socket + ".vm"
        self.addCleanup(support.remove, slot)
        peers = self.crowd(server)
        holder = support.RawPeer(slot, vectors=40)
        bells = holder.numbers()[5]
        silent = self.peer(server, greet=False)
        peers[0].wait_join(5)
        holder.close()
        wait_for(lambda: "of slot vm left" in server.stderr)
        peers[0].ring(5, 39)
        self.reexec(server)
        holder = support.RawPeer(slot, vectors=40)
        self.addCleanup(holder.close)
        self.assertEqual((5, bells), (holder.id, holder.numbers()[5]))
        self.assertEqual(1, holder.wait_ring(39))
        silent.greet()
        self.same_tables(server, peers + [holder, silent])


class Failure(Program):
    """The other program cannot carry on: the old one does, and says why."""

    def setUp(self):
        super().setUp()
        self.original = self.path("original")
        shutil.copy(self.program, self.original)
        self.running = self.server(vectors=2)
        self.peers = self.crowd(self.running)
        self.image = image(self.running.pid)

    def cannot(self, why):
        """Asks for the execution; it fails for this reason, and everything goes on."""
        count = self.running.stderr.count("cannot carry on")
        self.running.send_signal(signal.SIGUSR2)
        wait_for(lambda: self.running.stderr.count("cannot carry on") > count,
                 TRIAL_SECONDS + support.DEADLINE)
        self.assertRegex(self.running.stderr.splitlines()[-1], "cannot carry on.*: " + why)
        self.assertEqual(self.image, image(self.running.pid))
        self.goes_on(self.running, self.peers)

    def tearDown(self):
        """With the good program in its place it works after all."""
        self.install(self.original)
        self.reexec(self.running)
        self.goes_on(self.running, self.peers)
        self.running.stop()
        super().tearDown()

    def test_it_says_no(self):
        self.install(text="#!/bin/sh\necho 'no: not today'\nexit 1\n")
        for _ in range(3):
            self.cannot("no: not today$")
        result = support.run(self.original, "--re-exec", "-S", self.running.socket)
        self.assertEqual((1, ""), (result.returncode, result.stdout))
        self.assertIn("goes on as it is", result.stderr)
        self.assertIn("not today", result.stderr)
        self.goes_on(self.running, self.peers)

    def test_it_says_nothing(self):
        self.install("/bin/false")
        self.cannot("it did not answer$")

    def test_it_says_too_much(self):
        self.install(text="#!/bin/sh\nexec yes no\n")
        self.cannot("no$")

    def test_it_cannot_be_executed(self):
        self.install(self.original, mode=0o644)
        self.cannot("cannot execute it: Permission denied")
        os.unlink(self.program)
        self.cannot("cannot execute it: No such file")

    def test_another_version_of_the_state(self):
        self.install(text=OTHER_VERSION % (sys.executable, self.original))
        for _ in range(2):  # the state itself was not touched
            self.cannot("no: the state has version 77, and this program reads")

    def test_it_hangs(self):
        """It is given ten seconds; meanwhile everything goes on, and there is no second trial."""
        self.install(text="#!/bin/sh\nexec sleep 1000\n")
        begin = time.monotonic()
        self.running.send_signal(signal.SIGUSR2)
        wait_for(lambda: "trying" in self.running.stderr)
        self.running.send_signal(signal.SIGUSR2)
        wait_for(lambda: "a trial is under way" in self.running.stderr)
        self.goes_on(self.running, self.peers)
        wait_for(lambda: "it did not answer" in self.running.stderr,
                 TRIAL_SECONDS + support.DEADLINE)
        self.assertGreater(time.monotonic() - begin, TRIAL_SECONDS / 2)
        self.goes_on(self.running, self.peers)

    def test_stopped_during_the_trial(self):
        """The trial ends with the daemon."""
        server = self.server()
        self.install(text="#!/bin/sh\nexec sleep 1000\n")
        server.send_signal(signal.SIGUSR2)
        wait_for(lambda: "trying" in server.stderr)
        server.stop()


class Spoilt(Program):
    """By then the options want what cannot be: nobody is lost for that, and the log says it."""

    def start(self, *lines):
        self.options = lines
        self.socket = self.path("s")
        self.write()
        server = self.server("--config", self.path("conf"), vectors=2)
        return server, self.crowd(server)

    def write(self, *more):
        with open(self.path("conf"), "w", encoding="utf-8") as f:
            f.write("\n".join(self.options + more) + "\n")

    def goes_on_after(self, server, peers, *more):
        text = self.reexec_with(server, *more)
        self.goes_on(server, peers)
        return text

    def reexec_with(self, server, *more):
        self.write(*more)
        before = len(server.stderr)
        self.reexec(server)
        wait_for(lambda: "serving" in server.stderr[before:])
        return server.stderr[before:]

    def test_places_that_are_not_there(self):
        server, peers = self.start("slot = x=7")
        for line in ("metrics-file = %s", "control-socket = %s", "slot = y=8:%s"):
            place = self.path("no/such")
            text = self.goes_on_after(server, peers, line % place)
            self.assertRegex(text, "error: .*%s.*No such file" % self.path("no"))
        self.assertNotIn("error", self.goes_on_after(server, peers))
        self.assertEqual(7, support.RawPeer(server.socket + ".x", vectors=2).id)
        server.stop()

    def test_sockets_that_change(self):
        """Other IDs at the same sockets, sockets that are swapped, removed, and that are new."""
        one, two, three = (self.path(name) for name in ("one", "two", "three"))
        server, peers = self.start()
        self.reexec_with(server, "slot = a=7:" + one, "slot = b=8:" + two)
        for lines in (("slot = a=7:" + two, "slot = b=8:" + one), ("slot = a=9:" + two,),
                      ("slot = c=10:" + one, "slot = a=9:" + two, "control-socket = " + three),
                      ("slot = a=9:" + three, "control-socket = " + one),
                      ("control-socket = none",), ("slot = b=8:" + one,), ()):
            self.assertNotIn("error", self.reexec_with(server, *lines))
            for line in lines:
                path = line.split()[-1].rpartition(":")[2]
                if line.endswith("none"):
                    self.assertEqual([], [n for n in os.listdir(self.folder) if ".ctl" in n])
                elif line.startswith("slot"):
                    peer = support.RawPeer(path, vectors=2)
                    self.assertIn("=%d:" % peer.id, line)
                    peer.close()
                else:
                    with Control(path) as control:
                        self.assertEqual(3, control.status()["peers"])
            self.peer(server).close()
            for peer in peers:
                self.assertTrue(peer.update())
        server.stop()
        self.assertEqual([], [path for path in (one, two, three) if os.path.exists(path)])

    def test_who_waits_at_a_socket_that_goes(self):
        """It is turned away: a QEMU that only sees the end would spin."""
        server, peers = self.start("slot = a=7")
        self.write()
        self.options = ()
        support.suspend(server.pid)
        server.send_signal(signal.SIGUSR2)
        server.send_signal(signal.SIGCONT)
        wait_for(lambda: "trying" in server.stderr)
        support.suspend(server.pid)
        waiting = support.RawPeer(server.socket + ".a", vectors=2, greet=False)
        self.addCleanup(waiting.close)
        self.write()
        server.send_signal(signal.SIGCONT)
        wait_for(lambda: "serving" in server.stderr[server.stderr.index("trying"):])
        try:
            waiting.greet()
        except support.TurnedAway:
            pass
        self.same_tables(server, peers + ([waiting] if waiting.table else []))


class UnderManager(manager.Test):
    """Both at once: what the manager has stored is still what a kill needs."""

    def test_store(self):
        path, name = self.path("socket"), "ivshmem-test-%d-x" % os.getpid()
        for trace in ("/dev/shm/" + name, "/dev/shm/.%s.lock" % name):
            support.janitor.tell("remove", trace)
            self.addCleanup(support.remove, trace)
        service = self.manager([support.SERVER, "-F", "--fd-store", "-S", path, "-M", name],
                               sockets={"peers": path}).start()
        peers = []

        def join():
            peers.append(support.RawPeer(path))
            self.addCleanup(peers[-1].close)
            for peer in peers:
                peer.wait_table(lambda table: set(table) == set(range(len(peers))))

        def reexec():
            before = image(service.pid)
            os.kill(service.pid, signal.SIGUSR2)
            wait_for(lambda: image(service.pid) not in (before, b""))

        for _ in range(3):
            join()
            reexec()
            join()
            service.restart()
            join()
        service.stall()
        waiting = [support.RawPeer(path, greet=False) for _ in range(12)]
        for peer in waiting:
            self.addCleanup(peer.close)

        def refused():
            os.kill(service.pid, signal.SIGUSR2)
            return "not now" in service.log()

        wait_for(refused)
        service.resume()
        for peer in waiting:
            peer.greet()
        peers += waiting
        join()
        reexec()
        service.restart()
        join()
        self.assertEqual(len(peers), len(re.findall("s[0-9a-f]{6}", " ".join(service.names()))))


if __name__ == "__main__":
    support.main()
