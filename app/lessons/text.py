"""Texts for a claim and the numbers behind it."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.ui import theme
from app.ui.evidence import Finding, Rows
from app.ui.lesson_content import FLATNESS, Claim, Lesson
from ssam.catalogue import DISTURBANCES
from ssam.experiment import LaneSpec, RaceSpec, preset
from ssam.methods import METHODS
from ssam.stats.paired import Paired, sentence

VALUES = {
    "test_accuracy": "test accuracy",
    "best_accuracy": "best test accuracy during the race",
    "best_epoch": "best epoch",
    "fall": "best − last evaluation during the race, on the same test images",
    "train_loss": "training loss at the end",
    "step_ratio_to_sgd": "step time / SGD",
    "ascent_gap": "ascent gap",
    "m_sharpness": "m-sharpness",
    "λ1": "λ₁",
    "trace": "trace of the Hessian",
    "ratio_to_sgd": "step time / SGD",
    "predicted": "cost of a step in FLOPs",
    "excess": "measured step time − FLOPs",
} | {kind: f"test accuracy, {each.title.lower()} {each.shown:g}" for kind, each in DISTURBANCES.items()}
PERCENT = ("test_accuracy", "best_accuracy", *DISTURBANCES)
IN_POINTS = (*PERCENT, "fall")
DIGITS = dict.fromkeys(IN_POINTS, 1) | {"best_epoch": 0, "λ1": 1, "ascent_gap": 3, "trace": 0}

Table = list[dict[str, str]]


def titles(spec: RaceSpec) -> dict[str, str]:
    """Return the titles of a race's lanes."""
    return dict(zip(spec.lane_names, theme.lane_titles(spec), strict=True))


def lane_title(claim: Claim, lesson: Lesson, lane: str) -> str:
    if claim.evidence == "bench":
        return theme.lane_title(LaneSpec.parse(lane))
    if claim.evidence == "disturbed":
        return lane
    of = FLATNESS if claim.evidence == "flatness" else claim.preset
    return titles(preset(of).spec if of else lesson.spec)[lane]


def held_against(claim: Claim, lesson: Lesson) -> str:
    """Return what is computed, and its bound.

    >>> from app.ui.lesson_content import lessons
    >>> lesson = lessons()["noisy-labels"]
    >>> held_against(lesson.claims[3], lesson)
    'SAM − SGD, test accuracy: at least +5.0 points on every seed'
    """
    lane, minus, over = (name and lane_title(claim, lesson, name) for name in (claim.lane, claim.minus, claim.over))
    who = f"{lane} − {minus}" if minus else f"{lane} ÷ {over}" if over else str(lane)
    bounds = [
        f"{said} {number(claim, value)}"
        for said, value in (("at least", claim.at_least), ("at most", claim.at_most))
        if value is not None
    ]
    points = " points" if _is_difference(claim) and claim.value in IN_POINTS else ""
    when = "" if claim.evidence == "bench" else " on every seed" if claim.seeds == "all" else " on average"
    return f"{who}, {VALUES[claim.value]}: {' and '.join(bounds)}{points}{when}"


def compared(claim: Claim, lesson: Lesson, found: Paired) -> str:
    """Return the comparison of a claim's two lanes, by the rule of all pages."""
    one, other = (lane_title(claim, lesson, lane) for lane in (claim.lane, str(claim.minus)))
    return sentence(one, other, found)


def _is_difference(claim: Claim) -> bool:
    return bool(claim.minus) or claim.value in ("fall", "excess")


def number(claim: Claim, value: float | None) -> str:
    """Return a claimed value, with a sign if it is a difference."""
    if value is None:
        return "diverged"
    if claim.over:
        return f"{value:.1f}×"
    digits = DIGITS.get(claim.value, 2)
    if _is_difference(claim):
        said = f"{value:+.{digits}f}"
        return said.replace("-", "−") if float(said) else said[1:]  # zero has no sign
    return f"{value:.{digits}f}{' %' if claim.value in PERCENT else ''}"


def _bare(claim: Claim, deviation: float) -> str:
    return f"{deviation:.{1 if claim.over else DIGITS.get(claim.value, 2)}f}"


def verdict(claim: Claim, finding: Finding) -> str:
    """Return the verdict on a claim in a few words.

    >>> from app.ui.lesson_content import Claim
    >>> claim = Claim(text="x", lane="sgd", value="fall", at_least=3, seeds="all")
    >>> verdict(claim, Finding({"0": 5.0, "1": 2.0}, {"0": True, "1": False}, 3.5, 2.1, False))
    'Fails: holds on 1 of 2 seeds only'
    """
    word = "Holds" if finding.holds else "Fails"
    if claim.evidence == "bench":
        return f"{word}: measured in one run"
    if claim.seeds == "mean":
        return f"{word} on average over {len(finding.values)} seed{'s' * (len(finding.values) != 1)}"
    held, seeds = sum(finding.held.values()), len(finding.held)
    if held in (0, seeds):
        return f"{word} on {'all ' * (seeds > 1)}{seeds} seed{'s' * (seeds != 1)}"
    return f"{word}: holds on {held} of {seeds} seeds only"


def per_seed(claim: Claim, finding: Finding) -> str:
    """Return the mean, the spread and every seed's value."""
    mean = number(claim, finding.mean)
    if claim.evidence == "bench":
        return mean
    spread = "" if finding.deviation is None else f" ± {_bare(claim, finding.deviation)}"
    return f"mean {mean}{spread}; " + of_seeds(claim, finding)


def of_seeds(claim: Claim, finding: Finding) -> str:
    """Return every seed's value and, if the claim is about each seed, whether it held."""
    each = claim.seeds == "all"
    return ", ".join(
        f"seed {seed}: {number(claim, value)}{'' if finding.held[seed] or not each else ' ✗'}"
        for seed, value in finding.values.items()
    )


# Tables of the evidence


def races(race: Mapping[str, Any], rows: Rows, spec: RaceSpec) -> Table:
    """Return a row per lane: its accuracy over the seeds, its lead over the first lane, its fall and its step time."""
    table = []
    first = spec.lane_names[0]
    said = titles(spec)
    for name, lane in zip(spec.lane_names, spec.lanes, strict=True):
        lead = [_minus(lanes[name]["test_accuracy"], lanes[first]["test_accuracy"]) for lanes in rows.values()]
        sparsity = next(iter(race["seeds"].values()))["lanes"][spec.lane_names.index(name)]["sparsity"]
        table.append(
            {
                "Lane": said[name],
                "Sparsity": f"{100 * sparsity:.0f}%" if METHODS[lane.method].perturbs else "–",
                "ρ": f"{spec.lane_rho(lane):g}" if METHODS[lane.method].perturbs else "–",
                "Test accuracy": spread(_column(rows, name, "test_accuracy"), 1, "%"),
                f"Gain over {said[first]}: mean (min)": "–" if name == first else _lead(lead),
                "Best − last, same images": spread(_column(rows, name, "fall"), 1),
                "Step time / SGD": _median(_column(rows, name, "step_ratio_to_sgd")),
            }
        )
    return table


def flatness(rows: Rows) -> Table:
    said = titles(preset(FLATNESS).spec)
    names = next(iter(rows.values()))
    return [
        {
            "Lane": said[name],
            "λ₁": spread(_column(rows, name, "λ1"), 1),
            "Ascent gap": spread(_column(rows, name, "ascent_gap"), 3),
            "Trace of the Hessian": spread(_column(rows, name, "trace"), 0),
            "Test accuracy": spread(_column(rows, name, "test_accuracy"), 1, "%"),
        }
        for name in names
    ]


def bench(rows: Rows, names: Iterable[str]) -> Table:
    """Return FLOPs and measured time of these lanes, in SGD steps."""
    (lanes,) = rows.values()
    wanted = ["sgd", "sam", *names]
    return [
        {
            "Lane": theme.lane_title(LaneSpec.parse(name)),
            "FLOPs": f"{lanes[name]['predicted']:.2f}",
            "Measured": f"{lanes[name]['ratio_to_sgd']:.2f}",
        }
        for name in dict.fromkeys(wanted)
        if name in lanes
    ]


def disturbed(rows: Rows) -> Table:
    """Return a row per contender: its accuracy on clean images, and under each disturbance."""
    columns = {"test_accuracy": "Clean"} | {kind: f"{each.title} {each.shown:g}" for kind, each in DISTURBANCES.items()}
    return [
        {"Contender": name, **{title: spread(_column(rows, name, value), 1, "%") for value, title in columns.items()}}
        for name in next(iter(rows.values()))
    ]


def spread(values: Sequence[float | None], digits: int, unit: str = "") -> str:
    """Return mean ± standard deviation.

    >>> spread([80.0, 82.0], 1, "%")
    '81.0 ± 1.4%'
    """
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return "diverged"
    deviation = f" ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else ""
    mean = round(statistics.fmean(known), digits) or 0.0  # no −0
    return f"{mean:.{digits}f}{deviation}{unit}".replace("-", "−")


def _column(rows: Rows, lane: str, value: str) -> list[float | None]:
    return [lanes[lane][value] for lanes in rows.values()]


def _median(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.2f}" if known else "–"


def _minus(mine: float | None, other: float | None) -> float | None:
    return None if mine is None or other is None else mine - other


def _lead(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return "diverged"
    return f"{statistics.fmean(known):+.1f} ({min(known):+.1f})".replace("-", "−")
