"""Measurements of the lanes of a method card: the study and the lessons' races in ``assets/measured``, each lane with its seeds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.ui import evidence, run_labels, tradeoff_sources
from app.ui.tradeoff import Point, Row, Task, Trial, points_of
from app.ui.tradeoff_sources import LANE_SETTINGS, whole
from ssam.experiment import ASSETS, LaneSpec, RaceSpec, preset
from ssam.methods import METHODS


@dataclass(frozen=True)
class Measured:
    """One lane in one setting. The gain of ``point`` is over SGD on the same seeds."""

    spec: RaceSpec
    task: str
    point: Point

    @property
    def gains(self) -> list[float]:
        """Return the gain over SGD by seed, in percentage points."""
        return [t.accuracy - t.sgd for t in self.point.trials if t.accuracy is not None and t.sgd is not None]


def everything(folder: Path = ASSETS / "measured") -> list[Measured]:
    """Return all measurements, the study's finalists before searched lanes."""
    found = tradeoff_sources.study(folder / "study.json")
    tasks = found.tasks if found else ()
    studied = [Measured(task.spec, task.title, point) for task in tasks for point in task.points]
    raced = _races(folder / "lessons.json", tasks)
    return sorted(studied + raced, key=lambda measured: measured.point.source == "search")


def of(lanes: Sequence[LaneSpec], found: Sequence[Measured]) -> list[Measured]:
    """Return the measurements of these lanes, in their order; a search is left out if the lane was run on fresh seeds."""
    kept: list[Measured] = []
    for lane in lanes:
        own = [measured for measured in found if measured.point.lane == whole(measured.spec, lane)]
        raced = [_setting(measured.spec) for measured in own if measured.point.source == "final"]
        kept += [one for one in own if one.point.source == "final" or _setting(one.spec) not in raced]
    return kept


def lesson(lanes: Sequence[LaneSpec], found: Sequence[Measured], label_noise: float) -> Measured | None:
    """Return the first of these lanes measured in the setting of the first preset with this label noise; of several measurements
    the one with the most seeds."""
    setting = _setting(preset("noisy-labels").spec.model_copy(update={"label_noise": label_noise}))
    for lane in lanes:
        alike = [measured for measured in of([lane], found) if _setting(measured.spec) == setting]
        if alike:
            return max(alike, key=lambda measured: len(measured.point.trials))
    return None


def _races(file: Path, tasks: Sequence[Task]) -> list[Measured]:
    """Group the lessons' races by common settings. A lane in several of them counts with the first."""
    found: dict[str, tuple[RaceSpec, list[Row]]] = {}
    for name in evidence.raced(file):
        spec = preset(name).spec
        rows = found.setdefault(json.dumps(_setting(spec), sort_keys=True, default=str), (spec, []))[1]
        record = evidence.races(name, file) or {"seeds": {}}
        for seed, run in record["seeds"].items():
            sgd = next(result["seconds"] for result in run["lanes"] if not METHODS[result["method"]].perturbs)
            for lane, result in zip(spec.lanes, run["lanes"], strict=True):
                accuracy = None if result["diverged"] else 100 * result["test_accuracy"]
                trial = Trial(int(seed), accuracy, result["step_ratio_to_sgd"], result["seconds"] / sgd)
                about = {"sparsity": result["sparsity"], "plan": "", "predicted": None, "exact": True}
                rows.append(Row("final", "", whole(spec, lane), trial, about))
    measured = []
    for spec, rows in found.values():
        alike = (task.title for task in tasks if _setting(task.spec) == _setting(spec))
        title = next(alike, run_labels.describe(spec).rpartition(" · seed")[0])
        measured += [Measured(spec, title, point) for point in points_of(rows)]
    return measured


def _setting(spec: RaceSpec) -> dict[str, object]:
    """Return what lanes must have in common to be compared."""
    return spec.model_dump(exclude=LANE_SETTINGS)
