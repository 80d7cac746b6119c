"""A Ray cluster on this machine's loopback: a head without CPUs and two nodes with one each.

``python -m tests.ray_cluster`` prints the address, then does what standard input says until that ends: ``lose`` kills the node
that has a race, ``count`` prints how many have one.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from tests.patience import SECONDS

PROJECT = Path(__file__).resolve().parents[1]
missing = importlib.util.find_spec("ray") is None

# Ray's name for it; elsewhere it takes the first address that others can reach. Read when ray is imported.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
STORE = 80 * 2**20  # bytes that a node keeps for objects, the least that Ray takes


def main() -> None:
    os.environ |= LOOPBACK
    from ray.cluster_utils import Cluster

    place = {"node_ip_address": "127.0.0.1", "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **place})
    nodes = [cluster.add_node(num_cpus=1, **place) for _ in range(2)]
    session = cluster.head_node.get_session_dir_path()
    print("at", cluster.address, flush=True)
    for command in sys.stdin:
        busy = [node for node in nodes if has_race(node)]
        if command.strip() == "lose":
            for node in busy:
                nodes.remove(node)
                cluster.remove_node(node, allow_graceful=False)
        print("busy", len(busy), flush=True)
    cluster.shutdown()
    shutil.rmtree(session)


def has_race(node) -> bool:
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return any("NodeRace" in child.name() or "NodeRace" in " ".join(child.cmdline()) for child in raylet.children())


class Cluster:
    """The cluster, in a process of its own."""

    def __init__(self, home):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ray_cluster"],
            cwd=PROJECT,
            env={**os.environ, "SSAM_HOME": str(home), "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.address = self._answer("at")

    def lose_the_node_of_the_race(self):
        assert self._ask("lose") == "1"

    def races(self):
        return int(self._ask("count"))

    def close(self):
        """Returns the processes that it left behind."""
        members = [p for p in psutil.process_iter() if os.getsid(p.pid) == self._process.pid]
        self._process.communicate(timeout=SECONDS)
        _, alive = psutil.wait_procs(members, timeout=SECONDS)
        return [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]

    def _ask(self, command):
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer("busy")

    def _answer(self, word):
        while line := self._process.stdout.readline():
            if line.startswith(f"{word} "):
                return line.split()[1]
        raise AssertionError("the cluster has ended")


if __name__ == "__main__":
    main()
