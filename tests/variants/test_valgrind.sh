#!/bin/sh
# SPDX-License-Identifier: MIT
# The server of the integration tests under valgrind: no invalid access, no leak of memory, and no
# descriptor open at its end that it did not inherit.
. "${0%/*}/variant.sh"
need valgrind
directory=$top_builddir/tests/variants/valgrind
rm -rf "$directory"
mkdir -p "$directory"
real=$IVSHMEM_SERVER
IVSHMEM_SERVER=$directory/ivshmem-server
cat >"$IVSHMEM_SERVER" <<END
#!/bin/sh
exec valgrind --quiet --track-fds=yes --leak-check=full --show-leak-kinds=definite,possible \\
    --errors-for-leak-kinds=definite --log-file='$directory/%p.log' '$real' "\$@"
END
chmod +x "$IVSHMEM_SERVER"
export IVSHMEM_SERVER IVSHMEM_TEST_SLOW=1
for test in test_protocol test_slots; do
    "${PYTHON:-python3}" "$top_srcdir/tests/integration/$test.py"
done
logs=$(find "$directory" -name '*.log' | wc -l)
[ "$logs" -gt 0 ] || { echo "valgrind wrote no log"; exit 1; }
"${PYTHON:-python3}" "$top_srcdir/tests/variants/valgrind_logs.py" "$directory"/*.log
