"""The data of an analysed step: from an analysis of a race, or from the recorded one that comes with the lab."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from app.ui import wire
from ssam.experiment import ASSETS, RaceSpec, preset
from ssam.store import Run, Store

RECORDED = ASSETS / "recorded" / "anatomy.json"


@dataclass(frozen=True)
class Anatomy:
    """``steps`` and ``layers`` are the rows of an analysis of the kind anatomy: a lane's numbers by its place in the race, and of each
    lane those of each of ``about["layers"]``. ``pictures`` are packed, by PICTURE/LANE. ``phase_ms`` are the times of a step's phases in
    the race, for each of its lanes. ``source`` says in a line where the data come from."""

    spec: RaceSpec
    about: dict[str, Any]
    steps: dict[int, dict[str, Any]]
    layers: dict[int, list[dict[str, Any]]]
    pictures: dict[str, str]
    phase_ms: list[dict[str, float]]
    source: str


def packed(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return each as base64 of zlib's format."""
    return {name: wire.packed(array, 9) for name, array in arrays.items()}


@lru_cache(maxsize=1)
def recorded() -> Anatomy:
    """Return the step that comes with the lab; `python -m benchmarks.anatomy` makes it."""
    record = json.loads(RECORDED.read_text(encoding="utf-8"))
    machine = record["machine"]
    source = (
        f"Recorded {record['date']} on {machine['cpu']}, {record['threads']} thread, torch {machine['torch']}: the race "
        f"“{preset(record['preset']).title}”, seed {record['seed']}, after {record['step']:,} steps (epoch {record['epoch']:.1f} of "
        f"{record['spec']['epochs']}). The machine was busy, so times are approximate. The race's own next step matches this one to {record['difference']:.0e}."
    )
    return anatomy_of(
        RaceSpec.model_validate(record["spec"]),
        record["about"],
        record["rows"],
        record["pictures"],
        record["phase_ms"],
        source,
    )


def of_run(store: Store, race: Run, run: Run) -> Anatomy | None:
    """Return the results so far of an analysis of that race; None if there are none."""
    window = store.curves.window(race.id)
    if run.result is None or window is None:
        return None
    arrays, rows = store.analyses.arrays(run.id), run.result["rows"]
    drawn = {int(name.rpartition("/")[2]) for name in arrays}
    rows = [row for row in rows if row["lane"] in drawn]  # the file is written before the rows, or after them
    if not rows:
        return None
    about = run.result["about"]
    source = f"Analysed on {about['device_name']}; times are those of the race's own steps."
    return anatomy_of(race.spec, about, rows, packed(arrays), [lane.phase_ms for lane in window.lanes], source)


def anatomy_of(
    spec: RaceSpec,
    about: dict[str, Any],
    rows: list[dict[str, Any]],
    pictures: dict[str, str],
    phase_ms: list[dict[str, float]],
    source: str,
) -> Anatomy:
    steps = {row["lane"]: row for row in rows if row["what"] == "step"}
    layers = {lane: [row for row in rows if row["what"] == "layer" and row["lane"] == lane] for lane in steps}
    return Anatomy(spec, about, steps, layers, pictures, phase_ms, source)
