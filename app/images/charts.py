"""Curves, matrices and bars of the page Images as Plotly figures."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas  # noqa: F401  imported here: Plotly would use it half-imported while another visitor's first page imports it

from app.images.courses import Course, Tested
from app.images.data import Lane, Shown
from app.ui.chart_base import NEUTRAL, Figure, faded, lane_line, lane_title, layout_of
from ssam.experiment import RaceSpec

HEIGHT = 240
SHARE = {"ticksuffix": "%", "rangemode": "tozero"}
SHADES = (
    (0.0, 0.0),
    (0.05, 0.3),
    (0.25, 0.6),
    (1.0, 1.0),
)  # share of a row and opacity: confusions are rare, and are to be seen


def memorisation(shown: Shown, found: Sequence[Course]) -> list[Figure]:
    """Draw what the lanes memorise over training; for a race without wrong labels only the accuracies."""
    clean = "Accuracy on right labels" if shown.noisy else "Training accuracy"
    wrong = [
        _course(shown.spec, "Wrong labels memorised", [(each.lane, each.train.memorised) for each in found]),
        _course(shown.spec, "Wrong labels resisted", [(each.lane, each.train.resisted) for each in found]),
    ]
    gap = _course(shown.spec, "Train-test gap (points)", [(each.lane, each.gap) for each in found], unit="")
    return [
        *(wrong if shown.noisy else ()),
        _course(shown.spec, clean, [(each.lane, each.train.clean) for each in found]),
        gap,
    ]


def _course(spec: RaceSpec, title: str, shares: Sequence[tuple[Lane, np.ndarray]], unit: str = "%") -> Figure:
    hover = f"%{{y:.1f}}{unit or ' points'} at epoch %{{x:g}}"
    traces = [
        lane_line(spec, lane.place, lane.found.epochs.tolist(), _percent(share), hover, size=5)
        for lane, share in shares
    ]
    layout = layout_of(title, "epoch", height=HEIGHT)
    layout["yaxis"] = {**layout["yaxis"], **SHARE, "ticksuffix": unit}
    return {"data": traces, "layout": layout}


def confusion(shown: Shown, found: Tested) -> Figure:
    """Draw a confusion matrix. Each cell's ``customdata`` is LANE/TRUE CLASS/PREDICTION, in numbers."""
    matrix, names = found.matrix, [escape(name) for name in shown.classes]
    share = np.divide(
        matrix,
        matrix.sum(axis=1, keepdims=True),
        where=matrix.sum(axis=1, keepdims=True) > 0,
        out=np.zeros(matrix.shape),
    )
    place, classes = found.lane.place, range(len(names))
    trace = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": share.tolist(),
        "zmin": 0,
        "zmax": 1,
        "text": matrix.tolist(),
        "customdata": [[f"{place}/{true}/{prediction}" for prediction in classes] for true in classes],
        "hovertemplate": "%{y} predicted as %{x}: %{text} images<extra></extra>",
        "colorscale": [[at, faded(found.lane.style.color, alpha)] for at, alpha in SHADES],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
    layout = layout_of(lane_title(shown.spec, place), "prediction", height=min(620, 190 + 18 * max(len(names), 8)))
    layout["margin"] = {"l": 110, "r": 12, "t": 34, "b": 96}
    ticks = {"type": "category", "nticks": 0, "showgrid": False, "tickfont": {"size": 12}}
    layout["xaxis"] |= {**ticks, "tickangle": -45}
    layout["yaxis"] = {
        **layout["yaxis"],
        **ticks,
        "autorange": "reversed",
        "title": {"text": "true class", "standoff": 14, "font": {"size": 12}},
    }
    layout["yaxis"]["automargin"] = layout["xaxis"]["automargin"] = True
    return {"data": [trace], "layout": layout}


def by_class(shown: Shown, found: Sequence[Tested]) -> Figure:
    """Draw each lane's accuracy on each class."""
    bars = [
        {
            "type": "bar",
            "x": [escape(name) for name in shown.classes],
            "y": _percent(each.class_accuracy),
            "name": each.lane.title,
            "marker": {"color": each.lane.style.color},
            "hovertemplate": f"%{{x}}, {each.lane.title}: %{{y:.1f}}%<extra></extra>",
        }
        for each in found
    ]
    layout = layout_of("Accuracy by true class", "", height=300, barmode="group", bargap=0.25)
    layout["xaxis"] |= {"type": "category", "nticks": 0, "automargin": True}
    layout["yaxis"] = {**layout["yaxis"], **SHARE}
    return {"data": bars, "layout": layout}


def reliability(shown: Shown, found: Sequence[Tested]) -> Figure:
    """Draw accuracy by confidence in bins; dotted: accuracy equals confidence."""
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 100],
        "y": [0, 100],
        "line": {"color": NEUTRAL, "width": 1.5, "dash": "dot"},
        "hoverinfo": "skip",
    }
    lines = []
    for each in found:
        bins = each.calibration
        some = np.flatnonzero(bins.count)
        names = [f"{100 * bins.edges[at]:.0f}–{100 * bins.edges[at + 1]:.0f}%" for at in some]
        hover = "%{customdata}: confidence %{x:.1f}%, accuracy %{y:.1f}%"
        x, y = _percent(bins.confidence[some]), _percent(bins.accuracy[some])
        lines.append(lane_line(shown.spec, each.lane.place, x, y, hover, customdata=names))
    layout = layout_of("Reliability", "confidence", height=300)
    layout["xaxis"] |= {"ticksuffix": "%", "range": [0, 102]}
    layout["yaxis"] = {**layout["yaxis"], "ticksuffix": "%", "range": [0, 102]}
    return {"data": [diagonal, *lines], "layout": layout}


def _percent(shares: np.ndarray) -> list[float | None]:
    """Return percentages, None where there is no value."""
    return [100 * float(share) if np.isfinite(share) else None for share in shares]
