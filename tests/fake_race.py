"""A runner that trains nothing: its races are made up here. ``python tests/fake_race.py HOME`` serves a home folder.

The last digit of the seed says how a race behaves; its numbers follow from the step alone, so they can be foretold.
"""

import os
import signal
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from ssam.experiment import RaceSpec
from ssam.experiment.events import (
    Checkpoint,
    EpochEvent,
    Event,
    LaneEnded,
    LaneInfo,
    LaneResult,
    Layer,
    MaskEvent,
    Preparing,
    Result,
    Started,
    StepEvent,
)
from ssam.jobs.hardware import DeviceInfo
from ssam.jobs.runner import Runner, main
from ssam.methods import METHODS
from ssam.store import Store

UNFIT = "the folder 'nowhere' does not exist; choose another"  # how a race fails on BAD_INPUT
SHORT, ENDLESS, BAD_INPUT, BUG, DEAF, KILLED, LONG = range(7)
STEPS = {SHORT: 20, LONG: 400}  # of each lane; those that never end are not here
EPOCH = 10  # steps
PACE = 0.005  # seconds between two rounds of the lanes


def started(spec: RaceSpec, total_steps: int | None) -> Started:
    lanes = zip(spec.lane_names, spec.lanes, strict=True)
    return Started(
        device="cpu",
        device_name="Made-up CPU",
        threads=1,
        precision="float32",
        parameters=12,
        train_size=100,
        test_size=100,
        classes=("a", "b"),
        steps_per_epoch=EPOCH,
        lanes=tuple(LaneInfo(name, lane.method, 0.5, 0.1, total_steps) for name, lane in lanes),
        layers=(Layer("conv.weight", "conv", (2, 6)),),
    )


def step(lane: str, number: int, **changed: object) -> StepEvent:
    values: dict = {
        "lane": lane,
        "step": number,
        "epoch": number / EPOCH,
        "gradients": 2 * number,
        "seconds": number / 100,
        "loss": 1 / number,
        "grad_norm": 1.0,
        "radius": 0.1,
        "ascent_gap": 0.2,
        "ms": {"data": 1.0, "forward1": 2.0, "backward1": 3.0, "update": 1.0},
        "ratio": 2.0,
    }
    return StepEvent(**{**values, **changed})


def evaluation(lane: str, number: int, final: bool) -> EpochEvent:
    at = {"lane": lane, "step": number, "epoch": number / EPOCH, "gradients": 2 * number, "seconds": number / 100}
    return EpochEvent(
        **at, lr=0.1, train_loss=1 / number, test_loss=2 / number, test_accuracy=0.9, test_size=100, final=final
    )


def mask(lane: str, number: int) -> MaskEvent:
    picture = np.random.default_rng(number).integers(0, 256, (2, 6), dtype=np.uint8)
    pictures = {"conv.weight": picture}
    return MaskEvent(lane, number, number / EPOCH, 0.5, None, None, {"conv.weight": 0.5}, pictures)


class FakeRace:
    """What ``ssam.engine.Race`` is to the race process, without any training."""

    def __init__(
        self, spec: RaceSpec, home: Path, image_root: Path, threads: int, state: dict[str, Any] | None = None
    ) -> None:
        if state is not None and state["spec"] != spec.digest:
            raise ValueError("the checkpoint belongs to another race")
        self.spec, self.threads = spec, threads
        self.taken = 0 if state is None else state["taken"]  # steps of all lanes together
        self.behaviour = spec.seed % 10
        self.checkpoint_wanted = False

    def want_checkpoint(self) -> None:
        self.checkpoint_wanted = True

    def events(self) -> Generator[Event, None, None]:
        """Preparing, Started, then every step from where the state was taken."""
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
        print(f"seed {self.spec.seed}, {self.threads} threads, GPUs {gpus!r}, from step {self.taken}", flush=True)
        yield Preparing("warming up")
        if self.behaviour == BAD_INPUT:
            raise ValueError(UNFIT)
        while self.behaviour == DEAF:
            time.sleep(1)
        names, steps = self.spec.lane_names, STEPS.get(self.behaviour)
        yield started(self.spec, steps or 1_000_000)
        while steps is None or self.taken < steps * len(names):
            yield from self._checkpoint()
            yield from self._step()
            if self.behaviour == KILLED:
                print("about to be killed", flush=True)
                signal.raise_signal(signal.SIGKILL)
        yield from self._checkpoint()
        yield Result("cpu", tuple(self._result(index) for index in range(len(names))))

    def _checkpoint(self) -> Generator[Event, None, None]:
        if self.checkpoint_wanted:
            self.checkpoint_wanted = False
            yield Checkpoint({"spec": self.spec.digest, "taken": self.taken})

    def _step(self) -> Generator[Event, None, None]:
        """One step of the lane whose turn it is, and all that is told because of it."""
        number, index = divmod(self.taken, len(self.spec.lanes))
        number, lane = number + 1, self.spec.lane_names[index]
        steps = STEPS.get(self.behaviour)
        if index == 0:
            time.sleep(PACE)
        self.taken += 1
        if number % EPOCH == 1 and METHODS[self.spec.lanes[index].method].sparse:
            yield mask(lane, number)
        yield step(lane, number)
        if self.behaviour == BUG:
            raise RuntimeError("two\nlines")
        if number % EPOCH == 0:
            yield evaluation(lane, number, final=False)
        if number == steps:
            yield evaluation(lane, number, final=True)
            yield LaneEnded(lane, number, "finished")

    def _result(self, index: int) -> LaneResult:
        name, method = self.spec.lane_names[index], self.spec.lanes[index].method
        return LaneResult(name, method, 0.5, 0.1, 0.9, np.inf, 5.0, 1.0, 1.0, False)


def devices() -> list[DeviceInfo]:
    """As many GPUs as FAKE_GPUS says."""
    return [DeviceInfo(f"cuda:{index}", "Made-up GPU", 8.0) for index in range(int(os.environ.get("FAKE_GPUS", "0")))]


if __name__ == "__main__":
    here = Store(Path(sys.argv[1]))
    # Checkpoint files need torch: a race that had to import it first would take too long to pause.
    preload = [*os.environ.get("FAKE_PRELOAD", "").split(), "ssam.jobs.race_process", "fake_race"]
    main(Runner(here, race=FakeRace, devices=devices, preload=preload))
