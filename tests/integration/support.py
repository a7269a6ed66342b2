# SPDX-License-Identifier: MIT
"""
What every integration test shares.

A test file defines classes derived from Test and ends with `support.main()`; it exits 0 (passed), 1
(failed) or 77 (nothing could run; the reason is printed). Inside a test:

    server = self.server(vectors=2)          a running ivshmem-server on private names
    peer = self.peer(server)                 a client of the wire protocol, greeting read
    client = self.client(server)             an ivshmem-client behind pipes (tty=True: a terminal)

Each of them ends with the test, whatever happens, and a server that was stopped must have left
nothing. Nothing here sleeps and hopes: all waits poll a condition until a deadline. Should the test
itself be killed, its children die by PR_SET_PDEATHSIG, and a janitor (a second process of this
file, holding the other end of a pipe) kills the daemons and removes the files.

Variables: IVSHMEM_SERVER and IVSHMEM_CLIENT name the programs (default: build/ in the source tree),
IVSHMEM_TEST_SLOW stretches each deadline (sanitizers, valgrind), IVSHMEM_TEST_MACHINE=1 permits
tests that change the machine for a moment (hugepages).
"""

import array
import collections
import ctypes
import errno
import faulthandler
import fcntl
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SERVER = os.environ.get("IVSHMEM_SERVER") or os.path.join(TOP, "build/server/ivshmem-server")
CLIENT = os.environ.get("IVSHMEM_CLIENT") or os.path.join(TOP, "build/client/ivshmem-client")
SLOW = float(os.environ.get("IVSHMEM_TEST_SLOW", "1"))
MAY_CHANGE_SYSTEM = os.environ.get("IVSHMEM_TEST_MACHINE") == "1"

# Seconds until a condition that should come true at once counts as failed. Long, for the machine
# may be busy with other tests: it costs nothing where the condition comes true.
DEADLINE = 60 * SLOW
FILE_LIMIT = 600 * SLOW  # seconds until a whole test file counts as hung
LOG_BURST, LOG_SECONDS = 100, 5  # the server logs so many lines of a kind in this time
NOBODY = 65534

# Under nohup, or in the background of a shell, these are ignored, and would be by all that is tested.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

HELP = (
    "dump: dump peers (including us)\n"
    "int <peer> <vector>: notify one vector on a peer\n"
    "int <peer> all: notify all vectors of a peer\n"
    "int all: notify all vectors of all peers (excepting us)\n"
)
# What `help` prints: these lines first, then one for each command that QEMU's client does not know.
HELP_PATTERN = re.escape(HELP) + r"(?:[a-z].*: .*\n)*"

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
libc = ctypes.CDLL(None, use_errno=True)


def wait_for(condition, deadline=None, what=None):
    """Polls condition() until it is true and returns its value; fails after deadline seconds."""
    end = time.monotonic() + (DEADLINE if deadline is None else deadline)
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain for %s" % (what or condition))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def alive(pid):
    """True while the process runs (a zombie does not)."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def suspend(pid):
    """Stops a process, and waits until it has stopped: the signal may take its time."""
    def stopped():
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] in "Tt"

    os.kill(pid, signal.SIGSTOP)
    wait_for(stopped, what="process %d to stop" % pid)


def log_lines_max(began):
    """How many lines of one kind the server may log from a time.monotonic() until now."""
    return LOG_BURST * (int(time.monotonic() - began) // LOG_SECONDS + 2)


def children():
    """The processes whose parent we are, those included whose own parent has died."""
    found = set()
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % name) as f:
                if int(f.read().rpartition(")")[2].split()[1]) == os.getpid():
                    found.add(int(name))
        except (OSError, ValueError):
            continue
    return found


def eventfd_id(fd, pid="self"):
    """The kernel's number of the eventfd behind fd, the same for each copy; None: no eventfd."""
    info = os.open("/proc/%s/fdinfo/%d" % (pid, fd), os.O_RDONLY)
    try:
        found = re.search(rb"eventfd-id:\s*(\d+)", os.read(info, 4096))
    finally:
        os.close(info)
    return int(found.group(1)) if found else None


def readable(fds, timeout=0.0):
    """Those of the descriptors that can be read. By poll(): select() ends at 1024."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, events in poll.poll(timeout * 1000) if events]


def raise_descriptor_limit():
    """The server turns a peer away whose own limit cannot hold the table: use all that we may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def as_nobody():
    """preexec: an unprivileged child. The signal is asked for last: setuid clears it."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    die_with_parent()


def run(program, *args, timeout=None, **popen):
    """Runs a program to its end (bounded); returns CompletedProcess with text output."""
    popen.setdefault("preexec_fn", die_with_parent)
    return subprocess.run(
        [program, *map(str, args)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", errors="replace", timeout=timeout or DEADLINE, **popen,
    )


# For a client that edits lines: libedit does not free the names of functions that it is given.
NO_LEAK_CHECK = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


# --- cleaning up after a test that was killed ----------------------------------------------------


class Janitor:
    """Tells a second process what to kill and remove when this process is gone."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--janitor"],
            stdin=subprocess.PIPE, start_new_session=True, text=True, bufsize=1,
        )

    def tell(self, verb, what):
        try:
            self.process.stdin.write("%s %s\n" % (verb, what))
        except BrokenPipeError:
            pass

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    @staticmethod
    def serve(commands):
        pids, paths = {}, []
        for line in commands:
            verb, _, what = line.rstrip("\n").partition(" ")
            if verb == "kill":
                try:
                    pids[what] = os.pidfd_open(int(what))
                except OSError:
                    pass
            elif verb == "spare" and what in pids:
                os.close(pids.pop(what))
            elif verb == "remove":
                paths.append(what)
        for fd in pids.values():
            try:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            except OSError:
                pass
        for path in paths:
            remove(path)


janitor = None


def remove(path):
    """Removes a file or a whole folder if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            os.unlink(path)
        except OSError:
            pass


def reap(pid):
    """Takes the exit status of a child (or of a daemon that we inherited); None while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


# --- the server ----------------------------------------------------------------------------------


class Server:
    """
    One ivshmem-server, ready for clients when the constructor returns, in the foreground unless
    daemon=True. Its standard error goes to a file: read it with .stderr.
    """

    count = 0

    def __init__(self, folder, *options, daemon=False, size=None, vectors=1, name=None,
                 socket_path=None, shm_dir=None, pid_file=None, preexec=die_with_parent,
                 program=None):
        Server.count += 1
        unique = "%d-%d" % (os.getpid(), Server.count)
        self.daemon = daemon
        self.vectors = vectors
        self.shm_name = name or "ivshmem-test-" + unique
        self.socket = socket_path or os.path.join(folder, "socket-%d" % Server.count)
        self.shm = None if shm_dir else "/dev/shm/" + self.shm_name
        self.pid_file = pid_file or os.path.join(folder, "pid-%d" % Server.count)
        self.stderr_path = os.path.join(folder, "stderr-%d" % Server.count)
        self.pid = None
        self.code = None
        self.command = [program or SERVER, "-S", self.socket, "-n", str(vectors)]
        self.command += ["-m", shm_dir] if shm_dir else ["-M", self.shm_name]
        self.command += ["-l", str(size)] if size is not None else []
        self.command += ["-p", self.pid_file] if daemon else ["-F"]
        self.command += map(str, options)
        for path in self.names():
            janitor.tell("remove", path)
        with open(self.stderr_path, "ab") as err:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=err, stderr=err, preexec_fn=preexec)
        try:
            if daemon:
                self._started_as_daemon()
            else:
                self.pid = self.process.pid
                wait_for(self._listening, what="the server to listen")
                if any("--slot" in option for option in self.command):
                    wait_for(lambda: "serving" in self.stderr, what="the slots' sockets")
        except BaseException:
            self.close()
            raise

    def names(self):
        """Every path that a running server may have and a stopped one must not."""
        paths = [self.socket + suffix for suffix in ("", ".lock", ".ctl", ".ctl.lock")]
        if self.shm:
            paths += [self.shm, "/dev/shm/.%s.lock" % self.shm_name]
        return paths

    def left_behind(self):
        return [path for path in self.names() if os.path.lexists(path)]

    @property
    def stderr(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def _started_as_daemon(self):
        code = self.process.wait(DEADLINE)
        if code != 0:
            raise AssertionError("the server's parent exited %d: %s" % (code, self.stderr))
        with open(self.pid_file) as f:
            self.pid = int(f.read())
        janitor.tell("kill", self.pid)

    def _listening(self):
        """
        Ready, found out without connecting (a connection would use up an ID): the path is there and
        the process owns a listening UNIX socket.
        """
        if self.process.poll() is not None:
            code = self.process.returncode
            raise AssertionError("the server exited %d: %s" % (code, self.stderr))
        return os.path.exists(self.socket) and listening_inodes() & socket_inodes(self.pid)

    def descriptors(self):
        """How many descriptors the server holds."""
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def send_signal(self, number):
        os.kill(self.pid, number)

    def wait(self, deadline=None):
        """Waits for the end; returns the exit code (negative: the signal that ended it)."""
        if self.code is None:
            if self.daemon:
                wait_for(self._reap, deadline, "the daemon to end")
                janitor.tell("spare", self.pid)
            else:
                self.code = self.process.wait(DEADLINE if deadline is None else deadline)
        return self.code

    def _reap(self):
        self.code = reap(self.pid)
        return self.code is not None

    def stop(self, number=signal.SIGTERM):
        """Ends the server as an administrator does; it must exit 0 and leave nothing."""
        self.send_signal(number)
        code = self.wait()
        if code != 0:
            raise AssertionError("the server exited %d: %s" % (code, self.stderr))
        if self.left_behind():
            raise AssertionError("the server left %s" % self.left_behind())

    def kill(self):
        """Ends the server as a crash does."""
        self.send_signal(signal.SIGKILL)
        self.wait()

    def close(self):
        """Ends it and removes its names, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.daemon:
            if self.pid is None and os.path.exists(self.pid_file):
                with open(self.pid_file) as f:
                    self.pid = int(f.read() or 0) or None
            if self.pid and self.code is None:
                try:
                    os.kill(self.pid, signal.SIGKILL)
                    self.wait()
                except (ProcessLookupError, ChildProcessError):
                    pass
        for path in self.names():
            remove(path)


def listening_inodes():
    """The inodes of all listening UNIX sockets (flag 0x10000 is __SO_ACCEPTCON)."""
    with open("/proc/net/unix") as f:
        rows = [line.split() for line in f]
    return {row[6] for row in rows if len(row) > 6 and row[3] == "00010000"}


def socket_inodes(pid):
    """The inodes of all sockets that a process holds."""
    found = set()
    try:
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                match = re.match(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, fd)))
            except FileNotFoundError:
                continue
            if match:
                found.add(match.group(1))
    except FileNotFoundError:
        pass
    return found


# --- a client of the wire protocol ---------------------------------------------------------------

Message = collections.namedtuple("Message", "value fd")


class TurnedAway(AssertionError):
    """The server refuses us as QEMU understands it: another version than 0, or -2, then the end."""


class RawPeer:
    """
    Speaks the wire protocol byte by byte. `table` maps each known ID (our own included) to its
    eventfds by vector. With keep=False the table holds the eventfds' kernel numbers instead and the
    descriptors are closed at once, so that a test can afford tens of thousands of them.
    """

    FIELDS = struct.Struct("<q")

    def __init__(self, path, vectors=1, keep=True, greet=True):
        self.vectors = vectors
        self.keep = keep
        self.id = None
        self.shm = None
        self.version = None
        self.table = {}
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # a blocking connect with a time limit: with a Python timeout a full backlog is an error
        timeval = struct.pack("ll", int(DEADLINE), 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
        try:
            self.sock.connect(path)
            if greet:
                self.greet()
        except BaseException:
            self.close()
            raise

    def receive(self, deadline=None):
        """The next message, None at the end of the stream. Fails after deadline seconds."""
        end = time.monotonic() + (DEADLINE if deadline is None else deadline)
        data, fds = b"", []
        while len(data) < 8:
            self.sock.settimeout(max(0.001, end - time.monotonic()))
            try:
                part, ancillary, flags, _ = self.sock.recvmsg(
                    8 - len(data), socket.CMSG_SPACE(16 * 4), socket.MSG_CMSG_CLOEXEC)
            except ConnectionResetError:
                part, ancillary, flags = b"", [], 0
            except socket.timeout:
                raise AssertionError("peer %s: no message in time" % self.id) from None
            fds += descriptors_in(ancillary)
            if flags & socket.MSG_CTRUNC or len(fds) > 1:
                close_all(fds)
                raise AssertionError("peer %s: a message with more than one descriptor" % self.id)
            if not part:
                close_all(fds)
                if data:
                    raise AssertionError("peer %s: the stream ends inside a message" % self.id)
                return None
            data += part
        return Message(self.FIELDS.unpack(data)[0], fds[0] if fds else None)

    def greet(self):
        """Reads the whole greeting and checks its order."""
        self.version, fd = self._expect_message()
        if fd is not None:
            raise AssertionError("the version came with a descriptor")
        if self.version != 0:
            self._turned_away("version %d" % self.version)
        self.id, fd = self._expect_message()
        if not 0 <= self.id <= 65535 or fd is not None:
            raise AssertionError("ID %d, descriptor %s" % (self.id, fd))
        value, self.shm = self._expect_message()
        if value != -1 or self.shm is None:
            raise AssertionError("memory message is %d, descriptor %s" % (value, self.shm))
        while len(self.table.get(self.id, [])) < self.vectors:
            message = self._expect_message()
            if self.id in self.table and message.value != self.id:
                raise AssertionError("peer %d among our own vectors" % message.value)
            self._apply(message)

    def _expect_message(self):
        message = self.receive()
        if message is None:
            raise AssertionError("peer %s: the server hung up" % self.id)
        if message.value == -2:
            self._turned_away("-2")
        return message

    def _turned_away(self, how):
        if self.receive() is not None:
            raise AssertionError("the server goes on after %s" % how)
        raise TurnedAway(how)

    def _apply(self, message):
        value, fd = message
        if fd is None:
            if value not in self.table:
                raise AssertionError("peer %d left but was never there" % value)
            if self.keep:
                close_all(self.table[value])
            del self.table[value]
        elif self.keep:
            self.table.setdefault(value, []).append(fd)
        else:
            self.table.setdefault(value, []).append(eventfd_id(fd))
            os.close(fd)

    def update(self):
        """Takes what has arrived, without waiting. False when the server has hung up."""
        while readable([self.sock.fileno()]):
            message = self.receive()
            if message is None:
                return False
            self._apply(message)
        return True

    def wait_table(self, condition, deadline=None, what="the peer table"):
        """Takes messages until condition(table) holds."""
        end = time.monotonic() + (DEADLINE if deadline is None else deadline)
        while not condition(self.table):
            left = end - time.monotonic()
            if left <= 0 or not readable([self.sock.fileno()], left):
                raise AssertionError("peer %s waited in vain for %s: %s" % (
                    self.id, what, self.table))
            self._apply(self._expect_message())

    def wait_join(self, peer_id, vectors=None):
        count = vectors or self.vectors
        self.wait_table(lambda table: len(table.get(peer_id, [])) >= count,
                        what="join %d" % peer_id)

    def wait_leave(self, peer_id):
        self.wait_table(lambda table: peer_id not in table, what="leave %d" % peer_id)

    def wait_hang_up(self, deadline=None):
        """Takes messages until the server closes the connection."""
        while True:
            message = self.receive(deadline)
            if message is None:
                return
            if message.fd is not None:
                os.close(message.fd)

    def numbers(self):
        """The table as the eventfds' kernel numbers: equal between peers that know the same."""
        if not self.keep:
            return {peer: list(ids) for peer, ids in self.table.items()}
        return {peer: [eventfd_id(fd) for fd in fds] for peer, fds in self.table.items()}

    def ring(self, peer_id, vector=0):
        os.write(self.table[peer_id][vector], struct.pack("=Q", 1))

    def wait_ring(self, vector=0, deadline=None):
        """Waits for our own doorbell; returns how often it was rung."""
        fd = self.table[self.id][vector]
        if not readable([fd], DEADLINE if deadline is None else deadline):
            raise AssertionError("peer %d: no doorbell on vector %d" % (self.id, vector))
        return struct.unpack("=Q", os.read(fd, 8))[0]

    def rung(self, vector=0):
        return bool(readable([self.table[self.id][vector]]))

    def close(self):
        self.sock.close()
        if self.shm is not None:
            os.close(self.shm)
            self.shm = None
        if self.keep:
            for fds in self.table.values():
                close_all(fds)
        self.table = {}


def descriptors_in(ancillary):
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[:len(data) - len(data) % found.itemsize])
    return list(found)


def close_all(fds):
    for fd in fds:
        os.close(fd)


# --- the interactive client ----------------------------------------------------------------------


class Client:
    """
    One ivshmem-client. Behind pipes, or with tty=True on a terminal of its own (then out and err
    are one stream, and its line ends are made \\n again). expect() searches what came since the
    last match.
    """

    def __init__(self, path, *options, tty=False, program=None, env=None, preexec=die_with_parent):
        command = [program or CLIENT] + (["-S", path] if path else []) + [str(o) for o in options]
        environment = {**os.environ, "TERM": "dumb", "LC_ALL": "C", **(env or {})}
        self.tty = tty
        self.text = {"out": b"", "err": b""}
        self.seen = {"out": 0, "err": 0}
        if tty:
            self._start_on_terminal(command, environment, preexec)
        else:
            self.process = subprocess.Popen(
                command, bufsize=0, env=environment, preexec_fn=preexec, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.input = self.process.stdin.fileno()
            self.streams = {self.process.stdout.fileno(): "out",
                            self.process.stderr.fileno(): "err"}
        for fd in {self.input, *self.streams}:
            os.set_blocking(fd, False)

    def _start_on_terminal(self, command, environment, preexec):
        ours, theirs = pty.openpty()
        self.first_attributes = termios.tcgetattr(theirs)  # as they are before it starts

        def become_foreground():
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
            preexec()

        try:
            self.process = subprocess.Popen(command, env=environment, preexec_fn=become_foreground,
                                            stdin=theirs, stdout=theirs, stderr=theirs)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self.input = ours
        self.streams = {ours: "out"}

    def pump(self, timeout=0.0, to_send=b""):
        """Takes what output has come, gives what input is taken; returns the rest of the input."""
        poll = select.poll()
        for fd in self.streams:
            poll.register(fd, select.POLLIN)
        if to_send:
            poll.register(self.input, select.POLLOUT | (select.POLLIN if self.tty else 0))
        events = dict(poll.poll(timeout * 1000))
        for fd in [fd for fd in events if events[fd] & ~select.POLLOUT and fd in self.streams]:
            try:
                data = os.read(fd, 65536)
            except BlockingIOError:
                continue
            except OSError as error:  # a terminal whose other side is gone says EIO
                if error.errno != errno.EIO:
                    raise
                data = b""
            if data:
                self.text[self.streams[fd]] += data
            else:
                del self.streams[fd]
        if to_send and events.get(self.input, 0) & ~select.POLLIN:
            try:
                return to_send[os.write(self.input, to_send):]
            except BlockingIOError:
                pass
        return to_send

    def output(self, stream="out"):
        """All text of a stream so far."""
        return self.text[stream].decode("utf-8", "replace").replace("\r\n", "\n")

    def lines(self):
        """All complete lines of standard output, without the prompts that they begin with."""
        return [re.sub(r"^(cmd> )+", "", line) for line in self.output().split("\n")]

    def write(self, text, deadline=None):
        """Gives the client input as it is, of any length."""
        end = time.monotonic() + (DEADLINE if deadline is None else deadline)
        rest = text if isinstance(text, bytes) else text.encode()
        while rest:
            rest = self.pump(0.05, rest)
            if time.monotonic() > end:
                raise AssertionError("the client does not read its input")

    def send(self, line):
        self.write(line + "\n")

    def expect(self, pattern, stream="out", deadline=None):
        """Waits for a regular expression (^ and $ match at line ends) after the last match."""
        end = time.monotonic() + (DEADLINE if deadline is None else deadline)
        while True:
            text = self.output(stream)
            match = re.compile(pattern, re.MULTILINE).search(text, self.seen[stream])
            if match:
                self.seen[stream] = match.end()
                return match
            left = end - time.monotonic()
            if left <= 0 or stream not in self.streams.values():
                raise AssertionError("expected %r, got %r, standard error %r" % (
                    pattern, text[self.seen[stream]:], self.output("err")))
            self.pump(min(left, 0.5))

    def ready(self):
        """Waits until it is connected."""
        self.expect(r"listen on server socket \d+\n")
        return self

    def eof(self):
        """Ends its input: closes the pipe, or types ^D."""
        if self.tty:
            self.write(b"\x04")
        elif self.process.stdin:
            self.process.stdin.close()

    def wait(self, deadline=None):
        """Waits for the end, reading all output; returns the exit code."""
        end = time.monotonic() + (DEADLINE if deadline is None else deadline)
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise AssertionError("the client does not end, its last output is %r" % (
                    self.output()[-500:]))
            self.pump(0.02)
            if not self.streams:
                time.sleep(0.005)
        while self.streams and readable(self.streams):
            self.pump()
        return self.process.returncode

    def cpu_seconds(self):
        """User and system time used so far."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.tty:
            if self.input is not None:
                os.close(self.input)
                self.input = None
        else:
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                pipe.close()
        self.streams = {}


def run_client(path, text, *options, deadline=None):
    """Gives a client its whole input at once and waits for its end; returns the finished Client."""
    client = Client(path, *options)
    try:
        client.write(text)
        client.eof()
        client.code = client.wait(deadline)
    finally:
        client.close()
    return client


# --- test cases and the runner -------------------------------------------------------------------


class Test(unittest.TestCase):
    """A test with a private folder; whatever it starts ends with it."""

    longMessage = True
    maxDiff = 4000

    def setUp(self):
        self.addCleanup(self._no_strays)
        self.folder = self.make_folder()

    def make_folder(self):
        base = tempfile.gettempdir()
        folder = tempfile.mkdtemp(prefix="ivshmem-test-", dir=base if len(base) < 40 else "/tmp")
        janitor.tell("remove", folder)
        self.addCleanup(remove, folder)
        return folder

    def _no_strays(self):
        """The last cleanup: nothing that the test started may still run (daemons become ours)."""
        left = children() - {janitor.process.pid}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.assertEqual(set(), left, "processes still running")

    def path(self, name):
        return os.path.join(self.folder, name)

    def server(self, *options, **more):
        server = Server(self.folder, *options, **more)
        self.addCleanup(server.close)
        return server

    def peer(self, server, **more):
        peer = RawPeer(server.socket, **{"vectors": server.vectors, **more})
        self.addCleanup(peer.close)
        return peer

    def client(self, server, *options, **more):
        """server is a Server, a socket path, or None for the default path."""
        client = Client(getattr(server, "socket", server), *options, **more)
        self.addCleanup(client.close)
        return client

    def refused(self, *options, mentions=(), program=None, preexec=die_with_parent, names=True):
        """
        Runs a program that must refuse: exit 1, a message on standard error with every one of the
        given texts, nothing on standard output. Server: private names unless names=False, and no
        trace of them afterwards. Returns the message.
        """
        program = program or SERVER
        if names and program == SERVER:
            Server.count += 1
            name = "ivshmem-test-%d-%d" % (os.getpid(), Server.count)
            path = self.path("refused-%d" % Server.count)
            pid_file = path + ".pid"
            traces = [path, path + ".lock", path + ".ctl", path + ".ctl.lock", pid_file,
                      "/dev/shm/" + name,
                      "/dev/shm/.%s.lock" % name]
            for trace in traces:
                janitor.tell("remove", trace)
                self.addCleanup(remove, trace)
            options = ("-S", path, "-M", name, "-p", pid_file) + options
        result = run(program, *options, preexec_fn=preexec)
        self.assertEqual(1, result.returncode, result.stderr)
        self.assertEqual("", result.stdout)
        self.assertNotEqual("", result.stderr.strip())
        for text in mentions:
            self.assertIn(str(text), result.stderr)
        if names and program == SERVER:
            self.assertEqual([], [trace for trace in traces if os.path.lexists(trace)])
        return result.stderr


class Result(unittest.TextTestResult):
    """Counts the tests that really ran."""

    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main():
    """Runs the test classes of the main module; exits 0, 1 or 77."""
    global janitor
    for program in (SERVER, CLIENT):
        if not os.access(program, os.X_OK):
            print("no %s: build first, or set IVSHMEM_SERVER and IVSHMEM_CLIENT" % program)
            sys.exit(1)
    faulthandler.dump_traceback_later(FILE_LIMIT, exit=True)
    raise_descriptor_limit()
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # daemons become our children: their exit codes are ours
    janitor = Janitor()
    try:
        load = unittest.defaultTestLoader
        module = sys.modules["__main__"]
        if sys.argv[1:]:
            tests = load.loadTestsFromNames(sys.argv[1:], module)
        else:
            tests = load.loadTestsFromModule(module)
        result = unittest.TextTestRunner(resultclass=Result, verbosity=2).run(tests)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    finally:
        janitor.close()
    for test, reason in result.skipped:
        print("skipped %s: %s" % (test.id(), reason))
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.skipped and not result.passed else 0)


if __name__ == "__main__" and sys.argv[1:] == ["--janitor"]:
    Janitor.serve(sys.stdin)
