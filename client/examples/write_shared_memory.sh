#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Writes a text into shared memory and clears the rest of it, with the options of the script that
# Zephyr's doorbell sample has for that. It never makes, cuts or enlarges the memory; a text that
# does not fit is an error.
#
#     ./write_shared_memory.sh -s 4194304 -l /dev/shm/ivshmem -m "hello world"
#
# Without -s it is the whole memory. A NUL behind the text ends it for the reader.

usage="Usage: write_shared_memory.sh [-s SIZE] [-l PATH] [-m TEXT] [-v]"
path=/dev/shm/ivshmem
text="a message through ivshmem"
size=
quiet=--quiet

while getopts s:l:m:vh option; do
    case $option in
    s) size=$OPTARG ;;
    l) path=$OPTARG ;;
    m) text=$OPTARG ;;
    v) quiet= ;;
    h) echo "$usage" && exit ;;
    *) echo "$usage" >&2 && exit 1 ;;
    esac
done
shift $((OPTIND - 1))
[ $# = 0 ] || { echo "write_shared_memory.sh: what is '$1'? $usage" >&2 && exit 1; }

printf %s "$text" | "${IVSHMEM_CLIENT:-ivshmem-client}" $quiet --memory "$path" \
    write - --nul --pad ${size:+--length "$size"}
