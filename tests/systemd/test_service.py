#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The service under the real systemd: activation, users and rights, reload, stop."""

import os
import stat

import service
import support

SOCKET = "ivshmem-server@demo.socket"
UNIT = "ivshmem-server@demo.service"


class Service(service.Test):
    def start(self, *lines):
        self.install("demo", "size = 64k", *lines)
        self.box.systemctl("start", SOCKET)

    def wait_active(self, unit):
        """systemd reads what the service says when it gets to it."""
        support.wait_for(lambda: self.box.property(unit, "ActiveState") == "active", what="active")

    def test_activation(self):
        self.start("vectors = 3", "sealed")
        self.assertEqual("inactive", self.box.property(UNIT, "ActiveState"))
        one = self.join("demo", vectors=3)  # is there before the server is
        self.assertEqual(65536, os.fstat(one.shm).st_size)
        two = self.join("demo", vectors=3)
        one.wait_join(two.id)
        one.ring(two.id, 2)
        two.wait_ring(2)
        self.wait_active(UNIT)
        support.wait_for(lambda: self.box.property(UNIT, "StatusText") ==
                         "2 peers on /run/ivshmem/demo.sock", what="the status")
        status = self.box.run("cat", "/proc/%d/status" % self.main_pid(UNIT)).stdout
        user = self.box.run("id", "-u", "ivshmem").stdout.strip()
        self.assertRegex(status, r"Uid:\s+%s\s+%s" % (user, user))
        self.assertRegex(status, r"CapEff:\s+0000000000000000")
        self.assertRegex(status, r"Seccomp:\s+2")
        self.assertEqual({"demo.sock", "demo.sock.ctl"},
                         {name for name in os.listdir(self.box.path("/run/ivshmem"))
                          if not name.endswith(".lock")})

    def test_plain_unit(self):
        self.install("ivshmem", "vectors = 1")
        self.box.systemctl("start", "ivshmem-server.socket")
        self.join("ivshmem")
        self.wait_active("ivshmem-server.service")
        self.assertTrue(os.path.exists(self.box.path("/dev/shm/ivshmem")))

    def test_started_without_a_client(self):
        self.install("demo")
        self.box.systemctl("start", UNIT)
        self.assertEqual("active", self.box.property(SOCKET, "ActiveState"))
        self.join("demo")

    def test_who_may_join(self):
        self.start()
        status = os.stat(self.socket_path("demo"))
        self.assertEqual(0o660, stat.S_IMODE(status.st_mode))
        self.assertEqual(self.group_id(), status.st_gid)
        stranger = self.inside("demo", 4000)
        self.assertIn("permission denied", stranger.communicate(timeout=support.DEADLINE)[1])
        friend = self.inside("demo", 4001, self.group_id())
        self.assertEqual("0\n", friend.stdout.readline())
        support.wait_for(lambda: "joined" in self.box.journal(UNIT), what="the join in the log")
        line = [line for line in self.box.journal(UNIT).splitlines() if "joined" in line][0]
        self.assertRegex(line, r"uid 4001")  # seen across users, from inside the sandbox
        self.assertRegex(line, r"insider")

    def test_limit_of_a_peer_is_seen(self):
        """The server, another user, in a sandbox, still finds out that a peer holds too few."""
        self.start("vectors = 64")
        with open(self.box.path("/tmp/limited"), "w") as f:
            f.write('#!/bin/sh\nulimit -n 32\nexec /tmp/insider "$@"\n')
        os.chmod(self.box.path("/tmp/limited"), 0o755)
        self.inside("demo", 4001, self.group_id()).communicate(timeout=support.DEADLINE)
        process = self.box.popen(
            "/tmp/limited", "-S", "-c", service.INSIDE, "/run/ivshmem/demo.sock", 4001,
            self.group_id(), stdin=-1, stdout=-1, stderr=-1, text=True)
        with process:
            self.assertNotEqual("0\n", process.stdout.readline())
            process.stdin.close()
            process.wait(support.DEADLINE)
        support.wait_for(lambda: "limit" in self.box.journal(UNIT), what="the refusal in the log")

    def test_metrics(self):
        """In the folder of the sockets as it is, elsewhere with a drop-in."""
        self.install("demo", "metrics-file = /run/ivshmem/demo.prom")
        self.box.systemctl("start", UNIT)
        self.assertTrue(os.path.exists(self.box.path("/run/ivshmem/demo.prom")))
        self.box.systemctl("stop", SOCKET)
        self.box.run("install", "-d", "-o", "ivshmem", "/var/lib/metrics")
        self.install("demo", "metrics-file = /var/lib/metrics/demo.prom")
        self.box.systemctl("start", UNIT, check=False)
        self.assertIn("/var/lib/metrics/demo.prom: Read-only", self.box.journal(UNIT))
        self.drop_in("ivshmem-server@.service", "[Service]\nReadWritePaths=/var/lib/metrics\n")
        self.box.systemctl("reset-failed", UNIT)
        self.box.systemctl("start", UNIT)
        self.assertTrue(os.path.exists(self.box.path("/var/lib/metrics/demo.prom")))

    def test_two_regions(self):
        for name in ("one", "two"):
            self.install(name, "shm-name = " + name)
            self.box.systemctl("start", "ivshmem-server@%s.socket" % name)
        one, two = self.join("one"), self.join("two")
        self.assertEqual((0, 0), (one.id, two.id))
        self.assertNotEqual(os.fstat(one.shm).st_ino, os.fstat(two.shm).st_ino)

    def test_reload(self):
        self.start("max-peers = 1")
        first = self.join("demo")
        self.assertRaises(support.TurnedAway, self.join, "demo")
        self.install("demo", "size = 64k", "max-peers = 2")
        self.box.systemctl("reload", UNIT)
        support.wait_for(lambda: "configuration read again" in self.box.journal(UNIT),
                         what="the reload in the log")
        self.join("demo")
        first.wait_join(1)
        self.wait_active(UNIT)

    def test_stop_leaves_nothing(self):
        self.start("sealed")
        peer = self.join("demo")
        self.box.systemctl("stop", SOCKET)  # and with it the service, which needs it
        self.assertEqual("inactive", self.box.property(UNIT, "ActiveState"))
        self.assertEqual("success", self.box.property(UNIT, "Result"))
        self.assertEqual([], os.listdir(self.box.path("/run/ivshmem")))
        self.assertEqual([], os.listdir(self.box.path("/dev/shm")))
        if self.version() < 254:
            peer.wait_hang_up()

    def test_stop_of_the_socket_clears_up(self):
        """What the service leaves for its restarts: the sockets of slots, and memory with a name."""
        if self.version() >= 254:
            self.skipTest("the descriptor store outlives a stop, and peers may be in it")
        self.start("slot = vm=5", "shm-name = demo")
        self.join("demo")
        self.box.systemctl("stop", UNIT)
        self.assertEqual(["demo"], os.listdir(self.box.path("/dev/shm")))
        self.box.systemctl("start", UNIT)
        self.assertIn("with its content", self.box.journal(UNIT))
        self.box.systemctl("stop", SOCKET)
        self.assertEqual([], os.listdir(self.box.path("/run/ivshmem")))
        self.assertEqual([], os.listdir(self.box.path("/dev/shm")))
        self.assertEqual("success", self.box.property(SOCKET, "Result"))

    def test_bad_configuration_does_not_loop(self):
        self.install("demo", "size = nonsense")
        self.box.systemctl("start", SOCKET)
        self.box.systemctl("start", UNIT, check=False)
        self.assertEqual("failed", self.box.property(UNIT, "ActiveState"))
        self.assertEqual("0", self.box.property(UNIT, "NRestarts"))
        self.assertIn("nonsense", self.box.journal(UNIT))

    def test_no_configuration(self):
        result = self.box.systemctl("start", "ivshmem-server@none.socket", check=False)
        self.assertNotEqual(0, result.returncode)
        self.assertIn("ssert", result.stderr)  # "Assertion failed on job for ..."


if __name__ == "__main__":
    service.main()
