"""Duels as rows, and how each stands: the searches, the winners, and what the fresh seeds say."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, Engine, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ssam.experiment.duel import DuelSpec
from ssam.stats.paired import Paired, compare
from ssam.stats.verdict import Answer, answer
from ssam.store.places import without_folders
from ssam.store.schema import duels, new_id, sweeps
from ssam.store.sweep_scores import Point, chosen
from ssam.store.sweeps import DUEL, Ending, Sweep, Sweeps, Trial

DuelState = Literal["running", "paused", "stopped", "finished"]


@dataclass(frozen=True)
class Duel:
    """One duel. ``message`` says why it stopped where nobody stopped it."""

    id: str
    owner: str
    spec: DuelSpec
    state: DuelState
    created: float
    ended: float | None
    message: str


@dataclass(frozen=True)
class Standing:
    """How one contender stands.

    ``searched`` counts the trials that have ended, ``winners`` the best settings by round, of the searches that are over. ``test`` is the
    test accuracy of the winners by fresh seed, 0–1; ``gradients`` and ``seconds`` are what such a training took, by fresh seed, and
    ``search_gradients`` and ``search_minutes`` what all searches took. ``differences`` are, by fresh seed, the points by which it is above the baseline;
    ``compared`` is their comparison and ``answer`` the verdict. Both are None for the baseline, and before the duel is finished:
    whoever looks after each round and stops when the answer suits finds something too often.
    """

    name: str
    searched: int
    winners: dict[int, Point]
    test: dict[int, float]
    lost: int  # fresh seeds that gave no number
    gradients: dict[int, int]
    seconds: dict[int, float]
    search_gradients: int
    search_minutes: float
    differences: dict[int, float] = field(default_factory=dict)
    compared: Paired | None = None
    answer: Answer | None = None

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.test.values()) if self.test else None

    @property
    def spread(self) -> float | None:
        return statistics.stdev(self.test.values()) if len(self.test) > 1 else None


class Duels:
    """The duels of a store; ``Store.duels``."""

    def __init__(self, engine: Engine, place: str, sweeps: Sweeps) -> None:
        self._engine, self._place, self._sweeps = engine, place, sweeps

    def create(self, spec: DuelSpec, request_id: str, owner: str) -> str:
        """Queue a duel for the runner of this home folder; the same ``request_id`` again returns the first one's id."""
        row: dict[str, Any] = {"id": new_id(), "request_id": request_id, "owner": owner, "place": self._place}
        row |= {
            "spec": spec.model_dump_json(exclude_defaults=True),
            "state": "running",
            "created": time.time(),
            "message": "",
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(duels).values(row))
        except IntegrityError:
            with self._engine.connect() as connection:
                return str(connection.execute(select(duels.c.id).where(duels.c.request_id == request_id)).scalar_one())
        return str(row["id"])

    def get(self, duel_id: str) -> Duel | None:
        """Return the duel with this id, or None."""
        found = self._some(duels.c.id == duel_id)
        return found[0] if found else None

    def of(self, owner: str | None, limit: int = 50) -> list[Duel]:
        """Return one owner's duels, or everybody's (None), newest first."""
        return self._some(duels.c.owner == owner if owner is not None else duels.c.id.is_not(None), limit)

    def active(self) -> list[Duel]:
        """Return the running duels of this home folder, oldest first."""
        return self._some((duels.c.place == self._place) & (duels.c.state == "running"), 1000)[::-1]

    def _some(self, which: ColumnElement[bool], limit: int = 1) -> list[Duel]:
        with self._engine.connect() as connection:
            newest = select(duels).where(which).order_by(duels.c.created.desc(), duels.c.id).limit(limit)
            return [_duel(row) for row in connection.execute(newest)]

    def transition(self, duel_id: str, leave: Sequence[DuelState], state: DuelState, message: str = "") -> bool:
        """Change the state where it is one of ``leave``; return whether it was."""
        ended = time.time() if state in ("stopped", "finished") else None
        which = (duels.c.id == duel_id) & duels.c.state.in_(leave)
        with self._engine.begin() as connection:
            changed = update(duels).where(which).values(state=state, ended=ended, message=message)
            return connection.execute(changed).rowcount > 0

    def delete(self, duel_id: str) -> None:
        """Forget a duel and its searches. Their races stay, as ordinary ones."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(sweeps).where(sweeps.c.request_id.startswith(f"{DUEL}{duel_id} ", autoescape=True))
            )
            connection.execute(delete(duels).where(duels.c.id == duel_id))

    def searches(self, duel: Duel, place: int) -> list[Sweep]:
        """Return the searches of a contender that have begun, by round."""
        found = (self._sweeps.of_request(request_of(duel.id, place, turn)) for turn in range(duel.spec.seeds))
        return [sweep for sweep in found if sweep is not None]

    def standings(self, duel: Duel) -> list[Standing]:
        """Return how each contender stands, the baseline first."""
        alone = [self._standing(duel, place) for place in range(len(duel.spec.contenders))]
        return judged(alone, duel)

    def _standing(self, duel: Duel, place: int) -> Standing:
        begun = self.searches(duel, place)
        trials = {sweep.id: self._sweeps.trials(sweep.id) for sweep in begun}
        winners = {turn: chosen(sweep, trials[sweep.id]) for turn, sweep in enumerate(begun)}
        every = [trial for own in trials.values() for trial in own]
        fresh = [trial for trial in every if trial.fresh and trial.state != "open"]
        ends = {trial.seed: end for trial in fresh if (end := self._ending(trial)) is not None}
        spent = [self._sweeps.spent(sweep.id) for sweep in begun]
        judged_minutes = sum(end.seconds for end in ends.values()) / 60
        return Standing(
            name=duel.spec.names[place],
            searched=sum(trial.state != "open" and not trial.fresh for trial in every),
            winners={turn: winner for turn, winner in winners.items() if winner is not None},
            test={trial.seed: trial.score for trial in fresh if trial.state == "done" and trial.score is not None},
            lost=sum(trial.state != "done" for trial in fresh),
            gradients={seed: end.gradients for seed, end in ends.items()},
            seconds={seed: end.seconds for seed, end in ends.items()},
            search_gradients=sum(each.gradients for each in spent) - sum(end.gradients for end in ends.values()),
            search_minutes=max(0.0, sum(each.minutes for each in spent) - judged_minutes),
        )

    def to_target(self, duel: Duel, place: int, target: float) -> dict[int, tuple[int, float] | None]:
        """Return, by fresh seed, the gradients and seconds that a contender's training took to first reach ``target`` (test accuracy,
        0–1); None for a seed that never did."""
        trials = [trial for sweep in self.searches(duel, place) for trial in self._sweeps.trials(sweep.id)]
        courses = {
            trial.seed: self._sweeps.course(trial.run, 0)
            for trial in trials
            if trial.fresh and trial.state == "done" and trial.run
        }
        return {
            seed: next(((gradients, seconds) for accuracy, gradients, seconds in course if accuracy >= target), None)
            for seed, course in courses.items()
        }

    def _ending(self, trial: Trial) -> Ending | None:
        return self._sweeps.ending(trial.run, 0) if trial.run and trial.state == "done" else None


def judged(standings: Sequence[Standing], duel: Duel) -> list[Standing]:
    """Return the standings with each rival compared to the baseline, the first; the intervals hold together."""
    baseline, *rivals = standings
    percent = [{seed: 100 * score for seed, score in each.test.items()} for each in standings]
    found = [baseline]
    for each, own in zip(rivals, percent[1:], strict=True):
        differences = {seed: value - percent[0][seed] for seed, value in own.items() if seed in percent[0]}
        rival = replace(each, differences=differences)
        if duel.state == "finished":
            compared = compare(own, percent[0], comparisons=len(rivals))
            verdict = answer(compared, duel.spec.margin, duel.spec.seeds)
            rival = replace(rival, compared=compared, answer=verdict)
        found.append(rival)
    return found


def request_of(duel_id: str, place: int, turn: int) -> str:
    """Return the request id of a contender's search in a round, so that it is never begun twice."""
    return f"{DUEL}{duel_id} {place} {turn}"


def _duel(row: Row) -> Duel:
    spec = DuelSpec.model_validate_json(row.spec)
    return Duel(row.id, row.owner, spec, row.state, row.created, row.ended, without_folders(row.message))
