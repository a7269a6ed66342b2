#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The library as somebody gets it who installs it: header, shared and static library, pkg-config file
and manual pages agree, and the examples build against them and do what they say.

It is installed into a private directory with `make install DESTDIR=`, from the build directory that
top_builddir names. CC and MAKE name the tools. Builds with sanitizers are left out: what links
their library needs their options.
"""

import glob
import os
import re
import shlex
import shutil
import subprocess
import unittest

import support

BUILD = os.environ.get("top_builddir") or os.path.join(support.TOP, "build")
CC = shlex.split(os.environ.get("CC") or "cc")
CXX = next(filter(None, map(shutil.which, ("g++", "clang++", "c++"))), None)
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
HEADER = os.path.join(support.TOP, "client/include/ivshmem.h")
SECURE_HEADER = os.path.join(support.TOP, "client/include/ivshmem-secure.h")
EXAMPLES = os.path.join(support.TOP, "client/examples")
PAGES = sorted(glob.glob(os.path.join(support.TOP, "man", "*.3")))


def run(*command, **more):
    result = support.run(*command, timeout=60 * support.SLOW, **more)
    if result.returncode != 0:
        raise AssertionError("%s: exit %d\n%s%s" % (" ".join(map(str, command)), result.returncode,
                                                    result.stdout, result.stderr))
    return result.stdout


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def promised(text):
    """{name: prototype} of the header, on one line, with one space between words."""
    found = re.findall(r"^IVSHMEM_API ([^;]*);", text, re.MULTILINE)
    lines = [" ".join(one.split()) for one in found]
    return {re.search(r"(\w+)\(", line).group(1): line for line in lines}


def documented(text):
    """The same of a page's synopsis."""
    found = re.findall(r'^\.Ft "?([^"\n]*?)"?\n\.Fn (\w+) (.*)$', text, re.MULTILINE)
    return {name: "%s%s%s(%s)" % (kind, "" if kind.endswith("*") else " ", name,
                                  ", ".join(shlex.split(arguments)))
            for kind, name, arguments in found}


HEADER_TEXT = read(HEADER)
FUNCTIONS = promised(HEADER_TEXT)
SECURE_FUNCTIONS = promised(read(SECURE_HEADER))  # of the library that needs GnuTLS


class Header(unittest.TestCase):
    PROGRAM = ("#include <ivshmem.h>\n#include <ivshmem-secure.h>\n"
               "int main(void) { return ivshmem_free(0) || ivshmem_secure_free(0); }\n")

    def compile(self, compiler, *options):
        result = subprocess.run([*compiler, *STRICT, *options, "-I" + os.path.dirname(HEADER), "-c",
                                 "-o", os.devnull, "-"], input=self.PROGRAM, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        self.assertEqual((0, ""), (result.returncode, result.stdout), options)

    def test_c(self):
        for standard in ("c90", "c99", "c11", "gnu17"):
            self.compile(CC, "-x", "c", "-std=" + standard)

    @unittest.skipUnless(CXX, "no C++ compiler")
    def test_cxx(self):
        for standard in ("c++98", "c++11", "c++17"):
            self.compile([CXX], "-x", "c++", "-std=" + standard)


class Pages(unittest.TestCase):
    def test_synopses(self):
        written = {}
        for page in PAGES:
            text = read(page)
            here = documented(text)
            names = re.findall(r"^\.Nm (ivshmem_\w+)", text.partition(".Nd ")[0], re.MULTILINE)
            self.assertEqual(list(here), names, "NAME and SYNOPSIS of " + page)
            self.assertFalse(written.keys() & here.keys(), "in two pages")
            written.update(here)
        for name, prototype in written.items():
            self.assertEqual({**FUNCTIONS, **SECURE_FUNCTIONS}.get(name), prototype)
        channels = set(promised(HEADER_TEXT.partition(" * Channels\n")[2])) - {"ivshmem_socket"}
        if not channels & written.keys():  # all of them or none
            channels = set()
        missing = set(FUNCTIONS) - set(promised(HEADER_TEXT.partition(" * Channels\n")[2]))
        self.assertEqual(set(), (missing | channels | set(SECURE_FUNCTIONS)) - written.keys(),
                         "not in any page")


class Installed(support.Test):
    @classmethod
    def setUpClass(cls):
        library = glob.glob(os.path.join(BUILD, ".libs", "libivshmem.so.*.*.*"))
        if not library or not os.path.exists(os.path.join(BUILD, ".libs", "libivshmem.a")):
            raise unittest.SkipTest("not both a shared and a static library in %s" % BUILD)
        if re.search(r"__(asan|ubsan|tsan|gcov)_", run("nm", "-D", library[0])):
            raise unittest.SkipTest("built with sanitizers or for coverage")
        cls.holder = support.tempfile.TemporaryDirectory(prefix="ivshmem-library-")
        cls.addClassCleanup(cls.holder.cleanup)
        cls.root = os.path.join(cls.holder.name, "root")
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR")}
        run(*shlex.split(os.environ.get("MAKE") or "make"), "-C", BUILD, "install",
            "DESTDIR=" + cls.root, env=environment)

    def find(self, name):
        found = [os.path.join(folder, name) for folder, _, files in os.walk(self.root)
                 if name in files]
        self.assertEqual(1, len(found), name)
        return found[0]

    def pkg_config(self, *options, package):
        """What the other libraries say comes from where pkg-config finds them."""
        others = run("pkg-config", "--variable=pc_path", "pkg-config").strip()
        environment = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=self.root, PKG_CONFIG_PATH=others,
                           PKG_CONFIG_LIBDIR=os.path.dirname(self.find("libivshmem.pc")),
                           PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1", PKG_CONFIG_ALLOW_SYSTEM_LIBS="1")
        return shlex.split(run("pkg-config", *options, package, env=environment))

    def build(self, source, static, package="libivshmem", needs=()):
        """Builds a source as its head comment says; returns the program."""
        program = self.path(os.path.basename(source)[:-2] + ("-static" if static else ""))
        flags = self.pkg_config("--cflags", "--libs", package=package)
        if static:
            flags = [re.sub("^-l(ivshmem.*)", r"-l:lib\1.a", flag) for flag in flags]
            flags += needs
        else:
            flags.append("-Wl,-rpath," + os.path.dirname(self.find("libivshmem.so")))
        run(*CC, "-std=c99", "-D_POSIX_C_SOURCE=200809L", *STRICT, "-Wno-missing-field-initializers",
            source, *flags, "-o", program)
        return program

    def exported(self, library):
        """The names that a library offers, shared and static the same."""
        shared = {line.split()[-1].split("@")[0] for line in run(
            "nm", "-D", "--defined-only", self.find(library + ".so")).splitlines()}
        shared = {name for name in shared if not name.startswith("LIBIVSHMEM")}
        static = {line.split()[-1] for line in run(
            "nm", "-g", "--defined-only", self.find(library + ".a")).splitlines()
            if len(line.split()) == 3}
        self.assertEqual(shared, static)
        return shared

    def test_exported_names(self):
        """The functions of the header and nothing else; channels all together, or not yet."""
        shared = self.exported("libivshmem")
        self.assertEqual(set(), shared - set(FUNCTIONS), "exported, but not in the header")
        channels = set(promised(HEADER_TEXT.partition(" * Channels\n")[2])) - {"ivshmem_socket"}
        self.assertIn(set(FUNCTIONS) - shared, (set(), channels), "in the header, but not there")

    def test_needs_only_libc(self):
        needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", self.find("libivshmem.so")))
        self.assertEqual([], [name for name in needed if not re.match(r"lib(c|pthread)\.", name)])

    def test_library_that_encrypts(self):
        if not glob.glob(os.path.join(BUILD, ".libs", "libivshmem-secure.so")):
            self.skipTest("built without GnuTLS")
        self.assertEqual(set(SECURE_FUNCTIONS), self.exported("libivshmem-secure"))
        path = self.path("secure.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(Header.PROGRAM)
        for static in (False, True):
            program = self.build(path, static, "libivshmem-secure", ["-lgnutls"])
            self.assertEqual("", run(program))

    def test_each_function_has_a_page(self):
        for page in PAGES:
            for name in documented(read(page)):
                link = read(self.find(name + ".3"))
                if link.startswith(".so "):
                    self.assertEqual(".so man3/%s\n" % os.path.basename(page), link)
                else:
                    self.assertEqual(os.path.basename(page), name + ".3")

    def test_example_of_the_page(self):
        text = read(os.path.join(support.TOP, "man/libivshmem.3"))
        code = text.partition(".Sh EXAMPLES")[2].partition(".Bd -literal\n")[2].partition(".Ed")[0]
        path = self.path("page.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(code.replace("\\e", "\\"))
        self.build(path, static=False)
        self.assertIn(code.replace("\\e", "\\"), read(os.path.join(EXAMPLES, "ring.c")))

    def test_all_examples_build(self):
        for source in glob.glob(os.path.join(os.path.dirname(self.find("ring.c")), "*.c")):
            self.build(source, static=False)

    def start(self, program, *arguments):
        client = support.Client(None, *arguments, program=program)
        self.addCleanup(client.close)
        return client

    def test_ring(self):
        server = self.server(vectors=2, size="1M")
        for static in (False, True):
            with self.subTest(static=static):
                peer = self.peer(server, vectors=2)
                ring = self.start(self.build(os.path.join(EXAMPLES, "ring.c"), static),
                                  "unix:" + server.socket)
                number = int(ring.expect(r"^we are peer (\d+), the memory has 1048576 bytes\n")[1])
                ring.expect(r"^peer %d has 2 vectors\n" % peer.id)
                peer.wait_ring(1)
                peer.wait_join(number, 2)
                peer.ring(number, 1)
                ring.expect(r"^somebody rang our vector 1\n")
                self.assertEqual(0, ring.wait())
                peer.close()

    def test_ring_without_a_server(self):
        ring = support.run(self.build(os.path.join(EXAMPLES, "ring.c"), True), self.path("nobody"))
        self.assertEqual(1, ring.returncode)
        self.assertIn("cannot connect to", ring.stderr)

    def test_counter(self):
        program = self.build(os.path.join(EXAMPLES, "counter.c"), False)
        for options in ((), ("--sealed",)):
            with self.subTest(options):
                server = self.server(*options)
                counters = [self.start(program, server.socket, 5000) for _ in range(3)]
                for counter in counters:
                    self.assertEqual(0, counter.wait(), counter.output("err"))
                self.assertEqual(15000, max(int(counter.output()) for counter in counters))
                self.assertEqual("15001\n", support.run(program, server.socket, 1).stdout)

    def test_events(self):
        path = self.path("socket")
        server = self.server(socket_path=path)
        events = self.start(self.build(os.path.join(EXAMPLES, "events.c"), False), "unix:" + path)
        number = int(events.expect(r"^we are peer (\d+)\n")[1])
        peer = self.peer(server)
        events.expect(r"^peer %d is there\n" % peer.id)
        events.send("%d 0" % peer.id)
        peer.wait_ring()
        peer.ring(number)
        events.expect(r"^vector 0 was rung, notification 1\n")
        events.send("77 0")
        events.expect(r"^there is no peer 77\n")
        peer.close()
        events.expect(r"^peer \d+ has gone\n")
        server.stop()
        events.expect(r"^no server: the server closed the connection\n")
        again = self.server(socket_path=path)
        events.expect(r"^we are peer 0\n")
        self.assertTrue(again)
        events.eof()
        self.assertEqual(0, events.wait())


if __name__ == "__main__":
    support.main()
