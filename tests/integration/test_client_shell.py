#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The client as an interactive shell: what it prints, byte for byte, on pipes and on a terminal."""

import os
import re
import resource
import shutil
import signal
import termios
import time

import support

HELP = support.HELP_PATTERN
VECTOR = "  vector %d is enabled (fd=%d)\n"
NOTIFICATION = "receive notification from peer_id=%d vector=%d"


class Shell(support.Test):
    def start(self, vectors=2, others=1):
        """A server, raw peers 0 .. others-1, then a connected client."""
        server = self.server(vectors=vectors)
        peers = [self.peer(server) for _ in range(others)]
        client = self.client(server).ready()
        for peer in peers:
            peer.wait_join(others)
        return server, peers, client

    def block(self, client, command, last):
        """What a command prints, up to a line that only a following `int 4711 0` can bring."""
        start = client.seen["out"]
        client.send(command)
        client.expect(last)
        client.send("int 4711 0")
        client.expect("cannot find peer_id = 4711\n")
        text = client.output()[start:client.seen["out"]].replace("cmd> ", "")
        return text[:text.index("cannot find peer_id = 4711\n")]


class Output(Shell):
    def test_start(self):
        """Help, prompt, then the line about the server; N is the socket's descriptor."""
        client = self.client(self.server())
        match = client.expect(r"\A" + HELP + r"cmd> listen on server socket (\d+)\n\Z")
        link = os.readlink("/proc/%d/fd/%s" % (client.process.pid, match.group(1)))
        self.assertTrue(link.startswith("socket:"), link)
        self.assertEqual("", client.output("err"))

    def test_help(self):
        _, _, client = self.start()
        for command in ("help", "?"):
            self.assertRegex(self.block(client, command, "excepting us"), r"\A" + HELP + r"\Z")
        self.assertNotIn("invalid", client.output())

    def test_prompt_follows_each_answer(self):
        _, _, client = self.start()
        for command, answer in (("help", HELP),
                                ("dump", r"our_id = 1\n(.*\n)*?.*fd=\d+\)\n"),
                                ("int 5 0", "cannot find peer_id = 5\n"), ("int 0 0", ""),
                                ("nonsense", "invalid command, type help\n"), ("", "")):
            start = client.seen["out"]
            client.send(command)
            client.expect("cmd> $")
            self.assertRegex(client.output()[start:], "^" + answer)

    def test_dump(self):
        """Our ID first, then each peer; every fd is really that peer's eventfd."""
        server, peers, client = self.start(vectors=3, others=2)
        peers.append(self.peer(server))
        peers[2].update()
        text = self.wait_dump(client, {0, 2, 3}, 3)
        fds = [int(fd) for fd in re.findall(r"fd=(\d+)", text)]
        self.assertEqual(12, len(fds))

        def vectors(first):
            return "".join(VECTOR % (n, fds[first + n]) for n in range(3))

        expected = "our_id = 2\n" + vectors(0)
        for index, peer in enumerate((0, 1, 3)):
            expected += "peer_id = %d\n" % peer + vectors(3 + 3 * index)
        self.assertEqual(expected, text)
        numbers = peers[2].numbers()
        told = [support.eventfd_id(fd, client.process.pid) for fd in fds]
        self.assertEqual(numbers[2] + numbers[0] + numbers[1] + numbers[3], told)

    def wait_dump(self, client, peers, vectors):
        """Dumps until it shows so many peers in full: the news of a join takes its time."""
        lines = (len(peers) + 1) * (vectors + 1)
        found = []

        def complete():
            found[:] = [self.block(client, "dump", "our_id = ")]
            return found[0].count("\n") == lines

        support.wait_for(complete, what="a complete dump")
        return found[0]

    def test_dump_after_a_leave(self):
        server, peers, client = self.start(vectors=1, others=3)
        peers[1].close()
        text = self.wait_dump(client, {0, 2}, 1)
        self.assertEqual(["our_id = 3", "peer_id = 0", "peer_id = 2"],
                         re.findall(r".*_id = \d", text))
        support.wait_for(lambda: self.eventfds(client) == 3, what="the eventfd to be closed")

    @staticmethod
    def eventfds(client):
        folder = "/proc/%d/fd" % client.process.pid
        seen = set()
        for fd in os.listdir(folder):
            number = support.eventfd_id(int(fd), client.process.pid)
            if number is not None:
                seen.add(number)
        return len(seen)

    def test_dump_alone(self):
        _, _, client = self.start(vectors=1, others=0)
        self.assertRegex(self.block(client, "dump", "our_id = "),
                         r"\Aour_id = 0\n  vector 0 is enabled \(fd=\d+\)\n\Z")

    def test_errors(self):
        _, peers, client = self.start()
        for command in ("int 5 0", "int 5 all", "int 5 7", "int 65536 0"):
            answer = "cannot find peer_id = %s\n" % command.split()[1]
            self.assertEqual(answer, self.block(client, command, "cannot find"), command)
        for command in ("foo", "int", "int 0", "int x", "int x 0", "int 0 x", "intall", "dump 1",
                        "DUMP", "helpme", "??", "int all 0", "int 99999999999999999999999",
                        "\x01\x02", "\xff\xfe"):
            self.assertEqual("invalid command, type help\n", self.block(client, command, "invalid"),
                             command)
        self.assertFalse(peers[0].rung(0) or peers[0].rung(1))

    def test_vector_out_of_range_rings_nobody(self):
        _, peers, client = self.start()
        for vector in ("2", "2049", "4294967296", "4294967297", "99999999999999999999", "-1"):
            client.send("int 0 " + vector)
        client.send("int 0 1")
        self.assertEqual(1, peers[0].wait_ring(1))
        self.assertFalse(peers[0].rung(0) or peers[0].rung(1))
        self.assertIsNone(client.process.poll())

    def test_empty_lines_say_nothing(self):
        _, _, client = self.start()
        self.assertEqual("", self.block(client, "\n;\n;;;\n\r\n", ""))

    def test_int(self):
        server, peers, client = self.start(vectors=4, others=3)
        client.send("int 1 2")
        self.assertEqual(1, peers[1].wait_ring(2))
        self.assertFalse([v for p in peers for v in range(4) if p.rung(v)])
        client.send("int 2 all")
        self.assertEqual([1] * 4, [peers[2].wait_ring(v) for v in range(4)])
        self.assertFalse([v for p in peers for v in range(4) if p.rung(v)])
        client.send("int all")
        for peer in peers:
            self.assertEqual([1] * 4, [peer.wait_ring(v) for v in range(4)])
        client.send("int 4711 0")
        client.expect("cannot find")
        self.assertNotIn("receive notification", client.output())  # all: excepting us

    def test_several_on_a_line(self):
        _, peers, client = self.start(vectors=4)
        client.send("int 0 0;int 0 1;int 9 9;dump;int 0 3")
        for vector in (0, 1, 3):
            self.assertEqual(1, peers[0].wait_ring(vector))
        client.expect("cannot find peer_id = 9\n")
        client.expect("our_id = 1\n")
        client.send("int 0 0; int 0 1 ;\tint 0 2")  # with blanks around
        for vector in (0, 1, 2):
            self.assertEqual(1, peers[0].wait_ring(vector))
        self.assertNotIn("invalid", client.output())

    def test_carriage_returns(self):
        _, peers, client = self.start()
        client.write("int 0 0\r\nint 0 1\r\n")
        self.assertEqual([1, 1], [peers[0].wait_ring(0), peers[0].wait_ring(1)])
        self.assertNotIn("invalid", client.output())

    def test_line_in_pieces(self):
        _, peers, client = self.start()
        for piece in "int 0 1\n":
            client.write(piece)
            time.sleep(0.01)  # so that each is a read of its own
        self.assertEqual(1, peers[0].wait_ring(1))
        self.assertNotIn("invalid", client.output())

    def test_notifications(self):
        _, peers, client = self.start(vectors=3)
        for vector in (2, 0, 1, 1):
            peers[0].ring(1, vector)
            client.expect(NOTIFICATION % (1, vector) + r"\n")
        count = sum(line.startswith("receive") for line in client.lines())
        self.assertEqual(4, count)
        self.assertEqual([NOTIFICATION % (1, v) for v in (2, 0, 1, 1)],
                         [line for line in client.lines() if line.startswith("receive")])

    def test_ringing_ourselves(self):
        _, _, client = self.start()
        client.send("int 1 1")
        client.expect(NOTIFICATION % (1, 1) + r"\n")
        client.send("int 1 all")
        support.wait_for(lambda: client.pump(0.01) == b"" and len(
            [line for line in client.lines() if line.startswith("receive")]) == 3)

    def test_many_rings_before_a_look_are_one_notification(self):
        _, peers, client = self.start()
        support.suspend(client.process.pid)
        for _ in range(5):
            peers[0].ring(1, 0)
        client.process.send_signal(signal.SIGCONT)
        client.expect(NOTIFICATION % (1, 0) + r"\n")
        peers[0].ring(1, 1)
        client.expect(NOTIFICATION % (1, 1) + r"\n")
        self.assertEqual(1, client.output().count(NOTIFICATION % (1, 0)))

    def test_two_clients(self):
        server = self.server()
        first = self.client(server).ready()
        second = self.client(server).ready()
        second.send("int 0 0")
        first.expect(NOTIFICATION % (0, 0) + r"\n")
        first.send("int all")
        second.expect(NOTIFICATION % (1, 0) + r"\n")

    def test_quit(self):
        for command in ("quit", "exit", "quit;int 0 0", "exit\nint 0 0"):
            _, peers, client = self.start()
            client.send(command)
            self.assertEqual(0, client.wait())
            peers[0].wait_leave(1)
            self.assertFalse(peers[0].rung())

    def test_descriptor_limit_is_raised(self):
        """A soft limit of 1024 does not keep it from a large table."""
        def preexec():
            support.die_with_parent()
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        server = self.server(vectors=200)
        self.peer(server)  # so that it need not guess how many vectors there are
        client = self.client(server, preexec=preexec).ready()
        client.send("int 1 199")
        client.expect(NOTIFICATION % (1, 199) + r"\n")


class Connection(Shell):
    def test_retries_each_second(self):
        path = self.path("later")
        started = time.monotonic()
        client = self.client(path)
        for _ in range(3):
            client.expect(r"^cannot connect to server, retry in 1 second\n", "err")
        self.assertGreater(time.monotonic() - started, 1.9)
        self.assertEqual({"cannot connect to server, retry in 1 second"},
                         set(client.output("err").splitlines()))
        self.assertRegex(client.output(), r"\A" + HELP + r"cmd> \Z")
        server = self.server(socket_path=path)
        client.ready()
        self.peer(server, greet=False)

    def test_reconnects(self):
        """It says that the server is gone, tries again, and starts with a clean table."""
        server = self.server(vectors=2)
        self.peer(server)
        client = self.client(server).ready()
        server.stop()
        client.expect(r"disconnected from server\n")
        client.expect(r"^cannot connect to server, retry in 1 second\n", "err")
        again = self.server(socket_path=server.socket, vectors=1)
        client.ready()
        self.assertRegex(self.block(client, "dump", "our_id = "),
                         r"\Aour_id = 0\n  vector 0 is enabled \(fd=\d+\)\n\Z")
        peer = self.peer(again)
        peer.ring(0)
        client.expect(NOTIFICATION % (0, 0) + r"\n")
        again.kill()
        client.expect(r"disconnected from server\n")
        third = self.server(socket_path=server.socket, name=again.shm_name)
        client.ready()
        third.stop()

    def test_commands_without_a_server(self):
        """The shell answers what it can; nothing ends it but quit."""
        client = self.client(self.path("absent"))
        client.expect("retry", "err")
        client.send("help")
        client.expect(HELP)
        client.expect("cmd> ")
        client.expect(HELP)
        client.send("quit")
        self.assertEqual(0, client.wait())

    def test_idle_costs_nothing(self):
        _, _, client = self.start()
        before = client.cpu_seconds()
        time.sleep(0.5)
        self.assertLess(client.cpu_seconds() - before, 0.2)


class Terminal(Shell):
    def start_terminal(self):
        server = self.server(vectors=2)
        peer = self.peer(server)
        client = self.client(server, tty=True)
        return server, peer, client

    def test_session(self):
        _, peer, client = self.start_terminal()
        client.expect("int all: notify all vectors of all peers")
        client.expect("cmd> ")
        client.ready()
        peer.wait_join(1)
        client.send("int 0 1")
        self.assertEqual(1, peer.wait_ring(1))
        peer.ring(1, 0)
        client.expect(NOTIFICATION % (1, 0) + r"\n")
        client.send("dump")
        vectors = r"  vector 0 is enabled \(fd=\d+\)\n  vector 1 is enabled \(fd=\d+\)\n"
        client.expect(r"^our_id = 1\n" + vectors + r"peer_id = 0\n" + vectors)
        client.expect("cmd> ")
        client.send("?")
        client.expect(HELP)
        client.expect("cmd> ")
        client.send("bogus")
        client.expect(r"^invalid command, type help\n")
        self.assertEqual(1, client.output().count("invalid"))
        client.send("quit")
        self.assertEqual(0, client.wait())

    def test_end_of_input(self):
        _, _, client = self.start_terminal()
        client.ready()
        client.eof()
        self.assertEqual(0, client.wait())

    def test_terminal_is_put_back(self):
        for leave in (lambda c: c.send("quit"), lambda c: c.eof(), lambda c: c.write(b"\x03"),
                      lambda c: c.process.send_signal(signal.SIGTERM)):
            server = self.server()
            client = self.client(server, tty=True)
            before = client.first_attributes
            client.ready()
            client.send("help")
            client.expect("excepting us")
            client.expect("cmd> ")
            leave(client)
            self.assertIn(client.wait(), (0, -signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT,
                                          128 + signal.SIGTERM))
            self.assertEqual(before, termios.tcgetattr(client.input))
            client.close()
            server.stop()

    def test_hang_up(self):
        """The terminal goes away: so does the client, at once and without spinning."""
        _, peer, client = self.start_terminal()
        client.ready()
        os.close(client.input)
        client.input, client.streams = None, {}
        client.process.wait(support.DEADLINE)
        peer.wait_join(1)
        peer.wait_leave(1)

    def test_under_expect(self):
        if not shutil.which("expect"):
            self.skipTest("expect is not installed")
        server = self.server()
        peer = self.peer(server)
        script = """
            set timeout %d
            log_user 0
            spawn -noecho {%s} -S {%s}
            proc want {text} {
                expect -ex $text {} timeout {puts "no $text"; exit 2} eof {puts "no $text"; exit 3}
            }
            want "cmd> "
            want "listen on server socket"
            send "dump\\r"
            want "our_id = 1"
            want "  vector 0 is enabled (fd="
            want "peer_id = 0"
            want "cmd> "
            send "int 0 0\\r"
            want "cmd> "
            send "int 1 0\\r"
            want "receive notification from peer_id=1 vector=0"
            send "quit\\r"
            expect eof
            exit [lindex [wait] 3]
        """ % (support.DEADLINE, support.CLIENT, server.socket)
        result = support.run("expect", "-c", script, timeout=3 * support.DEADLINE,
                             env={**os.environ, **support.NO_LEAK_CHECK})
        self.assertEqual((0, ""), (result.returncode, result.stderr), result.stdout)
        self.assertEqual(1, peer.wait_ring())


if __name__ == "__main__":
    support.main()
