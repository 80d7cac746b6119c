"""A batching writer from events to rows, used by the one process that runs the race."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from sqlalchemy import Connection, Engine, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ssam.experiment.analysis import Moment
from ssam.experiment.events import (
    PHASES,
    EpochEvent,
    Event,
    ImagesEvent,
    LaneEnded,
    MaskEvent,
    PredictionsEvent,
    Preparing,
    Result,
    Snapshot,
    Started,
    StepEvent,
)
from ssam.store.arrays import mask_file, save_arrays, save_weights, snapshot_file
from ssam.store.files import write_whole
from ssam.store.predictions import images_file, predictions_file, save_images, save_predictions
from ssam.store.schema import BIN_WIDTHS, STEP_VALUES, bins, epochs, finite, lanes, masks, runs, steps
from ssam.store.views import CURVES

FLUSH_SECONDS = 0.2

LANE_VALUES = ("state", "last_step", "gradients", "seconds", "refreshes", "refresh_ms")


class Writer:
    """Saves the events of one run. Rows are buffered for at most 0.2 s of further events; rare events
    (an epoch, a mask, the end of a lane …) are written at once. ``close`` writes the rest; also a context manager.

    Existing rows are not changed: a race that resumes from a checkpoint, or restarts, may send events again.
    If ``add`` or ``flush`` raises because the disk is full or the database is down, nothing is lost: call ``flush`` again.
    """

    def __init__(self, engine: Engine, key: int, folder: Path) -> None:
        self._engine, self._key, self._folder = engine, key, folder
        self._rows: dict[Table, list[dict[str, Any]]] = {lanes: [], steps: [], epochs: [], masks: []}
        self._files: dict[Path, Callable[[BinaryIO], object]] = {}  # how each is filled
        self._run_values: dict[str, Any] = {}
        self._message = ""
        self._flushed = 0.0
        with engine.connect() as connection:
            self._lanes = {lane.name: lane for lane in _lanes_so_far(connection, key)}
            written = select(masks.c.lane, masks.c.step).where(masks.c.run == key)
            self._told_masks = {(lane, step) for lane, step in connection.execute(written)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, event: Event) -> None:
        """Add one event; raise KeyError for a lane that ``Started`` did not name."""
        now_or_never = True
        match event:
            case StepEvent():
                now_or_never = event.step == 1
                self._step(event)
            case EpochEvent():
                self._rows[epochs].append(self._lanes[event.lane].row(finite(asdict(event))))
            case MaskEvent():
                self._mask(event)
            case Snapshot():
                self._snapshot(event)
            case ImagesEvent():
                self._file(images_file(self._folder), partial(save_images, event=event))
            case PredictionsEvent():
                path = predictions_file(self._folder, self._lanes[event.lane].index, event.step)
                self._file(path, partial(save_predictions, event=event))
            case LaneEnded():
                self._lanes[event.lane].values["state"] = event.reason
            case Started():
                self._start(event)
            case Preparing():
                now_or_never = event.message != self._message  # downloads report progress very often
                self._message = event.message
                percent = "" if event.fraction is None else f" ({event.fraction:.0%})"
                self._run_values["message"] = event.message + percent
            case Result():
                self._run_values["result"] = json.dumps(finite(asdict(event)))
        if now_or_never or time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def say(self, message: str) -> None:
        """Set the run's message with the next ``flush``."""
        self._run_values["message"] = message

    def flush(self) -> None:
        """Write everything buffered: files first, then all rows in one transaction."""
        for path, fill in self._files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, fill)
        self._files.clear()  # rows follow: whoever sees one must find the whole file
        touched = [bin_ for lane in self._lanes.values() for bin_ in lane.touched.values()]
        with self._engine.begin() as connection:
            for table, rows in self._rows.items():
                if rows:
                    connection.execute(_insert_new(connection, table), rows)
            self._write_bins(connection, touched)
            if self._lanes:
                connection.execute(_UPDATE_LANE, [lane.update() for lane in self._lanes.values()])
            if self._run_values:
                connection.execute(update(runs).where(runs.c.key == self._key).values(**self._run_values))
        for rows in self._rows.values():
            rows.clear()
        for lane in self._lanes.values():
            lane.touched.clear()
        self._run_values.clear()
        self._flushed = time.monotonic()

    def close(self) -> None:
        self.flush()

    def reached(self) -> dict[str, list[int]]:
        """Return how far the rows in the store go: each lane's last step, evaluations, masks, and 1 once it has ended."""
        reached = {name: [0, 0, 0, 0] for name in self._lanes}
        names = {lane.index: name for name, lane in self._lanes.items()}
        with self._engine.connect() as connection:
            for lane in connection.execute(select(lanes).where(lanes.c.run == self._key)):
                reached[lane.name][0] = lane.last_step
                reached[lane.name][3] = int(lane.state in ("finished", "diverged"))
            for column, table in ((1, epochs), (2, masks)):
                query = select(table.c.lane, func.count()).where(table.c.run == self._key).group_by(table.c.lane)
                for index, count in connection.execute(query):
                    reached[names[index]][column] = count
        return reached

    def _start(self, event: Started) -> None:
        self._run_values["started_info"] = json.dumps(finite(asdict(event)))
        self._run_values["message"] = ""
        for index, info in enumerate(event.lanes):
            if info.name not in self._lanes:
                lane = self._lanes[info.name] = _Lane(self._key, index, info.name)
                about = {"name": info.name, "method": info.method, "total_steps": info.total_steps}
                self._rows[lanes].append(lane.row(about | lane.values))

    def _step(self, event: StepEvent) -> None:
        lane = self._lanes[event.lane]
        if event.step <= lane.values["last_step"]:
            return
        row = {"step": event.step, "ratio": event.ratio} | {name: getattr(event, name) for name in STEP_VALUES}
        row |= {f"ms_{phase}": event.ms.get(phase) for phase in PHASES}
        self._rows[steps].append(lane.row(finite(row)))
        lane.step(event)

    def _mask(self, event: MaskEvent) -> None:
        lane = self._lanes[event.lane]
        if (lane.index, event.step) in self._told_masks:
            return
        self._files[mask_file(self._folder, lane.index, event.step)] = partial(
            save_arrays, named=event.heatmaps, others={"b/": event.bits}
        )
        row = {name: getattr(event, name) for name in ("step", "epoch", "density", "changed", "overlap")}
        self._rows[masks].append(lane.row(finite(row) | {"densities": json.dumps(finite(event.densities))}))

    def _snapshot(self, event: Snapshot) -> None:
        path = snapshot_file(self._folder, Moment(self._lanes[event.lane].index, event.step))
        self._file(path, partial(save_weights, weights=event.weights))

    def _file(self, path: Path, fill: Callable[[BinaryIO], object]) -> None:
        if not path.exists():
            self._files[path] = fill

    def _write_bins(self, connection: Connection, touched: list["_Bin"]) -> None:
        if again := [bin_.key for bin_ in touched if bin_.tried]:
            connection.execute(_DELETE_BIN, again)
        for bin_ in touched:
            bin_.tried = True
        if touched:
            connection.execute(insert(bins), [bin_.row() for bin_ in touched])


class _Lane:
    """The writer's state of a lane between two flushes."""

    def __init__(self, run: int, index: int, name: str) -> None:
        self.run, self.index, self.name = run, index, name
        self.values: dict[str, Any] = dict(zip(LANE_VALUES, ("waiting", 0, 0, 0.0, 0, 0.0), strict=True))
        self.open: dict[int, _Bin] = {}  # by width
        self.touched: dict[tuple[int, int], _Bin] = {}  # by width and bin, since the last flush

    def row(self, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "run": self.run, "lane": self.index}

    def update(self) -> dict[str, Any]:
        return {"at_run": self.run, "at_lane": self.index, **self.values}

    def step(self, event: StepEvent) -> None:
        self.values.update(state="running", last_step=event.step, gradients=event.gradients, seconds=event.seconds)
        if "mask" in event.ms:
            self.values["refreshes"] += 1
            self.values["refresh_ms"] += event.ms["mask"]
        self.touched.update(self.draw(event.step, [getattr(event, name) for name in CURVES]))

    def draw(self, step: int, point: list[float | None]) -> dict[tuple[int, int], "_Bin"]:
        """Add a step's point to its bins, and return these."""
        values = [math.nan if value is None else value for value in point]
        drawn = {}
        for width in BIN_WIDTHS:
            number = (step - 1) // width
            if width not in self.open or self.open[width].number != number:
                self.open[width] = _Bin(self, width, number)
            self.open[width].add(values)
            drawn[width, number] = self.open[width]
        return drawn


class _Bin:
    """A growing mean of ``width`` steps. One missing or non-finite value makes the mean missing. ``tried``: it may be in the store
    already, since a transaction may have succeeded although its confirmation was lost."""

    def __init__(self, lane: _Lane, width: int, number: int) -> None:
        self.lane, self.width, self.number = lane, width, number
        self.count, self.sums, self.tried = 0, [0.0] * len(CURVES), False

    def add(self, point: list[float]) -> None:
        self.count += 1
        self.sums = [total + value for total, value in zip(self.sums, point, strict=True)]

    @property
    def key(self) -> dict[str, int]:
        return {"at_run": self.lane.run, "at_lane": self.lane.index, "at_width": self.width, "at_bin": self.number}

    def row(self) -> dict[str, Any]:
        means = {name: finite(total / self.count) for name, total in zip(CURVES, self.sums, strict=True)}
        return self.lane.row({"width": self.width, "bin": self.number, "count": self.count, **means})


def _lanes_so_far(connection: Connection, run: int) -> list[_Lane]:
    """Return the lanes as an earlier writer left them. Open bins are summed again from the steps, in the same order: a mean times its
    count would not give the same bits."""
    so_far = []
    for row in connection.execute(select(lanes).where(lanes.c.run == run).order_by(lanes.c.lane)).all():
        lane = _Lane(run, row.lane, row.name)
        lane.values = {name: getattr(row, name) for name in LANE_VALUES}
        widest = max(0, row.last_step - 1) // BIN_WIDTHS[-1] * BIN_WIDTHS[-1]
        points = select(*(steps.c[name] for name in CURVES)).where(
            steps.c.run == run, steps.c.lane == row.lane, steps.c.step > widest
        )
        for point in connection.execute(points.order_by(steps.c.step)):
            lane.draw(point.step, list(point))
        for bin_ in lane.open.values():
            bin_.tried = True
        so_far.append(lane)
    return so_far


def _insert_new(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that leaves existing rows unchanged."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement: sqlite.Insert | postgresql.Insert = dialect.insert(table)
    return statement.on_conflict_do_nothing()


_UPDATE_LANE = (
    update(lanes)
    .where(lanes.c.run == bindparam("at_run"), lanes.c.lane == bindparam("at_lane"))
    .values({name: bindparam(name) for name in LANE_VALUES})
)
_DELETE_BIN = delete(bins).where(
    bins.c.run == bindparam("at_run"),
    bins.c.lane == bindparam("at_lane"),
    bins.c.width == bindparam("at_width"),
    bins.c.bin == bindparam("at_bin"),
)
