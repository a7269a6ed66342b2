#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The print client as a script: has the server print its arguments, each on a line of its own. The
# server may be started later. See print.h for what the numbers mean.
#
#     ivshmem-server -n 2 --slot print=0 --slot app=1 ...
#     ./print_client.sh /tmp/ivshmem_socket hello "good bye"

client() { "${IVSHMEM_CLIENT:-ivshmem-client}" --quiet -S "$socket.app" "$@"; }
die() { echo "print_client.sh: $1" >&2 && exit 1; }
socket=${1:?Usage: print_client.sh SOCKET TEXT...}
shift

client wait 1 --timeout 0 2>/dev/null # forget the answer to who had this place before us
[ $? != 3 ] || die "there is no vector 1: start ivshmem-server with -n 2"
for text; do
    client poke 0 1 && printf %s "$text" |
        client write - --offset 4 --length 1020 --nul --truncate || exit 1
    until client -c 'int 0 0; wait 1 --timeout 60' 2>/dev/null; do
        [ $? = 3 ] || die "the print server does not answer"
        sleep 0.1 # 3: there is no print server yet, or it is between two commands
    done
done
