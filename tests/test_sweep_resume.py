"""Stopping and resuming sweeps at the moment when the runner looks at them: one driver, one client, no processes."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ssam.config import read_limits
from ssam.experiment.choosing import new_sweep
from ssam.jobs.sweep_client import SweepClient
from ssam.jobs.sweep_driver import SweepDriver
from ssam.store import Person, Store, Trial
from tests.fake_runner import SWEPT

ADA = Person("ada")


class Bench:
    """A sweep of two trials whose races are queued, its driver, and its client."""

    def __init__(self, store: Store, **budget: int) -> None:
        self.store = store
        self.client = SweepClient(store, lambda: None)
        self.driver = SweepDriver(store, read_limits(), lambda: 2)
        spec = new_sweep({"base": SWEPT, "vary": ["rho=0.1,0.2"], **budget})
        self.sweep_id = self.client.start(spec, "one", ADA)
        self.driver.look()

    def trials(self) -> list[Trial]:
        return self.store.sweeps.trials(self.sweep_id)

    def states(self) -> list[tuple[str, str | None]]:
        return [(trial.state, trial.run_state) for trial in self.trials()]

    def run_races(self) -> None:
        for trial in self.trials():
            assert trial.run is not None
            assert self.store.queue.assign(trial.run, "cpu:0")
            self.store.queue.transition(trial.run, ("starting",), "running")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Store(tmp_path)) as store:
        yield Bench(store)


def test_a_sweep_read_just_before_it_was_stopped_loses_no_trial(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.client.pause(bench.sweep_id, ADA)
    earlier = bench.store.sweeps.active()
    bench.client.stop(bench.sweep_id, ADA)
    monkeypatch.setattr(bench.store.sweeps, "active", lambda: earlier)
    bench.driver.look()
    assert "failed" not in {trial.state for trial in bench.trials()}


def test_a_sweep_resumed_before_the_runner_saw_that_it_was_stopped_goes_on(bench: Bench) -> None:
    before = [trial.run for trial in bench.trials()]
    bench.client.stop(bench.sweep_id, ADA)
    assert bench.states() == [("open", "stopped")] * 2
    bench.client.resume(bench.sweep_id, ADA)
    bench.driver.look()
    assert bench.states() == [("open", "queued")] * 2
    assert [trial.run for trial in bench.trials()] == before


def test_a_trial_read_just_before_its_sweep_was_resumed_is_not_closed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.client.stop(bench.sweep_id, ADA)
    earlier = bench.trials()
    bench.client.resume(bench.sweep_id, ADA)
    with monkeypatch.context() as patched:
        patched.setattr(bench.store.sweeps, "trials", lambda sweep_id: earlier)
        bench.driver.look()
    bench.driver.look()
    assert bench.states() == [("open", "queued")] * 2


def test_a_race_that_is_still_stopping_is_begun_again_once_it_has_stopped(bench: Bench) -> None:
    bench.run_races()
    before = [str(trial.run) for trial in bench.trials()]
    bench.client.stop(bench.sweep_id, ADA)
    bench.client.resume(bench.sweep_id, ADA)
    bench.driver.look()
    assert bench.states() == [("open", None)] * 2, "its process has not obeyed yet"
    for run_id in before:
        assert bench.store.queue.transition(run_id, ("running",), "stopped")
    bench.driver.look()
    assert bench.states() == [("open", "queued")] * 2
    assert [trial.run for trial in bench.trials()] == before


def test_extending_a_stopped_sweep_takes_up_its_races(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as store:
        bench = Bench(store, races=1)
        before = [trial.run for trial in bench.trials()]
        bench.client.stop(bench.sweep_id, ADA)
        bench.client.extend(bench.sweep_id, ADA, races=1)
        bench.driver.look()
        assert bench.states() == [("open", "queued")] * 2
        assert bench.trials()[0].run == before[0]


def test_a_race_stopped_by_hand_counts_as_failed_and_its_sweep_goes_on(bench: Bench) -> None:
    first, second = bench.trials()
    bench.store.queue.set_desired_state(str(first.run), "stop")
    bench.driver.look()
    assert bench.states() == [("failed", "stopped"), ("open", "queued")]
    bench.client.stop(bench.sweep_id, ADA)
    bench.client.resume(bench.sweep_id, ADA)
    bench.driver.look()
    assert bench.states() == [("failed", "stopped"), ("open", "queued")]
    assert bench.trials()[1].run == second.run
