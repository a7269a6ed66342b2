#!/bin/sh
# SPDX-License-Identifier: MIT
# clang with warnings as errors and the hardening that users get: unit and short integration tests.
. "${0%/*}/variant.sh"
need clang
variant_build clang CC=clang
(variant_check)
