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

# variant_configure NAME CONFIGURE-ARGUMENT...: in a directory of that name, and enter it
variant_configure() {
    directory=$top_builddir/tests/variants/$1
    shift
    mkdir -p "$directory"
    cd "$directory"
    # the benchmark's opponents are built once, which is enough: they take longest
    "$top_srcdir/configure" --quiet --enable-werror --without-boost --without-dpdk "$@"
}

# variant_build NAME CONFIGURE-ARGUMENT...: the same, and build
variant_build() {
    variant_configure "$@"
    # make's own jobs are not ours: the outer make may run several tests at once
    MAKEFLAGS='' make -s -j2
}

# variant_check TARGET [TEST...]: the tests of that target, and these
variant_check() {
    unset top_srcdir top_builddir IVSHMEM_SERVER IVSHMEM_CLIENT IVSHMEM_GUEST IVSHMEM_TEST_VARIANTS
    MAKEFLAGS='' make -s -j2 "$1" VERBOSE=1
    shift
    [ $# -eq 0 ] || MAKEFLAGS='' make -s -j2 check TESTS="$*" VERBOSE=1
}
