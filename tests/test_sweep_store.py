"""Sweeps and trials as rows: on SQLite and PostgreSQL, in back-ups; and that their races come after all others in the queue."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ssam.experiment import parse_spec
from ssam.experiment.events import LaneEnded
from ssam.experiment.sweep import parse_sweep
from ssam.jobs.queue import pick
from ssam.store import Job, Store, Trial, backup
from ssam.store.sweep_scores import points, ranked
from ssam.store.sweeps import Ending, tag
from tests.fake_race import evaluation, started, step

RACE = parse_spec({"lanes": "sgd,sam", "epochs": 2})
SPEC = parse_sweep({"base": RACE, "vary": ["rho=0.1,0.2"], "lane": 2})


@pytest.fixture
def store(tmp_path: Path, database_url: str):
    with closing(Store(tmp_path / "home", database_url)) as store:
        yield store


def raced(store: Store, sweep_id: str, trial: Trial) -> str:
    """A race of the sweep that has been run to its end: SAM's accuracy is its rho, half of it on what is held out."""
    run_id = store.runs.create(SPEC.race(trial.values, trial.seed), f"{trial.number}", "ada", sweep=sweep_id)
    store.sweeps.begin(sweep_id, trial, run_id)
    with store.writer(run_id) as writer:
        writer.add(started(RACE, 20))
        for number in range(1, 21):
            for name in RACE.lane_names:
                writer.add(step(name, number, gradients=number * (1 + (name == "sam"))))
                if number % 10 == 0:
                    seen = evaluation(name, number, final=False)
                    value = float(trial.values["rho"] or 0) * number / 20
                    writer.add(replace(seen, test_accuracy=value, validation_accuracy=value / 2))
        for name in RACE.lane_names:
            value = float(trial.values["rho"] or 0)
            last = evaluation(name, 20, final=True)
            writer.add(replace(last, test_accuracy=value, validation_accuracy=value / 2))
            writer.add(LaneEnded(name, 20, "finished"))
    return run_id


def test_a_sweep_is_read_back_with_its_trials(store: Store) -> None:
    sweep_id = store.sweeps.create(SPEC, "once", "ada")
    assert store.sweeps.create(SPEC, "once", "ada") == sweep_id
    trials = [Trial(number, 0, values) for number, values in enumerate(SPEC.points)]
    store.sweeps.add(sweep_id, trials)
    store.sweeps.add(sweep_id, trials)  # twice is once
    assert [trial.values for trial in store.sweeps.trials(sweep_id)] == SPEC.points
    run_ids = [raced(store, sweep_id, trial) for trial in trials]
    assert {store.runs.get(run_id).state for run_id in run_ids} == {"queued"}  # type: ignore[union-attr]
    assert [job.sweep for job in store.queue.jobs()] == [sweep_id] * 2
    assert store.runs.labels(run_ids[0]).tags == (tag(sweep_id),)
    assert {run.id for run in store.runs.newest(owner="ada")} == set(run_ids)
    assert store.runs.newest(owner="ada", trials=False) == [], "the list of recent races is not filled up with them"
    assert store.sweeps.evaluations(run_ids[1], 1, "test") == [(1, 0.1), (2, 0.2)]
    assert store.sweeps.evaluations(run_ids[1], 1, "validation") == [(1, 0.05), (2, 0.1)]
    assert store.sweeps.ending(run_ids[1], 1) == Ending(0.2, 0.1, 40, 0.2, False)
    assert store.sweeps.ending("no such race", 1) is None
    store.queue.heartbeat(run_ids[0], trained=30.0)
    spent = store.sweeps.spent(sweep_id)
    assert (spent.minutes, spent.gradients) == (0.5, 2 * (20 + 40))
    store.sweeps.close(sweep_id, trials[0], "done", 0.1, 40.0, test=0.2)
    store.sweeps.close(sweep_id, trials[0], "failed")  # what has been said is said
    store.sweeps.drop(sweep_id, trials[0])
    store.sweeps.drop(sweep_id, trials[1])
    (left,) = store.sweeps.trials(sweep_id)
    assert (left.state, left.score, left.cost, left.run) == ("done", 0.1, 40.0, run_ids[0])
    assert [point.number for point in ranked(SPEC, [left])] == [0]
    assert (points(SPEC, [left])[0].spread, points(SPEC, [left])[0].gap) == (None, pytest.approx(-0.1))


def test_a_sweep_is_driven_where_it_was_made_and_as_long_as_there_is_something_to_do(
    store: Store, tmp_path: Path
) -> None:
    sweep_id = store.sweeps.create(SPEC, "one", "ada")
    with closing(Store(tmp_path / "other", store.url)) as other:
        assert [sweep.id for sweep in other.sweeps.of("ada")] == [sweep_id]
        assert other.sweeps.active() == []
    assert [sweep.id for sweep in store.sweeps.active()] == [sweep_id]
    store.sweeps.transition(sweep_id, ("running",), "finished")
    assert store.sweeps.active() == []
    store.sweeps.add(sweep_id, [Trial(0, 7, {"rho": 0.1}, fresh=True)])
    assert [sweep.id for sweep in store.sweeps.active()] == [sweep_id]
    assert not store.sweeps.transition(sweep_id, ("running",), "paused")


def test_a_deleted_race_leaves_its_score(store: Store) -> None:
    sweep_id = store.sweeps.create(SPEC, "one", "ada")
    trial = Trial(0, 0, {"rho": 0.1})
    store.sweeps.add(sweep_id, [trial])
    run_id = raced(store, sweep_id, trial)
    store.sweeps.close(sweep_id, trial, "done", 0.5)
    assert store.runs.purge(run_id)
    (left,) = store.sweeps.trials(sweep_id)
    assert (left.score, left.run, left.run_state) == (0.5, run_id, None)
    store.sweeps.delete(sweep_id)
    assert store.sweeps.trials(sweep_id) == []


def test_a_back_up_brings_sweeps_home(store: Store, tmp_path: Path) -> None:
    sweep_id = store.sweeps.create(SPEC, "one", "ada")
    store.sweeps.add(sweep_id, [Trial(0, 0, {"rho": 0.1})])
    backup.backup(store, tmp_path / "lab.tar.gz")
    with closing(Store(tmp_path / "other", f"sqlite:///{tmp_path / 'other' / 'ssam.db'}")) as other:
        backup.restore(other, tmp_path / "lab.tar.gz")
        assert [sweep.id for sweep in other.sweeps.active()] == [sweep_id]
        assert len(other.sweeps.trials(sweep_id)) == 1


def job(name: str, owner: str, created: float, sweep: str | None = None, slot: str | None = None) -> Job:
    about = {"pid": None, "pid_started": None, "shared": False, "exclusive": False, "digest": name, "device": "auto"}
    state = "running" if slot else "queued"
    return Job(
        id=name, owner=owner, created=created, state=state, want="run", slot=slot, attempts=0, sweep=sweep, **about
    )


def test_races_of_sweeps_come_after_all_others() -> None:
    trial, own, other = job("trial", "ada", 0, "s"), job("own", "ada", 1), job("other", "bob", 2)
    waiting = [trial, own, other]
    order = []
    while turn := pick(waiting, [], ["cpu"], 2, {"ada": 9.0, "bob": 10.0}):
        order.append(turn.job.id)
        waiting.remove(turn.job)
    assert order == ["own", "other", "trial"]


def test_a_sweep_does_not_use_up_what_its_owner_may_run_by_hand() -> None:
    running = [job(f"t{at}", "ada", at, "s", "cpu") for at in range(2)]
    own, trial = job("own", "ada", 5), job("trial", "ada", 4, "s")
    turn = pick([trial, own], running, ["cpu"] * 4, 2, {})
    assert turn is not None
    assert turn.job.id == "own"
    assert pick([trial], running, ["cpu"] * 4, 2, {}) is None  # the sweep itself keeps to it
