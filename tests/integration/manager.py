# SPDX-License-Identifier: MIT
"""
A small stand-in for the service manager: the notify socket, the descriptor store, activation.

    class Some(manager.Test):
        def test(self):
            service = self.manager(server_command, sockets={"peers": path})
            service.start()                  the daemon says READY=1
            service.restart()                SIGKILL, and again with all that it had stored

Like systemd it keeps what FDSTORE=1 brings, under names that need not be unique, though no second
copy of what it has and silently nothing above its maximum; forgets it on FDSTOREREMOVE=1; drops a
socket whose peer hangs up unless FDPOLL=0 came with it; closes what comes with BARRIER=1; and gives
everything to the next process, in another order each time. Unlike systemd it can be told to
misbehave: stall(), drop(), duplicate(), add(). A thread reads the notify socket, so the test may
wait for other things.

Messages that systemd would not understand are faults, and fail the test at its end.
"""

import fcntl
import os
import random
import re
import select
import signal
import socket
import stat
import tempfile
import threading

import support

MESSAGE_MAX = 4096
MESSAGE_FDS = 253
FIRST_FD = 3  # where passed descriptors begin
SYS_KCMP, KCMP_FILE = {"x86_64": 312, "i686": 349}.get(os.uname().machine, 272), 0


class Stored:
    """A descriptor in the store."""

    def __init__(self, name, fd, polled):
        self.name, self.fd, self.polled = name, fd, polled

        status = os.fstat(fd)
        self.key = status.st_dev, status.st_ino, support.eventfd_id(fd)  # cheap to compare

    def same(self, other):
        """Whether both are copies of one descriptor."""
        return self.key == other.key and 0 == support.libc.syscall(
            SYS_KCMP, os.getpid(), os.getpid(), KCMP_FILE, self.fd, other.fd)

    def kind(self):
        link = os.readlink("/proc/self/fd/%d" % self.fd)
        mode = os.fstat(self.fd).st_mode
        if stat.S_ISSOCK(mode):
            return "socket"
        return "eventfd" if "eventfd" in link else "memfd" if "memfd:" in link else "file"

    def hung_up(self):
        poll = select.poll()
        poll.register(self.fd, 0)
        return bool(poll.poll(0))


def inheritable():
    """What we were started with beyond the standard streams, and a child would get."""
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            if fd >= FIRST_FD and os.get_inheritable(fd):
                found.append(fd)
        except OSError:  # the listing itself
            continue
    return found


class Manager:
    """
    Runs one command as a service. sockets maps names to paths, on which it listens from the start
    to the end; maximum is FileDescriptorStoreMax; watchdog is WatchdogSec in seconds.
    """

    def __init__(self, folder, command, sockets=None, maximum=16000, watchdog=None, env=None,
                 abstract=False, seed=None):
        self.command = [str(word) for word in command]
        self.maximum = maximum
        self.watchdog = watchdog
        self.env = env or {}
        self.seed = random.randrange(1 << 32) if seed is None else seed
        self.random = random.Random(self.seed)
        self.store = []
        self.messages = []  # texts, in order, since the last start
        self.faults = []
        self.dropped = 0  # what did not fit the store
        self.pings = 0
        self.status = None
        self.pid = None
        self.code = None
        self.starts = 0
        self.lock = threading.RLock()
        self.may_read = threading.Event()
        self.may_read.set()
        self.ended = False
        self.log_path = tempfile.mkstemp(prefix="service-", dir=folder)[1]
        self.listeners = {}
        self.paths = dict(sockets or {})
        self._open_notify(folder, abstract)
        for name, path in self.paths.items():
            self.listeners[name] = self._listen(path)
        self.wake, self.waker = os.pipe()
        self.thread = threading.Thread(target=self._read_all, daemon=True)
        self.thread.start()

    def _open_notify(self, folder, abstract):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.setblocking(False)
        if abstract:
            self.address = "@ivshmem-test-%d-%d" % (os.getpid(), id(self))
            self.notify.bind("\0" + self.address[1:])
        else:
            self.address = tempfile.mktemp(prefix="notify-", dir=folder)
            self.notify.bind(self.address)

    @staticmethod
    def _listen(path):
        support.janitor.tell("remove", path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # blocking, as systemd's are
        sock.bind(path)
        os.chmod(path, 0o660)
        sock.listen(4096)
        return sock

    # --- the notify socket ---

    def _read_all(self):
        while not self.ended:
            self.may_read.wait()
            support.readable([self.notify.fileno(), self.wake], 3600)
            with self.lock:
                if not self.ended and self.may_read.is_set():
                    self.drain()

    def drain(self):
        """Takes every message that has arrived."""
        with self.lock:
            while self._take():
                pass

    def _take(self):
        try:
            # not socket.recv_fds(): it ignores flags, and what is stored would leak into the daemon
            text, ancillary, flags, _ = self.notify.recvmsg(
                MESSAGE_MAX, socket.CMSG_SPACE(MESSAGE_FDS * 4),
                socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        fds = support.descriptors_in(ancillary)
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            self.faults.append("a message that is too long: %r" % text[:100])
        text = text.decode("utf-8", "replace")
        self.messages.append(text)
        lines = text.split("\n")
        fields = dict(line.split("=", 1) for line in lines if "=" in line)
        if not fields or len(fields) != len([line for line in lines if line]):
            self.faults.append("not understood: %r" % text)
        self._apply(text, fields, fds)
        return True

    def _apply(self, text, fields, fds):
        name = fields.get("FDNAME", "stored")
        if ("FDSTORE" in fields or "FDSTOREREMOVE" in fields) and not re.fullmatch(
                r"[!-9;-~]{1,255}", name):
            self.faults.append("a bad name: %r" % text)
        if fields.get("FDSTORE") == "1":
            if not fds:
                self.faults.append("nothing to store: %r" % text)
            for fd in fds:
                self._keep(Stored(name, fd, fields.get("FDPOLL") != "0"))
            fds = []
        elif fields.get("FDSTOREREMOVE") == "1":
            self._forget(lambda stored: stored.name == name)
        elif "BARRIER" in fields and (text != "BARRIER=1" or len(fds) != 1):
            self.faults.append("a barrier with something else: %r" % text)
        support.close_all(fds)
        self.pings += fields.get("WATCHDOG") == "1"
        self.status = fields.get("STATUS", self.status)

    def _keep(self, new):
        same = any(stored.same(new) for stored in self.store)
        if same or len(self.store) >= self.maximum:
            self.dropped += not same
            os.close(new.fd)
        else:
            self.store.append(new)

    def _forget(self, condition):
        gone = [stored for stored in self.store if condition(stored)]
        self.store = [stored for stored in self.store if stored not in gone]
        support.close_all(stored.fd for stored in gone)
        return len(gone)

    def _forget_hung_up(self):
        self._forget(lambda stored: stored.polled and stored.hung_up())

    def said(self, assignment):
        """Whether a line such as READY=1 has come since the last start."""
        with self.lock:
            return any(assignment in text.split("\n") for text in self.messages)

    def names(self, kind=None):
        """The sorted names of what is stored; kind: only "socket", "eventfd", "memfd" or "file"."""
        with self.lock:
            self._forget_hung_up()
            return sorted(s.name for s in self.store if kind in (None, s.kind()))

    # --- misbehaviour ---

    def stall(self):
        """Reads no more messages, not even the rest of what is just being read."""
        with self.lock:
            self.may_read.clear()

    def resume(self):
        self.may_read.set()

    def drop(self, *names):
        """Loses stored descriptors; returns how many."""
        with self.lock:
            return self._forget(lambda stored: stored.name in names)

    def duplicate(self, name):
        """Gives back two copies of a descriptor from now on."""
        with self.lock:
            one = next(stored for stored in self.store if stored.name == name)
            self.store.append(Stored(name, os.dup(one.fd), one.polled))

    def add(self, name, fd):
        """Stores something that the daemon never sent (a copy of it)."""
        with self.lock:
            self.store.append(Stored(name, os.dup(fd), False))

    # --- the service ---

    def start(self, ready=True):
        """Starts the command with the listeners and what is stored; waits for READY=1."""
        with self.lock:
            self.drain()
            self._forget_hung_up()
            passed = [(stored.name, stored.fd) for stored in self.store]
            passed += [(name, sock.fileno()) for name, sock in self.listeners.items()]
            self.random.shuffle(passed)
            self.messages = []
            self.code = None
            self.starts += 1
            self.pid = self._spawn(passed)
        support.janitor.tell("kill", self.pid)
        if ready:
            self.wait_ready()
        return self

    def _spawn(self, passed):
        """LISTEN_PID is the process's own ID: a shell knows it and then becomes the command."""
        env = {**os.environ, **self.env, "NOTIFY_SOCKET": self.address,
               "LISTEN_FDS": str(len(passed)), "LISTEN_FDNAMES": ":".join(n for n, _ in passed)}
        script = "export LISTEN_PID=$$; "
        if self.watchdog:
            env["WATCHDOG_USEC"] = str(int(self.watchdog * 1000000))
            script += "export WATCHDOG_PID=$$; "
        actions = [(os.POSIX_SPAWN_CLOSE, fd) for fd in inheritable()]
        actions += [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, self.log_path, os.O_WRONLY | os.O_APPEND, 0),
                    (os.POSIX_SPAWN_DUP2, 1, 2)]
        # copies above all targets, so that none is overwritten before its turn
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FD + len(passed) + 1)
                  for _, fd in passed]
        try:
            for i, fd in enumerate(copies):
                actions.append((os.POSIX_SPAWN_DUP2, fd, FIRST_FD + i))
            command = ["sh", "-c", script + 'exec "$@"', "sh", *self.command]
            return os.posix_spawn("/bin/sh", command, env, file_actions=actions,
                                  setsigdef=[signal.SIGPIPE])
        finally:
            support.close_all(copies)

    def wait_ready(self, deadline=None):
        def ready():
            if self.running() or self.said("READY=1"):
                return self.said("READY=1")
            raise AssertionError("the service exited %d: %s" % (self.code, self.log()))

        support.wait_for(ready, deadline, "READY=1 from: %s" % self.log())

    def running(self):
        if self.pid is not None and self.code is None:
            self.code = support.reap(self.pid)
            if self.code is not None:
                support.janitor.tell("spare", self.pid)
        return self.pid is not None and self.code is None

    def wait(self, deadline=None):
        """Waits for its end; returns the exit code (negative: the signal that ended it)."""
        support.wait_for(lambda: not self.running(), deadline, "the service to end")
        return self.code

    def kill(self, number=signal.SIGKILL):
        if self.running():
            os.kill(self.pid, number)
        return self.wait()

    def restart(self, number=signal.SIGKILL, ready=True):
        """Ends it and starts it again; what it still said before its end counts."""
        self.kill(number)
        return self.start(ready)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        """Ends everything; returns the faults."""
        if self.running():
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self.ended = True
        self.resume()
        os.write(self.waker, b"x")
        self.thread.join()
        self.drain()
        self._forget(lambda _: True)
        for sock in [self.notify, *self.listeners.values()]:
            sock.close()
        for path in self.paths.values():
            support.remove(path)
        support.close_all((self.wake, self.waker))
        return self.faults


class Test(support.Test):
    """support.Test with managers that end with the test."""

    def manager(self, command, **more):
        service = Manager(self.folder, command, **more)
        self.addCleanup(self._end, service)
        return service

    def _end(self, service):
        self.assertEqual([], service.close())
