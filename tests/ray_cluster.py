"""A Ray cluster on this machine's loopback: a head without CPUs and two nodes with one each.

``python -m tests.ray_cluster`` prints the address, then does what standard input says until that ends: ``lose`` kills the node
that has a race, ``count`` prints how many have one.
"""

import os
import shutil
import sys

import psutil

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


if __name__ == "__main__":
    main()
