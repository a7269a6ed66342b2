#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The print server as a script: prints what clients put into the dataport, until there is no server.
# See print.h for what the numbers mean.
#
#     ivshmem-server -n 2 --slot print=0 --slot app=1 ...
#     ./print_server.sh /tmp/ivshmem_socket
#
# The slot keeps our ID, and what is rung while none of these commands runs.

client() { "${IVSHMEM_CLIENT:-ivshmem-client}" -S "$socket.print" "$@"; }
socket=${1:-/tmp/ivshmem_socket}

while client --quiet wait 0; do
    app=$(client peek 0) # whom to tell; hexadecimal
    client read --offset 4 --length 1020
    client --quiet int "$((app))" 1
done
