#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Holds the manual pages against the programs: every option that --help prints stands in the page's list
of options, with the same letter and with a value where it takes one, and the other way round; every
default that --help names is in the page too. The offsets, sizes and numbers in ivshmem-channels.7 are
those of layout.h and ring.h. Then mandoc's lint has nothing to say about any page.

Variables: IVSHMEM_SERVER and IVSHMEM_CLIENT name the programs, top_srcdir the source.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

TOP = os.environ.get("top_srcdir") or os.path.join(os.path.dirname(__file__), "../..")
PROGRAMS = {
    "ivshmem-server.8": os.environ.get("IVSHMEM_SERVER")
    or os.path.join(TOP, "build/server/ivshmem-server"),
    "ivshmem-client.1": os.environ.get("IVSHMEM_CLIENT")
    or os.path.join(TOP, "build/client/ivshmem-client"),
}

# "  -S, --socket=PATH   text" and "      --socket=PATH   text"
HELP_LINE = re.compile(r"^  (?:-(\w),|   ) --([a-z][a-z0-9-]*)(\[?=\S+)?(?:\s+(.*))?$")
# ".It Fl S , Fl -socket Ar PATH" and ".It Fl -socket Ar PATH"
PAGE_LINE = re.compile(r"^\.It Fl (?:(\w) , Fl )?-([a-z][a-z0-9-]*)(.*)$")


def read_page(name):
    with open(os.path.join(TOP, "man", name), encoding="utf-8") as page:
        return page.read()


# What every command has.
COMMON = {"help", "json", "quiet"}


def help_text(program):
    return run(program, "--help")


def run(program, *words):
    result = subprocess.run([program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=300)
    if result.returncode != 0 or result.stderr:
        raise AssertionError("%s %s: exit %d, %r" % (program, words, result.returncode, result.stderr))
    return result.stdout


def options_in_help(text):
    """{(letter or None, name, takes a value)}"""
    matches = [HELP_LINE.match(line) for line in text.splitlines()]
    return {(m.group(1), m.group(2), bool(m.group(3))) for m in matches if m}


def options_in_page(text):
    """Of the program; those of commands stand in another section."""
    text = text.partition(".Sh COMMANDS")[0]
    matches = [PAGE_LINE.match(line) for line in text.splitlines()]
    return {(m.group(1), m.group(2), " Ar " in m.group(3)) for m in matches if m}


def commands_in_page(text):
    """{command: its part of the page}"""
    text = text.partition(".Sh COMMANDS")[2].partition(".Sh OUTPUT")[0]
    items, depth, name = {}, 0, None
    for line in text.splitlines():
        depth += line.startswith(".Bl") - line.startswith(".El")
        match = re.match(r"\.It Cm ([a-z-]+)", line)
        if match and depth == 1:
            name = match.group(1)
        elif line.startswith(".Ss"):
            name = None
        if name:
            items[name] = items.get(name, "") + line + "\n"
    return items


def defaults_in_help(text):
    """The single words in "(default VALUE)" and "[VALUE]" of the options' lines."""
    lines = "\n".join(line for line in text.splitlines() if line.startswith("  "))
    return re.findall(r"(?:\(default| \[)\s*([^\s\[\])]+)[\])]", lines)


# "    uint32_t name;" and "    struct layout_request name;", with [COUNT] or not
MEMBER = re.compile(r"^    (?:struct )?(\w+) (\w+)(?:\[(.+)\])?;$", re.M)
# ".It Va name Ta 8 Ta 32 Ta"
ROW = re.compile(r"^\.It Va (\w+) Ta (\d+) Ta (\d+) Ta", re.M)


def read_header(name):
    with open(os.path.join(TOP, "common", name), encoding="utf-8") as header:
        return header.read()


class Layout:
    """Structures and enumerations of a header, as far as they are simple, and these are."""

    def __init__(self, text):
        self.constants = {name: int(value) for name, value in re.findall(
            r"^    (\w+) = (\d+),", text, re.M)}
        self.sizes = {"uint%d_t" % bits: bits // 8 for bits in (8, 16, 32, 64)}
        self.structs = {}
        for name, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", text, re.M | re.S):
            self._add(name, body)
        for struct, size in re.findall(r"sizeof\(struct (\w+)\) == ([^,]+), ", text):
            if self.sizes[struct] != self.value(size):
                raise AssertionError("struct %s has %d bytes?" % (struct, self.sizes[struct]))

    def _add(self, name, body):
        members, at = [], 0
        for kind, member, count in MEMBER.findall(body):
            size = self.sizes[kind]
            at += -at % min(size, 8)
            total = size * (self.value(count) if count else 1)
            members.append((member, at, 8 * total))
            at += total
        if len(members) != body.count(";"):
            raise AssertionError("struct %s is not understood" % name)
        self.structs[name] = members
        self.sizes[name] = at + -at % 8

    def value(self, expression):
        """Of sums and differences of numbers, constants and sizes."""
        names = {**self.constants, "sizeof": lambda size: size}
        words = re.sub(r"struct (\w+)", lambda m: str(self.sizes[m.group(1)]), expression)
        return eval(words, {"__builtins__": {}}, names)  # pylint: disable=eval-used

    def rows(self, struct, base=0):
        return [(name, base + at, bits) for name, at, bits in self.structs[struct]
                if not name.startswith("reserved")]


def enumeration(text, name):
    """[(number, name without its prefix)]"""
    body = re.search(r"^enum %s \{\n(.*?)^\};" % name, text, re.M | re.S).group(1)
    found, number = [], 0
    for word, value in re.findall(r"^    [A-Z]+_(\w+)(?: = (-?\d+))?,", body, re.M):
        number = int(value) if value else number
        found.append((number, word))
        number += 1
    return found


def section(text, heading, level="Ss"):
    """What stands under a heading of a page."""
    return re.split(r"^\.S[hs] ", text.partition(".%s %s\n" % (level, heading))[2], flags=re.M)[0]


class Channels(unittest.TestCase):
    def setUp(self):
        self.page = read_page("ivshmem-channels.7")
        self.text = read_header("layout.h")
        self.layout = Layout(self.text)

    def rows(self, heading):
        return [(name, int(at), int(bits))
                for name, at, bits in ROW.findall(section(self.page, heading))]

    def test_tables(self):
        rows = self.layout.rows
        self.assertEqual(rows("layout_header"), self.rows("The header"))
        self.assertEqual(rows("layout_request") + rows("layout_reply", 128)
                         + rows("layout_peer", 256), self.rows("A mailbox"))
        self.assertEqual(rows("layout_entry") + rows("layout_sender", 128)
                         + rows("layout_receiver", 256), self.rows("A channel"))
        for whole, parts in (("layout_mailbox", [0, 64, 128, 256]),
                             ("layout_channel", [0, 128, 256])):
            self.assertEqual(parts, [at for _, at, _ in self.layout.structs[whole]])

    def test_numbers(self):
        items = [(int(n), name) for n, name in re.findall(
            r"^\.It (\d+) ([A-Z]+)$", section(self.page, "REQUESTS", "Sh"), re.M)]
        self.assertEqual(enumeration(self.text, "layout_operation"), items)
        items = [(int(n), name) for n, name in re.findall(
            r"^\.It (\d+) Ta ([A-Z_]+) Ta", section(self.page, "Status"), re.M)]
        self.assertEqual(enumeration(self.text, "layout_status"), items)
        states = enumeration(self.text, "layout_state")
        self.assertIn(", ".join("%d %s" % (n, name.lower()) for n, name in states), self.page)
        items = [(int(n), name) for n, name in re.findall(
            r"^\.It (\d+) ([A-Z]+)$", section(self.page, "Records"), re.M)]
        self.assertEqual(enumeration(read_header("ring.h"), "ring_kind"), items)

    def test_constants(self):
        constants, sizes = self.layout.constants, self.layout.sizes
        magic = re.search(r"LAYOUT_MAGIC UINT64_C\((\w+)\)", self.text).group(1)
        for what in ("Va magic Ta 0 Ta 64 Ta %s," % magic,
                     "Va version Ta 8 Ta 32 Ta %d;" % constants["LAYOUT_VERSION"],
                     "Va header_size Ta 12 Ta 32 Ta %d" % sizes["layout_header"],
                     "Va mailbox_size Ta 36 Ta 32 Ta %d" % sizes["layout_mailbox"],
                     "Va channel_size Ta 60 Ta 32 Ta %d" % sizes["layout_channel"],
                     "Va block_size Ta 72 Ta 32 Ta %d" % constants["LAYOUT_BLOCK"],
                     "Va n_mailboxes\n1 to %d," % constants["LAYOUT_MAILBOXES_MAX"],
                     "Va n_channels\n1 to %d;" % constants["LAYOUT_CHANNELS_MAX"],
                     "Each writer has %d bytes" % constants["LAYOUT_APART"]):
            self.assertIn(what, self.page)
        self.assertIn("LAYOUT_RING_MAX     (UINT64_C(1) << 34)", self.text)
        ring = read_header("ring.h")
        for what in ("RING_VALID       UINT32_C(0x80000000)", "RING_KIND_SHIFT  27",
                     "RING_LENGTH_MASK UINT32_C(0x07ffffff)", "RING_UNIT        8"):
            self.assertIn("#define " + what, ring)


class Pages(unittest.TestCase):
    def test_options(self):
        for page, program in PROGRAMS.items():
            with self.subTest(page):
                told = options_in_help(help_text(program))
                written = options_in_page(read_page(page))
                self.assertTrue(told, "no options found in --help")
                self.assertEqual(set(), told - written, "in --help, not in the page")
                self.assertEqual(set(), written - told, "in the page, not in --help")

    def test_every_help_line_is_understood(self):
        """A line that begins like an option but is none to HELP_LINE would go unchecked."""
        for page, program in PROGRAMS.items():
            with self.subTest(page):
                for line in help_text(program).splitlines():
                    if re.match(r"^\s*-", line):
                        self.assertRegex(line, HELP_LINE)

    def test_defaults(self):
        for page, program in PROGRAMS.items():
            with self.subTest(page):
                text = read_page(page)
                for value in defaults_in_help(help_text(program)):
                    self.assertTrue(value in text, "the page does not name default " + value)

    def test_commands_of_the_shell(self):
        """Page and table have the same commands, and for each of them the same options."""
        program = PROGRAMS["ivshmem-client.1"]
        listed = run(program, "help", "all")
        table = {line.split()[0].rstrip(":") for line in listed.splitlines()}
        items = commands_in_page(read_page("ivshmem-client.1"))
        for command in sorted(table):
            with self.subTest(command):
                self.assertIn(command, items)
                lines = run(program, "help", command).splitlines()
                options = {m.group(2) for m in map(HELP_LINE.match, lines) if m}
                written = set(re.findall(r"Fl -([a-z-]+)", items[command]))
                self.assertEqual(options - COMMON, written - COMMON)
        self.assertEqual({"complete"}, set(items) - table)  # made for programs

    def test_methods_and_errors_of_the_control_socket(self):
        text = read_page("ivshmem-control.7")
        with open(os.path.join(TOP, "server/io.ivshmem.Server.varlink"), encoding="utf-8") as file:
            interface = file.read()
        methods = re.findall(r"(?m)^method (\w+)", interface)
        self.assertEqual(methods, re.findall(r"(?m)^\.It Fn (\w+)", text))
        errors = re.findall(r"(?m)^error (\w+)", interface)
        self.assertEqual(errors, re.findall(r"(?m)^\.It Cm (\w+)$", text.partition(
            ".Ss Errors of io.ivshmem.Server")[2].partition(".Ss")[0]))

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed: the pages were not linted")
    def test_lint(self):
        pages = sorted(glob.glob(os.path.join(TOP, "man", "*.[1-8]")))
        self.assertGreaterEqual(len(pages), 3)
        result = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], timeout=300,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual("", result.stdout)
        self.assertEqual(0, result.returncode)


def main():
    """Exits 0, 1 or, when something could not be looked at, 77."""
    result = unittest.main(exit=False, verbosity=2).result
    for test, reason in result.skipped:
        print("skipped %s: %s" % (test.id(), reason))
    sys.exit(1 if not result.wasSuccessful() else 77 if result.skipped else 0)


if __name__ == "__main__":
    main()
