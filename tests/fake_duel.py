"""Duels whose races are made up (``fake_sweep``), without a runner."""

import os

import numpy as np

from ssam.experiment import LaneSpec, parse_spec
from ssam.experiment.duel import DuelSpec, new_duel
from ssam.experiment.events import Checkpoint
from ssam.store import Store, Trial
from ssam.store.duels import Duel, request_of
from ssam.store.sweep_scores import chosen
from tests import fake_sweep
from tests.fake_sweep import NUMBERS, RhoRace

METHODS = ("sgd", "sam")


def spec(methods: tuple[str, ...] = METHODS, trials: int = 3, seeds: int = 3, **base: object) -> DuelSpec:
    """A duel of races that take no time. SAM's accuracy is high where its rho is near 0.2, SGD's is low."""
    task = parse_spec({"epochs": 4, "train_size": 1000, **base})
    return new_duel(task, [LaneSpec(method=name) for name in methods], trials=trials, seeds=seeds)


def look(store: Store, duel_id: str) -> Duel:
    found = store.duels.get(duel_id)
    assert found is not None
    return found


def fill(store: Store, owner: str, duel: DuelSpec, rounds: int | None = None) -> str:
    """A duel of which so many rounds have been played; all of them: it is finished."""
    os.environ.setdefault("FAKE_PACE", "0")
    duel_id = store.duels.create(duel, f"duel of test {next(NUMBERS)}", owner)
    played = duel.seeds if rounds is None else rounds
    for turn in range(played):
        for place in range(len(duel.contenders)):
            _play(store, owner, duel_id, duel, place, turn)
    if played == duel.seeds:
        store.duels.transition(duel_id, ("running",), "finished")
    return duel_id


def _play(store: Store, owner: str, duel_id: str, duel: DuelSpec, place: int, turn: int) -> None:
    search = duel.sweep(place, turn)
    sweep_id = store.sweeps.create(search, request_of(duel_id, place, turn), owner)
    chance = np.random.default_rng([turn, place])
    for number in range(duel.trials):
        _race(store, owner, sweep_id, Trial(number, search.base.seed, fake_sweep._draw(search, chance)))
    store.sweeps.transition(sweep_id, ("running",), "finished")
    sweep = store.sweeps.get(sweep_id)
    assert sweep is not None
    winner = chosen(sweep, store.sweeps.trials(sweep_id))
    assert winner is not None
    _race(store, owner, sweep_id, Trial(winner.number, duel.fresh_seed(turn), winner.values, fresh=True))


def _race(store: Store, owner: str, sweep_id: str, trial: Trial) -> None:
    """One trial with all that its race tells, from the start to the result."""
    sweep = store.sweeps.get(sweep_id)
    assert sweep is not None
    store.sweeps.add(sweep_id, [trial])
    race = sweep.spec.race(trial.values, trial.seed)
    run_id = store.runs.create(race, f"{sweep_id} {trial.number} {trial.seed}", owner, sweep=sweep_id)
    store.sweeps.begin(sweep_id, trial, run_id)
    with store.writer(run_id) as writer:
        for event in RhoRace(race, store.home, store.image_root, 1).events():
            if not isinstance(event, Checkpoint):
                writer.add(event)
    store.queue.transition(run_id, ("queued",), "finished")
    end = store.sweeps.ending(run_id, 0)
    assert end is not None
    score = end.test if trial.fresh else end.validation
    store.sweeps.close(sweep_id, trial, "done", score, test=end.test)
