#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The server's command line: options short and long, sizes, and all values that are refused."""

import os
import stat
import subprocess

import support

MIB = 1 << 20
SHORT = ("-h", "-v", "-F", "-p", "-S", "-M", "-m", "-l", "-n")
LONG = ("--socket", "--shm-name", "--shm-dir", "--size", "--vectors", "--foreground", "--verbose",
        "--pid-file", "--help", "--version")


class Usage(support.Test):
    def test_help(self):
        for option in ("-h", "--help"):
            result = support.run(support.SERVER, "-S", self.path("s"), "-m", self.folder, option)
            self.assertEqual(0, result.returncode)
            self.assertEqual("", result.stderr)
            self.assertRegex(result.stdout, "(?i)usage")
            for name in SHORT + LONG:
                self.assertIn(name, result.stdout)
            for default in ("/var/run/ivshmem-server.pid", "/tmp/ivshmem_socket"):
                self.assertIn(default, result.stdout)
            self.assertEqual([], os.listdir(self.folder))

    def test_version(self):
        result = support.run(support.SERVER, "--version")
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        self.assertRegex(result.stdout, r"ivshmem-server.*\d")

    def test_two_errands(self):
        self.refused("--re-exec", "--clean-up", names=False, mentions=["choose one"])

    def test_check_tells_where_the_memory_is(self):
        for options, told in ((["-M", "demo"], ", object demo, mode"),
                              (["-m", "/tmp"], ", no name, in directory /tmp, mode"),
                              (["--sealed"], ", sealed, no name, mode"),
                              (["--hugetlb"], ", huge pages, no name, mode")):
            result = support.run(support.SERVER, "--check-config", *options)
            self.assertIn(told, result.stdout)

    def test_output_that_goes_nowhere(self):
        for option in ("--help", "--version", "--check-config"):
            with open("/dev/full", "w") as full:
                result = subprocess.run([support.SERVER, option], stdout=full, encoding="utf-8",
                                        stderr=subprocess.PIPE, timeout=support.DEADLINE)
            self.assertEqual(1, result.returncode)
            self.assertIn("cannot write to standard output: No space", result.stderr)

    def test_long_options_in_foreground(self):
        """They come after the short ones that Server gives, so they win."""
        path, name = self.path("long"), "ivshmem-test-%d-foreground" % os.getpid()
        server = self.server(
            "--foreground", "--verbose", "--socket", path, "--shm-name=" + name, "--size=8M",
            "--vectors", "3", socket_path=path, name=name, vectors=3)
        self.assertEqual(8 * MIB, os.fstat(self.peer(server).shm).st_size)
        server.stop()

    def test_long_options_only(self):
        name = "ivshmem-test-%d-long" % os.getpid()
        for trace in (self.path("s"), "/dev/shm/" + name, "/dev/shm/.%s.lock" % name):
            support.janitor.tell("remove", trace)
            self.addCleanup(support.remove, trace)
        result = support.run(
            support.SERVER, "--socket=" + self.path("s"), "--shm-name=" + name, "--size=0x4000",
            "--vectors=5", "--pid-file=" + self.path("p"))
        self.assertEqual(0, result.returncode, result.stderr)
        with open(self.path("p")) as f:
            pid = int(f.read())
        support.janitor.tell("kill", pid)
        peer = support.RawPeer(self.path("s"), vectors=5)
        self.addCleanup(peer.close)
        self.assertEqual(0x4000, os.fstat(peer.shm).st_size)
        os.kill(pid, 15)
        support.wait_for(lambda: support.reap(pid) == 0, what="exit 0")

    def test_last_of_shm_name_and_directory_wins(self):
        server = self.server("-m", self.folder)
        self.assertFalse(os.path.exists(server.shm))
        self.assertEqual(os.stat(self.folder).st_dev, os.fstat(self.peer(server).shm).st_dev)
        server.stop()

    def test_shm_name_may_begin_with_a_slash(self):
        name = "ivshmem-test-%d-slash" % os.getpid()
        server = self.server("-M", "/" + name, name=name)
        self.assertTrue(os.path.exists("/dev/shm/" + name))
        server.stop()

    def test_unknown_options(self):
        self.refused("-Z", mentions=["Z"])
        self.refused("--no-such-option", mentions=["no-such-option"])
        self.refused("-n")
        self.refused("--size")

    def test_verbose_needs_foreground(self):
        for option in ("-v", "--verbose"):
            self.assertRegex(self.refused(option), "(?i)foreground|-F")


class Sizes(support.Test):
    def test_syntax_and_rounding(self):
        cases = {
            "4096": 4096, "4097": 8192, "5000": 8192, "65536": 65536, "1000000": MIB,
            "0x1000": 4096, "0x1001": 8192, "0X2345": 0x4000, "0x1b000": 0x20000,
            "4096b": 4096, "100000B": 1 << 17,
            "4k": 4096, "64K": 65536, "3k": 4096, "4.5k": 8192,
            "1m": MIB, "1.5M": 2 * MIB, "3M": 4 * MIB, "0.5M": MIB // 2, "2.0M": 2 * MIB,
            "0.01g": 16 * MIB, "0.015625G": 16 * MIB, "0.00001T": 16 * MIB, "0.00000001P": 16 * MIB,
            "0.00000000001E": 16 * MIB,
        }
        for text, size in cases.items():
            with self.subTest(size=text):
                server = self.server(size=text)
                self.assertEqual(size, os.stat(server.shm).st_size)
                self.assertEqual(size, os.fstat(self.peer(server).shm).st_size)
                server.stop()

    def test_default(self):
        server = self.server()
        self.assertEqual(4194304, os.stat(server.shm).st_size)
        server.stop()

    def test_bad_sizes(self):
        for text in ("0", "-1", "-4096", "-4M", "0.0M", "0x0", "big", "M", "4X", "4MM", "4Mx",
                     "4M8", "1.5.5M", "1,5M", "1.5e1k", "0x1.8k", "0x", "nan", "inf", "infinity",
                     "18446744073709551615", "18446744073709551616", "99999999999999999999999",
                     "16E", "8E", "20E", "99999999999P"):
            with self.subTest(size=text):
                self.refused("-l", text, mentions=[text])
                self.refused("-F", "--size=" + text, mentions=[text])
        self.refused("-l", "")

    def test_size_beyond_the_machine(self):
        with self.subTest("1E"):
            self.assertRegex(self.refused("-l", "1E"), "1E|1152921504606846976")
        with self.subTest("1P in the foreground"):
            self.assertRegex(self.refused("-F", "-l", "1P"), "1P|1125899906842624")


class Vectors(support.Test):
    def test_counts(self):
        for count in (1, 2, 64, 65, 256, 2048):
            with self.subTest(vectors=count):
                server = self.server(vectors=count)
                peer = self.peer(server)
                self.assertEqual(count, len(set(peer.numbers()[0])))
                peer.update()
                self.assertEqual(count, len(peer.table[0]))
                peer.ring(0, count - 1)
                self.assertEqual(1, peer.wait_ring(count - 1))
                server.stop()

    def test_default(self):
        server = self.server()
        peer = self.peer(server)
        self.peer(server)
        peer.wait_join(1)
        self.assertEqual([1, 1], [len(fds) for fds in peer.table.values()])
        server.stop()

    def test_bad_counts(self):
        for text in ("0", "-1", "-64", "many", "4x", "1.5", "2049", "65536", "4294967297",
                     "99999999999999999999", "1 2"):
            with self.subTest(vectors=text):
                self.refused("-n", text, mentions=[text])
                self.refused("-F", "--vectors=" + text, mentions=[text])
        self.refused("-n", "")
        self.refused("-n", "2049", mentions=["2048"])


class Paths(support.Test):
    def refused_at(self, path, *options, mentions=()):
        """Refused with this socket path; its own private names otherwise."""
        name = "ivshmem-test-%d-refused" % os.getpid()
        for daemon in (["-F"], ["-p", self.path("pid")]):
            message = self.refused("-S", path, "-M", name, *daemon, *options, names=False,
                                   mentions=mentions)
            for trace in ("/dev/shm/" + name, "/dev/shm/.%s.lock" % name, self.path("pid")):
                self.assertFalse(os.path.lexists(trace), trace)
        return message

    def test_longest_socket_path(self):
        folder = self.path("d" * 40)
        os.mkdir(folder)
        longest = os.path.join(folder, "s" * (107 - len(folder) - 1))
        self.assertEqual(107, len(longest))
        server = self.server(socket_path=longest)
        self.peer(server)
        server.stop()
        message = self.refused_at(longest + "s", mentions=[longest + "s", "107"])
        self.assertNotIn("(null)", message)
        self.assertEqual([], os.listdir(folder))

    def test_much_too_long(self):
        path = self.path("s" * 300)
        self.refused_at(path, mentions=[path])
        self.assertEqual([], os.listdir(self.folder))

    def test_directory_not_there(self):
        path = self.path("absent/socket")
        self.refused_at(path, mentions=[path])
        self.assertEqual([], os.listdir(self.folder))

    def test_empty_path(self):
        self.refused_at("")

    def test_regular_file_in_the_way(self):
        path = self.path("file")
        with open(path, "w") as f:
            f.write("precious")
        before = os.stat(path)
        self.refused_at(path, mentions=[path])
        after = os.stat(path)
        self.assertEqual((before.st_ino, before.st_mode, before.st_mtime_ns),
                         (after.st_ino, after.st_mode, after.st_mtime_ns))
        with open(path) as f:
            self.assertEqual("precious", f.read())
        self.assertEqual(["file"], os.listdir(self.folder))

    def test_other_things_in_the_way(self):
        os.mkdir(self.path("folder"))
        os.mkfifo(self.path("fifo"))
        os.symlink("nowhere", self.path("dangling"))
        for name in ("folder", "fifo", "dangling"):
            with self.subTest(name):
                before = os.lstat(self.path(name))
                self.refused_at(self.path(name), mentions=[self.path(name)])
                self.assertEqual(before.st_ino, os.lstat(self.path(name)).st_ino)
        self.assertEqual(["dangling", "fifo", "folder"], sorted(os.listdir(self.folder)))

    def test_bad_shm_names(self):
        for name in ("a/b", "x" * 300, "", ".", "..", "../tmp/x"):
            with self.subTest(name=name):
                message = self.refused("-M", name)
                if name:
                    self.assertIn(name, message)

    def test_bad_shm_directories(self):
        with open(self.path("file"), "w"):
            pass
        for name in ("absent", "file"):
            with self.subTest(name):
                self.refused("-m", self.path(name), mentions=[self.path(name)])
        self.assertTrue(stat.S_ISREG(os.stat(self.path("file")).st_mode))

    def test_shm_name_is_no_regular_file(self):
        path = "/dev/shm/ivshmem-test-%d-folder" % os.getpid()
        os.mkdir(path)
        self.addCleanup(support.remove, path)
        self.refused("-F", "-M", os.path.basename(path), mentions=[os.path.basename(path)])
        self.assertTrue(os.path.isdir(path))

    def test_pid_file_cannot_be_written(self):
        path = self.path("absent/pid")
        self.refused("-p", path, mentions=[path])

    def test_directory_without_permission(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become somebody else")
        if support.run(support.SERVER, "--version", preexec_fn=support.as_nobody).returncode:
            self.skipTest("an unprivileged user cannot reach the program")
        os.chmod(self.folder, 0o755)
        message = self.refused("-F", preexec=support.as_nobody)
        self.assertIn(self.folder, message)


if __name__ == "__main__":
    support.main()
