#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shared memory: made, shared, reserved, guarded against a second server, found again."""

import fcntl
import mmap
import os
import re
import stat
import subprocess

import support

MIB = 1 << 20
GIB = 1 << 30


def available_memory():
    with open("/proc/meminfo") as f:
        return int(re.search(r"MemAvailable:\s*(\d+)", f.read()).group(1)) * 1024


class Object(support.Test):
    def test_all_share_one_object(self):
        server = self.server(size=65536)
        a, b = self.peer(server), self.peer(server)
        named = os.stat(server.shm)
        for peer in (a, b):
            seen = os.fstat(peer.shm)
            self.assertEqual((named.st_dev, named.st_ino, 65536),
                             (seen.st_dev, seen.st_ino, seen.st_size))
            self.assertEqual(os.O_RDWR, fcntl.fcntl(peer.shm, fcntl.F_GETFL) & os.O_ACCMODE)
        with mmap.mmap(a.shm, 65536) as one, mmap.mmap(b.shm, 65536) as two:
            self.assertEqual(bytes(65536), one[:])
            one[65530:] = b"hello!"
            self.assertEqual(b"hello!", two[65530:])
            with open(server.shm, "rb") as f:
                self.assertEqual(two[:], f.read())
        server.stop()

    def test_private(self):
        """Nobody else's business, whatever the umask of who started it."""
        def preexec():
            support.die_with_parent()
            os.umask(0)
        server = self.server(preexec=preexec)
        self.assertEqual(0o600, stat.S_IMODE(os.stat(server.shm).st_mode))
        server.stop()

    def test_reserved(self):
        """A page that is not there yet would be missed on the day that /dev/shm is full."""
        for size in (4096, 4 * MIB, 64 * MIB):
            server = self.server(size=size)
            self.assertGreaterEqual(os.stat(server.shm).st_blocks * 512, size)
            server.stop()

    def test_above_one_gibibyte(self):
        free = os.statvfs("/dev/shm")
        if free.f_bavail * free.f_frsize < 3 * GIB or available_memory() < 3 * GIB:
            self.skipTest("needs 3 GiB of free memory and of /dev/shm")
        server = self.server(size="1.5G")
        peer = self.peer(server)
        self.assertEqual(2 * GIB, os.fstat(peer.shm).st_size)
        self.assertGreaterEqual(os.stat(server.shm).st_blocks * 512, 2 * GIB)
        os.pwrite(peer.shm, b"last", 2 * GIB - 4)
        self.assertEqual(b"last", os.pread(peer.shm, 10, 2 * GIB - 4))
        server.stop()

    def test_full_file_system_is_an_error_at_start(self):
        script = """mount -t tmpfs -o size=8m none /dev/shm || exit 9
            "$@" || code=$?
            find /dev/shm -mindepth 1 >&2
            exit $code"""
        probe = support.run("unshare", "-m", "sh", "-c", script, "sh", "true")
        if probe.returncode:
            self.skipTest("cannot make a mount namespace")
        name = "ivshmem-test-%d-full" % os.getpid()
        result = support.run("unshare", "-m", "sh", "-c", script, "sh", support.SERVER, "-F",
                             "-l", "16M", "-S", self.path("s"), "-M", name)
        self.assertEqual(1, result.returncode, result.stderr)
        self.assertNotIn("/dev/shm/" + name, result.stderr.splitlines())
        self.assertNotIn("/dev/shm/.%s.lock" % name, result.stderr.splitlines())
        self.assertRegex(result.stderr, "16M|16777216|%s|/dev/shm" % name)
        self.assertEqual([], os.listdir(self.folder))


class Directory(support.Test):
    """-m: an object without a name in a directory of choice."""

    def test_nothing_is_seen_in_it(self):
        folder = self.path("memory")
        os.mkdir(folder)
        for daemon in (False, True):
            server = self.server(shm_dir=folder, size=100000, daemon=daemon)
            peer, other = self.peer(server), self.peer(server)
            found = os.fstat(peer.shm)
            self.assertEqual((1 << 17, 0, os.stat(folder).st_dev),
                             (found.st_size, found.st_nlink, found.st_dev))
            self.assertEqual(found.st_ino, os.fstat(other.shm).st_ino)
            self.assertEqual([], os.listdir(folder))
            os.pwrite(peer.shm, b"shared", 99999)
            self.assertEqual(b"shared", os.pread(other.shm, 6, 99999))
            server.stop()
            self.assertEqual([], os.listdir(folder))

    def test_reserved(self):
        server = self.server(shm_dir=self.folder, size=MIB)
        self.assertGreaterEqual(os.fstat(self.peer(server).shm).st_blocks * 512, MIB)
        server.stop()

    def test_two_servers_in_one_directory(self):
        servers = [self.server(shm_dir=self.folder), self.server(shm_dir=self.folder)]
        inodes = {os.fstat(self.peer(server).shm).st_ino for server in servers}
        self.assertEqual(2, len(inodes))
        for server in servers:
            server.stop()

    def test_killed(self):
        folder = self.path("memory")
        os.mkdir(folder)
        self.server(shm_dir=folder).kill()
        self.assertEqual([], os.listdir(folder))

    def test_hugetlbfs(self):
        """Where the file system refuses a size, the next powers of two are tried."""
        if not support.MAY_CHANGE_SYSTEM:
            self.skipTest("takes huge pages from the system: set IVSHMEM_TEST_MACHINE=1")
        knob = "/proc/sys/vm/nr_hugepages"
        try:
            lock = open(knob)
            self.addCleanup(lock.close)
            fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run side by side
            with open(knob) as f:
                before = f.read()
            with open(knob, "w") as f:
                f.write(str(int(before) + 4))
        except OSError as error:
            self.skipTest("no huge pages: %s" % error)

        def put_back():
            with open(knob, "w") as f:
                f.write(before)

        self.addCleanup(put_back)
        with open("/proc/meminfo") as f:
            page = int(re.search(r"Hugepagesize:\s*(\d+)", f.read()).group(1)) * 1024
        huge = self.path("huge")
        os.mkdir(huge)
        holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c",
             'mount -t hugetlbfs none "$0" && echo ready && exec cat', huge],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=support.die_with_parent)
        self.addCleanup(lambda: (holder.stdin.close(), holder.stdout.close(), holder.wait()))
        if holder.stdout.readline() != b"ready\n":
            self.skipTest("cannot mount hugetlbfs")
        server = self.server(shm_dir="/proc/%d/root%s" % (holder.pid, huge), size=4096)
        found = os.fstat(self.peer(server).shm)
        self.assertEqual(page, found.st_size)
        server.stop()


class SecondServer(support.Test):
    """It is refused by name and pid of the first, which does not notice."""

    def check_undisturbed(self, first, peer, before):
        now = os.stat(first.shm), os.stat(first.socket)
        self.assertEqual([(s.st_ino, s.st_size, s.st_mode) for s in before],
                         [(s.st_ino, s.st_size, s.st_mode) for s in now])
        self.assertEqual(b"content", os.pread(peer.shm, 7, 0))
        newcomer = self.peer(first)
        peer.wait_join(newcomer.id)
        newcomer.ring(0)
        self.assertEqual(1, peer.wait_ring())
        newcomer.close()
        peer.wait_leave(newcomer.id)

    def test_refused(self):
        for first_daemon in (False, True):
            first = self.server(size=65536, daemon=first_daemon)
            peer = self.peer(first)
            os.pwrite(peer.shm, b"content", 0)
            before = os.stat(first.shm), os.stat(first.socket)
            for second in (["-F"], ["-p", self.path("second-pid")]):
                for size in ("65536", "4096", "1M"):
                    self.refused("-S", first.socket, *second, "-l", size,
                                 mentions=[first.socket, first.pid])
                    self.check_undisturbed(first, peer, before)
                    self.refused("-M", first.shm_name, *second, "-l", size,
                                 mentions=[first.shm_name, first.pid])
                    self.check_undisturbed(first, peer, before)
                self.refused("-M", first.shm_name, "-S", first.socket, *second, names=False,
                             mentions=[first.pid])
                self.check_undisturbed(first, peer, before)
            first.stop()

    def test_started_at_once(self):
        """Of several that start at the same moment one serves, and the others name it."""
        name = "ivshmem-test-%d-race" % os.getpid()
        path = self.path("s")
        for trace in (path, path + ".lock", "/dev/shm/" + name, "/dev/shm/.%s.lock" % name):
            support.janitor.tell("remove", trace)
            self.addCleanup(support.remove, trace)
        for _ in range(10):
            racers = [subprocess.Popen(
                [support.SERVER, "-F", "-S", path, "-M", name, "-l", "4096"], encoding="utf-8",
                stderr=subprocess.PIPE, preexec_fn=support.die_with_parent) for _ in range(4)]
            try:
                support.wait_for(lambda: sum(r.poll() is None for r in racers) == 1)
                winner, = [racer for racer in racers if racer.poll() is None]
                support.wait_for(
                    lambda: support.listening_inodes() & support.socket_inodes(winner.pid))
                support.RawPeer(path).close()
                for loser in racers:
                    if loser is not winner:
                        self.assertEqual(1, loser.returncode)
                        self.assertIn("pid %d" % winner.pid, loser.stderr.read())
                winner.terminate()
                self.assertEqual(0, winner.wait(support.DEADLINE))
            finally:
                for racer in racers:
                    racer.kill()
                    racer.wait()
                    racer.stderr.close()

    def test_socket_by_another_path(self):
        """The same socket named through a symbolic link to its folder is the same socket."""
        first = self.server()
        os.symlink(self.folder, self.path("link"))
        self.refused("-F", "-S", os.path.join(self.path("link"), os.path.basename(first.socket)),
                     mentions=[first.pid])
        self.peer(first)
        first.stop()

    def test_foreign_listener_is_not_disturbed(self):
        """Some other program that listens at the path keeps it."""
        listener = support.socket.socket(support.socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.path("foreign"))
        listener.listen(1)
        inode = os.stat(self.path("foreign")).st_ino
        self.refused("-F", "-S", self.path("foreign"), mentions=[self.path("foreign")])
        self.assertEqual(inode, os.stat(self.path("foreign")).st_ino)

    def test_peers_cannot_break_the_lock(self):
        """A peer that locks or unlocks the descriptor it was given changes nothing."""
        first = self.server()
        peer = self.peer(first)
        fcntl.flock(peer.shm, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.refused("-F", "-M", first.shm_name, mentions=[first.pid])
        fcntl.flock(peer.shm, fcntl.LOCK_UN)
        self.refused("-F", "-M", first.shm_name, mentions=[first.pid])
        fcntl.flock(peer.shm, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first.kill()
        second = self.server(name=first.shm_name)  # the lock of the dead one's peer means nothing
        second.stop()

    def test_side_by_side(self):
        servers = [self.server() for _ in range(3)]
        peers = [self.peer(server) for server in servers]
        self.assertEqual([0, 0, 0], [peer.id for peer in peers])
        servers[1].stop()
        for index in (0, 2):
            self.assertEqual({0, 1}, set(self.peer(servers[index]).table))
            servers[index].stop()


class AfterCrash(support.Test):
    def test_starts_again(self):
        """What a SIGKILLed server leaves does not block the next one."""
        path, name = self.path("s"), "ivshmem-test-%d-crash" % os.getpid()
        for daemon in (False, True, False):
            server = self.server(socket_path=path, name=name, daemon=daemon)
            self.peer(server)
            server.kill()
            self.assertTrue(os.path.exists(path))
            self.assertTrue(os.path.exists(server.shm))
        server = self.server(socket_path=path, name=name)
        self.assertEqual(0, self.peer(server).id)
        server.stop()

    def test_clean_up(self):
        """--clean-up removes what is left, but not of a server that runs, and not what is kept."""
        path, name = self.path("s"), "ivshmem-test-%d-left" % os.getpid()
        places = ["-S", path, "-M", name, "--slot=a=5", "--slot=b=6:" + self.path("b")]
        server = self.server(*places, socket_path=path, name=name)
        peer = self.peer(server)
        self.refused("--clean-up", *places, names=False, mentions=[path, server.pid])
        self.peer(server)
        peer.wait_join(1)
        self.refused("--clean-up", "-S", self.path("x"), "-M", name, names=False,
                     mentions=[name, server.pid])
        self.assertTrue(os.path.exists(server.shm))
        server.kill()
        for options, left in ((["--keep"], True), (["--adopt"], True), ([], False), ([], False)):
            result = support.run(support.SERVER, "--clean-up", *places, *options)
            self.assertEqual((0, ""), (result.returncode, result.stdout), result.stderr)
            self.assertEqual(left, os.path.exists(server.shm))
        result = support.run(support.SERVER, "--clean-up", "-S", self.path("no/such"), "-M", name)
        self.assertEqual((0, "", ""), (result.returncode, result.stdout, result.stderr))
        self.assertEqual([], server.left_behind())
        for place in (path + ".a", self.path("b"), path + ".a.lock", self.path("b.lock")):
            self.assertFalse(os.path.exists(place), place)
        os.mkdir(server.shm)
        self.addCleanup(os.rmdir, server.shm)
        self.refused("--clean-up", *places, names=False, mentions=[name, "not a regular file"])
        with open(path, "w"):
            pass
        self.refused("--clean-up", *places, names=False, mentions=[path, "not a socket"])
        self.assertTrue(os.path.exists(path))

    def test_same_size_is_adopted_with_its_content(self):
        first = self.server(size=65536)
        old = self.peer(first)
        os.pwrite(old.shm, b"survives", 4000)
        first.kill()
        second = self.server(size=65536, name=first.shm_name)
        peer = self.peer(second)
        self.assertEqual(os.fstat(old.shm).st_ino, os.fstat(peer.shm).st_ino)
        self.assertEqual(b"survives", os.pread(peer.shm, 8, 4000))
        second.stop()

    def test_other_size_is_not_truncated(self):
        """The name goes to a new object; who maps the old one keeps it whole."""
        for old_size, new_size in ((65536, 4096), (4096, 65536)):
            first = self.server(size=old_size)
            old = self.peer(first)
            with mmap.mmap(old.shm, old_size) as mapped:
                mapped[-4:] = b"tail"
                first.kill()
                second = self.server(size=new_size, name=first.shm_name)
                self.assertEqual(new_size, os.stat(second.shm).st_size)
                self.assertEqual(new_size, os.fstat(self.peer(second).shm).st_size)
                self.assertEqual(old_size, os.fstat(old.shm).st_size)
                self.assertEqual(b"tail", mapped[-4:])
                mapped[-4:] = b"more"
                second.stop()
                self.assertEqual(b"more", mapped[-4:])

    def test_object_made_by_somebody_else(self):
        path = "/dev/shm/ivshmem-test-%d-other" % os.getpid()
        self.addCleanup(support.remove, path)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.addCleanup(os.close, fd)
        os.ftruncate(fd, 3 * MIB)
        with mmap.mmap(fd, 3 * MIB) as mapped:
            mapped[-3:] = b"end"
            server = self.server(size="4M", name=os.path.basename(path))
            self.assertEqual(4 * MIB, os.fstat(self.peer(server).shm).st_size)
            self.assertEqual(3 * MIB, os.fstat(fd).st_size)
            self.assertEqual(b"end", mapped[-3:])
            server.stop()


if __name__ == "__main__":
    support.main()
