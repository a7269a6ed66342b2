#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
What the control socket is for: every method, error and event of its interface, against the
description that the server gives, and doorbells that somebody has made to block.
"""

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import unittest

import channels
import support
from varlink import INTERFACE, ControlTest, Description, HungUp

FULL = (1 << 64) - 2  # the largest value of an eventfd's counter


class Service(ControlTest):
    def test_info(self):
        info = self.control(self.serve()).call("org.varlink.service.GetInfo")
        self.assertEqual(["org.varlink.service", INTERFACE], info["interfaces"])
        self.assertEqual("ivshmem-server", info["product"])
        version = support.run(support.SERVER, "--version").stdout.split()[1]
        self.assertEqual(version, info["version"])

    def describe(self, control, name=INTERFACE):
        text = control.call("org.varlink.service.GetInterfaceDescription",
                            interface=name)["description"]
        return text, Description(text)

    def test_descriptions_are_the_files(self):
        control = self.control(self.serve())
        for name in (INTERFACE, "org.varlink.service"):
            with open(os.path.join(support.TOP, "server", name + ".varlink")) as f:
                text, description = self.describe(control, name)
                self.assertEqual(f.read(), text)
            self.assertEqual(name, description.name)

    def test_every_method_is_there_and_fits_its_description(self):
        server = self.serve("--slot=one=7", "--channels", vectors=2)
        control = self.control(server)
        peer = self.peer(server)
        one, other = [channels.Speaker(server.socket, vectors=2) for _ in range(2)]
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        other.listen(1)
        rings = [one.connected(other, 1, reverse_size=8192) for _ in range(2)]
        slot = support.RawPeer(server.socket + ".one", vectors=2)
        self.addCleanup(slot.close)
        description = self.describe(control)[1]
        parameters = {"Ring": {"peer": 7}, "Disconnect": {"peer": peer.id},
                      "SetLogLevel": {"level": "info"}, "CloseChannel": {"channel": rings[0]},
                      "Resize": {"channel": rings[1], "size": 12288}}
        methods = sorted(description.methods.items(), key=lambda method: method[0] == "Reexec")
        for name, (sent, replied) in methods:  # Reexec last: it ends the connections
            with self.subTest(name):
                given = description.check(sent, parameters.get(name, {}))
                if name == "Monitor":
                    reply = next(self.control(server).stream(name))
                else:
                    reply = control.call("%s.%s" % (INTERFACE, name), **given)
                description.check(replied, reply)
        service = self.describe(self.control(server), "org.varlink.service")[1]
        self.assertEqual({"GetInfo", "GetInterfaceDescription"}, set(service.methods))

    def test_unknown_things(self):
        control = self.control(self.serve())
        service = "org.varlink.service."
        self.assertEqual({"interface": "com.example.x"}, self.fails(
            service + "InterfaceNotFound", control.call, "com.example.x.Status"))
        self.assertEqual({"interface": "x"}, self.fails(
            service + "InterfaceNotFound", control.call, service + "GetInterfaceDescription",
            interface="x"))
        self.assertEqual({"method": INTERFACE + ".Explode"}, self.fails(
            service + "MethodNotFound", control.call, INTERFACE + ".Explode"))
        self.fails(service + "InterfaceNotFound", control.call, INTERFACE)
        self.fails(service + "MethodNotFound", control.call, "")
        self.fails(service + "MethodNotFound", control.call, "Status")
        self.fails(service + "MethodNotFound", control.call, "\u00e4 \" \\ \n")
        self.invalid("interface", control.call, service + "GetInterfaceDescription")
        self.invalid("interface", control.call, service + "GetInterfaceDescription", interface=1)
        self.invalid("color", control.status, color="red")
        self.invalid("PEER", control.ring, PEER=0)
        control.send({"method": INTERFACE + ".Status", "upgrade": True})
        self.fails(service + "MethodNotImplemented", control.reply)
        self.assertEqual(0, control.status()["peers"])

    def test_calls_may_come_in_pieces_and_in_one(self):
        control = self.control(self.serve())
        call = json.dumps({"method": INTERFACE + ".Status", "parameters": None}).encode() + b"\0"
        for at in range(len(call)):
            control.send(call[at:at + 1])
        self.assertEqual(0, control.reply()["peers"])
        control.send(call * 50)
        self.assertEqual([0] * 50, [control.reply()["peers"] for _ in range(50)])

    def test_oneway(self):
        control = self.control(self.serve(vectors=3))
        peer = self.peer(self.serve(vectors=3))
        server = self.serve(vectors=3)
        peer, control = self.peer(server), self.control(server)
        control.send({"method": INTERFACE + ".Ring", "parameters": {"peer": 0, "vector": 2},
                      "oneway": True})
        control.send({"method": INTERFACE + ".Explode", "oneway": True})
        control.send({"method": INTERFACE + ".Monitor", "oneway": True})
        self.assertEqual(1, control.status()["peers"])  # the first reply that comes
        self.assertEqual(1, peer.wait_ring(2))


class Methods(ControlTest):
    def test_status(self):
        began = time.monotonic()
        server = self.serve("--max-peers=5", "--max-peers-per-uid=4", "--peer-timeout=99",
                            size="2M", vectors=3)
        control = self.control(server)
        peers = [self.peer(server) for _ in range(4)]
        self.assertRaises(support.TurnedAway, self.peer, server)
        for peer in peers[:3]:
            peer.wait_join(3)
        peers.pop().close()
        status = support.wait_for(lambda: (lambda s: s["peers"] == 3 and s)(control.status()))
        self.assertEqual(server.pid, status["pid"])
        self.assertEqual((server.socket, server.control),
                         (status["socket"], status["control_socket"]))
        self.assertEqual({"kind": "object", "name": server.shm_name, "size": 2 << 20,
                          "sealed": False, "reserved": True}, status["region"])
        self.assertEqual((3, 0), (status["vectors"], status["slots"]))
        self.assertEqual((5, 4, 99), tuple(
            status["limits"][name] for name in ("peers", "peers_per_uid", "peer_timeout")))
        counters = status["counters"]
        self.assertEqual((4, 1, 1, 0, 0), tuple(
            counters[name] for name in ("joins", "leaves", "refusals", "repairs", "rings")))
        for peer in peers:
            peer.wait_leave(3)
        # 4 greetings of 3 messages, 4 + 3 + 2 + 1 tellings of 3 vectors twice but the own, 3 leaves
        self.assertEqual(4 * 3 + 16 * 3 + 3, control.status()["counters"]["announcements"])
        self.assertLessEqual(status["uptime"], time.monotonic() - began + 1)

    def test_kinds_of_memory(self):
        status = self.control(self.serve("--sealed", "--no-reserve", size="1M")).status()
        self.assertEqual({"kind": "memfd", "size": 1 << 20, "sealed": True, "reserved": False},
                         status["region"])
        status = self.control(self.serve(shm_dir=self.folder, size="1M")).status()
        self.assertEqual(("directory", self.folder),
                         (status["region"]["kind"], status["region"]["directory"]))

    def test_sizes_are_integers(self):
        """Also where floating-point numbers would be written with an exponent."""
        control = self.control(self.serve("--no-reserve", "--sealed", size="1P"))
        control.send({"method": INTERFACE + ".Status"})
        while b"\0" not in control.rest:
            control.rest += control.sock.recv(65536)
        self.assertIn(b'"size":1125899906842624,', control.rest)

    def test_peers(self):
        server = self.serve("--slot=main=40", vectors=2)
        control = self.control(server)
        began = time.time()
        first = self.peer(server)
        main = support.RawPeer(server.socket + ".main", vectors=2)
        self.addCleanup(main.close)
        told = control.list_peers()["peers"]
        self.assertEqual([0, 40], [peer["id"] for peer in told])
        self.assertEqual([None, "main"], [peer.get("slot") for peer in told])
        for peer in told:
            self.assertEqual((os.getpid(), os.getuid(), 2),
                             (peer["pid"], peer["uid"], peer["vectors"]))
            with open("/proc/self/comm") as f:
                self.assertEqual(f.read().strip(), peer["command"])
            self.assertTrue(began - 1 <= peer["joined"] <= time.time() + 1, peer["joined"])
        first.wait_join(40)
        main.wait_join(0)
        support.wait_for(lambda: [0, 0] == [
            peer["backlog"] for peer in control.list_peers()["peers"]])

    def test_backlog_of_a_peer_that_does_not_read(self):
        server = self.serve(vectors=64)
        control = self.control(server)
        sleepy = self.peer(server)
        others = [self.peer(server, keep=False) for _ in range(8)]

        def backlog():
            return {peer["id"]: peer["backlog"] for peer in control.list_peers()["peers"]}

        def full_backlog():
            """What is left when the server, which has its turns between calls, cannot go on."""
            told = [backlog()[sleepy.id] for _ in range(4)]
            return told[0] if len(set(told)) == 1 else None
        full = support.wait_for(full_backlog, what="its socket to be full")
        self.assertGreater(full, 64)
        self.assertLessEqual(full, 8 * 64)
        others.pop().close()
        support.wait_for(lambda: full - 64 == backlog()[sleepy.id],
                         what="a leave of one that it had not heard of")
        support.wait_for(lambda: all([peer.update() for peer in others + [sleepy]])
                         and set(backlog().values()) == {0}, what="empty backlogs")
        sleepy.update()
        self.assertEqual([64] * 8, [len(fds) for fds in sleepy.table.values()])

    def test_command_names_of_any_bytes(self):
        server = self.serve()
        name = b"\xff\xc3\"\\ \x01n"
        script = ("import socket,sys\ns=socket.socket(socket.AF_UNIX)\n"
                  "open('/proc/self/comm','wb').write(%r)\ns.connect(%r)\nprint(flush=True)\n"
                  "sys.stdin.read()" % (name, server.socket))
        with subprocess.Popen([support.sys.executable, "-c", script], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, preexec_fn=support.die_with_parent) as other:
            other.stdout.readline()
            peer, = support.wait_for(lambda: self.control(server).list_peers()["peers"])
            self.assertRegex(peer["command"], r'^\?\?"\\ .n$')
            other.stdin.close()

    def test_slots(self):
        server = self.serve("--slot=a=3", "--slot=b=9:" + self.path("bee"))
        control = self.control(server)
        self.assertEqual({"slots": [
            {"name": "a", "id": 3, "socket": server.socket + ".a", "held": False},
            {"name": "b", "id": 9, "socket": self.path("bee"), "held": False},
        ]}, control.list_slots())
        peer = support.RawPeer(self.path("bee"))
        self.assertEqual([False, True], [slot["held"] for slot in control.list_slots()["slots"]])
        peer.close()
        support.wait_for(lambda: not control.list_slots()["slots"][1]["held"])
        self.assertEqual([], self.control(self.serve()).list_slots()["slots"])

    def test_disconnect(self):
        server = self.serve()
        control = self.control(server)
        peers = [self.peer(server) for _ in range(3)]
        self.assertEqual({}, control.disconnect(peer=1))
        peers[1].wait_hang_up()
        peers[0].wait_leave(1)
        self.assertEqual({"peer": 1}, self.fails(".NoSuchPeer", control.disconnect, peer=1))
        self.assertEqual({"peer": 65536}, self.fails(".NoSuchPeer", control.disconnect, peer=65536))
        for wrong in (None, -1, 1.5, "0", True, [0], 1e300):
            self.invalid("peer", control.disconnect, peer=wrong)
        self.invalid("peer", control.disconnect)
        self.assertRegex(server.stderr, r"peer 1 left, disconnected: .*control socket.*pid %d"
                         % os.getpid())
        self.assertEqual([0, 2], [peer["id"] for peer in control.list_peers()["peers"]])

    def test_reexec(self):
        """The answer comes after the trial; peers notice nothing, and a newcomer is announced."""
        server = self.serve()
        peer = self.peer(server)
        self.assertEqual({}, self.control(server).reexec())
        newcomer = self.peer(server)
        peer.wait_join(newcomer.id)
        peer.ring(newcomer.id)
        newcomer.wait_ring()

    def test_reexec_of_a_program_that_cannot(self):
        program = self.path("ivshmem-server")
        shutil.copy(support.SERVER, program)
        server = self.serve(program=program)
        control, peer = self.control(server), self.peer(server)
        os.rename(program, program + ".old")
        for text, reason in (("#!/bin/sh\necho no: too old\n", "too old"), ("", "execute")):
            with open(program, "w") as f:
                f.write(text)
            os.chmod(program, 0o755)
            parameters = self.fails(INTERFACE + ".CannotReexec", control.reexec)
            self.assertIn(reason, parameters["reason"])
            peer.wait_join(self.peer(server).id)

    def test_log_level(self):
        server = self.serve()
        control = self.control(server)
        self.assertEqual({"level": "info"}, control.get_log_level())
        for level in ("error", "debug", "warning", "notice"):
            self.assertEqual({}, control.set_log_level(level=level))
            self.assertEqual({"level": level}, control.get_log_level())
        self.peer(server)
        self.assertNotIn("joined", server.stderr)
        control.set_log_level(level="info")
        self.peer(server)
        self.assertIn("joined", server.stderr)
        for wrong in ("loud", "", 7, None):
            self.invalid("level", control.set_log_level, level=wrong)
        server.send_signal(support.signal.SIGHUP)
        control.set_log_level(level="error")
        support.wait_for(lambda: control.get_log_level() == {"level": "info"} or
                         server.send_signal(support.signal.SIGHUP))


class Ring(ControlTest):
    def test_one_some_all(self):
        server = self.serve("--slot=kept=9", vectors=40)
        control = self.control(server)
        a, b = self.peer(server), self.peer(server)
        self.assertEqual({"rung": 1}, control.ring(peer=1, vector=39))
        self.assertEqual([39], [v for v in range(40) if b.rung(v)])
        self.assertEqual(1, b.wait_ring(39))
        self.assertEqual({"rung": 40}, control.ring(peer=0))
        self.assertEqual([1] * 40, [a.wait_ring(v) for v in range(40)])
        self.assertFalse(any(b.rung(v) for v in range(40)))
        self.assertEqual({"rung": 80}, control.ring())
        for peer in (a, b):
            self.assertEqual([1] * 40, [peer.wait_ring(v) for v in range(40)])
        self.assertEqual({"rung": 2}, control.ring(vector=0))
        self.assertEqual((1, 1), (a.wait_ring(), b.wait_ring()))
        self.assertEqual(123, control.status()["counters"]["rings"])
        # nobody is there: it waits for the next one
        self.assertEqual({"rung": 1}, control.ring(peer=9, vector=5))
        kept = support.RawPeer(server.socket + ".kept", vectors=40)
        self.addCleanup(kept.close)
        self.assertEqual(1, kept.wait_ring(5))

    def test_wrong(self):
        server = self.serve(vectors=2)
        control = self.control(server)
        self.peer(server)
        for peer in (1, 65535, 65536, 2147483647):
            self.assertEqual({"peer": peer}, self.fails(".NoSuchPeer", control.ring, peer=peer))
        for vector in (2, 2048, 2147483647):
            self.assertEqual({"vector": vector, "vectors": 2}, self.fails(
                ".NoSuchVector", control.ring, peer=0, vector=vector))
        for wrong in (-1, 0.5, 1e20, "0", False, {}):
            self.invalid("peer", control.ring, peer=wrong)
            self.invalid("vector", control.ring, peer=0, vector=wrong)

    def fill(self, fd):
        """What a malicious peer can do: block whoever rings."""
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        try:
            os.read(fd, 8)
        except BlockingIOError:
            pass
        os.write(fd, struct.pack("=Q", FULL))
        fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)

    def test_stuck_doorbells(self):
        server = self.serve(vectors=4)
        control = self.control(server)
        peers = [self.peer(server) for _ in range(3)]
        self.fill(peers[1].table[1][2])
        stuck = self.fails(".DoorbellStuck", control.ring, peer=1, vector=2)
        self.assertEqual({"peer": 1, "vector": 2, "rung": 0}, stuck)
        stuck = self.fails(".DoorbellStuck", control.ring, peer=1)
        self.assertEqual({"peer": 1, "vector": 2, "rung": 2}, stuck)
        stuck = self.fails(".DoorbellStuck", control.ring)
        self.assertEqual({"peer": 1, "vector": 2, "rung": 4 + 2 + 4}, stuck)
        for peer in (peers[0], peers[2]):
            self.assertEqual([1] * 4, [peer.wait_ring(v) for v in range(4)])
        os.read(peers[1].table[1][2], 8)
        self.assertEqual({"rung": 1}, control.ring(peer=1, vector=2))
        self.assertEqual(1, peers[1].wait_ring(2))

    def test_stuck_doorbell_holds_up_nobody(self):
        server = self.serve(vectors=1)
        villain = self.peer(server)
        self.fill(villain.table[villain.id][0])
        other = self.peer(server)
        self.control(server).ring(peer=other.id)
        before = server.descriptors()
        threads = os.listdir("/proc/%d/task" % server.pid)
        waiting = [self.control(server) for _ in range(8)]
        for control in waiting:
            control.send({"method": INTERFACE + ".Ring", "parameters": {"peer": villain.id}})
        self.serves(server)
        for control in waiting[:4]:
            control.close()  # before the answer
        for control in waiting[4:]:
            self.fails(".DoorbellStuck", control.reply)
            control.close()
        support.wait_for(lambda: server.descriptors() <= before, what="descriptors")
        self.assertEqual(threads, os.listdir("/proc/%d/task" % server.pid))
        villain.update()
        server.stop()

    def test_stop_while_stuck(self):
        server = self.serve(vectors=1)
        villain = self.peer(server)
        self.fill(villain.table[villain.id][0])
        control = self.control(server)
        for _ in range(3):
            control.send({"method": INTERFACE + ".Ring", "parameters": {"peer": villain.id}})
        server.stop()

    def test_many_rings_at_once(self):
        server = self.serve(vectors=100)
        peers = [self.peer(server) for _ in range(3)]
        clients = [self.control(server) for _ in range(10)]
        for client in clients:
            client.send({"method": INTERFACE + ".Ring"})
        peers.pop().close()  # in the midst of it
        for client in clients:
            self.assertIn(client.reply()["rung"], range(200, 301))
        for peer in peers:
            self.assertEqual([10] * 100, [peer.wait_ring(v) for v in range(100)])


class Monitor(ControlTest):
    def test_needs_more(self):
        self.fails("org.varlink.service.ExpectedMore", self.control(self.serve()).monitor)

    def test_events(self):
        began = time.time()
        server = self.serve("--max-peers=2", "--slot=one=5", size="64k")
        monitors = [self.control(server) for _ in range(3)]
        streams = [monitor.stream("Monitor") for monitor in monitors]
        for stream in streams:
            self.assertEqual("ready", next(stream)["event"])
        peer = self.peer(server)
        slot = support.RawPeer(server.socket + ".one")
        self.assertRaises(support.TurnedAway, self.peer, server)
        slot.close()
        os.truncate(server.shm, 4096)
        support.wait_for(lambda: os.stat(server.shm).st_size == 65536)
        self.control(server).disconnect(peer=peer.id)
        me = {"pid": os.getpid(), "uid": os.getuid()}
        expected = [{"event": "joined", "peer": 0, **me},
                    {"event": "joined", "peer": 5, "slot": "one", **me},
                    {"event": "refused", "reason": "--max-peers", **me},
                    {"event": "left", "peer": 5, "slot": "one", **me},
                    {"event": "repaired", "size": 4096},
                    {"event": "left", "peer": 0, "reason": "control socket", **me}]
        for stream in streams:
            # the leave of the slot's and the repair are not in a fixed order
            events = [next(stream) for _ in expected]
            for event, wanted in zip(sorted(events, key=lambda e: e["event"]),
                                     sorted(expected, key=lambda e: e["event"])):
                self.assertTrue(began - 1 <= event["time"] / 1e6 <= time.time() + 1, event)
                self.assertEqual(set(event), set(wanted) | {"time"} | (
                    {"command"} if "pid" in wanted else set()))
                for name, value in wanted.items():
                    if name == "reason":
                        self.assertIn(value, event[name])
                    else:
                        self.assertEqual(value, event[name], event)
        self.assertEqual(1, self.control(server).status()["counters"]["repairs"])
        server.stop()
        for stream in streams:
            self.assertRaises(HungUp, next, stream)

    def test_one_that_stalls_is_dropped(self):
        server = self.serve()
        stalled = self.control(server)
        stalled.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        next(stalled.stream("Monitor"))
        listening = self.control(server)
        stream = listening.stream("Monitor")
        next(stream)
        rounds = 0
        while "does not read the events" not in server.stderr:
            rounds += 1
            self.assertLess(rounds, 10000)
            support.RawPeer(server.socket).close()
            for _ in range(2):
                self.assertIn(next(stream)["event"], ("joined", "left"))
        self.assertEqual(1, server.stderr.count("hung up on"), server.stderr)
        self.serves(server)
        for message in stalled.wait_hang_up():  # what had come before is whole
            self.assertIn(message["parameters"]["event"], ("joined", "left"))

    def test_one_that_talks_is_dropped(self):
        server = self.serve()
        control = self.control(server)
        next(control.stream("Monitor"))
        control.send({"method": INTERFACE + ".Status"})
        self.assertEqual([], control.wait_hang_up())
        self.serves(server)


class OurClient(ControlTest):
    """ivshmem-client call: takes no place among the peers, and says how it ended."""

    def call(self, server, *words, status=0):
        result = support.run(support.CLIENT, "-S", server.socket, "call", *words)
        self.assertEqual(status, result.returncode, result.stderr)
        return json.loads(result.stdout) if status == 0 else result.stderr

    def test_calls(self):
        server = self.serve(vectors=2)
        peer = self.peer(server, vectors=2)
        self.assertEqual([peer.id], [p["id"] for p in self.call(server, "ListPeers")["peers"]])
        self.assertEqual(1, self.call(server, INTERFACE + ".Status")["peers"])
        self.call(server, "Ring", json.dumps({"peer": peer.id, "vector": 1}))
        peer.wait_ring(1)
        self.assertEqual({}, self.call(server, "Reexec"))
        self.assertEqual(1, self.peer(server, vectors=2).id)  # none of the calls used an ID

    def test_errors(self):
        server = self.serve()
        self.assertIn("NoSuchPeer", self.call(server, "Ring", '{"peer": 9}', status=5))
        self.assertIn("MethodNotFound", self.call(server, "Explode", status=5))
        for wrong in ("[]", "{", "peer"):
            self.assertIn(wrong, self.call(server, "Ring", wrong, status=1))
        self.call(server, status=1)
        self.call(server, "Status", "{}", "more", status=1)
        server.stop()
        self.assertIn(".ctl", self.call(server, "Status", status=2))


class Varlinkctl(ControlTest):
    @unittest.skipUnless(shutil.which("varlinkctl"), "varlinkctl (systemd 255) is not installed")
    def test_third_party_client(self):
        server = self.serve(vectors=2)
        peer = self.peer(server)
        for words in (["info"], ["list-interfaces"], ["introspect"], ["validate-idl"]):
            if words == ["introspect"]:
                words = ["introspect", server.control, INTERFACE]
            elif words == ["validate-idl"]:
                words += [os.path.join(support.TOP, "server", INTERFACE + ".varlink")]
            else:
                words += [server.control]
            result = support.run("varlinkctl", *words)
            self.assertEqual(0, result.returncode, result.stderr)
        result = support.run("varlinkctl", "call", server.control, INTERFACE + ".Ring",
                             '{"peer":0,"vector":1}')
        self.assertEqual((0, {"rung": 1}), (result.returncode, json.loads(result.stdout)))
        self.assertEqual(1, peer.wait_ring(1))


if __name__ == "__main__":
    support.main()
