"""The queue in the database. Every change of state is one UPDATE that names the states it may leave."""

import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Engine, bindparam, func, select, update

from ssam.store.schema import runs
from ssam.store.views import ALIVE, ENDED, RESUMABLE, Job, State, Want

_JOBS = (  # built once: the runner queries many times a second
    select(*(runs.c[field.name] for field in fields(Job)))
    .where(
        ((runs.c.state == "queued") & (runs.c.place.is_(None) | (runs.c.place == bindparam("here"))))
        | (runs.c.state.in_(ALIVE) & (runs.c.place == bindparam("here")))
    )
    .order_by(runs.c.created, runs.c.key)
)


class Queue:
    """The queued and running runs, as ``Store.queue``."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine, self._place = engine, place

    def jobs(self) -> list[Job]:
        """Return what is queued or alive, oldest first. A run that was once started at another place belongs to that place,
        which has its checkpoint."""
        with self._engine.connect() as connection:
            return [Job(*row) for row in connection.execute(_JOBS, {"here": self._place})]

    def last_served(self, owner_ids: Sequence[str]) -> dict[str, float]:
        """Return when a race of each of these owners last started; owners who never had one are left out."""
        query = select(runs.c.owner, func.max(runs.c.started)).where(runs.c.owner.in_(owner_ids)).group_by(runs.c.owner)
        with self._engine.connect() as connection:
            return {owner: started for owner, started in connection.execute(query) if started is not None}

    def desired_state(self, run_id: str) -> Want:
        with self._engine.connect() as connection:
            return connection.execute(select(runs.c.want).where(runs.c.id == run_id)).scalar_one()

    def set_desired_state(self, run_id: str, want: Want) -> None:
        """Set a run's desired state. A run without a process is paused or stopped at once; otherwise its process does so. Ended
        runs and unknown ids are ignored."""
        if want == "stop" and self.transition(run_id, ("queued", "paused"), "stopped", want="stop"):
            return
        if want == "pause" and self.transition(run_id, ("queued",), "paused", want="run"):
            return
        self._update((runs.c.id == run_id) & runs.c.state.in_(ALIVE) & (runs.c.want != "stop"), want=want)

    def resume(self, run_id: str) -> bool:
        """Requeue a run that was paused, stopped, interrupted or failed, at its old position; cancel a pause that has not happened
        yet. Return False if it is still stopping: ask again."""
        if self.transition(run_id, RESUMABLE, "queued", want="run", message="", attempts=0):
            return True
        self.set_desired_state(run_id, "run")
        stopping = select(runs.c.id).where((runs.c.id == run_id) & runs.c.state.in_(ALIVE) & (runs.c.want == "stop"))
        with self._engine.connect() as connection:
            return connection.execute(stopping).first() is None

    def assign(self, run_id: str, slot: str) -> bool:
        """Give a queued run a slot here. Return False if it is no longer queued."""
        ready = (runs.c.id == run_id) & (runs.c.state == "queued")
        fresh = {"pid": None, "pid_started": None, "heartbeat": None, "started": time.time(), "ended": None}
        return self._update(
            ready, state="starting", place=self._place, slot=slot, attempts=runs.c.attempts + 1, **fresh
        )

    def acquire(self, run_id: str, pid: int, pid_started: float | None) -> bool:
        """Take over, as the race process, the run that it was started for. Return False if the run was abandoned meanwhile."""
        free = (runs.c.id == run_id) & (runs.c.state == "starting") & runs.c.pid.is_(None)
        return self._update(free, pid=pid, pid_started=pid_started, heartbeat=time.time())

    def transition(self, run_id: str, leave: Sequence[State], state: State, **values: Any) -> bool:
        """Change the state if it is one of ``leave``; return whether it was."""
        which = (runs.c.id == run_id) & runs.c.state.in_(leave)
        return self._update(which, state=state, **_ended(state), **values)

    def abandon(self, job: Job, state: State, message: str) -> bool:
        """Give the run of a dead process a new state. Return False, and change nothing, if the run now has another state, desired
        state or process."""
        same = runs.c.pid.is_(None) if job.pid is None else runs.c.pid == job.pid
        want = "stop" if state == "stopped" else "run"
        which = (runs.c.id == job.id) & runs.c.state.in_(ALIVE) & (runs.c.want == job.want) & same
        return self._update(which, state=state, message=message, want=want, **_ended(state))

    def heartbeat(self, run_id: str, trained: float = 0.0) -> Want:
        """Record that the race process lives and has trained for ``trained`` more seconds, by a monotonic clock; return its desired
        state."""
        self._update(runs.c.id == run_id, heartbeat=time.time(), trained=runs.c.trained + trained)
        return self.desired_state(run_id)

    def record_checkpoint(self, run_id: str) -> None:
        """Record that a checkpoint was written: the race has made progress."""
        self._update(runs.c.id == run_id, checkpointed=time.time(), attempts=0)

    def mark_shared(self, run_ids: Sequence[str]) -> None:
        """Record that these runs shared the machine with others: their step times are unreliable."""
        self._update(runs.c.id.in_(run_ids), shared=True)

    def _update(self, which: ColumnElement[bool], **values: Any) -> bool:
        """Change runs in one UPDATE, so that what it checks cannot change before it writes; return whether there was any."""
        with self._engine.begin() as connection:
            return connection.execute(update(runs).where(which).values(**values)).rowcount > 0


def _ended(state: State) -> dict[str, float]:
    return {"ended": time.time()} if state in ENDED else {}
