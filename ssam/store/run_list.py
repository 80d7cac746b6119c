"""Runs as shown in a list, and this machine's speed estimated from past runs."""

import json
import statistics
from collections.abc import Sequence

from sqlalchemy import Connection, Row, func, select, true

from ssam.experiment import RaceSpec
from ssam.experiment.analysis import AnalysisSpec
from ssam.planning.estimate import FORWARDS_PER_GRADIENT, Rate, default_rate, image_gmacs
from ssam.store.places import without_folders
from ssam.store.schema import lanes, runs
from ssam.store.views import Run

RATED_RUNS = 5  # latest races behind the median rate
RATED_SECONDS = 1.0  # shorter races are not informative


def views(connection: Connection, rows: Sequence[Row]) -> list[Run]:
    """Select rows of ``runs`` with the number of races ahead in the queue, and the progress."""
    busy = connection.execute(select(func.count()).where(runs.c.state.in_(("starting", "running")))).scalar_one()
    queued = select(runs.c.id).where(runs.c.state == "queued").order_by(runs.c.created, runs.c.key)
    ahead = {run_id: number for number, run_id in enumerate(connection.execute(queued).scalars(), start=busy)}
    lanes_of: dict[int, list[Row]] = {row.key: [] for row in rows}
    for lane in connection.execute(select(lanes).where(lanes.c.run.in_(list(lanes_of)))):
        lanes_of[lane.run].append(lane)
    return [_view(row, lanes_of[row.key], ahead.get(row.id)) for row in rows]


def lane_progress(lane: Row, spec: RaceSpec) -> float:
    """Return how far a lane is on the race's clock, 0–1; 1 for a lane that takes no more steps."""
    if lane.state in ("finished", "diverged"):
        return 1.0
    done = lane.seconds / spec.seconds if lane.total_steps is None else lane.last_step / max(1, lane.total_steps)
    return min(1.0, done)


def _view(row: Row, its_lanes: list[Row], races_ahead: int | None) -> Run:
    spec = RaceSpec.model_validate_json(row.spec)
    return Run(
        id=row.id,
        owner=row.owner,
        spec=spec,
        state=row.state,
        want=row.want,
        created=row.created,
        started=row.started,
        ended=row.ended,
        message=without_folders(row.message),
        started_info=json.loads(row.started_info) if row.started_info else None,
        result=json.loads(row.result) if row.result else None,
        races_ahead=races_ahead,
        shared=row.shared,
        exclusive=row.exclusive,
        checkpointed=row.checkpointed,
        slot=row.slot,
        progress=sum(lane_progress(lane, spec) for lane in its_lanes) / max(1, len(its_lanes)) + (row.done or 0.0),
        parent=row.parent,
        analysis=AnalysisSpec.model_validate_json(row.analysis) if row.analysis else None,
        class_code=row.class_code,
    )


def rate(connection: Connection, place: str, device: str, model: str | None, shared: bool) -> Rate:
    """Return the median over the latest races at this place, of this model if available, else of any; else a guess."""
    gradients, seconds = func.sum(lanes.c.gradients), func.sum(lanes.c.seconds)
    query = (
        select(runs.c.spec, runs.c.started_info, gradients.label("gradients"), seconds.label("seconds"))
        .join(lanes, lanes.c.run == runs.c.key)
        .where(runs.c.place == place, true() if shared else runs.c.shared.is_(False))
        .group_by(runs.c.key)
        .having(seconds >= RATED_SECONDS)
        .order_by(runs.c.key.desc())
        .limit(100)
    )
    speeds_by_model: list[tuple[str, float]] = []
    for row in connection.execute(query):
        spec = RaceSpec.model_validate_json(row.spec)
        if device in (spec.device, json.loads(row.started_info)["device"]):
            images = float(row.gradients) * spec.batch_size * FORWARDS_PER_GRADIENT  # SUM of integers may be a Decimal
            speeds_by_model.append((spec.model, images * image_gmacs(spec) / row.seconds))
    speeds = [speed for name, speed in speeds_by_model if name == model] or [speed for _, speed in speeds_by_model]
    measured = [speed for speed in speeds[:RATED_RUNS] if speed > 0]
    return Rate(statistics.median(measured), measured=True) if measured else default_rate(device)
