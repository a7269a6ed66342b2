#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may connect, who is turned away and how, and places in which others could swap things."""

import ctypes
import grp
import os
import platform
import pwd
import resource
import shutil
import signal
import stat
import struct
import time

import support

QEMU = shutil.which(os.environ.get("QEMU") or "qemu-system-x86_64")
ALICE, BOB, CAROL, STAFF = 60001, 60002, 60003, 60009  # users and a group that nobody has

PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SYSCALLS = {
    "x86_64": {"chmod": 90, "fchmodat": 268, "fchmodat2": 452, "fchownat": 260, "listen": 50,
               "fchmod": 91, "fchown": 93, "fallocate": 285, "linkat": 265},
    "aarch64": {"fchmodat": 53, "fchmodat2": 452, "fchownat": 54, "listen": 201,
                "fchmod": 52, "fchown": 55, "fallocate": 47, "linkat": 37},
}.get(platform.machine())


def die_at(*names):
    """preexec: umask 0, and the kernel kills the process when it makes one of these calls."""
    numbers = [SYSCALLS[name] for name in names if name in SYSCALLS]
    code = [struct.pack("HBBI", 0x20, 0, 0, 0)]  # load the number
    for left, number in zip(range(len(numbers), 0, -1), numbers):
        code.append(struct.pack("HBBI", 0x15, left, 0, number))  # equal: jump to the end
    code.append(struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))  # allow
    code.append(struct.pack("HBBI", 0x06, 0, 0, 0x80000000))  # kill the process
    text = ctypes.create_string_buffer(b"".join(code))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(text))

    def preexec():
        support.die_with_parent()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.umask(0)
        support.libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if support.libc.prctl(PR_SET_SECCOMP, 2, program, 0, 0):
            os._exit(99)
        text.raw  # lives until here
    return preexec


class Visitor:
    """A process of another user, command name "visitor", that connects and stays."""

    def __init__(self, path, uid, gid, groups, vectors):
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._visit(writer, path, uid, gid, groups, vectors)
        os.close(writer)
        try:
            if not support.readable([reader], support.DEADLINE):
                raise AssertionError("the visitor hears nothing")
            self.told = os.read(reader, 1000).decode()
        finally:
            os.close(reader)

    @staticmethod
    def _visit(writer, path, uid, gid, groups, vectors):
        told = "nothing"
        try:
            for fd in map(int, os.listdir("/proc/self/fd")):
                if fd > 2 and fd != writer:
                    try:
                        os.close(fd)  # else peers of the test would live on in here
                    except OSError:
                        pass
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
            support.die_with_parent()
            support.libc.prctl(PR_SET_NAME, b"visitor", 0, 0, 0)
            peer = support.RawPeer(path, vectors)
            told = "let in as %d" % peer.id
        except support.TurnedAway:
            told = "turned away"
        except BaseException as error:
            told = repr(error)
        os.write(writer, told.encode())
        while told.startswith("let in"):
            signal.pause()
        os._exit(0)

    def leave(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = None


class AccessTest(support.Test):
    def need_root(self):
        if os.geteuid():
            self.skipTest("needs root")

    def open_server(self, *options, **more):
        """A server that any user can reach, as far as files are concerned."""
        os.chmod(self.folder, 0o755)
        return self.server("--socket-mode=0666", *options, **more)

    def visit(self, server, uid, gid=None, groups=(), path=None):
        visitor = Visitor(path or server.socket, uid, uid if gid is None else gid, groups,
                          server.vectors)
        self.addCleanup(visitor.leave)
        return visitor

    def assert_let_in(self, server, uid, *more, **kinds):
        visitor = self.visit(server, uid, *more, **kinds)
        self.assertRegex(visitor.told, "^let in as", server.stderr)
        return visitor

    def assert_turned_away(self, server, reason, uid, *more, **kinds):
        """In the way that a QEMU understands, with a log line that says who and why."""
        visitor = self.visit(server, uid, *more, **kinds)
        self.assertEqual("turned away", visitor.told)
        line = r"warning: turned away.*pid %d, uid %d, command visitor\b.*%s" % (
            visitor.pid, uid, reason)
        support.wait_for(lambda: support.re.search(line, server.stderr), what=line)


class SocketRights(AccessTest):
    def rights(self, path):
        found = os.lstat(path)
        self.assertTrue(stat.S_ISSOCK(found.st_mode))
        return oct(stat.S_IMODE(found.st_mode)), found.st_uid, found.st_gid

    def test_private_unless_asked(self):
        def preexec():
            support.die_with_parent()
            os.umask(0)
        server = self.server(preexec=preexec)
        self.assertEqual((oct(0o600), os.geteuid(), os.getegid()), self.rights(server.socket))
        server.stop()

    def test_mode(self):
        def preexec():
            support.die_with_parent()
            os.umask(0o077)
        for mode in (0o660, 0o666, 0o620, 0o000):
            server = self.server("--socket-mode=%o" % mode, preexec=preexec)
            self.assertEqual(oct(mode), self.rights(server.socket)[0])
            server.stop()
        for value in ("888", "1666", "", "rw"):
            self.refused("-F", "--socket-mode=" + value, mentions=["--socket-mode"])

    def test_owner_and_group(self):
        self.need_root()
        user, group = pwd.getpwuid(support.NOBODY), grp.getgrgid(support.NOBODY)
        server = self.server("--socket-owner", ALICE, "--socket-group", STAFF,
                             "--socket-mode=660", "--slot=vm=1")
        for path in (server.socket, server.socket + ".vm"):
            self.assertEqual((oct(0o660), ALICE, STAFF), self.rights(path))
        server.stop()
        server = self.server("--socket-owner", user.pw_name, "--socket-group", group.gr_name)
        self.assertEqual((oct(0o600), support.NOBODY, support.NOBODY), self.rights(server.socket))
        server.stop()
        for option in ("--socket-owner", "--socket-group"):
            self.refused("-F", option, "no-such-name", mentions=[option, "no-such-name"])

    def test_the_file_decides_who_connects(self):
        self.need_root()
        os.chmod(self.folder, 0o755)
        server = self.server("--socket-group", STAFF, "--socket-mode=0660")
        self.assert_let_in(server, ALICE, groups=[STAFF])
        self.assertIn("PermissionError", self.visit(server, BOB).told)
        server.stop()


class NoWindow(AccessTest):
    """
    Between coming into being and having its rights, nothing may be open to more users than asked.
    So the kernel ends the server at each call that could change rights, and we look at what there
    is, under the worst umask.
    """

    def setUp(self):
        if not SYSCALLS:
            self.skipTest("the numbers of this machine's system calls are not in this file")
        super().setUp()
        self.name = "ivshmem-test-%d-window" % os.getpid()
        for path in ("/dev/shm/" + self.name, "/dev/shm/.%s.lock" % self.name):
            support.janitor.tell("remove", path)
            self.addCleanup(support.remove, path)

    def die(self, *calls, options=()):
        """The server ends at the first of these calls, or when it listens."""
        result = support.run(support.SERVER, "-F", "-S", self.path("s"), *options,
                             preexec_fn=die_at(*calls, "listen"))
        if result.returncode == 99:
            self.skipTest("no seccomp filters here")
        self.assertEqual(-signal.SIGSYS, result.returncode, result.stderr)

    def test_socket(self):
        owner = [] if os.geteuid() else ["--socket-owner=%d" % ALICE, "--socket-group=%d" % STAFF]
        for calls in (["fchownat"], ["chmod", "fchmodat", "fchmodat2"], []):
            if calls == ["fchownat"] and not owner:
                continue
            self.die(*calls, options=["-m", self.folder, "--socket-mode=0640", *owner])
            found = os.lstat(self.path("s"))
            mode = stat.S_IMODE(found.st_mode)
            self.assertEqual(0, mode & ~0o640, oct(mode))
            if calls:
                self.assertEqual(0, mode & 0o077, "%o before %s" % (mode, calls))
            else:  # before it listens it has what was asked for
                self.assertEqual(0o640, mode)
                self.assertEqual((ALICE, STAFF) if owner else (os.geteuid(), os.getegid()),
                                 (found.st_uid, found.st_gid))
            os.unlink(self.path("s"))

    def test_memory(self):
        """It has no name until it is finished: rights, size, pages."""
        owner = [] if os.geteuid() else ["--owner=%d" % ALICE]
        for call in ("fchown", "fchmod", "fallocate", "linkat"):
            if call == "fchown" and not owner:
                continue
            self.die(call, options=["-M", self.name, "--mode=0666", *owner])
            self.assertFalse(os.path.lexists("/dev/shm/" + self.name), call)
            self.assertFalse(os.path.lexists(self.path("s")), call)
            lock = os.stat("/dev/shm/.%s.lock" % self.name)
            self.assertEqual(oct(0o600), oct(stat.S_IMODE(lock.st_mode)))


class AllowLists(AccessTest):
    def setUp(self):
        self.need_root()
        super().setUp()

    def test_uid(self):
        server = self.open_server("--allow-uid=%d,0" % ALICE, "--allow-uid", support.NOBODY)
        self.assert_let_in(server, ALICE)
        self.assert_let_in(server, support.NOBODY)
        self.assert_turned_away(server, "allow list", BOB)
        self.assert_turned_away(server, "allow list", BOB, gid=ALICE, groups=[0, ALICE])
        self.peer(server)
        server.stop()

    def test_names(self):
        user, group = pwd.getpwuid(support.NOBODY), grp.getgrgid(support.NOBODY)
        server = self.open_server("--allow-uid", user.pw_name)
        self.assert_let_in(server, support.NOBODY)
        self.assert_turned_away(server, "allow list", ALICE)
        self.assertRaises(support.TurnedAway, self.peer, server)  # root is on no list either
        server.stop()
        server = self.open_server("--allow-gid", group.gr_name)
        self.assert_let_in(server, ALICE, gid=group.gr_gid)
        server.stop()
        for option in ("--allow-uid", "--allow-gid"):
            for value in ("no-such-name", "", "0,,1", "0,no-such-name"):
                self.refused("-F", option, value, mentions=[option])

    def test_gid(self):
        """The primary group counts, and so does each supplementary one."""
        server = self.open_server("--allow-gid=%d" % STAFF)
        self.assert_let_in(server, ALICE, gid=STAFF)
        self.assert_let_in(server, BOB, groups=[STAFF])
        self.assert_let_in(server, BOB, groups=[*range(70000, 70060), STAFF])
        self.assert_turned_away(server, "allow list", CAROL)
        self.assert_turned_away(server, "allow list", STAFF, gid=CAROL, groups=[ALICE])
        server.stop()

    def test_either(self):
        server = self.open_server("--allow-uid=%d" % ALICE, "--allow-gid=%d" % STAFF)
        self.assert_let_in(server, ALICE)
        self.assert_let_in(server, BOB, gid=STAFF)
        self.assert_turned_away(server, "allow list", CAROL)
        server.stop()

    def test_slots_too(self):
        server = self.open_server("--slot=vm=7", "--allow-uid=%d" % ALICE)
        path = server.socket + ".vm"
        self.assert_turned_away(server, "allow list", BOB, path=path)
        self.assertEqual("let in as 7", self.visit(server, ALICE, path=path).told)
        server.stop()

    def test_nobody_hears_of_who_was_turned_away(self):
        server = self.open_server("--allow-uid=0", vectors=3)
        stays = self.peer(server)
        for _ in range(5):
            self.assert_turned_away(server, "allow list", BOB)
        newcomer = self.peer(server)
        self.assertEqual(1, newcomer.id)  # they used up no ID either
        stays.wait_join(1)
        self.assertEqual({0, 1}, set(stays.table))
        server.stop()

    def test_server_of_an_unprivileged_user(self):
        """It cannot look into other users' processes, and still knows who they are."""
        os.chown(self.folder, support.NOBODY, support.NOBODY)
        server = self.open_server("--allow-uid=%d" % ALICE, preexec=support.as_nobody)
        self.assert_let_in(server, ALICE)
        self.assert_turned_away(server, "allow list", BOB)
        server.stop()


class Limits(AccessTest):
    def test_max_peers(self):
        server = self.server("--max-peers=2", vectors=2)
        peers = [self.peer(server), self.peer(server)]
        for _ in range(3):
            self.assertRaises(support.TurnedAway, self.peer, server)
        self.assertRegex(server.stderr, r"turned away.*pid %d, uid %d, command .*: there are "
                         r"2 peers, as many as --max-peers allows" % (os.getpid(), os.geteuid()))
        peers[0].wait_join(1)
        peers[1].close()
        peers[0].wait_leave(1)
        newcomer = self.peer(server)
        peers[0].wait_join(newcomer.id)
        self.assertEqual({0, newcomer.id}, set(peers[0].table))
        self.assertRaises(support.TurnedAway, self.peer, server)
        server.stop()

    def test_max_peers_per_uid(self):
        self.need_root()
        server = self.open_server("--max-peers-per-uid=2")
        first = self.assert_let_in(server, ALICE)
        self.assert_let_in(server, ALICE, gid=STAFF)
        self.assert_turned_away(server, "uid %d has 2 peers" % ALICE, ALICE)
        self.assert_let_in(server, BOB)
        witness = self.peer(server)
        first.leave()
        witness.wait_leave(0)
        self.assert_let_in(server, ALICE)
        self.assert_turned_away(server, "--max-peers-per-uid", ALICE)
        server.stop()

    def test_both(self):
        server = self.server("--max-peers=3", "--max-peers-per-uid=1")
        self.peer(server)
        self.assertRaises(support.TurnedAway, self.peer, server)
        self.assertIn("--max-peers-per-uid", server.stderr)
        server.stop()

    def test_zero_is_no_limit(self):
        server = self.server("--max-peers=0", "--max-peers-per-uid=0")
        for _ in range(20):
            self.peer(server, keep=False)
        server.stop()

    def test_wrong_values(self):
        for option in ("--max-peers", "--max-peers-per-uid", "--peer-timeout"):
            for value in ("-1", "x", "", "99999999999"):
                self.refused("-F", option, value, mentions=[option])

    def test_the_log_is_not_flooded(self):
        server = self.server("--max-peers=1")
        self.peer(server)
        began = time.monotonic()
        for _ in range(400):
            self.assertRaises(support.TurnedAway, support.RawPeer, server.socket)
        self.assertLess(server.stderr.count("turned away"), support.log_lines_max(began) + 1)
        server.stop()


class Qemu(AccessTest):
    """A QEMU that is turned away exits with a message; one that is only hung up on spins."""

    def assert_exits(self, path):
        if not QEMU:
            self.skipTest("no QEMU (Debian: qemu-system-x86, Fedora: qemu-system-x86-core)")
        result = support.run(
            QEMU, "-accel", "tcg", "-S", "-nodefaults", "-no-user-config", "-display", "none",
            "-chardev", "socket,id=ivshmem,path=" + path, "-device",
            "ivshmem-doorbell,chardev=ivshmem", timeout=2 * support.DEADLINE)
        self.assertEqual(1, result.returncode, result.stderr)
        self.assertRegex(result.stderr, "ivshmem")

    def test_limit(self):
        server = self.server("--max-peers=1")
        self.peer(server)
        self.assert_exits(server.socket)
        server.stop()

    def test_slot(self):
        server = self.server("--slot=vm=0")
        holder = support.RawPeer(server.socket + ".vm")
        self.addCleanup(holder.close)
        self.assert_exits(server.socket + ".vm")
        server.stop()


class Places(AccessTest):
    """A socket in a directory where somebody else could put his own in its place is refused."""

    def folder_in(self, parent, mode, uid=None, gid=None):
        path = os.path.join(parent, "d%d" % len(os.listdir(parent)))
        os.mkdir(path)
        if uid is not None or gid is not None:
            os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid)
        os.chmod(path, mode)
        return path

    def refused_in(self, folder, *mentions):
        path = os.path.join(folder, "s")
        self.refused("-F", "-S", path, mentions=mentions)
        self.assertEqual([], [name for name in os.listdir(folder) if name.startswith("s")])

    def accepted_in(self, folder, **more):
        server = self.server(socket_path=os.path.join(folder, "s"), **more)
        self.peer(server)
        server.stop()

    def test_writable_by_all(self):
        open_to_all = self.folder_in(self.folder, 0o777)
        self.refused_in(open_to_all, open_to_all, "mode 0777")
        self.accepted_in(self.folder_in(self.folder, 0o1777))
        self.accepted_in(self.folder_in(self.folder, 0o755))

    def test_anywhere_on_the_way(self):
        above = self.folder_in(self.folder, 0o777)
        self.refused_in(self.folder_in(above, 0o700), above + " has mode 0777")
        sticky = self.folder_in(self.folder, 0o1777)
        self.accepted_in(self.folder_in(sticky, 0o700))

    def test_symbolic_link(self):
        """What counts is where it leads."""
        above = self.folder_in(self.folder, 0o777)
        inner = self.folder_in(above, 0o700)
        os.symlink(inner, self.path("link"))
        self.refused_in(self.path("link"), "mode 0777")

    def test_of_another_user(self):
        self.need_root()
        theirs = self.folder_in(self.folder, 0o755, uid=ALICE)
        self.refused_in(theirs, theirs, "uid %d" % ALICE)
        self.refused_in(self.folder_in(theirs, 0o755), theirs, "uid %d" % ALICE)
        sticky = self.folder_in(self.folder, 0o1777, uid=ALICE)
        self.refused_in(sticky, "uid %d" % ALICE)

    def test_writable_by_a_group(self):
        self.need_root()
        shared = self.folder_in(self.folder, 0o775, gid=STAFF)
        self.refused_in(shared, shared, "mode 0775")
        self.accepted_in(self.folder_in(self.folder, 0o755, gid=STAFF))

    def test_unprivileged_server(self):
        """Root's directories are as good as its own, those of others are not."""
        self.need_root()
        os.chmod(self.folder, 0o755)
        mine = self.folder_in(self.folder, 0o700, uid=support.NOBODY)
        self.accepted_in(mine, preexec=support.as_nobody)
        self.accepted_in(self.folder_in(self.folder, 0o1777), preexec=support.as_nobody)
        theirs = self.folder_in(self.folder, 0o1777, uid=ALICE)
        self.refused("-F", "-S", os.path.join(theirs, "s"), preexec=support.as_nobody,
                     mentions=[theirs, "uid %d" % ALICE])

    def test_slots_too(self):
        open_to_all = self.folder_in(self.folder, 0o777)
        self.refused("-F", "--slot=vm=1:%s/s" % open_to_all, mentions=[open_to_all, "mode 0777"])

    def test_no_directory(self):
        self.refused("-F", "-S", self.path("nowhere/s"), mentions=[self.path("nowhere")])
        self.refused("-F", "-S", self.path("x" * 200), mentions=["characters"])


if __name__ == "__main__":
    support.main()
