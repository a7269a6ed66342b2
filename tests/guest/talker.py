# SPDX-License-Identifier: MIT
"""
A process on the host that talks through channels, made from what ivshmem-channels(7) says and from
nothing else: where this one and the guest, which uses the headers, understand each other, the page
is right. Slow, and for one connection at a time.

    class Some(talker.Test):
        def test(self):
            server = self.server()                              with channels
            host = self.talker(server)
            host.listen(7)
            host.take_offer(7)                                  accepts; or host.call(peer, 7, size)
            got = host.transfer([b"one", b"two"], 2)            sends and receives, whatever is first
            host.hang_up()
"""

import time

import channels
import support

VALID, KIND_SHIFT, LENGTH_MASK = 1 << 31, 27, (1 << 27) - 1
DATA, MORE, SKIP, MOVE, END, ABORT = range(6)
MODULO = 1 << 32


class Ended(Exception):
    """Nothing more will come; .status says why."""

    def __init__(self, status):
        super().__init__("status %d" % status)
        self.status = status


def less(a, b):
    """How far one count is ahead of the other."""
    return (a - b) % MODULO


def crc32c(data):
    crc = MODULO - 1
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ (MODULO - 1)


def crc_entry(n):
    for _ in range(8):
        n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
    return n


CRC_TABLE = [crc_entry(n) for n in range(256)]


class Way:
    """What both ends of a ring have in common. Words are this end's own, others are the other's."""

    def __init__(self, host, entry, words, others):
        self.host, self.memory = host, host.memory
        self.channel, self.checked = entry.number, entry.flags & 1
        self.generation = self.told = entry.ring_generation
        base = host.channel_at(entry.number)
        self.words, self.others = base + words, base + others
        self.count = 0  # tail or head
        self.rang = self.waits = 0
        self.attach(entry.offset, entry.size)

    def attach(self, offset, size):
        header = self.host.header
        assert offset % 4096 == size % 4096 == 0 and header.data_offset <= offset
        assert 4096 <= size and offset + size <= header.region_size
        self.at, self.size, self.units, self.place = offset, size, size // 8, 0

    def load(self, at):
        return self.host.words32[at // 4]

    def store(self, at, value):
        """Of a whole word, while others look. (struct.pack_into() writes zeros first.)"""
        self.host.words32[at // 4] = value % MODULO

    def sleeps(self, offset):
        """Whether the other side has gone to sleep since it was rung last."""
        waits = self.load(self.others + offset)
        if waits % 2 == 0 or waits == self.rang:
            return False
        self.rang = waits
        return True

    def next_ring(self):
        entry = self.host.entry(self.channel)
        if not entry.moving or entry.ring_generation != self.generation:
            return None
        self.generation += 1
        return entry.next_offset, entry.next_size


class Sender(Way):
    def __init__(self, host, entry):
        self.head = self.base = self.touched = self.bytes = self.messages = 0
        self.wanted = None
        super().__init__(host, entry, 128, 256)
        self.store(self.at, 0)

    def room(self):
        head = self.load(self.others)
        assert less(head, self.head) <= less(self.count, self.head), "a head that cannot be"
        self.head = head
        if less(self.count, head) <= less(self.count, self.base):
            self.base = head
        return self.units - 1 - less(self.count, self.base)

    def clear(self, place):
        self.store(self.at + 8 * (place % self.units), 0)

    def record(self, kind, payload, units):
        at = self.at + 8 * (self.place % self.units)
        self.memory[at + 8:at + 8 + len(payload)] = payload
        self.store(at + 4, crc32c(payload) if self.checked else 0)
        self.store(at, VALID | kind << KIND_SHIFT | len(payload))
        self.place += units
        self.count += units

    def put(self, payload, kind):
        """False: there is no room."""
        units = 1 + (len(payload) + 7) // 8
        self.place %= self.units
        rest = self.units - self.place
        skipped = rest if units > rest else 0
        if units + skipped > self.room():
            self.touched += self.wanted is None
            self.wanted = payload
            return False
        self.wanted = None
        if skipped:
            self.clear(0)
            self.record(SKIP, b"", rest)
            self.place = 0
        self.clear(self.place + units)
        self.record(kind, payload, units)
        self.bytes += len(payload)
        self.messages += kind == DATA
        self.publish()
        return True

    def publish(self):
        for i, value in enumerate((self.count, less(self.count, self.base), self.touched)):
            self.store(self.words + 4 * i, value)
        for i, value in enumerate((self.bytes, self.messages)):
            self.host.words64[self.words // 8 + 2 + i] = value

    def sleep(self):
        self.waits += 1
        self.store(self.words + 12, self.waits)

    awake = sleep  # from even to odd, and from odd to even

    def look(self):
        units = 1 + (len(self.wanted) + 7) // 8
        rest = self.units - self.place % self.units
        return units + (rest if units > rest else 0) <= self.room()

    def move(self):
        ring = self.next_ring()
        if ring is None:
            return
        at = self.at + 8 * (self.place % self.units)
        self.count += 1
        self.attach(*ring)
        self.store(self.at, 0)
        self.store(at + 4, 0)
        self.store(at, VALID | MOVE << KIND_SHIFT)
        self.base = self.count

    def end(self):
        self.record(END, b"", 1)
        self.publish()


class Receiver(Way):
    def __init__(self, host, entry):
        self.published = 0
        super().__init__(host, entry, 256, 128)
        self.publish()

    def publish(self):
        self.published = self.count
        self.store(self.words, self.count)

    def look(self):
        return self.load(self.at + 8 * self.place) != 0

    def get(self):
        """(kind, payload), or None when there is nothing."""
        while True:
            at = self.at + 8 * self.place
            word = self.load(at)
            if word == 0:
                return None
            kind, length = word >> KIND_SHIFT & 15, word & LENGTH_MASK
            units = 1 + (length + 7) // 8
            assert word & VALID and kind <= ABORT, hex(word)
            assert units <= self.units - self.place and length <= self.size // 4, hex(word)
            assert not length or kind in (DATA, MORE), hex(word)
            check = self.load(at + 4)
            payload = bytes(self.memory[at + 8:at + 8 + length])
            if kind == SKIP:
                units = self.units - self.place
            self.count += units
            self.place = (self.place + units) % self.units
            if kind == MOVE:
                self.attach(*self.next_ring())
            if less(self.count, self.published) >= self.units // 4 or kind == MOVE:
                self.publish()
            if kind in (DATA, MORE):
                assert check == (crc32c(payload) if self.checked else 0)
            if kind not in (SKIP, MOVE):
                return kind, payload

    def sleep(self):
        self.publish()
        self.waits += 1
        self.store(self.words + 4, self.waits)

    def awake(self):
        self.waits += 1
        self.store(self.words + 4, self.waits)


class Talker(channels.Speaker):
    """A Speaker that also uses the rings of one connection."""

    out = into = None
    words32 = words64 = ()

    def hello(self, vector=0):
        self.words32, self.words64 = (memoryview(self.memory).cast(kind) for kind in "IQ")
        return super().hello(vector)

    def close(self):
        for view in (self.words32, self.words64):
            if view:
                view.release()
        self.words32 = self.words64 = ()
        super().close()

    def call(self, peer, port, size, reverse=None, **fields):
        """Connects and waits for the answer. Raises Ended when it is a no."""
        reverse = size if reverse is None else reverse
        channel = self.connect(peer, port, size, reverse_size=reverse, **fields).channel
        entry = support.wait_for(
            lambda: (lambda e: e if e.state != channels.OFFERED else None)(self.entry(channel)))
        if entry.state != channels.OPEN:
            self.end(channel)
            raise Ended(entry.status)
        return self.use(entry)

    def take_offer(self, port):
        offer = self.wait_offer(port)
        self.accept(offer.number)
        return self.use(offer)

    def use(self, first):
        mine = first.sender == self.id
        pair = self.entry(first.pair) if first.pair != channels.NONE else None
        out, into = (first, pair) if mine else (pair, first)
        self.first = first.number
        self.other = first.receiver if mine else first.sender
        self.bell = first.receiver_vector if mine else first.sender_vector
        self.out = Sender(self, out) if out else None
        self.into = Receiver(self, into) if into else None
        self.events = None
        self.status = None
        self.wait_table(lambda table: self.other in table)
        return self

    def ways(self):
        return [way for way in (self.out, self.into) if way]

    def attend(self):
        """Sees what the daemon has changed, and tells it of moves without waiting for an answer."""
        events = self.block().events
        if events != self.events:
            self.events = events
            entry = self.entry(self.first)
            if entry.state == channels.CLOSED:
                self.status = entry.status
            elif self.out:
                self.out.move()
        for way in self.ways():
            if way.told != way.generation and self.reply().number == self.number:
                way.told = way.generation
                self.post(channels.MOVED, channel=way.channel, generation=way.generation)

    def wake(self):
        asleep = [way for way in self.ways() if way.sleeps(4 if way is self.out else 12)]
        if asleep:
            self.ring(self.other, self.bell)

    def sleep(self, sending, deadline):
        """Until the doorbell rings, if there is nothing to do."""
        ways = [way for way in (self.into, self.out if sending else None) if way]
        for way in ways:
            way.sleep()
        if not any(way.look() for way in ways) and self.block().events == self.events:
            self.wake()
            bell = [self.table[self.id][self.block().vector]]
            if not support.readable(bell, 0.001) and not any(way.look() for way in ways):
                left = deadline - time.monotonic()
                if left <= 0 or not support.readable(bell, left):
                    raise AssertionError("nobody rang peer %d: %s" % (self.id, self.describe()))
        for way in ways:
            way.awake()
        if self.rung(self.block().vector):
            self.wait_ring(self.block().vector)

    def describe(self):
        """What each end of each ring has told, for who looks for a fault."""
        lines = ["session %d, events %d of %d, %s" % (
            self.block().session, self.events, self.block().events, self.entry(self.first))]
        for way in self.ways():
            told = [way.load(self.channel_at(way.channel) + at) for at in (128, 136, 140, 256, 260)]
            lines.append("%s of channel %d: count %d, place %d of %d, word %#x, moves %d (told %d); "
                         "tail %d, touches %d, sender waits %d, head %d, receiver waits %d" % (
                             type(way).__name__, way.channel, way.count, way.place, way.units,
                             way.load(way.at + 8 * (way.place % way.units)), way.generation,
                             way.told, *told))
        return "\n".join(lines)

    def transfer(self, messages=(), count=0, deadline=None, between=lambda: None):
        """
        Sends the messages and receives count others, as it comes; between() is called after each
        that was received. Raises Ended when the other side is gone before it is done.
        """
        end = time.monotonic() + (4 * support.DEADLINE if deadline is None else deadline)
        messages = iter(messages)
        rest = next(messages, None)  # of the message that is being sent
        got, parts = [], []
        while rest is not None or len(got) < count:
            self.attend()
            status = self.status
            moved = False
            while rest is not None and status is None and (sent := self.put_some(rest)) is not None:
                rest, moved = rest[sent:], True
                if not rest:
                    rest = next(messages, None)
            while len(got) < count and (record := self.into.get()):
                moved = True
                kind, payload = record
                if kind == END:
                    raise Ended(channels.PEER_CLOSED)
                parts = [] if kind == ABORT else parts + [payload]
                if kind == DATA:
                    got.append(b"".join(parts))
                    parts = []
                    between()
            self.wake()
            if not moved and status is not None:
                raise Ended(status)
            if not moved:
                self.sleep(rest is not None, end)
        self.wake()
        return got

    def put_some(self, message):
        """
        Sends a message or its first piece; returns how many bytes, or None if there is no room. What
        waits is cut again each time: by then the ring may be another one.
        """
        most = self.out.size // 4
        if len(message) <= most:
            return len(message) if self.out.put(message, DATA) else None
        return most if self.out.put(message[:most], MORE) else None

    def hang_up(self):
        if self.out and self.status is None:
            self.out.end()
            self.wake()
        self.out = self.into = None
        support.wait_for(lambda: self.reply().number == self.number)
        return self.end(self.first)


class Test(channels.Test):
    def talker(self, server, **more):
        host = Talker(server.socket, **{"vectors": server.vectors, **more})
        self.addCleanup(host.close)
        return host
