"""A runner without torch: its races are made up here. ``python tests/fake_race.py HOME`` serves a home folder.

The seed of the specification says how a race behaves.
"""

import signal
import sys
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np

from ssam.jobs.machine import DeviceInfo
from ssam.jobs.runner import Runner, main
from ssam.spec import RaceSpec
from ssam.spec.events import Event, LaneEnded, LaneInfo, LaneResult, Layer, Preparing, Result, Started, StepEvent
from ssam.store import Store

SHORT, ENDLESS, BAD_INPUT, BUG, DEAF, KILLED = range(6)
STEPS = 20


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
        steps_per_epoch=10,
        lanes=tuple(LaneInfo(name, lane.method, 0.5, 0.1, total_steps) for name, lane in lanes),
        layers=(Layer("conv.weight", "conv", (2, 6)),),
    )


def step(lane: str, number: int, **changed: object) -> StepEvent:
    values: dict = {
        "lane": lane,
        "step": number,
        "epoch": number / 10,
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


def race(spec: RaceSpec, home: Path, image_root: Path, threads: int) -> Generator[Event, None, None]:
    print(f"seed {spec.seed}, {threads} threads")
    yield Preparing("warming up")
    if spec.seed == BAD_INPUT:
        raise ValueError("the folder 'nowhere' does not exist; choose another")
    if spec.seed == DEAF:
        while True:
            time.sleep(1)
    yield started(spec, STEPS if spec.seed == SHORT else 1_000_000)
    number = 0
    while spec.seed == ENDLESS or number < STEPS:
        number += 1
        for lane in spec.lane_names:
            yield step(lane, number)
        if spec.seed == BUG:
            raise RuntimeError("two\nlines")
        if spec.seed == KILLED:
            signal.raise_signal(signal.SIGKILL)
        time.sleep(0.005)
    for lane in spec.lane_names:
        yield LaneEnded(lane, number, "finished")
    lanes = zip(spec.lane_names, spec.lanes, strict=True)
    yield Result(
        "cpu", tuple(LaneResult(name, lane.method, 0.5, 0.1, 0.9, np.inf, 5.0, 1.0, 1.0, False) for name, lane in lanes)
    )


def devices() -> list[DeviceInfo]:
    return [DeviceInfo("cuda:0", "Made-up GPU", 8.0)]


if __name__ == "__main__":
    main(Runner(Store(Path(sys.argv[1])), race=race, devices=devices, preload=("ssam.jobs.child", "fake_race")))
