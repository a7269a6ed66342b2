#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The client under scripts: options, commands piped in, lines of any length, the end of input."""

import os
import subprocess

import support

HELP = support.HELP_PATTERN


class Options(support.Test):
    def test_help(self):
        for option in ("-h", "--help"):
            result = support.run(support.CLIENT, option)
            self.assertEqual((0, ""), (result.returncode, result.stderr))
            self.assertRegex(result.stdout, "(?i)usage")
            for name in ("-h", "-v", "-S", "--help", "--verbose", "--socket", "--version",
                         "/tmp/ivshmem_socket"):
                self.assertIn(name, result.stdout)

    def test_version(self):
        result = support.run(support.CLIENT, "--version")
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        self.assertRegex(result.stdout, r"ivshmem-client.*\d")

    def test_bad_options(self):
        for options in (["-Z"], ["--no-such-option"], ["-S"], ["--socket"]):
            message = self.refused(*options, program=support.CLIENT)
            self.assertIn(options[0].lstrip("-"), message)

    def test_too_long_socket_path(self):
        path = self.path("s" * 200)
        self.refused("-S", path, program=support.CLIENT, mentions=[path, "107"])

    def test_longest_socket_path(self):
        path = os.path.join(self.folder, "s" * (107 - len(self.folder) - 1))
        server = self.server(socket_path=path)
        self.assertEqual(0, support.run_client(path, "dump\n").code)
        server.stop()

    def test_long_options_and_verbose(self):
        """-v may say more, but the lines that scripts parse stay as they are."""
        server = self.server()
        for options in (["-v"], ["--verbose"], ["--socket=" + server.socket, "-v"]):
            path = None if "--socket" in options[0] else server.socket
            client = support.run_client(path, "dump\nint 0 0\n", *options)
            self.assertEqual(0, client.code)
            self.assertIn("our_id = 0", client.lines())
            self.assertRegex(client.output(), r"\A" + HELP + "cmd> ")


class EndOfInput(support.Test):
    def test_no_input_at_all(self):
        """Neither a loop nor prompts without end."""
        server = self.server()
        with subprocess.Popen([support.CLIENT, "-S", server.socket], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              preexec_fn=support.die_with_parent) as process:
            out, err = process.communicate(timeout=support.DEADLINE)
        self.assertEqual((0, b""), (process.returncode, err))
        self.assertRegex(out.decode(), r"\A" + HELP + "cmd> ")
        self.assertLessEqual(out.count(b"cmd> "), 3)

    def test_exit_code_and_output(self):
        server = self.server(vectors=2)
        self.peer(server)
        for text in ("dump\n", "dump", "dump\r\n", "dump;", "help\ndump\n", "\n\ndump\n\n"):
            client = support.run_client(server.socket, text)
            self.assertEqual(0, client.code)
            self.assertEqual("", client.output("err"))
            dump = [line for line in client.lines() if "_id = " in line]
            self.assertRegex(" ".join(dump), r"\Aour_id = \d+ peer_id = 0\Z", text)
            self.assertEqual(4, sum("is enabled (fd=" in line for line in client.lines()))
            commands = text.count("\n") + text.count(";")
            self.assertLessEqual(client.output().count("cmd> "), commands + 3)

    def test_whole_transcript(self):
        """As QEMU's client prints it when its input is a pipe."""
        server = self.server()
        client = self.client(server).ready()
        client.send("dump")
        client.expect(r"cmd> \Z")
        self.assertRegex(
            client.output(),
            r"\A" + HELP + r"cmd> listen on server socket \d+\n"
            r"our_id = 0\n  vector 0 is enabled \(fd=\d+\)\ncmd> \Z")

    def test_input_from_a_file(self):
        server = self.server()
        peer = self.peer(server)
        with open(self.path("commands"), "w+") as f:
            f.write("int 0 0\ndump\n")
            f.seek(0)
            result = subprocess.run([support.CLIENT, "-S", server.socket], stdin=f,
                                    encoding="utf-8", stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, timeout=support.DEADLINE,
                                    preexec_fn=support.die_with_parent)
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        self.assertIn("peer_id = 0\n", result.stdout)
        self.assertEqual(1, peer.wait_ring())

    def test_output_to_a_file(self):
        server = self.server()
        with open(self.path("out"), "w+") as out:
            result = subprocess.run([support.CLIENT, "-S", server.socket], input="dump\n",
                                    stdout=out, stderr=subprocess.PIPE, encoding="utf-8",
                                    timeout=support.DEADLINE, preexec_fn=support.die_with_parent)
            out.seek(0)
            self.assertIn("our_id = 0\n", out.read())
        self.assertEqual((0, ""), (result.returncode, result.stderr))

    def test_started_without_standard_streams(self):
        """Closed input is ended input; no socket takes the place of an output."""
        server = self.server()
        peer = self.peer(server)

        def preexec():
            support.die_with_parent()
            os.closerange(0, 3)
        process = subprocess.Popen([support.CLIENT, "-S", server.socket], preexec_fn=preexec)
        self.addCleanup(process.kill)
        self.assertIn(process.wait(support.DEADLINE), (0, 1))
        peer.wait_table(lambda table: set(table) == {0})
        self.assertNotIn("sent data", server.stderr)
        server.stop()

    def test_reader_of_the_output_goes_away(self):
        """client | head -1: it ends, it does not spin."""
        server = self.server()
        peer = self.peer(server)
        client = self.client(server).ready()
        peer.wait_join(1)
        client.process.stdout.close()
        client.streams = {}
        try:
            for _ in range(3):
                os.write(client.input, b"dump\n")
        except BrokenPipeError:
            pass
        peer.wait_leave(1)
        client.process.wait(support.DEADLINE)

    def test_reader_goes_away_and_the_input_has_no_end(self):
        """yes dump | client | head -1"""
        server = self.server()
        with subprocess.Popen(["yes", "dump"], stdout=subprocess.PIPE,
                              preexec_fn=support.die_with_parent) as source:
            with subprocess.Popen([support.CLIENT, "-S", server.socket], stdin=source.stdout,
                                  stdout=subprocess.PIPE,
                                  preexec_fn=support.die_with_parent) as process:
                source.stdout.close()
                process.stdout.readline()
                process.stdout.close()
                process.wait(support.DEADLINE)
            source.wait(support.DEADLINE)


class Doorbells(support.Test):
    def test_piped_in_at_once(self):
        """The peer table has arrived before the first command is looked at."""
        server = self.server(vectors=4)
        peer = self.peer(server)
        for turn in range(20):
            client = support.run_client(server.socket, "int 0 %d\n" % (turn % 4))
            self.assertEqual(0, client.code)
            self.assertEqual(1, peer.wait_ring(turn % 4))
            self.assertFalse([v for v in range(4) if peer.rung(v)])
            self.assertNotIn("cannot find", client.output())

    def test_all_of_a_large_table(self):
        server = self.server(vectors=64)
        peers = [self.peer(server) for _ in range(6)]
        client = support.run_client(server.socket, "int all\n")
        self.assertEqual(0, client.code)
        for peer in peers:
            self.assertEqual([1] * 64, [peer.wait_ring(vector) for vector in range(64)])
        client = support.run_client(server.socket, "int 5 63;int 4 all")
        self.assertEqual(0, client.code)
        self.assertEqual(1, peers[5].wait_ring(63))
        self.assertEqual([1] * 64, [peers[4].wait_ring(vector) for vector in range(64)])

    def test_all_of_our_own_vectors(self):
        """
        Nobody else is there to tell how many vectors will come, so the table is complete once it
        has been quiet. A server that was kept from running for that long gets another chance.
        """
        for _ in range(10):
            client = support.run_client(self.server(vectors=2048).socket, "int 0 2047\ndump\n")
            if sum("is enabled (fd=" in line for line in client.lines()) == 2048:
                break
        self.assertIn("receive notification from peer_id=0 vector=2047", client.lines())
        self.assertEqual(2048, sum("is enabled (fd=" in line for line in client.lines()))

    def test_before_there_is_a_server(self):
        """Commands wait for the server too."""
        path = self.path("later")
        client = self.client(path)
        client.write("int 0 1\n")
        client.expect("retry in 1 second", "err")
        server = self.server(socket_path=path, vectors=2)
        peer = self.peer(server)
        if peer.id != 0:
            self.skipTest("the client was faster")
        self.assertEqual(1, peer.wait_ring(1))

    def test_order_is_kept(self):
        server = self.server()
        self.peer(server)
        client = support.run_client(server.socket, "int 7 0\nint 8 0;int 9 0\nbogus\nint 10 0\n")
        answers = [line for line in client.lines() if "cannot" in line or "invalid" in line]
        cannot = "cannot find peer_id = %d"
        self.assertEqual([cannot % 7, cannot % 8, cannot % 9, "invalid command, type help",
                          cannot % 10], answers)

    def test_own_doorbell_before_the_end(self):
        """It was asked for, so it is shown before the client exits."""
        server = self.server(vectors=2)
        client = support.run_client(server.socket, "int 0 1\n")
        self.assertEqual(0, client.code)
        self.assertIn("receive notification from peer_id=0 vector=1", client.lines())

    def test_quit_in_a_script(self):
        server = self.server()
        peer = self.peer(server)
        client = self.client(server)
        client.write("int 0 0\nquit\nint 0 0\n")
        self.assertEqual(0, client.wait())
        self.assertEqual(1, peer.wait_ring())
        self.assertFalse(peer.rung())


class LongLines(support.Test):
    def test_around_the_old_limit(self):
        """QEMU's client cuts its input each 127 bytes."""
        server = self.server()
        peer = self.peer(server)
        for length in range(120, 136):
            client = support.run_client(server.socket, ";" * (length - 8) + "int 0 0\n")
            self.assertEqual(0, client.code)
            self.assertEqual(1, peer.wait_ring())
            self.assertNotIn("invalid", client.output())

    def test_many_commands_on_a_line(self):
        server = self.server()
        peer = self.peer(server)
        for count in (17, 200, 20000):  # 136 bytes, 1600 bytes, 160,000 bytes
            client = support.run_client(server.socket, ";".join(["int 0 0"] * count) + "\n")
            self.assertEqual(0, client.code)
            self.assertEqual(count, peer.wait_ring())
            self.assertNotIn("invalid", client.output())

    def test_many_lines(self):
        server = self.server()
        peer = self.peer(server)
        client = support.run_client(server.socket, "int 0 0\n" * 20000)
        self.assertEqual(0, client.code)
        self.assertEqual(20000, peer.wait_ring())

    def test_one_long_word(self):
        server = self.server()
        for length in (127, 128, 4096, 70000, 1000000):
            client = support.run_client(server.socket, "x" * length + "\nint 5 0\n")
            self.assertEqual(0, client.code)
            answers = [line for line in client.lines() if "cannot" in line or "invalid" in line]
            self.assertEqual(["invalid command, type help", "cannot find peer_id = 5"], answers)

    def test_on_an_open_pipe(self):
        server = self.server()
        peer = self.peer(server)
        client = self.client(server).ready()
        client.send(";" * 100000 + "int 0 0" + ";" * 100000)
        self.assertEqual(1, peer.wait_ring())
        client.send("int 0 0")
        self.assertEqual(1, peer.wait_ring())
        self.assertNotIn("invalid", client.output())


if __name__ == "__main__":
    support.main()
