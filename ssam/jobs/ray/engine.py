"""The cluster engine: races that compute on the nodes of a Ray cluster.

Everything but the computing stays where it is. For each race the runner starts a process on its own machine, as ever; that
process fetches the race's events from an actor on a node, and writes them down as if it had computed them. So the nodes
never see the database, nor the database them, and whatever holds for races on one machine holds for these: pause and
stop, checkpoints, a full disk, a runner that dies. A node that is lost ends that process, and the queue starts the race
again elsewhere, from its checkpoint. The actor belongs to the process and ends with it: nothing is left behind.

Where several processes share a race, each is such an actor and the first tells the events. Not by Ray Train: that starts actors
that outlive a race which is paused, and without Ray's dashboard they never gave its CPUs back.

Nodes need the same checkout and the same Python packages, at the same path.
"""

import logging
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from ssam.config import cluster_address, default_device, default_home, read_limits, read_sharing
from ssam.experiment import RaceSpec
from ssam.experiment.events import Event, Preparing
from ssam.imagefolder.uploads import Uploads
from ssam.jobs import race_process
from ssam.jobs.hardware import DeviceInfo, torch_devices
from ssam.jobs.ray.node import Batch, NodeRace, SharingNode
from ssam.jobs.retry import log

SILENCE_SECONDS = 30.0  # seconds without an answer after which a node counts as lost
RETRY_SECONDS = 0.5
WAIT_SECONDS = 0.2


def chosen_engine() -> tuple[race_process.RaceFactory, Callable[[], list[DeviceInfo]]]:
    """Return the factory of races and the function that finds accelerators. Raise ValueError, one line, for a bad SSAM_ENGINE, or
    if Ray is requested but not installed."""
    if cluster_address() is None:
        return race_process.engine_race, torch_devices
    try:
        import ray  # noqa: F401
    except ImportError:
        raise ValueError("SSAM_ENGINE requests Ray: pip install -r requirements-cluster.txt") from None
    read_sharing()
    return cluster_race, cluster_devices


def cluster_devices() -> list[DeviceInfo]:
    """Return the GPUs of all nodes together; the index does not tell the node."""
    ray = connected()
    try:
        shared = read_sharing().processes
        places = int(ray.cluster_resources().get("GPU", 0)) // shared
        name = "GPU of the cluster" if shared == 1 else f"{shared} GPUs of the cluster"
        return [DeviceInfo(f"cuda:{index}", name, 0.0) for index in range(places)]
    finally:
        ray.shutdown()


def cluster_race(
    spec: RaceSpec, home: Path, image_root: Path, threads: int, state: dict[str, Any] | None
) -> race_process.Race:
    """Return the real race, on a node. Import torch."""
    return ClusterRace(race_process.engine_race, spec, image_root, state)


class ClusterRace:
    """A proxy for a race that ``race`` makes on a node, or that several processes share on nodes.

    Each process gets one GPU if SSAM_DEVICE names one, and its share of the CPUs (``cpus_a_process``). Raise what ``race``
    raises for these arguments here. ``events`` raises SystemExit if a node is lost, so that this process ends as if it had been
    killed with the node.
    """

    def __init__(
        self, race: race_process.RaceFactory, spec: RaceSpec, image_root: Path, state: dict[str, Any] | None
    ) -> None:
        race(spec, default_home(), image_root, 1, state)
        self._race, self._spec, self._image_root, self._state = race, spec, image_root, state
        self._sharing = read_sharing()
        self._wanted = False

    def want_checkpoint(self) -> None:
        self._wanted = True

    def events(self) -> Generator[Event, None, None]:
        ray = connected()
        try:
            actor, others = self._place(ray)
            yield from self._told_by(ray, actor, others)
        finally:
            ray.shutdown()  # ends the actors too

    def _place(self, ray: Any) -> tuple[Any, list[Any]]:
        """Return the actor that produces the events, and the tasks of the others."""
        processes = self._sharing.processes
        nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        cpus = cpus_a_process(nodes, processes)
        gpus = 1 if default_device().startswith("cuda") else 0
        log(f"asks the cluster for {processes} × {cpus} CPUs and {gpus} GPUs")
        images = []  # only uploads: any other ``data`` is rejected on the node
        if self._spec.data in Uploads(self._image_root).names():
            images.append(ray.put((self._image_root / self._spec.data).read_bytes()))
        start = (self._spec, cpus, "cuda:0" if gpus else "cpu", ray.put(self._state), images)
        self._state = None  # it is large
        if processes == 1:
            return ray.remote(NodeRace).options(num_cpus=cpus, num_gpus=gpus).remote(*start, self._race), []
        return self._place_together(ray, cpus, gpus, start)

    def _place_together(self, ray: Any, cpus: int, gpus: int, start: tuple[Any, ...]) -> tuple[Any, list[Any]]:
        """Place all processes or none, on few nodes if possible."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        bundle = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
        group = ray.util.placement_group([bundle] * self._sharing.processes)
        actors = [
            ray.remote(SharingNode)
            .options(num_cpus=cpus, num_gpus=gpus, scheduling_strategy=PlacementGroupSchedulingStrategy(group, rank))
            .remote(*start)
            for rank in range(self._sharing.processes)
        ]
        meetings = [actor.meet.remote() for actor in actors]
        joins = [actor.join.remote(rank, self._sharing.perturbation, *meetings) for rank, actor in enumerate(actors)]
        return actors[0], [*joins, *(actor.follow.remote() for actor in actors[1:])]

    def _told_by(self, ray: Any, actor: Any, others: list[Any]) -> Generator[Event, None, None]:
        """Yield events; the nodes compute the next batch while this one is saved."""
        number, answer = 0, actor.advance.remote(0, False)
        while not ray.wait([answer], timeout=WAIT_SECONDS)[0]:
            _check(ray, others)
            yield Preparing("waiting for a place on the cluster")  # a chance to be paused or stopped
        while True:
            batch = _received(ray, actor, number, answer)
            if not batch.finished and batch.error is None:
                number += 1
                answer, self._wanted = actor.advance.remote(number, self._wanted), False
            yield from batch.events
            if others and isinstance(batch.error, ConnectionError):
                sys.exit(f"a node of this race is lost: {batch.error}")
            if batch.error is not None:
                raise batch.error
            if batch.finished:
                return


def _received(ray: Any, actor: Any, number: int, answer: Any) -> Batch:
    """Return the next batch; an unreachable node is asked again, also for events already sent, until it answers or is lost."""
    deadline = time.monotonic() + SILENCE_SECONDS
    while True:
        try:
            batch: Batch = ray.get(answer)
            return batch
        except ray.exceptions.ActorUnavailableError:
            if time.monotonic() > deadline:
                sys.exit(f"the node of this race has not answered for {SILENCE_SECONDS:.0f} s")
            time.sleep(RETRY_SECONDS)
            answer = actor.advance.remote(number, False)
        except ray.exceptions.RayActorError as error:
            sys.exit(f"the node of this race is lost: {str(error).splitlines()[0]}")


def _check(ray: Any, others: list[Any]) -> None:
    """End this process if one that should share the race was lost before the start."""
    try:
        ray.get(ray.wait(others, num_returns=len(others), timeout=0)[0] if others else [])
    except ray.exceptions.RayError as error:
        sys.exit(f"a node of this race is lost: {str(error).splitlines()[0]}")


def cpus_a_process(nodes: Sequence[float], processes: int = 1) -> int:
    """Return the CPUs per process on nodes with these CPUs: SSAM_SLOTS races share them all, and a process fits on one node."""
    return max(1, min(int(sum(nodes)) // (read_limits().slots * processes), int(max(nodes, default=1))))


def connected() -> Any:
    import ray

    address = cluster_address()
    try:
        ray.init(address, namespace="ssam-lab", logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError) as error:
        raise ConnectionError(f"the Ray cluster {address!r} cannot be reached: {str(error).splitlines()[0]}") from error
    return ray
