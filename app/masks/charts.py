"""Lines and bars of the masks page as Plotly figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas  # noqa: F401  imported here: Plotly would use it half-imported while another visitor's first page imports it

from app.masks import overlap as masks_overlap
from app.masks.data import Lane, Often, Pair
from app.masks.text import SHORT, Rows
from app.ui import theme
from app.ui.chart_base import NEUTRAL, Figure, gap, lane_title, layout_of
from app.ui.estimators import NO_MASK
from ssam.experiment import RaceSpec

PAIRS = 6  # pairs of lanes in one chart
BARS = 24  # bars of a histogram, at most
PERCENT = {"ticksuffix": "%", "rangemode": "tozero"}
IOU = {"rangemode": "tozero"}
HEIGHT = 260
MARK = (
    ("#ffffff", 4.5),
    ("#3a3f4a", 2),
)  # colour and width: a dark line within a white one is visible on every background
CORNER = {"xref": "paper", "yref": "paper", "x": 1, "y": 1, "xanchor": "right", "yanchor": "bottom", "showarrow": False}
WEIGHTS, COMPUTE = "#c9ced8", "#949cab"  # greys that no lane has
GREYS = [("■", WEIGHTS, "weights"), ("■", COMPUTE, "compute")]  # facts of the network, the same in every lane


# Over training


def changed(lanes: Sequence[Lane]) -> Figure:
    traces = [
        _line(lane, [(one.epoch, 100 * one.changed) for one in lane.refreshes if one.changed is not None], "%")
        for lane in lanes
    ]
    return _lines(traces, "Mask entries flipped at a refresh", PERCENT)


def overlap(lanes: Sequence[Lane]) -> Figure:
    """Draw the IoU of each mask with the previous one; dotted: that of a new random mask of the same density."""
    traces = []
    for lane in lanes:
        later = [(a, b) for a, b in zip(lane.refreshes, lane.refreshes[1:], strict=False) if b.overlap is not None]
        expected = [(b.epoch, masks_overlap.chance(a.density, b.density)) for a, b in later]
        traces += [_line(lane, [(b.epoch, b.overlap) for _, b in later]), _dotted(lane, expected)]
    return _lines(traces, "IoU with previous mask", IOU)


def from_first(lanes: Sequence[Lane], found: dict[str, dict[float, float]]) -> Figure:
    """Draw the IoU of each mask with the first one; dotted: that of an independent random mask."""
    traces = []
    for lane in lanes:
        if points := found[lane.name]:
            begin = lane.refreshes[0].density
            expected = [
                (one.epoch, masks_overlap.chance(begin, one.density)) for one in lane.some if one.epoch in points
            ]
            traces += [_line(lane, list(points.items())), _dotted(lane, expected)]
    return _lines(traces, "IoU with first mask", IOU)


def between(pairs: Sequence[Pair]) -> Figure:
    """Draw the IoU of each pair of lanes; dotted: by chance, dashed: by chance within the layers."""
    traces: list[dict[str, Any]] = []
    for pair in pairs[:PAIRS]:
        line = _line(pair.first, list(zip(pair.epochs, pair.iou, strict=True)))
        line["name"] = f"{pair.first.title} and {pair.second.title}"
        line["line"] |= {"dash": "solid"}
        line["marker"] = {"color": pair.second.style.color, "symbol": pair.second.style.symbol, "size": 8}
        layers = _dotted(pair.second, list(zip(pair.epochs, pair.by_layer, strict=True)), "chance within the layers")
        layers["line"] |= {"dash": "dash"}
        chance = _dotted(pair.first, list(zip(pair.epochs, pair.chance, strict=True)))
        chance["line"] |= {"color": NEUTRAL}
        traces += [line, layers, chance]
    return _lines(traces, "IoU between lanes", IOU)


def _line(lane: Lane, points: Sequence[tuple[float, float | None]], unit: str = "") -> dict[str, Any]:
    form = ".1f" if unit else ".3f"
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(points) <= 40 else "lines",
        "name": lane.title,
        "x": [epoch for epoch, _ in points],
        "y": [value for _, value in points],
        "line": {"color": lane.style.color, "width": 2.2, "dash": lane.style.dash},
        "marker": {"color": lane.style.color, "symbol": lane.style.symbol, "size": 7},
        "hovertemplate": f"%{{y:{form}}} {unit} at epoch %{{x:g}}".replace("  ", " "),
    }


def _dotted(lane: Lane, points: Sequence[tuple[float, float]], what: str = "chance") -> dict[str, Any]:
    thin = {"color": lane.style.color, "width": 1.5, "dash": "dot"}
    return {
        **_line(lane, points),
        "mode": "lines",
        "name": f"{lane.title}, {what}",
        "line": thin,
        "opacity": 0.8,
    }


def _lines(traces: list[dict[str, Any]], title: str, axis: dict[str, Any]) -> Figure:
    layout = layout_of(title, "epoch", height=HEIGHT)
    layout["yaxis"] = {**layout["yaxis"], **axis}
    return {"data": traces, "layout": layout}


# How often


def histogram(spec: RaceSpec, found: Often) -> Figure:
    """Draw the share of the layer's weights by selection frequency; dotted: that of independent random masks."""
    groups = np.array_split(np.arange(found.masks + 1), min(found.masks + 1, BARS))
    made = [100 * float(found.shares[group].sum()) for group in groups]
    expected = [100 * float(found.expected[group].sum()) for group in groups]
    names = [f"{group[0]}" if len(group) == 1 else f"{group[0]}–{group[-1]}" for group in groups]
    places = list(range(len(groups)))
    bars = {
        "type": "bar",
        "x": places,
        "y": made,
        "name": "made",
        "width": 0.82,
        "marker": {"color": found.lane.style.color, "opacity": 0.6},
        "customdata": names,
        "hovertemplate": f"%{{customdata}} of {found.masks}: %{{y:.1f}}%<extra></extra>",
    }
    chance = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": places,
        "y": expected,
        "name": "by chance",
        "line": {"color": NEUTRAL, "width": 2, "dash": "dot"},
        "marker": {"color": NEUTRAL, "size": 7},
        "customdata": names,
        "hovertemplate": f"by chance %{{customdata}} of {found.masks}: %{{y:.1f}}%<extra></extra>",
    }
    layout = layout_of(
        lane_title(spec, found.lane.place), f"number of masks (of {found.masks}) that select the weight", height=HEIGHT
    )
    shown = places if len(places) <= 14 else places[:: math.ceil(len(places) / 8)]
    layout["xaxis"] |= {"tickvals": shown, "ticktext": [names[place] for place in shown], "tickangle": 0}
    layout["yaxis"] = {**layout["yaxis"], **PERCENT}
    return {"data": [bars, chance], "layout": layout}


# Fisher information


def fisher_stages(spec: RaceSpec, rows: Rows) -> list[Figure]:
    """Draw weights, compute and Fisher information by stage, and the densities of the lanes' masks."""
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    titles, styles = theme.lane_titles(spec), theme.lane_styles(spec)
    of_lane = {lane: [row for row in rows if row["lane"] == lane] for lane in sorted({row["lane"] for row in rows})}
    first = next(iter(of_lane.values()))  # weights and compute are the network's, the same in every lane
    shares = [
        Bars("weights", WEIGHTS, [100 * row["weights"] for row in first]),
        Bars("compute", COMPUTE, [100 * row["compute"] for row in first]),
    ]
    figure = _grouped(stages, shares, "Weights, compute, Fisher information")
    for lane, own in of_lane.items():
        figure["data"].append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": list(range(len(own))),
                "y": [100 * row["fisher"] for row in own],
                "name": f"Fisher information, {titles[lane]}",
                "line": {"color": styles[lane].color, "width": 1.2, "dash": styles[lane].dash},
                "marker": {"color": styles[lane].color, "symbol": styles[lane].symbol, "size": 9},
                "hovertemplate": f"Fisher information, {titles[lane]}: %{{y:.1f}}%<extra></extra>",
            }
        )
    dense = [
        Bars(titles[lane], styles[lane].color, [100 * row["density"] for row in own])
        for lane, own in of_lane.items()
        if all(row["density"] is not None for row in own)
    ]
    if not dense:
        return [figure]
    perturbed = _grouped(stages, dense, "Perturbed share of each stage")
    named = {bars.name for bars in dense}
    if bare := [titles[lane] for lane in of_lane if titles[lane] not in named]:
        perturbed["layout"]["annotations"] = [{**CORNER, "text": f"{NO_MASK}: {', '.join(bare)}"}]
    return [figure, perturbed]


def fisher_patterns(spec: RaceSpec, rows: Rows) -> Figure:
    """Draw the share of Fisher information that each pattern keeps; the mark is its density, which random weights would keep."""
    patterns = list(dict.fromkeys(row["pattern"] for row in rows))
    titles, styles = theme.lane_titles(spec), theme.lane_styles(spec)
    series = []
    for lane in sorted({row["lane"] for row in rows}):
        own = {row["pattern"]: row for row in rows if row["lane"] == lane}
        kept, made = (
            [100 * own[pattern][what] if pattern in own else None for pattern in patterns]
            for what in ("kept", "density")
        )
        series.append(Bars(titles[lane], styles[lane].color, kept, made))
    names = [SHORT.get(pattern, pattern) for pattern in patterns]
    return _grouped(names, series, "Fisher information kept by pattern")


def fisher_overlaps(spec: RaceSpec, rows: Rows) -> Figure:
    """Draw the IoU of each lane's latest mask with the exact Fisher mask and with a random one; the mark is chance."""
    titles, styles = theme.lane_titles(spec), theme.lane_styles(spec)
    lanes = sorted({row["a"] for row in rows if row["b"] == "fisher"})
    found = {(row["a"], row["b"]): row for row in rows}
    series = [
        Bars(
            f"with {said}",
            [styles[lane].color for lane in lanes] if other == "fisher" else COMPUTE,
            [found[lane, other]["iou"] for lane in lanes],
            [found[lane, other]["chance"] for lane in lanes],
        )
        for other, said in (("fisher", "the exact Fisher mask"), ("random", "a random mask"))
    ]
    return _grouped([titles[lane] for lane in lanes], series, "IoU with the exact Fisher mask", IOU, ".3f")


@dataclass(frozen=True)
class Bars:
    """Draw a bar for each group, None if the lane has no mask; ``marks`` are lines across them."""

    name: str
    color: str | list[str]
    values: Sequence[float | None]
    marks: Sequence[float | None] = ()


def _grouped(
    groups: Sequence[str], series: Sequence[Bars], title: str, axis: dict[str, Any] = PERCENT, form: str = ".1f"
) -> Figure:
    said = f"%{{y:{form}}}{axis.get('ticksuffix', '')}"
    width = min(0.84 / len(series), 0.28)
    traces: list[dict[str, Any]] = []
    marks: tuple[list[float | None], list[float | None]] = ([], [])
    gaps: list[dict[str, Any]] = []
    for number, bars in enumerate(series):
        places = [group + (number - (len(series) - 1) / 2) * width for group in range(len(groups))]
        traces.append(
            {
                "type": "bar",
                "x": places,
                "y": list(bars.values),
                "width": 0.92 * width,
                "name": bars.name,
                "marker": {"color": bars.color},
                "customdata": list(groups),
                "hovertemplate": f"%{{customdata}}, {bars.name}: {said}<extra></extra>",
            }
        )
        for place, group, value in zip(places, groups, bars.values, strict=True):
            if value is None:
                gaps.append(
                    {**gap(place, f"{group}, {bars.name}", NO_MASK), "name": "", "textangle": -90, "text": NO_MASK}
                )
        for place, mark in zip(places, bars.marks, strict=False):
            marks[0].extend([place - width / 2, place + width / 2, None])
            marks[1].extend([mark, mark, None])
    for color, thick in MARK if marks[0] else ():
        line = {"x": marks[0], "y": marks[1], "line": {"color": color, "width": thick}}
        traces.append({"type": "scatter", "mode": "lines", "hovertemplate": f"{said}<extra></extra>", **line})
    layout = layout_of(title, "", height=290)
    middle, half = (len(groups) - 1) / 2, max(len(groups), 3) / 2 + 0.1  # two groups must not be twice as wide
    layout["xaxis"] |= {
        "tickvals": list(range(len(groups))),
        "ticktext": list(groups),
        "range": [middle - half, middle + half],
    }
    layout["annotations"] = gaps
    layout["yaxis"] = {**layout["yaxis"], **axis}
    return {"data": traces, "layout": layout}
