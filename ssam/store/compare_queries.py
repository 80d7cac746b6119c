"""Several races at once, lane by lane, for a comparison, in few queries."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import Connection, select

from ssam.store import run_list
from ssam.store.annotations import KEPT
from ssam.store.schema import epochs, lanes, runs
from ssam.store.views import LaneState, Run, Window


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A lane at one moment; numbers are None if missing or not finite. Accuracy is 0–1."""

    epoch: float
    gradients: int
    seconds: float
    test_accuracy: float | None
    test_loss: float | None
    train_loss: float | None
    validation_accuracy: float | None
    eigenvalue: float | None


@dataclass(frozen=True)
class LaneRecord:
    """``result`` is the final accuracy on all test images; None before the end, and if the lane diverged."""

    state: LaneState
    gradients: int
    seconds: float
    course: tuple[Evaluation, ...]
    result: float | None


@dataclass(frozen=True)
class RaceRecord:
    """A race with its lanes (none before its start) and its analyses, newest first."""

    run: Run
    lanes: tuple[LaneRecord, ...]
    analyses: tuple[Run, ...]


def records(connection: Connection, run_ids: Sequence[str]) -> list[RaceRecord]:
    """Return races by their ids, in that order; unknown ids and analyses are left out."""
    wanted = select(runs).where(runs.c.id.in_(run_ids), runs.c.analysis.is_(None), KEPT)
    rows = {row.id: row for row in connection.execute(wanted)}
    rows = {run_id: rows[run_id] for run_id in dict.fromkeys(run_ids) if run_id in rows}
    keys = [row.key for row in rows.values()]
    courses, results = _courses(connection, keys)
    lane_records: dict[int, list[LaneRecord]] = {key: [] for key in keys}
    for lane in connection.execute(select(lanes).where(lanes.c.run.in_(keys)).order_by(lanes.c.run, lanes.c.lane)):
        lane_key = (lane.run, lane.lane)
        result = results.get(lane_key) if lane.state == "finished" else None
        lane_records[lane.run].append(
            LaneRecord(lane.state, lane.gradients, lane.seconds, tuple(courses.get(lane_key, {}).values()), result)
        )
    analyses: dict[str | None, list[Run]] = {}
    about = select(runs).where(runs.c.parent.in_(list(rows))).order_by(runs.c.created.desc(), runs.c.key.desc())
    for analysis in run_list.views(connection, connection.execute(about).all()):
        analyses.setdefault(analysis.parent, []).append(analysis)
    views = run_list.views(connection, list(rows.values()))
    return [RaceRecord(run, tuple(lane_records[rows[run.id].key]), tuple(analyses.get(run.id, ()))) for run in views]


Place = tuple[int, int]  # race, lane


def _courses(
    connection: Connection, keys: Sequence[int]
) -> tuple[dict[Place, dict[float, Evaluation]], dict[Place, float | None]]:
    """Return evaluations by epoch, and the last result, by race and lane."""
    values = (epochs.c.epoch, epochs.c.gradients, epochs.c.seconds, epochs.c.test_accuracy, epochs.c.test_loss)
    more = (epochs.c.train_loss, epochs.c.validation_accuracy, epochs.c.eigenvalue)
    columns = (epochs.c.run, epochs.c.lane, epochs.c.final, *values, *more)
    order = (epochs.c.run, epochs.c.lane, epochs.c.step, epochs.c.final)
    courses: dict[Place, dict[float, Evaluation]] = {}
    results: dict[Place, float | None] = {}
    for run, lane, final, *row in connection.execute(select(*columns).where(epochs.c.run.in_(keys)).order_by(*order)):
        seen = Evaluation(*row)
        _add(courses.setdefault((run, lane), {}), seen)
        if final:
            results[run, lane] = seen.test_accuracy
    return courses, results


def _add(course: dict[float, Evaluation], seen: Evaluation) -> None:
    """Add an evaluation to a lane's course by epoch. If an epoch was measured twice, on a part of the test images and on all, the
    second counts."""
    before = course.get(seen.epoch)
    if before and seen.eigenvalue is None and before.eigenvalue is not None:
        seen = replace(seen, eigenvalue=before.eigenvalue)
    course[seen.epoch] = seen


def of_window(run: Run, window: Window) -> RaceRecord:
    """Return a recorded race, which is in no database, without analyses."""
    names = [field.name for field in fields(Evaluation)]
    records = []
    for lane in window.lanes:
        course: dict[float, Evaluation] = {}
        for row in lane.epochs:
            values: dict[str, Any] = {name: row.get(name) for name in names}  # older recordings lack some
            _add(course, Evaluation(**values))
        result = lane.epochs[-1]["test_accuracy"] if lane.epochs and lane.epochs[-1]["final"] else None
        finished = result if lane.state == "finished" else None
        records.append(LaneRecord(lane.state, lane.gradients, lane.seconds, tuple(course.values()), finished))
    return RaceRecord(run, tuple(records), ())
