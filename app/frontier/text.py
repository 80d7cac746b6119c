"""Texts of the page Frontier. Every number in them is computed from the points."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from app.ui import texts, theme
from app.ui.formats import signed
from app.ui.tradeoff import Point, Source, Task, efficient, score
from app.ui.tradeoff_sources import Study, TunedSGD
from ssam.experiment import LaneSpec, preset
from ssam.methods import METHODS
from ssam.methods.directions import DIRECTIONS
from ssam.methods.sam import SAM
from ssam.stats.paired import compare, sentence

SCORES = {
    "fisher": "the largest Fisher information",
    "fisher-per-cost": "the most Fisher information for their compute",
    "gradient": "the largest gradient",
    "magnitude": "the largest magnitude",
}
REGIONS = {
    "all": "",
    "early": " in the early half of the network",
    "late": " in the late half of the network",
    "norm": " of the normalisation layers",
}

AXES = (
    "**x-axis: step time**, measured relative to the SGD step next to it. 1 is SGD, 2 is two full passes. Mask refreshes are not "
    "included (see *Total time* in the table). **y-axis: test accuracy** after the last epoch. Error bars are one standard deviation "
    "over the seeds. The thin line is the Pareto front: the lanes that no cheaper one beats."
)
EMPTY = """
## Nothing to compare yet

This page shows test accuracy against step time. The lanes of every finished race with an SGD lane appear here.
"""
LITTLE = 0.6  # of SAM's gain
KINDS: dict[Source, str] = {
    "final": "Large: finalists.",
    "search": "Small and pale: searched only, on few seeds.",
    "own": "With a dot: your own races; hollow if another race ran on the machine, so that the time is unreliable.",
}


def words(lane: LaneSpec, sparsity: float) -> str:
    """Return what a lane does, in one sentence. ``sparsity`` is the measured one: a region may perturb less than requested.

    >>> words(LaneSpec.parse("sam:direction=momentum:rho=1"), 0.0)
    'Perturbs every weight, against the momentum buffer; rho 1.'
    """
    if not METHODS[lane.method].perturbs:
        return "Perturbs nothing: one gradient per step."
    where = REGIONS.get(lane.region, f" from stage {lane.region.removeprefix('from-')} of the network on")
    if where and lane.sparsity is not None:
        where = f", all{where}"
    method = METHODS[lane.method]
    along = DIRECTIONS[lane.direction].words + f" (ε ∝ {method.follows})" * (method.follows != "g")
    if lane.ascent_batch:
        along += f" of the first {lane.ascent_batch} images of a batch"
    if lane.interval > 1:
        along += f", only in every {texts.ordinal(lane.interval)} step"
    norm = ", masked norm" if lane.norm == "masked" else ""
    return f"Perturbs {_what(lane, 1 - sparsity)}{where}, {along}; rho {lane.rho:g}{norm}."


def _what(lane: LaneSpec, density: float) -> str:
    if lane.sparsity is None:
        return "every weight"
    share = f"{100 * density:.0f}%"
    if METHODS[lane.method].mask_words:
        return METHODS[lane.method].mask_words.format(share=share)
    score = SCORES.get(lane.mask_score or "")
    if lane.granularity == "weight":
        return f"the {share} of the weights with {score}" if score else f"a random {share} of the weights"
    chosen = f"those with {score}" if score else "chosen at random"
    unit = {"tensor": "whole tensors", "block": "whole stages"}.get(lane.granularity)
    if unit:
        return f"{unit}, {chosen} ({share} of the weights)"
    return f"{share} of every {lane.granularity.removeprefix('n-of-')} weights in a row, {chosen}"


def seeds(point: Point) -> str:
    count = f"{len(point.trials)} seed{'s' * (len(point.trials) > 1)}"
    kind = {"search": f"searched, {count}", "final": f"finalist, {count}", "own": f"your races, {count}"}[point.source]
    return f"{kind}, {point.diverged} diverged" if point.diverged else kind


def cost(point: Point) -> str:
    """Return the measured and the predicted step time."""
    if point.ratio is None:
        return "not measured"
    return f"{point.ratio:.2f}" if point.predicted is None else f"{point.ratio:.2f} (predicted {point.predicted:.2f})"


def exactness(point: Point) -> str:
    if not METHODS[point.lane.method].perturbs:
        return ""
    return "exact" if point.exact else "approximate"


def hover(point: Point) -> str:
    """Return a few short lines, for Plotly."""
    lines = [f"<b>{theme.lane_title(point.lane)}</b>", f"{score(point)}  ({seeds(point)})"]
    if point.share is not None and METHODS[point.lane.method].perturbs:
        lines.append(f"{100 * point.share:.0f}% of SAM's gain over SGD")
    lines.append(f"step time / SGD: {cost(point)}")
    if METHODS[point.lane.method].perturbs:
        lines.append(f"{exactness(point)}, {100 * point.sparsity:.0f}% sparsity")
    if point.shared:
        lines.append("shared machine: the time is unreliable")
    return "<br>".join(lines)


def facts(point: Point) -> list[tuple[str, str]]:
    """Return all numbers of a point, as names and values."""
    perturbs = METHODS[point.lane.method].perturbs
    found = [("Test accuracy", f"**{score(point)}**")]
    if perturbs and point.gain is not None:
        share = "" if point.share is None else f", {100 * point.share:.0f}% of SAM's gain"
        interval = point.over_sgd.interval
        sure = f" (95% interval {signed(interval[0])} to {signed(interval[1])})" if interval else ""
        found.append(("Gain over SGD", f"{signed(point.gain)} points{sure}{share}"))
    found.append(("Step time / SGD", f"**{cost(point)}**{', shared machine: unreliable' * point.shared}"))
    if point.seconds_ratio is not None:
        found.append(("Total time / SGD", f"{point.seconds_ratio:.2f}, mask refreshes included"))
    if perturbs:
        found.append(("Sparsity", f"{100 * point.sparsity:.0f}%"))
        found.append(("Steps", ", ".join(filter(None, (point.plan, exactness(point))))))
    told = ("diverged" if trial.accuracy is None else f"{trial.accuracy:.1f}%" for trial in point.trials)
    found.append(
        ("By seed", ", ".join(f"{trial.seed}: {text}" for trial, text in zip(point.trials, told, strict=True)))
    )
    return found


def on_the_line(shown: Sequence[Point]) -> list[tuple[str, str, str]]:
    """Return cost, accuracy and title of the lanes on the Pareto front."""
    return [
        (cost_alone(point), score(point).replace(" ", "\u00a0"), theme.lane_title(point.lane))
        for point in efficient(shown)
    ]


def option(point: Point) -> str:
    """Return the title of a point in a list."""
    kind = {"final": "finalist: ", "search": "", "own": "yours: "}[point.source]
    mean = "diverged" if point.mean is None else f"{point.mean:.1f}%"
    return f"{kind}{mean} at {cost_alone(point)} · {theme.lane_title(point.lane)}"


def cost_alone(point: Point) -> str:
    return "unknown cost" if point.ratio is None else f"{point.ratio:.2f}"


def axes(shown: Sequence[Point]) -> str:
    """Return how to read the kinds of points that the chart has."""
    kinds = {point.source for point in shown}
    return " ".join([AXES, *(text for source, text in KINDS.items() if source in kinds)])


def tuned(found: TunedSGD) -> str:
    """Return what the line of a tuned SGD means for the leads in the chart."""
    return (
        f"**A tuned SGD.** {found.title}: {found.mean:.1f}%, the mean over the seeds {', '.join(found.seeds)} of the races *{preset(found.preset).title}*, found by a few trials "
        "by hand. A step of it costs what a step of SGD costs. The other lanes lead over the SGD at the bottom, which nobody tuned; what they lead "
        "over this one is what is left."
    )


def summary(task: Task, shown: Sequence[Point]) -> str:
    """Return the chart's alternative text."""
    best = [f"{title} {accuracy} at {step}" for step, accuracy, title in on_the_line(shown)]
    return f"{task.title}: test accuracy against step time for {len(shown)} lanes. Pareto front: {', '.join(best)}."


def late_half(task: Task) -> str:
    """Return what perturbing the late half of the network gains with exact steps: a counter-example if it is little. Empty if it was
    not tried, or if SAM has no gain to compare it with."""
    late, early = _halves(task, "late"), _halves(task, "early")
    if not late or late[0].share is None or late[0].sam_gain is None or late[0].ratio is None:
        return ""
    best, share = late[0], late[0].share
    radii = ", ".join(f"{signed(point.gain or 0)} at rho {point.lane.rho:g}" for point in late)
    text = (
        f"**{'A counter-example: the' if share < LITTLE else 'The'} late half of the network.** At {100 * best.sparsity:.0f}% "
        f"sparsity a step costs {best.ratio:.2f} SGD steps, and is equal bit for bit to two full passes. Its "
        f"gain over SGD: {radii} ({seeds(best)}); SAM's: {signed(late[0].sam_gain)} on the same seeds. "
    )
    if share < LITTLE:
        text += (
            f"Cheap and exact, for {'next to nothing' if share < 0.1 else f'{100 * share:.0f}% of the gain at best'}. "
        )
    if early and early[0].gain is not None and early[0].ratio is not None:
        text += f"The early half has {signed(early[0].gain)}, at {early[0].ratio:.2f} SGD steps. "
        text += sentence("The early half", "the late half", compare(early[0].by_seed, best.by_seed))
    return text.strip()


def _halves(task: Task, region: str) -> list[Point]:
    """Return the lanes that perturb exactly this whole region, the most accurate first; the finalists if there are any."""
    found = [p for p in task.points if p.lane.method == SAM.name and p.lane.region == region and p.exact]
    return [p for p in found if p.source == "final"] or [p for p in found if p.source == "search"]


def tried(study: Study, task: Task) -> str:
    """Return what the study tried in all, and in this task; its machine and command."""
    facts = study.facts
    here = [point for point in task.points if point.source != "own"]
    finalists = sum(point.source == "final" for point in here)
    machine = facts["machine"]
    parts = [f"{machine['cpu']}, {machine['cores']} cores"]
    parts += [f"{title} {machine[title.lower()]}" for title in ("Python", "torch") if title.lower() in machine]
    failures = f"{study.diverged} of them diverged" if study.diverged else "none diverged"
    seen = {source: {t.seed for p in here if p.source == source for t in p.trials} for source in ("final", "search")}
    fresh = ", trained again on seeds that the search had not seen" * (
        finalists > 0 and not seen["final"] & seen["search"]
    )
    return (
        f"Tried in all: {study.lanes} lanes in {len(study.tasks)} task{'s' * (len(study.tasks) != 1)}, {study.trials:,} trainings "
        f"({failures}), seeds {', '.join(map(str, study.seeds))}. In this task: {len(here)} lanes, "
        f"{'all' if finalists == len(here) else finalists} of them finalists{fresh}; everything is in the table. All accuracies, also those that finalists were chosen by, are of the test set: there was no validation split. {'; '.join(parts)}; {facts['date']}; `{facts['command']}`."
    )


def table(task: Task) -> list[dict[str, Any]]:
    """Return one row per point, the most accurate first. Shares are 0–1, accuracies in %."""
    return [
        {
            "Lane": theme.lane_title(point.lane),
            "Accuracy": point.mean,
            "± sd": point.deviation,
            "Gain over SGD": point.gain,
            "Share of SAM's gain": point.share,
            "Step time / SGD": point.ratio,
            "Predicted": point.predicted,
            "Total time / SGD": point.seconds_ratio,
            "Exact": point.exact,
            "Sparsity": point.sparsity,
            "Kind": {"final": "finalist", "search": "searched", "own": "yours"}[point.source],
            "Seeds": len(point.trials),
            "Diverged": point.diverged,
            "Setting": str(point.lane),
        }
        for point in task.points
    ]


def as_csv(task: Task) -> str:
    rows = table(task)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
