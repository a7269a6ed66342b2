# SPDX-License-Identifier: MIT
"""
A client of channels for tests: the mailbox protocol of ivshmem-channels(7) over a mapping, and just
enough of rings to see that bytes arrive. Nothing here is fast.

    class Some(channels.Test):
        def test(self):
            server = self.server("--channels")
            a, b = self.speaker(server), self.speaker(server)     both have said HELLO
            b.listen(7)
            channel = a.connect(b.id, 7, 4096).channel            a Reply; fails unless it is OK
            b.accept(b.wait_offer().number)
            a.put(channel, b"hello"); b.take(channel)
            a.ask(CONNECT, peer=99)                               any request; any answer
"""

import collections
import mmap
import os
import struct

import support

HELLO, LISTEN, UNLISTEN, CONNECT, ACCEPT, REFUSE, CLOSE, MOVED = range(1, 9)
(OK, BAD_REQUEST, NO_PEER, NO_LISTENER, NO_CHANNEL, NO_SPACE, NO_ENTRY, OVER_QUOTA, PORT_IN_USE,
 REFUSED, TIMED_OUT, PEER_CLOSED, PEER_GONE, IDLE, SERVER_CLOSED) = range(15)
FREE, OFFERED, OPEN, CLOSED = range(4)
NONE = 0xffffffff

BLOCK = 4096
APART = 128
STRIDE = 3 * APART  # of mailboxes and of channels

Header = collections.namedtuple(
    "Header", "magic version header_size region_size instance n_mailboxes mailbox_size "
    "mailbox_offset channel_offset n_channels channel_size data_offset block_size")
HEADER = struct.Struct("<QIIQQIIQQIIQI")
Counts = collections.namedtuple("Counts", "generation active mutex reserved free_start free_bytes")
COUNTS = struct.Struct("<IIIIQQ")
REQUEST_FIELDS = ("operation", "port", "peer", "channel", "pid", "vector", "flags", "size",
                  "reverse_size", "idle_ms", "generation")
REQUEST = struct.Struct("<IIIIIIIQQIIII")  # what follows `number`
Reply = collections.namedtuple("Reply", "request number status channel")
Block = collections.namedtuple(
    "Block", "generation present session events speaks vector pid uid n_vectors")
PEER = struct.Struct("<9I")
Entry = collections.namedtuple(
    "Entry", "number generation state status sender receiver pid port flags pair first "
    "sender_vector receiver_vector serial offset size ring_generation moving next_offset next_size")
ENTRY = struct.Struct("<IIIHHIIIIIHHQQQIIQQ")


class Speaker(support.RawPeer):
    """A peer that speaks of channels. hello=False: it has only joined."""

    def __init__(self, path, vectors=1, hello=True, **more):
        self.memory = None
        self.number = 0
        super().__init__(path, vectors=vectors, **more)
        self.memory = mmap.mmap(self.shm, os.fstat(self.shm).st_size)
        self.header = Header(*HEADER.unpack_from(self.memory, 0))
        if hello:
            self.hello()

    def close(self):
        if self.memory is not None:
            self.memory.close()
            self.memory = None
        super().close()

    # --- the section ---

    def mailbox(self, peer=None):
        return self.header.mailbox_offset + STRIDE * (self.id if peer is None else peer)

    def channel_at(self, channel):
        return self.header.channel_offset + STRIDE * channel

    def counts(self):
        return self._snapshot(COUNTS, APART, Counts)

    def block(self, peer=None):
        """What the daemon says of a peer."""
        return self._snapshot(PEER, self.mailbox(peer) + 2 * APART, Block)

    def entry(self, channel):
        return self._snapshot(ENTRY, self.channel_at(channel), lambda *words: Entry(channel, *words))

    def entries(self, state=None):
        found = [self.entry(i) for i in range(self.header.n_channels)]
        return [e for e in found if e.state != FREE and state in (None, e.state)]

    def _snapshot(self, layout, at, make):
        """A block that does not change while it is read: its generation is even, and stays."""
        def read():
            words = layout.unpack_from(self.memory, at)
            again = layout.unpack_from(self.memory, at)
            return words if words == again and words[0] % 2 == 0 else None

        return make(*support.wait_for(read, what="a block that is whole"))

    # --- requests ---

    def write_request(self, number, owner=None, **fields):
        """Puts a request into a mailbox, its number last."""
        at = self.mailbox(owner)
        words = [fields.pop(name, 0) for name in REQUEST_FIELDS]
        assert not fields, fields
        REQUEST.pack_into(self.memory, at + 4, *words, 0, 0)
        struct.pack_into("<I", self.memory, at, number)

    def ring_daemon(self):
        self.ring(self.header.n_mailboxes)

    def reply(self):
        at = self.mailbox() + APART
        number, status, channel = struct.unpack_from("<III", self.memory, at + 64)
        request = struct.unpack_from("<I", self.memory, at) + REQUEST.unpack_from(
            self.memory, at + 4)[:-2]
        return Reply(dict(zip(("number",) + REQUEST_FIELDS, request)), number, status, channel)

    def post(self, operation, **fields):
        """Asks without waiting for the answer; returns the number of the request."""
        self.number += 1
        self.write_request(self.number, operation=operation, **fields)
        self.ring_daemon()
        return self.number

    def wait_reply(self, number, deadline=None):
        support.wait_for(lambda: self.reply().number == number, deadline, "reply %d" % number)
        return self.reply()

    def ask(self, operation, **fields):
        return self.wait_reply(self.post(operation, **fields))

    def must(self, operation, **fields):
        reply = self.ask(operation, **fields)
        if reply.status != OK:
            raise AssertionError("peer %d: %s is answered with %s" % (self.id, fields, reply))
        return reply

    def hello(self, vector=0):
        self.number = self.reply().number
        return self.must(HELLO, vector=vector)

    def listen(self, port):
        return self.must(LISTEN, port=port)

    def connect(self, peer, port, size=BLOCK, **fields):
        return self.must(CONNECT, peer=peer, port=port, size=size, **fields)

    def accept(self, channel):
        return self.must(ACCEPT, channel=channel)

    def end(self, channel):
        return self.must(CLOSE, channel=channel)

    def wait_state(self, channel, state, deadline=None):
        return support.wait_for(
            lambda: (lambda e: e if e.state == state else None)(self.entry(channel)), deadline,
            "state %d of channel %d" % (state, channel))

    def wait_offer(self, port=None):
        """The first offer that waits for us."""
        def look():
            return [e for e in self.entries(OFFERED) if e.receiver == self.id and e.first == e.number
                    and port in (None, e.port)]

        return support.wait_for(look, what="an offer")[0]

    def connected(self, listener, port, size=BLOCK, **fields):
        """Connects to a peer that listens, and has it accept; returns the channel."""
        channel = self.connect(listener.id, port, size, **fields).channel
        listener.accept(channel)
        self.wait_state(channel, OPEN)
        return channel

    # --- bytes in a ring: one record at its start, as a test needs no more ---

    def put(self, channel, payload):
        at = self.entry(channel).offset
        self.memory[at + 8:at + 8 + len(payload)] = payload
        struct.pack_into("<I", self.memory, at, 1 << 31 | len(payload))

    def take(self, channel):
        at = self.entry(channel).offset
        word, = struct.unpack_from("<I", self.memory, at)
        return bytes(self.memory[at + 8:at + 8 + (word & ~(1 << 31))])


class Test(support.Test):
    def server(self, *options, **more):
        return super().server("--channels", *options, **more)

    def speaker(self, server, **more):
        path = server if isinstance(server, str) else server.socket
        more.setdefault("vectors", getattr(server, "vectors", 1))
        speaker = Speaker(path, **more)
        self.addCleanup(speaker.close)
        return speaker

    def pair(self, server, port=1, size=BLOCK):
        """Two speakers, and an open channel from the one to the other."""
        a, b = self.speaker(server), self.speaker(server)
        b.listen(port)
        return a, b, a.connected(b, port, size)


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wake_ups(pid):
    """How often any thread of a process has slept so far."""
    count = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, thread)) as f:
            count += sum(int(line.split()[1]) for line in f if line.startswith("voluntary"))
    return count
