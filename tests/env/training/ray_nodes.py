"""A cluster of Ray nodes on this machine. Tests get it from the fixture ``nodes``."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

ATTEMPTS = 10
"""To start a node. Ray gives each 30 s, which a busy machine exceeds."""


class RayNodes:
    """A driver's node and two with one worker each, on the loopback address."""

    def __init__(self) -> None:
        import ray  # it reads the environment
        from ray.cluster_utils import Cluster

        self._ray, self.cluster = ray, Cluster()
        for cpus in (0, 1, 1):
            self.add(cpus)

    @property
    def address(self) -> str:
        return self.cluster.address

    def add(self, cpus: int = 1, gpus: int = 0) -> object:
        # Ray takes 127.0.0.1 in an address for the machine's outer one; all of 127.x.x.x is the loopback's.
        place = {"node_ip_address": "127.0.0.2", "object_store_memory": 80 * 2**20}
        for left in reversed(range(ATTEMPTS)):
            try:
                return self.cluster.add_node(num_cpus=cpus, num_gpus=gpus, include_dashboard=False, **place)
            except Exception as error:  # Ray raises no other kind
                if not left or "timed out during startup" not in str(error):
                    raise
        raise AssertionError

    def lose(self, node: object) -> None:
        self.cluster.remove_node(node, allow_graceful=False)

    def replace_dead(self) -> None:
        """A new node for each that Ray gave up: on a busy machine its signs of life come too late."""
        for node in list(self.cluster.worker_nodes):
            if node.all_processes["raylet"][0].process.poll() is not None:
                self.lose(node)
                self.add()

    def workers(self) -> list[int]:
        """Ray's own worker processes, without its agents, with each of which a node ends."""
        raylets = [node.all_processes["raylet"][0].process.pid for node in self.cluster.worker_nodes]
        below = [own for raylet in raylets for own in children(raylet)]
        return [own for own in below if "ray::" in name(own) and "Agent" not in name(own)]

    def processes(self) -> list[int]:
        """The worker processes of netmend below them; between them is a fork server."""
        servers = [own for worker in self.workers() for own in children(worker)]
        return [own for server in servers for own in children(server)]

    def close(self) -> None:
        self._ray.shutdown()
        self.cluster.shutdown()


def name(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text() if os.path.exists(f"/proc/{pid}") else ""


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and parent(int(entry.name)) == pid:
                found.append(int(entry.name))
    return found


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
