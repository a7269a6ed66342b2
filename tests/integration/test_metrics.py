#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The metrics file: its format, when it is written, and what becomes of it."""

import os
import re
import stat
import threading
import time

import support
from varlink import Control

SECONDS = 2  # METRICS_SECONDS
SAMPLE = re.compile(r'^(ivshmem_[a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\} (\d+)$')


def parse(text):
    """
    The samples of an OpenMetrics text, which has to be strict: each family with its type and help
    before its one sample, the line "# EOF" last. Returns {name: value} and the set of labels.
    """
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""], lines[-2:]
    lines = lines[:-2]
    values, labels = {}, set()
    assert len(lines) % 3 == 0
    for kind, words, sample in zip(lines[0::3], lines[1::3], lines[2::3]):
        family, of = re.match(r"^# TYPE ([a-z_]+) (gauge|counter)$", kind).groups()
        assert re.match(r"^# HELP %s [A-Z][^\\]+\.$" % family, words), words
        name, label, value = SAMPLE.match(sample).groups()
        assert name == family + ("_total" if of == "counter" else ""), name
        assert family not in values, family
        values[family[len("ivshmem_"):]] = int(value)
        labels.add(label)
    return values, labels


class Metrics(support.Test):
    def serve(self, *options, file="m.prom", **more):
        server = self.server("--metrics-file=" + self.path(file), *options, **more)
        server.metrics = self.path(file)
        support.wait_for(lambda: "serving" in server.stderr)
        return server

    def read(self, server):
        with open(server.metrics) as f:
            return parse(f.read())[0]

    def wait_for(self, server, **wanted):
        def as_wanted():
            values = self.read(server)
            return all(values[name] == value for name, value in wanted.items())
        support.wait_for(as_wanted, what=wanted)

    def test_numbers(self):
        began = time.time()
        server = self.serve("--slot=a=7", "--slot=b=8", "--max-peers=2", size="1M", vectors=3)
        values = self.read(server)
        self.assertTrue(began - 1 <= values["start_time_seconds"] <= time.time() + 1, values)
        for name, value in {"server_info": 1, "memory_bytes": 1 << 20, "vectors": 3, "peers": 0,
                            "peers_waiting": 0, "slots": 2, "slots_held": 0, "joins": 0,
                            "leaves": 0, "refusals": 0, "repairs": 0, "announcements": 0,
                            "rings": 0}.items():
            self.assertEqual(value, values[name], name)
        peer = self.peer(server)
        slot = support.RawPeer(server.socket + ".b", vectors=3)
        self.addCleanup(slot.close)
        self.wait_for(server, peers=2, slots_held=1, joins=2, leaves=0, announcements=6 + 12)
        self.assertRaises(support.TurnedAway, self.peer, server)
        slot.close()
        os.truncate(server.shm, 4096)
        with Control(server.socket + ".ctl") as control:
            control.ring(peer=0)
        self.wait_for(server, peers=1, slots_held=0, leaves=1, refusals=1, repairs=1, rings=3)
        peer.close()
        self.wait_for(server, peers=0, leaves=2)
        server.stop()

    def test_waiting_peers(self):
        server = self.serve(vectors=64)
        sleepy = self.peer(server)
        others = [self.peer(server, keep=False) for _ in range(4)]
        for _ in range(2):
            for other in others:
                other.wait_table(lambda table: sum(map(len, table.values())) == 5 * 64)
        self.wait_for(server, peers=5, peers_waiting=1)
        sleepy.wait_table(lambda table: sum(map(len, table.values())) == 5 * 64)
        self.wait_for(server, peers_waiting=0)

    def test_always_whole_and_readable_by_others(self):
        server = self.serve(preexec=lambda: (support.die_with_parent(), os.umask(0o077)))
        self.assertEqual(0o644, stat.S_IMODE(os.stat(server.metrics).st_mode))
        done, faults = threading.Event(), []

        def watch():
            while not done.is_set():
                try:
                    self.read(server)
                except Exception as error:
                    faults.append(repr(error))
                time.sleep(0.001)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            inode = os.stat(server.metrics).st_ino
            for _ in range(2):
                self.peer(server)
                support.wait_for(lambda: os.stat(server.metrics).st_ino != inode)
                inode = os.stat(server.metrics).st_ino
        finally:
            done.set()
            watcher.join()
        self.assertEqual([], faults)
        self.assertEqual(["m.prom"], [n for n in os.listdir(self.folder) if "m.prom" in n])

    def test_at_most_every_few_seconds(self):
        server = self.serve()
        began, changes, inode = time.monotonic(), 0, os.stat(server.metrics).st_ino
        while changes < 2 or time.monotonic() < began + 5:
            support.RawPeer(server.socket).close()
            before, inode = inode, os.stat(server.metrics).st_ino
            changes += inode != before
            self.assertLess(time.monotonic(), began + support.DEADLINE, "it is not written")
            time.sleep(0.01)
        self.assertLessEqual(changes, (time.monotonic() - began) / SECONDS + 1)

    def test_is_removed_if_it_is_ours(self):
        server = self.serve()
        server.stop()
        self.assertFalse(os.path.exists(server.metrics))
        server = self.serve()
        os.rename(server.metrics, server.metrics + ".old")
        with open(server.metrics, "w") as f:
            f.write("somebody else's\n")
        server.stop()
        self.assertTrue(os.path.exists(server.metrics))

    def test_replaces_what_was_there(self):
        with open(self.path("m.prom"), "w") as f:
            f.write("old\n")
        self.assertEqual(0, self.read(self.serve())["peers"])
        secret = self.path("secret")
        with open(secret, "w") as f:
            f.write("secret\n")
        os.symlink(secret, self.path("link"))
        server = self.serve(file="link")
        self.assertEqual(0, self.read(server)["peers"])
        with open(secret) as f:
            self.assertEqual("secret\n", f.read())

    def test_labels(self):
        path = self.path('odd "name"\\')
        server = self.serve(socket_path=path)
        with open(server.metrics) as f:
            labels = parse(f.read())[1]
        escaped = path.replace("\\", "\\\\").replace('"', '\\"')
        self.assertIn('socket="%s"' % escaped, labels)

    def test_cannot_be_written(self):
        os.symlink("/dev/null", self.path("link"))
        for file in (self.path("no/folder/m.prom"), self.folder, "/proc/m.prom", self.path("link")):
            with self.subTest(file):
                self.refused("--metrics-file=" + file, mentions=["--metrics-file", file])

    def test_trouble_while_it_runs(self):
        """A folder that is gone is logged, and the server goes on."""
        folder = self.path("folder")
        os.mkdir(folder)
        server = self.serve(file="folder/m.prom")
        os.unlink(server.metrics)
        os.rmdir(folder)
        peer = self.peer(server)
        support.wait_for(lambda: "cannot write " + server.metrics in server.stderr)
        peer.ring(peer.id)
        peer.wait_ring()
        server.stop()


if __name__ == "__main__":
    support.main()
