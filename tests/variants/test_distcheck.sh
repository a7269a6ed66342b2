#!/bin/sh
# SPDX-License-Identifier: MIT
# make distcheck: what is shipped builds, passes its short tests, installs and uninstalls cleanly.
. "${0%/*}/variant.sh"
variant_configure distcheck # what it builds is what was packed
unset top_srcdir top_builddir IVSHMEM_SERVER IVSHMEM_CLIENT IVSHMEM_GUEST IVSHMEM_TEST_VARIANTS
# How fast it is does not matter, nor who else is measured.
MAKEFLAGS='' make -s -j2 distcheck-short \
    DISTCHECK_CONFIGURE_FLAGS='--without-boost --without-dpdk --disable-hardening CFLAGS=-O0'
