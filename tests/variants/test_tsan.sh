#!/bin/sh
# SPDX-License-Identifier: MIT
# gcc, thread sanitizer: unit tests, and the server once.
. "${0%/*}/variant.sh"
variant_build tsan CC=gcc CFLAGS='-g -O1' --enable-sanitizers=thread
(variant_check check-threads)
