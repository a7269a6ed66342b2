# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# What the variant tests share: a build of its own, from these sources, with other flags. They run
# when IVSHMEM_TEST_VARIANTS is set (./bootstrap check sets it), since each is a whole build.

set -eu

skip() {
    echo "skipped: $*"
    exit 77
}

[ -n "${IVSHMEM_TEST_VARIANTS:-}" ] || skip "a whole build; set IVSHMEM_TEST_VARIANTS=1 to run it"

need() {
    command -v "$1" >/dev/null 2>&1 || skip "$1 is not installed"
}

# variant_build NAME CONFIGURE-ARGUMENT...: build in a directory of that name, and enter it
variant_build() {
    directory=$top_builddir/tests/variants/$1
    shift
    mkdir -p "$directory"
    cd "$directory"
    "$top_srcdir/configure" --quiet --enable-werror "$@"
    # make's own jobs are not ours: the outer make may run several tests at once
    MAKEFLAGS='' make -s -j2
}

variant_forget() {
    unset top_srcdir top_builddir IVSHMEM_SERVER IVSHMEM_CLIENT IVSHMEM_GUEST IVSHMEM_TEST_VARIANTS
}

# variant_check_unit: the unit tests only
variant_check_unit() {
    variant_forget
    MAKEFLAGS='' make -s -j2 check-unit VERBOSE=1
}

# variant_check [TEST...]: the short tests, and these
variant_check() {
    variant_forget
    MAKEFLAGS='' make -s -j2 check-short VERBOSE=1
    [ $# -eq 0 ] || MAKEFLAGS='' make -s -j2 check TESTS="$*" VERBOSE=1
}
