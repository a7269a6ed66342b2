#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench_channel still works: every contender moves messages of every size, and each byte of them
is what was sent. How fast is not asked here."""

import csv
import os
import subprocess
import sys
import tempfile

PROGRAM = os.path.join(os.environ["top_builddir"], "tests/bench/bench_channel")
SIZES = {64, 256, 1024, 4096, 16384, 65536, 1048576}
OURS = {"ring copy", "ring zero-copy", "ring burst", "ring crc32c", "ring spin", "ring hybrid"}


def main():
    with tempfile.TemporaryDirectory() as directory:
        output = os.path.join(directory, "bench")
        settings = {"ROUNDS": "1", "MS": "1", "OUTPUT": output}
        environment = os.environ | {f"IVSHMEM_BENCH_{key}": value for key, value in settings.items()}
        bench = subprocess.run([PROGRAM], env=environment, timeout=300)
        if bench.returncode:
            sys.exit(bench.returncode)
        with open(output + ".csv") as file:
            rows = list(csv.DictReader(file))
    measured = {}
    for row in rows:
        assert float(row["ns"]) > 0, row
        measured.setdefault(row["contender"], set()).add(int(row["bytes"]))
    assert OURS <= measured.keys(), measured.keys()
    for contender, sizes in measured.items():
        assert sizes == SIZES or "trip" in contender, (contender, sizes)


main()
