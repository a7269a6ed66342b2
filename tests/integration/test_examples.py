#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The examples of the client that are scripts, and those that talk to each other: print server and
print client, in C and as scripts in all combinations, and write_shared_memory.sh.
"""

import os
import struct
import subprocess

import support

BUILD = os.environ.get("top_builddir") or os.path.join(support.TOP, "build")
SOURCES = os.path.join(support.TOP, "client/examples")
ENVIRONMENT = dict(os.environ, IVSHMEM_CLIENT=support.CLIENT)
SIZE = 65536
TEXT_MOST = 1019  # bytes of a text in the dataport


class Print(support.Test):
    KINDS = ("c", "sh")

    def command(self, kind, role, server, slots):
        """The start of a command line. Scripts have a slot; a C program can have it too."""
        if kind == "sh":
            return ["sh", os.path.join(SOURCES, "print_%s.sh" % role), server.socket]
        slot = {"server": ".print", "client": ".app"}[role] if slots else ""
        program = os.path.join(BUILD, "client/examples/print_" + role)
        return [program, "unix:" + server.socket + slot]

    def start(self, command):
        """In a process group of its own, which ends with the test."""
        def prepare():
            os.setsid()
            support.die_with_parent()

        path = self.path("output-%d" % len(os.listdir(self.folder)))
        with open(path, "wb") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                       env=ENVIRONMENT, preexec_fn=prepare)
        process.path = path
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        try:
            os.killpg(process.pid, support.signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        try:  # what a script had started is ours now
            while True:
                os.waitpid(-process.pid, 0)
        except ChildProcessError:
            pass

    def output(self, process):
        with open(process.path, "rb") as file:
            return file.read()

    def run_client(self, kind, server, *texts, slots=True):
        command = self.command(kind, "client", server, slots)
        result = support.run(*command, *texts, env=ENVIRONMENT)
        self.assertEqual((0, "", ""), (result.returncode, result.stdout, result.stderr))

    def with_slots(self):
        return self.server("--slot=print=0", "--slot=app=1", vectors=2, size=SIZE)

    def test_each_with_each(self):
        texts = ["hello", "good  bye", "", "-x 'y' \"z\"; quit", "x" * 2000]
        expected = "".join(text[:TEXT_MOST] + "\n" for text in texts).encode()
        for a, b in ((a, b) for a in self.KINDS for b in self.KINDS):
            with self.subTest(server=a, client=b):
                server = self.with_slots()
                printer = self.start(self.command(a, "server", server, True))
                self.run_client(b, server, *texts)
                self.run_client(b, server, "once more")
                self.assertEqual(expected + b"once more\n", self.output(printer))
                self.end(printer)
                server.stop()

    def test_server_started_second(self):
        for kind in self.KINDS:
            with self.subTest(kind):
                server = self.with_slots()
                client = self.start(self.command(kind, "client", server, True) + ["one", "two"])
                support.wait_for(lambda: "peer 1" in server.stderr, what="the client to join")
                printer = self.start(self.command(kind, "server", server, True))
                self.assertEqual(0, client.wait(support.DEADLINE))
                self.assertEqual(b"one\ntwo\n", self.output(printer))
                self.end(printer)
                server.stop()

    def test_without_slots(self):
        server = self.server(vectors=2, size=SIZE)
        client = self.start(self.command("c", "client", server, False) + ["one"])
        support.wait_for(lambda: "peer 0" in server.stderr, what="the client to join")
        printer = self.start(self.command("c", "server", server, False))
        self.assertEqual(0, client.wait(support.DEADLINE))
        self.run_client("c", server, "two", slots=False)
        self.assertEqual(b"one\ntwo\n", self.output(printer))

    def test_a_dataport_that_lies(self):
        """No end of the text, and a client that is not there: the servers print what is theirs."""
        for kind in self.KINDS:
            with self.subTest(kind):
                server = self.with_slots()
                printer = self.start(self.command(kind, "server", server, True))
                peer = self.peer(server, vectors=2)
                with open(server.shm, "r+b") as memory:
                    memory.write(struct.pack("<I", 777) + b"x" * 4096)
                peer.wait_join(0, 2)
                peer.ring(0, 0)
                support.wait_for(lambda: self.output(printer) == b"x" * 1020 + b"\n",
                                 what="the text of the dataport")
                peer.close()
                support.wait_for(lambda: "peer %d left" % peer.id in server.stderr,
                                 what="the peer to leave")
                self.run_client("c", server, "still there")
                self.assertEqual(b"x" * 1020 + b"\nstill there\n", self.output(printer))
                self.end(printer)

    def test_a_server_with_one_vector(self):
        server = self.server("--slot=print=0", "--slot=app=1", size=SIZE)
        result = support.run(*self.command("sh", "client", server, True), "text", env=ENVIRONMENT)
        self.assertEqual(1, result.returncode)
        self.assertIn("start ivshmem-server with -n 2", result.stderr)

    def test_no_server(self):
        for role in ("server", "client"):
            script = os.path.join(SOURCES, "print_%s.sh" % role)
            result = support.run("sh", script, self.path("nobody"), "text", env=ENVIRONMENT)
            self.assertIn("no server at", result.stderr)


class WriteSharedMemory(support.Test):
    def write(self, *options, status=0):
        """Runs the script; returns what it has to say."""
        script = os.path.join(SOURCES, "write_shared_memory.sh")
        result = support.run("sh", script, *options, env=ENVIRONMENT)
        self.assertEqual((status, ""), (result.returncode, result.stdout), result.stderr)
        return result.stderr

    def setUp(self):
        super().setUp()
        self.server_ = self.server(size=4096)
        self.memory = self.server_.shm

    def contents(self):
        with open(self.memory, "rb") as file:
            return file.read()

    def test_writes_and_clears(self):
        for text in ("hello world", "", "-", "-n x; 'y' \"z\" \\0 %s", "x" * 4095, "short"):
            with self.subTest(text[:20]):
                self.assertEqual("", self.write("-s", 4096, "-l", self.memory, "-m", text))
                self.assertEqual(text.encode().ljust(4096, b"\0"), self.contents())
        self.write("-l", self.memory, "-m", "the whole memory", "-v")
        self.assertEqual(b"the whole memory".ljust(4096, b"\0"), self.contents())

    def test_a_part(self):
        with open(self.memory, "r+b") as file:
            file.write(b"x" * 4096)
        self.write("-s", "16", "-l", self.memory, "-m", "hello")
        self.assertEqual(b"hello".ljust(16, b"\0") + b"x" * 4080, self.contents())

    def test_what_does_not_fit(self):
        before = self.contents()
        said = self.write("-s", 4096, "-l", self.memory, "-m", "x" * 4096, status=1)
        self.assertIn("4097 bytes are too many: 4096 fit", said)
        said = self.write("-s", "4M", "-l", self.memory, "-m", "x", status=1)
        self.assertIn("the memory has 4096 bytes", said)
        self.assertEqual(before, self.contents())

    def test_no_memory(self):
        absent = self.path("absent")
        said = self.write("-l", absent, "-m", "x", status=1)
        self.assertIn("cannot open the memory %s: No such file" % absent, said)
        self.assertIn("start that first", said)
        self.assertFalse(os.path.exists(absent))
        self.assertIn("regular", self.write("-l", "/dev/null", "-m", "x", status=1))

    def test_usage(self):
        self.assertIn("Usage:", self.write("-q", status=1))
        self.assertIn("what is 'text'?", self.write("-l", self.memory, "text", status=1))


if __name__ == "__main__":
    support.main()
