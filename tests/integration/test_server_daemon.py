#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The server's life: daemon and foreground, the pid file, signals, what it leaves (nothing)."""

import fcntl
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import time

import support

ACCEPT_BURST = 16  # so many are accepted before the server looks at anything else


class Daemon(support.Test):
    def test_clients_can_connect_when_the_parent_returns(self):
        for _ in range(10):
            server = self.server(daemon=True, size=4096)
            self.assertEqual(0, self.peer(server).id)
            server.stop()

    def test_pid_file(self):
        server = self.server(daemon=True)
        with open(server.pid_file) as f:
            self.assertEqual("%d\n" % server.pid, f.read())
        self.assertNotEqual(server.process.pid, server.pid)
        self.assertTrue(support.alive(server.pid))
        self.assertEqual({server.pid}, support.children() - {support.janitor.process.pid})
        with open("/proc/%d/cmdline" % server.pid) as f:
            self.assertIn(server.socket, f.read().split("\0"))
        server.stop()

    def test_old_pid_file_is_overwritten(self):
        with open(self.path("pid"), "w") as f:
            f.write("123456789 and more text than a pid\n")
        server = self.server("-p", self.path("pid"))
        server.stop()  # foreground: not touched
        with open(self.path("pid")) as f:
            self.assertIn("more text", f.read())
        server = self.server(daemon=True, pid_file=self.path("pid"))
        with open(self.path("pid")) as f:
            self.assertEqual("%d\n" % server.pid, f.read())
        server.stop()

    def test_no_pid_file_in_foreground(self):
        server = self.server("-p", self.path("pid"))
        server.stop()
        self.assertFalse(os.path.exists(self.path("pid")))

    def test_detached(self):
        """Its own session, and none of the caller's standard streams held open."""
        server = self.server(daemon=True)
        self.assertNotEqual(os.getsid(0), os.getsid(server.pid))
        for fd in (0, 1, 2):
            link = os.readlink("/proc/%d/fd/%d" % (server.pid, fd))
            self.assertNotIn(self.folder, link)
        server.stop()

    def test_caller_reading_its_output_is_not_kept_waiting(self):
        """x=$(ivshmem-server ...) returns: the pipe ends when the parent does."""
        name = "ivshmem-test-%d-pipe" % os.getpid()
        for trace in ("/dev/shm/" + name, "/dev/shm/.%s.lock" % name):
            self.addCleanup(support.remove, trace)
        result = support.run(support.SERVER, "-S", self.path("s"), "-M", name, "-p", self.path("p"))
        self.assertEqual((0, "", ""), (result.returncode, result.stdout, result.stderr))
        with open(self.path("p")) as f:
            pid = int(f.read())
        os.kill(pid, signal.SIGTERM)
        support.wait_for(lambda: support.reap(pid) == 0, what="exit 0")

    def test_relative_paths(self):
        """They mean the folder that it was started in, also when it cleans up."""
        def preexec():
            support.die_with_parent()
            os.chdir(self.folder)
        server = self.server("-S", "relative", "-p", "relative-pid", daemon=False, preexec=preexec,
                             socket_path=self.path("relative"))
        server.stop()
        name = "ivshmem-test-%d-relative" % os.getpid()
        for trace in ("/dev/shm/" + name, "/dev/shm/.%s.lock" % name):
            self.addCleanup(support.remove, trace)
        result = support.run(support.SERVER, "-S", "here", "-M", name, "-p", "here-pid",
                             cwd=self.folder)
        self.assertEqual(0, result.returncode, result.stderr)
        with open(self.path("here-pid")) as f:
            pid = int(f.read())
        support.RawPeer(self.path("here")).close()
        os.kill(pid, signal.SIGTERM)
        support.wait_for(lambda: support.reap(pid) == 0, what="exit 0")
        self.assertFalse(os.path.exists(self.path("here")))
        self.assertFalse(os.path.exists("/dev/shm/" + name))

    def test_pid_file_goes_with_the_server(self):
        server = self.server(daemon=True)
        server.stop()
        self.assertFalse(os.path.exists(server.pid_file))
        server = self.server(daemon=True)
        with open(server.pid_file, "w") as f:
            f.write("1\n")  # another one's by now
        server.stop()
        self.assertTrue(os.path.exists(server.pid_file))

    def daemon_with(self, pid_file):
        """Starts one with this pid file, which need not tell the PID; it is in the lock file."""
        name = "ivshmem-test-%d-special" % os.getpid()
        for trace in (self.path("s"), "/dev/shm/" + name, "/dev/shm/.%s.lock" % name):
            support.janitor.tell("remove", trace)
            self.addCleanup(support.remove, trace)
        result = support.run(support.SERVER, "-S", self.path("s"), "-M", name, "-p", pid_file)
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        with open(self.path("s.lock")) as f:
            return int(f.read())

    def end(self, pid):
        os.kill(pid, signal.SIGTERM)
        support.wait_for(lambda: support.reap(pid) == 0, what="exit 0")

    def test_pid_file_that_is_no_file(self):
        """/dev/null, a pipe, a link: they are written to, and nothing takes their place."""
        os.symlink("/dev/null", self.path("null"))
        self.end(self.daemon_with(self.path("null")))
        self.assertEqual("/dev/null", os.readlink(self.path("null")))
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))

        os.mkfifo(self.path("pipe"))
        reader = os.open(self.path("pipe"), os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        pid = self.daemon_with(self.path("pipe"))
        self.assertEqual(b"%d\n" % pid, os.read(reader, 100))
        self.end(pid)
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path("pipe")).st_mode))

        os.symlink("target", self.path("link"))
        pid = self.daemon_with(self.path("link"))
        with open(self.path("target")) as f:
            self.assertEqual("%d\n" % pid, f.read())
        self.end(pid)
        self.assertEqual("target", os.readlink(self.path("link")))

    def test_pid_file_that_cannot_be(self):
        os.mkfifo(self.path("pipe"))  # nobody reads: it does not wait for somebody
        for path in (self.path("pipe"), self.folder, self.path("no/such")):
            self.refused("-p", path, mentions=[path, "--pid-file"])
        self.assertEqual(["pipe"], os.listdir(self.folder))

    def test_limit_of_file_sizes(self):
        """ulimit -f: an error like others, also where it is met at start."""
        def preexec():
            support.die_with_parent()
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        for limit in (100, 65536):
            for foreground in (["-F"], []):
                self.assertRegex(self.refused("-l", "1M", *foreground, preexec=preexec),
                                 "(?i)file too large")

    def test_started_without_standard_streams(self):
        """As some init scripts do: no log line may end up in a socket or in the memory."""
        def preexec():
            support.die_with_parent()
            os.closerange(0, 3)
        for daemon in (True, False):
            server = self.server("-v" if not daemon else "--size=4096", daemon=daemon, size=4096,
                                 preexec=preexec, vectors=2)
            peer = self.peer(server)
            for _ in range(3):
                other = self.peer(server)
                peer.wait_join(other.id)
                other.close()
                peer.wait_leave(other.id)
            for fd in (0, 1, 2):
                link = os.readlink("/proc/%d/fd/%d" % (server.pid, fd))
                self.assertEqual("/dev/null", link)
            self.assertEqual(bytes(4096), os.pread(peer.shm, 4097, 0))
            server.stop()

    def test_failure_is_the_parents_exit_code(self):
        first = self.server()
        message = self.refused("-S", first.socket, "-M", first.shm_name + "-b",
                               "-p", self.path("p"), names=False,
                               mentions=[first.socket, first.pid])
        self.assertFalse(os.path.exists(self.path("p")))
        self.assertFalse(os.path.exists("/dev/shm/%s-b" % first.shm_name), message)
        first.stop()


class Activation(support.Test):
    """Sockets that a manager made, and passes on as descriptors from 3 on, each with a name."""

    def start(self, names, *paths):
        listeners = []
        for path in paths:
            listeners.append(support.socket.socket(support.socket.AF_UNIX))
            self.addCleanup(listeners[-1].close)
            listeners[-1].bind(path)
            listeners[-1].listen()
        fds = [os.dup(listener.fileno()) for listener in listeners]
        for fd in fds:
            self.addCleanup(os.close, fd)

        def preexec():
            support.die_with_parent()
            copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
            for number, copy in enumerate(copies):
                os.dup2(copy, 3 + number)
            os.closerange(3 + len(copies), 200)
        environment = dict(os.environ, LISTEN_FDS=str(len(paths)), LISTEN_FDNAMES=names)
        with open(self.path("log"), "w") as log:
            process = subprocess.Popen(
                ["sh", "-c", 'LISTEN_PID=$$ exec "$0" "$@"', support.SERVER, "-F", "-m",
                 self.folder, "-S", self.path("s"), "--slot=a=5"], stderr=log, env=environment,
                preexec_fn=preexec, close_fds=False)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        support.wait_for(lambda: "serving" in self.log() or process.poll() is not None)
        return process

    def log(self):
        with open(self.path("log")) as f:
            return f.read()

    def join(self, path):
        peer = support.RawPeer(path)
        self.addCleanup(peer.close)
        return peer.id

    def check(self, names, *paths):
        process = self.start(names, *paths)
        ids = [self.join(path) for path in paths]
        process.terminate()
        self.assertEqual(0, process.wait(support.DEADLINE))
        for path in paths:  # they are the manager's
            os.unlink(path)
        self.assertNotIn("warning", self.log())
        return ids

    def test_by_name(self):
        """Wherever they are."""
        self.assertEqual([5, 0], self.check("slot-a:peers", self.path("x"), self.path("y")))

    def test_by_path(self):
        """A socket unit has its own name for them, or none."""
        paths = self.path("s"), self.path("s.a")
        self.assertEqual([0, 5], self.check("ivshmem.socket:ivshmem.socket", *paths))
        self.assertEqual([0, 5], self.check("", *paths))

    def test_neither(self):
        process = self.start("mine", self.path("x"))
        self.assertRegex(self.log(), "warning: nobody is answered on .*/x,.* as mine")
        self.assertEqual(0, self.join(self.path("s")))
        process.terminate()
        self.assertEqual(0, process.wait(support.DEADLINE))


class Signals(support.Test):
    def test_clean_up(self):
        for daemon in (False, True):
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(daemon=daemon, signal=number):
                    server = self.server(daemon=daemon)
                    peer = self.peer(server)
                    self.assertTrue(os.path.exists(server.socket))
                    self.assertTrue(os.path.exists(server.shm))
                    server.stop(number)
                    peer.wait_hang_up()

    def test_memory_outlives_the_server_for_those_who_map_it(self):
        server = self.server(size=4096)
        peer = self.peer(server)
        os.pwrite(peer.shm, b"still here", 100)
        server.stop()
        self.assertEqual(b"still here", os.pread(peer.shm, 10, 100))
        self.assertEqual(4096, os.fstat(peer.shm).st_size)

    def test_at_any_moment_of_the_start(self):
        """Whenever the signal comes, the process ends and leaves no file."""
        pause = random.Random(1)
        for _ in range(40):
            name = "ivshmem-test-%d-early" % os.getpid()
            paths = [self.path("s"), self.path("s.lock"), "/dev/shm/" + name,
                     "/dev/shm/.%s.lock" % name]
            for path in paths:
                support.janitor.tell("remove", path)
                self.addCleanup(support.remove, path)
            process = subprocess.Popen(
                [support.SERVER, "-F", "-S", paths[0], "-M", name, "-l", "4096"],
                preexec_fn=support.die_with_parent, stderr=subprocess.DEVNULL)
            try:
                time.sleep(pause.random() * 0.02)
                process.send_signal(signal.SIGTERM)
                self.assertIn(process.wait(support.DEADLINE), (0, -signal.SIGTERM))
            finally:
                process.kill()
                process.wait()
            self.assertEqual([], [path for path in paths if os.path.lexists(path)])

    def test_backlog(self):
        """Who has connected and was not accepted yet hears -2: no QEMU spins on a mere end."""
        server = self.server()
        support.suspend(server.pid)
        waiting = [self.peer(server, greet=False) for _ in range(2 * ACCEPT_BURST)]
        server.send_signal(signal.SIGTERM)
        server.send_signal(signal.SIGCONT)
        self.assertEqual(0, server.wait())
        self.assertEqual([], server.left_behind())
        for peer in waiting:  # some of them were accepted at the last moment
            self.assertRaises(support.TurnedAway, peer.greet)

    def test_many_signals(self):
        server = self.server()
        for _ in range(5):
            server.send_signal(signal.SIGTERM)
        self.assertEqual(0, server.wait())
        self.assertEqual([], server.left_behind())


class Defaults(support.Test):
    """The default names, in a mount namespace where they are nobody else's."""

    SCRIPT = """
        mount --bind "$KEEP" /mnt &&
        mount -t tmpfs -o size=64m none /tmp && mount -t tmpfs -o size=64m none /dev/shm &&
        mount -t tmpfs -o size=1m none "$RUN" &&
        mkdir -p "$KEEP" && mount --bind /mnt "$KEEP" && exec "$@"
    """

    def setUp(self):
        super().setUp()
        keep = os.path.commonpath([support.SERVER, support.CLIENT])
        self.environment = dict(os.environ, RUN=os.path.realpath("/var/run"), KEEP=keep)
        if not keep.startswith("/tmp/"):
            self.environment["KEEP"] = self.folder
        if self.inside("true").returncode:
            self.skipTest("cannot make a mount namespace")

    def inside(self, *command):
        return support.run("unshare", "-m", "sh", "-c", self.SCRIPT, "sh", *command,
                           env=self.environment)

    def test_all_defaults(self):
        if not shutil.which("nsenter"):
            self.skipTest("needs nsenter")
        result = self.inside(support.SERVER)
        self.assertEqual(0, result.returncode, result.stderr)
        pid, = support.children() - {support.janitor.process.pid}
        support.janitor.tell("kill", pid)
        root = "/proc/%d/root" % pid
        with open(root + self.environment["RUN"] + "/ivshmem-server.pid") as f:
            self.assertEqual("%d\n" % pid, f.read())
        self.assertEqual(4194304, os.stat(root + "/dev/shm/ivshmem").st_size)
        peer = support.RawPeer(root + "/tmp/ivshmem_socket", vectors=1)
        self.addCleanup(peer.close)
        peer.update()
        self.assertEqual([1], [len(fds) for fds in peer.table.values()])

        client = support.Client(None, "-t", str(pid), "-m", support.CLIENT, program="nsenter")
        self.addCleanup(client.close)
        client.ready()
        client.send("int 0 0")
        self.assertEqual(1, peer.wait_ring())
        client.send("quit")
        self.assertEqual(0, client.wait())

        holder = os.open(root, os.O_PATH)  # its root outlives it
        self.addCleanup(os.close, holder)
        os.kill(pid, signal.SIGTERM)
        support.wait_for(lambda: support.reap(pid) == 0, what="exit 0")
        for left in ("tmp/ivshmem_socket", "tmp/ivshmem_socket.lock", "dev/shm/ivshmem"):
            self.assertRaises(FileNotFoundError, os.stat, left, dir_fd=holder)


if __name__ == "__main__":
    support.main()
