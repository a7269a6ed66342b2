# SPDX-License-Identifier: MIT
"""Reads valgrind's logs: fails on any error, and on any descriptor open at the end that was not
inherited. Usage: valgrind_logs.py LOG..."""
import re
import sys


def complaints(text):
    """The lines of one log that tell of an error or of a descriptor that was left open."""
    lines = [re.sub(r"^==\d+== ?", "", line) for line in text.splitlines()]
    for number, line in enumerate(lines):
        if re.match(r"Open .*(file descriptor|socket) \d+", line):
            behind = lines[number + 1] if number + 1 < len(lines) else ""
            if "inherited from parent" not in behind:
                yield line
        elif re.match(r"FILE DESCRIPTORS: \d+ open|\s*<inherited|\s*at 0x|\s*by 0x|\s*$", line):
            continue
        elif re.search(r"Invalid|uninitialised|definitely lost|Mismatched|overlap", line):
            yield line


def main():
    failed = False
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as log:
            text = log.read()
        found = list(complaints(text))
        if found:
            failed = True
            print(path, *found, text, sep="\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
