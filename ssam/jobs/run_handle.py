"""What a race process asks of the lab: its race, what is wanted of it, and a place for what it tells."""

import os
from typing import Any

from ssam.experiment.analysis import Found
from ssam.experiment.events import Event
from ssam.jobs import checkpoints
from ssam.jobs.processes import start_time
from ssam.store import Run, Store
from ssam.store.views import ALIVE, State, Want


class RunHandle:
    """What one race process has of the store.

    Each call may raise OSError or SQLAlchemy's DBAPIError where there is no room or no database: nothing is lost then, and the
    call can be made again (``flush`` after ``add``).
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self.store, self._run_id, self._folder = store, run_id, store.run_folder(run_id)
        self._writer = store.writer(run_id)

    def claim(self) -> Run | None:
        """Takes the run over; None where it was given up meanwhile."""
        if not self.store.claim(self._run_id, os.getpid(), start_time(os.getpid())):
            return None
        return self.store.run(self._run_id)

    def keep_found(self, found: Found) -> None:
        """Keeps what an analysis knows so far."""
        self.store.keep_found(self._run_id, found)

    def load(self) -> tuple[checkpoints.Kept | None, list[str]]:
        """The newest checkpoint that can be used, None where there is none, and a line for each that cannot: it goes."""
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
                )  # which was put back, or lost its end with the power
            except ValueError as error:
                unusable.append(str(error))
            path.unlink()  # else it would take the place of a good one when the next is written
        return None, unusable

    def heartbeat(self, trained: float) -> Want:
        """Says that the process lives, and how many seconds it has trained since the last time; tells what is wanted."""
        return self.store.heartbeat(self._run_id, trained)

    def wanted(self) -> Want:
        """The same without writing anything."""
        return self.store.wanted(self._run_id)

    def add(self, event: Event) -> None:
        self._writer.add(event)

    def say(self, message: str) -> None:
        """Sets the run's message with the next ``flush``."""
        self._writer.say(message)

    def flush(self) -> None:
        self._writer.flush()

    def save(self, state: dict[str, Any]) -> None:
        """Keeps a checkpoint; all that was told before it has been flushed."""
        checkpoints.write(self._folder, checkpoints.Kept(state, self._writer.reached()))
        self.store.checkpointed(self._run_id)

    def move(self, state: State, message: str | None = None) -> None:
        """Changes the state of a race that is alive, and its message with it."""
        values = {} if message is None else {"message": message}
        self.store.move(self._run_id, ALIVE, state, **values)
        if state == "paused" and self.store.wanted(self._run_id) == "run":  # resumed in this very moment
            self.store.resume(self._run_id)


def _covers(rows: dict[str, list[int]], reached: dict[str, list[int]]) -> bool:
    """Whether everything that had been told when a checkpoint was taken is in the store."""
    return all(
        name in rows and all(here >= then for here, then in zip(rows[name], values, strict=True))
        for name, values in reached.items()
    )
