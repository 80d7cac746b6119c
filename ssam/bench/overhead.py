"""The overhead of watching: a race with its timers and events, a store that saves them and a page that reads them, compared with
the same training in a plain loop.

Plain loop and watched race alternate in short stretches. The store's share is not a difference of two noisy numbers: the time
inside its calls is measured. A page reads in another process; its CPU seconds are related to the seconds between two of its
reads.
"""

import copy
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssam.bench.contestants import sgd_settings
from ssam.bench.events import Note, Overhead
from ssam.bench.inputs import bundled_images, network, spec_for
from ssam.bench.timing import Timer, quartiles
from ssam.engine import Race
from ssam.experiment import LaneSpec, RaceSpec
from ssam.experiment.events import EpochEvent, StepEvent
from ssam.masks import random_mask
from ssam.methods import METHODS
from ssam.models import StagedModel
from ssam.optim import SAM
from ssam.training.precision import autocast

LANES = ("sgd", "sam", "ssam-f")
STRETCH_SECONDS = 1.0
SETTLING_ROUNDS = 3
MOST_REPEATS = 15
LOOK_SECONDS = 0.2  # between two polls of the race process for its desired state
PAGE_SECONDS = 0.8  # between two reads of the page
POINTS = 300
STEPS_SEEN = 600  # steps of each lane that the timed page reads


def overhead(
    name: str, batch_size: int | None, device: torch.device, repeats: int, timer: Timer
) -> Iterator[Overhead | Note]:
    spec = spec_for(name, batch_size).model_copy(
        update={"lanes": tuple(map(LaneSpec.parse, LANES)), "device": str(device)}
    )
    plain = PlainLoop(spec, device)
    plain.rounds(SETTLING_ROUNDS)
    rounds = max(1, round(STRETCH_SECONDS / timer(lambda: plain.rounds(1))))
    if 2 * rounds > spec.steps_per_epoch:
        yield Note(f"{name}: an epoch is too short to measure what watching adds")
        return
    with TemporaryDirectory() as home, closing(WatchedRace(spec, Path(home), device)) as watched:
        watched.rounds(SETTLING_ROUNDS)
        engine: list[float] = []
        store: list[float] = []
        while len(engine) < min(repeats, MOST_REPEATS):
            alone = timer(lambda: plain.rounds(rounds))
            together = timer(lambda: watched.rounds(rounds))
            stored, evaluated = watched.taken()
            if not evaluated:  # an evaluation is not a cost of watching
                engine.append((together - stored) / alone - 1)
                store.append(stored / alone)
        page = [seconds / PAGE_SECONDS for seconds in watched.reading(timer)]
    yield _overhead(name, "timers and events", engine)
    yield _overhead(name, "store", store)
    yield _overhead(name, "page", page)
    read = quartiles(page)[0]
    yield _overhead(name, "together", [e + s + read for e, s in zip(engine, store, strict=True)])


def _overhead(model: str, what: str, shares: list[float]) -> Overhead:
    return Overhead(model, what, *quartiles(shares))


class PlainLoop:
    """The lanes' training as a hand-written loop: the same networks, batches and optimizers, nothing measured."""

    def __init__(self, spec: RaceSpec, device: torch.device) -> None:
        self._batches = bundled_images(spec, device)
        model = network(spec, self._batches, device)
        self.lanes = [self._lane(spec, lane, copy.deepcopy(model)) for lane in spec.lanes]
        self._steps = 0

    def _lane(self, spec: RaceSpec, lane: LaneSpec, model: StagedModel) -> tuple[StagedModel, torch.optim.Optimizer]:
        base = torch.optim.SGD(model.parameters(), **sgd_settings(spec))
        if not METHODS[lane.method].perturbs:
            return model, base
        mask = random_mask(model.parameters(), spec.lane_sparsity(lane), torch.Generator().manual_seed(0))
        return model, SAM(base, spec.lane_rho(lane), mask if METHODS[lane.method].sparse else None)

    def rounds(self, count: int) -> None:
        """Run ``count`` steps of each lane."""
        for _ in range(count):
            x, y = self._batches.get(self._steps)
            for model, optimizer in self.lanes:
                _step(model, optimizer, x, y)
            self._steps += 1


def _step(model: StagedModel, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    def closure() -> float:
        optimizer.zero_grad()
        with autocast(x.device):
            loss = cross_entropy(model(x), y)
        loss.backward()
        return loss  # type: ignore[return-value]  # a tensor, which nothing needs as a number

    optimizer.step(closure)


class WatchedRace:
    """The race as the race process runs it, with its events written to a store."""

    def __init__(self, spec: RaceSpec, home: Path, device: torch.device) -> None:
        self._clock = time.process_time if device.type == "cpu" else time.perf_counter
        from ssam.store import Store  # here, so that steps can be timed where SQLAlchemy is not installed

        self._store = Store(home, url=f"sqlite:///{home / 'ssam.db'}")  # SSAM_DATABASE_URL is ignored
        self._run_id = self._store.runs.create(spec, "bench")
        self._writer = self._store.writer(self._run_id)
        self._events = Race(spec, home=home, threads=1).events()
        self._lanes = len(spec.lanes)
        self._last: dict[str, StepEvent] = {}
        self._stored, self._evaluated, self._looked = 0.0, False, 0.0

    def rounds(self, count: int) -> None:
        """Run ``count`` steps of each lane."""
        missing = count * self._lanes
        while missing:
            event = next(self._events)
            begin = self._clock()
            self._writer.add(event)
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                self._store.queue.heartbeat(self._run_id)
                self._looked = time.monotonic()
            self._stored += self._clock() - begin
            self._evaluated |= isinstance(event, EpochEvent)
            if isinstance(event, StepEvent):
                self._last[event.lane] = event
                missing -= 1

    def taken(self) -> tuple[float, bool]:
        """Return the seconds spent in the store since the last call, and whether there was an evaluation."""
        told = self._stored, self._evaluated
        self._stored, self._evaluated = 0.0, False
        return told

    def reading(self, timer: Timer) -> list[float]:
        """Return the seconds of each read of a race with 600 steps per lane; missing steps are copies of the last one."""
        for event in self._last.values():
            for step in range(event.step + 1, STEPS_SEEN + 1):
                self._writer.add(replace(event, step=step))
        self._writer.flush()
        return [timer(lambda: self._store.curves.window(self._run_id, POINTS)) for _ in range(20)]

    def close(self) -> None:
        self._events.close()
        self._writer.close()
        self._store.close()
