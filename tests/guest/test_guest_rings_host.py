#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest rings the client on the host, which prints the notification with its own ID."""

import guest


class RingsHost(guest.Test):
    def test_notification(self):
        server = self.server(vectors=2)
        one = self.guest(server)
        client = self.client(server).ready()
        for vector in (0, 1):
            line = "receive notification from peer_id=1 vector=%d" % vector

            def arrived():
                client.pump()
                return line in client.lines()

            one.ring_until(1, vector, arrived)
        one.quit()
        guest.wait_dump(client, {1: 2})


if __name__ == "__main__":
    guest.main()
