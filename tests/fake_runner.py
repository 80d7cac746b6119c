"""Home folders with real runner processes whose races are made up (``fake_race``), so that no test waits for training."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ssam.experiment import LaneSpec, RaceSpec, parse_spec
from ssam.experiment.choosing import new_sweep
from ssam.jobs import processes
from ssam.jobs.client import Client
from ssam.store import Job, Person, Run, Store, Sweep, Trial
from tests.fake_race import ENDLESS
from tests.patience import wait_until

PROJECT = Path(__file__).resolve().parents[1]
TORCH = {"FAKE_PRELOAD": "torch"}  # for runners whose races write checkpoints
SWEPT = parse_spec({"lanes": "ssam-f", "epochs": 4, "rho": 0.1})  # what the sweeps start from
ADA = Person("ada")
LANES = (LaneSpec(method="sgd"), LaneSpec(method="sam"))
NUMBERS = itertools.count(1)  # no two races of a test file are the same


def spec(behaviour: int, **settings: object) -> RaceSpec:
    return RaceSpec(seed=10 * next(NUMBERS) + behaviour, lanes=LANES, **settings)


class Site:
    """A home folder with its own runner processes, which make up their races by ``script``."""

    script, slots = "fake_race.py", "1"

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.store = Store(home, url)
        self.client = Client(self.store)
        self.started: list[subprocess.Popen] = []

    def start_runner(self, **settings: str) -> subprocess.Popen:
        """Returns when the runner is ready to start races: it writes ``machine.json`` last."""
        (self.store.home / "machine.json").unlink(missing_ok=True)
        places = {"SSAM_DATABASE_URL": self.store.url, "PYTHONPATH": str(PROJECT)}
        with (self.store.home / "runner.log").open("ab") as log:
            runner = subprocess.Popen(
                [sys.executable, str(PROJECT / "tests" / self.script), str(self.store.home)],
                env={**os.environ, **places, "SSAM_SLOTS": self.slots, "SSAM_CHECKPOINT_SECONDS": "0.3", **settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(runner)
        wait_until(lambda: self.client.runner.is_alive() and self.client.machine())
        return runner

    def submit(self, behaviour: int, owner: str = "ada", exclusive: bool = False, **settings: object) -> str:
        the_spec = spec(behaviour, **settings)
        return self.client.races.submit(the_spec, f"{the_spec.seed}", Person(owner), exclusive=exclusive).run_id

    def running(self, behaviour: int = ENDLESS, owner: str = "ada", **settings: object) -> str:
        """Starts a race and waits until it has taken a step."""
        run_id = self.submit(behaviour, owner, **settings)
        wait_until(lambda: self.steps(run_id))
        return run_id

    def run(self, run_id: str) -> Run:
        run = self.store.runs.get(run_id)
        assert run is not None
        return run

    def wait_state(self, run_id: str, *states: str) -> Run:
        wait_until(lambda: self.run(run_id).state in states)
        return self.run(run_id)

    def job(self, run_id: str) -> Job:
        return next(job for job in self.store.queue.jobs() if job.id == run_id)

    def pid(self, run_id: str) -> int:
        pid = self.job(run_id).pid
        assert pid is not None
        return pid

    def steps(self, run_id: str) -> int:
        window = self.store.curves.window(run_id)
        assert window is not None
        return window.lanes[0].last_step

    def places(self, *run_ids: str) -> list[int | None]:
        return [turn and turn.position for turn in map(self.client.races.forecast, run_ids)]

    def log(self, run_id: str) -> str:
        return self.store.runs.log_tail(run_id)

    def stop(self, *run_ids: str) -> None:
        for run_id in run_ids:
            self.store.queue.set_desired_state(run_id, "stop")
        for run_id in run_ids:
            self.wait_state(run_id, "stopped", "finished", "failed")

    def close(self) -> None:
        for runner in self.started:
            own = psutil.Process(runner.pid).children(recursive=True) if runner.poll() is None else []
            runner.kill()
            runner.wait()
            for process in own:  # a race may not have said yet that it lives
                processes.kill(process)
        for job in self.store.queue.jobs():
            if job.pid is not None and (process := processes.find(job.pid, job.pid_started)):
                processes.kill(process)
        self.store.close()


def kept(
    tmp_path_factory: pytest.TempPathFactory, name: str, url: str | None = None, **settings: str
) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp(name), url)
    try:
        site.start_runner(**settings)
        yield site
    finally:
        site.close()


class SweepLab(Site):
    """A home folder whose runner makes up races by their rho."""

    script, slots = "fake_sweep.py", "2"

    def sweep(self, person: Person = ADA, **values: object) -> str:
        spec = new_sweep({"base": SWEPT, **values})
        return self.client.sweeps.start(spec, f"sweep {next(NUMBERS)}", person)

    def look(self, sweep_id: str) -> Sweep:
        found = self.store.sweeps.get(sweep_id)
        assert found is not None
        return found

    def trials(self, sweep_id: str) -> list[Trial]:
        return self.store.sweeps.trials(sweep_id)

    def ended(self, sweep_id: str) -> int:
        return sum(trial.state != "open" for trial in self.trials(sweep_id))

    def wait_over(self, sweep_id: str) -> list[Trial]:
        def over() -> bool:
            still = any(trial.state == "open" for trial in self.trials(sweep_id))
            return self.look(sweep_id).state in ("finished", "stopped") and not still

        wait_until(over)
        return self.trials(sweep_id)
