#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The headers that guests without a libc use compile for them, warn of nothing, and need nothing:
# neither a header of a libc nor one of its functions. With each compiler and machine that is here,
# as they are in the tree and as they are installed.

set -u

here=$(cd "$(dirname "$0")" && pwd)
top=${top_srcdir:-$here/../..}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

tried=0
failed=0

# What is installed, and nothing of the tree.
sources="$top/tests/unit/freestanding.c $top/common/crc32c.c"
if [ -e "${top_builddir:-}/Makefile" ]; then
    if ! env -u MAKEFLAGS -u MFLAGS make -C "$top_builddir" install-ringincludeHEADERS \
        DESTDIR="$scratch/root" >"$scratch/log" 2>&1; then
        cat "$scratch/log"
        exit 1
    fi
    installed=$(find "$scratch/root" -type d -name ivshmem)
    sed 's|^#include "common/\(.*\)"|#include <ivshmem/\1>|' "$top/tests/unit/freestanding.c" \
        >"$scratch/installed.c"
    sources="$sources $scratch/installed.c $installed/crc32c.c"
    includes=${installed%/ivshmem}
fi

# Compiles with the rest of the arguments. Only the ring may need the CRC.
attempt() {
    echo 'int nothing;' >"$scratch/nothing.c"
    if ! "$@" -ffreestanding -c "$scratch/nothing.c" -o "$scratch/nothing.o" 2>"$scratch/log"; then
        echo "skipped: $*: $(head -n 1 "$scratch/log")"
        return
    fi
    for source in $sources; do
        case $source in "$scratch"/*) include=$includes ;; *) include=$top ;; esac
        for level in -O0 -O2; do
            # What is not optimized may call memcpy() and memset() of the compiler's own accord.
            allowed='^(crc32c|crc32c_copy|_GLOBAL_OFFSET_TABLE_)$'
            [ "$level" = -O0 ] && allowed='^(crc32c|crc32c_copy|_GLOBAL_OFFSET_TABLE_|memcpy|memset)$'
            if ! "$@" -std=c11 -ffreestanding -nostdlib -nostdinc -isystem "$("$@" \
                -print-file-name=include)" -Wall -Wextra -Wpedantic -Werror "$level" -I"$include" \
                -c "$source" -o "$scratch/object.o" 2>"$scratch/log"; then
                echo "FAILED: $* $level $source"
                cat "$scratch/log"
                failed=1
            elif nm -u "$scratch/object.o" | sed 's/.* //' | grep -Ev "$allowed"; then
                echo "FAILED: $* $level $source: needs the functions above"
                failed=1
            fi
        done
    done
    echo "compiled: $*"
    tried=$((tried + 1))
}

for compiler in gcc clang; do
    command -v "$compiler" >/dev/null || continue
    attempt "$compiler"
    attempt "$compiler" -m32
    attempt "$compiler" -m32 -march=i686 -mgeneral-regs-only
done
if command -v clang >/dev/null; then
    attempt clang --target=aarch64-none-elf
fi
if [ "$tried" -eq 0 ]; then
    echo "skipped: no gcc and no clang"
    exit 77
fi
exit "$failed"
