#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What administrators see of channels and can do to them: control socket, metrics, log, limits."""

import os
import signal

import channels
import support
from channels import BLOCK, CLOSED, CONNECT, OPEN
from varlink import ControlTest


class Test(channels.Test, ControlTest):
    pass


class Lists(Test):
    def test_list(self):
        server = self.serve()
        control = self.control(server)
        self.assertEqual([], control.list_channels()["channels"])
        a, b = self.speaker(server), self.speaker(server)
        b.listen(7)
        first = a.connect(b.id, 7, 2 * BLOCK, reverse_size=BLOCK, pid=55, flags=1).channel
        there, back = control.list_channels()["channels"]
        entry = a.entry(first)
        self.assertEqual({
            "channel": first, "first": first, "pair": back["channel"], "state": "offered",
            "sender": a.id, "receiver": b.id, "pid": 55, "port": 7, "crc32c": True,
            "offset": entry.offset, "size": 2 * BLOCK, "bytes": 0, "messages": 0, "full": 0,
            "resizes": 0}, there)
        self.assertEqual((b.id, a.id, first), (back["sender"], back["receiver"], back["first"]))
        b.accept(first)
        channels.struct.pack_into("<IIIIQQ", a.memory, a.channel_at(first) + channels.APART,
                                  1, 2, 3, 0, 5, 6)
        there = control.list_channels()["channels"][0]
        self.assertEqual(("open", 3, 5, 6), tuple(
            there[name] for name in ("state", "full", "bytes", "messages")))
        a.end(first)
        there = control.list_channels()["channels"][0]
        self.assertEqual(("closed", "peer-closed"), (there["state"], there["reason"]))

    def test_status(self):
        server = self.serve("--mailboxes=9", "--max-channels=20", "--channel-quota=3",
                            "--channel-bytes=64k", size="1M")
        a, b, _ = self.pair(server)
        self.assertEqual(channels.NO_LISTENER,
                         a.ask(CONNECT, peer=b.id, port=99, size=BLOCK).status)
        status = self.control(server).status()
        data = (1 << 20) - a.header.data_offset
        expected = {"mailboxes": 9, "channels_max": 20, "active": 1, "speaking": 2, "bytes": data,
                    "free_bytes": data - BLOCK, "largest_free": data - BLOCK, "quota_channels": 3,
                    "quota_bytes": 65536, "repaired_blocks": 0}
        self.assertEqual(expected, {name: status["channels"][name] for name in expected})
        self.assertEqual(7, status["channels"]["requests"] + 1)
        self.assertEqual((1, 1, 0), tuple(status["counters"]["channels_" + name] for name in (
            "opened", "refused", "closed")))

    def test_without_channels(self):
        server = support.Test.server(self)
        server.control = server.socket + ".ctl"
        support.wait_for(lambda: os.path.exists(server.control))
        control = self.control(server)
        self.assertNotIn("channels", control.status())
        self.assertEqual([], control.list_channels()["channels"])
        self.fails(".NoSuchChannel", control.close_channel, channel=0)


class Steering(Test):
    def test_close(self):
        server = self.serve()
        a, b, channel = self.pair(server)
        control = self.control(server)
        self.assertEqual({}, control.call("io.ivshmem.Server.CloseChannel", channel=channel))
        for peer in (a, b):
            self.assertEqual(channels.SERVER_CLOSED, peer.wait_state(channel, CLOSED).status)
            peer.wait_ring()
        for wrong in (channel, 1, 65536):
            self.assertEqual({"channel": wrong}, self.fails(
                ".NoSuchChannel", control.close_channel, channel=wrong))
        self.invalid("channel", control.close_channel, channel=-1)
        a.end(channel)
        b.end(channel)
        self.assertEqual([], control.list_channels()["channels"])
        self.assertIn("closed through the control socket", server.stderr)

    def test_resize(self):
        server = self.serve()
        a, b, channel = self.pair(server)
        control = self.control(server)
        before = a.entry(channel)
        self.assertEqual({}, control.resize(channel=channel, size=3 * BLOCK - 1))
        moving = b.entry(channel)
        self.assertEqual((1, 3 * BLOCK, before.offset), (
            moving.moving, moving.next_size, moving.offset))
        self.assertIn("moved", self.fails(".CannotResize", control.resize, channel=channel,
                                          size=BLOCK)["reason"])
        for peer in (a, b):
            peer.must(channels.MOVED, channel=channel, generation=1)
        after = a.entry(channel)
        self.assertEqual((0, 3 * BLOCK, 1, moving.next_offset), (
            after.moving, after.size, after.ring_generation, after.offset))
        listed = control.list_channels()["channels"][0]
        self.assertEqual((3 * BLOCK, 1), (listed["size"], listed["resizes"]))
        self.fails(".NoSuchChannel", control.resize, channel=99, size=BLOCK)
        self.fails(".CannotResize", control.resize, channel=channel, size=1 << 33)
        self.fails(".CannotResize", control.resize, channel=channel, size=0)
        for wrong in (-1, 1.5, "4k", 1 << 40, None):
            self.invalid("size", control.resize, channel=channel, size=wrong)

    def test_limits_change(self):
        path = self.path("config")
        with open(path, "w") as f:
            f.write("channel-quota = 1\n")
        server = self.serve("--config", path)
        a, b, _ = self.pair(server)
        over = {"peer": b.id, "port": 1, "size": BLOCK}
        self.assertEqual(channels.OVER_QUOTA, a.ask(CONNECT, **over).status)
        with open(path, "w") as f:
            f.write("channel-quota = 2\nmailboxes = 9\n")
        server.send_signal(signal.SIGHUP)
        support.wait_for(lambda: "configuration read again" in server.stderr)
        self.assertIn("mailboxes has changed and cannot", server.stderr)
        self.assertEqual(channels.OK, a.ask(CONNECT, **over).status)
        self.assertEqual(channels.OVER_QUOTA, a.ask(CONNECT, **over).status)


class News(Test):
    def test_events(self):
        server = self.serve()
        stream = self.control(server).stream("Monitor")
        self.assertEqual("ready", next(stream)["event"])
        a, b, channel = self.pair(server, port=5)
        a.ask(CONNECT, peer=b.id, port=6, size=BLOCK)
        a.end(channel)
        b.end(channel)
        a.memory[256:300] = b"x" * 44
        a.must(channels.LISTEN, port=1)
        events = []
        while not events or events[-1]["event"] != "section_repaired":
            events.append(next(stream))
        for event in events:
            event.pop("time")
        common = {"peer": a.id, "listener": b.id}
        self.assertEqual([
            {"event": "channel_opened", "channel": channel, "port": 5, "size": BLOCK, **common},
            {"event": "channel_refused", "reason": "no-listener", "port": 6, "size": BLOCK,
             **common},
            {"event": "channel_closed", "channel": channel, "port": 5, "size": BLOCK,
             "reason": "peer-closed", **common}],
            [event for event in events if event["event"].startswith("channel")])
        self.assertIn("header", events[-1]["reason"])
        self.assertEqual(1, events[-1]["blocks"])

    def test_log(self):
        server = self.server("--slot=db=3", vectors=2)
        a = self.speaker(server)
        db = self.speaker(server.socket + ".db", vectors=2)
        db.listen(5)
        channel = a.connected(db, 5, pid=77)
        a.ask(CONNECT, peer=db.id, port=6, size=BLOCK)
        a.close()
        who = r"\(pid %d, uid %d, command \S+\)" % (os.getpid(), os.getuid())
        between = r": peer 0 %s, process 77, to peer 3 of slot db %s, port 5, 4096 bytes" % (
            who, who)
        db.wait_state(channel, CLOSED)
        self.assertRegex(server.stderr, "channel %d open%s" % (channel, between))
        support.wait_for(lambda: "closed: peer-gone" in server.stderr)
        self.assertRegex(server.stderr, "channel %d closed: peer-gone%s" % (channel, between))
        self.assertRegex(server.stderr, "channel refused: no-listener: peer 0 .* port 6")

    def test_metrics(self):
        path = self.path("metrics")
        server = self.server("--metrics-file", path, "--max-channels=50")
        self.pair(server)

        def text():
            with open(path, encoding="utf-8") as f:
                return f.read()

        label = '{socket="%s"} ' % server.socket
        support.wait_for(lambda: "ivshmem_channels%s1\n" % label in text())
        self.assertIn("ivshmem_channels_max%s50\n" % label, text())
        self.assertIn("ivshmem_channels_opened_total%s1\n" % label, text())


if __name__ == "__main__":
    support.main()
