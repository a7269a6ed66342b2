#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest is killed: the host sees it go, the other guest goes on."""

import guest


class Killed(guest.Test):
    def test_others_go_on(self):
        server = self.server(vectors=2)
        first, second = self.guest(server), self.guest(server)
        client = self.client(server).ready()
        self.assertEqual((2, {0: 2, 1: 2, 2: 2}), guest.dump(client))
        second.kill()
        guest.wait_dump(client, {0: 2, 2: 2})

        guest.write_host(server, "still there?")
        client.send("int 0 1")
        first.wait_line(r"received IRQ on vector 1 and full message: still there\?")
        client.send("int 1 0")
        client.expect("cannot find peer_id = 1$")
        first.command("ring 1 0", "rang peer 1 vector 0")  # nobody hears it, nothing breaks
        first.ring_until(2, 0, lambda: "peer_id=2 vector=0" in self.pumped(client))

        third = self.guest(server)
        self.assertEqual(3, third.peer_id)  # 1 does not come back while someone remembers it
        third.ring_until(0, 0, lambda: first.counts().get(0, 0) > 0)
        third.quit()
        first.quit()
        guest.wait_dump(client, {2: 2})

    @staticmethod
    def pumped(client):
        client.pump()
        return client.output()


if __name__ == "__main__":
    guest.main()
