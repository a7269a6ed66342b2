#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The configuration file: read at start, checked without starting, read again on SIGHUP."""

import os
import re
import signal
import subprocess
import time

import support

MIB = 1 << 20
COMMAND_LINE_ONLY = {"help", "version", "config", "check-config", "re-exec",
                     "clean-up"}


def options_of_help():
    """{long option: what --help calls its value, "" for a switch}."""
    text = support.run(support.SERVER, "--help").stdout
    return dict(re.findall(r"^ {2}(?:-\w,|   ) --([a-z-]+)=?(\S*)", text, re.MULTILINE))


class ConfigTest(support.Test):
    def write(self, *lines, name="config"):
        with open(self.path(name), "w") as f:
            f.writelines(line + "\n" for line in lines)
        return self.path(name)

    def check(self, path, *options):
        """What --check-config says of a good configuration. It never does anything."""
        before = set(os.listdir(self.folder))
        result = support.run(support.SERVER, "--check-config", "--config", path, *options)
        self.assertEqual((0, ""), (result.returncode, result.stderr), result.stdout)
        self.assertEqual(before, set(os.listdir(self.folder)))
        return result.stdout

    def wrong(self, line, *mentions, options=("--check-config",)):
        """A file whose third line is wrong is refused, by file, line and option."""
        path = self.write("# a comment", "vectors = 2", line)
        self.refused("--config=" + path, *options, mentions=[path, "line 3", *mentions])


class Table(ConfigTest):
    """One table is behind the command line and the file."""

    # for each word that --help uses, a value and what of the system it needs
    VALUES = {"FILE": "/nowhere/file", "LEVEL": "notice", "PATH": "/nowhere/s", "MODE": "0640",
              "USER": "0", "GROUP": "0", "N": "1", "NAME=ID[:SOCKET]": "one=1:/nowhere/one",
              "NAME": "name", "DIR": "/nowhere", "SIZE": "2M", "[=SIZE]": "2M",
              "USER[,USER...]": "0,1", "GROUP[,GROUP...]": "0,1", "SECONDS": "5", "": "yes"}

    def test_every_option_is_a_key(self):
        options = options_of_help()
        self.assertGreater(len(options), 25)
        self.assertEqual(COMMAND_LINE_ONLY, COMMAND_LINE_ONLY & set(options))
        for name, word in options.items():
            if name in COMMAND_LINE_ONLY:
                self.wrong("%s = x" % name, name)
                continue
            value = self.VALUES[word]
            said = self.check(self.write("%s = %s" % (name, value)))
            self.assertIn("%s = %s\n" % (name, value), said)
            line = ["--" + name] if word == "" else ["--%s=%s" % (name, value)]
            result = support.run(support.SERVER, "--check-config", *line)
            self.assertEqual((0, ""), (result.returncode, result.stderr))
            self.assertIn("%s = %s\n" % (name, value), result.stdout)

    def test_values_are_needed(self):
        for name, word in options_of_help().items():
            if name in COMMAND_LINE_ONLY:
                continue
            if word == "":
                self.wrong("%s = perhaps" % name, name, "perhaps")
            elif not word.startswith("["):
                self.wrong(name, name)
                self.wrong("%s =" % name, name)

    def test_switches(self):
        self.assertIn("not reserved", self.check(self.write("no-reserve")))
        self.assertIn("not reserved", self.check(self.write("no-reserve = yes")))
        self.assertIn("reserved at start", self.check(self.write("no-reserve = no")))
        self.wrong("no-reserve = true", "no-reserve", "true", "yes", "no")
        said = self.check(self.write("hugetlb"))
        self.assertIn("huge pages", said)


class Lines(ConfigTest):
    def test_comments_and_space(self):
        path = self.write("", "# size = 1M", "   \t# indented", "\t size\t=  8M  ", "vectors=3",
                          "shm-name = a=b", "", "   ")
        said = self.check(path)
        self.assertIn("memory: %d bytes" % (8 * MIB), said)
        self.assertIn("vectors: 3", said)
        self.assertIn("object a=b", said)

    def test_last_line_without_end_and_dos_lines(self):
        with open(self.path("config"), "w") as f:
            f.write("size = 2M\r\nvectors = 5")
        said = self.check(self.path("config"))
        self.assertIn("memory: %d bytes" % (2 * MIB), said)
        self.assertIn("vectors: 5", said)

    def test_errors_name_file_line_and_option(self):
        self.wrong("vecters = 2", "vecters")
        self.wrong("S = /tmp/s", "S")  # short names are for the command line
        self.wrong("--size = 2M", "--size")
        self.wrong("= 2M")
        self.wrong("size = 2 M", "size", "2 M")
        self.wrong("size = 0", "size")
        self.wrong("vectors = 4096", "vectors", "4096")
        self.wrong("mode = 0999", "mode", "0999")
        self.wrong("owner = no-such-user", "owner", "no-such-user")
        self.wrong("allow-gid = no-such-group", "allow-gid", "no-such-group")
        self.wrong("log-level = loud", "log-level", "loud")
        self.wrong("numa-node = 1.5", "numa-node")
        self.wrong("slot = vm", "slot", "vm")
        self.wrong("x" * 10000)
        for options in (["-F"], ["-p", self.path("pid")]):  # and it does not start with it
            self.wrong("vectors = none", "vectors", "none", options=options)

    def test_contradictions(self):
        for lines in (["sealed", "keep"], ["sealed", "shm-dir = /tmp"], ["adopt", "zero"],
                      ["hugetlb", "adopt"]):
            text = self.refused("-F", "--config", self.write(*lines))
            for line in lines:
                self.assertIn(line.split()[0], text)

    def test_no_file(self):
        missing = self.path("missing")
        self.refused("-F", "--config", missing, mentions=[missing])
        self.refused("-F", "--config", self.folder, mentions=[self.folder])
        self.refused("-F", "--config", "", mentions=["config"])

    def test_pipe(self):
        """Refused at once: opening it would wait for somebody who writes."""
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        for options in (("-F",), ("--check-config",)):
            self.refused(*options, "--config", pipe, mentions=[pipe, "not a regular file"])


class Precedence(ConfigTest):
    def test_command_line_wins(self):
        path = self.write("size = 8M", "vectors = 5", "shm-name = from-file")
        said = self.check(path)
        self.assertIn("memory: %d bytes, object from-file" % (8 * MIB), said)
        said = self.check(path, "-l", "2M", "-M", "from-line")
        self.assertIn("memory: %d bytes, object from-line" % (2 * MIB), said)
        self.assertIn("vectors: 5", said)
        result = support.run(support.SERVER, "--vectors=7", "--check-config", "--config=" + path)
        self.assertIn("vectors: 7", result.stdout)  # in whatever order
        self.assertIn("vectors = 7\n", result.stdout)

    def test_lists_add_up(self):
        said = self.check(self.write("slot = one=1", "slot = two=2"), "--slot=three=3")
        for name, number in (("one", 1), ("two", 2), ("three", 3)):
            self.assertIn("slot %s: peer ID %d," % (name, number), said)

    def test_a_server_of_a_file(self):
        path = self.path("s")
        name = "ivshmem-test-%d-config" % os.getpid()
        config = self.write("socket = " + path, "shm-name = " + name, "size = 64k", "vectors = 3",
                            "slot = vm=9", "foreground = yes", "socket-mode = 0660")
        for trace in ("/dev/shm/" + name, "/dev/shm/.%s.lock" % name):
            support.janitor.tell("remove", trace)
            self.addCleanup(support.remove, trace)
        process = subprocess.Popen([support.SERVER, "--config", config], stderr=subprocess.PIPE,
                                   text=True, preexec_fn=support.die_with_parent)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        support.wait_for(lambda: "serving" in process.stderr.readline(), what="the server")
        peer = support.RawPeer(path + ".vm", vectors=3)
        self.addCleanup(peer.close)
        self.assertEqual((9, 65536), (peer.id, os.fstat(peer.shm).st_size))
        self.assertEqual(0o140660, os.stat(path).st_mode)
        process.terminate()
        self.assertEqual(0, process.wait(support.DEADLINE))


class Reload(ConfigTest):
    """SIGHUP: what can change does so for newcomers, the rest is said, an error changes nothing."""

    def start(self, *lines, options=(), **more):
        return self.server("--config", self.write(*lines), *options, **more)

    def reload(self, server, *lines, refused=False):
        """Changes the file, sends SIGHUP, waits for the answer; returns what was logged."""
        before = len(server.stderr)
        if lines:
            self.write(*lines)
        server.send_signal(signal.SIGHUP)
        end = "stays as it was: .*\n" if refused else "configuration read again.*\n"
        support.wait_for(lambda: re.search(end, server.stderr[before:]), what="the file to be read")
        return server.stderr[before:]

    def turned_away(self, server):
        self.assertRaises(support.TurnedAway, self.peer, server)

    def test_limits(self):
        server = self.start("max-peers = 1")
        first = self.peer(server)
        self.turned_away(server)
        text = self.reload(server, "max-peers = 3")
        self.assertRegex(text, "max-peers.*3")
        second, third = self.peer(server), self.peer(server)
        self.turned_away(server)
        self.reload(server, "max-peers-per-uid = 1")
        self.turned_away(server)
        for peer in (first, second, third):  # who is in stays in
            self.assertTrue(peer.update())
        self.reload(server, "# nothing")
        fourth = self.peer(server)
        first.wait_join(fourth.id)
        first.ring(fourth.id)
        self.assertEqual(1, fourth.wait_ring())
        server.stop()

    def test_allow_lists(self):
        server = self.start("allow-uid = %d" % os.geteuid())
        first = self.peer(server)
        self.reload(server, "allow-uid = 60001")
        self.turned_away(server)
        self.assertTrue(first.update())
        self.reload(server, "allow-uid = 60001", "allow-gid = %d" % os.getegid())
        self.peer(server)
        self.reload(server, "allow-gid = 60001")
        self.turned_away(server)
        self.reload(server, "")
        first.wait_join(self.peer(server).id)
        server.stop()

    def test_log_level(self):
        server = self.start("log-level = warning", "max-peers = 1")
        first = self.peer(server)
        self.turned_away(server)
        support.wait_for(lambda: "turned away" in server.stderr)
        self.assertNotIn("joined", server.stderr)
        self.write("log-level = info")
        server.send_signal(signal.SIGHUP)

        support.wait_for(lambda: self.let_in(server) and "joined" in server.stderr,
                         what="a line that a peer joined")
        self.assertTrue(first.update())
        server.stop()

    def let_in(self, server):
        try:
            support.RawPeer(server.socket).close()
            return True
        except support.TurnedAway:
            return False

    def test_withheld_leaves(self):
        server = self.start()
        witness, second = self.peer(server), self.peer(server)
        witness.wait_join(second.id)
        self.reload(server, "withhold-leaves = yes")
        second.close()
        third = self.peer(server)
        witness.wait_join(third.id)
        self.assertEqual({0, 1, third.id}, set(witness.table))
        server.stop()

    def test_what_cannot_change(self):
        server = self.start("size = 64k", "vectors = 2", vectors=2)
        first = self.peer(server)
        text = self.reload(server, "size = 128k", "pid-file = x", "mode = 0666", "sealed = yes",
                           "slot = vm=5", "max-peers = 2")
        for name in ("size", "pid-file", "mode", "sealed", "slot"):
            self.assertRegex(text, "(?m)warning: .*%s .*cannot change" % name)
        self.assertNotRegex(text, "max-peers.*cannot change")
        second = self.peer(server)
        self.assertEqual((65536, 2), (os.fstat(second.shm).st_size, len(second.table[second.id])))
        first.wait_join(1, 2)
        self.assertFalse(os.path.exists(server.socket + ".vm"))
        self.assertEqual(0o600, os.stat(server.shm).st_mode & 0o777)
        self.turned_away(server)
        server.stop()

    def test_an_error_changes_nothing(self):
        server = self.start("max-peers = 2")
        self.peer(server)
        for lines, word in ((["max-peers = 1", "vectors = none"], "line 2: .*vectors"),
                            (["max-peers = 1", "nonsense"], "line 2: .*nonsense"),
                            (["max-peers = 1", "sealed", "keep"], "sealed")):
            text = self.reload(server, *lines, refused=True)
            self.assertRegex(text, word)
        os.unlink(self.path("config"))
        self.reload(server, refused=True)
        second = self.peer(server)
        self.turned_away(server)
        second.close()
        self.write("max-peers = 1")
        self.reload(server)
        server.stop()

    def test_a_pipe_holds_up_nobody(self):
        server = self.start("max-peers = 2")
        self.peer(server)
        path = self.path("config")
        os.unlink(path)
        os.mkfifo(path)
        self.assertIn("not a regular file", self.reload(server, refused=True))
        self.peer(server)
        self.turned_away(server)
        os.unlink(path)
        self.reload(server, "max-peers = 3")
        self.peer(server)
        server.stop()

    def test_command_line_still_wins(self):
        server = self.start("max-peers = 1", options=["--max-peers=2"])
        self.peer(server)
        self.assertNotIn("max-peers", self.reload(server, "max-peers = 9"))
        self.peer(server)
        self.turned_away(server)
        server.stop()

    def test_without_a_file(self):
        server = self.server("--max-peers=1")
        first = self.peer(server)
        for _ in range(3):
            self.reload(server)
        self.assertTrue(first.update())
        self.turned_away(server)
        self.assertNotIn("warning: option", server.stderr)
        server.stop()

    def test_daemon_with_a_relative_path(self):
        """A daemon has left the directory that it was started in, and finds its file again."""
        def preexec():
            support.die_with_parent()
            os.chdir(self.folder)
        self.write("max-peers = 1")
        server = self.server("--config", "config", daemon=True, preexec=preexec)
        self.peer(server)
        self.turned_away(server)
        self.write("max-peers = 2")
        server.send_signal(signal.SIGHUP)
        support.wait_for(lambda: self.let_in(server), what="the new limit")
        server.stop()

    def test_many_at_once(self):
        server = self.start("max-peers = 0")
        pair = [self.peer(server), self.peer(server)]
        pair[0].wait_join(1)
        for turn in range(100):
            self.write("max-peers = %d" % (turn % 5 + 2))
            server.send_signal(signal.SIGHUP)
            pair[0].ring(1)
            self.assertEqual(1, pair[1].wait_ring())
        self.write("max-peers = 7")
        server.send_signal(signal.SIGHUP)  # earlier ones may be under way, and read this already
        support.wait_for(lambda: re.search("max-peers is now 7", server.stderr), what="the last")
        for _ in range(5):
            self.peer(server)
        self.turned_away(server)
        server.stop()


class Logs(ConfigTest):
    def test_plain_lines_with_levels(self):
        server = self.server("--log-level=debug")
        self.peer(server).close()
        support.wait_for(lambda: "left" in server.stderr)
        for line in server.stderr.splitlines():
            self.assertRegex(line, "^ivshmem-server: (error|warning|notice|info|debug): .")
        server.stop()

    def test_journal(self):
        """Where standard error is the journal, lines begin with the priority it knows."""
        script = 'exec env JOURNAL_STREAM="$(stat -L -c %d:%i /dev/stderr)" "$@"'
        with open(self.path("journal"), "w") as journal:
            process = subprocess.Popen(
                ["sh", "-c", script, "sh", support.SERVER, "-F", "-S", self.path("s"),
                 "-m", self.folder, "--max-peers=1"], stderr=journal,
                preexec_fn=support.die_with_parent)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def text():
            with open(self.path("journal")) as f:
                return f.read()

        support.wait_for(lambda: "serving" in text())
        peer = support.RawPeer(self.path("s"))
        self.addCleanup(peer.close)
        self.assertRaises(support.TurnedAway, support.RawPeer, self.path("s"))
        support.wait_for(lambda: "turned away" in text())
        for line in text().splitlines():
            self.assertRegex(line, r"^<[3-7]>[^<]")
        self.assertRegex(text(), r"(?m)^<6>peer 0 joined")
        self.assertRegex(text(), r"(?m)^<4>turned away")

    def test_levels(self):
        for level, seen in (("error", ""), ("warning", "warning"), ("notice", "warning"),
                            ("info", "warning|info"), ("debug", "warning|info|debug")):
            server = self.server("--log-level", level, "--max-peers=1")
            self.peer(server)
            self.assertRaises(support.TurnedAway, self.peer, server)
            server.stop()
            for line in server.stderr.splitlines():
                self.assertRegex(line, "^ivshmem-server: (%s|notice): " % (seen or "error"))
            self.assertEqual("warning" in seen, "turned away" in server.stderr)
            self.assertEqual("info" in seen, "joined" in server.stderr)

    def test_nobody_reads_the_log(self):
        """A full pipe behind standard error stops nobody; when it is read again, that is said."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        process = subprocess.Popen(
            [support.SERVER, "-F", "-S", self.path("s"), "-m", self.folder, "--max-peers=1"],
            stderr=writer, preexec_fn=support.die_with_parent)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 4096)
        except BlockingIOError:
            os.close(writer)
        support.wait_for(lambda: os.path.exists(self.path("s")) and support.listening_inodes()
                         & support.socket_inodes(process.pid), what="the server to listen")
        for _ in range(20):
            peer = support.RawPeer(self.path("s"))
            self.assertRaises(support.TurnedAway, support.RawPeer, self.path("s"))
            peer.close()
            self.wait_gone()
        os.set_blocking(reader, False)
        text, end = b"", time.monotonic() + support.DEADLINE
        while b"were lost" not in text and time.monotonic() < end:
            try:
                text += os.read(reader, 65536)
            except BlockingIOError:
                support.RawPeer(self.path("s")).close()
                self.wait_gone()
        self.assertRegex(text, rb"\d+ log lines were lost")

    def wait_gone(self):
        """Until the only place is free again."""
        def free():
            try:
                support.RawPeer(self.path("s")).close()
                return True
            except support.TurnedAway:
                return False
        support.wait_for(free, what="room")


class LastGood(support.Test):
    """A program that carries on reads the file again; one with an error by then stops nobody."""

    def start(self):
        self.file = self.path("conf")
        self.write("max-peers = 2")
        return self.server("--config", self.file)

    def write(self, text):
        with open(self.file, "w", encoding="utf-8") as f:
            f.write(text + "\n")

    def again(self, server):
        before = server.stderr.count("carrying on")
        server.send_signal(signal.SIGUSR2)
        support.wait_for(lambda: server.stderr.count("carrying on") > before)

    def test_error_by_then(self):
        server = self.start()
        first = self.peer(server)
        self.write("max-peers = many")
        for _ in range(2):
            self.again(server)
        self.assertIn("line 1", server.stderr)
        first.wait_join(self.peer(server).id)
        self.assertRaises(support.TurnedAway, self.peer, server)
        self.write("max-peers = 3")
        server.send_signal(signal.SIGHUP)
        support.wait_for(lambda: "read again" in server.stderr)
        self.peer(server)
        self.again(server)
        self.assertRaises(support.TurnedAway, self.peer, server)

    def test_file_that_is_gone(self):
        server = self.start()
        self.peer(server)
        os.unlink(self.file)
        self.again(server)
        self.peer(server)
        self.assertRaises(support.TurnedAway, self.peer, server)


if __name__ == "__main__":
    support.main()
