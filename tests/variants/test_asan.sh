#!/bin/sh
# SPDX-License-Identifier: MIT
# clang, address and undefined behaviour sanitizers: unit tests, short integration tests,
# channels under attack, fuzzers.
. "${0%/*}/variant.sh"
need clang
variant_build asan CC=clang CFLAGS='-g -O1' --enable-sanitizers --enable-fuzzers
fuzz=$top_srcdir/tests/fuzz/run-fuzzers
(variant_check check-short tests/load/test_channels_scribbled)
"$fuzz" tests/fuzz
