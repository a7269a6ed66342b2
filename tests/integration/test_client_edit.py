#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shell at a terminal that can edit lines: keys, completion, history, lines that come between."""

import os
import pty
import re
import signal
import subprocess
import termios

import support

NOTIFICATION = "receive notification from peer_id=%d vector=%d"


def shown(text):
    """What is left on a screen: lines without what was erased, and without other sequences."""
    text = re.sub(r"[^\n]*\r\x1b\[J", "", text)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")


class Edit(support.Test):
    def setUp(self):
        super().setUp()
        if not self.has_libedit():
            self.skipTest("the client was built without libedit")

    def environment(self):
        return {"TERM": "xterm", "HOME": self.folder, **support.NO_LEAK_CHECK}

    @staticmethod
    def has_libedit():
        """Whoever is linked with it has it in the list of its libraries."""
        lines = subprocess.run(["ldd", support.CLIENT], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True).stdout
        return "libedit" in lines

    def start(self, vectors=2, others=1):
        server = self.server(vectors=vectors)
        peers = [self.peer(server) for _ in range(others)]
        client = self.client(server, tty=True, env=self.environment())
        client.ready()
        client.expect("cmd> ")
        for peer in peers:
            peer.wait_join(others)
        return server, peers, client

    def wait_editing(self, client):
        """While a command runs it is the terminal itself that takes the keys for editing."""
        support.wait_for(lambda: not self.has_echo(client))

    def test_start_and_quit(self):
        _, _, client = self.start()
        self.assertIn("help all: ", client.output())
        client.write("quit\n")
        self.assertEqual(0, client.wait())

    def test_keys(self):
        """Ctrl-A, Ctrl-K and backspace, and the line before by arrow up."""
        _, peers, client = self.start()
        client.write("nt 0 1x\x7f\x01i\n")
        self.assertEqual(1, peers[0].wait_ring(1))
        self.wait_editing(client)
        client.write("\x1b[A\x7f0\n")
        self.assertEqual(1, peers[0].wait_ring(0))
        self.wait_editing(client)
        client.write("bogus\x01\x0bdump\n")
        client.expect(r"our_id = 1\n")
        self.assertNotIn("invalid", client.output())

    def test_completion(self):
        _, peers, client = self.start()
        client.write("in\t0 \t\t")
        client.expect("0  1  all")
        client.write("1\n")
        self.assertEqual(1, peers[0].wait_ring(1))
        client.write("size;wri\t")
        client.expect("te ")

    def test_history_is_kept(self):
        server, _, client = self.start()
        client.write("help quit\nquit\n")
        self.assertEqual(0, client.wait())
        client.close()
        again = self.client(server, tty=True, env=self.environment()).ready()
        again.expect("cmd> ")
        again.write("\x1b[A\x1b[A\n")
        again.expect("quit: leave;")

    def test_lines_between(self):
        """A notification while something is typed: above it, and the typed text is drawn again."""
        server, peers, client = self.start()
        client.write("int 0")
        client.expect("int 0")
        peers[0].ring(1, 1)
        client.expect(NOTIFICATION % (1, 1) + r"\n")
        client.expect("cmd> int 0")
        client.write(" 1\n")
        self.assertEqual(1, peers[0].wait_ring(1))
        client.write("dum")
        server.stop()
        client.expect("disconnected from server\n")
        client.expect("cannot connect to server, retry in 1 second\n")
        client.expect("cmd> dum")
        for line in shown(client.output()).split("\n"):
            self.assertNotRegex(line, r"\S.*(receive notification|disconnected|cannot connect)")

    def test_interrupt(self):
        """Ctrl-C forgets the line, or ends the command that runs; the shell goes on."""
        _, peers, client = self.start()
        client.write("int 0 0")
        client.expect("int 0 0")
        client.write("\x03")
        client.expect("cmd> ")
        client.write("int 0 1\n")
        self.assertEqual(1, peers[0].wait_ring(1))
        self.assertFalse(peers[0].rung(0))
        client.write("wait\n")
        client.expect("wait\n")
        support.wait_for(lambda: self.has_echo(client))
        client.write("\x03")
        client.expect("cmd> ")
        client.write("size\n")
        client.expect(r"\d{4,}\n")

    @staticmethod
    def has_echo(client):
        """The terminal belongs to a command, and not to the line."""
        return termios.tcgetattr(client.input)[3] & termios.ECHO

    def test_interrupt_of_a_command_that_waits_for_a_server(self):
        client = self.client(self.path("absent"), tty=True, env=self.environment())
        client.expect("cmd> ")
        client.write("dump\n")
        client.expect("dump\n")
        support.wait_for(lambda: self.has_echo(client))
        client.write("\x03")
        client.expect("cmd> ")
        client.write("quit\n")
        self.assertEqual(0, client.wait())

    def test_terminal_is_put_back(self):
        ends = pty.openpty()  # as every new one is
        fresh = termios.tcgetattr(ends[0])
        for end in ends:
            os.close(end)
        for leave, codes in ((lambda c: c.write("quit\n"), [0]), (lambda c: c.write(b"\x04"), [0]),
                             (lambda c: c.process.send_signal(signal.SIGTERM), [-signal.SIGTERM])):
            server = self.server()
            client = self.client(server, tty=True, env=self.environment())
            client.ready()
            client.expect("cmd> ")
            leave(client)
            self.assertIn(client.wait(), codes)
            self.assertEqual(fresh, termios.tcgetattr(client.input))
            client.close()
            server.stop()

    def test_hang_up(self):
        _, peers, client = self.start()
        os.close(client.input)
        client.input, client.streams = None, {}
        client.process.wait(support.DEADLINE)
        peers[0].wait_leave(1)

    def test_idle_costs_nothing(self):
        _, peers, client = self.start()
        before = client.cpu_seconds()
        for _ in range(20):
            peers[0].ring(1, 0)
            client.expect(NOTIFICATION % (1, 0))
        self.assertLess(client.cpu_seconds() - before, 1)


if __name__ == "__main__":
    support.main()
