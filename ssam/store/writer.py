"""From events to rows: a batching writer, used by the one process that runs the race."""

import json
import math
import os
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from sqlalchemy import Connection, Engine, Table, bindparam, delete, insert, update

from ssam.spec.events import (
    PHASES,
    EpochEvent,
    Event,
    LaneEnded,
    MaskEvent,
    Preparing,
    Result,
    Started,
    StepEvent,
)
from ssam.store.schema import BIN_WIDTHS, STEP_VALUES, bins, epochs, lanes, masks, runs, steps
from ssam.store.views import CURVES

FLUSH_SECONDS = 0.2

LANE_VALUES = ("state", "last_step", "gradients", "seconds", "refreshes", "refresh_ms")


def finite(value: Any) -> Any:
    """None for NaN and ±inf, in dictionaries and lists too: neither SQLite, PostgreSQL's JSON nor a browser takes them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def mask_file(folder: Path, lane: int, step: int) -> Path:
    """Where the pictures of one mask lie: one uint8 array per layer."""
    return folder / "masks" / f"{lane}-{step}.npz"


class Writer:
    """Keeps the events of one run. Rows are held back for at most 0.2 s of further events; what happens rarely
    (an epoch, a mask, the end of a lane …) is written at once. ``close`` writes the rest; also a context manager."""

    def __init__(self, engine: Engine, key: int, folder: Path) -> None:
        self._engine, self._key, self._folder = engine, key, folder
        self._lanes: dict[str, _Lane] = {}
        self._rows: dict[Table, list[dict[str, Any]]] = {steps: [], epochs: [], masks: []}
        self._run_values: dict[str, Any] = {}
        self._message = ""
        self._flushed = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, event: Event) -> None:
        """Takes one event; raises KeyError for a lane that ``Started`` did not name."""
        now_or_never = True
        match event:
            case StepEvent():
                now_or_never = event.step == 1
                self._step(event)
            case EpochEvent():
                self._rows[epochs].append(self._lanes[event.lane].row(finite(asdict(event))))
            case MaskEvent():
                self._mask(event)
            case LaneEnded():
                self._lanes[event.lane].values["state"] = event.reason
            case Started():
                self._start(event)
            case Preparing():
                now_or_never = event.message != self._message  # a download reports its progress very often
                self._message = event.message
                percent = "" if event.fraction is None else f" ({event.fraction:.0%})"
                self._run_values["message"] = event.message + percent
            case Result():
                self._run_values["result"] = json.dumps(finite(asdict(event)))
        if now_or_never or time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes everything held back, in one transaction."""
        touched = [bin_ for lane in self._lanes.values() for bin_ in lane.touched.values()]
        with self._engine.begin() as connection:
            for table, rows in self._rows.items():
                if rows:
                    connection.execute(insert(table), rows)
            self._write_bins(connection, touched)
            if self._lanes:
                connection.execute(_UPDATE_LANE, [lane.update() for lane in self._lanes.values()])
            if self._run_values:
                connection.execute(update(runs).where(runs.c.key == self._key).values(**self._run_values))
        for rows in self._rows.values():
            rows.clear()
        for lane in self._lanes.values():
            lane.touched.clear()
        for bin_ in touched:
            bin_.stored = True
        self._run_values.clear()
        self._flushed = time.monotonic()

    def close(self) -> None:
        self.flush()

    def _start(self, event: Started) -> None:
        self._run_values["started_info"] = json.dumps(finite(asdict(event)))
        self._run_values["message"] = ""
        rows = []
        for index, info in enumerate(event.lanes):
            lane = self._lanes[info.name] = _Lane(self._key, index)
            about = {"name": info.name, "method": info.method, "total_steps": info.total_steps}
            rows.append(lane.row(about | lane.values))
        with self._engine.begin() as connection:
            connection.execute(insert(lanes), rows)

    def _step(self, event: StepEvent) -> None:
        lane = self._lanes[event.lane]
        row = {"step": event.step, "ratio": event.ratio} | {name: getattr(event, name) for name in STEP_VALUES}
        row |= {f"ms_{phase}": event.ms.get(phase) for phase in PHASES}
        self._rows[steps].append(lane.row(finite(row)))
        lane.step(event)

    def _mask(self, event: MaskEvent) -> None:
        lane = self._lanes[event.lane]
        path = mask_file(self._folder, lane.index, event.step)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        with draft.open("wb") as file:
            # A layer may be called "file", which is savez's own argument: hence the prefix.
            np.savez_compressed(file, **{f"m/{name}": picture for name, picture in event.heatmaps.items()})  # type: ignore[arg-type]
        os.replace(draft, path)  # the row follows: who sees it finds the whole file
        row = {name: getattr(event, name) for name in ("step", "epoch", "density", "changed", "overlap")}
        self._rows[masks].append(lane.row(finite(row) | {"densities": json.dumps(finite(event.densities))}))

    def _write_bins(self, connection: Connection, touched: list["_Bin"]) -> None:
        if again := [bin_.key for bin_ in touched if bin_.stored]:
            connection.execute(_DELETE_BIN, again)
        if touched:
            connection.execute(insert(bins), [bin_.row() for bin_ in touched])


class _Lane:
    """What the writer knows of a lane between two flushes."""

    def __init__(self, run: int, index: int) -> None:
        self.run, self.index = run, index
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
        point = [math.nan if (value := getattr(event, name)) is None else value for name in CURVES]
        for width in BIN_WIDTHS:
            number = (event.step - 1) // width
            if width not in self.open or self.open[width].number != number:
                self.open[width] = _Bin(self, width, number)
            self.open[width].add(point)
            self.touched[width, number] = self.open[width]


class _Bin:
    """The mean of ``width`` steps, growing. One missing or non-finite value makes the mean missing: no honest line
    goes through a NaN."""

    def __init__(self, lane: _Lane, width: int, number: int) -> None:
        self.lane, self.width, self.number = lane, width, number
        self.count, self.sums, self.stored = 0, [0.0] * len(CURVES), False

    def add(self, point: list[float]) -> None:
        self.count += 1
        self.sums = [total + value for total, value in zip(self.sums, point, strict=True)]

    @property
    def key(self) -> dict[str, int]:
        return {"at_run": self.lane.run, "at_lane": self.lane.index, "at_width": self.width, "at_bin": self.number}

    def row(self) -> dict[str, Any]:
        means = {name: finite(total / self.count) for name, total in zip(CURVES, self.sums, strict=True)}
        return self.lane.row({"width": self.width, "bin": self.number, "count": self.count, **means})


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
