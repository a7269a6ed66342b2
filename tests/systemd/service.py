# SPDX-License-Identifier: MIT
"""
ivshmem-server as a service of a real systemd: the program and the units as they are installed, in
a box (sandbox.py).

    class Some(service.Test):
        def test(self):
            self.install("demo", "vectors = 2")        /etc/ivshmem/demo.conf
            self.box.systemctl("start", "ivshmem-server@demo.socket")
            peer = self.join("demo", vectors=2)        a raw client, outside the box
"""

import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import sandbox  # noqa: E402
import support  # noqa: E402

SOURCES = os.path.join(support.TOP, "systemd")
BUILT = os.path.join(os.environ.get("top_builddir", support.TOP + "/build"), "systemd")
PROGRAM = "/usr/sbin/ivshmem-server"  # in the box, whatever prefix was configured
LONG = os.environ.get("IVSHMEM_TEST_LONG") == "1"

# A client inside the box, for what the server can only know of its own PID namespace.
INSIDE = """
import os, socket, sys, time
os.setgroups([int(g) for g in sys.argv[3:]])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
try:
    sock.connect(sys.argv[1])
except PermissionError:
    sys.exit("permission denied")
print(int.from_bytes(sock.recv(8), "little"), flush=True)
sys.stdin.read()
"""


def with_program(unit, program):
    """The text of a unit, with another program for the one that will be installed."""
    with open(os.path.join(BUILT, unit)) as f:
        return re.sub(r"^(ExecStart=|ExecStopPost=-)\S+", r"\1" + program, f.read(),
                      flags=re.MULTILINE)


class Test(support.Test):
    """A test with a box in which the server is installed."""

    def setUp(self):
        super().setUp()
        self.box = sandbox.Sandbox()
        self.addCleanup(self.box.stop)
        try:
            self.box.start()
        except sandbox.Unavailable as reason:
            self.skipTest(str(reason))
        self.put_program(support.SERVER)
        for unit in os.listdir(BUILT):
            if unit.endswith((".service", ".socket")):
                self.box.write("/etc/systemd/system/" + unit, with_program(unit, PROGRAM))
        if self.version() >= 254:
            for folder in ("ivshmem-server.service.d", "ivshmem-server@.service.d"):
                self.box.copy(os.path.join(SOURCES, "store-preserve.conf"),
                              "/etc/systemd/system/%s/store-preserve.conf" % folder)
        for kind in ("sysusers", "tmpfiles"):
            self.box.copy(os.path.join(SOURCES, "ivshmem." + kind), "/etc/%s.d/ivshmem.conf" % kind)
        self.box.run("systemd-sysusers", "/etc/sysusers.d/ivshmem.conf")
        self.box.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/ivshmem.conf")
        self.box.systemctl("daemon-reload")

    def tearDown(self):
        result = self._outcome.result
        if any(test is self for test, _ in result.failures + result.errors):
            print("\n" + self.box.journal()[-4000:], flush=True)

    def version(self):
        return int(self.box.run("systemctl", "--version").stdout.split()[1])

    def put_program(self, source):
        """Installs a server, in place of the one that may run."""
        self.box.copy(source, PROGRAM, 0o755)

    def install(self, name, *lines):
        """Writes the configuration of a region."""
        self.box.write("/etc/ivshmem/%s.conf" % name, "".join(line + "\n" for line in lines))

    def drop_in(self, unit, text):
        self.box.write("/etc/systemd/system/%s.d/test.conf" % unit, text)
        self.box.systemctl("daemon-reload")

    def socket_path(self, name):
        return self.box.path("/run/ivshmem/%s.sock" % name)

    def join(self, name, **more):
        peer = support.RawPeer(self.socket_path(name), **more)
        self.addCleanup(peer.close)
        return peer

    def main_pid(self, unit):
        """The service's main process as the box sees it; 0 for none."""
        return int(self.box.property(unit, "MainPID"))

    def wait_restarted(self, unit, old):
        """Waits for the next process of a service to be ready; returns its ID."""
        def restarted():
            state = self.box.property(unit, "ActiveState")
            self.assertNotEqual("failed", state, self.box.journal(unit))
            return state == "active" and self.main_pid(unit) not in (0, old)

        support.wait_for(restarted, what="the restart of " + unit)
        return self.main_pid(unit)

    def inside(self, name, uid, *gids):
        """A client in the box with these credentials; its name there is "insider"."""
        program = "/tmp/insider"
        if not os.path.exists(self.box.path(program)):
            os.symlink(os.path.realpath(sys.executable), self.box.path(program))
        if self.box.run(program, "-c", "", check=False).returncode != 0:
            self.skipTest("no Python in the box")
        process = self.box.popen(program, "-S", "-c", INSIDE, "/run/ivshmem/%s.sock" % name, uid,
                                 *gids, stdin=-1, stdout=-1, stderr=-1, text=True)

        def end():
            with process:
                process.kill()

        self.addCleanup(end)
        return process

    def group_id(self, name="ivshmem"):
        line = self.box.run("getent", "group", name).stdout
        return int(line.split(":")[2])


def main():
    if not shutil.which("systemd-sysusers"):
        print("no systemd is installed")
        sys.exit(77)
    support.main()
