"""Sharpness and curvature of recorded races: what the page opens on until a person has a race to measure."""

import json
from functools import lru_cache
from typing import Any

from app.flatness.correlation import Point
from app.ui import run_labels, texts
from app.ui.estimators import ESTIMATORS
from ssam.experiment import ASSETS, parse_spec, preset
from ssam.experiment.analysis import AnalysisSpec, parse_analysis

FILE = ASSETS / "measured" / "flatness.json"  # `python -m benchmarks.flatness` makes it
PRESET = "noisy-labels"
NAMES = {"λ1": "largest_eigenvalue", "λ1/λ5": "ratio"}  # of the file → estimators


@lru_cache(maxsize=1)
def _record() -> dict[str, Any]:
    return dict(json.loads(FILE.read_text(encoding="utf-8")))


def points() -> list[Point]:
    """Return a point for each seed, lane and estimator, measured at the final weights."""
    record, found = _record(), []
    sharpness, curvature = (parse_analysis(asked) for asked in record["analyses"])
    for seed, lanes in record["seeds"].items():
        spec = parse_spec({"seed": int(seed)}, base=preset(PRESET).spec)
        for name, values in lanes.items():
            lane, accuracy = spec.lane_names.index(name), 100 * values["test_accuracy"]
            for field, value in values.items():
                estimator = NAMES.get(field, field)
                if estimator in ESTIMATORS:
                    setting = _setting(curvature if field in (*NAMES, "trace") else sharpness)
                    found.append(Point(seed, lane, spec, estimator, setting, value, accuracy))
    return found


def _setting(analysis: AnalysisSpec) -> str:
    rho = f"ρ {analysis.rho:g}, " if analysis.kind == "sharpness" else ""
    return f"{rho}{analysis.images:,} images, BatchNorm {analysis.batchnorm}"


def about() -> str:
    """Return what was raced and measured, when and on which machine, in one line."""
    record = _record()
    machine = record["machine"]
    raced = run_labels.describe_without_seed(preset(PRESET).spec)
    return (
        f"{preset(PRESET).title} · {raced} · seeds {', '.join(record['seeds'])} · {texts.day(record['date'])} · {machine['cpu']}, "
        f"PyTorch {machine['torch']}"
    )
