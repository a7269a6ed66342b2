#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The daemon is killed and started again while rings with live data are moved all the time: nothing is
lost, repeated or out of order (the load test looks), and afterwards the tables are right and new
channels work.

IVSHMEM_TEST_LONG=1: a hundred kills, 2 GB.
"""

import os
import random
import subprocess
import time

import channels
import manager
import support
from varlink import Control

PROGRAM = os.path.join(os.environ["top_builddir"], "tests/load/test_channels_resized")
KILLS = 100 if os.environ.get("IVSHMEM_TEST_LONG") else 10
PAUSE = 0.2  # seconds between two kills, at most


class Killed(manager.Test, channels.Test):
    def test_moved_with_live_data(self):
        self.socket, self.vectors = self.path("socket"), 1
        service = self.manager(
            [support.SERVER, "-F", "--fd-store", "-S", self.socket, "-l", "16M", "-n", "1",
             "--channels", "--mailboxes=16", "--max-channels=64"],
            sockets={"peers": self.socket}).start()
        rng = random.Random(service.seed)
        program = subprocess.Popen(
            [PROGRAM], env={**os.environ, "IVSHMEM_TEST_SOCKET": self.socket}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=support.die_with_parent)
        self.addCleanup(self.end, program)
        self.assertEqual("moving\n", program.stdout.readline())
        for _ in range(KILLS):
            time.sleep(rng.random() * PAUSE)
            service.restart()
        program.stdin.close()
        print(program.stdout.read())  # it has a deadline of its own
        self.assertEqual(0, program.wait(), "seed %d, %s" % (service.seed, service.log()))
        self.as_at_first(service)
        service.restart()
        self.as_at_first(service)

    @staticmethod
    def end(program):
        program.kill()
        program.wait()
        program.stdin.close()
        program.stdout.close()

    def as_at_first(self, service):
        """All is free and in one piece, nothing had to be put right; and channels work."""
        a, b, channel = self.pair(self)
        a.put(channel, b"after")
        self.assertEqual(b"after", b.take(channel))
        a.end(channel)
        b.end(channel)
        for peer in (a, b):
            peer.close()
        with Control(self.socket + ".ctl") as control:
            status = support.wait_for(
                lambda: (lambda s: s if not s["speaking"] and not s["active"] else None)(
                    control.status()["channels"]), what="no channels and no peers")
            self.assertEqual([], control.list_channels()["channels"])
        self.assertEqual(status["bytes"], status["free_bytes"])
        self.assertEqual(status["bytes"], status["largest_free"])
        self.assertEqual(0, status["repaired_blocks"], service.log())


if __name__ == "__main__":
    support.main()
