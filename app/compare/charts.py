"""The curves of several groups of lanes as one Plotly figure: a mean line and a band over seeds, or a line per seed; the baseline
is bold."""

import statistics
from collections.abc import Sequence
from html import escape
from typing import Any

from app.compare.groups import Group, Member
from app.ui.chart_base import FAINT, Figure, faded
from ssam.stats.heights import top
from ssam.store.compare_queries import Evaluation

X = {"epoch": "Epoch", "gradients": "Gradient evaluations", "seconds": "Seconds"}
AXES = {"epoch": "epoch", "gradients": "gradient evaluations", "seconds": "compute time, seconds"}
SHOWN = {
    "test_accuracy": "Test accuracy",
    "test_loss": "Test loss",
    "train_loss": "Training loss",
    "validation_accuracy": "Validation accuracy",
}
SHARES = ("test_accuracy", "validation_accuracy")  # 0 to 1 in the store, percent here
MINMAX, DEVIATION, EACH = "minmax", "sd", "each"
BANDS = {MINMAX: "Mean, min to max", DEVIATION: "Mean ± s.d.", EACH: "Each seed"}
SMOOTH = {1: "None", 3: "Mean of the last 3", 5: "Mean of the last 5", 10: "Mean of the last 10"}
POINTS = 250  # points of a line, at most
HEIGHT = 460

Point = tuple[float, float]


def smoothed(values: Sequence[float], last: int) -> list[float]:
    """Return the running mean of the last ``count`` values, of fewer at the start. Drawn points do not move when one is added.

    >>> smoothed([1.0, 2.0, 6.0, 1.0], 3)
    [1.0, 1.5, 3.0, 3.0]
    """
    return [statistics.fmean(values[max(0, at + 1 - last) : at + 1]) for at in range(len(values))]


def points(member: Member, x: str, what: str) -> dict[float, Point]:
    """Return a lane's points by epoch; thinned evenly, with the last one."""
    course = [seen for seen in (member.record.course if member.record else ()) if getattr(seen, what) is not None]
    every = -(-len(course) // POINTS) or 1
    kept = [seen for at, seen in enumerate(course) if (len(course) - 1 - at) % every == 0]
    return {seen.epoch: (float(getattr(seen, x)), _value(seen, what)) for seen in kept}


def _value(seen: Evaluation, what: str) -> float:
    value: float = getattr(seen, what)
    return 100 * value if what in SHARES else value


def band(curves: Sequence[dict[float, Point]], kind: str) -> list[tuple[float, float, float, float]]:
    """Return x, mean, low and high at every epoch that all of these curves have; x is the mean over the seeds."""
    found = []
    for epoch in sorted(set.intersection(*(set(curve) for curve in curves))):
        places = [curve[epoch][0] for curve in curves]
        values = [curve[epoch][1] for curve in curves]
        mean = statistics.fmean(values)
        if kind == DEVIATION:
            half = statistics.stdev(values) if len(values) > 1 else 0.0
            low, high = mean - half, mean + half
        else:
            low, high = min(values), max(values)
        found.append((statistics.fmean(places), mean, low, high))
    return found


def figure(
    every: Sequence[Group], shown: Sequence[Group], baseline: Group | None, x: str, what: str, smooth: int, kind: str
) -> Figure:
    """Draw the ``shown`` groups and the baseline. The y-axis fits ``every`` group, so that it stays when the selection changes."""
    drawn = [group for group in shown if baseline is None or group.key != baseline.key]
    traces: list[dict[str, Any]] = []
    for group in [*drawn, *([baseline] if baseline else [])]:
        traces += _traces(group, group is baseline, x, what, smooth, kind)
    axis = {"gridcolor": FAINT, "zeroline": False, "nticks": 8, "tickfont": {"size": 12}}
    return {
        "data": traces,
        "layout": {
            "height": HEIGHT,
            "margin": {"l": 56, "r": 12, "t": 34, "b": 48},
            "title": {"text": SHOWN[what], "font": {"size": 14}, "x": 0, "xref": "container", "pad": {"l": 4}},
            "showlegend": False,
            "hovermode": "closest",
            "dragmode": "zoom",
            "uirevision": what,
            "xaxis": {
                **axis,
                "title": {"text": AXES[x], "standoff": 8, "font": {"size": 12}},
                "showgrid": False,
                "rangemode": "tozero",
                "uirevision": x,
            },
            "yaxis": {
                **axis,
                "ticksuffix": "%" * (what in SHARES),
                **_reaching(*heights(every, what)),
                "uirevision": what,
            },
        },
    }


def _reaching(low: float, high: float) -> dict[str, Any]:
    """Return an axis from low to high until the reader zooms: a fixed range that changes would end a zoom."""
    return {"autorange": True, "autorangeoptions": {"include": [low, high], "clipmin": low, "clipmax": high}}


def heights(every: Sequence[Group], what: str) -> tuple[float, float]:
    """Return a range slightly larger than all values, without diverged lanes if there are others: they would flatten them."""
    members = [member for group in every for member in group.members]
    sound = [member for member in members if not member.diverged and member.record and member.record.course]
    curves = [
        ([_value(seen, what) for seen in member.record.course if getattr(seen, what) is not None], member.diverged)
        for member in members
        if member.record
    ]
    values = [value for own, lost in curves for value in own if not lost or not sound]
    if not values:
        return 0.0, 100.0 if what in SHARES else 1.0
    low, high = min(values), max(values)
    if not sound and what != "test_accuracy":
        high = top(curves) or high
    room = 0.04 * (high - low) or 0.5
    return max(0.0, low - room), high + room


def _traces(group: Group, pinned: bool, x: str, what: str, smooth: int, kind: str) -> list[dict[str, Any]]:
    """Draw one line and a band for several finished seeds; unfinished ones, or all on request, are separate lines."""
    curves = {member.run.spec.seed: points(member, x, what) for member in group.members}
    ended = {member.run.spec.seed for member in group.finished}
    together = [curve for seed, curve in curves.items() if seed in ended and curve] if kind != EACH else []
    alone = {seed: curve for seed, curve in curves.items() if curve and not (seed in ended and len(together) > 1)}
    traces: list[dict[str, Any]] = []
    name = group.title + " (baseline)" * pinned
    if len(together) > 1:
        lines = [dict(zip(curve, zip(*_smooth(curve, smooth), strict=True), strict=True)) for curve in together]
        told = band(lines, kind)
        if smooth > 1:
            traces.append(_raw(group, *zip(*[(at, mean) for at, mean, *_ in band(together, kind)], strict=True)))
        traces += _band(group, told)
        xs, means = [at for at, *_ in told], [mean for _, mean, *_ in told]
        traces.append(_line(group, f"{name}, mean of {len(together)} seeds", xs, means, pinned))
    for seed, curve in alone.items():
        xs, values = _smooth(curve, smooth)
        if smooth > 1:
            traces.append(_raw(group, *zip(*curve.values(), strict=True)))
        state = "" if seed in ended else ", not finished"
        traces.append(
            _line(group, f"{name}, seed {seed}{state}", xs, values, pinned, thin=len(alone) > 1 or len(together) > 1)
        )
    return traces


def _smooth(curve: dict[float, Point], smooth: int) -> tuple[list[float], list[float]]:
    xs, values = [at for at, _ in curve.values()], [value for _, value in curve.values()]
    return xs, smoothed(values, smooth)


def _line(
    group: Group, name: str, xs: list[float], values: list[float], pinned: bool, thin: bool = False
) -> dict[str, Any]:
    style = group.style
    width = (3.5 if pinned else 2.2) - (1.0 if thin else 0.0)
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(xs) <= 40 else "lines",
        "name": escape(name),
        "x": xs,
        "y": values,
        "line": {"color": style.color, "width": width, "dash": style.dash},
        "marker": {"symbol": style.symbol, "size": 5 if thin else 7, "color": style.color},
        "hovertemplate": "%{fullData.name}<br>%{y:.4~g} at %{x:.4~g}<extra></extra>",
    }


def _raw(group: Group, xs: Sequence[float], values: Sequence[float]) -> dict[str, Any]:
    line = {"color": group.style.color, "width": 1}
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(xs),
        "y": list(values),
        "line": line,
        "opacity": 0.35,
        "hoverinfo": "skip",
    }


def _band(group: Group, told: Sequence[tuple[float, float, float, float]]) -> list[dict[str, Any]]:
    edge = {"type": "scatter", "mode": "lines", "x": [at for at, *_ in told], "line": {"width": 0}, "hoverinfo": "skip"}
    color = faded(group.style.color, 0.15)
    return [
        {**edge, "y": [low for *_, low, _ in told]},
        {**edge, "y": [high for *_, high in told], "fill": "tonexty", "fillcolor": color},
    ]
