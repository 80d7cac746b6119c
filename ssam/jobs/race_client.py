"""Client to queue and control races."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from filelock import FileLock

from ssam.config import Limits
from ssam.experiment import RaceSpec
from ssam.experiment.class_code import class_code as parse_code
from ssam.jobs.queue import Forecast
from ssam.jobs.queue_forecast import QueueForecaster
from ssam.store import Job, Person, Run, Store
from ssam.store.annotations import parse_labels
from ssam.store.views import RESUMABLE


@dataclass(frozen=True)
class Submitted:
    """``reused``: the run existed already, finished, or this owner's and running, and nothing was queued."""

    run_id: str
    reused: bool = False


class RaceClient:
    """Queues and controls races. ``ensure_runner`` starts a runner if none is alive.

    Methods that control a race raise PermissionError if it belongs to someone else, and ValueError if there is no such race.
    """

    def __init__(
        self, store: Store, limits: Limits, forecaster: QueueForecaster, ensure_runner: Callable[[], None]
    ) -> None:
        self.store, self.limits, self._forecaster, self._ensure_runner = store, limits, forecaster, ensure_runner

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
        """Queue a race; the same ``request_id`` returns the same run. Start a runner if none is alive.

        If this owner has the same race queued or running, return that run. Unless ``again``, do the same if the race would have to
        wait and anybody has finished the same one (for an ``exclusive`` one: undisturbed). Raise ValueError if this owner or the
        whole lab has too many races waiting, and for a bad class code.

        Under a class code only races of the same class are returned instead: so everything that the wall
        counts has been run for the class. With ``own_seed`` the race gets the lowest seed that no race of the class with the same
        settings has; an owner with one of these queued or running gets that one.
        """
        code = None if class_code is None else parse_code(class_code)
        with FileLock(
            self.store.home / "submit.lock"
        ):  # of two simultaneous requests the second sees the first one's run
            submitted = self._submit(spec, request_id, person, exclusive, again, code, own_seed)
        self._ensure_runner()
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
        if first := self.store.runs.find_by_request(request_id):
            return Submitted(first)
        jobs = self.store.queue.jobs()
        same = {spec.digest}
        if code and own_seed and not again:
            taken = self.store.classes.taken_seeds(code, spec)
            same = {spec.model_copy(update={"seed": seed}).digest for seed in taken}
            spec = spec.model_copy(update={"seed": next(seed for seed in count() if seed not in taken)})
        for job in jobs:
            own = (job.owner, job.exclusive, job.want, job.sweep) == (person.owner, exclusive, "run", None)
            if own and job.digest in same and code in (None, job.class_code):
                return Submitted(job.id, reused=True)
        finished = None if again else self.store.runs.find_identical(spec, code)
        if finished and not (exclusive and finished.shared) and self.must_wait(spec, person, exclusive):
            return Submitted(finished.id, reused=True)
        self.store.uploads.check(spec.data)
        check_room(self.limits, jobs, person)
        return Submitted(self.store.runs.create(spec, request_id, person.owner, exclusive, code))

    def must_wait(self, spec: RaceSpec, person: Person, exclusive: bool = False) -> bool:
        """Return whether a race that is submitted now would have to wait for others to end, or for disk space."""
        newest = Job("", person.owner, time.time(), exclusive=exclusive, digest=spec.digest, device=spec.device)
        return not self._forecaster.starts_at_once(newest)

    def forecast(self, run_id: str) -> Forecast | None:
        """Return the position in the queue from 1, and the seconds until the start (None if unknown), at most a second old. None for
        a race that is not queued, or that this machine has no device for."""
        return self._forecaster.forecasts().get(run_id)

    def pause(self, run_id: str, person: Person) -> None:
        """Pause a race after its current step: it keeps a checkpoint and frees its slot."""
        self._check(run_id, person)
        self.store.queue.set_desired_state(run_id, "pause")

    def resume(self, run_id: str, person: Person) -> None:
        """Resume a race that was paused, stopped, interrupted or failed, from its latest checkpoint."""
        run = self._check(run_id, person)
        if run.state in RESUMABLE:
            self.store.uploads.check(run.spec.data)
        self.store.queue.resume(run_id)

    def stop(self, run_id: str, person: Person) -> None:
        """Stop a race; a queued one stops at once."""
        self._check(run_id, person)
        self.store.queue.set_desired_state(run_id, "stop")

    def purge(self, run_id: str, person: Person) -> None:
        """Delete a race permanently. Raise ValueError if it is still running."""
        self._check(run_id, person)
        _refuse_under_way(self.store.runs.purge(run_id))

    def soft_delete(self, run_id: str, person: Person) -> None:
        """Soft-delete a race: ``undelete`` can restore it for a day, or until the disk is full. Raise ValueError if it is still
        running."""
        self._check(run_id, person)
        _refuse_under_way(self.store.runs.soft_delete(run_id))

    def undelete(self, run_id: str, person: Person) -> None:
        """Restore a soft-deleted race. Raise ValueError if it is gone permanently."""
        self._check(run_id, person, deleted=True)
        self.store.runs.undelete(run_id)

    def label(self, run_id: str, person: Person, name: str, tags: str, note: str) -> None:
        """Set name, tags and note of a race as typed. Raise ValueError if they are too long."""
        self._check(run_id, person)
        self.store.runs.label(run_id, parse_labels(name, tags, note))

    def _check(self, run_id: str, person: Person, deleted: bool = False) -> Run:
        run = self.store.runs.get(run_id, deleted)
        if run is None:
            raise ValueError(f"there is no race {run_id[:40]!r} here")
        if not person.may_steer(run):
            raise PermissionError("this race belongs to someone else: you can watch but not control it")
        return run


def _refuse_under_way(done: bool) -> None:
    if not done:
        raise ValueError("this race is still running; stop it before deleting it")


def check_room(limits: Limits, jobs: Sequence[Job], person: Person) -> None:
    """Raise ValueError if this owner, or the whole lab, has too many races waiting."""
    queued = [job for job in jobs if job.state == "queued" and not job.sweep]
    own = sum(job.owner == person.owner for job in queued)
    if own >= limits.owner_queued:
        raise ValueError(
            f"you have {own} races in the queue and may have {limits.owner_queued}; stop one, or wait until one starts"
        )
    if len(queued) >= limits.queued:
        raise ValueError(f"the queue is full: {limits.queued} races wait; try again when some have started")
