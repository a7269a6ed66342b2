#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Runs every fuzzer once over its corpus: seeds, and inputs that broke something in the past. It does
not matter whether libFuzzer or replay.c is linked in: both take files.

Variables: top_srcdir has the corpora, top_builddir the fuzzers.
"""

import glob
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(os.environ.get("top_srcdir") or os.path.join(HERE, "../.."), "tests/fuzz")
BUILD = os.path.join(os.environ.get("top_builddir") or os.path.join(HERE, "../../build"),
                     "tests/fuzz")


def replay(name):
    """Return: whether the fuzzer is there and takes all of its corpus."""
    program = os.path.join(BUILD, "fuzz_" + name)
    files = sorted(glob.glob(os.path.join(SOURCE, "corpus", name, "*")))
    if not files:
        print("%s: there is no corpus" % name)
        return False
    if not os.access(program, os.X_OK):
        print("%s: %s is not built" % (name, program))
        return False
    result = subprocess.run([program] + files, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=300)
    if result.returncode != 0:
        print("%s: exit %d\n%s" % (name, result.returncode,
                                   result.stdout.decode(errors="replace")[-20000:]))
        return False
    print("%s: %d files" % (name, len(files)))
    return True


def main():
    names = sorted(os.path.basename(path)[len("fuzz_"):-len(".c")]
                   for path in glob.glob(os.path.join(SOURCE, "fuzz_*.c")))
    results = [replay(name) for name in names]
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
