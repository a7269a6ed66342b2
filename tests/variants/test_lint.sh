#!/bin/sh
# SPDX-License-Identifier: MIT
# The sources against clang-format, cppcheck, clang-tidy and shellcheck.
. "${0%/*}/variant.sh"
need clang-format
need clang-tidy
need cppcheck
need shellcheck
cd "$top_srcdir"
sources=$(find common server client tests -name '*.c')
headers=$(find common server client tests -name '*.h')
# shellcheck disable=SC2086 # our file names have no spaces
clang-format --dry-run -Werror $sources $headers
# Left out: variables that make sets, our own file names have no spaces, variant.sh sets -e.
# shellcheck disable=SC2046
shellcheck -S warning -e SC2154,SC2038,SC2164 bootstrap .ci/run $(find client tests -name '*.sh') tests/fuzz/run-fuzzers
# shellcheck disable=SC2046
cppcheck --quiet --std=c11 --language=c --inline-suppr --error-exitcode=1 --suppress=invalidFunctionArg:common/doorbell.h \
    --enable=warning,performance,portability --suppress=missingIncludeSystem \
    --library=tests/variants/cppcheck.cfg \
    -I. -Iclient/include -D_GNU_SOURCE -D__linux__ $(find common server client -name '*.c')
# One process a file: in one for all, clang-tidy 14 finds va_lists uninitialized that are not.
find common server client -name '*.c' | xargs -n 1 -P 2 sh -c 'exec clang-tidy --quiet \
    --warnings-as-errors="*" "$0" -- -std=gnu11 -D_GNU_SOURCE "-DPACKAGE_VERSION=\"lint\"" -I. \
    -Iclient/include 2>/dev/null'
