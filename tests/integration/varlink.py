# SPDX-License-Identifier: MIT
"""
A Varlink client for the tests of the control socket: calls and replies are JSON objects, each ended
by a NUL byte.

    with Control(server.control) as control:
        control.status()["peers"]                   our interface's methods by attribute
        control.ring(peer=0, vector=1)
        control.call("org.varlink.service.GetInfo") any method by its full name
        for event in control.stream("Monitor"): ...

A reply with an error raises VarlinkError. ControlTest is the base of the tests that use it.
"""

import json
import os
import re
import socket

import support

INTERFACE = "io.ivshmem.Server"


class VarlinkError(Exception):
    """.name is the full name of the error, .parameters are its parameters."""

    def __init__(self, name, parameters):
        super().__init__("%s %s" % (name, parameters))
        self.name = name
        self.parameters = parameters


class HungUp(Exception):
    """The server has closed the connection."""


class Control:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(support.DEADLINE)
        self.rest = b""
        try:
            self.sock.connect(path)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def __getattr__(self, name):
        """status() for Status, set_log_level() for SetLogLevel, ..."""
        if name.startswith("_"):
            raise AttributeError(name)
        method = "%s.%s" % (INTERFACE, "".join(word.capitalize() for word in name.split("_")))
        return lambda **parameters: self.call(method, **parameters)

    def send(self, data):
        """Sends bytes as they are, or an object as a message."""
        if not isinstance(data, bytes):
            data = json.dumps(data).encode() + b"\0"
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise HungUp from None

    def receive(self, deadline=None):
        """The next message as an object."""
        if deadline is not None:
            self.sock.settimeout(deadline)
        while b"\0" not in self.rest:
            try:
                part = self.sock.recv(65536)
            except ConnectionResetError:
                part = b""
            if not part:
                raise HungUp
            self.rest += part
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message.decode("utf-8"))

    def reply(self, deadline=None):
        """The parameters of the next reply."""
        message = self.receive(deadline)
        if "error" in message:
            raise VarlinkError(message["error"], message.get("parameters"))
        return message["parameters"]

    def call(self, method, **parameters):
        self.send({"method": method, "parameters": parameters})
        return self.reply()

    def stream(self, method, **parameters):
        """Yields the parameters of each reply to a call with `more`, while they continue."""
        self.send({"method": "%s.%s" % (INTERFACE, method), "parameters": parameters, "more": True})
        while True:
            message = self.receive()
            if "error" in message:
                raise VarlinkError(message["error"], message.get("parameters"))
            yield message["parameters"]
            if not message.get("continues"):
                return

    def wait_hang_up(self, deadline=None):
        """Reads until the server hangs up; returns what came before."""
        messages = []
        try:
            while True:
                messages.append(self.receive(deadline or support.DEADLINE))
        except HungUp:
            return messages


class ControlTest(support.Test):
    """A test of a server whose control socket is there."""

    def serve(self, *options, control=None, **more):
        """A server whose control socket is there."""
        server = self.server(*options, **more)
        server.control = control or server.socket + ".ctl"
        support.wait_for(lambda: os.path.exists(server.control) or "no control" in server.stderr,
                         what="the control socket")
        support.wait_for(lambda: "serving" in server.stderr, what="the server")
        return server

    def control(self, server):
        control = Control(server.control)
        self.addCleanup(control.close)
        return control

    def fails(self, error, function, *args, **parameters):
        """Calls a method that must fail with this error; returns the error's parameters."""
        with self.assertRaises(VarlinkError) as caught:
            function(*args, **parameters)
        self.assertEqual(error if "." in error[1:] else INTERFACE + error, caught.exception.name)
        return caught.exception.parameters

    def invalid(self, parameter, function, *args, **parameters):
        self.assertEqual({"parameter": parameter}, self.fails(
            "org.varlink.service.InvalidParameter", function, *args, **parameters))

    def serves(self, server):
        """Peers and other clients are served as always."""
        peer = support.RawPeer(server.socket, vectors=server.vectors)
        with Control(server.control) as control:
            self.assertEqual(1, control.ring(peer=peer.id, vector=0)["rung"])
        peer.wait_ring()
        peer.close()


# --- the interface language ----------------------------------------------------------------------


class Description:
    """
    An interface description, read: .methods maps a name to its (input, output) types, .errors to
    its parameters. A type is "int", "string", "bool", {"field": type}, ("enum", names), ["of"], or
    ("?", type).
    """

    TOKEN = re.compile(r"#[^\n]*|\s+|->|\[\]|[A-Za-z][A-Za-z0-9_.-]*|[?():,]")

    def __init__(self, text):
        self.types, self.methods, self.errors = {}, {}, {}
        self.tokens = self._cut(text)
        self._expect("interface")
        self.name = self.tokens.pop(0)
        while self.tokens:
            kind, name = self.tokens.pop(0), self.tokens.pop(0)
            if kind == "method":
                sent = self._type()
                self._expect("->")
                self.methods[name] = (sent, self._type())
            else:
                {"type": self.types, "error": self.errors}[kind][name] = self._type()

    def _cut(self, text):
        tokens, at = [], 0
        while at < len(text):
            found = self.TOKEN.match(text, at)
            if not found:
                raise AssertionError("not Varlink: %r" % text[at:at + 40])
            at = found.end()
            if not found.group()[0] in "# \n\t":
                tokens.append(found.group())
        return tokens

    def _expect(self, token):
        got = self.tokens.pop(0)
        if got != token:
            raise AssertionError("%r instead of %r" % (got, token))

    def _type(self):
        token = self.tokens.pop(0)
        if token == "?":
            return ("?", self._type())
        if token == "[]":
            return [self._type()]
        if token != "(":
            return token
        fields, names = {}, []
        while self.tokens[0] != ")":
            names.append(self.tokens.pop(0))
            if self.tokens[0] == ":":
                self._expect(":")
                fields[names[-1]] = self._type()
            if self.tokens[0] == ",":
                self._expect(",")
        self._expect(")")
        return fields if fields or not names else ("enum", names)

    def check(self, kind, value, where="value"):
        """Fails unless a value is of a type: all members there, none too many, each right."""
        kind = self.types.get(kind, kind) if isinstance(kind, str) else kind
        if isinstance(kind, tuple) and kind[0] == "?":
            return None if value is None else self.check(kind[1], value, where)
        if isinstance(kind, list):
            assert isinstance(value, list), where
            for item in value:
                self.check(kind[0], item, where + "[]")
        elif isinstance(kind, dict):
            assert isinstance(value, dict), where
            assert set(value) <= set(kind), "%s: %s" % (where, set(value) - set(kind))
            for name, member in kind.items():
                self.check(member, value.get(name), "%s.%s" % (where, name))
        elif isinstance(kind, tuple):
            assert value in kind[1], "%s: %r" % (where, value)
        else:
            python = {"int": int, "string": str, "bool": bool}[kind]
            assert type(value) is python, "%s: %r is no %s" % (where, value, kind)
        return value
