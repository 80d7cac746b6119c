"""From rows to what a page draws. All functions take a connection and read; nothing here writes."""

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnClause,
    Connection,
    Double,
    Integer,
    Row,
    Select,
    Table,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
)

from ssam.experiment import RaceSpec
from ssam.experiment.events import FEWEST_PAIRS, PHASES, SETTLING_STEPS, STEP_PHASES
from ssam.methods import METHODS
from ssam.stats.typical import of_kinds
from ssam.store.arrays import load_arrays, mask_file
from ssam.store.outcome import settled
from ssam.store.schema import BIN_WIDTHS, bins, epochs, lanes, masks, runs, steps
from ssam.store.views import CURVES, Heatmap, LaneWindow, Window

RECENT = 256  # steps that the medians look back on while a race goes on
WHOLE = 10_000  # steps of a lane that has its result: all of nearly every race, and read in a moment


def lane_progress(lane: Row, spec: RaceSpec) -> float:
    """How far a lane is on the race's clock, 0–1; a lane that takes no more steps is at its end."""
    if lane.state in ("finished", "diverged"):
        return 1.0
    done = lane.seconds / spec.seconds if lane.total_steps is None else lane.last_step / max(1, lane.total_steps)
    return min(1.0, done)


_TOLD = {  # what is told of each evaluation and of each mask; built once, for this is read at every tick
    table: select(table.c.lane, *(column for column in table.c if column.name not in ("lane", "run", "densities")))
    .where(table.c.run == bindparam("run"))
    .order_by(table.c.step)
    for table in (epochs, masks)
}
_NEWEST = select(masks.c.densities).where(masks.c.run == bindparam("run"), masks.c.lane == bindparam("lane"))
_NEWEST = _NEWEST.order_by(masks.c.step.desc()).limit(1)
_RUN = select(runs).where(runs.c.id == bindparam("id"))
_LANES = select(lanes).where(lanes.c.run == bindparam("run")).order_by(lanes.c.lane)


def window(connection: Connection, run_id: str, points: int) -> Window | None:
    run = connection.execute(_RUN, {"id": run_id}).one_or_none()
    if run is None:
        return None
    spec = RaceSpec.model_validate_json(run.spec)
    rows = connection.execute(_LANES, {"run": run.key}).all()
    evaluated, masked = (_told(connection, table, run.key, rows) for table in (epochs, masks))
    results = {lane["name"]: lane for lane in json.loads(run.result)["lanes"]} if run.result else {}
    views = [
        _lane_window(
            connection,
            row,
            spec.lanes[row.lane].ascent_interval,
            evaluated[row.lane],
            masked[row.lane],
            points,
            results.get(row.name),
        )
        for row in rows
    ] or [_waiting(name, lane.method) for name, lane in zip(spec.lane_names, spec.lanes, strict=True)]
    progress = sum(lane_progress(row, spec) for row in rows) / max(1, len(rows))
    going = run.state in ("running", "paused") and progress > 0
    return Window(
        run_id=run_id,
        state=run.state,
        lanes=tuple(views),
        layers=json.loads(run.started_info)["layers"] if run.started_info else [],
        progress=progress,
        eta_seconds=run.trained * (1 - progress) / progress if going else None,
        elapsed=run.trained,
    )


def _told(connection: Connection, table: Table, run: int, rows: Sequence[Row]) -> list[list[dict[str, Any]]]:
    """The rows of ``table`` by lane, oldest first."""
    found = connection.execute(_TOLD[table], {"run": run})
    names = ("lane", *list(found.keys())[1:])
    told: list[list[dict[str, Any]]] = [[] for _ in rows]
    for values in found.all():  # a race may have thousands of them
        told[values[0]].append(dict(zip(names, (rows[values[0]].name, *values[1:]), strict=True)))
    return told


def heatmap(
    connection: Connection, folder: Path, run_id: str, lane: str, layer: str, step: int | None
) -> Heatmap | None:
    mask = _mask(connection, run_id, lane, step)
    file = None if mask is None else mask_file(folder, mask.lane, mask.step)
    if mask is None or file is None or not file.exists():  # pictures of old races go where the disk is full
        return None
    with np.load(file, allow_pickle=False) as pictures:
        if f"m/{layer}" not in pictures:
            return None
        picture = pictures[f"m/{layer}"]
    density = json.loads(mask.densities).get(layer, mask.density)
    rows, columns = picture.shape
    return Heatmap(lane, layer, mask.step, mask.epoch, density, (rows, columns), picture.tobytes())


def mask_bits(
    connection: Connection, folder: Path, run_id: str, lane: str, step: int | None
) -> dict[str, np.ndarray] | None:
    mask = _mask(connection, run_id, lane, step)
    file = None if mask is None else mask_file(folder, mask.lane, mask.step)
    if mask is None or file is None or not file.exists():
        return None
    shapes = {layer["name"]: layer["shape"] for layer in json.loads(mask.started_info)["layers"]}
    if not (packed := load_arrays(file, "b/")):  # the network is too large, or the race of an earlier version
        return None
    return {
        name: np.unpackbits(bits, count=math.prod(shapes[name])).astype(bool).reshape(shapes[name])
        for name, bits in packed.items()
    }


def mask_densities(connection: Connection, run_id: str, lane: str) -> list[tuple[int, float, dict[str, float]]]:
    query = (
        select(masks.c.step, masks.c.epoch, masks.c.densities)
        .join(lanes, (lanes.c.run == masks.c.run) & (lanes.c.lane == masks.c.lane))
        .join(runs, runs.c.key == masks.c.run)
        .where(runs.c.id == run_id, lanes.c.name == lane)
        .order_by(masks.c.step)
    )
    return [(step, epoch, json.loads(told)) for step, epoch, told in connection.execute(query)]


def _mask(connection: Connection, run_id: str, lane: str, step: int | None) -> Row | None:
    """The mask of a lane that was made at ``step``, or the newest, with the race's ``started_info``."""
    query = (
        select(masks, runs.c.started_info)
        .join(lanes, (lanes.c.run == masks.c.run) & (lanes.c.lane == masks.c.lane))
        .join(runs, runs.c.key == masks.c.run)
        .where(runs.c.id == run_id, lanes.c.name == lane)
        .order_by(masks.c.step.desc())
        .limit(1)
    )
    return connection.execute(query if step is None else query.where(masks.c.step == step)).one_or_none()


def _waiting(name: str, method: str) -> LaneWindow:
    steps: dict[str, list[float | None]] = {curve: [] for curve in CURVES}
    return LaneWindow(name, method, "waiting", 0, steps, [], [], {}, {}, None, None, None, 0, None, 0.0, 0)


def _lane_window(
    connection: Connection,
    lane: Row,
    interval: int,
    told_epochs: list[dict],
    told_masks: list[dict],
    points: int,
    result: dict[str, Any] | None,
) -> LaneWindow:
    """``result`` is the lane's in the race's Result, whose numbers are the last word."""
    curves = _curves(connection, lane, points)
    densities = told_masks and connection.execute(_NEWEST, {"run": lane.run, "lane": lane.lane}).scalar()
    kinds = _kinds(connection, lane, interval, max(RECENT, interval) if result is None else WHOLE)
    medians = {phase: _typical(kinds, phase, 0.5) for phase in PHASES[:-1]}
    medians["mask"] = lane.refresh_ms / lane.refreshes if lane.refreshes else None
    pairs = [len(values["ratio"]) for _, values in kinds]
    enough = all(pairs) and sum(pairs) >= FEWEST_PAIRS
    low, middle, high = (_typical(kinds, "ratio", share) if enough else None for share in (0.25, 0.5, 0.75))
    seen = LaneWindow(
        name=lane.name,
        method=lane.method,
        state=lane.state,
        points=len(curves["step"]),
        steps=curves,
        epochs=told_epochs,
        masks=told_masks,
        densities=json.loads(densities or "{}"),
        phase_ms={phase: value for phase, value in medians.items() if value is not None},
        step_ms=_typical(kinds, "step", 0.5),
        ratio=middle,
        ratio_iqr=None if low is None or high is None else (low, high),
        last_step=lane.last_step,
        total_steps=lane.total_steps,
        seconds=lane.seconds,
        gradients=lane.gradients,
    )
    return settled(seen, result)


def _curves(connection: Connection, lane: Row, points: int) -> dict[str, list[float | None]]:
    """The lane's curves in at most ``points`` bins, whose width is the smallest power of two that allows it. A bin
    is the mean of the same steps for as long as the width stays, so a drawn point does not move."""
    width = 1
    while -(-lane.last_step // width) > points:
        width *= 2
    rows = connection.execute(_curves_query(width), {"run": lane.run, "lane": lane.lane, "points": points}).all()
    columns = list(zip(*rows, strict=True)) or [()] * len(CURVES)
    return {name: list(column) for name, column in zip(CURVES, columns, strict=True)}


@cache
def _curves_query(width: int) -> Select:
    """The means of ``width`` steps, taken from the widest stored bins that fit into them. NULL where any is NULL."""
    stored = max((stored for stored in BIN_WIDTHS if stored <= width), default=1)
    table: Table = steps if stored == 1 else bins
    weight = _literal(1) if stored == 1 else bins.c["count"]
    number = (steps.c.step - _literal(1)) // _literal(width) if stored == 1 else bins.c.bin // _literal(width // stored)
    whole = [func.count(table.c[name]) == func.count() for name in CURVES]
    means = [func.sum(cast(table.c[name], Double) * weight) / func.sum(weight) for name in CURVES]
    query = select(*(case((is_whole, mean)) for is_whole, mean in zip(whole, means, strict=True)))
    query = query.where(table.c.run == bindparam("run"), table.c.lane == bindparam("lane"))
    query = query if stored == 1 else query.where(bins.c.width == stored)
    return query.group_by(number).order_by(number).limit(bindparam("points"))


def _literal(number: int) -> ColumnClause[int]:
    """A number in the SQL text itself: PostgreSQL does not see that two bound parameters of GROUP BY and ORDER BY agree."""
    return literal_column(str(number), Integer)


_STEPS = (
    select(*(steps.c[f"ms_{phase}"] for phase in PHASES), steps.c.ratio, steps.c.step)
    .where(steps.c.run == bindparam("run"), steps.c.lane == bindparam("lane"))
    .where(steps.c.step > bindparam("after"))
)

Kinds = list[tuple[float, dict[str, np.ndarray]]]  # of steps: the share of the steps, and sorted values by name


def _kinds(connection: Connection, lane: Row, interval: int, last: int) -> Kinds:
    """Milliseconds per phase and the ratio to SGD of the ``last`` steps (the settling ones left out). ``step`` is the sum of
    STEP_PHASES. Where only every ``interval``-th step perturbs, those and the others are two kinds."""
    place = {"run": lane.run, "lane": lane.lane, "after": max(SETTLING_STEPS, lane.last_step - last)}
    names = (*PHASES, "ratio")
    rows = connection.execute(_STEPS, place).all()
    table = np.array(list(zip(*rows, strict=True)), dtype=float)  # (names + 1, steps), the last row the steps' numbers
    if not table.size:
        return [(1.0, dict.fromkeys((*names, "step"), np.array([])))]
    perturbs = (table[-1] - 1) % interval == 0
    table[-1] = np.nansum(table[[names.index(phase) for phase in STEP_PHASES]], axis=0)
    kinds = []
    for share, kind in ((1 / interval, perturbs), (1 - 1 / interval, ~perturbs)):
        if kind.any():
            values = np.sort(table[:, kind], axis=1)  # NaN sorts last
            known = np.isfinite(values).sum(axis=1)
            kinds.append((share, {name: values[row, : known[row]] for row, name in enumerate((*names, "step"))}))
    return kinds


def _typical(kinds: Kinds, name: str, share: float) -> float | None:
    return of_kinds([(part, values[name]) for part, values in kinds], share)


def epoch_rows(connection: Connection, run_id: str) -> list[dict[str, Any]] | None:
    """One row per lane and evaluation, ready for a table; None for an unknown run."""
    run = connection.execute(select(runs.c.key, runs.c.spec).where(runs.c.id == run_id)).one_or_none()
    if run is None:
        return None
    spec = RaceSpec.model_validate_json(run.spec)
    query = (
        select(lanes.c.name, epochs)
        .join(lanes, (lanes.c.run == epochs.c.run) & (lanes.c.lane == epochs.c.lane))
        .where(epochs.c.run == run.key)
        .order_by(epochs.c.lane, epochs.c.step, epochs.c.final)
    )
    table = []
    for row in connection.execute(query):
        lane = spec.lanes[row.lane]
        method = METHODS[lane.method]
        about = {"lane": row.name, "method": lane.method}
        about["sparsity"] = spec.lane_sparsity(lane) if method.sparse else None
        about["rho"] = spec.lane_rho(lane) if method.perturbs else None
        table.append(
            about | {name: value for name, value in row._mapping.items() if name not in ("name", "run", "lane")}
        )
    return table
