"""Measured numbers that the pages quote, read from ``assets/measured``."""

import json
import statistics
from typing import Any

from app.ui import evidence
from ssam.catalogue import DATASETS
from ssam.experiment import ASSETS, LaneSpec, preset
from ssam.methods import METHODS
from ssam.styles import lane_title, lane_titles


def accuracies(name: str) -> str:
    """Return one sentence with the final accuracy of every lane of a preset's races; empty if they have not been measured.

    >>> accuracies("fast-ssam")
    ''
    """
    race = evidence.races(name)
    if race is None:
        return ""
    spec, rows = preset(name).spec, evidence.rows(race)
    lanes = []
    for lane, title in zip(spec.lane_names, lane_titles(spec), strict=True):
        found = [values[lane]["test_accuracy"] for values in rows.values()]
        known = [accuracy for accuracy in found if accuracy is not None]
        lost = f", {len(found) - len(known)} diverged" * (len(known) < len(found))
        lanes.append(f"{title} {statistics.fmean(known):.1f} ± {statistics.stdev(known):.1f}%{lost}")
    labels = f"{100 * spec.label_noise:g}% label noise" if spec.label_noise else "clean labels"
    return (
        f"Measured on {spec.train_size or DATASETS[spec.dataset].train:,} images of {DATASETS[spec.dataset].title}, "
        f"{labels}, {spec.epochs} epochs, seeds {', '.join(rows)}: "
        f"{', '.join(lanes)} (mean ± standard deviation, {evidence.tested(race)})."
    )


def lengths(race: str) -> str:
    """Return one sentence with the lengths of the perturbations of a recorded race; empty if ``race`` has not been measured.

    >>> lengths("never-measured")
    ''
    """
    file = ASSETS / "measured" / "radius.json"
    record = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"races": {}}
    if race not in record["races"]:
        return ""
    found = record["races"][race]
    lanes = "; ".join(_length(lane) for lane in found["lanes"])
    return f"Mean length ‖m⊙ε‖ in the recorded race (seed {found['seed']}): {lanes}."


def _length(row: dict[str, Any]) -> str:
    """Describe one lane of ``radius.json``, with what its mask keeps of ε if that is known."""
    lane = LaneSpec.parse(row["lane"]).model_copy(update={"rho": None, "sparsity": None})
    said = f"{lane_title(lane)} {row['radius']:.3f} at rho {row['rho']:g}"
    if not METHODS[lane.method].sparse or row["length"] is None:
        return said
    weights, length, square = 1 - row["sparsity"], row["length"], row["square"]
    return f"{said}, where {100 * weights:.0f}% of the weights carry {100 * length:.1f}% of ε's length ({100 * square:.0f}% of its square)"


def eigenvalue_cost() -> str:
    """Return one sentence with the share of a race's time that λ₁ took; empty if that has not been measured."""
    file = ASSETS / "measured" / "inside.json"
    if not file.exists():
        return ""
    record = json.loads(file.read_text(encoding="utf-8"))
    share, title = record["eigenvalue"]["share"], preset(record["race"]["preset"]).title
    return f"Once per epoch in the race *{title}* it took {100 * share:.1f}% of the time."
