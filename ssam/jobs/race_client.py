"""What the app uses to have races run. Never imports torch."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from filelock import FileLock

from ssam.experiment import RaceSpec
from ssam.experiment.analysis import AnalysisSpec
from ssam.experiment.class_code import class_code as parse_code
from ssam.jobs.checkpoints import NEWEST, OLDER
from ssam.jobs.disk import Disk, read_disk
from ssam.jobs.hardware import Machine, read_machine
from ssam.jobs.limits import read_limits
from ssam.jobs.processes import is_alive
from ssam.jobs.queue import Forecast
from ssam.jobs.queue_forecast import QueueForecaster
from ssam.jobs.sweep_client import SweepClient
from ssam.store import Job, Person, Run, Store
from ssam.store.annotations import parse_labels
from ssam.store.places import without_folders
from ssam.store.views import ALIVE, RESUMABLE

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 20.0  # a runner that has not come up by then will not


@dataclass(frozen=True)
class Submitted:
    """``reused``: the run was there already, finished or this owner's and under way, and nothing was queued."""

    run_id: str
    reused: bool = False


class Client:
    """Queues races and steers them. Everything goes through the store: the runner may be restarted at any time.

    ``limits`` are the server's; ``sweeps`` makes and steers sweeps. Raises ValueError, one line, for a bad limit in the environment.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.limits = read_limits()
        self.sweeps = SweepClient(store, self.ensure_runner)
        self._outlook = QueueForecaster(store, self.limits)
        self._starting = threading.Lock()  # held while a runner is started in the background

    def submit(
        self,
        spec: RaceSpec,
        request_id: str,
        person: Person,
        *,
        exclusive: bool = False,
        again: bool = False,
        class_code: str | None = None,
        own_seed: bool = False,
    ) -> Submitted:
        """Queues a race; the same ``request_id`` again returns the same run. Starts a runner if none lives.

        Where this owner has just this race queued or running, that run is returned; likewise, unless ``again``, where the race
        would have to wait and somebody has run just this one to its end (for an ``exclusive`` one: undisturbed). Raises
        ValueError, one line, where this owner or the whole lab has too many races waiting, and for a bad class code.

        Under a class code only races of the same class are returned instead: those are on its wall already, and all that the
        wall counts has been run for it. With ``own_seed`` the race gets the lowest seed that no race of the class with the same
        settings has; who has one of these queued or running gets that one.
        """
        code = None if class_code is None else parse_code(class_code)
        with FileLock(
            self.store.home / "submit.lock"
        ):  # of two requests at once the second sees what the first one made
            submitted = self._submit(spec, request_id, person, exclusive, again, code, own_seed)
        self.ensure_runner()
        return submitted

    def _submit(
        self,
        spec: RaceSpec,
        request_id: str,
        person: Person,
        exclusive: bool,
        again: bool,
        code: str | None,
        own_seed: bool,
    ) -> Submitted:
        if known := self.store.requested(request_id):
            return Submitted(known)
        jobs = self.store.jobs()
        same = {spec.digest}
        if code and own_seed and not again:
            taken = self.store.taken_seeds(code, spec)
            same = {spec.model_copy(update={"seed": seed}).digest for seed in taken}
            spec = spec.model_copy(update={"seed": next(seed for seed in count() if seed not in taken)})
        for job in jobs:
            own = (job.owner, job.exclusive, job.want, job.sweep) == (person.owner, exclusive, "run", None)
            if own and job.digest in same and code in (None, job.class_code):
                return Submitted(job.id, reused=True)
        twin = None if again else self.store.twin(spec, code)
        if twin and not (exclusive and twin.shared) and self.must_wait(spec, person, exclusive):
            return Submitted(twin.id, reused=True)
        self.store.check_images(spec)
        self._check_room(jobs, person)
        return Submitted(self.store.create_run(spec, request_id, person.owner, exclusive, code))

    def analyse(self, run_id: str, analysis: AnalysisSpec, request_id: str, person: Person) -> Submitted:
        """Queues an analysis of a race's weights; the same ``request_id`` again returns the same one, and so does whoever asks for
        what has been measured on the same weights, or is being measured. Whoever has a race's address may ask.

        Raises ValueError, one line, where there is no such race, its weights are not there (yet), or too much waits already.
        """
        run = self.store.run(run_id)
        if run is None or run.analysis is not None:
            raise ValueError(f"there is no race {run_id[:40]!r} here")
        self._check_weights(run, analysis)
        with FileLock(self.store.home / "submit.lock"):
            if known := self.store.requested(request_id):
                return Submitted(known)
            if twin := self.store.measured(analysis.digest(run.id, run.checkpointed)):
                return Submitted(twin.id, reused=True)
            self.store.check_images(run.spec)
            self._check_room(self.store.jobs(), person)
            submitted = Submitted(self.store.create_analysis(run, analysis, request_id, person.owner))
        self.ensure_runner()
        return submitted

    def _check_weights(self, run: Run, analysis: AnalysisSpec) -> None:
        if analysis.epochs:
            kept = self.kept_epochs(run)
            if missing := [epoch for epoch in analysis.epochs if epoch not in kept]:
                there = ", ".join(map(str, kept)) or "none"
                raise ValueError(f"epochs {missing[0]} is not kept of this race; kept are: {there}")
        elif run.state in (*ALIVE, "queued"):
            raise ValueError("this race is still under way: choose kept epochs, or wait until it has ended")
        elif not any((self.store.run_folder(run.id) / name).exists() for name in (NEWEST, OLDER)):
            raise ValueError("the weights of this race are not kept: it has no checkpoint")

    def kept_epochs(self, run: Run) -> list[int]:
        """The epochs at whose end the weights of a race's lanes are kept; 0 is the beginning."""
        if run.started_info is None:
            return []
        every = run.started_info["steps_per_epoch"]
        return sorted({moment.step // every for moment in self.store.snapshots(run.id) if moment.step % every == 0})

    def must_wait(self, spec: RaceSpec, person: Person, exclusive: bool = False) -> bool:
        """Whether a race that is submitted now would have to wait for others to end, or for room on the disk."""
        newest = Job(
            id="",
            owner=person.owner,
            created=time.time(),
            state="queued",
            want="run",
            pid=None,
            pid_started=None,
            shared=False,
            exclusive=exclusive,
            digest=spec.digest,
            device=spec.device,
            slot=None,
            attempts=0,
        )
        return not self._outlook.starts_at_once(newest)

    def _check_room(self, jobs: Sequence[Job], person: Person) -> None:
        queued = [job for job in jobs if job.state == "queued" and not job.sweep]
        own = sum(job.owner == person.owner for job in queued)
        if own >= self.limits.owner_queued:
            raise ValueError(
                f"you have {own} races in the queue and may have {self.limits.owner_queued}; stop one, or wait until one starts"
            )
        if len(queued) >= self.limits.queued:
            raise ValueError(f"the queue is full: {self.limits.queued} races wait; try again when some have started")

    def forecast(self, run_id: str) -> Forecast | None:
        """Place in the queue from 1, and seconds until the start, None where unknown. None for a race that is not queued, or
        that this machine has no device for. At most a second old."""
        return self._outlook.forecasts().get(run_id)

    def pause(self, run_id: str, person: Person) -> None:
        """Holds a race after its current step: it keeps a checkpoint and gives its place up."""
        self._check(run_id, person)
        self.store.want(run_id, "pause")

    def resume(self, run_id: str, person: Person) -> None:
        """Goes on with a race that was paused, stopped, interrupted or failed, from its newest checkpoint."""
        run = self._check(run_id, person)
        if run.state in RESUMABLE:
            self.store.check_images(run.spec)
        self.store.resume(run_id)

    def stop(self, run_id: str, person: Person) -> None:
        """Ends a race, a queued one at once."""
        self._check(run_id, person)
        self.store.want(run_id, "stop")

    def delete(self, run_id: str, person: Person) -> None:
        """Takes a race away for good. Raises ValueError where it is still under way."""
        self._check(run_id, person)
        if not self.store.delete(run_id):
            raise ValueError("this race is still under way; stop it before deleting it")

    def discard(self, run_id: str, person: Person) -> None:
        """Deletes a race so that ``restore`` can bring it back, for a day or until the disk is full. Raises ValueError where it is
        still under way."""
        self._check(run_id, person)
        if not self.store.discard(run_id):
            raise ValueError("this race is still under way; stop it before deleting it")

    def restore(self, run_id: str, person: Person) -> None:
        """Takes ``discard`` back. Raises ValueError where the race is gone for good."""
        self._check(run_id, person, deleted=True)
        self.store.restore(run_id)

    def label(self, run_id: str, person: Person, name: str, tags: str, note: str) -> None:
        """Writes on a race what somebody typed. Raises ValueError, one line, for what is too long."""
        self._check(run_id, person)
        self.store.label(run_id, parse_labels(name, tags, note))

    def _check(self, run_id: str, person: Person, deleted: bool = False) -> Run:
        run = self.store.run(run_id, deleted)
        if run is None:
            raise ValueError(f"there is no race {run_id[:40]!r} here")
        if not person.may_steer(run):
            raise PermissionError("this race belongs to somebody else: you can watch it, not steer it")
        return run

    def machine(self) -> Machine | None:
        """What races run on; None until a runner has found out."""
        return read_machine(self.store.home)

    def disk(self) -> Disk | None:
        """What is kept and free, at most a minute old; None until a runner has looked."""
        return read_disk(self.store.home)

    def runner_since(self) -> float | None:
        """When the runner started, in seconds since the epoch; None where none lives."""
        try:
            runner = json.loads(runner_file(self.store.home).read_text(encoding="utf-8"))
        except FileNotFoundError:  # it never ran, or has just left
            return None
        return runner["since"] if is_alive(runner["pid"], runner["started"]) else None

    def runner_alive(self) -> bool:
        return self.runner_since() is not None

    def keep_runner(self) -> None:
        """Starts a runner in the background where none lives: for whoever looks on and is not to wait."""

        def start() -> None:
            try:
                self.ensure_runner()
            finally:
                self._starting.release()

        if not self.runner_alive() and self._starting.acquire(blocking=False):  # one start at a time
            threading.Thread(target=start, daemon=True).start()

    def ensure_runner(self) -> None:
        """Starts a runner of its own session unless one lives, and waits until it does (about half a second).

        Raises RuntimeError with the last words of ``runner.log`` where none comes up.
        """
        if self.runner_alive():
            return
        with FileLock(self.store.home / "start.lock"):  # all open pages notice at once that it is gone
            if not self.runner_alive():
                self._start_runner()

    def _start_runner(self) -> None:
        log = self.store.home / "runner.log"
        path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
        places = {"SSAM_HOME": str(self.store.home), "SSAM_DATABASE_URL": self.store.url, "PYTHONPATH": path}
        with log.open("ab") as output:
            runner = subprocess.Popen(
                [sys.executable, "-P", "-m", "ssam.jobs.runner"],
                cwd=self.store.home,
                env={**os.environ, **places},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # it outlives the app and its terminal
            )
        threading.Thread(target=runner.wait, daemon=True).start()  # so that it leaves no zombie when it ends
        deadline = time.monotonic() + START_SECONDS
        while not self.runner_alive():
            if runner.poll() or time.monotonic() > deadline:
                last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                raise RuntimeError(
                    f"the runner did not start: {without_folders(' '.join(last)) or 'no message'} (see {log.name})"
                )
            time.sleep(0.02)


def runner_file(home: Path) -> Path:
    """Holds pid and start time of the runner that has the lock."""
    return home / "runner.json"
