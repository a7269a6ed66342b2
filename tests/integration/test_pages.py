#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Holds the manual pages against the programs: every option that --help prints stands in the page's list
of options, with the same letter and with a value where it takes one, and the other way round; every
default that --help names is in the page too. Then mandoc's lint has nothing to say about any page.

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
