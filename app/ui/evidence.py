"""The evidence for a lesson's claims: races over seeds, the flatness of their weights, the times of single steps, and the
learner's own race. All of it as {seed: {lane: {value: number}}}."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.ui.lesson_content import DISTURBED, Claim, Lesson
from ssam.catalogue import DISTURBANCES
from ssam.experiment import ASSETS, parse_spec, preset
from ssam.stats import proportion
from ssam.stats.paired import Paired, compare, family
from ssam.store import Run, Window

FOLDER = ASSETS / "measured"
BENCH_MODEL = "cnn8"  # the network of all lessons
SHARES = ("test_accuracy", "best_accuracy")  # 0 to 1 in the files, percent here
ACCURACIES = (*SHARES, *DISTURBANCES)

Values = dict[str, float | None]  # None where a lane diverged
Rows = dict[str, dict[str, Values]]


@dataclass(frozen=True)
class Finding:
    """The result for a claim: the claimed value by seed (None if a lane diverged), and on which seeds it held.
    ``deviation`` is the standard deviation over the seeds, None for fewer than two."""

    values: dict[str, float | None]
    held: dict[str, bool]
    mean: float | None
    deviation: float | None
    holds: bool


def of_claim(claim: Claim, lesson: Lesson, folder: Path = FOLDER) -> Rows:
    """Return the measured numbers behind a claim; empty if there are none yet."""
    if claim.evidence == "flatness":
        return flatness(folder / "flatness.json")
    if claim.evidence == "bench":
        return bench(folder / "bench.jsonl")
    if claim.evidence == "disturbed":
        return disturbed(folder / f"registered-{DISTURBED}.json")
    return rows(races(claim.preset or lesson.preset, folder / "lessons.json"))


def find(claim: Claim, measured: Rows) -> Finding | None:
    """Test a claim against the numbers; return None if no seed has its lanes."""
    values = {seed: _value(claim, lanes) for seed, lanes in measured.items() if set(claim.lanes) <= set(lanes)}
    if not values:
        return None
    held = {seed: value is not None and _within(claim, value) for seed, value in values.items()}
    known = [value for value in values.values() if value is not None]
    whole = len(known) == len(values)
    mean = statistics.fmean(known) if whole else None
    deviation = statistics.stdev(known) if whole and len(known) > 1 else None
    holds = all(held.values()) if claim.seeds == "all" else mean is not None and _within(claim, mean)
    return Finding(values, held, mean, deviation, holds)


def comparisons(lesson: Lesson, folder: Path = FOLDER) -> dict[Claim, Paired]:
    """Return the paired comparison of each claim about the accuracies of two lanes. All are one family, in which two claims
    about the same lanes count as one comparison."""
    asked = [claim for claim in lesson.claims if claim.minus and claim.value in ACCURACIES]
    found = {claim: _compared(claim, of_claim(claim, lesson, folder)) for claim in asked}
    of_lanes = {_subject(claim): compared for claim, compared in found.items()}
    together = dict(zip(of_lanes, family(list(of_lanes.values())), strict=True))
    return {
        claim: replace(compared, adjusted=one.adjusted, comparisons=one.comparisons)
        for claim, compared in found.items()
        for one in [together[_subject(claim)]]
    }


def _subject(claim: Claim) -> tuple[object, ...]:
    return claim.evidence, claim.preset, claim.value, frozenset(claim.lanes)


def _compared(claim: Claim, measured: Rows) -> Paired:
    one, other = (
        {
            int(seed): value
            for seed, lanes in measured.items()
            if (value := lanes.get(lane, {}).get(claim.value)) is not None
        }
        for lane in (claim.lane, str(claim.minus))
    )
    return compare(one, other)


def _value(claim: Claim, lanes: Mapping[str, Values]) -> float | None:
    value = lanes[claim.lane][claim.value]
    other = lanes[claim.minus or claim.over or claim.lane][claim.value]
    if value is None or other is None:
        return None
    if claim.over:
        return value / other if other else math.inf
    return value - other if claim.minus else value


def _within(claim: Claim, value: float) -> bool:
    low = -math.inf if claim.at_least is None else claim.at_least
    high = math.inf if claim.at_most is None else claim.at_most
    return low <= value <= high


def races(name: str, file: Path = FOLDER / "lessons.json") -> dict[str, Any] | None:
    """Return the record of a preset's races; None if it has not been raced with its current settings."""
    record = _record(file, _when(file)) if file.exists() else {}
    race = record.get("races", {}).get(name)
    now = parse_spec({"seed": 0}, base=preset(name).spec).to_strings()
    return race if race and race.get("settings", now) == now else None


def raced(file: Path = FOLDER / "lessons.json") -> list[str]:
    """Return the presets with recorded races of their current settings."""
    record = _record(file, _when(file)) if file.exists() else {}
    return [name for name in record.get("races", {}) if races(name, file) is not None]


def tested(race: Mapping[str, Any]) -> str:
    """Return on how many test images each accuracy was measured, and the interval from their number alone."""
    lanes = [lane for found in race["seeds"].values() for lane in found["lanes"] if lane["test_accuracy"] is not None]
    if not lanes:
        return ""
    size = lanes[0]["epochs"][-1]["test_size"]
    share = statistics.fmean(lane["test_accuracy"] for lane in lanes)
    return f"{size:,} test images: {proportion.LEVEL} interval {proportion.margin(share, size)} from their number alone"


def rows(race: Mapping[str, Any] | None) -> Rows:
    if race is None:
        return {}
    return {
        seed: {lane["name"]: _of_lane(lane, lane["epochs"]) for lane in found["lanes"]}
        for seed, found in race["seeds"].items()
    }


def _of_lane(lane: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> Values:
    """Return a lane's numbers. Its best evaluation, and the fall from there to the last one, are on the fixed part of the test
    images used during the race; ``test_accuracy`` is on all."""
    during = [epoch for epoch in epochs if not epoch.get("final") and epoch["test_accuracy"] is not None]
    if lane["test_accuracy"] is None or not during:
        return dict.fromkeys(
            ("test_accuracy", "best_accuracy", "best_epoch", "fall", "train_loss", "step_ratio_to_sgd")
        )
    best = max(during, key=lambda epoch: epoch["test_accuracy"])
    return {
        "test_accuracy": 100 * lane["test_accuracy"],
        "best_accuracy": 100 * best["test_accuracy"],
        "best_epoch": float(round(best["epoch"])),
        "fall": 100 * (best["test_accuracy"] - during[-1]["test_accuracy"]),
        "train_loss": epochs[-1]["train_loss"],
        "step_ratio_to_sgd": lane["step_ratio_to_sgd"],
    }


def own(run: Run, window: Window) -> Rows:
    """Return the same for a finished race of the learner; empty for others."""
    if run.state != "finished" or not run.result:
        return {}
    lanes = {lane["name"]: _of_lane(lane, window.lanes[place].epochs) for place, lane in enumerate(run.result["lanes"])}
    return {str(run.spec.seed): lanes}


def flatness(file: Path = FOLDER / "flatness.json") -> Rows:
    if not file.exists():
        return {}
    found: Rows = {}
    for seed, lanes in _record(file, _when(file))["seeds"].items():
        found[seed] = {lane: _percent(values) for lane, values in lanes.items()}
    return found


def _percent(values: Mapping[str, float]) -> Values:
    return {name: 100 * value if name in SHARES else value for name, value in values.items()}


def bench(file: Path = FOLDER / "bench.jsonl") -> Rows:
    """Return times of single steps: one run, in the place of a seed. ``excess`` is measured time − FLOPs, in SGD steps."""
    if not file.exists():
        return {}
    lines = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    found: dict[str, Values] = {}
    for row in lines:
        if row.get("model") == BENCH_MODEL and "ratio_to_sgd" in row:
            measured, predicted = row["ratio_to_sgd"], row["predicted"]
            excess = None if predicted is None else measured - predicted
            found[row["lane"]] = {"ratio_to_sgd": measured, "predicted": predicted, "excess": excess}
    return {"": found} if found else {}


def disturbed(file: Path = FOLDER / f"registered-{DISTURBED}.json") -> Rows:
    """Return the accuracies of the contenders, on clean images and under each disturbance, of the seeds that all have."""
    judged = _record(file, _when(file))["judged"] if file.exists() else {}
    seeds = set.intersection(*(set(found) for found in judged.values())) if judged else set()
    names = {kind: f"{kind} {each.shown:g}" for kind, each in DISTURBANCES.items()}
    return {
        seed: {
            contender: {"test_accuracy": 100 * found[seed]["accuracy"]["clean"]}
            | {kind: 100 * found[seed]["every"][name] for kind, name in names.items()}
            for contender, found in judged.items()
        }
        for seed in sorted(seeds, key=int)
    }


@lru_cache(maxsize=8)
def _record(file: Path, when: int) -> dict[str, Any]:
    """Read a file; ``when`` it was written makes a newer version be read again."""
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _when(file: Path) -> int:
    return file.stat().st_mtime_ns
