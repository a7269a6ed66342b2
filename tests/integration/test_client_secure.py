#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The client's option --key-file: what goes through encrypted channels between real processes, and how
it is told when a key is wrong, bytes are changed on the way, or the other side dies.
"""

import json
import mmap
import os
import signal
import time

import channels
import support

KEY, OTHER = "00112233445566778899aabbccddeeff", "ff" * 32
PATIENCE = "%gs" % support.DEADLINE  # of a side that waits for the other, which comes for sure


class Test(channels.Test):
    def setUp(self):
        super().setUp()
        self.served = self.server("--channels", size="4M", vectors=2)
        self.key = self.file("key", KEY + "\n")
        self.other = self.file("other", OTHER)
        told = support.run(support.CLIENT, "-S", self.served.socket, "send", "--port", "7",
                           "--key-file", self.key, self.key).stderr
        if "without GnuTLS" in told:
            self.skipTest(told.strip())

    def file(self, name, text, mode=0o600):
        with open(self.path(name), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

    def spawn(self, *words, **more):
        client = self.client(self.served, *words, **more)
        client.eof()
        return client

    def recv(self, *words, key=None):
        receiver = self.spawn("recv", "--port", 7, "--timeout", PATIENCE, "--key-file",
                              key or self.key, *words, self.path("out"))
        receiver.expect('listening(": ?| on port )7')
        return receiver

    def send(self, *words, key=None):
        return self.spawn("send", "--port", 7, "--timeout", PATIENCE, "--key-file",
                          key or self.key, *words)

    def told(self, client, status, text):
        """It ends with the status and says why."""
        self.assertEqual(status, client.wait(), client.output("err"))
        self.assertIn(text, client.output("err"))

    def received(self):
        with open(self.path("out"), "rb") as file:
            return file.read()


class Files(Test):
    def test_sizes(self):
        for size, options in ((0, ()), (1, ()), (50000, ("--ring=4096",)),
                              (300000, ("--message=1000", "--crc")), (5 << 20, ())):
            with self.subTest(size=size, options=options):
                data = os.urandom(size)
                receiver = self.recv("--json")
                sender = self.send("--json", *options, self.file("in", data))
                self.assertEqual(0, sender.wait(), sender.output("err"))
                self.assertEqual(0, receiver.wait(), receiver.output("err"))
                self.assertEqual(data, self.received())
                told = [json.loads(client.output().splitlines()[-1])
                        for client in (sender, receiver)]
                messages = 300 if "--message=1000" in options else 1
                for one in told:
                    self.assertEqual((size, messages), (one["bytes"], one["messages"]))

    def test_standard_input(self):
        receiver = self.recv()
        sender = self.client(self.served, "send", "--port", 7, "--timeout", PATIENCE,
                             "--key-file", self.key, "-")
        for part in ("one\n", "two\n"):
            sender.write(part)
        sender.eof()
        self.assertEqual(0, sender.wait(), sender.output("err"))
        self.assertEqual(0, receiver.wait(), receiver.output("err"))
        self.assertEqual(b"one\ntwo\n", self.received())


class Failures(Test):
    def test_wrong_key(self):
        receiver = self.recv(key=self.other)
        sender = self.send(self.file("in", "secret"))
        self.told(sender, 5, "the other side has another key")
        self.told(receiver, 5, "the other side has another key")
        self.assertEqual(b"", self.received())

    def test_only_one_side_encrypts(self):
        receiver = self.recv()
        sender = self.spawn("send", "--port", 7, "--timeout", PATIENCE, self.file("in", "plain"))
        self.told(receiver, 1, "the channel is one-way")
        sender.wait()
        receiver = self.spawn("recv", "--port", 7, "--timeout", PATIENCE, self.path("out"))
        receiver.expect("listening on port 7")
        sender = self.spawn("send", "--port", 7, "--timeout", 1, "--peer", "any", "--key-file",
                            self.key, self.file("in", "secret"))
        self.told(sender, 4, "")  # what it waited for in vain depends on the machine
        receiver.process.send_signal(signal.SIGINT)
        receiver.wait()
        self.assertNotIn(b"secret", self.received() if os.path.exists(self.path("out")) else b"")

    def test_plain_receiver_is_content(self):
        """It takes what the sides would agree with for the message that it waits for."""
        receiver = self.spawn("recv", "--port", 7, "--timeout", PATIENCE, "--count", 1,
                              self.path("out"))
        sender = self.send(self.file("in", "secret"))
        self.told(sender, 3, "has ended before it agreed: has it a key?")
        self.assertEqual(0, receiver.wait(), receiver.output("err"))

    def test_key_files(self):
        for key, text in ((self.path("none"), "cannot open"),
                          (self.file("open", KEY, 0o644), "others can read or write"),
                          (self.file("short", KEY[:30]), "a key of 15 bytes"),
                          (self.file("phrase", "correct horse battery"), "in hexadecimal")):
            for command in ("send", "recv"):
                client = self.spawn(command, "--port", 7, "--key-file", key, self.file("in", "x"))
                self.told(client, 1, "--key-file: ")
                self.told(client, 1, text)

    def test_usage(self):
        for words, text in (
                (("send", "--key-file", self.key, self.key), "--key-file goes with --port"),
                (("channel", "bench", "any", "--key-file", self.key), "knows no --key-file"),
                (("channel", "connect", "any", 7, "--reverse=0", "--key-file", self.key),
                 "needs a ring back")):
            self.told(self.spawn(*words), 1, text)

    def test_sender_dies(self):
        receiver = self.recv()
        sender = self.client(self.served, "send", "--port", 7, "--timeout", PATIENCE,
                             "--key-file", self.key, "-")
        sender.write("a beginning\n")
        support.wait_for(self.received, what="the beginning")
        sender.process.kill()
        self.told(receiver, 3, "may not be all")
        self.assertIn("partial", receiver.output("err"))
        self.assertEqual(b"a beginning\n", self.received())

    def test_closed_by_an_administrator(self):
        receiver = self.recv()
        sender = self.client(self.served, "send", "--port", 7, "--timeout", PATIENCE,
                             "--key-file", self.key, "-")
        sender.write("a beginning\n")
        support.wait_for(self.received, what="the beginning")
        for channel in (0, 1):  # one of them is the first of the two
            support.run(support.CLIENT, "-S", self.served.socket, "channel", "close", str(channel))
        self.told(receiver, 5, "an administrator of the server")
        sender.write("more\n")
        sender.eof()
        self.told(sender, 5, "an administrator of the server")

    def test_changed_bytes(self):
        """Somebody who has the region too turns one bit of what waits in the ring."""
        receiver = self.recv()
        sender = self.client(self.served, "send", "--port", 7, "--timeout", PATIENCE,
                             "--key-file", self.key, "-")
        sender.write("a beginning\n")
        support.wait_for(self.received, what="the beginning")
        support.suspend(receiver.process.pid)
        third = self.speaker(self.served)
        before = bytes(third.memory)
        sender.write("x" * 8000)
        sender.eof()
        self.assertEqual(0, sender.wait(), sender.output("err"))
        data = third.header.data_offset
        changed = [at for at in range(data, len(before)) if before[at] != third.memory[at]]
        self.assertGreater(len(changed), 4000)
        third.memory[changed[len(changed) // 2]] ^= 1
        receiver.process.send_signal(signal.SIGCONT)
        self.told(receiver, 1, "not what the other side sent")
        received = self.received()  # records before that one are as they were
        self.assertLess(len(received), 8012)
        self.assertTrue((b"a beginning\n" + b"x" * 8000).startswith(received))


class Shell(Test):
    def test_channel(self):
        one, two = (self.client(self.served).ready() for _ in range(2))
        one.send("channel listen 9 --timeout %s --key-file %s" % (PATIENCE, self.key))
        two.send("channel connect any 9 --timeout %s --key-file %s" % (PATIENCE, self.key))
        one.expect("^(cmd> )*channel .*, port 9, encrypted\n")
        two.expect("^(cmd> )*channel .*, port 9, encrypted\n")
        data = os.urandom(100000)
        for sender, receiver in ((one, two), (two, one), (one, two)):
            receiver.send("recv " + self.path("out"))
            sender.send("send " + self.file("in", data))
            receiver.expect("received 100000 bytes in 1 message")
            self.assertEqual(data, self.received())
        two.send("recv --all " + self.path("out"))
        one.send("send " + self.file("in", "last"))
        one.send("channel close")
        two.expect("received 4 bytes in 1 message")

    def connect(self):
        """Return: two shells with a small ring from the second to the first."""
        one, two = (self.client(self.served).ready() for _ in range(2))
        one.send("channel listen 9 --timeout %s --key-file %s" % (PATIENCE, self.key))
        two.send("channel connect any 9 --timeout %s --ring 4096 --key-file %s"
                 % (PATIENCE, self.key))
        one.expect("port 9, encrypted\n")
        two.expect("port 9, encrypted\n")
        return one, two

    def filled(self, data):
        """Return: two such shells, and how many bytes were sent: there is no room for another."""
        count = 4096
        for _ in range(50):  # how much it is differs a little from one channel to the next
            one, two = self.connect()
            two.send("send --message 1 --timeout 0.5 --count %d %s" % (count, data))
            told = two.expect("(sent|after) ([0-9]+) bytes")
            count = int(told.group(2))
            if told.group(1) == "sent":
                return one, two, count
        raise AssertionError("never the same twice")

    def test_close_while_the_ring_is_full(self):
        """There is not even room for the end: that waits for some too."""
        one, two, count = self.filled(self.file("in", b"x" * 4096))
        two.send("channel close")
        time.sleep(0.5)  # it waits; if it does not, it has ended by now
        one.send("recv --all " + self.path("out"))
        one.expect("received %d bytes in %d messages" % (count, count))


if __name__ == "__main__":
    support.main()
