#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The headers that guests without a libc use compile for them, warn of nothing, and need nothing:
# neither a header of a libc nor one of its functions. With each compiler and machine that is here.

set -u

here=$(cd "$(dirname "$0")" && pwd)
top=${top_srcdir:-$here/../..}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

tried=0
failed=0

# Compiles with the rest of the arguments. Only the ring may need the CRC.
attempt() {
    echo 'int nothing;' >"$scratch/nothing.c"
    if ! "$@" -ffreestanding -c "$scratch/nothing.c" -o "$scratch/nothing.o" 2>"$scratch/log"; then
        echo "skipped: $*: $(head -n 1 "$scratch/log")"
        return
    fi
    for source in tests/unit/freestanding.c common/crc32c.c; do
        for level in -O0 -O2; do
            # What is not optimized may call memcpy() and memset() of the compiler's own accord.
            allowed='^(crc32c|crc32c_copy|_GLOBAL_OFFSET_TABLE_)$'
            [ "$level" = -O0 ] && allowed='^(crc32c|crc32c_copy|_GLOBAL_OFFSET_TABLE_|memcpy|memset)$'
            if ! "$@" -std=c11 -ffreestanding -nostdlib -nostdinc -isystem "$("$@" \
                -print-file-name=include)" -Wall -Wextra -Wpedantic -Werror "$level" -I"$top" \
                -c "$top/$source" -o "$scratch/object.o" 2>"$scratch/log"; then
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
