#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The client's commands of channels: files and streams from one process to another, what can go wrong
on the way and how it is told, the shell's channel, lists and measurements.

IVSHMEM_TEST_LONG: two streams of 5 GB each, instead of 160 MiB.
"""

import json
import os
import signal
import subprocess
import unittest

import channels
import support

LONG = bool(os.environ.get("IVSHMEM_TEST_LONG"))
STREAM = 5 * 10**9 if LONG else 160 << 20
PATTERN = os.path.join(os.environ.get("top_builddir") or os.path.join(support.TOP, "build"),
                       "tests/integration/pattern")
PATIENCE = "%gs" % support.DEADLINE  # of a side that waits for the other, which comes for sure

support.FILE_LIMIT *= 4 if LONG else 1


class Test(channels.Test):
    def start(self, *options, **more):
        return self.server(*options, **{"size": "4M", "vectors": 2, **more})

    def spawn(self, server, *words, program=None, **popen):
        """A client, or another program, with pipes where the caller does not say otherwise."""
        command = [program, *words] if program else [
            support.CLIENT, "-S", getattr(server, "socket", server), *words]
        for name in ("stdout", "stderr"):
            popen.setdefault(name, subprocess.PIPE)
        popen.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(list(map(str, command)), preexec_fn=support.die_with_parent,
                                   **popen)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()

    def finish(self, process, status=0, deadline=None):
        """Waits for the end; returns standard output, or standard error where it has to fail."""
        out, err = process.communicate(timeout=deadline or support.DEADLINE)
        self.assertEqual(status, process.returncode, (process.args, out, err))
        if status == 0:
            self.assertEqual(b"", err or b"")
        return ((out if status == 0 else err) or b"").decode()

    def one(self, server, *words, status=0, **popen):
        return self.finish(self.spawn(server, *words, **popen), status)

    def recv(self, server, *words, port=7, **popen):
        """A client that listens: it has a place, and its port is open."""
        receiver = self.spawn(server, "recv", "--port", port, *words, **popen)
        support.wait_for(lambda: self.one(server, "peers").count("ivshmem-client") > 0,
                         what="the receiver to join")
        return receiver

    def send(self, server, *words, port=7, **popen):
        return self.spawn(server, "send", "--port", port, "--timeout", PATIENCE, *words, **popen)

    def file(self, name, data=b""):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def content(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def until_moving(self, server, least=1):
        """Until a channel has carried bytes (they are counted lazily); returns the channel."""
        def look():
            listed = json.loads(self.one(server, "--json", "channel", "list"))["channels"]
            return [each for each in listed if each["bytes"] >= least]

        return support.wait_for(look, what="bytes in a channel")[0]


class Files(Test):
    def test_sizes(self):
        server = self.start()
        for size, options in ((0, ()), (1, ()), (12289, ("--ring=4096",)), (12289, ("--crc",)),
                              (300000, ("--message=1000",)), (1 << 20, ("--message=64K", "--crc"))):
            with self.subTest(size=size, options=options):
                data = os.urandom(size)
                receiver = self.recv(server, "--json", self.path("out"))
                sender = self.send(server, "--json", *options, self.file("in", data))
                sent = json.loads(self.finish(sender))
                received = json.loads(self.finish(receiver).splitlines()[-1])
                self.assertEqual(data, self.content("out"))
                step = {"--message=1000": 1000, "--message=64K": 65536}.get(
                    options[0] if options else "", size or 1)
                for told in (sent, received):
                    self.assertEqual((size, max(1, -(-size // step)), 7),
                                     (told["bytes"], told["messages"], told["port"]))
                self.assertEqual(sent["channel"], received["channel"])
        self.assertEqual("", self.one(server, "-q", "channel", "list"))
        listed = self.one(server, "channel", "list", "--json")
        self.assertEqual({"channels": []}, json.loads(listed))

    def test_an_old_file_stays_until_something_comes(self):
        server = self.start()
        path = self.file("out", b"something long")
        self.one(server, "recv", "--port=7", "--timeout=0.1", path, status=4)
        self.assertEqual(b"something long", self.content("out"))
        receiver = self.recv(server, path)
        sender = self.send(server, "-q", "-", stdin=subprocess.PIPE)
        sender.stdin.write(b"short")
        self.finish(sender)
        self.assertRegex(self.finish(receiver),
                         r"^listening on port 7 as peer \d+\n"
                         r"received 5 bytes in 1 message from peer \d+: [\d.]+ s, .*B/s\n$")
        self.assertEqual(b"short", self.content("out"))

    def test_some_messages(self):
        """The receiver takes what it wants; the sender learns that."""
        server = self.start()
        receiver = self.recv(server, "--count=3", "-")
        sender = self.send(server, "--message=100", "/dev/zero")
        self.assertEqual(bytes(300).decode(), self.finish(receiver))
        self.assertIn("closed", self.finish(sender, 5))
        receiver = self.recv(server)
        self.finish(self.send(server, "--message=100", "--count=4", "/dev/zero"))
        self.assertEqual(bytes(400).decode(), self.finish(receiver))

    def test_small_pieces_are_not_held_back(self):
        server = self.start()
        receiver = self.recv(server)
        sender = self.send(server, "-", stdin=subprocess.PIPE, bufsize=0)
        for word in (b"one", b"two", b"three"):
            sender.stdin.write(word)
            self.assertEqual([receiver.stdout.fileno()],
                             support.readable([receiver.stdout.fileno()], support.DEADLINE))
            self.assertEqual(word, os.read(receiver.stdout.fileno(), 100))
        self.finish(sender)
        self.assertEqual("", self.finish(receiver))


@unittest.skipUnless(os.access(PATTERN, os.X_OK), "no %s: make check builds it" % PATTERN)
class Streams(Test):
    def pair(self, server, port, size):
        """A generator into send, recv into a check; returns all that has to end well."""
        make = self.spawn(server, "make", size, port, program=PATTERN)
        send = self.send(server, "--peer=any", "-", port=port, stdin=make.stdout)
        recv = self.spawn(server, "recv", "--port", port, "--timeout", PATIENCE)
        check = self.spawn(server, "check", size, port, program=PATTERN, stdin=recv.stdout)
        for pipe in (make.stdout, recv.stdout):
            pipe.close()
        make.stdout = recv.stdout = None
        return make, send, recv, check

    def test_two_pairs_at_once(self):
        """Much more than the region holds, through half of it each."""
        server = self.start()
        processes = [*self.pair(server, 7, STREAM), *self.pair(server, 8, STREAM)]
        for process in processes:
            out = self.finish(process, deadline=support.FILE_LIMIT)
            if "send" in process.args:
                self.assertIn("sent %d bytes" % STREAM, out)

    def test_the_server_is_executed_again(self):
        server = self.start()
        size = 24 << 20
        pattern = self.one(server, "make", size, 3, program=PATTERN, stdout=open(
            self.path("pattern"), "wb")) or self.content("pattern")
        send = self.send(server, "-", stdin=subprocess.PIPE)
        recv = self.spawn(server, "recv", "--port=7", "--timeout", PATIENCE)
        check = self.spawn(server, "check", size, 3, program=PATTERN, stdin=recv.stdout)
        recv.stdout.close()
        recv.stdout = None
        for i in range(3):
            send.stdin.write(pattern[i * size // 4:(i + 1) * size // 4])
            send.stdin.flush()
            self.until_moving(server)
            self.one(server, "re-exec")
        send.stdin.write(pattern[3 * size // 4:])
        for process in (send, recv, check):
            self.finish(process)


class Ends(Test):
    def test_sender_is_killed(self):
        server = self.start()
        receiver = self.recv(server, self.path("out"))
        sender = self.send(server, "-", stdin=subprocess.PIPE, bufsize=0)
        sender.stdin.write(b"x" * 1000)
        support.wait_for(lambda: len(self.content("out")) == 1000, what="the file")
        sender.kill()
        error = self.finish(receiver, 3)
        self.assertIn("after 1000 bytes", error)
        self.assertIn("partial: " + self.path("out"), error)
        self.assertEqual(b"x" * 1000, self.content("out"))

    def test_receiver_is_killed(self):
        server = self.start()
        receiver = self.recv(server)
        sender = self.send(server, "/dev/zero")
        self.assertEqual(bytes(1000), receiver.stdout.read(1000))
        receiver.kill()
        self.assertIn("died", self.finish(sender, 3))

    def test_sender_is_killed_between_messages(self):
        """What came may lack the rest, though no message does."""
        server = self.start()
        receiver = self.recv(server)
        sender = self.send(server, "--message=10", "-", stdin=subprocess.PIPE, bufsize=0)
        sender.stdin.write(b"x" * 10)
        self.assertEqual(b"x" * 10, receiver.stdout.read(10))
        sender.kill()
        self.assertIn("partial", self.finish(receiver, 3))

    def test_input_fails(self):
        """A file that loses its end: the receiver is not told that it was all."""
        server = self.start()
        for options in ((), ("--message=4096",)):
            path = self.file("in")
            os.truncate(path, 64 << 20)
            receiver = self.recv(server)
            sender = self.send(server, *options, path)
            self.until_moving(server)  # into a pipe that nobody reads
            os.truncate(path, 0)
            out, err = receiver.communicate(timeout=support.DEADLINE)
            self.assertIn("cannot read", self.finish(sender, 1))
            self.assertEqual(3, receiver.returncode, err)
            self.assertIn(b"partial", err)
            self.assertLess(len(out), 64 << 20)

    def test_nothing_moves(self):
        server = self.start()
        receiver = self.recv(server, "--timeout", PATIENCE)
        sender = self.spawn(server, "send", "--port=7", "--timeout=1s", "/dev/zero")
        self.assertIn("does nothing", self.finish(sender, 4))
        receiver.communicate(timeout=support.DEADLINE)
        self.assertEqual(3, receiver.returncode)
        receiver = self.recv(server, "--timeout=0.5")
        sender = self.send(server, "-", stdin=subprocess.PIPE)
        self.assertIn("does nothing", self.finish(receiver, 4))
        self.finish(sender, 5)

    def test_closed_by_the_server(self):
        server = self.start()
        receiver = self.recv(server)
        sender = self.send(server, "/dev/zero")
        channel = self.until_moving(server)["channel"]
        self.one(server, "channel", "close", channel)
        receiver.communicate(timeout=support.DEADLINE)
        self.assertEqual(5, receiver.returncode)
        self.assertIn("an administrator", self.finish(sender, 5))
        self.one(server, "channel", "close", "77", status=3)

    def test_closed_by_the_server_between_messages(self):
        """That is not the end that the sender says: what came may not be all."""
        server = self.start()
        receiver = self.recv(server, self.path("out"))
        sender = self.send(server, "--message=5", "-", stdin=subprocess.PIPE)
        sender.stdin.write(b"whole")
        sender.stdin.flush()
        support.wait_for(lambda: os.path.exists(self.path("out")) and self.content("out") == b"whole",
                         what="a whole message to come")
        listed = json.loads(self.one(server, "--json", "channel", "list"))["channels"]
        self.one(server, "channel", "close", listed[0]["channel"])
        error = self.finish(receiver, 5)
        self.assertIn("partial", error)
        self.assertIn("an administrator", error)
        self.assertEqual(b"whole", self.content("out"))
        self.one(server, "re-exec")  # the sender, which waits for input, has not let go of it

    def test_server_dies(self):
        server = self.start()
        receiver = self.recv(server)
        sender = self.send(server, "/dev/zero")
        self.until_moving(server)
        server.kill()
        receiver.communicate(timeout=support.DEADLINE)
        self.assertEqual(2, receiver.returncode)
        self.finish(sender, 2)

    def test_output_fails(self):
        server = self.start()
        receiver = self.recv(server, "/dev/full")
        sender = self.send(server, "-", stdin=subprocess.DEVNULL)
        self.finish(sender)
        self.finish(receiver)
        receiver = self.recv(server, "/dev/full")
        self.send(server, "/dev/zero")
        self.assertIn("/dev/full", self.finish(receiver, 1))


class Refusals(Test):
    def test_usage_needs_no_server(self):
        path = self.path("absent")
        for words in (("channel",), ("channel", "frob"), ("channel", "listen"),
                      ("channel", "listen", "0"), ("channel", "connect", "1"),
                      ("channel", "connect", "x", "1"), ("channel", "close", "1", "2"),
                      ("channel", "bench"), ("channel", "bench", "1", "--serve"),
                      ("channel", "list", "x"), ("send",), ("send", "a", "b"),
                      ("send", "--port=0", "-"), ("send", "--peer=1", "-"),
                      ("send", "--port=7", "--ring=0", "-"), ("recv", "--port=x"),
                      ("recv", "--json"), ("recv", "--peer=1")):
            with self.subTest(words):
                self.assertNotEqual("", self.one(path, *words, status=1))
        self.one(path, "recv", "--port=7", status=2)

    def test_nobody_there(self):
        server = self.start()
        other = self.spawn(server, "monitor")
        support.wait_for(lambda: "ivshmem-client" in self.one(server, "peers"))
        for words in (("send", "--peer=9", "--port=7", "/dev/null"), ("channel", "connect", 9, 7)):
            self.assertIn("no such peer", self.one(server, *words, status=3))
        for words in (("send", "--peer=0", "--port=7", "/dev/null"), ("channel", "connect", 0, 7),
                      ("send", "--port=7", "/dev/null"), ("channel", "bench", "any")):
            self.assertIn("listen", self.one(server, *words, status=5))
        for peer in ("0", "9", "any"):
            self.assertIn("in time", self.one(server, "channel", "connect", peer, 7,
                                              "--timeout=0.3", status=4))
        for words in (("recv", "--port=7"), ("channel", "listen", 7)):
            self.assertIn("in time", self.one(server, *words, "--timeout=0", status=4))
        other.kill()
        self.one(server, "send", "-", status=1)
        self.one(server, "recv", status=1)
        self.one(server, "channel", "close", status=1)
        self.one(server, "send", "--port=7", self.path("absent"), status=1)
        self.one(server, "recv", "--port=7", self.folder, status=1)

    def test_only_who_may(self):
        server = self.start()
        quiet = self.peer(server)
        receiver = self.recv(server, "--peer", 9)
        self.assertIn("refused", self.one(server, "send", "--peer=1", "--port=7", "/dev/null",
                                          status=5))
        self.assertIsNone(receiver.poll())
        quiet.close()

    def test_one_sender_at_a_time(self):
        server = self.start()
        receiver = self.recv(server)
        sender = self.send(server, "-", stdin=subprocess.PIPE, bufsize=0)
        sender.stdin.write(b"mine")
        self.until_moving(server, 0)
        self.one(server, "send", "--port=7", "/dev/null", status=5)
        self.finish(sender)
        self.assertEqual("mine", self.finish(receiver))

    def test_no_room(self):
        server = self.start("--channel-bytes=64K")
        receiver = self.recv(server, "--timeout", PATIENCE)
        self.one(server, "send", "--port=7", "--ring=128K", "/dev/null", status=5)
        sender = self.send(server, "-", stdin=subprocess.PIPE, bufsize=0)
        sender.stdin.write(b"fits")
        self.assertLessEqual(self.until_moving(server, 0)["size"], 65536)  # nobody asked for 256K
        self.finish(sender)
        self.assertEqual("fits", self.finish(receiver))

    def test_server_without_channels(self):
        for options in ((), ("--control-socket=none",)):
            server = support.Test.server(self, *options, size="64K")
            for words in (("send", "--port=7", "/dev/null"), ("recv", "--port=7"),
                          ("channel", "listen", 7), ("channel", "connect", 0, 7),
                          ("channel", "list"), ("channel", "bench", "--serve")):
                with self.subTest(words):
                    self.assertIn("--channels", self.one(server, *words, status=5))


class Shell(Test):
    def test_both_ways(self):
        """One channel, messages each way, and no word of the doorbells that this takes."""
        server = self.start(vectors=1)
        a, b = (self.client(server).ready() for _ in "ab")
        a.send("channel listen 7")
        b.send("channel connect 0 7 --timeout %s" % PATIENCE)
        for shell, other in ((a, 1), (b, 0)):
            shell.expect(r"channel \d+ with peer %d, port 7\n" % other)
        one, two = self.file("one", b"1" * 100000), self.file("two", b"2")
        b.send("send %s; send %s; recv %s" % (one, two, self.path("three")))
        a.send("recv %s; recv %s; send %s" % (self.path("1"), self.path("2"), one))
        a.expect(r"received 100000 bytes in 1 message from peer 1: ")
        a.expect(r"received 1 bytes in 1 message from peer 1: ")
        b.expect(r"received 100000 bytes in 1 message from peer 0: ")
        for name, expected in (("1", "one"), ("2", "two"), ("three", "one")):
            self.assertEqual(self.content(expected), self.content(name))
        a.send("channel list")
        a.expect(r"CHANNEL FROM .*STATE\n +\d+ +1 +0 +7 .* open\n +\d+ +0 +1 +7 .* open\n")
        b.send("channel close")
        a.send("recv /dev/null")
        a.expect("closed the channel")
        b.send("send " + one)
        b.expect("there is no channel: --peer and --port")
        for shell in (a, b):
            shell.send("quit")
            self.assertEqual(0, shell.wait())
            self.assertNotIn("notification", shell.output())

    def test_lines_of_commands(self):
        server = self.start()
        first = self.spawn(server, "-c", "channel listen 7; recv --all - ")
        self.one(server, "-c", "channel connect any 7 --timeout %s; send %s; send %s" % (
            PATIENCE, self.file("a", b"one"), self.file("b", b"two")))
        self.assertRegex(self.finish(first), r"^channel \d+ with peer \d+, port 7\nonetwo$")

    def test_one_way(self):
        server = self.start()
        first = self.spawn(server, "-c", "channel listen 7; send /dev/null")
        second = self.spawn(server, "-c", "channel connect any 7 --reverse=0 --timeout %s; "
                            "recv --timeout 0.1" % PATIENCE)
        for process in (first, second):
            self.assertIn("one-way", self.finish(process, 1))

    def test_interrupted(self):
        """Ctrl-C ends the wait, not the shell."""
        server = self.start()
        shell = self.client(server, tty=True).ready()
        shell.send("channel listen 7")
        support.wait_for(lambda: self.one(server, "channel", "connect", "0", "8", status=5))
        shell.write(b"\x03")
        shell.send("size")
        shell.expect(r"^\d+\n")
        shell.send("quit")
        self.assertEqual(0, shell.wait())


class Terminal(Test):
    """Progress is for people."""

    def test_sending(self):
        server = self.start()
        path = self.file("in")
        os.truncate(path, 64 << 20)
        receiver = self.spawn(server, "recv", "--port=7")
        sender = self.client(server, "send", "--port=7", "--timeout", PATIENCE, path, tty=True)
        receiver.stdout.read(8 << 20)
        sender.expect(r"\rsending +\d+ % \[#*\.*\]  [\d.]+ MiB  [\d.]+ [KMG]?i?B/s")
        out, err = receiver.communicate(timeout=support.DEADLINE)
        self.assertEqual((0, 56 << 20, b""), (receiver.returncode, len(out), err))
        self.assertEqual(0, sender.wait())
        self.assertRegex(sender.output(), r"\r\033\[Ksent 67108864 bytes in 1 message to peer ")

    def test_receiving(self):
        server = self.start()
        receiver = self.client(server, "recv", "--port=7", self.path("out"), tty=True)
        receiver.expect(r"listening on port 7 as peer \d+\n")
        sender = self.send(server, "-", stdin=subprocess.PIPE, bufsize=0)
        sender.stdin.write(bytes(2000))
        receiver.expect(r"\rreceiving  2\.0 KiB  [\d.]+ [KMG]?i?B/s  \d+:\d\d")
        self.finish(sender)
        self.assertEqual(0, receiver.wait())


class Lists(Test):
    def test_both_sources_agree(self):
        server = self.start()
        without = self.path("nowhere")
        a, b, channel = self.pair(server, port=5, size=8192)
        told = json.loads(self.one(server, "--json", "channel", "list"))
        read = json.loads(self.one(server, "--control", without, "--json", "--join", "channel",
                                   "list"))
        self.assertEqual(told, read)
        entry, = told["channels"]
        self.assertEqual((channel, a.id, b.id, 5, 8192, "open", False),
                         tuple(entry[name] for name in ("channel", "sender", "receiver", "port",
                                                        "size", "state", "crc32c")))
        for words in ((), ("--control", without, "--join")):
            self.assertRegex(self.one(server, *words, "channel", "list"),
                             r"^CHANNEL .*\n +%d +0 +1 +5 +8192 +0 +0 +0 open\n$" % channel)

    def test_scribbled(self):
        """Whatever is written over the tables, the list ends, and with a status of ours."""
        server = self.start("--channel-interval=60")
        a, b, channel = self.pair(server)
        at = a.channel_at(0)
        words = ("--control", self.path("nowhere"), "--join", "channel", "list")
        for number, damage in ((at, b"\xff"), (at + 4, b"\xff" * 128), (64, b"\xff" * 64)):
            kept = a.memory[number:number + len(damage)]
            a.memory[number:number + len(damage)] = damage
            process = self.spawn(server, *words)
            process.communicate(timeout=support.DEADLINE)
            self.assertIn(process.returncode, (0, 1, 5))
            a.memory[number:number + len(kept)] = kept


class Bench(Test):
    def test_both_sides(self):
        server = self.start()
        serving = self.spawn(server, "channel", "bench", "--serve", "--count=2")
        out = self.one(server, "--json", "channel", "bench", "any", "--timeout", PATIENCE,
                       "--interval=0.01")
        *sizes, trip = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([64, 1024, 16384, 65536, 1 << 20], [each["size"] for each in sizes])
        for each in sizes:
            self.assertEqual(each["bytes"], each["messages"] * each["size"])
            self.assertGreater(each["bytes_per_second"], 0)
        self.assertLess(0, trip["best_ns"])
        self.assertLessEqual(trip["best_ns"], trip["round_trip_ns"])
        out = self.one(server, "channel", "bench", "any", "--timeout", PATIENCE, "--message=3M",
                       "--interval=0", "--crc")
        self.assertRegex(out, r"^ +SIZE +MESSAGES/S +BYTES/S\n +3145728 +\d+ +[\d.]+ \w+/s\n$")
        self.assertIn("serving port 5201", self.finish(serving))

    def test_somebody_else(self):
        """What is no measurement does no harm."""
        server = self.start()
        serving = self.spawn(server, "channel", "bench", "--serve")
        for _ in range(2):
            sender = self.send(server, "/dev/zero", "--count=2", "--message=100", port=5201)
            sender.communicate(timeout=support.DEADLINE)
        self.assertIsNone(serving.poll())
        self.one(server, "channel", "bench", "any", "--timeout", PATIENCE, "--interval=0.01")
        serving.send_signal(signal.SIGKILL)


class Completion(Test):
    def test_words(self):
        server = self.start()
        def complete(*words):
            return self.one(self.path("absent"), "complete", "--", "-S", server.socket,
                            *words).split()

        self.assertEqual(["listen", "connect", "close", "list", "bench"], complete("channel", ""))
        self.assertEqual(["close", "connect"], sorted(complete("channel", "c")))
        self.peer(server)
        self.assertEqual(["0", "any"], complete("channel", "connect", ""))
        self.assertEqual([], complete("channel", "listen", ""))
        self.assertEqual(["--crc", "--count="], complete("send", "--c"))


if __name__ == "__main__":
    support.main()
