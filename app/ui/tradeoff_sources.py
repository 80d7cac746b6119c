"""Sources of the frontier's points: the study in ``assets/measured``, and the reader's finished races."""

import hashlib
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from app.ui import evidence, run_labels
from app.ui.tradeoff import Row, Task, Trial, by_accuracy, drawable, points_of
from ssam.experiment import ASSETS, LaneSpec, RaceSpec, parse_spec, preset
from ssam.methods import METHODS
from ssam.store import Run
from ssam.store.outcome import outcomes
from ssam.styles import lane_titles

STUDY = ASSETS / "measured" / "study.json"
# A task has equal settings except for these: they belong to the lanes, or do not change what is learned.
LANE_SETTINGS = {"lanes", "seed", "device", "rho", "sparsity", "norm"}


@dataclass(frozen=True)
class Study:
    """``facts`` is the file without its rows: command, machine, date."""

    tasks: tuple[Task, ...]
    facts: dict[str, Any]
    trials: int
    diverged: int
    lanes: int
    seeds: tuple[int, ...]


def study(file: Path | None = None) -> Study | None:
    """Return the study in the current file; None if there is none."""
    file = file or STUDY
    return _study(file, file.stat().st_mtime_ns) if file.exists() else None


@lru_cache(maxsize=1)
def _study(file: Path, changed: int) -> Study:
    record = json.loads(file.read_text(encoding="utf-8"))
    rows, tasks = record.pop("rows"), []
    for key, task in record.pop("tasks").items():
        spec = parse_spec(task["spec"])
        tasks.append(
            Task(key, task["title"], spec, points_of(_study_row(spec, row) for row in rows if row["task"] == key))
        )
    return Study(
        tasks=tuple(task for task in tasks if task.points),
        facts=record,
        trials=len(rows),
        diverged=sum(row["accuracy"] is None for row in rows),
        lanes=len({row["lane"] for row in rows}),
        seeds=tuple(sorted({row["seed"] for row in rows})),
    )


def _study_row(spec: RaceSpec, row: dict[str, Any]) -> Row:
    accuracy = None if row["accuracy"] is None else 100 * row["accuracy"]
    trial = Trial(row["seed"], accuracy, row["step_ratio"], row["seconds_ratio"])
    about = {name: row[name] for name in ("sparsity", "plan", "predicted", "exact")}
    return Row(row["phase"], "", whole(spec, LaneSpec.parse(row["lane"])), trial, about)


class TunedSGD(NamedTuple):
    """The mean test accuracy, in %, of the best SGD with training settings of its own, over ``seeds``, in the races of ``preset``."""

    title: str
    mean: float
    seeds: tuple[str, ...]
    preset: str


def tuned_sgd(task: Task) -> TunedSGD | None:
    """Return the best SGD with its own training settings in the lessons' races of this task; None if there is none."""
    found = []
    for name in evidence.raced():
        spec, rows = preset(name).spec, evidence.rows(evidence.races(name))
        if _settings(spec) != _settings(task.spec):
            continue
        for lane, key, title in zip(spec.lanes, spec.lane_names, lane_titles(spec), strict=True):
            values = [lanes[key]["test_accuracy"] for lanes in rows.values()]
            if METHODS[lane.method].perturbs or not lane.trains_otherwise or None in values:
                continue
            found.append(TunedSGD(title, statistics.fmean(filter(None, values)), tuple(rows), name))
    return max(found, key=lambda each: each.mean, default=None)


def with_own(tasks: Sequence[Task], runs: Iterable[Run]) -> list[Task]:
    """Return the tasks with the reader's finished races: added to the task with the same settings, else as new tasks."""
    found: dict[str, list[Row]] = defaultdict(list)
    specs: dict[str, RaceSpec] = {}
    for run in runs:
        if run.state == "finished" and run.result:
            same = _settings(run.spec)
            specs.setdefault(same, run.spec)
            found[same] += _own_rows(run)
    own = {same: points_of(rows) for same, rows in found.items()}
    settings = [_settings(task.spec) for task in tasks]
    known = [
        replace(task, points=by_accuracy([*task.points, *own.get(same, ())]))
        for task, same in zip(tasks, settings, strict=True)
    ]
    return known + [
        Task(
            f"mine-{hashlib.sha256(same.encode()).hexdigest()[:8]}",
            f"My races: {run_labels.describe(specs[same]).rpartition(' · seed')[0]}",
            specs[same],
            points,
        )
        for same, points in own.items()
        if same not in settings and any(drawable(point) for point in points)
    ]


def _own_rows(run: Run) -> list[Row]:
    assert run.result is not None
    ends = outcomes(run)
    plans = (run.started_info or {}).get("lanes") or [{}] * len(ends)
    sgd = next((end.seconds for end in ends if not METHODS[end.method].perturbs), None)
    rows = []
    for lane, end, plan in zip(run.spec.lanes, ends, plans, strict=True):
        accuracy = None if end.accuracy is None else 100 * end.accuracy
        trial = Trial(run.spec.seed, accuracy, end.ratio, end.seconds / sgd if sgd else None, not run.shared)
        about = {
            "sparsity": end.sparsity,
            "plan": plan.get("plan", ""),
            "predicted": plan.get("predicted_ratio"),
            "exact": plan.get("exact", True),
            "run": run.id,
        }
        rows.append(Row("own", run.result["device"], whole(run.spec, lane), trial, about))
    return rows


def whole(spec: RaceSpec, lane: LaneSpec) -> LaneSpec:
    """Return the lane with its race's settings filled in, so that it is the same lane in every race of equal settings."""
    method = METHODS[lane.method]
    return lane.model_copy(
        update={
            "rho": spec.lane_rho(lane) if method.perturbs else None,
            "sparsity": spec.lane_sparsity(lane) if method.sparse else None,
            "norm": "masked" if method.perturbs and spec.lane_norm(lane) == "masked" else None,
            "score": None if lane.score == "random" else lane.score,
        }
    )


def _settings(spec: RaceSpec) -> str:
    return json.dumps(spec.model_dump(exclude=LANE_SETTINGS), sort_keys=True)
