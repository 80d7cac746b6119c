"""A class whose races are made up: written by the store's own writer, one seed each, as a race process would tell them."""

import dataclasses
import random

from ssam.experiment import RaceSpec, parse_spec, preset
from ssam.experiment.events import LaneEnded, LaneResult, Result
from ssam.store import Store
from tests.fake_race import EPOCH, evaluation, started

CODE = "MAY-7KQ"
SPEC = parse_spec({"lanes": "sgd,sam,ssam-f:rho=0.25,ssam-d:rho=0.3"}, preset("noisy-labels").spec)
TOP = {"sgd": 0.69, "sam": 0.80, "ssam-f": 0.81, "ssam-d": 0.805}  # where each method ends, about


def accuracy(method: str, seed: int, epoch: int, epochs: int) -> float:
    """Of a lane of this seed after an epoch; SGD rises, then falls. The last one is the result."""
    chance = random.Random(f"{method} {seed}")
    top, rise = TOP[method] + chance.gauss(0, 0.02 if method == "sgd" else 0.008), 1 - 0.6 ** (epoch + 1)
    fallen = 0.1 * (1 - epoch / epochs) if method == "sgd" else 0.0
    return top * rise + fallen * rise + chance.gauss(0, 0.003)


def begin(store: Store, owner: str, seed: int, code: str | None = CODE, spec: RaceSpec = SPEC) -> str:
    """A race under way, before its first epoch."""
    spec = spec.model_copy(update={"seed": seed})
    run_id = store.runs.create(spec, f"{owner} {seed} {code}", owner, class_code=code)
    assert store.queue.transition(run_id, ("queued",), "running")
    with store.writer(run_id) as writer:
        writer.add(started(spec, EPOCH * spec.epochs))
    return run_id


def advance(store: Store, run_id: str, epochs: range) -> None:
    """Some epochs of every lane, numbered from 1; with the last one the race is finished."""
    run = store.runs.get(run_id)
    assert run
    spec = run.spec
    lanes = list(zip(spec.lane_names, spec.lanes, strict=True))
    with store.writer(run_id) as writer:
        for epoch in epochs:
            for name, lane in lanes:
                at = accuracy(lane.method, spec.seed, epoch, spec.epochs)
                final = epoch == spec.epochs
                told = dataclasses.replace(evaluation(name, EPOCH * epoch, final), test_accuracy=at, test_size=2000)
                writer.add(told)
                if final:
                    writer.add(LaneEnded(name, EPOCH * epoch, "finished"))
        if epochs and epochs[-1] == spec.epochs:
            ends = [
                LaneResult(
                    name,
                    lane.method,
                    0.5,
                    0.1,
                    accuracy(lane.method, spec.seed, spec.epochs, spec.epochs),
                    0.6,
                    5.0,
                    1.0,
                    2.0,
                    False,
                )
                for name, lane in lanes
            ]
            writer.add(Result("cpu", tuple(ends)))
    if epochs and epochs[-1] == spec.epochs:
        assert store.queue.transition(run_id, ("running",), "finished")


def finish(store: Store, owner: str, seed: int, code: str | None = CODE, spec: RaceSpec = SPEC) -> str:
    """A whole race."""
    run_id = begin(store, owner, seed, code, spec)
    advance(store, run_id, range(1, spec.epochs + 1))
    return run_id


def furnish(store: Store, students: int, code: str = CODE, me: str = "") -> list[str]:
    """A race each, finished; the first is ``me``'s."""
    return [finish(store, me if not seed and me else f"student {seed}", seed, code) for seed in range(students)]
