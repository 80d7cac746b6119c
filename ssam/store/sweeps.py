"""Sweeps and their trials as rows: specification, progress and scores."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ssam.experiment.sweep import SweepSpec, Values
from ssam.store.annotations import update_labels
from ssam.store.places import without_folders
from ssam.store.schema import epochs, lanes, new_id, runs, sweeps, trials
from ssam.store.views import State

SweepState = Literal["running", "paused", "stopped", "finished"]
# open: its race has not ended; refused: invalid settings; failed: its race failed or was stopped manually
TrialState = Literal["open", "done", "pruned", "diverged", "failed", "refused"]

DUEL = "duel "  # begins the request id of a sweep that belongs to a duel
STANDARD = -1  # number of the starting point's settings


@dataclass(frozen=True)
class Sweep:
    """One sweep. ``importance`` is each varied field's importance for the scores; empty before it is known."""

    id: str
    owner: str
    spec: SweepSpec
    state: SweepState
    created: float
    ended: float | None
    message: str
    importance: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One race of a sweep. ``number`` counts its settings from 0 (STANDARD: the starting point); ``fresh``: it was run after the
    search, on a seed that the search had not seen. ``score`` is the accuracy used, 0–1: in the search that on the validation images
    (on the test images in a sweep without any), for a pruned trial the last one; for a fresh one that on the test images. ``test`` is
    the test accuracy, which chooses nothing. ``run_state``, ``started``, ``ended`` and ``progress`` are its race's, None if it has
    none (any more)."""

    number: int
    seed: int
    values: Values
    fresh: bool = False
    run: str | None = None
    state: TrialState = "open"
    score: float | None = None
    cost: float | None = None
    message: str = ""
    run_state: State | None = None
    started: float | None = None
    ended: float | None = None
    test: float | None = None


@dataclass(frozen=True)
class Ending:
    """The result of the swept lane: accuracy on all test images and on the validation images, 0–1, and its cost."""

    test: float | None
    validation: float | None
    gradients: int
    seconds: float
    diverged: bool


@dataclass(frozen=True)
class Spent:
    """The cost of a sweep's races so far, all lanes together."""

    minutes: float
    gradients: int


class Sweeps:
    """The sweeps of a store, as ``Store.sweeps``. Permissions are checked by the client."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine, self._place = engine, place

    def create(self, spec: SweepSpec, request_id: str, owner: str) -> str:
        """Create a sweep, which this home folder's runner starts at once; the same ``request_id`` returns the first one's id."""
        sweep_id = new_id()
        row: dict[str, Any] = {
            "id": sweep_id,
            "request_id": request_id,
            "owner": owner,
            "spec": spec.model_dump_json(exclude_defaults=True),
        }
        row |= {"state": "running", "created": time.time(), "place": self._place, "message": ""}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(sweeps).values(row))
        except IntegrityError:
            with self._engine.connect() as connection:
                return str(
                    connection.execute(select(sweeps.c.id).where(sweeps.c.request_id == request_id)).scalar_one()
                )
        return sweep_id

    def get(self, sweep_id: str) -> Sweep | None:
        rows = self._some(sweeps.c.id == sweep_id)
        return rows[0] if rows else None

    def of_request(self, request_id: str) -> Sweep | None:
        """Return the sweep that was created with this request id, or None."""
        found = self._some(sweeps.c.request_id == request_id)
        return found[0] if found else None

    def of(self, owner: str | None, limit: int = 50) -> list[Sweep]:
        """Return one owner's sweeps, or those of all users (None), newest first, without the searches of duels."""
        own = ~sweeps.c.request_id.startswith(DUEL)
        return self._some(own & (sweeps.c.owner == owner) if owner is not None else own, limit)

    def active(self) -> list[Sweep]:
        """Return those that this home folder's runner must drive: running, or with races that have not ended. Oldest first."""
        unfinished = sweeps.c.id.in_(select(trials.c.sweep).where(trials.c.state == "open"))
        return self._some((sweeps.c.place == self._place) & ((sweeps.c.state == "running") | unfinished), 1000)[::-1]

    def _some(self, which: ColumnElement[bool], limit: int = 1) -> list[Sweep]:
        with self._engine.connect() as connection:
            newest = select(sweeps).where(which).order_by(sweeps.c.created.desc(), sweeps.c.id).limit(limit)
            return [_sweep(row) for row in connection.execute(newest)]

    def transition(self, sweep_id: str, leave: Sequence[SweepState], state: SweepState, **values: Any) -> bool:
        """Change the state if it is one of ``leave``; return whether it was."""
        ended = {"ended": time.time() if state in ("stopped", "finished") else None}
        which = (sweeps.c.id == sweep_id) & sweeps.c.state.in_(leave)
        return self._update(which, state=state, **ended, **values)

    def respecify(self, sweep_id: str, spec: SweepSpec) -> None:
        """Change a sweep's budget."""
        self._update(sweeps.c.id == sweep_id, spec=spec.model_dump_json(exclude_defaults=True))

    def set_importance(self, sweep_id: str, importance: Mapping[str, float]) -> None:
        self._update(sweeps.c.id == sweep_id, importance=json.dumps(dict(importance)))

    def _update(self, which: ColumnElement[bool], **values: Any) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(update(sweeps).where(which).values(**values)).rowcount > 0

    def delete(self, sweep_id: str) -> None:
        """Delete a sweep. Its races stay, as ordinary ones."""
        with self._engine.begin() as connection:
            connection.execute(delete(sweeps).where(sweeps.c.id == sweep_id))

    # Trials

    def trials(self, sweep_id: str) -> list[Trial]:
        """Return all trials, by number and seed."""
        about = (runs.c.state.label("run_state"), runs.c.started, runs.c.ended)
        query = select(trials, *about).outerjoin(runs, runs.c.id == trials.c.run).where(trials.c.sweep == sweep_id)
        with self._engine.connect() as connection:
            return [_trial(row) for row in connection.execute(query.order_by(trials.c.number, trials.c.seed))]

    def add(self, sweep_id: str, new: Iterable[Trial]) -> None:
        """Add trials without a race, which the runner will queue. Existing ones are not changed."""
        existing = {(trial.number, trial.seed) for trial in self.trials(sweep_id)}
        rows = [
            {"sweep": sweep_id, "number": trial.number, "seed": trial.seed, "fresh": trial.fresh, "state": trial.state}
            | {"values": json.dumps(trial.values), "message": trial.message, "run": None}
            for trial in new
            if (trial.number, trial.seed) not in existing
        ]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(insert(trials), rows)

    def begin(self, sweep_id: str, trial: Trial, run_id: str) -> None:
        """Record that a trial's race has been queued. The race can be found by its sweep."""
        with self._engine.begin() as connection:
            update_labels(connection, run_id, name="", tags=tag(sweep_id), note="")
            connection.execute(update(trials).where(_which(sweep_id, trial)).values(run=run_id))

    def close(
        self,
        sweep_id: str,
        trial: Trial,
        state: TrialState,
        score: float | None = None,
        cost: float | None = None,
        message: str = "",
        test: float | None = None,
    ) -> None:
        """Record the outcome of a trial's race, once; ignored if the trial has been requeued meanwhile."""
        which = _which(sweep_id, trial) & (trials.c.state == "open")
        if trial.run is not None:
            which &= trials.c.run == trial.run
        values = {"state": state, "score": score, "cost": cost, "message": message, "test": test}
        with self._engine.begin() as connection:
            connection.execute(update(trials).where(which).values(values))

    def drop(self, sweep_id: str, trial: Trial) -> None:
        """Delete an unfinished trial: its settings may be suggested again."""
        with self._engine.begin() as connection:
            connection.execute(delete(trials).where(_which(sweep_id, trial), trials.c.state == "open"))

    def requeue(self, sweep_id: str, trial: Trial) -> None:
        """Have the runner begin a trial again whose race was stopped or is stopping; it goes on with the same race."""
        which = _which(sweep_id, trial) & trials.c.state.in_(("open", "failed"))
        with self._engine.begin() as connection:
            connection.execute(update(trials).where(which).values(state="open", message="", run=None))

    # Results of the races

    def spent(self, sweep_id: str) -> Spent:
        of_sweep = runs.c.sweep == sweep_id
        with self._engine.connect() as connection:
            seconds = connection.execute(select(func.sum(runs.c.trained)).where(of_sweep)).scalar()
            passes = select(func.sum(lanes.c.gradients)).join(runs, runs.c.key == lanes.c.run).where(of_sweep)
            return Spent((seconds or 0.0) / 60, int(connection.execute(passes).scalar() or 0))

    def ending(self, run_id: str, lane: int) -> Ending | None:
        """Return the result of a race's lane, counted from 0; None if it has not finished."""
        with self._engine.connect() as connection:
            row = _lane_row(connection, run_id, lane)
            if row is None or row.state not in ("finished", "diverged"):
                return None
            last = select(epochs.c.test_accuracy, epochs.c.validation_accuracy).where(
                epochs.c.run == row.run, epochs.c.lane == lane, epochs.c.final
            )
            test, validation = connection.execute(last.order_by(epochs.c.step.desc())).first() or (None, None)
            return Ending(test, validation, row.gradients, row.seconds, row.state == "diverged")

    def evaluations(self, run_id: str, lane: int, on: Literal["test", "validation"]) -> list[tuple[int, float]]:
        """Return epoch, from 1, and accuracy of each evaluation during a race, all on the same images."""
        accuracy = epochs.c[f"{on}_accuracy"]
        with self._engine.connect() as connection:
            row = _lane_row(connection, run_id, lane)
            if row is None:
                return []
            seen = select(epochs.c.epoch, accuracy).where(
                epochs.c.run == row.run, epochs.c.lane == lane, ~epochs.c.final, epochs.c.epoch >= 0.5
            )
            rows = connection.execute(seen.where(accuracy.is_not(None)).order_by(epochs.c.step))
            return [(round(epoch), value) for epoch, value in rows]

    def course(self, run_id: str, lane: int) -> list[tuple[float, int, float]]:
        """Return test accuracy, gradients and seconds so far at each evaluation of a race's lane, the last one on all test images."""
        with self._engine.connect() as connection:
            row = _lane_row(connection, run_id, lane)
            if row is None:
                return []
            seen = select(epochs.c.test_accuracy, epochs.c.gradients, epochs.c.seconds).where(
                epochs.c.run == row.run, epochs.c.lane == lane, epochs.c.test_accuracy.is_not(None)
            )
            return [tuple(each) for each in connection.execute(seen.order_by(epochs.c.step, epochs.c.final))]


def tag(sweep_id: str) -> str:
    """Return the tag of a sweep's races, by which they are found."""
    return f"sweep-{sweep_id[:6].lower()}"


def _which(sweep_id: str, trial: Trial) -> ColumnElement[bool]:
    return (trials.c.sweep == sweep_id) & (trials.c.number == trial.number) & (trials.c.seed == trial.seed)


def _lane_row(connection: Connection, run_id: str, lane: int) -> Row | None:
    query = select(lanes).join(runs, runs.c.key == lanes.c.run).where(runs.c.id == run_id, lanes.c.lane == lane)
    return connection.execute(query).one_or_none()


def _sweep(row: Row) -> Sweep:
    spec = SweepSpec.model_validate_json(row.spec)
    importance = json.loads(row.importance) if row.importance else {}
    return Sweep(row.id, row.owner, spec, row.state, row.created, row.ended, without_folders(row.message), importance)


def _trial(row: Row) -> Trial:
    result = (row.state, row.score, row.cost, without_folders(row.message))
    race = (row.run_state, row.started, row.ended)
    return Trial(row.number, row.seed, json.loads(row._mapping["values"]), row.fresh, row.run, *result, *race, row.test)
