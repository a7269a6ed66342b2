#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Who may use the control socket, where it is, and what clients that stall, flood or talk nonsense can
not do: hold up the peers, or each other.
"""

import json
import os
import re
import stat
import time
import unittest

import support
from varlink import INTERFACE, Control, ControlTest, HungUp, VarlinkError

CLIENTS_MAX = 16  # CONTROL_CLIENTS_MAX
SESSION_SECONDS = 10  # until one that does not read, or not end its call, is hung up on


def ask_as(path, uid, gid, groups):
    """What somebody else is told who asks for the status."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        told = "nothing"
        try:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
            support.die_with_parent()
            Control(path).status()
            told = "let in"
        except VarlinkError as error:
            told = error.name
        except BaseException as error:
            told = repr(error)
        finally:
            os.write(writer, told.encode())
            os._exit(0)
    os.close(writer)
    try:
        os.waitpid(pid, 0)
        return os.read(reader, 1000).decode()
    finally:
        os.close(reader)


class Nonsense(ControlTest):
    def test_messages(self):
        server = self.serve()
        status = b'{"method":"io.ivshmem.Server.Status"'
        cases = {
            "empty": b"\0", "text": b"hello\0", "half": status + b"\0",
            "rubbish behind": status + b"} x\0", "a list": b"[]\0", "a number": b"1\0",
            "no method": b"{}\0", "a number as method": b'{"method":1}\0',
            "a list as parameters": status + b',"parameters":[]}\0',
            "a text as more": status + b',"more":"yes"}\0',
            "more and oneway": status + b',"more":true,"oneway":true}\0',
            "no UTF-8": b'{"method":"\xff\xfe"}\0', "half a pair": b'{"method":"\xed\xa0\x80"}\0',
            "escaped NUL": b'{"method":"io.ivshmem.Server.Status\\u0000x"}\0',
            "half a pair, escaped": b'{"method":"\\ud800"}\0',
            "deep": status + b',"parameters":{"a":' + b"[" * 20 + b"]" * 20 + b"}}\0",
            "very deep": b"[" * 60000 + b"\0", "deep objects": b'{"a":' * 10000 + b"\0",
            "too long": b"x" * 65536, "much too long": b"{" * 1000000,
            "long string": b'{"method":"' + b"y" * 70000 + b'"}\0',
            "random": bytes(range(1, 256)) * 4 + b"\0",
        }
        for name, data in cases.items():
            with self.subTest(name):
                control = self.control(server)
                try:
                    control.send(data)
                except HungUp:
                    pass
                self.assertEqual([], control.wait_hang_up())
        self.serves(server)
        self.assertIn("no Varlink call", server.stderr)
        self.assertIn("too long", server.stderr)

    def test_as_large_and_deep_as_allowed(self):
        control = self.control(self.serve())
        call = {"method": INTERFACE + ".Status", "parameters": None, "x": ""}
        call["x"] = "y" * (65536 - len(json.dumps(call)) - 1)
        control.send(call)
        self.assertEqual(0, control.reply()["peers"])
        call["x"] = json.loads("[" * 15 + "]" * 15)
        control.send(call)
        self.assertEqual(0, control.reply()["peers"])

    def test_good_calls_before_nonsense_are_answered(self):
        control = self.control(self.serve())
        call = json.dumps({"method": INTERFACE + ".GetLogLevel"}).encode() + b"\0"
        control.send(call * 3 + b"nonsense\0" + call)
        self.assertEqual([{"parameters": {"level": "info"}}] * 3, control.wait_hang_up())


class Limits(ControlTest):
    def test_slow_ones_are_dropped(self):
        """One sends half a call, one does not read its replies, one is just there."""
        server = self.serve()
        half, deaf, idle = (self.control(server) for _ in range(3))
        half.send(b'{"method":')
        call = json.dumps({"method": "org.varlink.service.GetInterfaceDescription",
                           "parameters": {"interface": INTERFACE}}).encode() + b"\0"
        began = time.monotonic()
        self.stuff(server, deaf.sock, call * 100)
        if time.monotonic() - began < SESSION_SECONDS / 2:  # it only holds up itself
            self.assertNotIn("did not read", server.stderr)
        half.wait_hang_up()
        support.wait_for(lambda: "did not read" in server.stderr)
        self.assertIn("rest of a call", server.stderr)
        deaf.wait_hang_up()
        self.assertEqual(0, idle.status()["peers"])

    def stuff(self, server, sock, data):
        """Sends until nothing more is taken, though the server serves others meanwhile."""
        sock.setblocking(False)
        refusals = 0
        while refusals < 3:
            try:
                sock.send(data)
                refusals = 0
            except BlockingIOError:
                refusals += 1
                self.serves(server)
        sock.setblocking(True)

    def test_flood(self):
        """Many calls from many clients; peers come and go meanwhile as ever."""
        server = self.serve()
        call = json.dumps({"method": INTERFACE + ".Status"}).encode() + b"\0"
        clients = [self.control(server) for _ in range(8)]
        for client in clients:
            client.sock.setblocking(False)
        for _ in range(20):
            for client in clients:
                try:
                    client.sock.send(call * 1000)
                except BlockingIOError:
                    pass
            self.serves(server)

    def test_number_of_clients(self):
        """The one that is idle for longest makes room; those with a stream stay."""
        server = self.serve()
        stream = self.control(server).stream("Monitor")
        next(stream)
        idle = [self.control(server) for _ in range(CLIENTS_MAX - 1)]
        for client in idle:
            client.get_log_level()
        idle[0].get_log_level()  # now [1] is the one
        newcomer = self.control(server)
        newcomer.get_log_level()
        self.assertEqual([], idle[1].wait_hang_up())
        for client in idle[:1] + idle[2:]:
            client.get_log_level()
        self.peer(server)
        self.assertEqual("joined", next(stream)["event"])

    def test_all_are_busy(self):
        server = self.serve()
        streams = [self.control(server).stream("Monitor") for _ in range(CLIENTS_MAX)]
        for stream in streams:
            next(stream)
        self.assertEqual([], self.control(server).wait_hang_up())
        self.assertIn("turned away", server.stderr)
        self.peer(server)
        for stream in streams:
            self.assertEqual("joined", next(stream)["event"])

    def test_descriptors_are_given_back(self):
        server = self.serve()
        self.control(server).ring()
        with self.control(server) as control:
            control.status()
        before = None
        for _ in range(40):
            self.control(server).close()
            with self.control(server) as control:
                control.status()
            with self.control(server) as control:
                next(control.stream("Monitor"))
        with self.control(server) as control:
            control.status()
            support.wait_for(lambda: server.descriptors() < 40, what=str(before))

    def test_idle_server_does_not_wake_up(self):
        server = self.serve("--metrics-file=" + self.path("m.prom"), vectors=2)
        self.peer(server)
        control = self.control(server)
        control.ring()
        next(self.control(server).stream("Monitor"))

        def switches():
            with open("/proc/%d/task/%d/status" % (server.pid, server.pid)) as f:
                return sum(map(int, re.findall(r"ctxt_switches:\s*(\d+)", f.read())))
        end = time.monotonic() + support.DEADLINE
        while True:  # until 3 seconds pass without a wake-up
            count = switches()
            time.sleep(3)
            if switches() == count:
                break
            self.assertLess(time.monotonic(), end, "it keeps waking up")


class Rights(ControlTest):
    def test_default(self):
        server = self.serve("--socket-mode=0666")
        self.assertEqual(0o600, stat.S_IMODE(os.stat(server.control).st_mode))
        server.stop()
        self.assertFalse(os.path.lexists(server.control))
        self.assertFalse(os.path.lexists(server.control + ".lock"))

    def test_mode_and_group(self):
        group = 54321 if os.getuid() == 0 else os.getgid()
        server = self.serve("--control-mode=0660", "--control-group=%d" % group)
        status = os.stat(server.control)
        self.assertEqual((0o660, group), (stat.S_IMODE(status.st_mode), status.st_gid))
        self.assertEqual(0o600, stat.S_IMODE(os.stat(server.socket).st_mode))
        server.stop()

    def test_elsewhere(self):
        path = self.path("elsewhere")
        server = self.serve("--control-socket=" + path, control=path)
        self.assertEqual(path, self.control(server).status()["control_socket"])
        self.assertFalse(os.path.exists(server.socket + ".ctl"))
        server.stop()
        self.assertFalse(os.path.lexists(path))
        self.assertFalse(os.path.lexists(path + ".lock"))

    def test_daemon_in_another_folder(self):
        def preexec():
            support.die_with_parent()
            os.chdir(self.folder)
        path = self.path("relative")
        server = self.server("-S", "relative", "--slot=a=1", "--metrics-file=m.prom", daemon=True,
                             preexec=preexec, socket_path=path)
        with Control(path + ".ctl") as control:
            status = control.status()
            self.assertEqual((path, path + ".ctl"), (status["socket"], status["control_socket"]))
            self.assertEqual(path + ".a", control.list_slots()["slots"][0]["socket"])
        self.assertTrue(os.path.exists(self.path("m.prom")))
        server.stop()
        self.assertFalse(os.path.exists(self.path("m.prom")))
        self.assertFalse(os.path.exists(path + ".ctl"))

    def test_none(self):
        server = self.server("--control-socket=none")
        support.wait_for(lambda: "serving" in server.stderr)
        self.assertFalse(os.path.exists(server.socket + ".ctl"))
        self.assertFalse(os.path.exists("none"))

    def test_stale(self):
        server = self.serve()
        server.kill()
        again = self.serve("-S", server.socket, socket_path=server.socket)
        self.assertEqual(0, self.control(again).status()["peers"])
        again.stop()

    def test_default_that_cannot_be_made_is_left_out(self):
        long_path = self.path("x" * (107 - len(self.folder) - 1))
        self.assertEqual(107, len(long_path))
        server = self.serve(socket_path=long_path)
        self.assertIn("no control socket", server.stderr)
        self.peer(server)
        server.stop()
        path = self.path("occupied")
        with open(path + ".ctl", "w") as f:
            f.write("precious")
        self.addCleanup(support.remove, path + ".ctl")
        server = self.serve(socket_path=path)
        self.peer(server)
        server.kill()
        with open(path + ".ctl") as f:
            self.assertEqual("precious", f.read())

    def test_explicit_that_cannot_be_made(self):
        self.refused("--control-socket=" + "/tmp/" + "x" * 103, mentions=["--control-socket"])
        self.refused("--control-socket=" + self.path("no/such/folder"),
                     mentions=["--control-socket", self.path("no/such")])
        server = self.serve()
        self.refused("--control-socket=" + server.control, mentions=[server.control, server.pid])
        self.assertEqual(0, self.control(server).status()["peers"])
        self.refused("--control-mode=999", mentions=["--control-mode"])

    def test_options_about_it_ask_for_it(self):
        """Who says what it has to be like is not left without one."""
        folder = self.path("x" * (107 - len(self.folder) - 1))
        for option in ("--control-mode=0660", "--control-group=%d" % os.getgid(),
                       "--control-allow-uid=0", "--control-allow-gid=0"):
            self.refused("-F", "-S", folder, option, mentions=["--control-socket", folder])

    @unittest.skipUnless(os.getuid() == 0, "needs root to be somebody else")
    def test_group_that_cannot_be_given(self):
        os.chown(self.folder, support.NOBODY, support.NOBODY)
        for option in ("--control-group", "--socket-group", "--socket-owner"):
            self.refused("-F", option + "=4242", preexec=support.as_nobody,
                         mentions=["4242", "owner and group", "only root can"])

    @unittest.skipUnless(os.getuid() == 0, "needs root to be somebody else")
    def test_allow_list(self):
        os.chmod(self.folder, 0o755)
        server = self.serve("--control-mode=0666", "--control-allow-uid=0",
                            "--socket-mode=0666")

        def as_somebody(gid=support.NOBODY, groups=()):
            return ask_as(server.control, support.NOBODY, gid, groups)
        denied = "org.varlink.service.PermissionDenied"
        self.assertEqual(denied, as_somebody())
        self.assertRegex(server.stderr, r"control client \(pid \d+, uid 65534.* denied")
        self.assertEqual(0, self.control(server).status()["peers"])
        self.assertEqual(0, self.control(server).status()["counters"]["refusals"])
        server.stop()
        server = self.serve("--control-mode=0666", "--control-allow-gid=4242",
                            socket_path=server.socket)
        self.assertEqual(denied, as_somebody())
        self.assertEqual("let in", as_somebody(gid=4242))
        self.assertEqual("let in", as_somebody(groups=[17, 4242]))

    @unittest.skipUnless(os.getuid() == 0, "needs root to be somebody else")
    def test_allow_list_can_change(self):
        config = self.path("config")
        with open(config, "w") as f:
            f.write("control-allow-uid = 4242\n")
        server = self.serve("--config", config)
        denied = [self.control(server) for _ in range(2 * CLIENTS_MAX)]
        self.fails("org.varlink.service.PermissionDenied", denied[-1].status)
        self.fails("org.varlink.service.PermissionDenied", denied[-1].call, "x")
        with open(config, "w") as f:
            f.write("control-allow-uid = 0\n")
        server.send_signal(support.signal.SIGHUP)
        support.wait_for(lambda: "read again" in server.stderr)
        self.assertEqual(0, self.control(server).status()["peers"])


if __name__ == "__main__":
    support.main()
