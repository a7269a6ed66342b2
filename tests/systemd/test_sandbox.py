#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The real systemd in its box, and the host as it was before."""

import glob
import os
import signal
import subprocess
import sys
import unittest.mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import sandbox  # noqa: E402
import support  # noqa: E402

# Settings that only report, or that change by themselves.
REPORTS = ("fs/dentry-state", "fs/file-nr", "fs/inode-", "fs/aio-nr", "fs/quota", "fs/dquot",
           "kernel/random", "kernel/ns_last_pid", "kernel/pty/nr", "kernel/sched_domain",
           "kernel/usermodehelper", "net/netfilter/nf_conntrack_count", "vm/stat_refresh",
           "kernel/perf_", "vm/nr_hugepages")  # the last: of tests that may run beside us


def sysctls():
    """Every setting of the kernel with its value."""
    values = {}
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            path = os.path.join(folder, name)
            if path[len("/proc/sys/"):].startswith(REPORTS):
                continue
            try:
                with open(path, "rb") as f:
                    values[path] = f.read(65536)
            except OSError:
                values[path] = None
    return values


def tree(top, skip=()):
    """Every path below a folder, with kind and rights, but not what lies in the skipped ones."""
    found = set()
    for folder, folders, names in os.walk(top):
        for name in folders + names:
            path = os.path.join(folder, name)
            try:
                found.add((path, os.lstat(path).st_mode))
            except OSError:
                pass
        folders[:] = [name for name in folders if os.path.join(folder, name) not in skip]
    return found


def host():
    """The host's state as far as a boot could change it; tests that run beside us come and go."""
    with open("/proc/self/mountinfo") as f:
        mounts = set(f)
    return {
        "/dev": tree("/dev", ("/dev/shm", "/dev/pts")),
        "/run": tree("/run"),
        "/sys": {path for path in glob.glob("/sys/fs/cgroup/*") + glob.glob("/sys/fs/cgroup/*/*")
                 if sandbox.CGROUP_PREFIX not in path},  # those are checked one by one
        "/etc": tree("/etc/systemd") | tree("/lib/systemd"),
        "mounts": mounts,
        "host name": {os.uname().nodename},
    }


class Box(support.Test):
    def setUp(self):
        super().setUp()
        self.box = sandbox.Sandbox()
        self.addCleanup(self.box.stop)

    def boot(self):
        try:
            self.box.start()
        except sandbox.Unavailable as reason:
            self.skipTest(str(reason))
        return self.box

    def cgroups(self, supervisor):
        return glob.glob("/sys/fs/cgroup/**/%s%d" % (sandbox.CGROUP_PREFIX, supervisor),
                         recursive=True)

    def assert_unchanged(self, before, settings):
        changed = {path: value for path, value in sysctls().items()
                   if settings.get(path, value) != value}
        self.assertEqual({}, changed)
        support.wait_for(lambda: host() == before,
                         what="the host to be as before: %s" % {
                             what: now ^ before[what] for what, now in host().items()
                             if now != before[what]})

    def test_boots_and_leaves_nothing(self):
        before, settings = host(), sysctls()
        box = self.boot()
        supervisor = box.supervisor.pid
        self.assertEqual("systemd", box.run("cat", "/proc/1/comm").stdout.strip())
        self.assertEqual("", box.systemctl("--failed", "--plain", "--no-legend").stdout)
        box.write("/etc/systemd/system/probe.service", (
            "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
            "ExecStart=/bin/sh -c 'echo it runs; touch /run/probe /etc/probe /dev/probe'\n"))
        box.systemctl("daemon-reload")
        box.systemctl("start", "probe")
        self.assertIn("it runs", box.journal("probe"))
        self.assertTrue(os.path.exists(box.path("/etc/probe")))
        self.assertFalse(os.path.exists("/etc/probe"))
        self.assertNotEqual(0, box.run("sh", "-c", "echo box >/proc/sys/kernel/hostname",
                                       check=False).returncode)
        box.stop()
        self.assertEqual([], self.cgroups(supervisor))
        self.assert_unchanged(before, settings)

    def test_its_programs_end_with_it(self):
        box = self.boot()
        process = box.popen("sleep", "1000", stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        box.stop()
        process.wait(support.DEADLINE)

    def test_ends_with_the_supervisor(self):
        """The supervisor is killed, and cannot clear up: nothing may go on running."""
        box = self.boot()
        pid, supervisor = box.pid, box.supervisor
        os.kill(supervisor.pid, signal.SIGKILL)
        support.wait_for(lambda: not support.alive(pid), what="the box to end")
        os.waitpid(pid, 0)  # it has become our child
        self.assertRaises(AssertionError, box.stop)
        with sandbox.Sandbox():  # the next one clears up what it could not
            support.wait_for(lambda: not self.cgroups(supervisor.pid), what="no cgroup to be left")

    def test_several_at_once(self):
        first = self.boot()
        with sandbox.Sandbox() as second:
            first.write("/run/mine", "")
            self.assertFalse(os.path.exists(second.path("/run/mine")))
            self.assertNotEqual(first.pid, second.pid)
        self.assertEqual("running", first.systemctl("is-system-running").stdout.strip())

    def test_refusal_has_a_reason(self):
        with unittest.mock.patch("os.geteuid", return_value=1000):
            self.assertRaisesRegex(sandbox.Unavailable, "root", self.box.start)


if __name__ == "__main__":
    support.main()
