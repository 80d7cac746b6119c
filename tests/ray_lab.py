"""A runner whose races compute on a Ray cluster but are made up: ``python -m tests.ray_lab HOME``."""

import sys
from pathlib import Path

from ssam.jobs.ray.engine import ClusterRace, cluster_devices
from ssam.jobs.runner import Runner, main
from ssam.store import Store
from tests.fake_race import FakeRace


def race(spec, home, image_root, threads, state):
    return ClusterRace(FakeRace, spec, image_root, state)


if __name__ == "__main__":
    main(Runner(Store(Path(sys.argv[1])), race, cluster_devices, preload=("torch", "ray", "tests.fake_race")))
