#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench_channel still works: every contender moves messages of every size, and each byte of them
is what was sent; it opens channels of the library, and has some that are idle. How fast, and at
what cost, is not asked here."""

import csv
import os
import re
import subprocess
import sys
import tempfile

PROGRAM = os.path.join(os.environ["top_builddir"], "tests/bench/bench_channel")
SIZES = {64, 256, 1024, 4096, 16384, 65536, 1048576}
WAYS = {"copy", "zero-copy", "burst", "singly", "crc32c", "hybrid", "spin trip", "block trip", "hybrid trip"}
OURS = {f"{family} {way}" for family in ("ring", "library") for way in WAYS} | {"library block", "ring spin"}
CHANNELS = 20
COSTS = [
    rf"opening and closing one, of {CHANNELS}: [0-9.]+ us, CPU of the server [0-9.]+ us\n",
    rf" {CHANNELS} idle, CPU in a second: server \d+ us, sender \d+ us, receiver \d+ us ",
]


def main():
    with tempfile.TemporaryDirectory() as directory:
        output = os.path.join(directory, "bench")
        settings = {"ROUNDS": "1", "MS": "1", "CHANNELS": str(CHANNELS), "OUTPUT": output}
        environment = os.environ | {f"IVSHMEM_BENCH_{key}": value for key, value in settings.items()}
        bench = subprocess.run(
            [PROGRAM], env=environment, timeout=300, stdout=subprocess.PIPE, text=True
        )
        print(bench.stdout)
        if bench.returncode:
            sys.exit(bench.returncode)
        with open(output + ".csv") as file:
            rows = list(csv.DictReader(file))
    measured = {}
    for row in rows:
        assert float(row["ns"]) > 0, row
        measured.setdefault(row["contender"], set()).add(int(row["bytes"]))
    assert OURS <= measured.keys(), measured.keys()
    for cost in COSTS:
        assert re.search(cost, bench.stdout), cost
    for contender, sizes in measured.items():
        assert sizes == SIZES or "trip" in contender, (contender, sizes)


main()
