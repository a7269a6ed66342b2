#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The stand-in for the service manager, with a daemon that is a few lines of Python."""

import os
import signal
import socket
import sys

import manager
import support


class Daemon:
    """
    What a daemon does with a manager. Numbers that come back under "count" are added up, and every
    client that connects is told the sum and the names that came.
    """

    def __init__(self):
        names = os.environ["LISTEN_FDNAMES"].split(":")
        assert int(os.environ["LISTEN_PID"]) == os.getpid()
        assert int(os.environ["LISTEN_FDS"]) == len(names)
        self.passed = list(zip(names, range(3, 3 + len(names))))
        opened = {int(name) for name in os.listdir("/proc/self/fd")}
        assert len(opened - {0, 1, 2, *(fd for _, fd in self.passed)}) == 1, opened  # the list
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = os.environ["NOTIFY_SOCKET"]
        self.notify.connect("\0" + address[1:] if address[0] == "@" else address)

    def tell(self, text, *fds):
        socket.send_fds(self.notify, [text.encode()], fds)

    def barrier(self):
        ours, theirs = os.pipe()
        self.tell("BARRIER=1", theirs)
        os.close(theirs)
        os.read(ours, 1)
        os.close(ours)

    def run(self):
        counts = [fd for name, fd in self.passed if name == "count"]
        total = sum(int.from_bytes(os.pread(fd, 8, 0), "little") for fd in counts)
        if not counts:
            fd = os.memfd_create("count")
            os.pwrite(fd, (1).to_bytes(8, "little"), 0)
            self.tell("FDSTORE=1\nFDNAME=count\nFDPOLL=0", fd)
        pair = socket.socketpair()
        self.tell("FDSTORE=1\nFDNAME=polled", pair[0].fileno())
        self.tell("FDSTORE=1\nFDNAME=again\nFDPOLL=0", pair[0].fileno())  # a copy: ignored
        self.tell("FDSTORE=1\nFDNAME=gone\nFDPOLL=0", pair[1].fileno())
        self.tell("FDSTOREREMOVE=1\nFDNAME=removed")
        self.barrier()
        pair[0].shutdown(socket.SHUT_RDWR)
        self.tell("FDSTOREREMOVE=1\nFDNAME=nothing")
        if "WATCHDOG_USEC" in os.environ:
            assert int(os.environ["WATCHDOG_PID"]) == os.getpid()
            self.tell("WATCHDOG=1")
        self.tell("READY=1\nSTATUS=sum %d" % total)
        listener = socket.socket(fileno=dict(self.passed)["peers"])
        assert listener.getblocking()
        while True:
            client, _ = listener.accept()
            names = ",".join(sorted(name for name, _ in self.passed))
            client.send(("%d %s" % (total, names)).encode())
            client.close()


class StandIn(manager.Test):
    def daemon(self, **more):
        command = [sys.executable, os.path.abspath(__file__), "--daemon"]
        return self.manager(command, sockets={"peers": self.path("peers")}, **more)

    def ask(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(self.path("peers"))
            total, _, names = sock.recv(4096).decode().partition(" ")
        return int(total), names.split(",")

    def test_store_survives(self):
        service = self.daemon(watchdog=5).start()
        self.assertEqual((0, ["peers"]), self.ask())
        self.assertEqual("sum 0", service.status)
        self.assertEqual(1, service.pings)
        self.assertEqual(["count", "gone"], service.names())  # "polled" has hung up
        self.assertEqual(["count"], service.names("memfd"))
        service.restart()
        self.assertEqual((1, ["count", "gone", "peers"]), self.ask())

    def test_order_changes(self):
        service = self.daemon()
        orders = set()
        spawn = service._spawn
        service._spawn = lambda passed: (orders.add(tuple(n for n, _ in passed)), spawn(passed))[1]
        service.start()
        for _ in range(8):
            service.restart()
        self.assertGreater(len(orders), 2, "seed %d" % service.seed)

    def test_clients_wait_for_the_restart(self):
        service = self.daemon().start()
        service.kill()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(self.path("peers"))
            service.start()
            self.assertIn(b"count", sock.recv(4096))

    def test_misbehaviour(self):
        service = self.daemon(abstract=True).start()
        service.duplicate("count")
        read, write = os.pipe()
        service.add("foreign", read)
        support.close_all((read, write))
        service.restart()
        self.assertEqual((2, ["count", "count", "foreign", "gone", "peers"]), self.ask())
        self.assertEqual(2, service.drop("count"))
        service.restart()
        self.assertEqual(0, self.ask()[0])

    def test_stall(self):
        service = self.daemon()
        service.stall()
        service.start(ready=False)
        self.assertRaises(AssertionError, service.wait_ready, 0.3)
        service.resume()
        service.wait_ready()

    def test_maximum(self):
        service = self.daemon(maximum=1).start()
        self.assertEqual(["count"], service.names())
        self.assertEqual(3, service.dropped)

    def test_end_of_the_service(self):
        service = self.daemon().start()
        self.assertEqual(-signal.SIGTERM, service.kill(signal.SIGTERM))
        service.command = ["/bin/false"]
        self.assertRaisesRegex(AssertionError, "exited 1", service.start)

    def test_faults(self):
        service = manager.Manager(self.folder, ["/bin/true"])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(service.address)
            for text in (b"READY", b"FDSTORE=1\nFDNAME=x", b"FDSTOREREMOVE=1\nFDNAME=a:b",
                         b"BARRIER=1\nREADY=1"):
                sock.send(text)
            service.drain()
        self.assertEqual(4, len(service.close()))


if __name__ == "__main__":
    if sys.argv[1:] == ["--daemon"]:
        Daemon().run()
    support.main()
