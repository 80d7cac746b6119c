"""The races of a class, read for all who watch it: few queries, and of each race only what a wall draws."""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection, func, select

from ssam.experiment import RaceSpec
from ssam.store.annotations import KEPT
from ssam.store.schema import epochs, lanes, runs
from ssam.store.views import ClassRace, LaneCourse


def races(connection: Connection, code: str, limit: int) -> list[ClassRace]:
    """The newest races under a class code, the oldest of them first."""
    columns = (runs.c.key, runs.c.id, runs.c.owner, runs.c.spec, runs.c.state, runs.c.ended)
    query = select(*columns).where(runs.c.class_code == code, runs.c.analysis.is_(None), KEPT)
    found = connection.execute(query.order_by(runs.c.key.desc()).limit(limit)).all()
    return [ClassRace(row.key, row.id, row.owner, parsed(row.spec), row.state, row.ended) for row in reversed(found)]


def courses(connection: Connection, keys: Sequence[int]) -> dict[int, list[LaneCourse]]:
    """By race, how each lane has fared so far; a race that has not begun is left out. Two queries, however many races."""
    told: dict[tuple[int, int], dict[float, float | None]] = {}
    results: dict[tuple[int, int], float | None] = {}
    columns = (epochs.c.run, epochs.c.lane, epochs.c.epoch, epochs.c.test_accuracy, epochs.c.final)
    order = (epochs.c.run, epochs.c.lane, epochs.c.step, epochs.c.final)
    # Of an epoch that was measured twice, on a part of the test images and on all, the second counts.
    for run, lane, epoch, accuracy, final in connection.execute(
        select(*columns).where(epochs.c.run.in_(keys)).order_by(*order)
    ):
        told.setdefault((run, lane), {})[epoch] = accuracy
        if final:
            results[run, lane] = accuracy
    found: dict[int, list[LaneCourse]] = {}
    states = select(lanes.c.run, lanes.c.lane, lanes.c.state).where(lanes.c.run.in_(keys))
    for run, lane, state in connection.execute(states.order_by(lanes.c.run, lanes.c.lane)):
        curve, result = told.get((run, lane), {}), results.get((run, lane)) if state == "finished" else None
        found.setdefault(run, []).append(LaneCourse(state, tuple(curve), tuple(curve.values()), result))
    return found


def taken_seeds(connection: Connection, code: str, spec: RaceSpec) -> set[int]:
    """The seeds of the races under a class code with these settings, whatever has become of them."""
    found = connection.execute(select(runs.c.spec).where(runs.c.class_code == code, runs.c.analysis.is_(None)))
    others = (parsed(text) for text in found.scalars())
    return {other.seed for other in others if seedless(other) == seedless(spec)}


def count(connection: Connection, code: str, owner: str) -> int:
    own = (runs.c.class_code == code) & (runs.c.owner == owner) & runs.c.analysis.is_(None) & KEPT
    return connection.execute(select(func.count()).select_from(runs).where(own)).scalar_one()


@lru_cache(maxsize=1024)
def parsed(text: str) -> RaceSpec:
    """A specification as it is kept. It never changes, so it is read once."""
    return RaceSpec.model_validate_json(text)


@lru_cache(maxsize=1024)
def seedless(spec: RaceSpec) -> str:
    """Equal for races with the same settings apart from the seed."""
    return spec.model_copy(update={"seed": 0}).digest
