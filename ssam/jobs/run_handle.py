"""A race process's access to the lab: its race, its desired state, and a place for its events."""

import os
from typing import Any

from ssam.experiment.analysis import Found
from ssam.experiment.events import Event
from ssam.jobs import checkpoints
from ssam.jobs.processes import start_time
from ssam.store import Run, Store
from ssam.store.views import ALIVE, State, Want


class RunHandle:
    """One race process's part of the store.

    Each call may raise OSError or SQLAlchemy's DBAPIError if the disk is full or the database is down: nothing is lost then, and
    the call can be repeated (``flush`` after ``add``).
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self.store, self._run_id, self._folder = store, run_id, store.run_folder(run_id)
        self._writer = store.writer(run_id)

    def acquire(self) -> Run | None:
        """Take over the run; return None if it was abandoned meanwhile."""
        if not self.store.queue.acquire(self._run_id, os.getpid(), start_time(os.getpid())):
            return None
        return self.store.runs.get(self._run_id)

    def save_result(self, result: Found) -> None:
        """Save the result so far of an analysis."""
        self.store.analyses.save_result(self._run_id, result)

    def load(self) -> tuple[checkpoints.Kept | None, list[str]]:
        """Return the newest usable checkpoint, or None; unusable checkpoints are deleted and reported, a line each."""
        unusable: list[str] = []
        rows = self._writer.reached()
        for name in (checkpoints.NEWEST, checkpoints.OLDER):
            path = self._folder / name
            if not path.exists():
                continue
            try:
                kept = checkpoints.read(path)
                if _covers(rows, kept.reached):
                    return kept, unusable
                unusable.append(
                    f"{name} is ahead of the database"
                )  # which was restored, or lost its last rows in a power failure
            except ValueError as error:
                unusable.append(str(error))
            path.unlink()  # otherwise it would replace a good one when the next is written
        return None, unusable

    def heartbeat(self, trained: float) -> Want:
        """Record that the process lives and has trained for ``trained`` more seconds; return its desired state."""
        return self.store.queue.heartbeat(self._run_id, trained)

    def desired_state(self) -> Want:
        """Return the desired state without writing anything."""
        return self.store.queue.desired_state(self._run_id)

    def add(self, event: Event) -> None:
        self._writer.add(event)

    def say(self, message: str) -> None:
        """Set the run's message with the next ``flush``."""
        self._writer.say(message)

    def flush(self) -> None:
        self._writer.flush()

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint; all earlier events have been flushed."""
        checkpoints.write(self._folder, checkpoints.Kept(state, self._writer.reached()))
        self.store.queue.record_checkpoint(self._run_id)

    def transition(self, state: State, message: str | None = None) -> None:
        """Change the state, and the message if given, of a race that is alive."""
        values = {} if message is None else {"message": message}
        self.store.queue.transition(self._run_id, ALIVE, state, **values)
        if state == "paused" and self.store.queue.desired_state(self._run_id) == "run":  # resumed at this moment
            self.store.queue.resume(self._run_id)


def _covers(rows: dict[str, list[int]], reached: dict[str, list[int]]) -> bool:
    """Return whether all events before a checkpoint are in the store."""
    return all(
        name in rows and all(here >= then for here, then in zip(rows[name], values, strict=True))
        for name, values in reached.items()
    )
