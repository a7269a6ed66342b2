#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Commands from the command line: exit statuses, JSON, doorbells, memory, events, the server."""

import json
import os
import shutil
import socket
import struct
import subprocess
import time

import support

SIZE = 65536


def reachable(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        return sock.connect_ex(path) == 0


class OneShot(support.Test):
    def start(self, *options, vectors=2, control=True, **more):
        if not control:
            options += ("--control-socket", "none")
        server = self.server(*options, vectors=vectors, size=more.pop("size", SIZE), **more)
        if "--control-socket" not in options:  # it comes after the other socket
            support.wait_for(lambda: reachable(server.socket + ".ctl"), what="the control socket")
        return server

    def run_one(self, server, *words, status=0, stdin=subprocess.DEVNULL, data=None):
        """Runs a command; returns its standard output, or its standard error if it has to fail."""
        path = getattr(server, "socket", server)
        command = [support.CLIENT, "-S", path, *map(str, words)]
        stdin = {"input": data} if data is not None else {"stdin": stdin}
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=support.DEADLINE, preexec_fn=support.die_with_parent, **stdin)
        self.assertEqual(status, result.returncode, (words, result.stdout, result.stderr))
        if status == 0:
            self.assertEqual(b"", result.stderr)
        return (result.stdout if status == 0 else result.stderr).decode("utf-8", "replace")

    def spawn(self, server, *words):
        command = [support.CLIENT, "-S", getattr(server, "socket", server), *map(str, words)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, preexec_fn=support.die_with_parent)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def finish(self, process):
        out, err = process.communicate(timeout=support.DEADLINE)
        return process.returncode, out.decode(), err.decode()

    def memory(self, server):
        with open("/dev/shm/" + server.shm_name, "rb") as file:
            return file.read()


class ExitStatus(OneShot):
    def test_usage_needs_no_server(self):
        path = self.path("absent")
        for words in (["write"], ["int", "x", "0"], ["peek", "3"], ["read", "--frob"], ["bogus"],
                      ["-c", "dump 1"], ["-c", "write 'x"], ["--wait-server", "x", "dump"],
                      ["-b", "dump"]):
            self.assertNotEqual("", self.run_one(path, *words, status=1))

    def test_no_server(self):
        path = self.path("absent")
        started = time.monotonic()
        for words in (["int", "0", "0"], ["read"], ["peers"], ["slots"], ["-c", "help;dump"]):
            self.assertIn(path, self.run_one(path, *words, status=2))
        self.assertLess(time.monotonic() - started, support.DEADLINE / 2)

    def test_wait_server(self):
        path = self.path("later")
        process = self.spawn(path, "--wait-server", support.DEADLINE, "size")
        server = self.start(socket_path=path)
        self.assertEqual((0, "%d\n" % SIZE, ""), self.finish(process))
        server.stop()
        self.run_one(path, "--wait-server", "0.2", "-j", "size", status=2)
        self.run_one(path, "--wait-server", "0.2", "slots", status=2)
        process = self.spawn(path, "--wait-server", support.DEADLINE, "slots")
        self.start(socket_path=path)
        self.assertEqual(0, self.finish(process)[0])

    def test_no_such_peer_or_vector(self):
        server = self.start()
        peer = self.peer(server)
        for options in ([], ["-j"]):
            self.assertIn("cannot find peer_id = 7",
                          self.run_one(server, *options, "int", 7, 0, status=3))
            self.assertIn("cannot find vector = 2 of peer_id = 0",
                          self.run_one(server, *options, "int", 0, 2, status=3))
            self.run_one(server, *options, "int", 65536, "all", status=3)
        self.assertFalse(peer.rung(0) or peer.rung(1))
        self.assertIn("9", self.run_one(server, "kick", 9, status=3))

    def test_help_and_commands_on_input(self):
        server = self.start()
        self.assertIn("write <text>|-: ", self.run_one(self.path("absent"), "help", "all"))
        self.assertIn("--offset=SIZE", self.run_one(self.path("absent"), "read", "--help"))
        out = self.run_one(server, "-b", data=b"write 'a b'\nread; size\nquit\nbogus\n")
        self.assertEqual("a b\n%d\n" % SIZE, out)
        self.run_one(server, "-b", data=b"int 9 9\nsize\n", status=3)
        out = self.run_one(server, "-c", "size; size;quit;size")
        self.assertEqual("%d\n" % SIZE * 2, out)

    def test_json_and_quiet(self):
        server = self.start()
        peer = self.peer(server)
        out = self.run_one(server, "--json", data=b"size;peers;write hi;read -l 2;dump\n")
        size, peers, wrote, read, dump = map(json.loads, out.splitlines())
        self.assertEqual(SIZE, size["size"])
        self.assertEqual([(0, 2)], [(p["id"], p["vectors"]) for p in peers["peers"]])
        self.assertEqual(2, wrote["written"])
        self.assertEqual({"offset": 0, "length": 2, "text": "hi"}, read)
        self.assertEqual([{"id": 0, "vectors": 2}], dump["peers"])
        self.assertNotEqual(0, dump["our_id"])
        self.assertEqual("", self.run_one(server, "-q", "size"))
        path = self.path("absent")
        result = subprocess.run([support.CLIENT, "-S", path, "--json", "size"], text=True,
                                stdout=subprocess.PIPE, timeout=support.DEADLINE,
                                stderr=subprocess.PIPE)
        self.assertEqual((2, ""), (result.returncode, result.stderr))
        self.assertEqual(2, json.loads(result.stdout)["status"])
        peer.close()


    def test_json_is_utf8(self):
        server = self.start()
        self.run_one(server, "write", "gr\u00fc\u00dfe", "--nul")
        self.assertEqual("gr\u00fc\u00dfe", json.loads(self.run_one(server, "--json", "read"))["text"])
        for bad in ("fc", "c0af", "eda080", "f4908080", "e28200"):
            self.run_one(server, "write", "--hex", bad, "--nul")
            self.assertIn("hex", json.loads(self.run_one(server, "--json", "read", "-l", 4)))
        for words in ([b"\xff"], ["int", b"\xff", "0"], ["--bogus"]):
            result = subprocess.run([support.CLIENT, "-S", server.socket, "--json", *words],
                                    stdout=subprocess.PIPE, timeout=support.DEADLINE)
            self.assertEqual(1, json.loads(result.stdout.decode())["status"])

    def test_output_that_goes_nowhere(self):
        """To a full device, or to none: an error, also of what would go on for ever."""
        server = self.start()
        command = [support.CLIENT, "-S", server.socket]
        for words in (["size"], ["monitor"], ["--help"], ["-V"]):
            for target in (">/dev/full", ">&-"):
                result = support.run("sh", "-c", 'exec "$@" ' + target, "sh", *command, *words)
                self.assertEqual(1, result.returncode, words)
                self.assertIn("cannot write to standard output", result.stderr)


class Doorbells(OneShot):
    def test_through_the_control_socket_no_id_is_used(self):
        server = self.start()
        peer = self.peer(server)
        self.run_one(server, "int", 0, 1)
        self.assertEqual(1, peer.wait_ring(1))
        self.run_one(server, "int", "all")
        self.assertEqual([1, 1], [peer.wait_ring(0), peer.wait_ring(1)])
        self.assertEqual("peer_id = 0\n  vector 0 is enabled\n  vector 1 is enabled\n",
                         self.run_one(server, "dump"))
        self.run_one(server, "status")
        self.assertEqual(1, self.peer(server).id)

    def test_as_a_peer(self):
        server = self.start(control=False)
        peer = self.peer(server)
        self.run_one(server, "int", 0, "all")
        self.assertEqual([1, 1], [peer.wait_ring(0), peer.wait_ring(1)])
        self.assertRegex(self.run_one(server, "dump"), r"\Aour_id = 2\n(.*\n){2}peer_id = 0\n")
        self.assertIn("vectors     2", self.run_one(server, "status"))
        self.run_one(server, "slots", status=2)

    def test_count(self):
        server = self.start()
        peer = self.peer(server)
        out = self.run_one(server, "--json", "int", 0, 0, "--count", 5, "--interval", "1ms")
        self.assertEqual({"rung": 5}, json.loads(out))
        self.assertEqual(5, peer.wait_ring(0))

    def test_until_reply(self):
        """The first rings are lost, as with a guest that boots."""
        server = self.start()
        peer = self.peer(server)
        process = self.spawn(server, "int", 0, 0, "--until-reply", 1, "--interval", "10ms")
        peer.wait_join(1)
        rung = 0
        while rung < 3:
            rung += peer.wait_ring(0)
        peer.ring(1, 0)  # not the vector that it waits for
        rung += peer.wait_ring(0)
        self.assertIsNone(process.poll())
        peer.ring(1, 1)
        code, out, err = self.finish(process)
        self.assertEqual((0, ""), (code, err))
        self.assertRegex(out, r"\Aanswered after \d+ rings\n\Z")
        self.run_one(server, "int", 0, 0, "--until-reply", "--timeout", "0.1", status=4)
        self.run_one(server, "int", 9, 0, "--until-reply", "--timeout", "9", status=3)

    def waiting(self, server, *words):
        """A command that waits for a peer: it has gone to the control socket, and not joined."""
        process = self.spawn(server, *words, "--wait-peer", support.DEADLINE)
        support.wait_for(lambda: support.socket_inodes(process.pid), what="the client to look")
        return process

    def test_wait_peer(self):
        """We join after the peer, or would have its ID."""
        server = self.start()
        for words in (["int", 0, 0], ["int", 0, "all", "--until-reply"],
                      ["write", "x", "--ring", 0, 0]):
            self.run_one(server, *words, "--wait-peer", "0.1", status=4)
        self.assertEqual(b"\0", self.memory(server)[:1])
        process = self.waiting(server, "int", 0, 0, "--until-reply")
        peer = self.peer(server)
        self.assertEqual(0, peer.id)
        peer.wait_join(1)
        peer.wait_ring(0)
        peer.ring(1, 1)
        self.assertEqual((0, ""), self.finish(process)[::2])
        for words in (["int", 2, 1], ["write", "x", "--ring", 3, 1]):
            process = self.waiting(server, *words)
            other = self.peer(server)
            self.assertIn(other.id, words)
            self.assertEqual((0, ""), self.finish(process)[::2])
            self.assertEqual(1, other.wait_ring(1))
        self.assertEqual(b"x", self.memory(server)[:1])
        self.run_one(server, "int", 9, 9, "--wait-peer", "0.1", status=4)
        self.run_one(server, "int", 0, 9, "--wait-peer", support.DEADLINE, status=3)
        self.run_one(server, "int", 65536, 0, "--wait-peer", support.DEADLINE, status=3)
        self.run_one(server, "int", "all", "--wait-peer", 1, status=1)
        self.run_one(server, "write", "x", "--wait-peer", 1, status=1)

    def test_wait_peer_as_a_peer(self):
        """Without a control socket a slot keeps the ID for whoever is waited for."""
        server = self.start("--slot=vm=5", control=False)
        seen = self.peer(server)
        process = self.spawn(server, "int", 5, 1, "--wait-peer", support.DEADLINE)
        seen.wait_join(1)
        peer = support.RawPeer(server.socket + ".vm", server.vectors)
        self.addCleanup(peer.close)
        self.assertEqual((0, ""), self.finish(process)[::2])
        self.assertEqual(1, peer.wait_ring(1))
        self.run_one(server, "int", 6, 0, "--wait-peer", "0.1", status=4)

    def test_wait_peer_and_server(self):
        path = self.path("later")
        process = self.spawn(path, "--wait-server", support.DEADLINE, "int", 0, 0, "--wait-peer",
                             support.DEADLINE, "--until-reply")
        server = self.start(socket_path=path)
        peer = self.peer(server)
        self.assertEqual(0, peer.id)
        peer.wait_join(1)
        peer.wait_ring(0)  # what is rung before is no answer
        peer.ring(1, 0)
        self.assertEqual((0, ""), self.finish(process)[::2])

    def test_we_are_not_the_peer_that_is_missing(self):
        """Who joins to ring peer 0, and gets the ID 0, must not ring and answer itself."""
        server = self.start(control=False)
        for words in (["int", 0, 0, "--until-reply"], ["int", 0, "all", "--until-word", 0],
                      ["int", 0, 0], ["write", "x", "--ring", 0, 0]):
            self.assertIn("cannot find peer_id = 0", self.run_one(server, *words, status=3))

    def test_until_word(self):
        server = self.start()
        peer = self.peer(server)
        for wish, value in (("0x100", 1), ("0x200=7", 7)):
            process = self.spawn(server, "int", 0, 1, "--until-word", wish, "-i", "10ms")
            peer.wait_ring(1)
            peer.wait_ring(1)
            self.assertIsNone(process.poll())
            self.run_one(server, "poke", wish.partition("=")[0], value)
            self.assertEqual(0, self.finish(process)[0])
        self.run_one(server, "int", 0, 0, "--until-word", "2M", status=1)


class Memory(OneShot):
    def test_write_and_read(self):
        server = self.start()
        self.run_one(server, "write", "hello world", "--offset", "0x10")
        self.assertEqual(b"\0" * 16 + b"hello world" + b"\0" * (SIZE - 27), self.memory(server))
        self.assertEqual("hello world\n", self.run_one(server, "read", "--offset", 16))
        self.assertEqual("68656c6c6f\n", self.run_one(server, "read", "--hex", "-o", 16, "-l", 5))
        self.assertEqual("hello", self.run_one(server, "read", "--raw", "-o", 16, "-l", 5))
        self.run_one(server, "write", "HI", "--nul", "--offset", 16)
        self.assertEqual("HI\n", self.run_one(server, "read", "--offset", 16))
        self.run_one(server, "write", "--hex", "00ff 10", "-o", "1k")
        self.assertEqual(b"\0\xff\x10", self.memory(server)[1024:1027])
        self.run_one(server, "write", "x", "--pad", "--length", 32)
        self.assertEqual(b"x" + b"\0" * 31, self.memory(server)[:32])

    def test_files(self):
        server = self.start()
        data = os.urandom(SIZE)
        with open(self.path("in"), "wb") as file:
            file.write(data)
        self.run_one(server, "write", "--file", self.path("in"))
        self.assertEqual(data, self.memory(server))
        self.run_one(server, "read", "--raw", "--file", self.path("out"))
        with open(self.path("out"), "rb") as file:
            self.assertEqual(data, file.read())
        self.run_one(server, "write", "-", "--offset", SIZE - 3, data=b"abc")
        self.assertEqual(data[:-3] + b"abc", self.memory(server))
        self.assertIn("absent", self.run_one(server, "write", "-f", self.path("absent"), status=1))
        self.run_one(server, "write", "--file", "/proc/version", "--pad")  # its size is told as 0
        with open("/proc/version", encoding="utf-8") as file:
            self.assertEqual(file.read() + "\n", self.run_one(server, "read"))

    def test_commands_are_no_data(self):
        server = self.start()
        for words in ("write -", "write --file=-"):
            self.assertIn("standard input", self.run_one(server, "-b", status=1,
                                                         data=words.encode() + b"\nsize\n"))

    def test_what_does_not_fit(self):
        """Nothing is written, the size stays, and the message says how much fits."""
        server = self.start()
        for words, data in ((["write", "hello", "-o", SIZE - 4], None),
                            (["write", "-", "-o", SIZE - 4], b"y" * 100000),
                            (["write", "hello", "-l", "4"], None),
                            (["write", "hell", "--nul", "-l", "4"], None)):
            self.assertIn("4 fit", self.run_one(server, *words, status=1, data=data))
        self.assertEqual(b"\0" * SIZE, self.memory(server))
        self.run_one(server, "write", "hello", "-o", SIZE - 4, "--truncate")
        self.run_one(server, "write", "-", "-l", 2, "--truncate", data=b"abcdef")
        self.assertEqual(b"ab" + b"\0" * (SIZE - 6) + b"hell", self.memory(server))
        for words in (["write", "x", "-o", SIZE + 1], ["read", "-o", SIZE, "-l", 1],
                      ["hexdump", "-o", "1T"], ["fill", "1", "-l", SIZE + 1], ["peek", SIZE]):
            self.run_one(server, *words, status=1)
        self.run_one(server, "write", "", "-o", SIZE)

    def test_write_and_ring(self):
        server = self.start()
        peer = self.peer(server)
        self.run_one(server, "write", "ping", "--ring", 0, 1)
        self.assertEqual(1, peer.wait_ring(1))
        self.assertEqual(b"ping", self.memory(server)[:4])
        self.run_one(server, "write", "--hex", "00", "--ring", 0, "all")
        self.assertEqual([1, 1], [peer.wait_ring(0), peer.wait_ring(1)])
        before = self.memory(server)
        for words in ((5, 0), (0, 2), (65536, "all")):  # nobody to tell: nothing is written
            self.run_one(server, "write", "x", "--ring", *words, status=3)
        self.assertEqual(before, self.memory(server))

    def test_hexdump(self):
        server = self.start()
        self.run_one(server, "write", "hello world, this is 16", "-o", 8)
        self.assertEqual(
            "00000000  00 00 00 00 00 00 00 00  68 65 6c 6c 6f 20 77 6f  |........hello wo|\n"
            "00000010  72 6c 64 2c 20 74 68 69  73 20 69 73 20 31 36 00  |rld, this is 16.|\n"
            "00000020  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
            "*\n"
            "00010000\n", self.run_one(server, "hexdump"))
        self.run_one(server, "write", "--hex", "7f80ff0a7e", "-o", SIZE - 5)
        for words in ([], ["-o", "3", "-l", "20"], ["-l", "0x31"], ["-o", SIZE - 5]):
            ours = self.run_one(server, "hexdump", *words)
            if shutil.which("hexdump"):
                options = {"-o": "-s", "-l": "-n"}
                theirs = support.run("hexdump", "-C", *[options.get(w, str(w)) for w in words],
                                     "/dev/shm/" + server.shm_name).stdout
                self.assertEqual(theirs, ours)
        rows = self.run_one(server, "--json", "hexdump", "-o", 16, "-l", 64).splitlines()
        self.assertEqual([{"offset": 48, "repeats": 2}], [json.loads(rows[-1])])
        self.assertEqual("rld, this is 16.", json.loads(rows[0])["text"])

    def test_fill_and_find(self):
        server = self.start()
        self.run_one(server, "fill", "0xAA", "--offset", 5, "--length", 3)
        self.assertEqual(b"\0" * 5 + b"\xaa" * 3 + b"\0", self.memory(server)[:9])
        self.assertEqual("0x5\n", self.run_one(server, "find", "--hex", "aaaa"))
        self.assertEqual("0x5\n0x6\n", self.run_one(server, "find", "--hex", "aaaa", "--all"))
        self.run_one(server, "find", "nowhere", status=3)
        self.run_one(server, "find", "--hex", "aa", "-o", 8, status=3)
        self.run_one(server, "fill", 1)
        self.assertEqual(b"\1" * SIZE, self.memory(server))

    def test_words(self):
        server = self.start()
        self.assertEqual("0x00000000\n", self.run_one(server, "poke", "0x40", "0x12345678"))
        self.assertEqual(struct.pack("=I", 0x12345678), self.memory(server)[64:68])
        for width, offset in ((8, 65), (16, 66), (64, 64)):
            value = self.memory(server)[offset:offset + width // 8]
            number = int.from_bytes(value, "little" if struct.pack("=H", 1)[0] else "big")
            self.assertEqual("0x%0*x\n" % (width // 4, number),
                             self.run_one(server, "peek", offset, "--width", width))
            self.run_one(server, "poke", offset, "1", "--add", "--width", width)
            self.run_one(server, "poke", offset, number + 1, "-w", width, "--cas", number + 1)
            self.run_one(server, "poke", offset, "0", "-w", width, "--cas", number, status=5)
            self.run_one(server, "poke", offset, number, "-w", width)
        self.assertEqual(struct.pack("=II", 0x12345678, 0), self.memory(server)[64:72])
        self.run_one(server, "poke", "0", "18446744073709551614", "-w", 64)
        out = self.run_one(server, "--json", "peek", "0", "-w", 64)
        self.assertEqual(18446744073709551614, json.loads(out)["value"])
        self.assertEqual(3, self.run_one(server, "peek", 0, "-n", 3).count("0x"))
        self.run_one(server, "poke", "0", 2**64 - 1, "-w", 64)
        self.run_one(server, "poke", "0", "1", "-w", 64, "--cas", 2**64 - 1)
        self.assertEqual("0x%016x\n" % 1, self.run_one(server, "peek", 0, "-w", 64))

    def test_watch(self):
        server = self.start()
        value = 0
        for options, time_of_day in (([], ""), (["--time"], r"\d\d:\d\d:\d\d\.\d{3} ")):
            process = self.spawn(server, "watch", "-o", 32, "-l", 32, "-n", 1, "-i", "10ms", *options)
            deadline = time.monotonic() + support.DEADLINE
            while process.poll() is None and time.monotonic() < deadline:
                value = value % 255 + 1  # until it has begun to watch, changes are not seen
                self.run_one(server, "fill", value, "-o", 48, "-l", 1)
            code, out, _ = self.finish(process)
            self.assertEqual(0, code)
            self.assertRegex(out, r"\A%s00000030  [0-9a-f]{2} 00 00 .*\n\Z" % time_of_day)
        self.run_one(server, "watch", "--timeout", "0.05", status=4)


class MemoryAlone(OneShot):
    """--memory PATH: the commands for the memory without a server."""

    def setUp(self):
        super().setUp()
        self.file = self.path("memory")
        with open(self.file, "wb") as file:
            file.truncate(SIZE)

    def alone(self, *words, status=0, path=None, data=b""):
        command = [support.CLIENT, "--memory", path or self.file, *map(str, words)]
        result = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=support.DEADLINE, preexec_fn=support.die_with_parent)
        self.assertEqual(status, result.returncode, (words, result.stdout, result.stderr))
        self.assertEqual(status == 0, result.stderr == b"", result.stderr)
        return (result.stdout if status == 0 else result.stderr).decode()

    def test_commands(self):
        self.alone("write", "hello", "--nul", "--offset", 100)
        self.assertEqual("hello\n", self.alone("read", "--offset", 100))
        self.assertEqual("100\n", self.alone("find", "hello").replace("0x64", "100"))
        self.assertEqual("0x00000000\n0x00000007\n65536\n",
                         self.alone("-c", "poke 8 7; peek 8; size"))
        self.assertEqual({"size": SIZE, "sealed": False}, json.loads(self.alone("--json", "size")))
        self.alone("-b", data=b"fill 0x78 --offset 65535\n")
        self.assertIn("many", self.alone("write", "xy", "--offset", SIZE - 1, status=1))
        self.assertEqual((SIZE, ord("x")), (os.stat(self.file).st_size,
                                            open(self.file, "rb").read()[-1]))

    def test_the_memory_of_a_server(self):
        server = self.start("--sealed")
        peer = self.peer(server)
        path = "/proc/self/fd/%d" % peer.shm
        command = [support.CLIENT, "-M", path, "write", "hello"]
        self.assertEqual(0, subprocess.run(command, pass_fds=[peer.shm]).returncode)
        self.assertEqual(b"hello", os.pread(peer.shm, 5, 0))

    def test_what_needs_a_server(self):
        for words in (("dump",), ("int", 0, 0), ("wait",), ("status",), ("slots",), ("monitor",),
                      ("write", "x", "--ring", 0, 0)):
            self.assertIn("%s: that needs a server" % words[0], self.alone(*words, status=1))
        self.assertEqual(b"\0", open(self.file, "rb").read(1))
        for words in (("-S", "socket", "size"), ("-j", "size"), ("--control", "x", "size"),
                      ("--wait-server", 1, "size")):
            self.assertIn("excludes", self.alone(*words, status=1))
        self.assertIn("needs a command", self.alone(status=1))

    def test_no_memory(self):
        absent = self.path("absent")
        self.assertIn("cannot open the memory " + absent, self.alone("size", path=absent, status=1))
        self.assertFalse(os.path.exists(absent))
        os.truncate(self.file, 0)
        self.assertIn(self.file + " is empty", self.alone("write", "x", status=1))
        os.mkfifo(absent)
        for path in (absent, "/dev/zero"):
            self.assertIn(path + " is no regular file", self.alone("size", path=path, status=1))


class Events(OneShot):
    def test_wait(self):
        server = self.start()
        peer = self.peer(server)
        process = self.spawn(server, "wait", 1, "--timeout", support.DEADLINE)
        peer.wait_join(1)
        peer.ring(1, 0)
        peer.ring(1, 1)
        self.assertEqual((0, "receive notification from peer_id=1 vector=1\n", ""),
                         self.finish(process))
        self.run_one(server, "wait", "--timeout", "0", status=4)
        self.run_one(server, "wait", "--timeout", "0.05", status=4)
        self.run_one(server, "wait", 2, status=3)

    def test_three_rings_are_one_event(self):
        """A slot keeps its doorbells while nobody holds it."""
        path = self.path("vm")
        server = self.start("--slot", "vm=3:" + path)
        for _ in range(3):
            self.run_one(server, "int", 3, 1)
        self.run_one(server, "int", 3, 0)
        self.assertIn("vector=1", self.run_one(path, "wait", 1, "--timeout", 0))
        self.run_one(path, "wait", 1, "--timeout", 0, status=4)
        self.assertIn("vector=0", self.run_one(path, "wait", "--timeout", 0))
        self.run_one(path, "wait", "--timeout", 0, status=4)
        for _ in range(3):
            self.run_one(server, "int", 3, 1)
        self.run_one(path, "wait", "--count", 2, "--timeout", "0.1", status=4)

    def test_two_waiters_one_winner(self):
        """A server that gives two clients the same doorbell."""
        bell = os.eventfd(0, os.EFD_NONBLOCK)
        self.addCleanup(os.close, bell)
        memory = os.memfd_create("test")
        self.addCleanup(os.close, memory)
        os.ftruncate(memory, 4096)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.path("fake"))
        listener.listen(2)
        waiters = [self.spawn(self.path("fake"), "wait", "--timeout", 1) for _ in range(2)]
        for _ in waiters:
            sock = listener.accept()[0]
            self.addCleanup(sock.close)
            for value, fds in ((0, []), (5, []), (-1, [memory]), (5, [bell])):
                socket.send_fds(sock, [struct.pack("<q", value)], fds)
        os.write(bell, struct.pack("=Q", 3))
        results = sorted(self.finish(process)[0] for process in waiters)
        self.assertEqual([0, 4], results)

    def test_monitor(self):
        for options, words in (((), ["--control-only"]), ((), []),
                               (("--control-socket", "none"), [])):
            server = self.start(*options)
            process = self.spawn(server, "--json", "monitor", "-n", 2, *words)
            first = json.loads(process.stdout.readline())
            self.assertEqual("ready", first["event"])
            peer = self.peer(server)
            number = peer.id
            peer.close()
            code, out, err = self.finish(process)
            self.assertEqual((0, ""), (code, err))
            events = [json.loads(line) for line in out.splitlines()]
            self.assertEqual(["joined", "left"], [event["event"] for event in events])
            self.assertEqual([number, number], [event["peer"] for event in events])
            server.stop()

    def test_monitor_shows_our_doorbells(self):
        server = self.start()
        process = self.spawn(server, "monitor", "-n", 1)
        self.assertRegex(process.stdout.readline().decode(), r"^\d\d:\d\d:\d\d\.\d{3} ready\n")
        self.run_one(server, "int", 0, 1)
        code, out, _ = self.finish(process)
        self.assertEqual(0, code)
        self.assertRegex(out, r"\A\S+ rung     vector 1\n\Z")
        self.run_one(server, "monitor", "--timeout", "0.05", status=4)


class Server(OneShot):
    def test_looking(self):
        server = self.start("--slot", "vm=9")
        self.peer(server)
        status = json.loads(self.run_one(server, "--json", "status"))
        self.assertEqual((1, SIZE), (status["peers"], status["region"]["size"]))
        self.assertIn("memory      %d bytes, object %s" % (SIZE, server.shm_name),
                      self.run_one(server, "status"))
        self.assertRegex(self.run_one(server, "peers"), r"(?m)^ +0 - +2 +\d+ +%d" % os.getuid())
        self.assertRegex(self.run_one(server, "slots"), r"(?m)^ +9 vm +no +/")
        self.assertRegex(self.run_one(server, "top"), r"(?m)^ +0 - +2 ")
        top = [json.loads(line) for line in self.run_one(
            server, "--json", "top", "-n", 2, "-i", "10ms").splitlines()]
        self.assertEqual([1, 1], [len(each["peers"]) for each in top])

    def test_steering(self):
        server = self.start()
        peer = self.peer(server)
        self.assertEqual("info\n", self.run_one(server, "log-level"))
        self.run_one(server, "log-level", "debug")
        self.assertEqual("debug\n", self.run_one(server, "log-level"))
        self.run_one(server, "re-exec")
        self.run_one(server, "kick", 0)
        peer.wait_hang_up()

    def test_another_control_socket(self):
        path = self.path("control")
        server = self.start("--control-socket", path)
        self.run_one(server, "slots", status=2)
        self.run_one(server, "--control", path, "slots")
        self.run_one(server, "--control", path, "re-exec")
        self.run_one(server, "--control", path + "x", "size", status=2)


class Completion(OneShot):
    def complete(self, server, *words):
        out = self.run_one(self.path("absent"), "complete", "--", "-S", server.socket, *words)
        return out.split()

    def test_words(self):
        server = self.start()
        self.peer(server)
        self.assertEqual(["watch"], self.complete(server, "wat"))
        self.assertEqual(["0", "all"], self.complete(server, "int", ""))
        self.assertEqual(["0", "1", "all"], self.complete(server, "int", "0", ""))
        self.assertEqual([], self.complete(server, "int", "all", ""))
        self.assertEqual(["0"], self.complete(server, "kick", ""))
        self.assertEqual(["--offset="], self.complete(server, "read", "--off"))
        self.assertEqual(["debug"], self.complete(server, "log-level", "d"))
        listed = {line.split()[0].rstrip(":") for line in
                  self.run_one(self.path("absent"), "help", "all").splitlines()}
        self.assertEqual(listed, set(self.complete(server, "")))

    def test_bash(self):
        if not shutil.which("bash"):
            self.skipTest("bash is not installed")
        server = self.start()
        self.peer(server)
        script = """
            . %s/client/completion/ivshmem-client
            COMP_WORDS=(%s -S %s int 0 "")
            COMP_CWORD=5
            _ivshmem_client
            echo "${COMPREPLY[@]}"
        """ % (support.TOP, support.CLIENT, server.socket)
        result = support.run("bash", "-c", script)
        self.assertEqual(("0 1 all\n", ""), (result.stdout, result.stderr))


if __name__ == "__main__":
    support.main()
