"""The actors that run a race on the nodes of a Ray cluster: the other side of ``ssam.jobs.ray.engine``."""

import os
import socket
import time
import traceback
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from ssam.config import default_home, set_default_device
from ssam.experiment import RaceSpec
from ssam.experiment.events import Checkpoint, Event
from ssam.jobs import race_process
from ssam.store.files import write_whole

BATCH_SECONDS = 0.2  # seconds for which events are collected before they are sent

Meeting = tuple[str, str, int]  # of a process: its node, the node's address, a free port there


@dataclass(frozen=True)
class Batch:
    """Events of a part of a race, and how it ended, if it has: normally or with an error."""

    events: list[Event]
    finished: bool = False
    error: Exception | None = None


class NodeRace:
    """Runs a race for as long as its events are requested.

    Args:
        spec, state: what ``race`` takes.
        threads: the number of this actor's CPUs.
        device: ``cpu``, or ``cuda:0``, the only GPU that Ray lets this process see.
        images: at most one reference, to the bytes of the upload that ``spec.data`` names.
        race: makes it.
    """

    def __init__(
        self,
        spec: RaceSpec,
        threads: int,
        device: str,
        state: dict[str, Any] | None,
        images: list[Any],
        race: race_process.RaceFactory,
    ) -> None:
        set_default_device(device)
        self._spec, self._threads, self._state, self._images, self._make = spec, threads, state, images, race
        self._race: race_process.Race | None = None
        self._number, self._batch = -1, Batch([])

    def advance(self, number: int, want_checkpoint: bool) -> Batch:
        """Return the events of the next BATCH_SECONDS, or up to the next checkpoint; for a repeated number the same events again."""
        if number != self._number:
            self._number, self._batch = number, self._next(want_checkpoint)
        return self._batch

    def _next(self, want_checkpoint: bool) -> Batch:
        begin, events = time.monotonic(), list[Event]()
        try:
            if self._race is None:
                self._race = self._begin()
                self._events = self._race.events()
            if want_checkpoint:
                self._race.want_checkpoint()
            for event in self._events:
                events.append(event)
                if isinstance(event, Checkpoint) or time.monotonic() - begin >= BATCH_SECONDS:
                    return Batch(events)
        except Exception as error:  # raised again in the process that saves the race
            traceback.print_exc()
            return Batch(events, error=error)
        return Batch(events, finished=True)

    def _begin(self) -> race_process.Race:
        state, self._state = self._state, None  # it is large
        return self._make(self._spec, default_home(), self._image_root(), self._threads, state)

    def _image_root(self) -> Path:
        """Return this node's folder of uploads, with the race's upload in it: its name contains the digest of its content."""
        import ray

        folder, name = default_home() / "images", self._spec.data
        folder.mkdir(parents=True, exist_ok=True)
        if name is not None and self._images:
            with FileLock(folder / f".{name}.lock"):  # two races may need it at once
                if not (folder / name).exists():
                    content: bytes = ray.get(self._images[0])
                    write_whole(folder / name, lambda file: file.write(content))
        return folder


class SharingNode(NodeRace):
    """One of several processes that share a race, each with a share of every batch. The first produces the events; its
    checkpoints serve all, since all have the same state. Import torch.

    Call ``meet``, then ``join`` with the results of ``meet`` of all, then ``advance`` of the first and ``follow`` of the others.
    """

    def __init__(
        self, spec: RaceSpec, threads: int, device: str, state: dict[str, Any] | None, images: list[Any]
    ) -> None:
        super().__init__(spec, threads, device, state, images, self._shared_race)

    def meet(self) -> Meeting:
        import ray

        address = ray.util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((address, 0))
            return ray.get_runtime_context().get_node_id(), address, probe.getsockname()[1]

    def join(self, rank: int, perturbation: Literal["worker", "global"], *meetings: Meeting) -> None:
        from ssam.engine.distributed import joined

        nodes = [node for node, _, _ in meetings]
        _, address, port = meetings[0]
        os.environ |= {
            "RANK": str(rank),
            "WORLD_SIZE": str(len(nodes)),
            "MASTER_ADDR": address,
            "MASTER_PORT": str(port),
        }
        os.environ["LOCAL_RANK"] = str(nodes[:rank].count(nodes[rank]))
        self._group = ExitStack()  # as long as this process lives
        self._ranks = self._group.enter_context(joined(perturbation, gpu=0))

    def follow(self) -> None:
        """Take part without producing events."""
        for _ in self._begin().events():
            pass

    def _shared_race(
        self, spec: RaceSpec, home: Path, image_root: Path, threads: int, state: dict[str, Any] | None
    ) -> race_process.Race:
        from ssam.engine import Race

        return Race(spec, home=home, image_root=image_root, threads=threads, state=state, ranks=self._ranks)
