"""Client for analyses of the weights of races."""

from collections.abc import Callable

from filelock import FileLock

from ssam.config import Limits
from ssam.experiment.analysis import AnalysisSpec
from ssam.jobs.checkpoints import NEWEST, OLDER
from ssam.jobs.race_client import Submitted, check_room
from ssam.store import Person, Run, Store
from ssam.store.views import ALIVE


class AnalysisClient:
    """Queues analyses. ``ensure_runner`` starts a runner if none is alive."""

    def __init__(self, store: Store, limits: Limits, ensure_runner: Callable[[], None]) -> None:
        self.store, self.limits, self._ensure_runner = store, limits, ensure_runner

    def submit(self, run_id: str, analysis: AnalysisSpec, request_id: str, person: Person) -> Submitted:
        """Queue an analysis of a race's weights. The same ``request_id`` returns the same analysis, and so does a request for
        something already measured, or queued, on the same weights. Anybody with a race's address may request it.

        Raise ValueError if there is no such race, its weights are not available (yet), or too much is queued already.
        """
        run = self.store.runs.get(run_id)
        if run is None or run.analysis is not None:
            raise ValueError(f"there is no race {run_id[:40]!r} here")
        self.check_weights(run, analysis)
        with FileLock(self.store.home / "submit.lock"):
            if first := self.store.runs.find_by_request(request_id):
                return Submitted(first)
            if same := self.store.analyses.find(analysis.digest(run.id, run.checkpointed)):
                return Submitted(same.id, reused=True)
            self.store.uploads.check(run.spec.data)
            check_room(self.limits, self.store.queue.jobs(), person)
            submitted = Submitted(self.store.analyses.create(run, analysis, request_id, person.owner))
        self._ensure_runner()
        return submitted

    def check_weights(self, run: Run, analysis: AnalysisSpec) -> None:
        if analysis.epochs:
            kept = self.kept_epochs(run)
            if missing := [epoch for epoch in analysis.epochs if epoch not in kept]:
                there = ", ".join(map(str, kept)) or "none"
                raise ValueError(f"the weights of epochs {missing[0]} were not saved; saved are: {there}")
        elif run.state in (*ALIVE, "queued"):
            raise ValueError("this race is still running: choose saved epochs, or wait until it has ended")
        elif not any((self.store.run_folder(run.id) / name).exists() for name in (NEWEST, OLDER)):
            raise ValueError("the weights of this race were not saved: it has no checkpoint")

    def kept_epochs(self, run: Run) -> list[int]:
        """Return the epochs after which the weights of a race's lanes were saved; 0 is the start."""
        if run.started_info is None:
            return []
        every = run.started_info["steps_per_epoch"]
        moments = self.store.analyses.snapshots(run.id)
        return sorted({moment.step // every for moment in moments if moment.step % every == 0})
