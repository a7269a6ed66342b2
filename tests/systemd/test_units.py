#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The unit files: systemd understands all of them, the sandbox is tight, the user can be made."""

import os
import re
import shutil
import unittest

import service
import support

UNITS = ("ivshmem-server.service", "ivshmem-server.socket", "ivshmem-server@.service",
         "ivshmem-server@.socket")
EXPOSURE = 0.6
NAMES_LIMIT = 128 * 1024  # of one environment variable
NAME_LENGTH = 7  # of a stored descriptor


def need(program):
    return unittest.skipUnless(shutil.which(program), "no %s (systemd is not installed)" % program)


def settings(unit):
    """Every assignment of a unit: section -> key -> list of values."""
    found = {}
    with open(os.path.join(service.BUILT, unit)) as f:
        for line in f:
            section = re.match(r"\[(.*)\]", line)
            if section:
                values = found.setdefault(section.group(1), {})
            elif "=" in line and not line.startswith("#"):
                key, _, value = line.strip().partition("=")
                values.setdefault(key, []).append(value)
    return found


class Units(support.Test):
    def setUp(self):
        super().setUp()
        for unit in UNITS:
            with open(self.path(unit), "w") as f:
                f.write(service.with_program(unit, support.SERVER))

    def verify(self, *units):
        result = support.run("systemd-analyze", "verify", "--man=no",
                             *(self.path(unit) for unit in units))
        self.assertEqual("", result.stderr)  # an unknown key is a warning, and the code is 0
        self.assertEqual(0, result.returncode)

    def test_everything_is_substituted(self):
        for unit in UNITS:
            with open(os.path.join(service.BUILT, unit)) as f:
                self.assertEqual([], re.findall(r"@\w+@", f.read()), unit)

    @need("systemd-analyze")
    def test_plain(self):
        self.verify("ivshmem-server.service", "ivshmem-server.socket")

    @need("systemd-analyze")
    def test_template(self):
        self.verify("ivshmem-server@a-b.service", "ivshmem-server@a-b.socket")

    @need("systemd-analyze")
    def test_drop_ins(self):
        """Those that are installed or copied; the one for 254 and later only where that runs."""
        version = int(support.run("systemd-analyze", "--version").stdout.split()[1])
        folders = {"socket": "libvirt.conf"}
        if version >= 254:
            folders["service"] = "store-preserve.conf"
        for kind, source in folders.items():
            folder = self.path("ivshmem-server@.%s.d" % kind)
            os.mkdir(folder)
            shutil.copy(os.path.join(service.SOURCES, source), folder)
        self.verify("ivshmem-server@x.service", "ivshmem-server@x.socket")

    @need("systemd-analyze")
    def test_exposure(self):
        for unit in ("ivshmem-server.service", "ivshmem-server@.service"):
            result = support.run("systemd-analyze", "security", "--offline=true", "--no-pager",
                                 self.path(unit))
            self.assertEqual(0, result.returncode, result.stderr)
            found = re.search(r"Overall exposure level for .*: ([\d.]+)", result.stdout)
            self.assertLessEqual(float(found.group(1)), EXPOSURE, result.stdout)

    def test_restart_without_a_trace(self):
        """What must hold for every restart; each was a way to lose the peers."""
        for unit in ("ivshmem-server.service", "ivshmem-server@.service"):
            unit_section, service = (settings(unit)[name] for name in ("Unit", "Service"))
            self.assertEqual(["0"], unit_section["StartLimitIntervalSec"])
            for key, value in (("Type", "notify"), ("Restart", "always"), ("RestartSec", "0"),
                               ("RuntimeDirectoryPreserve", "yes"), ("RemoveIPC", "no")):
                self.assertEqual([value], service[key], key)
            for key in ("DynamicUser", "PrivateUsers", "ProtectProc"):
                self.assertNotIn(key, service)
            store = int(service["FileDescriptorStoreMax"][0])
            self.assertLess(store, int(service["LimitNOFILE"][0]))
            self.assertLess(len("LISTEN_FDNAMES=") + store * (NAME_LENGTH + 1), NAMES_LIMIT)
            self.assertIn("WatchdogSec", service)

    def test_plain_and_template_agree(self):
        for kind in ("service", "socket"):
            texts = []
            for unit, name, other in (("ivshmem-server", "ivshmem", "ivshmem-server"),
                                      ("ivshmem-server@", "%i", "ivshmem-server@%i")):
                with open(os.path.join(service.BUILT, "%s.%s" % (unit, kind))) as f:
                    text = f.read().replace(other + ".socket", "SOCKET")
                text = text.replace(", region %i", "").replace("/%s.conf" % name, "/NAME.conf")
                texts.append(text.replace("/%s.sock\n" % name, "/NAME.sock\n"))
            self.assertEqual(*texts)

    def test_example_configuration(self):
        result = support.run(support.SERVER, "--foreground", "--check-config", "--config",
                             os.path.join(service.SOURCES, "example.conf"))
        self.assertEqual((0, ""), (result.returncode, result.stderr))

    @need("systemd-sysusers")
    def test_user(self):
        root = self.path("root")
        os.makedirs(os.path.join(root, "etc"))
        result = support.run("systemd-sysusers", "--root", root,
                             os.path.join(service.SOURCES, "ivshmem.sysusers"))
        if os.geteuid() != 0 and result.returncode != 0:
            self.skipTest("systemd-sysusers needs root: " + result.stderr)
        self.assertEqual(0, result.returncode, result.stderr)
        with open(os.path.join(root, "etc/passwd")) as f:
            self.assertRegex(f.read(), r"(?m)^ivshmem:")
        with open(os.path.join(root, "etc/group")) as f:
            self.assertRegex(f.read(), r"(?m)^ivshmem:")
        self.check_run_folder(root)

    def check_run_folder(self, root):
        if os.geteuid() != 0:
            self.skipTest("systemd-tmpfiles needs root to give a folder away")
        result = support.run("systemd-tmpfiles", "--create", "--root", root,
                             os.path.join(service.SOURCES, "ivshmem.tmpfiles"))
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        status = os.stat(os.path.join(root, "run/ivshmem"))
        self.assertEqual(0o755, status.st_mode & 0o7777)
        self.assertNotEqual(0, status.st_uid)


if __name__ == "__main__":
    support.main()
