#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--adopt beside a program that treats the object as ACRN's device model does (acrn_attach)."""

import os
import signal
import subprocess

import support

ATTACH = os.path.join(os.environ.get("top_builddir") or os.path.join(support.TOP, "build"),
                      "tests/integration/acrn_attach")
SIZE = 1 << 20


class Adopt(support.Test):
    def setUp(self):
        if not os.access(ATTACH, os.X_OK):
            self.skipTest("no %s: make check builds it" % ATTACH)
        super().setUp()
        support.Server.count += 1
        self.name = "ivshmem-test-%d-acrn-%d" % (os.getpid(), support.Server.count)
        self.shm = "/dev/shm/" + self.name
        support.janitor.tell("remove", self.shm)
        self.addCleanup(support.remove, self.shm)

    def attach(self, says, *options, size=SIZE):
        """A device model that has done what it says (checked unless says is None)."""
        model = subprocess.Popen(
            [ATTACH, *options, self.name, str(size)], stdin=subprocess.PIPE, text=True, bufsize=1,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=support.die_with_parent)
        self.addCleanup(self.end, model)
        if says:
            self.answer(model, says)
        return model

    @staticmethod
    def end(model):
        model.kill()
        model.communicate()

    def answer(self, model, expected):
        self.assertTrue(support.readable([model.stdout], support.DEADLINE), "no answer in time")
        self.assertEqual(expected, model.stdout.readline().rstrip("\n"))

    def ask(self, model, command, expected):
        model.stdin.write(command + "\n")
        self.answer(model, expected)

    def adopting(self, *options, size=SIZE):
        return self.server("--adopt", *options, name=self.name, size=size)

    def stop(self, server):
        """Nobody ever removes the object."""
        server.send_signal(signal.SIGTERM)
        self.assertEqual(0, server.wait())
        self.assertEqual([self.shm], server.left_behind())

    def check_shared(self, model, server):
        peer = self.peer(server)
        self.ask(model, "put from the device model", "done")
        self.assertEqual(b"from the device model\0", os.pread(peer.shm, 22, 0))
        os.pwrite(peer.shm, b"from a peer\0", 0)
        self.ask(model, "get", "from a peer")
        self.assertEqual((SIZE, 0o100600), (os.stat(self.shm).st_size, os.stat(self.shm).st_mode))

    def test_device_model_first(self):
        model = self.attach("created")
        self.ask(model, "put early", "done")
        server = self.adopting()
        peer = self.peer(server)
        self.assertEqual(b"early", os.pread(peer.shm, 5, 0))
        self.check_shared(model, server)
        self.stop(server)
        self.ask(model, "get", "from a peer")
        server = self.adopting()  # and once more, over the same object
        self.check_shared(model, server)
        self.stop(server)

    def test_server_first(self):
        server = self.adopting()
        model = self.attach("attached")
        self.check_shared(model, server)
        self.end(model)
        model = self.attach("attached")  # a virtual machine that boots again
        self.check_shared(model, server)
        self.stop(server)
        self.attach("attached")

    def test_crash(self):
        server = self.adopting()
        model = self.attach("attached")
        server.kill()
        self.check_shared(model, self.adopting())

    def test_wrong_size(self):
        """Whoever comes second sees that it does not fit; the object and the first stay as is."""
        model = self.attach("created")
        self.ask(model, "put mine", "done")
        for size in (SIZE // 2, SIZE * 2):
            self.refused("-F", "-S", self.path("s"), "-M", self.name, "--adopt", "-l", size,
                         names=False, mentions=[self.shm, SIZE, size])
            self.assertEqual(SIZE, os.stat(self.shm).st_size)
        self.ask(model, "get", "mine")
        server = self.adopting()
        for size in (SIZE // 2, SIZE * 2):
            late = self.attach(None, size=size)
            self.assertEqual(1, late.wait(support.DEADLINE))
            self.assertIn("%d bytes instead of %d" % (SIZE, size), late.stderr.read())
        self.check_shared(model, server)
        self.stop(server)

    def test_creator_that_is_still_at_work(self):
        """An object of 0 bytes: its creator is about to give it a size."""
        model = self.attach("unsized", "-w")
        self.assertEqual(0, os.stat(self.shm).st_size)
        path = self.path("s")
        waiting = subprocess.Popen(
            [support.SERVER, "-F", "--adopt", "-S", path, "-M", self.name, "-l", str(SIZE)],
            stderr=subprocess.PIPE, text=True, preexec_fn=support.die_with_parent)
        self.addCleanup(self.end, waiting)
        lock = "/dev/shm/.%s.lock" % self.name
        support.janitor.tell("remove", lock)
        self.addCleanup(support.remove, lock)
        support.wait_for(lambda: self.has_open(waiting.pid), what="the server to look at it")
        self.assertEqual(0, os.stat(self.shm).st_size)
        self.assertFalse(os.path.exists(path))
        self.ask(model, "go on", "created")
        support.wait_for(lambda: "serving" in waiting.stderr.readline(), what="the server to serve")
        peer = support.RawPeer(path)
        self.addCleanup(peer.close)
        self.ask(model, "put at last", "done")
        self.assertEqual(b"at last", os.pread(peer.shm, 7, 0))
        waiting.terminate()
        self.assertEqual(0, waiting.wait(support.DEADLINE))
        self.assertTrue(os.path.exists(self.shm))

    def has_open(self, pid):
        folder = "/proc/%d/fd" % pid
        try:
            return any(os.readlink(os.path.join(folder, fd)) == self.shm
                       for fd in os.listdir(folder))
        except FileNotFoundError:
            return False

    def test_creator_that_never_goes_on(self):
        """The server does not wait for ever; it says what is wrong."""
        self.attach("unsized", "-w")
        self.refused("-F", "-S", self.path("s"), "-M", self.name, "--adopt", "-l", SIZE,
                     names=False, mentions=[self.shm, "0 bytes"])
        self.assertEqual(0, os.stat(self.shm).st_size)

    def test_object_made_meanwhile(self):
        """The device model creates it while the server is about to: then it is adopted."""
        size, lock = 128 * SIZE, "/dev/shm/.%s.lock" % self.name  # large: it takes its time
        support.janitor.tell("remove", lock)
        self.addCleanup(support.remove, lock)
        process = subprocess.Popen(
            [support.SERVER, "-F", "--adopt", "-S", self.path("s"), "-M", self.name, "-l",
             str(size)], stderr=subprocess.PIPE, text=True, preexec_fn=support.die_with_parent)
        self.addCleanup(self.end, process)
        while not os.path.exists(lock):
            self.assertIsNone(process.poll())
        model = self.attach(None, size=size)
        self.assertTrue(support.readable([model.stdout], support.DEADLINE))
        created = model.stdout.readline() == "created\n"
        support.wait_for(lambda: "serving" in process.stderr.readline(), what="the server to serve")
        peer = support.RawPeer(self.path("s"))
        self.addCleanup(peer.close)
        self.ask(model, "put one object", "done")
        self.assertEqual(b"one object", os.pread(peer.shm, 10, 0))
        process.terminate()
        self.assertEqual(0, process.wait(support.DEADLINE))
        if not created:
            self.skipTest("the server was faster")

    def test_both_at_once(self):
        """Whoever wins, they share one object."""
        for _ in range(10):
            model = self.attach(None)
            server = self.adopting()
            self.assertTrue(support.readable([model.stdout], support.DEADLINE))
            self.assertIn(model.stdout.readline(), ("created\n", "attached\n"))
            self.check_shared(model, server)
            self.stop(server)
            self.end(model)
            os.unlink(self.shm)


if __name__ == "__main__":
    support.main()
