# SPDX-License-Identifier: MIT
"""
What every guest test shares, beside support.py: the bare-metal guest of this folder under QEMU.

    class Some(guest.Test):
        def test(self):
            server = self.server(vectors=2)
            one = self.guest(server)                      booted: its interrupts are on
            one.command("ring 1 0", "rang peer 1 vector 0")
            one.wait_line(r"received IRQ on vector 0 and full message: (.*)").group(1)

The guest's lines go to a file that nobody has to read in time, so a flood of them blocks nothing.
Tests skip where QEMU or the image is missing. Variables: QEMU (default: qemu-system-x86_64 in PATH)
and IVSHMEM_GUEST (default: build/tests/guest/guest.elf in the source tree).
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import support  # noqa: E402

QEMU = shutil.which(os.environ.get("QEMU") or "qemu-system-x86_64")
IMAGE = os.environ.get("IVSHMEM_GUEST") or os.path.join(support.TOP, "build/tests/guest/guest.elf")

BOOT = 120 * support.SLOW  # seconds: a second on an idle machine, but many tests may boot at once
ANSWER = support.DEADLINE

MALLOC_DEBUG = "libc_malloc_debug.so.0"


def malloc_check_environment():
    """Variables that make glibc abort a program that corrupts its heap; None: not possible here."""
    check = {"LD_PRELOAD": MALLOC_DEBUG, "MALLOC_CHECK_": "3"}
    trial = support.run("/bin/true", env=dict(os.environ, **check))
    return None if trial.returncode or trial.stderr else check


class Guest:
    """
    One QEMU with the guest in it. boot() waits until its interrupts are on; a doorbell before that
    is lost. QEMU dies with the thread that started it, so make Guests in the main thread.
    malloc_check=True: QEMU dies as soon as it corrupts its heap. device=False: no ivshmem device
    but the one that the options bring, if any.
    """

    count = 0

    def __init__(self, folder, socket_path, vectors=1, *options, memory=32, malloc_check=False,
                 device=True):
        Guest.count += 1
        self.output_path = os.path.join(folder, "guest-%d" % Guest.count)
        self.stderr_path = self.output_path + "-qemu"
        self.seen = 0
        self.peer_id = self.size = self.vectors = None
        environment = dict(os.environ)
        if malloc_check:
            check = malloc_check_environment()
            if check is None:
                raise unittest.SkipTest("no %s here" % MALLOC_DEBUG)
            environment.update(check)
        command = [
            QEMU, "-accel", "tcg", "-m", str(memory), "-nodefaults", "-no-user-config",
            "-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", IMAGE,
            "-device", "isa-debug-exit,iobase=0xf4", *map(str, options)]
        if device:
            command += ["-chardev", "socket,id=ivshmem,path=" + socket_path,
                        "-device", "ivshmem-doorbell,chardev=ivshmem,vectors=%d" % vectors]
        with open(self.output_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen(
                command, bufsize=0, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=err,
                preexec_fn=support.die_with_parent)
        self.pid = self.process.pid

    def boot(self):
        found = self.wait_line(
            r"ivshmem guest: peer ID (\d+), memory (\d+) bytes, (\d+) vectors.*", BOOT)
        self.peer_id, self.size, self.vectors = map(int, found.groups())
        self.wait_line("ready")
        return self

    def output(self):
        """All that the guest has printed."""
        with open(self.output_path, encoding="ascii", errors="replace", newline="") as f:
            return f.read().replace("\r\n", "\n")

    def stderr(self):
        """All that QEMU has complained about."""
        with open(self.stderr_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def running(self):
        return self.process.poll() is None

    def wait_line(self, pattern, deadline=ANSWER):
        """Waits for a whole line that matches, after the last one waited for; returns the match."""
        pattern = re.compile("^(?:%s)\n" % pattern, re.MULTILINE)

        def search():
            over = not self.running()
            found = pattern.search(self.output(), self.seen)
            if not found and over:
                raise AssertionError("QEMU ended (%d): %s" % (self.process.poll(), self.stderr()))
            return found

        try:
            found = support.wait_for(search, deadline)
        except AssertionError as error:
            raise AssertionError("%s, so no line %r from the guest; it printed %r" % (
                error, pattern.pattern, self.output()[self.seen:][-1000:])) from None
        self.seen = found.end()
        return found

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def command(self, line, answer):
        """Gives a command and waits for the line that answers it; returns the match."""
        self.send(line)
        return self.wait_line(answer)

    def read(self, offset=0):
        """The string at an offset of the shared memory, as the guest sees it (escaped)."""
        return self.command("read @%d" % offset, "read @%d: (.*)" % offset).group(1)

    def write(self, text):
        """Writes text and a NUL at the start of the shared memory."""
        self.command("write " + text, "wrote %d bytes at 0" % len(text))

    def counts(self):
        """Interrupts since boot, as {vector: how many}."""
        text = self.command("counts", "interrupts:(.*)").group(1)
        return {int(vector): int(count) for vector, count in re.findall(r"(\d+)=(\d+)", text)}

    def ring_until(self, peer, vector, arrived):
        """
        Rings a peer until arrived() is true. One ring is enough once QEMU has read of that peer,
        but that moment cannot be seen from outside.
        """
        def ring():
            self.command("ring %d %d" % (peer, vector), "rang peer %d vector %d" % (peer, vector))
            try:
                return support.wait_for(arrived, 1)
            except AssertionError:
                return None

        return support.wait_for(ring, ANSWER, "a doorbell to arrive")

    def cpu_seconds(self):
        """Processor time that QEMU has used so far."""
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pause(self):
        """Stops the whole virtual machine, QEMU included: it reads nothing any more."""
        support.suspend(self.pid)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def quit(self):
        """Has the guest switch itself off; QEMU must exit 0."""
        self.command("quit", "bye")
        code = self.wait()
        if code != 0:
            raise AssertionError("QEMU exited %d: %s" % (code, self.stderr()))

    def wait(self, deadline=ANSWER):
        """Waits until QEMU ends; returns its exit code."""
        return self.process.wait(deadline)

    def kill(self):
        """Ends the virtual machine as a crash does."""
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self.process.stdin.close()


class Test(support.Test):
    """A test with guests; whatever it starts ends with it."""

    def setUp(self):
        if not QEMU:
            self.skipTest("no QEMU (Debian: qemu-system-x86, Fedora: qemu-system-x86-core)")
        if not os.path.exists(IMAGE):
            self.skipTest("no guest image %s: build it, or set IVSHMEM_GUEST" % IMAGE)
        super().setUp()

    def start_guest(self, server, *options, vectors=None, **more):
        """A guest that has just been started; call its boot()."""
        started = Guest(self.folder, server.socket, vectors or server.vectors, *options, **more)
        self.addCleanup(started.close)
        return started

    def guest(self, server, *options, **more):
        """A guest that is ready for commands and doorbells."""
        return self.start_guest(server, *options, **more).boot()


def write_host(server, text):
    """Writes text and a NUL at the start of the shared memory, as a process on the host does."""
    with open(server.shm, "r+b") as f:
        f.write(text.encode() + b"\0")


def read_host(server, length, offset=0):
    """Bytes of the shared memory, as a process on the host sees them."""
    with open(server.shm, "rb") as f:
        f.seek(offset)
        return f.read(length)


def dump(client):
    """What the client's `dump` shows: its own ID, and {peer: number of vectors} with itself."""
    client.send("dump")
    client.send("int 65535 0")  # its answer marks the end of the dump
    text = client.expect(r"our_id = (?:.*\n)*?.*cannot find peer_id = 65535").group(0)
    peers, current, own = {}, None, None
    text = text.rpartition("cannot find")[0]
    for kind, number in re.findall(r"(our_id =|peer_id =|vector) (\d+)", text):
        if kind == "vector":
            peers[current] += 1
            continue
        current = int(number)
        peers[current] = 0
        own = current if kind.startswith("our_id") else own
    return own, peers


def wait_dump(client, peers):
    """Waits until `dump` shows exactly these peers, {peer: number of vectors}."""
    support.wait_for(lambda: dump(client)[1] == peers, ANSWER, "dump to show %s" % peers)


main = support.main
