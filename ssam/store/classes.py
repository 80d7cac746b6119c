"""The races of a class, read once for all viewers: few queries, and only what a wall draws."""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection, Engine, func, select

from ssam.experiment import RaceSpec
from ssam.store.annotations import KEPT
from ssam.store.schema import epochs, lanes, runs
from ssam.store.views import AccuracyCurve, ClassRace


class Classes:
    """The races under class codes, as ``Store.classes``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def races(self, code: str, limit: int = 300) -> list[ClassRace]:
        """Return the latest races under a class code, the oldest of them first."""
        columns = (runs.c.key, runs.c.id, runs.c.owner, runs.c.spec, runs.c.state, runs.c.ended)
        query = select(*columns).where(runs.c.class_code == code, runs.c.analysis.is_(None), KEPT)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(runs.c.key.desc()).limit(limit)).all()
        return [
            ClassRace(row.key, row.id, row.owner, _parsed(row.spec), row.state, row.ended) for row in reversed(rows)
        ]

    def courses(self, keys: Sequence[int]) -> dict[int, list[AccuracyCurve]]:
        """Return the accuracy of the lanes of these races, by the race's ``key``; races that have not started are left out."""
        with self._engine.connect() as connection:
            return courses(connection, keys)

    def taken_seeds(self, code: str, spec: RaceSpec) -> set[int]:
        """Return the seeds of the races under a class code with the settings of ``spec``, whatever their state."""
        query = select(runs.c.spec).where(runs.c.class_code == code, runs.c.analysis.is_(None))
        with self._engine.connect() as connection:
            others = [_parsed(text) for text in connection.execute(query).scalars()]
        return {other.seed for other in others if seedless(other) == seedless(spec)}

    def count(self, code: str, owner: str) -> int:
        """Return how many races this owner has under a class code."""
        own = (runs.c.class_code == code) & (runs.c.owner == owner) & runs.c.analysis.is_(None) & KEPT
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(runs).where(own)).scalar_one()


def courses(connection: Connection, keys: Sequence[int]) -> dict[int, list[AccuracyCurve]]:
    """Return the lanes' accuracy by race, in two queries however many races there are."""
    curves: dict[tuple[int, int], dict[float, float | None]] = {}
    results: dict[tuple[int, int], float | None] = {}
    columns = (epochs.c.run, epochs.c.lane, epochs.c.epoch, epochs.c.test_accuracy, epochs.c.final)
    order = (epochs.c.run, epochs.c.lane, epochs.c.step, epochs.c.final)
    # If an epoch was measured twice, on a part of the test images and on all, the second counts.
    for run, lane, epoch, accuracy, final in connection.execute(
        select(*columns).where(epochs.c.run.in_(keys)).order_by(*order)
    ):
        curves.setdefault((run, lane), {})[epoch] = accuracy
        if final:
            results[run, lane] = accuracy
    by_race: dict[int, list[AccuracyCurve]] = {}
    states = select(lanes.c.run, lanes.c.lane, lanes.c.state).where(lanes.c.run.in_(keys))
    for run, lane, state in connection.execute(states.order_by(lanes.c.run, lanes.c.lane)):
        curve, result = curves.get((run, lane), {}), results.get((run, lane)) if state == "finished" else None
        by_race.setdefault(run, []).append(AccuracyCurve(state, tuple(curve), tuple(curve.values()), result))
    return by_race


@lru_cache(maxsize=1024)
def _parsed(text: str) -> RaceSpec:
    """A specification never changes, so it is read once."""
    return RaceSpec.model_validate_json(text)


@lru_cache(maxsize=1024)
def seedless(spec: RaceSpec) -> str:
    """Return a digest that races with the same settings share, apart from the seed."""
    return spec.model_copy(update={"seed": 0}).digest
