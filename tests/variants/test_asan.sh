#!/bin/sh
# SPDX-License-Identifier: MIT
# clang, address and undefined behaviour sanitizers: unit tests, short integration tests, fuzzers.
. "${0%/*}/variant.sh"
need clang
variant_build asan CC=clang --enable-sanitizers --enable-fuzzers
fuzz=$top_srcdir/tests/fuzz/run-fuzzers
(variant_check)
"$fuzz" tests/fuzz
