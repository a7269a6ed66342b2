# SPDX-License-Identifier: MIT
"""
The real systemd, booted as PID 1 of namespaces of its own: a test's own small machine.

    with sandbox.Sandbox() as box:           boots in about half a second; needs root
        box.write("/etc/systemd/system/x.service", "[Service] ...")
        box.systemctl("daemon-reload")
        box.run("systemctl", "start", "x")
        box.path("/run/x.sock")              how we see a path of the box

The host stays as it was. The box has the host's root directory as the lower layer of an overlay,
whose upper layer is a tmpfs that goes with it; /run, /tmp, /dev and /dev/shm are its own; /proc/sys
and /sys are read-only; network, PIDs, IPC and host name are its own; its cgroups are below one that
is removed at the end. It starts nothing but the journal: the host's own units and generators are
hidden.

Who does what: this process starts a supervisor (this file again), which makes the namespaces, forks
PID 1 into them, waits until its standard input ends, kills PID 1 and clears up. So the box ends
with the test, however the test ends; and it dies with the supervisor, should that be killed.
"""

import ctypes
import ctypes.util
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

SLOW = float(os.environ.get("IVSHMEM_TEST_SLOW", "1"))
DEADLINE = 120 * SLOW
SYSTEMD = "/lib/systemd/systemd"
UNIT_FOLDERS = ("/usr/lib/systemd/system", "/lib/systemd/system", "/usr/local/lib/systemd/system")
HIDDEN = (  # the host's own configuration, and what runs before any unit
    "/etc/systemd", "/usr/lib/systemd/system-generators", "/usr/local/lib/systemd",
    "/usr/lib/systemd/system-environment-generators", "/usr/lib/systemd/system-shutdown",
)
WANTED = {"systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket"}
CGROUP_PREFIX = "ivshmem-test-box-"

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "i686": 217}.get(os.uname().machine)
# What could reach the host though its files are hidden: module, raw I/O, boot, clock, kernel log.
DROPPED_CAPABILITIES = (16, 17, 22, 25, 34, 35)


class Unavailable(Exception):
    """This machine cannot run a box; the text says why."""


def unavailable():
    """Why no box can run here, as far as can be seen without trying; None if it looks good."""
    if os.geteuid() != 0:
        return "not root: namespaces, mounts and cgroups are needed"
    if not os.access(SYSTEMD, os.X_OK) or not shutil.which("systemctl"):
        return "no systemd is installed"
    if not shutil.which("nsenter"):
        return "no nsenter (util-linux)"
    if SYS_PIVOT_ROOT is None:
        return "no number of pivot_root is known for this machine"
    with open("/proc/filesystems") as f:
        known = f.read().split()
    missing = [name for name in ("overlay", "cgroup2", "tmpfs") if name not in known]
    return "the kernel has no %s" % ", ".join(missing) if missing else None


class Sandbox:
    """One box. start() raises Unavailable where the machine does not allow it."""

    def __init__(self):
        self.supervisor = None
        self.pid = None  # of the box's PID 1, as we see it

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        reason = unavailable()
        if reason:
            raise Unavailable(reason)
        self.supervisor = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--supervise"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            if not select.select([self.supervisor.stdout], [], [], DEADLINE)[0]:
                raise AssertionError("the box does not start")
            answer = json.loads(self.supervisor.stdout.readline() or '{"error": "it died"}')
            if "error" in answer:
                raise Unavailable("no box on this machine: " + answer["error"])
            self.pid = answer["pid"]
            self._wait_running()
        except BaseException:
            self.stop()
            raise

    def _wait_running(self):
        end = time.monotonic() + DEADLINE
        while not os.path.exists(self.path("/run/systemd/private")):
            if time.monotonic() > end or self.supervisor.poll() is not None:
                raise AssertionError("systemd does not come up: %s" % self.console())
            time.sleep(0.01)
        state = self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
        if state not in ("running", "degraded"):
            raise AssertionError("systemd is %s: %s" % (state, self.console()))

    def stop(self):
        """Ends everything in the box and waits until it is gone."""
        if not self.supervisor:
            return
        self.supervisor.stdin.close()
        end = time.monotonic() + DEADLINE
        while self.supervisor.poll() is None:
            reap_strays()
            if time.monotonic() > end:
                self.supervisor.kill()
            time.sleep(0.002)
        code = self.supervisor.returncode
        self.supervisor.stdout.close()
        self.supervisor = self.pid = None
        if code != 0:
            raise AssertionError("the box was not cleared up (exit %d)" % code)

    # --- inside ---

    def enter(self, *command):
        """The command line that runs a command inside."""
        return ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--ipc", "--uts", "--net",
                "--cgroup", "--", *map(str, command)]

    def popen(self, *command, **popen):
        """Starts a command inside; ends with the box at the latest."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                       **popen.pop("env", {})}
        return subprocess.Popen(self.enter(*command), env=environment, **popen)

    def run(self, *command, check=True, timeout=None, input=None, **popen):
        """Runs a command inside to its end; returns CompletedProcess with text output."""
        process = self.popen(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, errors="replace", **popen)
        with process:
            try:
                out, err = process.communicate(input, timeout or DEADLINE)
            except BaseException:
                process.kill()
                raise
        if check and process.returncode != 0:
            raise AssertionError("%s exits %d: %s%s" % (
                " ".join(map(str, command)), process.returncode, out, err))
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def systemctl(self, *arguments, **more):
        return self.run("systemctl", "--no-pager", *arguments, **more)

    def property(self, unit, name):
        """One property of a unit."""
        return self.systemctl("show", "--property", name, "--value", unit).stdout.rstrip("\n")

    def journal(self, unit=None):
        """What the box, or one unit of it, has logged."""
        self.run("journalctl", "--sync", check=False)
        return self.run("journalctl", "--no-pager", "-o", "short-monotonic",
                        *(["-u", unit] if unit else []), check=False).stdout

    def console(self):
        try:
            with open(self.path("/dev/console"), errors="replace") as f:
                return f.read()[-3000:]
        except OSError as error:
            return str(error)

    # --- files ---

    def path(self, inside):
        """How this process sees a path of the box: for sockets, too."""
        return "/proc/%d/root%s" % (self.pid, inside)

    def write(self, inside, text, mode=0o644):
        path = self.path(inside)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)

    def copy(self, source, inside, mode=None):
        """Copies a file into the box; one that runs there is replaced, not written to."""
        path = self.path(inside)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(source, path + ".new")
        if mode is not None:
            os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)

    def connect(self, inside):
        """A stream connection to a socket of the box, from outside."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(self.path(inside))
        return sock


def reap_strays():
    """
    A process that was started in a box, and whose nsenter was killed, has become our child (if we
    are a subreaper), and the box cannot end before it is reaped.
    """
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/status" % pid) as f:
                fields = dict(line.split(":", 1) for line in f)
            if int(fields["PPid"]) == os.getpid() and len(fields["NSpid"].split()) > 1:
                os.waitpid(int(pid), os.WNOHANG)
        except (OSError, KeyError, ValueError):
            continue


# --- the supervisor ------------------------------------------------------------------------------

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        error = ctypes.get_errno()
        what = " ".join(a.decode() for a in arguments if isinstance(a, bytes))
        raise OSError(error, "%s %s: %s" % (name, what, os.strerror(error)))


def mount(source, target, kind=None, flags=0, data=None):
    call("mount", *(None if text is None else text.encode() for text in (source, target, kind)),
         ctypes.c_ulong(flags), None if data is None else data.encode())


class Supervisor:
    """Runs in a mount namespace of its own, with a tmpfs on /tmp that holds all there is."""

    CGROUPS = "/tmp/cgroups"

    def __init__(self):
        self.cgroup = os.path.join(self.CGROUPS, CGROUP_PREFIX + str(os.getpid()))
        self.pid = None

    def run(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # it ends when its input does
        answer = {}
        try:
            self.boot()
            answer["pid"] = self.pid
        except OSError as error:
            answer["error"] = str(error)
        print(json.dumps(answer), flush=True)
        if self.pid:
            sys.stdin.read()
        return 0 if self.clear() else 1

    def boot(self):
        call("unshare", CLONE_NEWNS)
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount("tmpfs", "/tmp", "tmpfs", 0, "size=1g,mode=755")
        for name in ("cgroups", "upper", "work", "root"):
            os.mkdir("/tmp/" + name)
        mount("cgroup2", self.CGROUPS, "cgroup2")
        self.clear_stale()
        os.mkdir(self.cgroup)
        call("unshare", CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET)
        ours, theirs = os.pipe()  # closed by execve: then all went well
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(ours)
                Init(self.cgroup).run()
            except BaseException as error:
                os.write(theirs, str(error).encode())
            finally:
                os._exit(1)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            error = pipe.read().decode()
        if error:
            raise OSError(error)

    def clear(self):
        """Kills PID 1, which takes all others with it, and removes the cgroups."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        end = time.monotonic() + DEADLINE
        while os.path.exists(self.cgroup):
            remove_cgroup(self.cgroup)
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def clear_stale(self):
        """Removes what supervisors that were killed could not."""
        for name in os.listdir(self.CGROUPS):
            if name.startswith(CGROUP_PREFIX) and not os.path.exists(
                    "/proc/" + name[len(CGROUP_PREFIX):]):
                remove_cgroup(os.path.join(self.CGROUPS, name))


def remove_cgroup(top):
    """Removes the empty ones of a tree of cgroups; the last ones may still be on their way out."""
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            pass


class Init:
    """The box's PID 1 until it becomes systemd: furnishes the root directory and moves in."""

    ROOT = "/tmp/root"

    def __init__(self, cgroup):
        self.cgroup = cgroup

    def run(self):
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
        with open(os.path.join(self.cgroup, "cgroup.procs"), "w") as f:
            f.write("0")
        call("unshare", CLONE_NEWNS | CLONE_NEWCGROUP)
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        socket.sethostname("box")
        self.root()
        self.proc_and_sys()
        self.dev()
        self.units()
        self.move_in()
        for capability in DROPPED_CAPABILITIES:
            call("prctl", PR_CAPBSET_DROP, capability)
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.execve(SYSTEMD, [SYSTEMD, "--system", "--unit=basic.target", "--show-status=no",
                            "--default-standard-output=journal"],
                  {"container": "ivshmem-test", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def at(self, path):
        return self.ROOT + path

    def mount(self, kind, path, flags=0, data=None):
        if not os.path.isdir(self.at(path)):
            os.makedirs(self.at(path))
        mount(kind, self.at(path), kind, flags, data)

    def bind(self, path):
        mount(self.at(path), self.at(path), None, MS_BIND)
        mount(None, self.at(path), None, MS_BIND | MS_REMOUNT | MS_RDONLY)

    def root(self):
        mount("overlay", self.ROOT, "overlay", 0,
              "lowerdir=/,upperdir=/tmp/upper,workdir=/tmp/work")
        if os.path.ismount("/usr"):
            mount("/usr", self.at("/usr"), None, MS_BIND)
            mount(None, self.at("/usr"), None, MS_BIND | MS_REMOUNT | MS_RDONLY)
        self.mount("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755")
        self.mount("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777")
        for path in HIDDEN:
            if os.path.isdir(self.at(path)):
                mount("tmpfs", self.at(path), "tmpfs", 0, "mode=755")
        self.text("/etc/machine-id", "%032x\n" % 0x1735)
        self.text("/etc/hostname", "box\n")

    def text(self, path, content):
        with open(self.at(path), "w") as f:
            f.write(content)

    def proc_and_sys(self):
        safe = MS_NOSUID | MS_NODEV | MS_NOEXEC
        self.mount("proc", "/proc", safe)
        for path in ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"):
            if os.path.exists(self.at(path)):
                self.bind(path)
        self.mount("sysfs", "/sys", safe | MS_RDONLY)
        self.mount("cgroup2", "/sys/fs/cgroup", safe)

    def dev(self):
        self.mount("tmpfs", "/dev", MS_NOSUID, "mode=755")
        for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
            self.device(name, 1, minor)
        self.device("tty", 5, 0)
        for name, target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
                             ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"),
                             ("ptmx", "pts/ptmx")):
            os.symlink(target, self.at("/dev/" + name))
        self.mount("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
                   "newinstance,ptmxmode=0666,mode=0620")
        self.mount("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777")
        self.text("/dev/console", "")  # an ordinary file, to read in when it does not come up

    def device(self, name, major, minor):
        path = self.at("/dev/" + name)
        os.mknod(path, 0o020666, os.makedev(major, minor))
        os.chmod(path, 0o666)

    def units(self):
        """Masks what the standard targets would start, other than the journal."""
        os.makedirs(self.at("/etc/systemd/system"))
        wanted = set()
        for folder in UNIT_FOLDERS:
            for name in os.listdir(self.at(folder)) if os.path.isdir(self.at(folder)) else ():
                if name.endswith((".target.wants", ".target.requires")):
                    wanted.update(os.listdir(os.path.join(self.at(folder), name)))
        for name in wanted - WANTED:
            if not name.endswith(".target"):
                os.symlink("/dev/null", self.at("/etc/systemd/system/" + name))
        self.text("/etc/systemd/system.conf", "[Manager]\nDefaultTimeoutStopSec=90\n")
        self.text("/etc/systemd/journald.conf",
                  "[Journal]\nStorage=volatile\nRateLimitBurst=0\nRuntimeMaxUse=32M\n")

    def move_in(self):
        os.chdir(self.ROOT)
        if libc.syscall(SYS_PIVOT_ROOT, b".", b".") < 0:
            raise OSError(ctypes.get_errno(), "pivot_root")
        call("umount2", b".", MNT_DETACH)
        os.chdir("/")


if __name__ == "__main__" and sys.argv[1:] == ["--supervise"]:
    sys.exit(Supervisor().run())
