"""A race's curves, masks and tables, read from the rows and files that the writer saved."""

import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import (
    ColumnClause,
    Connection,
    Double,
    Engine,
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
from ssam.methods.bases import DEFAULT_BASE
from ssam.stats.typical import of_kinds
from ssam.store import compare_queries, step_rows
from ssam.store.arrays import load_arrays, mask_file
from ssam.store.outcome import settled
from ssam.store.run_list import lane_progress
from ssam.store.schema import BIN_WIDTHS, bins, epochs, lanes, masks, runs, steps
from ssam.store.views import CURVES, Heatmap, LaneWindow, Window

if TYPE_CHECKING:
    from pandas import DataFrame

RECENT = 256  # steps behind the medians while a race runs
WHOLE = 10_000  # steps behind the medians of a finished lane: all of nearly every race, and quick to read
EPOCH_COLUMNS = (
    "lane method sparsity rho epoch step gradients seconds lr train_loss test_loss test_accuracy test_size final "
    "eigenvalue eigenvalue_residual eigenvalue_ms validation_loss validation_accuracy"
)


_ROWS = {  # built once, since they are used at every tick
    table: select(table.c.lane, *(column for column in table.c if column.name not in ("lane", "run", "densities")))
    .where(table.c.run == bindparam("run"))
    .order_by(table.c.step)
    for table in (epochs, masks)
}
_NEWEST = select(masks.c.densities).where(masks.c.run == bindparam("run"), masks.c.lane == bindparam("lane"))
_NEWEST = _NEWEST.order_by(masks.c.step.desc()).limit(1)
_RUN = select(runs).where(runs.c.id == bindparam("id"))
_LANES = select(lanes).where(lanes.c.run == bindparam("run")).order_by(lanes.c.lane)


class Curves:
    """The curves, masks and tables of a store's races, as ``Store.curves``."""

    def __init__(self, engine: Engine, folder: Callable[[str], Path]) -> None:
        self._engine, self._folder = engine, folder

    def window(self, run_id: str, points: int = 300) -> Window | None:
        """Return a run at this moment, with at most ``points`` points per curve; None for an unknown id."""
        with self._engine.connect() as connection:
            return _window(connection, run_id, points)

    def records(self, run_ids: Sequence[str]) -> list[compare_queries.RaceRecord]:
        """Return several races with the evaluations of their lanes and the analyses of them; unknown ids are left out."""
        with self._engine.connect() as connection:
            return compare_queries.records(connection, run_ids)

    def heatmap(self, run_id: str, lane: str, layer: str, step: int | None = None) -> Heatmap | None:
        """Return one layer's mask made at ``step`` (default: the latest), or None."""
        mask, file = self._mask(run_id, lane, step)
        if mask is None or file is None:
            return None
        with np.load(file, allow_pickle=False) as pictures:
            if f"m/{layer}" not in pictures:
                return None
            picture = pictures[f"m/{layer}"]
        density = json.loads(mask.densities).get(layer, mask.density)
        rows, columns = picture.shape
        return Heatmap(lane, layer, mask.step, mask.epoch, density, (rows, columns), picture.tobytes())

    def mask_bits(self, run_id: str, lane: str, step: int | None = None) -> dict[str, np.ndarray] | None:
        """Return the exact mask made at ``step`` (default: the latest): by layer, a bool array of its shape, True = perturbed.
        None if there is none, if it is no longer stored, and for networks of more than a million weights."""
        mask, file = self._mask(run_id, lane, step)
        if mask is None or file is None or not (packed := load_arrays(file, "b/")):
            return None
        shapes = {layer["name"]: layer["shape"] for layer in json.loads(mask.started_info)["layers"]}
        return {
            name: np.unpackbits(bits, count=math.prod(shapes[name])).astype(bool).reshape(shapes[name])
            for name, bits in packed.items()
        }

    def mask_densities(self, run_id: str, lane: str) -> list[tuple[int, float, dict[str, float]]]:
        """Return step, epoch and the share perturbed of each layer for every mask of a lane, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(_masks(run_id, lane).order_by(masks.c.step)).all()
        return [(row.step, row.epoch, json.loads(row.densities)) for row in rows]

    def _mask(self, run_id: str, lane: str, step: int | None) -> tuple[Row | None, Path | None]:
        """Return the mask of a lane made at ``step``, or the latest, and its file; None for each that is no longer stored."""
        query = _masks(run_id, lane).order_by(masks.c.step.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query if step is None else query.where(masks.c.step == step)).one_or_none()
        file = None if row is None else mask_file(self._folder(run_id), row.lane, row.step)
        return (row, file) if file and file.exists() else (None, None)  # mask files are deleted when the disk is full

    def epochs_table(self, run_id: str) -> "DataFrame | None":
        """Return one row per lane and evaluation, for a CSV file; None for an unknown id."""
        from pandas import DataFrame  # slow to import, and not needed by the runner

        with self._engine.connect() as connection:
            rows = _epoch_rows(connection, run_id)
        return None if rows is None else DataFrame(rows, columns=EPOCH_COLUMNS.split())

    def steps_table(self, run_id: str) -> "DataFrame | None":
        """Return one row per lane and training step; None for an unknown id."""
        from pandas import DataFrame

        with self._engine.connect() as connection:
            columns = step_rows.read(connection, run_id)
        return None if columns is None else DataFrame(columns)


def _masks(run_id: str, lane: str) -> Select:
    """Return the masks of a lane, with the race's ``started_info``."""
    return (
        select(masks, runs.c.started_info)
        .join(lanes, (lanes.c.run == masks.c.run) & (lanes.c.lane == masks.c.lane))
        .join(runs, runs.c.key == masks.c.run)
        .where(runs.c.id == run_id, lanes.c.name == lane)
    )


def _window(connection: Connection, run_id: str, points: int) -> Window | None:
    run = connection.execute(_RUN, {"id": run_id}).one_or_none()
    if run is None:
        return None
    spec = RaceSpec.model_validate_json(run.spec)
    rows = connection.execute(_LANES, {"run": run.key}).all()
    evaluated, masked = (_rows(connection, table, run.key, rows) for table in (epochs, masks))
    results = {lane["name"]: lane for lane in json.loads(run.result)["lanes"]} if run.result else {}
    views = [
        _lane_window(
            connection,
            row,
            spec.lanes[row.lane].interval,
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


def _rows(connection: Connection, table: Table, run: int, rows: Sequence[Row]) -> list[list[dict[str, Any]]]:
    """Return the rows of ``table`` by lane, oldest first."""
    result = connection.execute(_ROWS[table], {"run": run})
    names = ("lane", *list(result.keys())[1:])
    by_lane: list[list[dict[str, Any]]] = [[] for _ in rows]
    for values in result.all():  # a race may have thousands of them
        by_lane[values[0]].append(dict(zip(names, (rows[values[0]].name, *values[1:]), strict=True)))
    return by_lane


def _waiting(name: str, method: str) -> LaneWindow:
    steps: dict[str, list[float | None]] = {curve: [] for curve in CURVES}
    return LaneWindow(name, method, "waiting", 0, steps, [], [], {}, {}, None, None, None, 0, None, 0.0, 0)


def _lane_window(
    connection: Connection,
    lane: Row,
    interval: int,
    epoch_rows: list[dict],
    mask_rows: list[dict],
    points: int,
    result: dict[str, Any] | None,
) -> LaneWindow:
    """Return a lane's window; ``result`` is the lane's part of the race's Result, whose numbers are final."""
    curves = _curves(connection, lane, points)
    densities = mask_rows and connection.execute(_NEWEST, {"run": lane.run, "lane": lane.lane}).scalar()
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
        epochs=epoch_rows,
        masks=mask_rows,
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
    """Return the lane's curves in at most ``points`` bins, whose width is the smallest power of two that allows it. While the
    width stays, a bin is the mean of the same steps, so a drawn point does not move."""
    width = 1
    while -(-lane.last_step // width) > points:
        width *= 2
    rows = connection.execute(curves_query(width), {"run": lane.run, "lane": lane.lane, "points": points}).all()
    columns = list(zip(*rows, strict=True)) or [()] * len(CURVES)
    return {name: list(column) for name, column in zip(CURVES, columns, strict=True)}


@cache
def curves_query(width: int) -> Select:
    """Return the means of ``width`` steps, from the widest stored bins that fit into them; NULL if any of them is NULL."""
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
    """Return a number as literal SQL: PostgreSQL does not recognise equal bound parameters in GROUP BY and ORDER BY."""
    return literal_column(str(number), Integer)


_STEPS = (
    select(*(steps.c[f"ms_{phase}"] for phase in PHASES), steps.c.ratio, steps.c.step)
    .where(steps.c.run == bindparam("run"), steps.c.lane == bindparam("lane"))
    .where(steps.c.step > bindparam("after"))
)

Kinds = list[tuple[float, dict[str, np.ndarray]]]  # the share of the steps, and sorted values by name


def _kinds(connection: Connection, lane: Row, interval: int, last: int) -> Kinds:
    """Return milliseconds per phase and the ratio to SGD over the ``last`` steps, without warm-up steps. ``step`` is the sum of
    STEP_PHASES. If only every ``interval``-th step perturbs, those and the others are treated separately."""
    which = {"run": lane.run, "lane": lane.lane, "after": max(SETTLING_STEPS, lane.last_step - last)}
    names = (*PHASES, "ratio")
    rows = connection.execute(_STEPS, which).all()
    table = np.array(
        list(zip(*rows, strict=True)), dtype=float
    )  # (names + 1, steps); the last row holds the step numbers
    if not table.size:
        return [(1.0, dict.fromkeys((*names, "step"), np.array([])))]
    perturbs = (table[-1] - 1) % interval == 0
    table[-1] = np.nansum(table[[names.index(phase) for phase in STEP_PHASES]], axis=0)
    kinds = []
    for share, kind in ((1 / interval, perturbs), (1 - 1 / interval, ~perturbs)):
        if kind.any():
            values = np.sort(table[:, kind], axis=1)  # NaN sorts last
            counts = np.isfinite(values).sum(axis=1)
            kinds.append((share, {name: values[row, : counts[row]] for row, name in enumerate((*names, "step"))}))
    return kinds


def _typical(kinds: Kinds, name: str, share: float) -> float | None:
    return of_kinds([(part, values[name]) for part, values in kinds], share)


def _epoch_rows(connection: Connection, run_id: str) -> list[dict[str, Any]] | None:
    """Return one row per lane and evaluation, ready for a table; None for an unknown run."""
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
        if any(other.trains_otherwise for other in spec.lanes) or spec.base != DEFAULT_BASE:
            about |= {"base": spec.lane_base(lane), "weight_decay": spec.lane_weight_decay(lane)}
            about |= {name: getattr(lane, name) for name in ("label_smoothing", "ema", "patience")}
        table.append(
            about | {name: value for name, value in row._mapping.items() if name not in ("name", "run", "lane")}
        )
    return table
