"""A runner whose races have an accuracy that follows from their rho: ``python tests/fake_sweep.py HOME``.

The best rho is 0.2; seeds shift the accuracy a little. A race with a rho above 5 diverges; one of exactly 0.001 or 0.002 waits before its
end until it is stopped, so that it is pruned however busy the machine is. ``FAKE_PACE`` is in seconds a step.
Validation accuracy follows the rho alone; with ``augment`` "flip" test accuracy says the opposite, else it is a little lower.
"""

import dataclasses
import itertools
import math
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
from sqlalchemy import update

from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.events import Event, LaneEnded, LaneResult, Preparing, Result
from ssam.experiment.sweep import SweepSpec, Values, parse_sweep
from ssam.jobs.runner import Runner, main
from ssam.store import Store, Trial
from ssam.store.schema import runs
from ssam.store.sweeps import SweepState
from tests.fake_race import EPOCH, FakeRace, devices, evaluation, started, step

BEST, DIVERGES = 0.2, 5.0
HOPELESS = (0.001, 0.002)
BASE = parse_spec({"lanes": "ssam-f:sparsity=0.8", "epochs": 3, "train_size": 1000, "validation": 0.2})
GRID = parse_sweep({"base": BASE, "vary": ["lane1.rho=0.05,0.1,0.2,0.4,0.8", "lane1.sparsity=0.5,0.8,0.95"]})
NUMBERS = itertools.count(1)  # of the requests: no two are the same


def accuracy(rho: float, seed: int, epoch: int, epochs: int) -> float:
    """Rises towards its end, the slower the further rho is from the best."""
    end = 0.8 - 0.1 * abs(math.log(max(rho, 1e-3) / BEST)) + 0.005 * math.sin(7.0 * seed)
    return max(0.05, end - 0.1 * (1 - epoch / epochs))


def tested(spec: RaceSpec, validation: float) -> float:
    """The test accuracy that goes with a validation accuracy."""
    return 0.9 - validation if spec.augment == "flip" else validation - 0.02


class RhoRace(FakeRace):
    def events(self) -> Generator[Event, None, None]:
        spec: RaceSpec = self.spec
        steps, pace = spec.epochs * EPOCH, float(os.environ.get("FAKE_PACE", "0.002"))
        yield started(spec, steps)
        for number in range(self.taken + 1, steps + 1):
            yield from self._checkpoint()
            time.sleep(pace)
            for lane, name in zip(spec.lanes, spec.lane_names, strict=True):
                rho = spec.lane_rho(lane)
                if rho > DIVERGES:
                    yield LaneEnded(name, number, "diverged")
                    continue
                yield step(name, number)
                if number % EPOCH == 0:
                    seen = evaluation(name, number, final=False)
                    value = accuracy(rho, spec.seed, number // EPOCH, spec.epochs)
                    told = dataclasses.replace(seen, test_accuracy=tested(spec, value), validation_accuracy=value)
                    yield told
                    while number == steps and rho in HOPELESS:
                        time.sleep(0.1)
                        yield Preparing("waiting to be stopped")
                    if number == steps:
                        yield dataclasses.replace(told, final=True)
                        yield LaneEnded(name, number, "finished")
            self.taken = number
            if spec.lane_rho(spec.lanes[0]) > DIVERGES:
                break
        yield from self._checkpoint()
        yield Result("cpu", tuple(self._end(place) for place in range(len(spec.lanes))))

    def _end(self, place: int) -> LaneResult:
        lane, name = self.spec.lanes[place], self.spec.lane_names[place]
        rho = self.spec.lane_rho(lane)
        value = None if rho > DIVERGES else accuracy(rho, self.spec.seed, 1, 1)
        test = None if value is None else tested(self.spec, value)
        return LaneResult(name, lane.method, 0.5, rho, test, np.inf, 5.0, 1.0, 1.0, value is None, value)


def fill(store: Store, owner: str, spec: SweepSpec, count: int = 99, state: SweepState = "finished") -> str:
    """A sweep whose races have been made up: as many as asked for of a grid, or of points drawn from the ranges."""
    sweep_id = store.sweeps.create(spec, f"sweep {next(NUMBERS)}", owner)
    chance = np.random.default_rng(0)
    drawn = spec.points if spec.method == "grid" else [_draw(spec, chance) for _ in range(count)]
    for number, values in enumerate(drawn[:count]):
        add(store, owner, sweep_id, Trial(number, spec.base.seed, values), started=4.0 * number)
    store.sweeps.set_importance(sweep_id, {vary.field: 1 / (place + 2) for place, vary in enumerate(spec.vary)})
    store.sweeps.transition(sweep_id, ("running",), state)
    return sweep_id


def _draw(spec: SweepSpec, chance: np.random.Generator) -> Values:
    """Like a search of Optuna's at its beginning."""
    values: Values = {}
    for vary in spec.vary:
        if vary.low is None or vary.high is None:
            values[vary.field] = vary.grid[int(chance.integers(len(vary.grid)))]
        elif vary.log:
            values[vary.field] = float(f"{math.exp(chance.uniform(math.log(vary.low), math.log(vary.high))):.4g}")
        else:
            values[vary.field] = float(f"{chance.uniform(vary.low, vary.high):.4g}")
    return values


def add(store: Store, owner: str, sweep_id: str, trial: Trial, started: float = 0.0) -> None:
    """One trial whose race has come to its end."""
    found = store.sweeps.get(sweep_id)
    assert found
    race = found.spec.race(trial.values, trial.seed)
    store.sweeps.add(sweep_id, [trial])
    run_id = store.runs.create(race, f"{sweep_id} {trial.number} {trial.seed}", owner, sweep=sweep_id)
    store.sweeps.begin(sweep_id, trial, run_id)
    begun = found.created + started
    store.queue.transition(run_id, ("queued",), "finished", started=begun)
    with store.engine.begin() as connection:
        connection.execute(update(runs).where(runs.c.id == run_id).values(ended=begun + 7.0))
    lane = race.lanes[0]
    score = accuracy(race.lane_rho(lane), trial.seed, 1, 1) - 0.1 * (race.lane_sparsity(lane) - 0.8) ** 2
    cost = float(race.gradients) if found.spec.cost else None
    store.sweeps.close(sweep_id, trial, "done", score, cost, test=tested(race, score))


if __name__ == "__main__":
    here = Store(Path(sys.argv[1]))
    preload = [*os.environ.get("FAKE_PRELOAD", "").split(), "ssam.jobs.race_process", "tests.fake_sweep"]
    main(Runner(here, race=RhoRace, devices=devices, preload=preload))
