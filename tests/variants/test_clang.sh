#!/bin/sh
# SPDX-License-Identifier: MIT
# clang with warnings as errors and the hardening that users get. The tests run in clang's other
# build, that with the address sanitizer.
. "${0%/*}/variant.sh"
need clang
variant_build clang CC=clang
