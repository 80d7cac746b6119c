"""Parts of a sweep's figures: axes, dots, colours."""

import math
from collections.abc import Sequence
from typing import Any

from app.sweeps import query
from app.ui.chart_base import FAINT, NEUTRAL
from ssam.experiment.sweep import SweepSpec, Value, Vary
from ssam.store.sweep_scores import Point

DONE = "#2471e0"  # states of trials that have ended
SCALE = "Cividis"  # readable with any colour vision
HEIGHT = 380


def figure(traces: Sequence[dict[str, Any]], layout: dict[str, Any], height: int = HEIGHT) -> dict[str, Any]:
    common = {
        "height": height,
        "margin": {"l": 56, "r": 24, "t": 26, "b": 48},
        "uirevision": "sweep",
        "showlegend": False,
    }
    return {"data": list(traces), "layout": {**common, "hovermode": "closest", "dragmode": False, **layout}}


def dots(xs: Sequence[Any], ys: Sequence[Any], hovers: list[str], colors: Sequence[Any]) -> dict[str, Any]:
    marker: dict[str, Any] = {"size": 10, "color": list(colors), "line": {"width": 1, "color": NEUTRAL}}
    if not any(isinstance(color, str) for color in colors):
        marker |= {"colorscale": SCALE, "colorbar": colorbar()}
    text = {"hovertext": hovers, "hoverinfo": "text"}
    return {"type": "scatter", "mode": "markers", "x": list(xs), "y": list(ys), "marker": marker, **text}


def colorbar() -> dict[str, Any]:
    return {"title": {"text": "accuracy"}, "ticksuffix": "%", "thickness": 14, "outlinewidth": 0}


def accuracy(spec: SweepSpec) -> dict[str, Any]:
    return {"title": {"text": query.measure(spec)}, "ticksuffix": "%", "gridcolor": FAINT, "zeroline": False}


def axis(vary: Vary) -> dict[str, Any]:
    return {
        "title": {"text": query.title(vary.field).lower()},
        "gridcolor": FAINT,
        "zeroline": False,
        "automargin": True,
    }


def scale(vary: Vary) -> dict[str, Any]:
    if not is_number(vary):
        return {"type": "category"}
    if not vary.log or vary.low is None or vary.high is None:
        return {"type": "linear", "ticksuffix": "%" if is_share(vary) else ""}
    tens = range(math.floor(math.log10(vary.low)), math.ceil(math.log10(vary.high)) + 1)
    marks = [digit * 10.0**ten for ten in tens for digit in (1, 2, 5)]
    return {"type": "log", "tickvals": marks, "ticktext": [f"{mark:g}" for mark in marks]}


def is_share(vary: Vary) -> bool:
    return vary.setting in ("sparsity", "label_noise")


def is_number(vary: Vary) -> bool:
    return vary.is_number and (vary.values is None or None not in vary.values)


def at(vary: Vary, point: Point) -> Value:
    value = point.values[vary.field]
    if is_share(vary) and not vary.log:
        return 100 * float(value or 0)
    return value if is_number(vary) else query.said(vary.field, value)


def values(spec: SweepSpec, vary: Vary, known: Sequence[Point]) -> list[Value]:
    """Return the values of a setting on a grid, or those tried in a search, in order."""
    if spec.method == "grid" or vary.values is not None:
        return list(vary.grid)
    return sorted({point.values[vary.field] for point in known}, key=lambda value: float(value or 0))


def places(spec: SweepSpec, vary: Vary, known: Sequence[Point]) -> Any:
    """Return a value's position on a vertical axis from 0 to 1, and its label."""
    known_values = values(spec, vary, known)
    if vary.low is None or vary.high is None:
        step = 1 / max(1, len(known_values) - 1)
        place_of = {value: place * step for place, value in enumerate(known_values)}
        every = -(-len(known_values) // 6)
        return place_of.__getitem__, [
            (place_of[value], query.said(vary.field, value)) for value in known_values[::every]
        ]
    measure = math.log if vary.log else float
    low, high = measure(vary.low), measure(vary.high)
    ends = [(0.0, query.said(vary.field, vary.low)), (1.0, query.said(vary.field, vary.high))]
    return lambda value: (measure(value) - low) / (high - low), ends


def notes(at: int, marks: Sequence[tuple[float, str]], last: bool = False) -> list[dict[str, Any]]:
    """Place a label beside the vertical axis ``at``, away from the lines: left of the first, right of the ``last``, else above."""
    side = {"xanchor": "left", "xshift": 6} if last else {"xanchor": "right", "xshift": -6, "yshift": 8 if at else 0}
    note = {"x": at, **side, "showarrow": False, "font": {"size": 12}}
    return [{**note, "y": y, "text": text} for y, text in marks]


def shade(share: float) -> str:
    """Return a colour between grey and that of finished trials."""
    ends = [[int(color[at : at + 2], 16) for at in (1, 3, 5)] for color in ("#b4b9c4", DONE)]
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in zip(*ends, strict=True))
