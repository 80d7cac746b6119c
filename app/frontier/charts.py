"""The frontier as a Plotly figure: one marker per lane, horizontal lines for SGD and SAM, the Pareto front as a thin line."""

from collections.abc import Sequence
from typing import Any

import pandas  # noqa: F401  imported here: Plotly would use it half-imported while another visitor's first page imports it

from app.frontier import text
from app.ui import theme
from app.ui.chart_base import FAINT, NEUTRAL, faded
from app.ui.tradeoff import Point, Source, Task, drawable, efficient
from app.ui.tradeoff_sources import TunedSGD
from ssam.methods import METHODS

SIZES: dict[Source, int] = {"search": 7, "own": 13, "final": 12}
OPACITIES: dict[Source, float] = {"search": 0.5, "own": 1.0, "final": 1.0}
GUIDES = {1.0: "", 1.05: "1.05", 2.0: "two passes"}
BELOW = 12.0  # percentage points under SGD where the chart ends, so that failures do not flatten the rest
HEIGHT = 480


def figure(task: Task, shown: Sequence[Point], chosen: Point | None, tuned: TunedSGD | None = None) -> dict[str, Any]:
    """Return the figure of the ``shown`` points of a task, with a ring around the chosen one and a line for a tuned SGD."""
    drawn = [point for point in shown if drawable(point)]
    low, high = _heights(task, drawn)
    left, right = _widths([point.ratio or 1.0 for point in drawn])
    traces = [_frontier(efficient(drawn)), *_markers(drawn)]
    if chosen and drawable(chosen):
        traces.append(_ring(chosen))
    lines = [line for line in (task.sgd, task.sam) if line]
    titled = [(METHODS[line.lane.method].title, line.mean or 0.0) for line in lines]
    titled += [("tuned SGD", tuned.mean)] if tuned else []
    return {
        "data": traces,
        "layout": {
            "height": HEIGHT,
            "margin": {"l": 54, "r": 84, "t": 28, "b": 48},
            "uirevision": task.key,
            "hovermode": "closest",
            "dragmode": False,
            "showlegend": False,  # the page has one that wraps on a phone
            "xaxis": {
                "title": {"text": "step time / SGD", "standoff": 8},
                "range": [left, right],
                "nticks": 8,
                "showgrid": False,
                "zeroline": False,
            },
            "yaxis": {"ticksuffix": "%", "range": [low, high], "gridcolor": FAINT, "zeroline": False, "nticks": 8},
            "shapes": [
                *(_guide(cost) for cost in GUIDES if cost < right),
                *(_level(line) for line in lines),
                *_tuned_line(tuned),
            ],
            "annotations": [*(_note(cost) for cost in GUIDES if cost < right), *_labels(titled)],
        },
    }


def hidden(task: Task, shown: Sequence[Point]) -> int:
    """Return how many points lie below the chart."""
    drawn = [point for point in shown if drawable(point)]
    low, _ = _heights(task, drawn)
    return sum((point.mean or 0) < low for point in drawn)


def _heights(task: Task, drawn: Sequence[Point]) -> tuple[float, float]:
    """Return the range of the accuracy axis, in %."""
    feet = [(point.mean or 0.0) - (point.deviation or 0.0) for point in drawn]
    tops = [(point.mean or 0.0) + (point.deviation or 0.0) for point in drawn]
    floor = task.sgd.mean - BELOW if task.sgd and task.sgd.mean is not None else 0.0
    return max(floor, min(feet, default=0.0) - 1), min(101.0, max(tops, default=100.0) + 1)


def _widths(costs: Sequence[float]) -> tuple[float, float]:
    """Return the range of the cost axis, in SGD steps."""
    left, right = min([0.97, *costs]), max([1.08, *costs])
    return left - 0.03 * (right - left), right + 0.05 * (right - left)


def _markers(drawn: Sequence[Point]) -> list[dict[str, Any]]:
    """Return a trace per kind and method, the searched lanes at the bottom."""
    traces: list[dict[str, Any]] = []
    kinds: tuple[Source, ...] = ("search", "own", "final")
    for source in reversed(kinds):
        for method in METHODS:
            if points := [point for point in drawn if point.source == source and point.lane.method == method]:
                traces.append(_trace(points, source, method))
    return traces[::-1]


def _trace(points: Sequence[Point], source: Source, method: str) -> dict[str, Any]:
    style = theme.METHOD_STYLES[method]
    opacity = OPACITIES[source]
    symbols = [symbol_of(style.symbol, point) for point in points]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": METHODS[method].title,
        "x": [point.ratio for point in points],
        "y": [point.mean for point in points],
        "customdata": [point.key for point in points],
        "hovertext": [text.hover(point) for point in points],
        "hoverinfo": "text",
        "marker": {
            "color": style.color,
            "symbol": symbols,
            "size": SIZES[source],
            "opacity": opacity,
            "line": {"width": 1, "color": "#ffffff" if source == "own" else style.color},
        },
        "error_y": {
            "array": [point.deviation or 0 for point in points],
            "color": faded(style.color, 0.25 if source == "search" else 0.7),
            "thickness": 1 if source == "search" else 1.5,
            "width": 0 if source == "search" else 4,
        },
    }


def symbol_of(symbol: str, point: Point) -> str:
    if point.source != "own":
        return symbol
    return f"{symbol}-open" if point.shared else f"{symbol}-dot"


def _frontier(best: Sequence[Point]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [point.ratio for point in best],
        "y": [point.mean for point in best],
        "line": {"color": NEUTRAL, "width": 1.5, "shape": "hv"},
        "hoverinfo": "skip",
    }


def _ring(point: Point) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [point.ratio],
        "y": [point.mean],
        "marker": {"symbol": "circle-open", "size": 26, "color": "#6f60ec", "line": {"width": 3}},
        "hoverinfo": "skip",
    }


def _guide(cost: float) -> dict[str, Any]:
    line = {"color": faded(NEUTRAL, 0.5), "width": 1, "dash": "dot"}
    return {"type": "line", "x0": cost, "x1": cost, "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}


def _level(point: Point) -> dict[str, Any]:
    style = theme.METHOD_STYLES[point.lane.method]
    line = {"color": style.color, "width": 1.5, "dash": style.dash}
    place = {"xref": "paper", "x0": 0, "x1": 1, "y0": point.mean, "y1": point.mean}
    return {"type": "line", **place, "line": line, "opacity": 0.6, "layer": "below"}


def _tuned_line(tuned: TunedSGD | None) -> list[dict[str, Any]]:
    if tuned is None:
        return []
    place = {"xref": "paper", "x0": 0, "x1": 1, "y0": tuned.mean, "y1": tuned.mean}
    line = {"color": theme.METHOD_STYLES["sgd"].color, "width": 2, "dash": "longdash"}
    return [{"type": "line", **place, "line": line, "layer": "below"}]


def _note(cost: float) -> dict[str, Any]:
    note = {"yref": "paper", "y": 0, "yanchor": "bottom", "showarrow": False, "font": {"size": 12}}
    return {**note, "x": cost, "xanchor": "left" if cost < 2 else "right", "text": GUIDES[cost]}


def _labels(lines: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """Label the horizontal lines, (title, accuracy): the highest above it, the others below."""
    return [
        {
            "xref": "paper",
            "x": 1,
            "xanchor": "left",
            "xshift": 4,
            "align": "left",
            "y": accuracy,
            "yanchor": "bottom" if accuracy == max(height for _, height in lines) else "top",
            "text": f"{title}<br>{accuracy:.1f}%",
            "font": {"size": 13},
            "showarrow": False,
        }
        for title, accuracy in lines
    ]
